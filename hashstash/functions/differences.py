"""Where two arguments differ, in a few words: the first places in lists, dicts, instances, arrays and frames."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.fingerprint.walker import ATOMS, MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DEEPEST = 6
_MOST = 8
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 4


class Change(NamedTuple):
    """One thing that is not what it was when the nearest result was stored."""

    name: str
    """Such as ``x``, ``x[3]``, ``global THRESHOLD``, ``function helper``."""
    old: str = ""
    """What it was, shortly; empty where that is not known."""
    new: str = ""

    def __str__(self) -> str:
        if not self.old and not self.new:
            return f"{self.name} changed"
        return f"{self.name}: {self.old or '?'} -> {self.new or '?'}"


def changes_between(name: str, old: Any, new: Any, digest: Callable[[Any], bytes], depth: int = 0) -> Iterator[Change]:
    """The first places where *old* and *new* differ, as *digest* sees it; *name* leads to them."""
    if _are_same(old, new, digest):
        return
    parts = None if type(old) is not type(new) or depth >= _DEEPEST else _parts_of(old, new)
    if parts is None:
        yield _change(name, old, new)
        return
    found = 0
    for step, before, after in parts:
        for change in changes_between(name + step, before, after, digest, depth + 1):
            yield change
            found += 1
            if found == _MOST:
                return
    if not found:
        yield _change(name, old, new)


def _are_same(old: Any, new: Any, digest: Callable[[Any], bytes]) -> bool:
    if old is MISSING or new is MISSING:
        return old is new
    return digest(old) == digest(new)


def _parts_of(old: Any, new: Any) -> list[tuple[str, Any, Any]] | None:
    """The parts of two values of one type beside each other; ``None`` where they cannot be compared part by part."""
    if isinstance(old, (list, tuple)):
        return [(f"[{i}]", a, b) for i, (a, b) in enumerate(zip(old, new))] if len(old) == len(new) else None  # noqa: B905
    if isinstance(old, dict):
        names = dict.fromkeys((*old, *new))
        return [(f"[{_short.repr(one)}]", old.get(one, MISSING), new.get(one, MISSING)) for one in names]
    if type(old) in ATOMS or _form(old) or isinstance(old, type) or not hasattr(old, "__dict__"):
        return None
    names = dict.fromkeys((*vars(old), *vars(new)))
    return [(f".{one}", vars(old).get(one, MISSING), vars(new).get(one, MISSING)) for one in names]


def _change(name: str, old: Any, new: Any) -> Change:
    if _form(old) and type(old) is type(new):
        return _array_change(name, old, new)
    if isinstance(old, (list, tuple)) and type(old) is type(new) and len(old) != len(new):
        return Change(f"len({name})", str(len(old)), str(len(new)))
    return Change(name, brief(old), brief(new))


def _array_change(name: str, old: Any, new: Any) -> Change:
    for attribute in ("dtype", "shape", "columns"):
        before, after = _attribute(old, attribute), _attribute(new, attribute)
        if before != after:
            return Change(f"{name}.{attribute}", before, after)
    if hasattr(old, "columns"):
        columns = [column for column in old.columns if not old[column].equals(new[column])]
        if columns:
            return _array_change(f"{name}[{columns[0]!r}]", old[columns[0]], new[columns[0]])
    place = _first_difference(old, new)
    if place is None:
        return Change(name, brief(old), brief(new))
    return Change(f"{name}[{', '.join(map(str, place))}]", _element(old, place), _element(new, place))


def _element(array: Any, place: tuple[int, ...]) -> str:
    found = getattr(array, "iloc", array)[place]
    return brief(found.item() if hasattr(found, "item") else found)


def _first_difference(old: Any, new: Any) -> tuple[int, ...] | None:
    """The first place where two arrays of one shape differ; ``None`` where elements cannot tell it."""
    try:
        differ = (old != new) & ((old == old) | (new == new))  # noqa: PLR0124 - nan is not itself
        places = getattr(differ, "values", differ).nonzero()
        return tuple(int(axis[0]) for axis in places)
    except Exception:  # noqa: BLE001 - any array type there is, and this is only to say more
        return None


def _attribute(value: Any, name: str) -> str:
    found = getattr(value, name, None)
    if found is None:
        return ""
    return str(found) if name == "dtype" else brief(tuple(found))


def _form(value: Any) -> str:
    """Shape and type of an array or frame; empty for anything else."""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or isinstance(value, type):
        return ""
    return " ".join(str(part) for part in (shape, getattr(value, "dtype", None)) if part is not None)


def brief(value: Any) -> str:
    """*value* in a few words, on one line."""
    if value is MISSING:
        return "missing"
    form = _form(value)
    if form:
        return f"{type(value).__name__} {form}"
    if type(value) is str and value.startswith("<") and value.endswith(">"):
        return value  # an argument that was listed as text
    try:
        text = " ".join(_short.repr(value).split())
    except Exception:  # noqa: BLE001 - whatever a user's __repr__ raises
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 100 else text[:99] + "…"
