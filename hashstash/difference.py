"""What differs between two values: type, shape, keys, lines of text, the first differing elements; short, whatever their size."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from hashstash import history
from hashstash.views import same
from hashstash.wording import shortened

if TYPE_CHECKING:
    from hashstash.store import Store

_SHOWN_KEY = 40
_MOST_LINES = 40
_MOST_KEYS = 10
_MOST_DEPTH = 4
_WIDTH = 60
_LONGEST_TEXT = 200_000
"""Texts beyond that are compared up to here: a line by line comparison takes quadratic time."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs, a line each; empty, and so false, if nothing does."""

    title: str
    lines: tuple[str, ...]
    unlisted: bool = False
    """Whether there is more than is listed."""

    def __bool__(self) -> bool:
        return bool(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[str]:
        return iter(self.lines)

    def __repr__(self) -> str:
        if not self.lines:
            return f"{self.title}: no difference"
        return "\n".join([f"{self.title}:", *self.lines, *(["..."] if self.unlisted else [])])

    def _repr_html_(self) -> str:
        from hashstash.display.reports import html_of_difference

        return html_of_difference(self)


def diff(store: Store, key: Any, a: int, b: int) -> Difference:
    """What has to change in version *a* of *key* to get version *b*."""
    (one, before), (other, after) = history.read(store, key, version=a), history.read(store, key, version=b)
    title = f"{shortened(key, _SHOWN_KEY)}, version {one.version} -> {other.version}"
    return compare(before, after, title)


def compare(one: Any, other: Any, title: str) -> Difference:
    """What has to change in *one* to get *other*."""
    found = _lines(one, other, "", 0)
    lines = tuple(islice(found, _MOST_LINES))
    return Difference(title, lines, next(found, None) is not None)


def _lines(one: Any, other: Any, place: str, depth: int) -> Iterator[str]:
    if _is_same(one, other):
        return
    at = f"{place}: " if place else ""
    if type(one) is not type(other):
        yield f"{at}type {_type(one)} -> {_type(other)}"
        yield from _replaced(one, other, at)
    elif isinstance(one, str):
        yield from _text(one, other, at)
    elif _is_frame(one):
        yield from _frame(one, other, place)
    elif hasattr(one, "shape") and hasattr(one, "dtype"):
        yield from _array(one, other, at)
    elif depth < _MOST_DEPTH and isinstance(one, Mapping):
        yield from _mapping(one, other, place, depth)
    elif isinstance(one, AbstractSet):
        yield from _set(one, other, at)
    elif depth < _MOST_DEPTH and isinstance(one, Sequence) and not isinstance(one, (bytes, bytearray, memoryview)):
        yield from _sequence(one, other, place, depth)
    elif (
        depth < _MOST_DEPTH
        and hasattr(one, "__dict__")
        and vars(one)
        and object.__repr__ is getattr(type(one), "__repr__", None)
    ):
        yield from _mapping(vars(one), vars(other), f"{place}.", depth)
    else:
        yield from _replaced(one, other, at)


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    try:
        return same(one, other)
    except Exception:  # noqa: BLE001  the classes are the user's
        return False


def _replaced(one: Any, other: Any, at: str) -> Iterator[str]:
    before, after = shortened(one, _WIDTH), shortened(other, _WIDTH)
    if at and len(before) + len(after) <= _WIDTH and before != after:
        yield f"{at}{before} -> {after}"
        return
    yield f"{at}- {before}"
    yield f"{at}+ {after}"


def _type(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(one: str, other: str, at: str) -> Iterator[str]:
    if "\n" not in one and "\n" not in other and max(len(one), len(other)) <= _WIDTH:
        yield from _replaced(one, other, at)
        return
    first, second = one[:_LONGEST_TEXT].splitlines(), other[:_LONGEST_TEXT].splitlines()
    shown = 0
    for line in islice(difflib.unified_diff(first, second, lineterm="", n=1), 2, None):
        shown += 1
        yield at + _line(line)
    if not shown:
        start = _first(one, other)
        yield f"{at}differs from character {start:,} on"
        yield f"{at}- {shortened(one[start : start + _WIDTH], _WIDTH)}"
        yield f"{at}+ {shortened(other[start : start + _WIDTH], _WIDTH)}"


def _first(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Where two sequences begin to differ, by halving where slices can be compared."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _line(line: str) -> str:
    plain = "".join(char if char.isprintable() else " " for char in line[: 2 * _WIDTH])
    return plain if len(line) <= 2 * _WIDTH else plain + "…"


def _mapping(one: Mapping[Any, Any], other: Mapping[Any, Any], place: str, depth: int) -> Iterator[str]:
    for what, keys in (
        ("-", [key for key in one if key not in other]),
        ("+", [key for key in other if key not in one]),
    ):
        source = one if what == "-" else other
        for key in keys[:_MOST_KEYS]:
            yield f"{what} {_inside(place, key)}: {shortened(source[key], _WIDTH)}"
        if len(keys) > _MOST_KEYS:
            yield f"{what} and {len(keys) - _MOST_KEYS:,} more keys"
    for key in one:
        if key in other:
            yield from _lines(one[key], other[key], _inside(place, key), depth + 1)


def _inside(place: str, key: Any) -> str:
    if place.endswith("."):
        return f"{place}{key}"
    return f"{place}[{shortened(key, _WIDTH)}]"


def _sequence(one: Sequence[Any], other: Sequence[Any], place: str, depth: int) -> Iterator[str]:
    at = f"{place}: " if place else ""
    if len(one) != len(other):
        yield f"{at}length {len(one):,} -> {len(other):,}"
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        yield from _lines(left, right, f"{place}[{number}]", depth + 1)
    shorter = min(len(one), len(other))
    for sign, rest in (("-", one[shorter:]), ("+", other[shorter:])):
        for number, value in enumerate(rest[:_MOST_KEYS], shorter):
            yield f"{sign} {place}[{number}]: {shortened(value, _WIDTH)}"


def _set(one: AbstractSet[Any], other: AbstractSet[Any], at: str) -> Iterator[str]:
    for sign, values in (("-", one - other), ("+", other - one)):
        texts = sorted(shortened(value, _WIDTH) for value in values)
        yield from (f"{at}{sign} {text}" for text in texts[:_MOST_KEYS])
        if len(texts) > _MOST_KEYS:
            yield f"{at}{sign} and {len(texts) - _MOST_KEYS:,} more"


def _array(one: Any, other: Any, at: str) -> Iterator[str]:
    if one.dtype != other.dtype:
        yield f"{at}dtype {one.dtype} -> {other.dtype}"
    if tuple(one.shape) != tuple(other.shape):
        yield f"{at}shape {tuple(one.shape)} -> {tuple(other.shape)}"
        return
    try:
        import numpy as np

        left, right = np.asarray(one), np.asarray(other)
        differs = ~((left == right) | (_is_nan(left) & _is_nan(right)))
        where = np.argwhere(differs)
    except Exception:  # noqa: BLE001  an array of another library, or of objects that cannot be compared
        yield from _replaced(one, other, at)
        return
    if len(where):
        index = tuple(int(number) for number in where[0])
        place = ", ".join(map(str, index))
        yield f"{at}{len(where):,} of {differs.size:,} elements differ, the first at [{place}]"
        yield f"{at}- {shortened(left[index], _WIDTH)}"
        yield f"{at}+ {shortened(right[index], _WIDTH)}"


def _is_nan(value: Any) -> Any:
    """What is not equal to itself; for each element of an array."""
    return value != value  # noqa: PLR0124


def _is_frame(value: Any) -> bool:
    return hasattr(value, "columns") and hasattr(value, "shape") and hasattr(value, "__getitem__")


def _frame(one: Any, other: Any, place: str) -> Iterator[str]:
    at = f"{place}: " if place else ""
    if tuple(one.shape) != tuple(other.shape):
        yield f"{at}shape {tuple(one.shape)} -> {tuple(other.shape)}"
    left, right = list(one.columns), list(other.columns)
    for sign, names in (("-", [n for n in left if n not in right]), ("+", [n for n in right if n not in left])):
        for name in names[:_MOST_KEYS]:
            yield f"{at}{sign} column {shortened(name, _WIDTH)}"
    if len(set(map(str, left))) == len(left) and len(set(map(str, right))) == len(right):
        for name in left:
            if name in right:
                yield from _column(one[name], other[name], _inside(place, name))
    if hasattr(one, "index") and not _is_same(one.index, other.index):
        yield f"{at}the index differs"


def _are_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other or (_is_nan(one) and _is_nan(other)))
    except Exception:  # noqa: BLE001  arrays, pandas.NA, or the user's classes
        return _is_same(one, other)


def _column(one: Any, other: Any, place: str) -> Iterator[str]:
    if str(one.dtype) != str(other.dtype):
        yield f"{place}: dtype {one.dtype} -> {other.dtype}"
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if not _are_equal(left, right):
            yield f"{place}, row {number:,}: {shortened(left, _WIDTH)} -> {shortened(right, _WIDTH)}"
            return
