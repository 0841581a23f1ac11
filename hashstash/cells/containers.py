"""The items of containers that can be refilled: how they are read, compared and put back."""

from __future__ import annotations

import array
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Content(NamedTuple):
    """How the items of one kind of container are read, compared and put back."""

    read: Callable[[Any], Any]
    is_same: Callable[[Any, Any], bool]
    write: Callable[[Any, Any], None]


def _same_items(before: Any, now: Any) -> bool:
    return len(before) == len(now) and all(map(_is_same_object, before, now))


def _is_same_object(one: Any, other: Any) -> bool:
    return one is other


def _same_pairs(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    return _same_items(list(before), list(now)) and _same_items(list(before.values()), list(now.values()))


def _same_set(before: set[Any], now: set[Any]) -> bool:
    return set(map(id, before)) == set(map(id, now))


def _equal(before: Any, now: Any) -> bool:
    return bool(before == now)


def _write_list(value: list[Any], items: list[Any]) -> None:
    list.__setitem__(value, slice(None), items)


def _write_dict(value: dict[Any, Any], items: dict[Any, Any]) -> None:
    dict.clear(value)
    dict.update(value, items)


def _write_ordered(value: OrderedDict[Any, Any], items: dict[Any, Any]) -> None:
    OrderedDict.clear(value)
    OrderedDict.update(value, items)


def _write_set(value: set[Any], items: set[Any]) -> None:
    set.clear(value)
    set.update(value, items)


def _write_deque(value: deque[Any], items: list[Any]) -> None:
    deque.clear(value)
    deque.extend(value, items)


def _write_bytes(value: Any, items: bytes) -> None:
    value[:] = items


def _write_array(value: Any, items: bytes) -> None:
    del value[:]
    value.frombytes(items)


CONTENTS: list[tuple[type, Content]] = [
    (OrderedDict, Content(lambda value: dict(OrderedDict.items(value)), _same_pairs, _write_ordered)),
    (dict, Content(dict.copy, _same_pairs, _write_dict)),
    (list, Content(list.copy, _same_items, _write_list)),
    (set, Content(set.copy, _same_set, _write_set)),
    (deque, Content(list, _same_items, _write_deque)),
    (bytearray, Content(bytes, _equal, _write_bytes)),
    (array.array, Content(array.array.tobytes, _equal, _write_array)),
]
EXACT_CONTENTS = dict(CONTENTS)
WITHOUT_ATTRIBUTES = frozenset({list, dict, set, bytearray, deque, array.array})
