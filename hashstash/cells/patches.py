"""What users have put into modules and classes of Python's library and of packages: ``np.mean = ...``, an accessor of pandas.

A package counts by its version, which says nothing of a function that somebody has replaced in it. So those attributes that a
cell names, or a function that it reaches, are looked at in the modules and classes that it may take them from. What the user
has put there is an input; what the cell itself puts there is in no record.
"""

from __future__ import annotations

import builtins
import functools
import re
import sys
from dataclasses import dataclass
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, TypeGuard

from hashstash.fingerprint import Fingerprinter
from hashstash.fingerprint.packages import Origin, origin_of_globals, origin_of_module, origin_of_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_EXTENDED = {
    "pandas": ("DataFrame", "Series", "Index"),
    "polars": ("DataFrame", "LazyFrame", "Series", "Expr"),
    "xarray": ("Dataset", "DataArray"),
}
"""Package -> classes whose objects come up on the way, and to which users like to add methods."""
_INNER = ("__func__", "fget", "func", "_accessor", "_ns", "__wrapped__")
"""Where descriptors keep what was put there."""
_PLAIN = frozenset(
    {BuiltinFunctionType, ModuleType, int, float, str, bool, tuple, dict, list, type(None), type(str.join)}
)
_CONSTANTS = frozenset({int, float, complex, str, bytes, bool})
_OF_THE_PROCESS = frozenset({"sys", "time", "platform"})
"""Modules whose constants tell of the interpreter and the machine, or are settings: no inputs of this kind."""
_CAN_BE_SET = 1 << 9
"""The flag of classes that are made at run time, or by a module in Python."""

Place = tuple[Any, frozenset[str]]
"""A module or a class, and which of its attributes the cell may take."""


_MADE, _CONSTANT = "=", ":"
"""In the text of a fact, what comes between a name and the digest of what the user has put there, or of a constant."""

Taken = dict[str, dict[str, Any]]
"""Place -> attribute -> value, of those that are there."""


@dataclass(frozen=True, slots=True)
class Patches:
    """What the user had put into the places around a cell before it ran."""

    places: dict[str, Place]
    made: dict[tuple[str, str], Any]
    constants: dict[tuple[str, str], Any]

    @classmethod
    def look(cls, names: Collection[str], values: Iterable[Any], *, builtin_names: Collection[str]) -> Patches:
        """Look at the attributes called *names* of the modules and classes among *values*, and of the classes of others."""
        wanted = frozenset(names)
        places = {_name_of(place): (place, wanted) for place in _places(values, wanted)}
        known = wanted if "builtins" in places else frozenset()
        places["builtins"] = builtins, known.union(builtin_names)
        taken = _taken(places)
        return cls(places, _made(taken), _constants(taken))

    def facts(self, imported: Iterable[str]) -> dict[str, str]:
        """Place -> the names that it has, those which the user made with a digest; *imported*: modules that came later.

        Raises :class:`Patched` if something has been put there since the look, or taken away.
        """
        now = _taken(self.places)
        made = _made(now)
        constants = _constants(now)
        moved = {key for key in made.keys() | self.made.keys() if made.get(key) is not self.made.get(key)}
        moved |= {
            key
            for key in constants.keys() | self.constants.keys()
            if key not in moved and _written(constants.get(key)) != _written(self.constants.get(key))
        }
        new = next((".".join(key).replace(":", ".") for key in sorted(moved)), None)
        if new is not None:
            raise Patched(new)
        names = frozenset().union(*(names for _place, names in self.places.values()))
        later = {name: (module, names) for name in imported if _is_theirs(module := sys.modules.get(name))}
        texts = {place: self._text(place, values) for place, values in (_taken(later) | now).items()}
        return {place: text for place, text in texts.items() if text}

    def _text(self, place: str, values: dict[str, Any]) -> str:
        marks = {name: f"{_MADE}{_digest(value)}" for (where, name), value in self.made.items() if where == place}
        constants = _constants({place: values})
        marks |= {name: f"{_CONSTANT}{_written(value)}" for (_where, name), value in constants.items()}
        return " ".join(f"{name}{marks.get(name, '')}" for name in sorted(values))


class Patched(Exception):
    """Something was put into a module or a class of others; the text is its place, as ``math.floor``."""


def differences(then: Mapping[str, str]) -> Iterator[str]:
    """What the user has put there, or taken away, since these facts were recorded, in words."""
    for place, text in then.items():
        known = _parsed(text)
        owner = _find(place)
        values = {} if owner is None else _attributes(owner, known.keys())
        for name, (mark, digest) in known.items():
            value = values.get(name)
            if mark != _CONSTANT:
                now = _digest(value) if _is_made(value) else ""
            elif owner is None:
                continue  # what is loaded anew has its own constants
            else:
                now = _written(value) if _is_constant(place, name, value) else ""
            if digest != now:
                yield f"`{place.replace(':', '.')}.{name}` was replaced or put back"


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> Mapping[str, tuple[str, str]]:
    """Name -> mark and digest, of what a fact says of a place."""
    parts = (re.split(f"([{_MADE}{_CONSTANT}])", part, maxsplit=1) for part in text.split())
    return MappingProxyType({name: (mark, digest) for name, mark, digest in ([*part, "", ""][:3] for part in parts)})


def _places(values: Iterable[Any], names: frozenset[str]) -> Iterator[Any]:
    packages = set()
    for value in {id(value): value for value in values}.values():
        if isinstance(value, ModuleType):
            if not _is_theirs(value):
                continue
            packages.add(value.__name__)
            for module in _with_inner(value, names):
                yield module
                yield from (part for name in names if _can_be_set(part := vars(module).get(name)))
        else:
            kind = value if isinstance(value, type) else type(value)
            if _can_be_set(kind):
                packages.add(kind.__module__.partition(".")[0])
                yield kind
    for package, kinds in _EXTENDED.items():
        if package in packages:
            yield from filter(_can_be_set, (vars(sys.modules[package]).get(kind) for kind in kinds))


def _with_inner(module: ModuleType, names: frozenset[str]) -> Iterator[ModuleType]:
    """A module and those in it that are called by one of the *names*, as ``path`` in ``os.path.join``."""
    found = {id(module): module}
    waiting = [module]
    while waiting:
        outer = waiting.pop()
        yield outer
        inner = (part for name in names if _is_theirs(part := vars(outer).get(name)) and id(part) not in found)
        fresh = {id(part): part for part in inner}
        found.update(fresh)
        waiting += fresh.values()


def _can_be_set(kind: Any) -> bool:
    if not isinstance(kind, type) or not kind.__flags__ & _CAN_BE_SET:
        return False
    return origin_of_name(kind.__module__) is not Origin.USER


def _is_theirs(module: Any) -> TypeGuard[ModuleType]:
    return isinstance(module, ModuleType) and origin_of_module(module) is not Origin.USER


def _name_of(place: Any) -> str:
    return place.__name__ if isinstance(place, ModuleType) else f"{place.__module__}:{place.__qualname__}"


def _find(place: str) -> Any:
    module, _, path = place.partition(":")
    owner: Any = sys.modules.get(module)
    for name in path.split(".") if path else ():
        owner = getattr(owner, name, None)
    return owner


def _taken(places: Mapping[str, tuple[Any, Collection[str]]]) -> Taken:
    return {place: _attributes(owner, names) for place, (owner, names) in places.items()}


def _attributes(owner: Any, names: Collection[str]) -> dict[str, Any]:
    if isinstance(owner, ModuleType):
        space = vars(owner)  # modules may load others when they are asked
        return {name: value for name in names if (value := space.get(name)) is not None}
    try:
        return {name: value for name in names if (value := getattr(owner, name, None)) is not None}
    except Exception:  # noqa: BLE001 - descriptors are foreign code
        return {name: value for name in names if (value := _get(owner, name)) is not None}


def _get(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 - descriptors are foreign code
        return None


def _made(taken: Taken) -> dict[tuple[str, str], Any]:
    return {
        (place, name): value for place, values in taken.items() for name, value in values.items() if _is_made(value)
    }


def _is_made(value: Any) -> bool:
    return type(value) not in _PLAIN and is_users(value)


def _constants(taken: Taken) -> dict[tuple[str, str], Any]:
    """The plain constants of modules: what they are is the package's, unless somebody has set them."""
    return {
        (place, name): value
        for place, values in taken.items()
        for name, value in values.items()
        if _is_constant(place, name, value)
    }


def _is_constant(place: str, name: str, value: Any) -> bool:
    if type(value) not in _CONSTANTS or ":" in place or place in _OF_THE_PROCESS:
        return False
    return not name.startswith("_") and "version" not in name.lower()


def is_users(value: Any) -> bool:
    """Whether the user has written this function or class, or what a descriptor or a method holds."""
    value = getattr(value, "__func__", value)
    if type(value) is FunctionType:
        return origin_of_globals(value.__globals__) is Origin.USER
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__ == "unittest.mock" or origin_of_name(kind.__module__) is Origin.USER:
        return True
    if isinstance(value, type):
        return False
    inner = (vars(type(value)).get(name) and getattr(value, name, None) for name in _INNER)
    held = getattr(value, "__dict__", {})
    return any(map(_is_users_code, (*inner, *(held.get(name) for name in _INNER if isinstance(held, dict)))))


def _is_users_code(value: Any) -> bool:
    if type(value) is FunctionType:
        return origin_of_globals(value.__globals__) is Origin.USER
    return isinstance(value, type) and origin_of_name(value.__module__) is Origin.USER


def _written(constant: Any) -> str:
    text = f"{type(constant).__name__} {constant!r}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _digest(value: Any) -> str:
    return Fingerprinter().walk(value).digest.hex()[:16]
