"""Keys of every kind by name, and a process that stores or finds a value under each of them.

``python every_kind_of_key.py write ROOT`` stores under each key its name, also as the result of calls with it;
``read`` finds them all again, and ``addresses`` only says where they lie. The answer is JSON on standard output.
"""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import ipaddress
import json
import linecache
import math
import operator
import os.path
import pathlib
import random
import re
import sys
import types
import typing
import uuid

from hashstash import HashStash

try:
    import numpy as np
    import pandas as pd
except ImportError:
    np = pd = None

RATE = 3


def helper(x):
    return x * RATE


def calling(x):
    return helper(x) + 1


def added(n):
    def add(x):
        return x + n

    return add


def keeps_count():
    count = 0

    def step():
        nonlocal count
        count += 1
        return count

    return step


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def numbers():
    yield from range(3)


async def waited():
    return 1


@functools.lru_cache
def cached(x):
    return x


@functools.singledispatch
def shown(x):
    return str(x)


@shown.register
def _(x: int):
    return hex(x)


class Plain:
    factor = 2

    def __init__(self, a):
        self.a = a

    def run(self, x):
        return self.a, x, self.factor

    @classmethod
    def made(cls, x):
        return cls(x)

    @staticmethod
    def free(x):
        return x

    class Inner:
        depth = 1


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b


class Cyclic:
    def __init__(self, number):
        self.me, self.items = self, [self, {number: self}]


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Point:
    x: int
    tags: list


@dataclasses.dataclass(frozen=True, slots=True)
class Fixed:
    x: int
    y: tuple = ()


class Pair(typing.NamedTuple):
    a: int
    b: str


class Text(str):
    pass


class Whole(int):
    pass


class Named(dict):
    pass


class Broken(Exception):
    def __init__(self, *, code):
        super().__init__(code)
        self.code = code


one, two, three = (lambda x: x + 1), (lambda x: x + 2), (lambda x, n=1: x + n)


def cell(text):
    """The namespace of a notebook's cell."""
    name = f"<cell {text}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), namespace)
    return namespace


NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
ALIASES = {
    "list[int]": lambda: list[int],
    "list[str]": lambda: list[str],
    "typing.List[int]": lambda: typing.List[int],  # noqa: UP006
    "dict[str, int]": lambda: dict[str, int],
    "tuple[int, ...]": lambda: tuple[int, ...],
    "Optional[int]": lambda: typing.Optional[int],  # noqa: UP045
    "int | str": lambda: int | str,
    "Any": lambda: typing.Any,
    "Callable": lambda: typing.Callable[[int], str],
    "Literal[1]": lambda: typing.Literal[1],
    "Literal[True]": lambda: typing.Literal[True],
    "list of a class": lambda: list[Plain],
}
FUNCTIONS = {
    "function": lambda: helper,
    "function that calls": lambda: calling,
    "closure over 1": lambda: added(1),
    "closure over 2": lambda: added(2),
    "closure over True": lambda: added(True),  # noqa: FBT003
    "closure over 1.0": lambda: added(1.0),
    "closure that counts": keeps_count,
    "mutual recursion": lambda: even,
    "generator function": lambda: numbers,
    "async function": lambda: waited,
    "lru_cache": lambda: cached,
    "singledispatch": lambda: shown,
    "first lambda of a line": lambda: one,
    "second lambda of a line": lambda: two,
    "lambda with a default": lambda: three,
    "lambda of a cell": lambda: cell("f, g = (lambda: 'f'), (lambda: 'g')")["f"],
    "other lambda of the cell": lambda: cell("f, g = (lambda: 'f'), (lambda: 'g')")["g"],
    "function of a cell": lambda: cell("K = 1\ndef f():\n    return K")["f"],
    "function of an edited cell": lambda: cell("K = 2\ndef f():\n    return K")["f"],
    "function in a function": lambda: cell("def f():\n    def g(): return 1\n    return g")["f"],
    "function without source": lambda: eval("lambda: 'no source'"),
    "wrapped": lambda: functools.wraps(helper)(one),
    "method of a class": lambda: Plain.run,
    "bound method": lambda: Plain([1]).run,
    "bound method of another": lambda: Plain([2]).run,
    "class method": lambda: Plain.made,
    "static method": lambda: Plain.free,
    "builtin": lambda: len,
    "method of str": lambda: str.upper,
    "'a-b'.split": lambda: "a-b".split,
    "'c-d'.split": lambda: "c-d".split,
    "'a-b'.rsplit": lambda: "a-b".rsplit,
    "[1].append": lambda: [1].append,
    "[2].append": lambda: [2].append,
    "{}.get": lambda: {1: 2}.get,
    "slot": lambda: int.__add__,
    "(5).__add__": lambda: (5).__add__,
    "(6).__add__": lambda: (6).__add__,
    "partial": lambda: functools.partial(helper, 1),
    "partial of 2": lambda: functools.partial(helper, 2),
    "partial by name": lambda: functools.partial(helper, x=1),
    "partial with a lambda": lambda: functools.partial(sorted, key=one, reverse=True),
    "partial of a partial": lambda: functools.partial(functools.partial(max, 1), default=functools.partial(min, 2)),
    "itemgetter": lambda: operator.itemgetter(1, 2),
    "attrgetter": lambda: operator.attrgetter("a.b"),
    "methodcaller": lambda: operator.methodcaller("split", "-"),
}
CLASSES = {
    "class": lambda: Plain,
    "class in a class": lambda: Plain.Inner,
    "class of a cell": lambda: cell("class C:\n    x = 1")["C"],
    "edited class": lambda: cell("class C:\n    x = 2")["C"],
    "class with another base": lambda: cell("class C(int):\n    x = 1")["C"],
    "enum": lambda: Colour,
    "dataclass": lambda: Point,
    "made dataclass": lambda: dataclasses.make_dataclass("M", ["a"]),
    "other made dataclass": lambda: dataclasses.make_dataclass("M", ["b"]),
    "namedtuple": lambda: collections.namedtuple("N", "a b"),  # noqa: PYI024
    "type": lambda: int,
    "NoneType": lambda: type(None),
    "exception class": lambda: ValueError,
    **ALIASES,
}
OBJECTS = {
    "instance": lambda: Plain([1, {"b": {2, 3}}]),
    "instance with other state": lambda: Plain([1, {"b": {2, 4}}]),
    "instance of an edited class": lambda: cell("class C:\n    x = 2\nc = C()")["c"],
    "slots": lambda: Slotted(1, [2]),
    "cycle": lambda: Cyclic(1),
    "other cycle": lambda: Cyclic(2),
    "enum member": lambda: Colour.RED,
    "other member": lambda: Colour.BLUE,
    "flags": lambda: Access.READ | Access.WRITE,
    "int enum": lambda: Number.ONE,
    "flag of the library": lambda: re.IGNORECASE,
    "data class instance": lambda: Point(1, ["a"]),
    "frozen instance": lambda: Fixed(1, (2,)),
    "instance of a made class": lambda: dataclasses.make_dataclass("M", ["a"])(1),
    "named tuple": lambda: Pair(1, "a"),
    "tuple": lambda: (1, "a"),
    "str subclass": lambda: Text("a"),
    "str": lambda: "a",
    "int subclass": lambda: Whole(1),
    "dict subclass": lambda: Named(a=1),
    "dict": lambda: {"a": 1},
    "exception": lambda: ValueError("a", 1),
    "own exception": lambda: Broken(code=3),
    "module": lambda: math,
    "module os.path": lambda: os.path,
}
VALUES = {
    "1": lambda: 1,
    "True": lambda: True,
    "1.0": lambda: 1.0,
    "1+0j": lambda: 1 + 0j,
    "Decimal 1": lambda: decimal.Decimal(1),
    "Decimal 1.0": lambda: decimal.Decimal("1.0"),
    "Decimal 1.00": lambda: decimal.Decimal("1.00"),
    "Fraction 1": lambda: fractions.Fraction(1),
    "nan": lambda: float("nan"),
    "tuple of nan": lambda: (float("nan"), 1),
    "dict of nan": lambda: {float("nan"): float("nan")},
    "noon": lambda: NOON,
    "noon in Paris": lambda: NOON.astimezone(dt.timezone(dt.timedelta(hours=1))),
    "noon without a zone": lambda: NOON.replace(tzinfo=None),
    "noon folded": lambda: NOON.replace(fold=1),
    "zone": lambda: dt.timezone(dt.timedelta(hours=1)),
    "zone with a name": lambda: dt.timezone(dt.timedelta(hours=1), "one"),
    "mixed set": lambda: {1, "a", (2, 3), None, frozenset({"x", 1}), 1.5, Fixed(1), Colour.RED},
    "frozenset of frozensets": lambda: frozenset({frozenset({frozenset("ab"), frozenset()}), frozenset("cd")}),
    "mixed dict": lambda: {1: "a", "1": "b", None: 1, (1, 2): 3, frozenset({1, "a"}): 5, Fixed(2): 6},
    "set of functions": lambda: {one, two, len},
    "dict of lambdas": lambda: {"a": [lambda: 1], "b": {"c": (lambda: 2,)}},
    "path": lambda: pathlib.Path("a/b"),
    "pure path": lambda: pathlib.PurePosixPath("a/b"),
    "pattern": lambda: re.compile("a+", re.IGNORECASE),
    "uuid": lambda: uuid.UUID(int=3),
    "address": lambda: ipaddress.ip_address("192.0.2.1"),
    "range": lambda: range(5),
    "slice": lambda: slice(1, None),
    "ellipsis": lambda: ...,
    "bytearray": lambda: bytearray(b"a"),
    "memoryview": lambda: memoryview(b"a"),
    "counter": lambda: collections.Counter("aab"),
    "default dict": lambda: collections.defaultdict(list, {1: [2]}),
    "default dict of int": lambda: collections.defaultdict(int, {1: [2]}),
    "ordered dict": lambda: collections.OrderedDict(b=1, a=2),
    "deque": lambda: collections.deque([1, [2]]),
    "chain": lambda: collections.ChainMap({1: 2}),
    "namespace": lambda: types.SimpleNamespace(a=1),
    "read-only dict": lambda: types.MappingProxyType({"a": 1}),
    "random": lambda: random.Random(5),
    "text buffer": lambda: io.StringIO("abc"),
    "large text": lambda: "x" * 100_000,
    "large list": lambda: [{"a": number} for number in range(2000)],
}
KEYS = {**FUNCTIONS, **CLASSES, **OBJECTS, **VALUES}
if np is not None:
    NUMPY = {
        "np.int64": lambda: np.int64(1),
        "np.int32": lambda: np.int32(1),
        "np.float64": lambda: np.float64(1),
        "np.True_": lambda: np.True_,
        "np.str_": lambda: np.str_("a"),
        "ufunc": lambda: np.sin,
        "other ufunc": lambda: np.cos,
        "method of a ufunc": lambda: np.add.reduce,
        "function of numpy": lambda: np.mean,
        "dtype": lambda: np.dtype([("a", "<f8")]),
        "dtype with a title": lambda: np.dtype({"names": ["a"], "formats": ["<f8"], "titles": ["t"]}),
        "scalar type": lambda: np.float64,
        "array": lambda: np.arange(6.0).reshape(2, 3),
        "flat array": lambda: np.arange(6.0),
        "array of float32": lambda: np.arange(6, dtype="f4"),
        "array of nan": lambda: np.array([1.0, np.nan]),
        "array of other bits of nan": lambda: np.frombuffer(b"\0\0\0\0\0\0\xf0\x3f\1\0\0\0\0\0\xf8\x7f"),
        "structured": lambda: np.zeros(2, [("a", "i4"), ("b", "S3")]),
        "masked": lambda: np.ma.array([1, 2], mask=[0, 1]),
        "array of objects": lambda: np.array([{1}, "a", None, one], object),
        "large array": lambda: np.arange(100_000.0),
        "list of arrays": lambda: [np.arange(3), {"a": np.arange(3)}],
        "generator": lambda: np.random.default_rng(1),
        "moment": lambda: np.datetime64("2024-01-01", "s"),
        "day": lambda: np.datetime64("2024-01-01", "D"),
        "frame": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.Categorical(["u", "v"])}),
        "frame with attrs": lambda: pd.DataFrame({"a": [1, 2]}).pipe(with_attrs),
        "frame without": lambda: pd.DataFrame({"a": [1, 2]}),
        "frame of nan": lambda: pd.DataFrame({"a": [1.0, np.nan]}),
        "frame of None": lambda: pd.DataFrame({"a": pd.Series([None], dtype=object)}),
        "series": lambda: pd.Series([1, 2]),
        "series with a name": lambda: pd.Series([1, 2], name="a"),
        "index": lambda: pd.Index([1, 2]),
        "levels": lambda: pd.MultiIndex.from_product([[1], ["a", "b"]]),
        "timestamp": lambda: pd.Timestamp("2024-01-01"),
        "timestamp of a zone": lambda: pd.Timestamp("2024-01-01", tz="UTC"),
        "period": lambda: pd.Period("2024-01"),
        "interval": lambda: pd.Interval(1, 2),
        "NA": lambda: pd.NA,
        "NaT": lambda: pd.NaT,
        "offset": lambda: pd.offsets.Day(2),
        "business days": lambda: pd.offsets.CustomBusinessDay(holidays=["2024-01-01"]),
        "other business days": lambda: pd.offsets.CustomBusinessDay(holidays=["2024-01-02"]),
        "method of pandas": lambda: pd.DataFrame.mean,
    }
    KEYS |= NUMPY


def with_attrs(frame):
    frame.attrs["unit"] = "m"
    return frame


calls = []


def counted(key, *, more=None):
    calls.append(1)
    return type(key).__name__, type(more).__name__


def call_each_way(stash, key):
    """Results of calls with *key* among the arguments; and whether any of them was computed."""
    calls.clear()
    stash.run(counted, key)
    stash.run(counted, 1, more=[{"a": (key,)}])
    return bool(calls)


def write(stash):
    for name, make in KEYS.items():
        stash[make()] = name
        stash[1, [make()]] = f"deep {name}"
        if not call_each_way(stash, make()):
            yield f"{name}: a call with it was known before it was made"


def read(stash):
    for name, make in KEYS.items():
        if (found := stash.get(make())) != name:
            yield f"{name}: {found!r} was found"
        if (found := stash.get((1, [make()]))) != f"deep {name}":
            yield f"{name} deep: {found!r} was found"
        if call_each_way(stash, make()):
            yield f"{name}: a call with it was made again"
    listed = list(stash)
    if len(listed) != 2 * len(KEYS):
        yield f"{len(listed)} keys are listed"
    for key in listed:
        if key not in stash:
            yield f"the listed key {key!r} is not found"


def addresses(stash):
    return {name: stash.store.keys.address(make()).hex() for name, make in KEYS.items()}


if __name__ == "__main__":
    action, root = sys.argv[1:]
    stash = HashStash(root, engine="pairtree")
    answer = addresses(stash) if action == "addresses" else list({"write": write, "read": read}[action](stash))
    json.dump(answer, sys.stdout)
