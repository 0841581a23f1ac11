"""Functions, classes and values whose digests must be the same on every Python, in every process."""

import abc
import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import operator
import pathlib
import re
import types
import typing
import uuid
import zoneinfo

LIMIT = 10
TABLE = {"a": [1, 2], "b": (3.5, None)}


def helper(x):
    return x + LIMIT


def calls_helper(x, *, step=2):
    """Doc."""
    return [helper(v) for v in range(x, LIMIT, step) if v in TABLE] or (lambda q: q * LIMIT)(x)  # noqa: PLC3002


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def make_adder(n):
    def add(x):
        return x + n

    return add


@functools.lru_cache(maxsize=8)
def cached(x):
    return helper(x)


def decorate(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


@decorate
def decorated(x):
    return f"{x!r:>{LIMIT}} {helper(x)}"


@functools.singledispatch
def dispatched(x):
    return x


@dispatched.register(int)
def _(x):
    return x + 1


class Base(abc.ABC):
    """A base."""

    kind: str = "base"
    __slots__ = ("left", "__dict__")

    @property
    def doubled(self):
        return self.left * 2

    @abc.abstractmethod
    def name(self): ...


class Child(Base):
    registry: typing.ClassVar[dict] = {}

    def __init__(self, left):
        self.left = left
        self.right = [left]

    def name(self):
        return super().name(), __class__

    @classmethod
    def make(cls):
        return cls(1)

    @staticmethod
    def double(x):
        return x * 2


@dataclasses.dataclass(frozen=True, order=True)
class Point:
    x: int
    y: float = 0.5
    tags: list = dataclasses.field(default_factory=list, compare=False)

    def norm(self):
        return self.x + self.y


class Colour(enum.Enum):
    RED = 1
    GREEN = "g"
    CRIMSON = 1

    def loud(self):
        return self.name.upper()


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


Pair = collections.namedtuple("Pair", "left right", defaults=[None])  # noqa: PYI024


class Typed(typing.NamedTuple):
    left: int
    right: str = "r"

    def swap(self):
        return self.right, self.left


class Text(str):
    __slots__ = ()


class Broken(ValueError):
    """An exception of the user's."""


class Boxed(typing.Generic[typing.TypeVar("T")]):
    def __init__(self, item):
        self.item = item


def values():
    shared = [1]
    cyclic = [0]
    cyclic.append(cyclic)
    return {
        "none": None,
        "true": True,
        "int": 1,
        "float": 1.0,
        "zero": 0.0,
        "negative_zero": -0.0,
        "nan": float("nan"),
        "inf": float("inf"),
        "complex": 1 - 2j,
        "big": 2**70,
        "negative_big": -(2**70),
        "str": "1",
        "surrogate": "\ud800",
        "bytes": b"1",
        "bytearray": bytearray(b"1"),
        "empty_list": [],
        "empty_tuple": (),
        "empty_dict": {},
        "empty_set": set(),
        "list": [1, "a", None],
        "tuple": (1, "a", None),
        "nested": [[1], (2, [3]), {"k": {"l": 4}}],
        "flat_nested": [1, [2]],
        "dict": {"x": 1, "y": 2},
        "dict_reversed": {"y": 2, "x": 1},
        "set": {"alpha", "beta", "gamma", 3, (1, "q"), frozenset({"z", "w"})},
        "frozenset": frozenset({"alpha", "beta"}),
        "set_of_floats": {1.5, -0.5, 2.25},
        "shared": [shared, shared],
        "equal": [[1], [1]],
        "cyclic": cyclic,
        "long_list": list(range(30_000)),
        "long_text": "long " * 30_000,
        "ordered": collections.OrderedDict(b=1, a=2),
        "default_dict": collections.defaultdict(list, a=[1]),
        "counter": collections.Counter("hello"),
        "deque": collections.deque([1, [2]], maxlen=5),
        "range": range(1, 9, 2),
        "slice": slice(1, None),
        "ellipsis": ...,
        "date": dt.date(2024, 2, 29),
        "datetime": dt.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=dt.UTC),
        "zoned": dt.datetime(2024, 2, 29, tzinfo=zoneinfo.ZoneInfo("UTC"), fold=1),
        "time": dt.time(1, 2),
        "delta": dt.timedelta(days=1, microseconds=5),
        "decimal": decimal.Decimal("1.50"),
        "fraction": fractions.Fraction(1, 3),
        "uuid": uuid.UUID(int=5),
        "path": pathlib.PurePosixPath("a/b"),
        "pattern": re.compile("a+", re.IGNORECASE),
        "array": array.array("d", [1.5, 2.5]),
        "namespace": types.SimpleNamespace(a=[1]),
        "proxy": types.MappingProxyType({"a": 1}),
        "builtin": len,
        "bound_builtin": "a-b".split,
        "descriptor": str.upper,
        "itemgetter": operator.itemgetter(1, 2),
        "partial": functools.partial(helper, 2),
        "module": re,
        "class_of_stdlib": pathlib.PurePosixPath,
        "helper": helper,
        "calls_helper": calls_helper,
        "recursive": even,
        "adder": make_adder(3),
        "other_adder": make_adder(4),
        "lambda": (lambda x: x + 1, lambda x: x + 2),
        "cached": cached,
        "decorated": decorated,
        "dispatched": dispatched,
        "class": Child,
        "abstract": Base,
        "dataclass": Point,
        "enum": Colour,
        "flag": Access,
        "namedtuple": Pair,
        "typed_namedtuple": Typed,
        "instance": Child(3),
        "point": Point(1),
        "member": Colour.GREEN,
        "flags": Access.READ | Access.WRITE,
        "pair": Pair(1, 2),
        "typed": Typed(1),
        "text": Text("1"),
        "exception": Broken("no", 3),
        "boxed": Boxed([1]),
        "method": Child(3).name,
        "class_method": Child.make,
        "object": object(),
        "generic_alias": list[int],
        "union": int | str,
    }
