"""Writes entries of format version 1 into a new folder: for a version of the format that has no golden files yet.

    python tests/golden/write_golden.py FOLDER

Never run by the tests. What lies in ``v1`` was written once, by the first version, and is never written again: later
versions read it. ``manifest.json`` says of each entry what it decodes to, as an expression, so that the files need
no code but the reader's.
"""

import json
import linecache
import os
import shutil
import sys
from pathlib import Path

KEY = "00112233445566778899aabbccddeeff" * 2
"""Signs the golden entries; a key of nobody."""

TEXT = "'the same words again and again, ' * 60"
WORDS = "[{'number': i, 'name': 'row %d' % i, 'tags': ('a', i % 7)} for i in range(60)]"
RAMP = "bytes(range(256)) * 20"

DATA = [
    "None",
    "True",
    "False",
    "[0, 1, -1, 127, 128, 255, 256, -32, -33, 65536, 2**31, 2**63, 2**64 - 1, -(2**63)]",
    "[2**64, -(2**63) - 1, 10**50, -(10**50)]",
    "[0.0, -0.0, 1.5, 5e-324, float('inf'), float('-inf'), float('nan')]",
    "[1j, complex(-0.0, float('nan'))]",
    "['', 'a', 'x' * 40, 'y' * 300, 'é', '日本', '\\U0001f40d', 'nul\\0']",
    "['\\ud800', {'\\udc80': 'a\\udfff'}]",
    "[b'', b'abc', bytes(range(256))]",
    "[bytearray(b'abc'), {'deep': [bytearray()]}]",
    "[memoryview(b'abc'), memoryview(bytearray(b'abcdefgh')).cast('I', (2,))]",
    "[[], [[]], list(range(20)), (), (1, (2, ['x']))]",
    "{'z': 1, 'a': {'c': [1, {'d': None}]}, '': 'empty'}",
    "{1: 'int', 1.5: 'float', None: 'none', b'b': 'bytes', (1, (2, 'x')): 'tuple', frozenset({1}): ()}",
    "[set(), {1, 2, 3}, {'a'}, frozenset({b'x'}), {(1, 2), frozenset({3})}]",
    "[..., NotImplemented, int, str, type(None), ValueError]",
    "[range(3), range(10, 0, -3), range(2**70), slice('a', (1, 2), None)]",
    "[dt.date.min, dt.date(2024, 2, 29), dt.datetime.max, dt.datetime(2020, 1, 2, 3, 4, 5, 6)]",
    "[dt.datetime(2020, 1, 2, tzinfo=dt.timezone.utc), dt.time(1, 2, 3, 4, tzinfo=dt.timezone.utc)]",
    "[dt.datetime(2020, 1, 2, fold=1), dt.timezone(dt.timedelta(hours=-3, minutes=-30), 'odd')]",
    "[dt.timedelta.min, dt.timedelta(days=-1, microseconds=1)]",
    "[decimal.Decimal(t) for t in ('0', '-0', '1.10', '1E+500', 'NaN', '-sNaN123', '3' * 90)]",
    "[fractions.Fraction(-1, 3), uuid.UUID(int=5), pathlib.PurePosixPath('/a/b.txt'), pathlib.PureWindowsPath('c:/x')]",
    "[re.compile('a+(?P<x>b)', re.IGNORECASE), re.compile(rb'\\w', re.ASCII)]",
    "[collections.OrderedDict([('b', 1), ('a', [2])]), collections.deque([1, [2]], 5), collections.Counter('abca')]",
    "[collections.defaultdict(list, {'a': [1]}), collections.ChainMap({'a': 1}, {}), types.MappingProxyType({'a': 1})]",
    "types.SimpleNamespace(a=1, b=types.SimpleNamespace())",
    "[ipaddress.ip_address('192.0.2.1'), ipaddress.ip_network('2001:db8::/32')]",
    "[array.array(code, [0, 1, 100]) for code in 'bBhHiIqQfd']",
    "[StopIteration(5), SystemExit(3), FileNotFoundError(2, 'none', 'a.txt'), KeyError('k')]",
    "[UnicodeDecodeError('utf-8', b'x', 0, 1, 'invalid'), ImportError('no', name='x', path='/x.py')]",
    "ExceptionGroup('several', [ValueError(1), ExceptionGroup('inner', [TypeError()])])",
    "random.Random(5)",
]
KEYS = [
    *(
        "None",
        "True",
        "1",
        "1.0",
        "0.0",
        "-0.0",
        "float('nan')",
        "2**31",
        "10**50",
        "1 - 2j",
        "''",
        "'text'",
        "'é\\ud800'",
    ),
    *("b'text'", "bytearray(b'text')", "()", "(1, 'a')", "((1, ('a', None)), ())", "[1, 'a']", "[[], [1, [2]]]"),
    *("{'b': 1, 'a': 2}", "{1: 'a', '1': 'b', (1,): 'c', None: [True]}", "{'x': {'z': [1, {'y': ()}]}}"),
    *("{1, '1', (1, 2), frozenset({2, 1})}", "frozenset({1, 2, 3})", "collections.OrderedDict([('b', 1), ('a', 2)])"),
    *("dt.date(2024, 2, 29)", "dt.datetime(2024, 2, 29, tzinfo=dt.timezone.utc)", "decimal.Decimal('1.10')"),
    *("fractions.Fraction(1, 3)", "uuid.UUID(int=5)", "pathlib.PurePosixPath('a/b')", "range(3)", "int"),
    *(
        "collections.Counter('abca')",
        "collections.deque([1, 2], 5)",
        "array.array('d', [1.0, 2.0])",
        "re.compile('a+')",
    ),
]
NUMPY = [
    *(
        "np.arange(12, dtype=t).reshape(3, 4)".replace("t)", f"'{code}')", 1)
        for code in ("i1", "u2", "<i4", ">i8", "f2", "f4", "f8", "c16")
    ),
    "np.array([True, False])",
    "np.array(['a', 'éé'])",
    "np.array([b'a', b'bcd'])",
    "np.array(['2020-01-01', 'NaT'], 'M8[D]')",
    "np.array([1, -5], 'm8[ns]')",
    "np.array(5.0)",
    "np.zeros((0, 3))",
    "np.asfortranarray(np.arange(6.0).reshape(2, 3))",
    "np.array([(1, 2.5), (3, 4.5)], [('a', 'i4'), ('b', 'f8')])",
    "np.array([1, 'a', None], object)",
    "np.ma.masked_array([1, 2, 3], [0, 1, 0])",
    "[np.float32(1.5), np.int64(-1), np.bool_(True), np.datetime64('2020-01-01'), np.str_('a')]",
]
PANDAS = [
    "pd.DataFrame({0: [1, 2], 1: [1.5, float('nan')]}).set_axis(pd.Index([0, 1]), axis=1)",
    "pd.DataFrame({0: pd.array([1, None], dtype='Int64'), 1: pd.array([True, None], dtype='boolean')}).set_axis(pd.Index([3, 5]), axis=1)",
    "pd.DataFrame({0: pd.Series(['a', 1, None], dtype=object)}).rename_axis('n')",
    "pd.DataFrame({0: pd.Categorical([1, 2, 1], [1, 2, 3], ordered=True)})",
    "pd.Series([1.0, 2.0], index=pd.date_range('2020', periods=2, freq='D', unit='ns'), name='s')",
    "pd.Series(pd.to_datetime(['2020-01-01']).tz_localize('UTC').as_unit('ns'))",
    "pd.Series(pd.period_range('2020', periods=2, freq='M'))",
    "pd.DataFrame({0: [1, 2]}, index=pd.MultiIndex.from_tuples([(1, 2), (3, 4)], names=['a', 'b']))",
    "pd.Series([pd.Timedelta(5, 'ns'), pd.NaT])",
    "[pd.NA, pd.NaT, pd.Timestamp(5, tz='UTC'), pd.Interval(0, 1)]",
]
GRAPHS = [
    ("(lambda a: (a.append(a), a)[1])([1])", "v[0] == 1 and v[1] is v"),
    ("(lambda d: (d.update(me=d, other=[d]), d)[1])({})", "v['me'] is v and v['other'][0] is v"),
    ("(lambda d: d.appendleft(d) or d)(collections.deque([1]))", "v[0] is v and v[1] == 1"),
    ("functools.reduce(lambda a, _: [a], range(300), [])", "functools.reduce(lambda a, _: a[0], range(300), v) == []"),
]
DEFINITIONS = '''
import dataclasses
import enum
import functools
import typing

RATE = 10

def add(a, b=2, *, c=3):
    """Add three numbers."""
    return a + b + c

def uses_globals(v):
    return [(lambda q: q * RATE + helper(q))(u) for u in v]

def helper(v):
    return v + RATE

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

    return step

first, second = lambda v: v + 1, lambda v: v * 3

def generate(n):
    for i in range(n):
        yield i * RATE

async def eventually(v):
    return v + RATE

@functools.lru_cache(maxsize=17)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

class Base:
    made = 0

    def __init__(self, v):
        self.v = v

    def hello(self):
        return f"base {self.v}"

class Derived(Base):
    def hello(self):
        return "derived " + super().hello()

    @property
    def twice(self):
        return self.v * 2

    @staticmethod
    def plus(a, b):
        return a + b + RATE

    @classmethod
    def make(cls, v):
        return cls(v)

class Slotted:
    __slots__ = ("a", "__b")

    def __init__(self, a, b):
        self.a, self.__b = a, b

    def b(self):
        return self.__b

class Node:
    def __init__(self):
        self.next = self

@dataclasses.dataclass
class Point:
    x: int
    y: int = 2
    tags: list = dataclasses.field(default_factory=list)

@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Frozen:
    x: int
    y: int = 5

class Pair(typing.NamedTuple):
    a: int
    b: str = "x"

class Color(enum.Enum):
    RED = 1
    GREEN = "g"

class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()

class Failure(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code

class Stack(list):
    def top(self):
        return self[-1]
'''
CODE = [
    ("add", "v(1) == 6 and v(1, c=0) == 3 and v.__doc__ == 'Add three numbers.'"),
    ("uses_globals", "v([1, 2]) == [21, 32]"),
    ("factorial", "v(5) == 120"),
    ("is_even", "v(10) and not v(7)"),
    ("counter(3)", "v(4) == 7 and v() == 8"),
    ("[first, second]", "(v[0](5), v[1](5)) == (6, 15)"),
    ("generate", "list(v(3)) == [0, 10, 20]"),
    ("eventually", "asyncio.run(v(1)) == 11"),
    ("fibonacci", "v(20) == 6765 and v.cache_info().maxsize == 17"),
    ("functools.partial(add, 1, c=0)", "v() == 3"),
    ("Derived(3)", "v.hello() == 'derived base 3' and v.twice == 6 and v.plus(1, 2) == 13 and v.make(1).v == 1"),
    ("Derived(3).hello", "v() == 'derived base 3'"),
    ("Derived", "v.__mro__[1].made == 0 and v(4).twice == 8"),
    ("[Base(1), Base(2), Base]", "type(v[0]) is type(v[1]) is v[2]"),
    ("Slotted(1, 2)", "(v.a, v.b()) == (1, 2) and not hasattr(v, '__dict__')"),
    ("Node()", "v.next is v"),
    ("Point(1, tags=['t'])", "repr(v) == \"Point(x=1, y=2, tags=['t'])\" and v == type(v)(1, tags=['t'])"),
    ("Frozen(1)", "v == type(v)(1) and v < type(v)(2) and hash(v)"),
    ("Pair(1)", "v == (1, 'x') and v._fields == ('a', 'b')"),
    ("[Color.RED, Color]", "v[0] is v[1].RED and v[1]('g') is v[1].GREEN"),
    ("Access.READ | Access.WRITE", "type(v).READ in v and v.value == 3"),
    ("Failure(3, 'm')", "v.code == 3 and v.args == ('m',)"),
    ("Stack([1, 2])", "v == [1, 2] and v.top() == 2"),
    ("[len, str.upper, operator.itemgetter(1), os.path]", "v[0]('ab') == v[2]([1, 2]) == 2 and v[3] is os.path"),
]
IMPORTS = "array asyncio collections datetime decimal fractions functools ipaddress operator os pathlib pickle random re types uuid"


def namespace():
    names = {name: __import__(name) for name in IMPORTS.split()}
    return {**names, "dt": names["datetime"], "np": __import__("numpy"), "pd": __import__("pandas")}


def data(expressions, **needs):
    return [{"key": repr(f"value {index}"), "value": text, **needs} for index, text in enumerate(expressions)]


def checks(pairs):
    return [{"key": repr(text), "made by": text, "check": check} for text, check in pairs]


def large(expression, **needs):
    return [{"key": "'large'", "value": expression, **needs}]


BUFFERS = "array.array('d', range(600))"
BLOB = f"[array.array('d', range(1500)), {RAMP}, bytearray({RAMP}) * 7]"
FRAME = "pd.DataFrame({i: np.arange(1500) * i for i in range(4)}).set_axis(pd.Index([5, 2, 8, 9]), axis=1)"
SECTIONS = {
    "plain": ({}, data(DATA)),
    "keys": ({}, [{"key": text, "value": repr(text)} for text in KEYS]),
    "keys xxhash": ({}, [{"key": text, "value": repr(text), "needs": "xxhash"} for text in KEYS]),
    "numpy": ({}, data(NUMPY, needs="numpy")),
    "pandas": ({}, data(PANDAS, needs="pandas")),
    **{name: ({"compress": name}, data([TEXT, WORDS])) for name in ("zlib", "gzip", "bz2", "raw")},
    "lz4": ({"compress": "lz4"}, data([TEXT, WORDS], needs="lz4")),
    "b64": ({"b64": True}, data([TEXT, WORDS, "[1, None]", BUFFERS])),
    "b64 zlib": ({"b64": True, "compress": "zlib"}, data([TEXT, WORDS, BUFFERS])),
    "parts": ({}, data([BUFFERS, f"[{BUFFERS}, bytearray({RAMP})]"]) + large("np.arange(700.0)", needs="numpy")),
    "blob": ({}, large(BLOB)),
    "blob frame": ({}, large(FRAME, needs="pandas")),
    "blob zlib": ({"compress": "zlib"}, large("random.Random(5).randbytes(34_000).hex()")),
    "graph": ({}, checks(GRAPHS)),
    "code": ({}, checks(CODE)),
    "code key": ({}, [{"key": "type('K', (), {})", "value": "'by a class'", "listed": "v.__name__ == 'K'"}]),
    "pickle": (
        {"serializer": "pickle", "compress": "zlib"},
        [*data([WORDS, "decimal.Decimal('1.10')"]), *large("np.arange(700.0)", needs="numpy")],
    ),
    "code blob": (
        {},
        [
            {
                "key": "'large'",
                "made by": f"Stack([bytearray({RAMP}) * 8])",
                "check": f"v.top() == bytearray({RAMP}) * 8",
            }
        ],
    ),
}


def write(folder):
    from hashstash import HashStash, key_codec
    from hashstash.loose import encode, serialize

    linecache.cache["<golden>"] = (len(DEFINITIONS), None, DEFINITIONS.splitlines(keepends=True), "<golden>")
    exec(compile(DEFINITIONS, "<golden>", "exec"), globals())
    names = {**namespace(), **globals()}
    root = str(Path(folder, "stash").resolve())
    sections = {}
    for name, (settings, entries) in SECTIONS.items():
        key_codec._best_hash = lambda name=name: "xxh3_128" if name == "keys xxhash" else "sha256"
        stash = HashStash(root, name, engine="pairtree", **{"compress": "raw", **settings})
        kept = []
        for entry in entries:
            key = eval(entry["key"], names)
            stash[key] = eval(entry.get("made by") or entry["value"], names)
            kept.append({**entry, **header(stash, key)})
        sections[name] = {"settings": settings, "entries": kept}
    versions = HashStash(root, "versions", engine="pairtree", compress="raw", append_mode=True)
    for value in (1, ["two"], bytearray(b"3") * 40_000):
        versions["key"] = value
    expiring = HashStash(root, "expiring", engine="pairtree", compress="raw")
    expiring.put("in two hundred years", 1, ttl=200 * 365 * 86400, seconds=2.5)
    expiring.put("over", 2, ttl=0.001)
    loose = {
        "plain.bin": (serialize([1, "a"]), "[1, 'a']"),
        "zlib.bin": (encode(eval(WORDS), "zlib", b64=False), WORDS),
        "zlib.txt": (encode(eval(WORDS), "zlib"), WORDS),
        "code.bin": (serialize(names["Pair"](1)), "(1, 'x')"),
        "buffers.bin": (serialize(eval(BUFFERS, names)), BUFFERS),
    }
    Path(folder, "loose").mkdir()
    for name, (content, _) in loose.items():
        Path(folder, "loose", name).write_bytes(content)
    expected = {name: expression for name, (_, expression) in loose.items()}
    manifest = {"signing key": KEY, "sections": sections, "loose": expected}
    Path(folder, "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=True) + "\n")
    for unused in [*Path(root).rglob("locks"), *Path(root).rglob("tmp")]:
        shutil.rmtree(unused)
    for mark in Path(root).rglob("swept"):
        mark.unlink()


def header(stash, key):
    entry = stash.store.find(key)
    row = {"address": entry.digest.hex(), "label": entry.label.decode(), "flags": int(entry.flags)}
    return {**row, "raw size": entry.raw_size, "created at": entry.created_at}


if __name__ == "__main__":
    os.environ["HASHSTASH_KEY"] = KEY
    Path(sys.argv[1]).mkdir(parents=True)
    write(sys.argv[1])
