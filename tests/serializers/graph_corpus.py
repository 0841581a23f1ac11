"""What `__main__` of one process defines and writes, and another process, perhaps of another Python version, reads.

python graph_corpus.py write FILE CORPUS ...    defines everything and writes CASES
python graph_corpus.py read FILE CORPUS ...     defines nothing; the list that it prints, as JSON, has for each FILE an object:
                                                case -> "ok" or what is wrong

CORPUS is this module or one of its neighbours, which hold DEFINITIONS and CASES as well. Each FILE is written or read by a
process of its own, a fork of one that has imported hashstash and nothing else.
"""

import importlib
import json
import linecache
import os
import pickle
import sys
import traceback

DEFINITIONS = '''
from __future__ import annotations

import abc
import collections
import contextlib
import dataclasses
import enum
import functools
import operator
import os.path
import types
import typing
import xml.etree.ElementTree

RATE = 10
TABLE = {"a": 1}


def add(a, b=2, *, c=3):
    """Add three numbers."""
    return a + b + c


def uses_globals(v):
    return [(lambda q: q * RATE + TABLE["a"] + helper(q))(u) for u in v]


def helper(v):
    return v + len(TABLE)


def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


def is_even(n):
    return True if n == 0 else is_odd(n - 1)


def is_odd(n):
    return False if n == 0 else is_even(n - 1)


def counter(n):
    def step(by=1):
        nonlocal n
        n += by
        return n

    def look():
        return n

    return step, look


def local_recursion():
    def down(n):
        return n if n == 0 else down(n - 1)

    return down


first, second = lambda v: v + 1, lambda v: v * 3
nested = lambda a: lambda b: (a, b)
with_default = lambda v, f=(lambda w: w + 5): f(v)
é = lambda v: "é" + v; after_accent = lambda v: v + "!"


def makes_pair(n):
    return [lambda v: v + n, lambda v: v - n]


def generate(n):
    for i in range(n):
        yield i * RATE


async def eventually(v):
    return v + RATE


def doubled(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return 2 * function(*args, **kwargs)

    return wrapper


@doubled
def decorated(v):
    return v + 1


@functools.lru_cache(maxsize=17)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@contextlib.contextmanager
def managed(v):
    yield v + RATE


@functools.singledispatch
def kind_of(v):
    return "any"


@kind_of.register
def _(v: int):
    return "int"


def uses_submodule(text):
    return xml.etree.ElementTree.fromstring(text).tag


def annotated(a: int, b: "str" = "x") -> Point:
    return a


def tabbed(x):
	if x:
		def inner():
			return x
		return inner


class Base:
    """A base."""

    made = 0

    def __init__(self, v):
        self.v = v

    def hello(self):
        return f"base {self.v}"

    def __repr__(self):
        return f"{type(self).__name__}({self.v})"


class Derived(Base):
    def hello(self):
        return "derived " + super().hello()

    def own_class(self):
        return __class__

    @property
    def twice(self):
        return self.v * 2

    @twice.setter
    def twice(self, value):
        self.v = value // 2

    @classmethod
    def make(cls, v):
        return cls(v)

    @staticmethod
    def plus(a, b):
        return a + b + RATE

    @functools.cached_property
    def slow(self):
        return [self.v]

    @functools.lru_cache
    def cached(self, n):
        return self.v + n

    def __secret(self):
        return "secret"

    def tell(self):
        return (lambda: self.__secret())()


class Slotted:
    __slots__ = ("a", "__b")

    def __init__(self, a, b):
        self.a = a
        self.__b = b

    def b(self):
        return self.__b


class Node:
    def __init__(self, name):
        self.name = name
        self.next = self
        self.all = [self]


class Meta(type):
    def __new__(mcls, name, bases, body, *, tag):
        made = super().__new__(mcls, name, bases, body)
        made.tag = tag
        return made

    def __init__(cls, name, bases, body, *, tag):
        super().__init__(name, bases, body)

    def shout(cls):
        return cls.tag.upper()


class WithMeta(metaclass=Meta, tag="loud"):
    pass


class Registered:
    known = []

    def __init_subclass__(cls, *, label, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.label = label
        Registered.known.append(cls.__name__)


class Child(Registered, label="child"):
    pass


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Square(Shape):
    def area(self):
        return 4


@Shape.register
class Virtual:
    pass


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2
    tags: list = dataclasses.field(default_factory=list, repr=False, metadata={"unit": "m"})
    count: typing.ClassVar[int] = 7
    start: dataclasses.InitVar[int] = 0

    def __post_init__(self, start):
        self.x += start


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Frozen:
    x: int
    y: int = 5


@dataclasses.dataclass(frozen=True)
class Cubic(Frozen):
    z: int = 9


class Pair(typing.NamedTuple):
    a: int
    b: str = "x"

    def joined(self):
        return f"{self.a}{self.b}"


Plain = collections.namedtuple("Plain", "p q", defaults=[4])


class Richer(collections.namedtuple("Richer", "m n")):
    def total(self):
        return self.m + self.n


class Color(enum.Enum):
    RED = 1
    GREEN = "g"
    CRIMSON = 1

    def label(self):
        return self.name.lower()

    @classmethod
    def _missing_(cls, value):
        return cls.RED if value == "red" else None


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE


class Planet(enum.Enum):
    EARTH = (5.97e24, 6.37e6)
    MARS = (6.4e23, 3.4e6)

    def __init__(self, mass, radius):
        self.mass = mass
        self.radius = radius

    @property
    def density(self):
        return self.mass / self.radius


class Coordinate(bytes, enum.Enum):
    def __new__(cls, number, label):
        made = bytes.__new__(cls, [number])
        made._value_ = number
        made.label = label
        return made

    PX = (0, "P.X")
    PY = (1, "P.Y")


class Failure(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Missing(FileNotFoundError):
    pass


T = typing.TypeVar("T", bound=Base)


class Box(typing.Generic[T]):
    def __init__(self, item):
        self.item = item


class Greets(typing.Protocol):
    def hello(self) -> str: ...


class Stack(list):
    def top(self):
        return self[-1]


class Registry(dict):
    def __missing__(self, key):
        return key * 2


class Reduced:
    def __init__(self, a):
        self.a = a
        self.calls = 1

    def __reduce__(self):
        return Reduced, (self.a,), {"calls": self.calls + 1}


class Custom:
    def __getstate__(self):
        return ["state", self.v]

    def __setstate__(self, state):
        self.v = state[1]


def local_class(n):
    class Local:
        def get(self):
            return n

        def me(self):
            return Local

    return Local


class Outer:
    class Inner:
        def who(self):
            return "inner"


def failure():
    try:
        try:
            raise Failure(3, "deep")
        except Failure as deep:
            raise Missing(2, "none", "file.txt") from deep
    except Missing as error:
        error.add_note("a note")
        return error


def custom(v):
    made = Custom()
    made.v = v
    return made


def decorated_class(cls):
    cls.extra = lambda self: self.v + RATE
    return cls


@decorated_class
class Extended(Base):
    pass


step, look = counter(3)
'''

CASES = {
    # name: (what is written, what must hold for the value `v` that is read)
    "function": ("add", "v(1) == 6 and v.__doc__ == 'Add three numbers.' and v(1, c=0) == 3"),
    "names": ("add", "(v.__name__, v.__qualname__, v.__module__) == ('add', 'add', '__main__')"),
    "globals": ("uses_globals", "v([1, 2]) == [13, 24]"),
    "globals shared": ("[uses_globals, helper]", "v[0].__globals__ is v[1].__globals__"),
    "recursion": ("factorial", "v(5) == 120"),
    "mutual recursion": ("is_even", "v(10) and not v(7)"),
    "shared closure": ("[step, look]", "v[0](4) == 7 and v[1]() == 7"),
    "local recursion": ("local_recursion()", "v(5) == 0"),
    "lambdas on a line": ("[first, second]", "(v[0](5), v[1](5)) == (6, 15)"),
    "second lambda on a line": ("second", "v(5) == 15"),
    "nested lambda": ("[nested, nested(1)]", "v[0](1)(2) == (1, 2) and v[1](2) == (1, 2)"),
    "lambda in a default": ("[with_default, with_default.__defaults__[0]]", "v[0](1) == 6 and v[1](1) == 6"),
    "lambda after an accent": ("[é, after_accent]", "v[0]('a') == 'éa' and v[1]('a') == 'a!'"),
    "lambdas with a closure": ("makes_pair(3)", "(v[0](1), v[1](1)) == (4, -2)"),
    "generator function": ("generate", "list(v(3)) == [0, 10, 20]"),
    "async function": ("eventually", "__import__('asyncio').run(v(1)) == 11"),
    "decorated": ("decorated", "v(1) == 4 and v.__wrapped__(1) == 2"),
    "lru_cache": ("fibonacci", "v(20) == 6765 and v.cache_info().maxsize == 17"),
    "context manager": ("managed", "v(1).__enter__() == 11"),
    "singledispatch": ("kind_of", "(v(1), v('')) == ('int', 'any')"),
    "submodule": ("uses_submodule", "v('<a/>') == 'a'"),
    "annotations": ("annotated", "v.__annotations__ == {'a': 'int', 'b': \"'str'\", 'return': 'Point'}"),
    "tabs": ("tabbed(4)", "v() == 4"),
    "partial": ("functools.partial(add, 1, c=0)", "v() == 3 and v.keywords == {'c': 0}"),
    "bound method": ("Derived(3).hello", "v() == 'derived base 3'"),
    "classmethod": ("Derived.make", "v(2).v == 2"),
    "instance": ("Derived(4)", "v.v == 4 and repr(v) == 'Derived(4)' and v.__doc__ is None"),
    "super": ("Derived(4)", "v.hello() == 'derived base 4' and v.own_class() is type(v)"),
    "property": ("Derived(4)", "v.twice == 8 and (setattr(v, 'twice', 2), v.v)[1] == 1"),
    "static method": ("Derived", "v.plus(1, 2) == 13 and v.made == 0 and v.__mro__[1].__doc__ == 'A base.'"),
    "cached property": ("Derived(4)", "v.slow == [4] and v.slow is v.slow"),
    "cached method": ("Derived(4)", "v.cached(1) == 5"),
    "private name": ("Derived(4)", "v.tell() == 'secret'"),
    "slots": ("Slotted(1, 2)", "(v.a, v.b()) == (1, 2) and not hasattr(v, '__dict__')"),
    "cycle": ("Node('n')", "v.next is v and v.all[0] is v"),
    "class is shared": ("[Base(1), Base(2), Base]", "type(v[0]) is type(v[1]) is v[2]"),
    "metaclass": ("WithMeta()", "type(v).shout() == 'LOUD'"),
    "init_subclass": ("Child()", "type(v).label == 'child' and type(v).__mro__[1].known == ['Child']"),
    "abstract": (
        "[Shape, Square()]",
        "v[1].area() == 4 and isinstance(v[1], v[0]) and v[0].__abstractmethods__ == {'area'}",
    ),
    "virtual subclass": ("[Shape, Virtual()]", "isinstance(v[1], v[0])"),
    "dataclass": (
        "Point(1, tags=['t'])",
        "repr(v) == 'Point(x=1, y=2)' and v.tags == ['t'] and v == type(v)(0, tags=['t'], start=1)",
    ),
    "dataclass fields": (
        "Point",
        (
            "[f.name for f in __import__('dataclasses').fields(v)] == ['x', 'y', 'tags'] and v.count == 7"
            " and v.__dataclass_fields__['tags'].metadata['unit'] == 'm' and v.__hash__ is None"
        ),
    ),
    "frozen dataclass": ("Frozen(1)", "v == type(v)(1) and v < type(v)(2) and hash(v) and not hasattr(v, '__dict__')"),
    "inherited dataclass": ("Cubic(1)", "(v.x, v.y, v.z) == (1, 5, 9)"),
    "NamedTuple": ("Pair(1)", "v == (1, 'x') and v.joined() == '1x' and v._fields == ('a', 'b')"),
    "namedtuple": ("Plain(1)", "(v.p, v.q) == (1, 4) and type(v).__name__ == 'Plain'"),
    "named tuple subclass": ("Richer(1, 2)", "v.total() == 3 and v._replace(m=5).total() == 7"),
    "enum": ("[Color.RED, Color.CRIMSON, Color]", "v[0] is v[1] is v[2].RED and v[0].label() == 'red'"),
    "enum lookup": ("Color", "v('g') is v.GREEN and v('red') is v.RED and [m.name for m in v] == ['RED', 'GREEN']"),
    "int enum": ("Level.HIGH", "v == 2 and v > type(v).LOW and repr(v) == '<Level.HIGH: 2>'"),
    "flag": ("[Access.READ, Access.BOTH]", "v[0] in v[1] and type(v[0]).READ | type(v[0]).WRITE is v[1]"),
    "enum with init": (
        "Planet.MARS",
        "v.mass == 6.4e23 and v.density == v.mass / v.radius and v.value == (6.4e23, 3.4e6)",
    ),
    "enum with new": (
        "Coordinate.PY",
        "v == b'\\x01' and v.value == 1 and v.label == 'P.Y' and type(v)(0).name == 'PX'",
    ),
    "exception": ("Failure(3, 'm')", "v.code == 3 and v.args == ('m',) and str(v) == 'm'"),
    "exception chain": (
        "failure()",
        (
            "v.errno == 2 and v.filename == 'file.txt' and v.__notes__ == ['a note'] and v.__cause__.code == 3"
            " and v.__suppress_context__ and v.__context__ is v.__cause__"
        ),
    ),
    "generic": ("Box(1)", "v.item == 1 and type(v)[int] and type(v).__parameters__[0].__bound__.__name__ == 'Base'"),
    "protocol": ("Greets", "issubclass(v, __import__('typing').Protocol)"),
    "list subclass": ("Stack([1, 2])", "v == [1, 2] and v.top() == 2"),
    "dict subclass": ("Registry(a=1)", "v['a'] == 1 and v['b'] == 'bb'"),
    "reduce": ("Reduced(1)", "(v.a, v.calls) == (1, 2)"),
    "setstate": ("custom(5)", "v.v == 5"),
    "local class": ("local_class(6)()", "v.get() == 6 and v.me() is type(v)"),
    "nested class": ("Outer.Inner()", "v.who() == 'inner' and type(v).__qualname__ == 'Outer.Inner'"),
    "decorated class": ("Extended(1)", "v.extra() == 11"),
    "module": ("os.path", "v is __import__('os').path"),
    "defaultdict": ("collections.defaultdict(local_class(1), k=2)", "v['k'] == 2 and v['x'].get() == 1"),
    "builtin functions": (
        "[len, 'a-b'.split, str.upper, operator.itemgetter(1)]",
        "v[0]('ab') == 2 and v[1]('-') == ['a', 'b'] and v[2]('a') == 'A' and v[3]([1, 2]) == 2",
    ),
    "typing": (
        "[list[int], int | str, typing.Optional[int], typing.Callable[[int], str], T]",
        "v[0] == list[int] and v[1] == int | str and v[4].__name__ == 'T'",
    ),
    "traceback": (
        "add",
        "__import__('linecache').getline(v.__code__.co_filename, v.__code__.co_firstlineno).startswith('def add')",
    ),
}


def define(definitions):
    # As in a notebook: the definitions have a file name of their own that linecache knows, and no file.
    linecache.cache["<corpus>"] = (len(definitions), None, definitions.splitlines(keepends=True), "<corpus>")
    exec(compile(definitions, "<corpus>", "exec"), vars(sys.modules["__main__"]))


def write(path, corpus, dumps):
    define(corpus.DEFINITIONS)
    written = {}
    for name, (expression, _) in corpus.CASES.items():
        try:
            encoded = dumps(eval(expression, vars(sys.modules["__main__"])))
            written[name] = (bytes(encoded.document), [bytes(buffer) for buffer in encoded.buffers], encoded.is_code)
        except Exception as error:
            written[name] = f"not written: {type(error).__name__}: {error}"
    with open(path, "wb") as file:
        pickle.dump(written, file)


def read(path, corpus, loads):
    with open(path, "rb") as file:
        written = pickle.load(file)
    return {name: check(loads, written[name], expression) for name, (_, expression) in corpus.CASES.items()}


def check(loads, parts, expression):
    if isinstance(parts, str):
        return parts
    try:
        value = loads(*parts)
        return "ok" if eval(expression, {"v": value}) else f"{expression} does not hold for {value!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def in_fork(work, *arguments):
    """What *work* returns in a child of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with open(writer, "w", encoding="utf-8") as file:
                json.dump(work(*arguments), file)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        text = file.read()
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"the child has failed: {arguments}")
    return json.loads(text)


if __name__ == "__main__":
    from hashstash.codec import Encoded
    from hashstash.serializers.hashstash.graph import dumps_graph, loads_graph

    def work(path, corpus):
        if sys.argv[1] == "write":
            return write(path, importlib.import_module(corpus), dumps_graph)
        return read(path, importlib.import_module(corpus), lambda *parts: loads_graph(Encoded(*parts)))

    print(json.dumps([in_fork(work, *pair) for pair in zip(sys.argv[2::2], sys.argv[3::2], strict=True)]))
