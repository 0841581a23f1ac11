"""Handlers for Python's own containers and for the value types of its library."""

from __future__ import annotations

import array
import builtins
import datetime as dt
import decimal
import fractions
import pathlib
import re
import types
import uuid
import zoneinfo
from collections import OrderedDict, deque
from typing import Any

from hashstash.errors import VolatileKey
from hashstash.fingerprint.walker import ATOMS, BATCHED, Handler, Walker, atom_bytes
from hashstash.unfolded import is_folded

_BUILTINS = vars(builtins)


def walk_list(walker: Walker, value: list[Any]) -> None:
    walker.register(value)
    walker.head(b"l", len(value))
    walker.items(value, range(len(value)))


def walk_tuple(walker: Walker, value: tuple[Any, ...]) -> None:
    def content() -> None:
        walker.head(b"(", len(value))
        walker.items(value, range(len(value)))

    if ATOMS.issuperset(map(type, value)):
        content()
    else:
        walker.value_section(value, content)


def walk_dict(walker: Walker, value: dict[Any, Any]) -> None:
    if value is _BUILTINS:  # ``exec`` puts it into every dict that it is given
        walker.mark("builtins")
        return
    walker.register(value)
    walker.head(b"d", len(value))
    walker.pairs(value)


def walk_set(walker: Walker, value: set[Any]) -> None:
    walker.register(value)
    walker.head(b"s", len(value))
    write_members(walker, value)


def walk_frozenset(walker: Walker, value: frozenset[Any]) -> None:
    def content() -> None:
        walker.head(b"f", len(value))
        write_members(walker, value)

    walker.value_section(value, content)


def write_members(walker: Walker, members: set[Any] | frozenset[Any]) -> None:
    """Write the members of a set in an order that only their content decides."""
    kinds = set(map(type, members))
    if len(kinds) <= 1 and kinds <= {int, str, bytes}:
        walker.atoms(sorted(members))
    elif kinds <= BATCHED:
        walker.atoms(sorted(members, key=atom_bytes))
    elif len(members) == 1:
        walker.all(members)
    else:
        walker.all(sorted(members, key=lambda member: _alone(walker, member)))


def _alone(walker: Walker, member: Any) -> bytes:
    with walker.rehearsal() as written:
        walker.step("{...}", member)
        return written()


def walk_ordered_dict(walker: Walker, value: OrderedDict[Any, Any]) -> None:
    walker.register(value)
    walker.mark("OrderedDict", len(value))
    walker.pairs(value)
    if vars(value):
        walker.step(".__dict__", vars(value))


def walk_deque(walker: Walker, value: deque[Any]) -> None:
    walker.register(value)
    walker.mark("deque", len(value), value.maxlen)
    walker.items(value, range(len(value)))


def walk_bytearray(walker: Walker, value: bytearray) -> None:
    walker.register(value)
    walker.mark("bytearray")
    walker.buffer(value, owner=value)


def walk_array(walker: Walker, value: array.array[Any]) -> None:
    walker.register(value)
    walker.mark("array", value.typecode, value.itemsize, len(value))
    walker.buffer(memoryview(value).cast("B"), owner=value)


def walk_memoryview(walker: Walker, value: memoryview) -> None:
    try:
        shape = value.shape or ()
        content = value.tobytes()
    except ValueError:
        walker.refuse("a released memoryview", value)
        return
    walker.register(value)
    walker.mark("memoryview", value.format, *shape)
    walker.buffer(content)


def walk_mapping_proxy(walker: Walker, value: types.MappingProxyType[Any, Any]) -> None:
    walker.register(value)
    walker.mark("mappingproxy", len(value))
    walker.pairs(dict(value))


def walk_namespace(walker: Walker, value: types.SimpleNamespace) -> None:
    walker.register(value)
    walker.mark("SimpleNamespace")
    walker.step(".__dict__", vars(value))


def walk_dict_view(walker: Walker, value: Any) -> None:
    walker.mark(type(value).__name__)
    walker.walk(dict(value.mapping))


def walk_range(walker: Walker, value: range) -> None:
    walker.mark("range", value.start, value.stop, value.step)


def walk_slice(walker: Walker, value: slice) -> None:
    if slice in map(type, (value.start, value.stop, value.step)) and is_folded(value):
        raise VolatileKey(f"`{walker.place()}` holds the same slices over and over; use a part of it")
    walker.mark("slice")
    walker.all((value.start, value.stop, value.step))


def walk_date(walker: Walker, value: dt.date) -> None:
    walker.mark("date", value.isoformat())


def walk_time(walker: Walker, value: dt.time | dt.datetime) -> None:
    walker.mark(type(value).__name__, value.replace(tzinfo=None).isoformat(), value.fold)
    walker.step(".tzinfo", value.tzinfo)


def walk_timedelta(walker: Walker, value: dt.timedelta) -> None:
    walker.mark("timedelta", value.days, value.seconds, value.microseconds)


def walk_zone(walker: Walker, value: zoneinfo.ZoneInfo) -> None:
    if value.key is None:
        walker.refuse("a time zone without a name", value)
    else:
        walker.mark("ZoneInfo", value.key)


def walk_decimal(walker: Walker, value: decimal.Decimal) -> None:
    walker.mark("Decimal", str(value))


def walk_fraction(walker: Walker, value: fractions.Fraction) -> None:
    walker.mark("Fraction", value.numerator, value.denominator)


def walk_uuid(walker: Walker, value: uuid.UUID) -> None:
    walker.mark("UUID", value.int, value.is_safe.name)


def walk_path(walker: Walker, value: pathlib.PurePath) -> None:
    walker.mark(type(value).__name__, str(value))


def walk_pattern(walker: Walker, value: re.Pattern[Any]) -> None:
    walker.mark("Pattern", value.flags)
    walker.walk(value.pattern)


HANDLERS: dict[type, Handler] = {
    list: walk_list,
    tuple: walk_tuple,
    dict: walk_dict,
    set: walk_set,
    frozenset: walk_frozenset,
    OrderedDict: walk_ordered_dict,
    deque: walk_deque,
    bytearray: walk_bytearray,
    array.array: walk_array,
    memoryview: walk_memoryview,
    types.MappingProxyType: walk_mapping_proxy,
    types.SimpleNamespace: walk_namespace,
    type({}.keys()): walk_dict_view,
    type({}.values()): walk_dict_view,
    type({}.items()): walk_dict_view,
    range: walk_range,
    slice: walk_slice,
    dt.date: walk_date,
    dt.datetime: walk_time,
    dt.time: walk_time,
    dt.timedelta: walk_timedelta,
    zoneinfo.ZoneInfo: walk_zone,
    decimal.Decimal: walk_decimal,
    fractions.Fraction: walk_fraction,
    uuid.UUID: walk_uuid,
    pathlib.PurePosixPath: walk_path,
    pathlib.PureWindowsPath: walk_path,
    pathlib.PosixPath: walk_path,
    pathlib.WindowsPath: walk_path,
    re.Pattern: walk_pattern,
}
