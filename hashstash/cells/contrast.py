"""Two summaries of one variable, then and now, put beside each other in words.

The earlier one comes from a record that anybody may have written: what is not as it must be says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.cells.parts import WHOLE_ELEMENTS, part_bounds, place_of
from hashstash.cells.source_texts import LONGEST_SOURCE, unpacked
from hashstash.cells.summaries import BLOCK
from hashstash.difference import compare
from hashstash.wording import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_MOST_LINES = 12
_MOST_NAMES = 6
_WIDTH = 160
_DIFFERENT = ("different", "different")
_MOST_PARTS = 80
_FIELDS = ("dims", "dtype", "device", "requires_grad", "stored elements")


def contrast(then: Any, now: Any, exact: Sequence[str] = ()) -> list[str]:
    """What differs, in a few lines; none if nothing can be said. *exact*: what is known of the places where it does."""
    try:
        found = _contrast(then, now, exact)
    except (AttributeError, LookupError, TypeError, ValueError):  # what a stranger made up
        found = list(exact)
    cut = [line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…" for line in map(printable, found)]
    return cut[:_MOST_LINES] + (["..."] if len(cut) > _MOST_LINES else [])


def _contrast(then: dict[str, Any], now: dict[str, Any], exact: Sequence[str]) -> list[str]:
    if then["type"] != now["type"]:
        return [f"type {_text(then['type'])} -> {_text(now['type'])}", *_changed("value", then, now)]
    code = _code(then, now)
    value = _changed("value", then, now)  # where there is one, it is all that differs
    exact = () if value else exact
    return [
        *value,
        *_size(then, now),
        *(line for field in _FIELDS for line in _changed(field, then, now)),
        *_columns("column", then, now, is_exact=bool(exact)),
        *_columns("variable", then, now, is_exact=bool(exact)),
        *(["the index differs"] if not exact and _differ(then.get("index"), now.get("index")) else []),
        *(exact or (*_first_difference(then, now), *_first_block(then, now), *_keys(then, now))),
        *_attributes(then, now, {part for name in code for part in name.split(".")}),
        *_source(then, now, is_told=bool(code)),
        *(line for name, lines in code.items() for line in (f"{name}:", *lines)),
    ]


def _text(value: Any) -> str:
    return str(value)[:_WIDTH]


def _differ(one: Any, other: Any) -> bool:
    """Whether two digests say that something differs; an empty one, or none, or such as were made otherwise, say nothing."""
    return isinstance(one, bytes) and isinstance(other, bytes) and len(one) == len(other) and one != other


def _changed(field: str, then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    one, other = then.get(field), now.get(field)
    if one == other:
        return []
    label = "" if field == "value" else f"{field} "
    return [f"{label}{_text(one)} -> {_text(other)}"] if one is not None and other is not None else []


def _size(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Shape or length, also where it is as before, since that is what one looks for first."""
    for field in ("shape", "length"):
        if field in then and field in now:
            one, other = (_shape(summary[field]) for summary in (then, now))
            return [f"{field} {one} as before" if one == other else f"{field} {one} -> {other}"]
    return []


def _shape(size: Any) -> str:
    return f"{int(size):,}" if type(size) is int else f"({', '.join(str(int(part)) for part in size[:8])})"


def _columns(noun: str, then: dict[str, Any], now: dict[str, Any], *, is_exact: bool) -> list[str]:
    """The columns of a frame, or the variables of a data set. *is_exact*: what differs in those that stay is told elsewhere."""
    if f"{noun}s" not in then or f"{noun}s" not in now:
        return []
    old, new = ({_text(entry[0]): _Entry.of(entry) for entry in one[f"{noun}s"]} for one in (then, now))
    shared = [name for name in new if name in old]
    retyped = [name for name in shared if old[name].kind != new[name].kind]
    differing = [name for name in shared if name not in retyped and new[name].differs_from(old[name])]
    lines = [f"{noun} {name!r}: dtype {old[name].kind} -> {new[name].kind}" for name in retyped[:_MOST_NAMES]]
    has_all = all(one.get("is whole", len(one[f"{noun}s"]) == one.get("shape", [0, -1])[1]) for one in (then, now))
    if has_all:
        lines += _listed(noun, [name for name in old if name not in new], "gone", "gone")
        lines += _listed(noun, [name for name in new if name not in old], "new", "new")
    if has_all and not lines and not differing and list(old) != list(new):
        lines.append(f"the {noun}s are in another order")
    if is_exact:
        return lines
    places = {name: _place_in(old[name], new[name]) for name in differing}
    told = [f"{noun} {name!r}{place}" for name, place in places.items() if place]
    return lines + told[:_MOST_NAMES] + _listed(noun, [name for name in differing if not places[name]], *_DIFFERENT)


class _Entry(NamedTuple):
    """A column as it is kept; before, nothing was kept of its parts and numbers."""

    kind: str
    digest: Any
    parts: Any = ()
    numbers: Any = ()

    @classmethod
    def of(cls, entry: Sequence[Any]) -> _Entry:
        _name, kind, digest, *more = entry
        return cls(_text(kind), digest, *more)

    def differs_from(self, other: _Entry) -> bool:
        """Whether anything that is known of both differs."""
        return _differ(self.digest, other.digest) or bool(_place_in(other, self))


def _place_in(old: _Entry, new: _Entry) -> str:
    """Where two columns begin to differ; empty if it cannot be told."""
    for at, (one, other) in enumerate(zip(old.numbers, new.numbers, strict=False)):
        if one != other:
            return f", row {at:,}: {_text(one)} -> {_text(other)}"
    number = _first_part(old.parts, new.parts)
    if number is None:
        return ""
    start, end = part_bounds(number)
    return f": first difference in row {start:,}" if end - start == 1 else f": first difference from row {start:,} on"


def _first_part(old: Sequence[Any], new: Sequence[Any]) -> int | None:
    """The first part whose digests differ; ``None`` if there is none, or if those before it are not all known."""
    for number, (one, other) in enumerate(zip(old[:_MOST_PARTS], new, strict=False)):
        if not one or len(one) != len(other):
            return None
        if one != other:
            return number
    return None


def _listed(noun: str, names: list[str], one: str, many: str) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    listed = ", ".join(map(repr, names[:_MOST_NAMES])) + more
    return [f"{noun} {listed} is {one}" if len(names) == 1 else f"{noun}s {listed} are {many}"]


def _first_difference(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    if "parts" not in then or "parts" not in now or then.get("dtype") != now.get("dtype"):
        return []
    if len(now.get("shape", ())) > 1 and now["shape"] != then.get("shape"):
        return []
    for at, (one, other) in enumerate(zip(then.get("numbers", ()), now.get("numbers", ()), strict=False)):
        if one != other:
            return [f"first difference at {_element(at, now)}: {_text(one)} -> {_text(other)}"]
    counts = _count(then), _count(now)
    number = _first_part(then["parts"], now["parts"])
    if number is not None:
        start, end = part_bounds(number)
        end = min(end, max(counts))
        if end - start == 1:
            return [f"first difference at {_element(start, now)}"]
        which = "first" if end <= WHOLE_ELEMENTS else "a"  # of longer parts only the beginning is known
        if _is_grid(now):
            return [f"{which} difference between {_element(start, now)} and {_element(end - 1, now)}"]
        return [f"{which} difference between elements {start:,} and {end - 1:,}"]
    if not all(then["parts"]) or not all(now["parts"]):
        return []
    shorter, longer = sorted(counts)
    is_known = shorter < longer and shorter <= WHOLE_ELEMENTS and "length" in then
    return [f"first difference at element {shorter:,}"] if is_known else []


def _is_grid(summary: dict[str, Any]) -> bool:
    return len(summary.get("shape", ())) > 1


def _element(at: int, summary: dict[str, Any]) -> str:
    """The place of an element in C order."""
    if not _is_grid(summary):
        return f"element {at:,}"
    return f"[{', '.join(map(str, place_of(at, summary['shape'])))}]"


def _first_block(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Where two long texts begin to differ."""
    for number, (one, other) in enumerate(zip(then.get("blocks", []), now.get("blocks", []), strict=False)):
        if not one or len(one) != len(other):
            return []
        if one != other:
            start, end = (BLOCK * bound for bound in part_bounds(number))
            end = min(end, max(_count(then), _count(now)))
            return [f"first difference between characters {start:,} and {end - 1:,}"]
    return []


def _count(summary: dict[str, Any]) -> int:
    if "length" in summary:
        return int(summary["length"])
    count = 1
    for part in summary["shape"][:8]:
        count *= int(part)
    return count


def _keys(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    if "keys" not in then or "keys" not in now:
        return []
    old, new = (dict(map(tuple, one["keys"])) for one in (then, now))
    if b"" in old or b"" in new or len(old) != then["length"] or len(new) != now["length"]:
        return []
    if set(map(len, old)) != set(map(len, new)):  # not made in the same way
        return []
    names = now.get("names", {})
    shared = [key for key in new if key in old]
    lines = _keyed(names, [key for key in shared if _differ(old[key], new[key])], "differs")
    lines += _keyed(names, [key for key in new if key not in old], "is new")
    gone = len([key for key in old if key not in new])
    lines += [f"{gone} of its keys {'is' if gone == 1 else 'are'} gone"] if gone else []
    return lines or (["its keys are in another order"] if list(old) != list(new) else [])


def _keyed(names: dict[bytes, str], keys: list[bytes], what: str) -> list[str]:
    lines = [f"key {names.get(key, '?')} {what}" for key in keys[:_MOST_NAMES]]
    return lines + ([f"and {len(keys) - _MOST_NAMES} keys more"] if len(keys) > _MOST_NAMES else [])


def _attributes(then: dict[str, Any], now: dict[str, Any], told: Collection[str]) -> list[str]:
    if "attributes" not in then or "attributes" not in now:
        return []
    old, new = ({_text(name): (digest, *more) for name, digest, *more in one["attributes"]} for one in (then, now))
    differing = [name for name in new if name in old and _differ(old[name][0], new[name][0])]
    numbers = [name for name in differing if len(old[name]) > 1 and len(new[name]) > 1]
    lines = [f"attribute {name!r}: {_text(old[name][1])} -> {_text(new[name][1])}" for name in numbers[:_MOST_NAMES]]
    others = [name for name in differing if name not in numbers and name not in told]
    lines += _listed("attribute", others, *_DIFFERENT)
    lines += _listed("attribute", [name for name in new if name not in old], "new", "new")
    return lines + _listed("attribute", [name for name in old if name not in new], "gone", "gone")


def _source(then: dict[str, Any], now: dict[str, Any], *, is_told: bool) -> list[str]:
    one, other = then.get("source"), now.get("source")
    if not isinstance(one, str) or not isinstance(other, str) or not one or not other:
        return []
    if one != other:
        return list(compare(one[:LONGEST_SOURCE], other, ""))
    if is_told:
        return []
    if len(one) >= LONGEST_SOURCE:
        return ["it differs behind what is kept of its text"]
    return ["its text is as before: a default, or something that it closes over or uses, differs"]


def _code(then: dict[str, Any], now: dict[str, Any]) -> dict[str, list[str]]:
    """By the name of each function that the value leads to and that was edited: the lines that differ."""
    old, new = unpacked(then.get("code")), unpacked(now.get("code"))
    edited = [name for name in new if name in old and new[name] != old[name]]
    lines = {name: _without_places(compare(old[name], new[name], "")) for name in edited[:_MOST_NAMES]}
    return {name: found for name, found in lines.items() if found}


def _without_places(lines: Iterable[str]) -> list[str]:
    """A difference of few lines, in which those that say where the next ones stand are left out."""
    found = ["..." if line.startswith("@@") else line for line in lines]
    return found[1:] if found[:1] == ["..."] else found
