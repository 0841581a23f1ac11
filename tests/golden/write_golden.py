"""Writes entries of format version 1 into a folder, each section that no manifest of this folder knows yet.

    python tests/golden/write_golden.py FOLDER

Never run by the tests. What lies in ``v1`` was written once, and is never written again: later versions read it. New
sections, for tags that the format has got since, get a manifest of their own. ``manifest.json``, and then
``manifest-2.json`` and so on, say of each entry what it decodes to, as an expression, so that the files need no code
but the reader's.
"""

import importlib
import json
import linecache
import os
import shutil
import sys
import tempfile
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
NUMPY_VALUES = [
    "np.zeros(3, np.dtype('f8', metadata={'unit': 'm'}))",
    "np.zeros(2, [('x', np.dtype('<i4', metadata={'unit': 'm'})), ('y', '<f8')])",
    "np.array(['a', 'bc']).view(np.char.chararray)",
    "np.arange(6.0).view(np.memmap)",
    "[np.poly1d([1.0, 0.0, -2.0], variable='t'), np.polynomial.Chebyshev([1.0, 2.0], [0.0, 2.0])]",
    "[np.finfo('f4'), np.iinfo('u1'), np.busdaycalendar('1111000', ['2020-01-01']), np.add]",
]
PANDAS_VALUES = [
    "[pd.offsets.DateOffset(months=1, days=-2), pd.offsets.Week(2), pd.offsets.MonthEnd(normalize=True)]",
    "[pd.offsets.BusinessHour(start='08:00', end='12:30'), pd.offsets.Easter(), pd.offsets.YearEnd(month=6)]",
    "pd.offsets.CustomBusinessDay(holidays=['2020-01-01'], weekmask='Mon Tue Wed')",
    "pd.Series([1, 2], index=pd.DatetimeIndex(['2020-01-31', '2020-03-31'], dtype='M8[ns]', freq=pd.DateOffset(months=2)))",
]
ARROW = [
    *(
        f"pa.array([1, None, 3], pa.{kind})"
        for kind in ("int8()", "uint64()", "float32()", "date32()", "time64('ns')", "duration('us')")
    ),
    "pa.array([1, None, 3], pa.timestamp('us', 'Europe/Paris')).slice(1)",
    "[pa.array([decimal.Decimal('1.10'), None], pa.decimal128(9, 2)), pa.array([True, None, False]).slice(1)]",
    *(
        f"pa.array(['a', None, 'a text of more than twelve bytes'], pa.{kind}())"
        for kind in ("string", "large_string", "string_view")
    ),
    "[pa.array([b'ab', None], pa.binary(2)), pa.array([b'a', None], pa.binary_view()), pa.nulls(3)]",
    *(
        f"pa.array([[1, 2], None, [], [3, None]], pa.{kind}(pa.int16())).slice(1)"
        for kind in ("list_", "large_list", "list_view", "large_list_view")
    ),
    "[pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), pa.array([{'a': 1, 'b': ['x']}, None, {'a': None}])]",
    "pa.array([[('k', 1)], None, []], pa.map_(pa.string(), pa.int64()))",
    "pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), pa.array(['x', 'y']), ordered=True)",
    "pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(['a', None]))",
    "pa.UnionArray.from_dense(pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(['x'])])",
    "pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(['x', 'y'])])",
    "pa.array([pa.MonthDayNano([1, 2, 3]), None], pa.month_day_nano_interval())",
    "pa.chunked_array([pa.array([1, 2]), pa.array([], pa.int64()), pa.array([3])])",
    "pa.table({'a': [1, None], 'b': [['x'], []]}).replace_schema_metadata({'k': 'v'})",
    "pa.record_batch([pa.array([1.5, 2.5])], names=['a'])",
    "[pa.scalar(5), pa.scalar(None, pa.string()), pa.scalar([1, 2]), pa.py_buffer(b'abc')]",
    "pa.schema([pa.field('a', pa.int8(), nullable=False, metadata={'unit': 'm'}), pa.field('b', pa.list_(pa.string()))])",
]
POLARS = [
    *(f"pl.Series('s', [1, None, 3], dtype=pl.{kind})" for kind in ("Int8", "UInt64", "Int128", "Float32")),
    "pl.Series(['a', None, 'é'])",
    "pl.Series([b'a', None, bytes([255])])",
    "pl.Series([True, None, False])",
    "pl.Series([dt.date(2020, 1, 2), None])",
    "pl.Series([dt.time(1, 2, 3), None])",
    "pl.Series([dt.datetime(2020, 1, 2), None], dtype=pl.Datetime('ms')).dt.replace_time_zone('UTC')",
    "pl.Series([dt.timedelta(days=-1), None], dtype=pl.Duration('ns'))",
    "pl.Series([decimal.Decimal('1.10'), None], dtype=pl.Decimal(10, 2))",
    "pl.Series(['b', None, 'a', 'b'], dtype=pl.Enum(['a', 'b', 'unused']))",
    "pl.Series(['b', None, 'a', 'b'], dtype=pl.Categorical).cast(pl.String)",
    "pl.Series([[1, 2], None, []], dtype=pl.List(pl.Int16))",
    "pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2))",
    "pl.Series([{'a': 1, 'b': ['x']}, None, {'a': None, 'b': []}])",
    "pl.DataFrame({'a': [1, None], 'b': [['x'], []], 'c': [None, None]})",
    "[pl.Int64, pl.List(pl.Datetime('us', 'UTC')), pl.Schema({'a': pl.Int8(), 'b': pl.Struct({'c': pl.String()})})]",
]
GRID = "np.array([[0, 1.5, 0, 2], [0, 0, 3, 0], [4, 0, 0, 0]])"
SCIPY = [
    *(f"sparse.{form}_array({GRID})" for form in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")),
    *(f"sparse.{form}_matrix({GRID})" for form in ("csr", "lil")),
]
DATEUTIL = [
    "[tz.UTC, tz.tzoffset('x', 3600), tz.tzoffset(None, -5400), tz.tzstr('EST5EDT4,M3.2.0,M11.1.0')]",
    "dt.datetime(2020, 7, 1, tzinfo=tz.gettz('Europe/Paris'))",
]
PYTZ = [
    "[pytz.utc, pytz.timezone('Europe/Paris'), pytz.FixedOffset(90)]",
    "pytz.timezone('Europe/Paris').localize(dt.datetime(2020, 7, 1))",
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
NUMPY_ONLY = {"np": "numpy"}
NAMES_OF_PACKAGES = {
    "numpy": NUMPY_ONLY,
    "pandas": {**NUMPY_ONLY, "pd": "pandas"},
    "pyarrow": {**NUMPY_ONLY, "pa": "pyarrow"},
    "polars": {**NUMPY_ONLY, "pl": "polars"},
    "scipy": {**NUMPY_ONLY, "sparse": "scipy.sparse"},
    "dateutil": {"tz": "dateutil.tz"},
    "pytz": {"pytz": "pytz"},
}
"""The names in the expressions of entries that need a package, and the modules that they stand for."""
IMPORTS = "array asyncio collections datetime decimal fractions functools ipaddress operator os pathlib pickle random re types uuid"


def namespace(packages=tuple(NAMES_OF_PACKAGES)):
    """The names in expressions; of *packages* only, since not all need be installed where others read these values."""
    names = {name: __import__(name) for name in IMPORTS.split()}
    names["dt"] = names["datetime"]
    for package in packages:
        names |= {name: importlib.import_module(module) for name, module in NAMES_OF_PACKAGES[package].items()}
    return names


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
    "numpy values": ({}, data(NUMPY_VALUES, needs="numpy")),
    "pandas values": ({}, data(PANDAS_VALUES, needs="pandas")),
    "arrow": ({}, data(ARROW, needs="pyarrow") + large("pa.array(range(1500), pa.int64())", needs="pyarrow")),
    "polars": ({}, data(POLARS, needs="polars") + large("pl.Series(range(1500), dtype=pl.Int64)", needs="polars")),
    "scipy": ({}, data(SCIPY, needs="scipy")),
    "dateutil": ({}, data(DATEUTIL, needs="dateutil")),
    "pytz": ({}, data(PYTZ, needs="pytz")),
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


def write(folder, known):
    """Write what is not *known* into the new *folder*."""
    from hashstash import HashStash, key_codec

    linecache.cache["<golden>"] = (len(DEFINITIONS), None, DEFINITIONS.splitlines(keepends=True), "<golden>")
    exec(compile(DEFINITIONS, "<golden>", "exec"), globals())
    names = {**namespace(), **globals()}
    root = str(Path(folder, "stash").resolve())
    sections = {}
    for name, (settings, entries) in SECTIONS.items():
        if name in known:
            continue
        key_codec._best_hash = lambda name=name: "xxh3_128" if name == "keys xxhash" else "sha256"
        stash = HashStash(root, name, engine="pairtree", **{"compress": "raw", **settings})
        kept = []
        for entry in entries:
            key = eval(entry["key"], names)
            stash[key] = eval(entry.get("made by") or entry["value"], names)
            kept.append({**entry, **header(stash, key)})
        sections[name] = {"settings": settings, "entries": kept}
    expected = {} if known else write_others(folder, root, names)
    for unused in [*Path(root).rglob("locks"), *Path(root).rglob("tmp")]:
        shutil.rmtree(unused)
    for mark in Path(root).rglob("swept"):
        mark.unlink()
    return {"signing key": KEY, "sections": sections, "loose": expected}


def write_others(folder, root, names):
    """Write versions, entries that expire, and frames of their own."""
    from hashstash import HashStash
    from hashstash.loose import encode, serialize

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
    return {name: expression for name, (_, expression) in loose.items()}


def header(stash, key):
    entry = stash.store.find(key)
    row = {"address": entry.digest.hex(), "label": entry.label.decode(), "flags": int(entry.flags)}
    return {**row, "raw size": entry.raw_size, "created at": entry.created_at}


def manifests(folder):
    """The manifests of a folder, the first one first."""
    found = [Path(folder, "manifest.json"), *sorted(Path(folder).glob("manifest-*.json"))]
    return [json.loads(path.read_text()) for path in found if path.exists()]


def add_to(folder):
    """Write all that is new beside what is there, which stays as it is."""
    before = manifests(folder)
    known = {name for manifest in before for name in manifest["sections"]}
    with tempfile.TemporaryDirectory() as made:
        manifest = write(made, known)
        for path in sorted(Path(made).rglob("*")):
            if path.is_file():
                kept = Path(folder, path.relative_to(made))
                kept.parent.mkdir(parents=True, exist_ok=True)
                with kept.open("xb") as file:
                    file.write(path.read_bytes())
    name = f"manifest-{len(before) + 1}.json" if before else "manifest.json"
    with Path(folder, name).open("x") as file:
        file.write(json.dumps(manifest, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    os.environ["HASHSTASH_KEY"] = KEY
    add_to(sys.argv[1])
