"""Many values at once: plain dicts, lists of them and scalars become columns without a row for any of them.

What is not that simple (records, frames, names that meet) is left to be taken apart one by one; both ways give the same.
"""

from __future__ import annotations

import itertools
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.frames.columns import ABSENT, ABSENT_TYPE
from hashstash.frames.flat import LEAVES, VALUE, has_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Cells = dict[str, list[Any]]
_SCALARS = LEAVES - {list}
_DEEPEST = 20
_MOST_NESTED = 10_000
"""Columns of one field that are made at once: of dicts that hold one dict twice, and so on, there is no end of them."""
_MOST_GAPS = 4
"""Cells for each that is filled: beyond that, rows are built, which take room only for what they have."""


class Batch(NamedTuple):
    """The columns of some values, and how many rows each of the values has; ``None``: one."""

    columns: Cells
    counts: list[int] | None
    length: int

    def repeated(self, cells: Sequence[Any]) -> list[Any]:
        """One cell for each value as one for each row."""
        if self.counts is None:
            return list(cells)
        return [cell for cell, count in zip(cells, self.counts, strict=True) for _ in range(count)]


def batch_of(values: Sequence[Any], needs: Callable[[str], bool]) -> Batch | None:
    """The rows of *values* by columns; ``None`` if they are not that simple."""
    kinds = set(map(type, values))
    if kinds <= _SCALARS:
        return Batch({VALUE: list(values)}, None, len(values))
    dicts, counts = (values, None) if kinds == {dict} else _as_dicts(values)
    if dicts is None:
        return None
    columns = fields_of_all(dicts, needs)
    return None if columns is None else Batch(columns, counts, len(dicts))


def _as_dicts(values: Sequence[Any]) -> tuple[list[Any] | None, list[int]]:
    """A dict for each row of the values, and the number of each value's rows."""
    dicts: list[Any] = []
    counts: list[int] = []
    for value in values:
        elements = value if type(value) is list else [value]
        for element in elements:
            if type(element) is dict:
                dicts.append(element)
            elif type(element) in LEAVES:
                dicts.append({VALUE: element})
            else:
                return None, counts
        if not elements:
            dicts.append({})
        counts.append(len(elements) or 1)
    return dicts, counts


def fields_of_all(dicts: Sequence[Any], needs: Callable[[str], bool]) -> Cells | None:
    """The columns of *dicts*, in the order in which rows have them; ``None`` if they are not that simple."""
    columns = _by_columns(dicts, "", needs, 0)
    if columns is None or all(column[0] is not ABSENT for column in columns.values()):
        return columns
    return dict(sorted(columns.items(), key=lambda item: _first_row(item[1])))


def _first_row(column: list[Any]) -> int:
    return next((number for number, cell in enumerate(column) if cell is not ABSENT), len(column))


def _by_columns(dicts: Sequence[Any], prefix: str, needs: Callable[[str], bool], depth: int) -> Cells | None:
    """The same for what is nested in a field, where *dicts* may be ABSENT."""
    by_name = None if depth > _DEEPEST else _one_shape(dicts, needs) or _several_shapes(dicts, needs)
    if by_name is None:
        return None
    columns: Cells = {}
    for name, column in by_name.items():
        found = _field(prefix + name, column, depth)
        if found is None or not columns.keys().isdisjoint(found):
            return None
        columns.update(found)
        if depth and len(columns) > _MOST_NESTED:
            return None
    return columns


def _one_shape(dicts: Sequence[Any], needs: Callable[[str], bool]) -> Cells | None:
    """The fields of dicts that all have the same."""
    shape = dicts[0]
    if set(map(type, dicts)) != {dict} or set(map(len, dicts)) != {len(shape)} or set(map(type, shape)) != {str}:
        return None
    names = [name for name in shape if needs(name)]
    if len(names) < 2 or len(names) < len(shape):
        is_one = all(value.keys() == shape.keys() for value in dicts)
        return {name: [value[name] for value in dicts] for name in names} if is_one else None
    try:
        columns = zip(*map(itemgetter(*names), dicts), strict=True)
        return dict(zip(names, map(list, columns), strict=True))
    except KeyError:
        return None


def _several_shapes(dicts: Sequence[Any], needs: Callable[[str], bool]) -> Cells | None:
    there = [value for value in dicts if value is not ABSENT]
    names = dict.fromkeys(itertools.chain.from_iterable(there))
    if not {str}.issuperset(map(type, names)):
        return None
    if len(names) * len(dicts) > _MOST_GAPS * (sum(map(len, there)) + len(dicts)):
        return None
    return {
        name: [ABSENT if value is ABSENT else value.get(name, ABSENT) for value in dicts]
        for name in names
        if needs(name)
    }


def _field(name: str, column: list[Any], depth: int) -> Cells | None:
    """The columns of one field, which may be nested."""
    kinds = set(map(type, column))
    others = kinds - LEAVES - {dict, ABSENT_TYPE}
    if any(map(has_fields, others)):
        return None
    if dict not in kinds:
        return {name: column}
    is_nested = [type(cell) is dict and bool(cell) for cell in column]
    found: Cells = {}
    whole = [ABSENT if nested else cell for cell, nested in zip(column, is_nested, strict=True)]
    if any(cell is not ABSENT for cell in whole):
        found[name] = whole
    if any(is_nested):
        dicts = [cell if nested else ABSENT for cell, nested in zip(column, is_nested, strict=True)]
        inner = _by_columns(dicts, f"{name}.", _every, depth + 1)
        if inner is None or not found.keys().isdisjoint(inner):
            return None
        found.update(inner)
    return found


def _every(_: str) -> bool:
    return True
