"""Values of every kind of data that the standard library has, by name: what each serializer must keep."""

# ruff: noqa: DTZ001, DTZ901  moments without a zone are values too

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import fractions
import ipaddress
import pathlib
import random
import re
import types
import uuid
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable

UTC = dt.UTC
DAY = dt.datetime(2024, 2, 29, 23, 59, 59, 123456)


def _noted() -> ValueError:
    error = ValueError("a", 1)
    error.add_note("seen twice")
    return error


def _chained() -> KeyError:
    error = KeyError("key")
    error.__cause__ = ZeroDivisionError("division by zero")
    error.__context__ = OSError(5, "I/O error", "file.txt")
    return error


def _attributed() -> RuntimeError:
    error = RuntimeError("with more")
    error.attempts = 3  # type: ignore[attr-defined]
    return error


def _random() -> random.Random:
    generator = random.Random(5)
    generator.gauss(0, 1)
    return generator


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def _nested_tuple(depth: int) -> tuple[Any, ...]:
    value: tuple[Any, ...] = ()
    for _ in range(depth):
        value = (value, 1)
    return value


DATA: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "true": lambda: True,
    "integers": lambda: [0, 1, -1, 127, 128, 255, 256, -32, -33, -128, -129, 65535, 65536, -32768, -32769],
    "long integers": lambda: [2**31, 2**32, -(2**31) - 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)],
    "big integers": lambda: [2**64, -(2**63) - 1, 2**127, -(2**127), 10**50, -(10**50)],
    "floats": lambda: [0.0, -0.0, 1.5, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan")],
    "complex": lambda: [1j, -0.0 + 0j, complex("nan+infj")],
    "texts": lambda: ["", "a", "x" * 31, "x" * 32, "y" * 256, "z" * 70000, "é", "日本", "\U0001f40d", "nul\0"],
    "surrogates": lambda: ["\ud800", "a\udfffb", {"\udc80": "\udc80"}],
    "bytes": lambda: [b"", b"a", b"\x00\xff" * 200, b"x" * 70000],
    "bytearray": lambda: [bytearray(b""), bytearray(b"abc"), {"deep": [bytearray(b"x")]}],
    "memoryview": lambda: [memoryview(b"abc"), memoryview(bytearray(b"abcdefgh")).cast("I", (2,)), memoryview(b"")],
    "lists": lambda: [[], [[]], list(range(20)), [None] * 70000],
    "deep list": lambda: _nested(150),
    "too deep list": lambda: _nested(230),
    "tuples": lambda: [(), (1,), ((1, "a"), [2]), (b"x", None, 1.5)],
    "deep tuple": lambda: _nested_tuple(40),
    "dict": lambda: {"a": 1, "b": {"c": [1, 2, {"d": None}]}, "": "empty"},
    "dict keys": lambda: {1: "int", 1.5: "float", None: "none", b"b": "bytes", (1, (2, "x")): "tuple", False: "false"},
    "dict of many": lambda: {f"key {i}": i for i in range(70000)},
    "frozenset key": lambda: {frozenset({1, 2}): {(): ()}},
    "key order": lambda: {"z": 1, "a": 2, "m": 3},
    "sets": lambda: [set(), {1, 2, 3}, {"a"}, {(1, 2), frozenset({3})}, frozenset(), frozenset({b"x"})],
    "constants": lambda: [..., NotImplemented],
    "ranges": lambda: [range(3), range(10, 0, -3), range(2**70)],
    "slices": lambda: [slice(None), slice(1, 2), slice("a", (1, 2), None)],
    "dates": lambda: [dt.date.min, dt.date(2024, 2, 29), dt.date.max],
    "datetimes": lambda: [DAY, dt.datetime.min, dt.datetime.max, dt.datetime(2020, 1, 2)],
    "aware datetimes": lambda: [
        DAY.replace(tzinfo=UTC),
        DAY.replace(tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30))),
        DAY.replace(tzinfo=dt.timezone(dt.timedelta(seconds=1, microseconds=5), "odd")),
    ],
    "folds": lambda: [DAY.replace(fold=1), dt.time(1, 2, fold=1), DAY.replace(fold=1, tzinfo=UTC)],
    "times": lambda: [dt.time.min, dt.time.max, dt.time(1, 2, 3, 4, tzinfo=UTC)],
    "timedeltas": lambda: [
        dt.timedelta(),
        dt.timedelta.min,
        dt.timedelta.max,
        DAY - DAY.replace(day=1),
    ],
    "timezones": lambda: [UTC, dt.timezone(dt.timedelta(0), "zero"), dt.timezone.max],
    "decimals": lambda: [
        decimal.Decimal(text) for text in ("0", "-0", "1.10", "1E+500", "NaN", "-sNaN123", "Infinity", "3" * 90)
    ],
    "fractions": lambda: [fractions.Fraction(-1, 3), fractions.Fraction(10**40, 7)],
    "uuids": lambda: [uuid.UUID(int=5), uuid.UUID(int=2**128 - 1, is_safe=uuid.SafeUUID.safe)],
    "paths": lambda: [
        pathlib.Path("a/b.txt"),
        pathlib.PurePosixPath("/"),
        pathlib.PureWindowsPath("c:\\x"),
        pathlib.Path(),
    ],
    "patterns": lambda: [re.compile("a+(?P<x>b)", re.IGNORECASE | re.MULTILINE), re.compile(rb"\w", re.ASCII)],
    "ordered dict": lambda: collections.OrderedDict([("b", 1), ("a", [2])]),
    "deques": lambda: [collections.deque([1, [2]], 5), collections.deque(), collections.deque(maxlen=0)],
    "counter": lambda: collections.Counter({"a": 2, "b": -1, "c": 0}),
    "default dicts": lambda: [
        collections.defaultdict(None, {1: 2}),
        collections.defaultdict(list, {"a": [1]}),
        collections.defaultdict(int),
    ],
    "chain map": lambda: collections.ChainMap({"a": 1}, collections.OrderedDict(b=2)),
    "read-only dict": lambda: types.MappingProxyType({"a": [1]}),
    "namespace": lambda: types.SimpleNamespace(a=1, b=types.SimpleNamespace()),
    "addresses": lambda: [
        ipaddress.ip_address("192.0.2.1"),
        ipaddress.ip_address("fe80::1%eth0"),
        ipaddress.ip_network("192.0.2.0/24"),
        ipaddress.ip_interface("2001:db8::5/64"),
    ],
    "arrays": lambda: [array.array(code, [0, 1, 100]) for code in "bBhHiIlLqQfd"] + [array.array("d")],
    "large array": lambda: array.array("l", range(2000)),
    "exceptions": lambda: [_noted(), _chained(), _attributed(), StopIteration(5), SystemExit(3), Exception()],
    "system errors": lambda: [
        FileNotFoundError(2, "No such file", "a.txt"),
        OSError("only a text"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        ImportError("no module", name="x", path="/x.py"),
    ],
    "exception group": lambda: ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [_noted()])]),
    "classes": lambda: [int, str, type(None), type(...), ValueError, object, type],
    "random": _random,
    "mixed": lambda: {"rows": [{"id": i, "when": DAY, "tags": ("a", i), "raw": bytearray(b"x")} for i in range(20)]},
}

ZONES: dict[str, Callable[[], Any]] = {
    "zone": lambda: ZoneInfo("Europe/Paris"),
    "zoned datetimes": lambda: [
        dt.datetime(2020, 10, 25, 2, 30, fold=fold, tzinfo=ZoneInfo("Europe/Paris")) for fold in (0, 1)
    ],
}
"""Data that needs the time zone database."""
