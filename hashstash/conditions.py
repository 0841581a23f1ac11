"""Conditions on named fields, ``age__gt=3``: one language for the rows of frames and for the entries of listings.

A condition is a field, two underscores and an operator; without an operator it means *equal*. It is read once, before anything
is looked at, so that a misspelt one raises even where there is nothing to be filtered. A field that is not there is ``None``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any

from hashstash.views import same

_CLOSE = 0.7
"""How alike a name has to be to be taken for a misspelt one."""

Getter = Callable[[str], Any]
Test = Callable[[Any], bool]


def matches(
    conditions: Mapping[str, Any],
    *,
    fields: Collection[str] | None = None,
    convert: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Callable[[Getter], bool]:
    """A function that says whether all *conditions* hold for what its argument, such as ``row.get``, finds by field name.

    Operators: ``eq ne gt ge lt le in contains startswith``. What cannot be compared does not match; it differs, though, so that
    ``ne`` holds. A field whose own name ends like an operator is asked for with one more: ``a__in__eq``.

    *fields*: the names that there are; another one is a TypeError. *convert*: by field, what makes of an operand the thing to
    compare with, such as seconds of ``"1d"``; with ``in``, of each element.
    """
    tests = [_read(name, operand, fields, convert or {}) for name, operand in conditions.items()]

    def holds(get: Getter) -> bool:
        return all(test(get(field)) for field, test in tests)

    return holds


def field_of(name: str) -> str:
    """The field that a condition of that *name* looks at."""
    return _parsed(name)[0]


def fields_of(conditions: Iterable[str]) -> set[str]:
    """The fields that *conditions* look at."""
    return set(map(field_of, conditions))


def _read(
    name: str, operand: Any, fields: Collection[str] | None, convert: Mapping[str, Callable[[Any], Any]]
) -> tuple[str, Test]:
    field, operator_name = _parsed(name)
    if fields is not None and field not in fields:
        raise TypeError(f"there is no field {field!r}{_nearest(field, fields)}; the fields are: {', '.join(fields)}")
    if operator_name == "in":
        operand = _elements(name, operand)
    if field in convert and operator_name not in _PARTIAL:
        change = convert[field]
        operand = [change(element) for element in operand] if operator_name == "in" else change(operand)
    return field, _OPERATORS[operator_name](operand)


def _parsed(name: str) -> tuple[str, str]:
    if not isinstance(name, str):
        raise TypeError(f"a condition is named by a text such as 'age__gt', not by {name!r}")
    field, separator, operator_name = name.rpartition("__")
    if not separator:
        return name, "eq"
    if not field or operator_name not in _OPERATORS:
        known = ", ".join(f"__{known}" for known in _OPERATORS)
        raise TypeError(
            f"{name!r} has no operator {operator_name!r}{_nearest(operator_name, _OPERATORS)}; known: {known}"
        )
    return field, operator_name


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, 1, _CLOSE)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _elements(name: str, operand: Any) -> list[Any]:
    if isinstance(operand, (str, bytes)) or not isinstance(operand, Iterable):
        raise TypeError(f"{name} takes several values, as in {name}=[{operand!r}], not {operand!r}")
    return list(operand)


def _is_equal(value: Any, operand: Any) -> bool:
    try:
        return same(value, operand)
    except Exception:  # noqa: BLE001  the classes compared are the user's
        return False


def _equal(operand: Any) -> Test:
    return lambda value: _is_equal(value, operand)


def _unequal(operand: Any) -> Test:
    return lambda value: not _is_equal(value, operand)


def _guarded(compare: Callable[[Any, Any], Any], operand: Any) -> Test:
    def test(value: Any) -> bool:
        try:
            return bool(compare(value, operand))
        except Exception:  # noqa: BLE001  the classes compared are the user's
            return False

    return test


def _one_of(operand: list[Any]) -> Test:
    try:
        quick = frozenset(operand)
    except TypeError:
        quick = frozenset()

    def test(value: Any) -> bool:
        try:
            if value in quick:
                return True
        except TypeError:
            pass  # a list, say, may be equal to an element and yet in no set
        else:
            if quick:
                return False
        return any(_is_equal(value, element) for element in operand)

    return test


def _starts(value: Any, start: Any) -> bool:
    return isinstance(value, (str, bytes)) and value.startswith(start)


_OPERATORS: dict[str, Callable[[Any], Test]] = {
    "eq": _equal,
    "ne": _unequal,
    "gt": partial(_guarded, operator.gt),
    "ge": partial(_guarded, operator.ge),
    "lt": partial(_guarded, operator.lt),
    "le": partial(_guarded, operator.le),
    "in": _one_of,
    "contains": partial(_guarded, operator.contains),
    "startswith": partial(_guarded, _starts),
}
_PARTIAL = frozenset({"contains", "startswith"})
"""Operators whose operand is a part of the field, and not of its kind."""
