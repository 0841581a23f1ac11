"""Whether a value is data or code is decided while it is written, and it is the truth.

Whatever is nothing but data is read by everybody. One part that would import or call something makes the whole entry
code: then a process with another key refuses it on every way of reading, and neither imports nor calls anything.
"""

import collections
import datetime as dt
import fractions
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from together import cases

from hashstash import HashStash
from hashstash.errors import UnsupportedValue
from hashstash.testing.corpus import DATA, ZONES
from hashstash.testing.equality import assert_same

QUICK = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "v1"

# ---- data ------------------------------------------------------------------------------------------------------------

try:
    import numpy as np
    import pandas as pd
except ImportError:  # the leg without extras has the standard library's data
    np = pd = None

LARGE = {"lists", "dict of many", "texts", "bytes", "too deep list", "deep list", "deep tuple"}
MAKERS = [make for name, make in {**DATA, **ZONES}.items() if name not in LARGE]
KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.dates(),
    st.uuids(),
    st.fractions(),
    st.just(...),
    st.just(int),
    st.builds(range, st.integers(-9, 9)),
    st.frozensets(st.integers() | st.text(max_size=3), max_size=3),
    st.tuples(st.integers(), st.text(max_size=3)),
)
MOMENTS = st.datetimes(timezones=st.none() | st.just(dt.UTC) | st.just(dt.timezone(dt.timedelta(hours=5), "far")))
LEAVES = st.one_of(
    KEYS,
    st.sampled_from(MAKERS).map(lambda make: make()),
    st.complex_numbers(),
    st.decimals(),
    st.times(),
    st.timedeltas(),
    MOMENTS,
    st.binary(max_size=9000).map(bytearray),
)
if np is not None:
    ARRAYS = [
        lambda: np.arange(12, dtype="i2").reshape(3, 4)[::2],
        lambda: np.asfortranarray(np.arange(600.0).reshape(20, 30)),
        lambda: np.array(["a", "bb"]),
        lambda: np.array([b"a"]),
        lambda: np.array(["2020", "NaT"], "M8[D]"),
        lambda: np.array([1, 2], "m8[ms]"),
        lambda: np.zeros(2, [("a", "i4"), ("b", "O")]),
        lambda: np.ma.array([1, 2], mask=[0, 1]),
        lambda: np.zeros((0, 3), bool),
        lambda: np.array(1j),
        lambda: np.float32(1.5),
        lambda: np.datetime64("2020-01-01"),
        lambda: np.dtype([("a", "<f8", 2)]),
        lambda: np.float64,
        lambda: np.random.default_rng(3),
        lambda: np.random.RandomState(3),
    ]
    FRAMES = [
        lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=pd.date_range("2020", periods=2, tz="UTC")),
        lambda: pd.DataFrame({"c": pd.Categorical(["a", None], ["b", "a"]), "i": pd.array([1, None], "Int64")}),
        lambda: pd.DataFrame({("a", 1): [1.5]}),
        lambda: pd.Series(pd.period_range("2020", periods=3, freq="M"), name=("a", 1)),
        lambda: pd.Series(pd.arrays.SparseArray([0, 0, 1])),
        lambda: pd.interval_range(0, 3),
        lambda: pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", None]),
        lambda: pd.Timestamp("2020", tz="UTC"),
        lambda: pd.Timedelta("1s"),
        lambda: pd.Period("2020-01"),
        lambda: pd.NA,
        lambda: pd.NaT,
        lambda: pd.Interval(0, 1),
        lambda: pd.CategoricalDtype(["a"], ordered=True),
        lambda: pd.offsets.MonthEnd(2),
    ]
    LEAVES |= st.sampled_from(ARRAYS + FRAMES).map(lambda make: make())


def object_array(parts):
    array = np.empty(len(parts), object)
    for number, part in enumerate(parts):
        array[number] = part
    return array


def framed(parts):
    frame = pd.DataFrame({"a": pd.Series(object_array(parts), dtype=object)})
    frame.attrs["about"] = parts
    return frame


def chained(parts):
    error = ValueError("a", len(parts))
    error.__cause__ = KeyError(len(parts))
    error.about = error.__cause__.about = parts
    return error


def nested(inner):
    lists = st.lists(inner, max_size=4)
    dicts = st.dictionaries(KEYS, inner, max_size=4)
    wholes = [
        lists,
        lists.map(tuple),
        lists.map(collections.deque),
        lists.map(chained),
        dicts,
        dicts.map(collections.OrderedDict),
        dicts.map(lambda content: collections.defaultdict(list, content)),
        dicts.map(types.MappingProxyType),
        dicts.map(collections.ChainMap),
        st.dictionaries(st.sampled_from("abc"), inner).map(lambda content: types.SimpleNamespace(**content)),
        st.sets(KEYS, max_size=4),
        st.builds(slice, inner, inner),
    ]
    if np is not None:
        wholes += [lists.map(object_array), st.lists(KEYS, max_size=4).map(framed)]
    return st.one_of(wholes)


@QUICK
@given(st.recursive(LEAVES, nested, max_leaves=15))
@example({"deep": [DATA["too deep list"](), DATA["dict of many"]()]})
def test_all_that_is_data_is_unsigned_and_everybody_reads_it(somebody_else, value):
    with somebody_else:
        HashStash("data", engine="memory", clear=True)["k"] = value
    stash = HashStash("data", engine="memory")
    (entry,) = stash.entries()
    assert (entry.is_code, entry.signer) == (False, None)
    assert_same(stash["k"], value)


# ---- code ------------------------------------------------------------------------------------------------------------

POISON = '''
"""A module that leaves a mark when it is imported, of things that leave one when they are made or called."""
import collections, dataclasses, datetime, decimal, enum, functools, os, pathlib, random, typing

def mark(*_, **__):
    if os.environ.get("ARMED"):
        open(os.environ["ARMED"], "a").write("called ")

mark()

class Plain:
    def __new__(cls, *args, **kwargs):
        mark()
        return super().__new__(cls)
    def __init__(self, a=1):
        self.a = a
    def __setstate__(self, state):
        mark()
        self.__dict__.update(state)
    def __hash__(self):
        mark()
        return 1
    def __eq__(self, other):
        mark()
        return type(other) is Plain
    def method(self):
        mark()

class Reduced:
    def __reduce__(self):
        return mark, ()

class Meta(type):
    def __new__(cls, *args, **kwargs):
        mark()
        return super().__new__(cls, *args, **kwargs)

class Made(metaclass=Meta):
    pass

class Colour(enum.Enum):
    RED = 1

class Number(enum.IntEnum):
    ONE = 1

class Word(enum.StrEnum):
    A = "a"

@dataclasses.dataclass(frozen=True)
class Point:
    x: int = 1
    def __post_init__(self):
        mark()

class Pair(typing.NamedTuple):
    a: int = 1

Couple = collections.namedtuple("Couple", "a b")

class Broken(Exception):
    def __init__(self, *args):
        mark()
        super().__init__(*args)

class Dict(dict): pass
class Text(str): pass
class Int(int): pass
class Float(float): pass
class Bytes(bytes): pass
class Tuple(tuple): pass
class Set(frozenset): pass
class Moment(datetime.datetime): pass
class Zone(datetime.tzinfo):
    def utcoffset(self, moment): return datetime.timedelta(0)
class Amount(decimal.Decimal): pass
class Place(type(pathlib.Path())): pass
class Dice(random.Random): pass

def function(x=1):
    mark()
    return x

def outer():
    return lambda: mark()

POISONS = {
    "instance": Plain, "reduced": Reduced, "class": lambda: Plain, "made class": lambda: Made,
    "function": lambda: function, "closure": outer, "lambda": lambda: (lambda: mark()),
    "bound method": lambda: Plain().method, "enum": lambda: Colour.RED, "int enum": lambda: Number.ONE,
    "str enum": lambda: Word.A, "dataclass": Point, "named tuple": Pair, "namedtuple": lambda: Couple(1, 2),
    "exception": lambda: Broken(1), "str": lambda: Text("a"), "int": lambda: Int(1), "float": lambda: Float(1),
    "bytes": lambda: Bytes(b"a"), "tuple": lambda: Tuple((1,)), "frozenset": lambda: Set({1}),
    "datetime": lambda: Moment(2020, 1, 1), "zone": lambda: datetime.datetime(2020, 1, 1, tzinfo=Zone()),
    "decimal": lambda: Amount("1"), "path": lambda: Place("a"), "random": Dice,
    "partial": lambda: functools.partial(function, 1), "partial of a builtin": lambda: functools.partial(print, 1),
    "function of the library": lambda: os.getcwd, "class of the library": lambda: pathlib.Path,
    "module": lambda: os, "lru_cache": lambda: functools.lru_cache(function),
    "dict": lambda: Dict(a=1), "default dict": lambda: collections.defaultdict(outer),
}
UNHASHABLE = {"dict", "default dict"}

try:
    import numpy as np, pandas as pd
except ImportError:
    pass
else:
    class Array(np.ndarray): pass
    class Frame(pd.DataFrame):
        @property
        def _constructor(self): return Frame
    class Column(pd.Series): pass
    POISONS["array"] = lambda: np.arange(3).view(Array)
    POISONS["frame"] = lambda: Frame({"a": [1]})
    POISONS["column"] = lambda: Column([1])
    POISONS["function of numpy"] = lambda: np.mean
    POISONS["vectorized"] = lambda: np.vectorize(function)
    UNHASHABLE |= {"array", "frame", "column"}
'''
MODULE = types.ModuleType("poison_of_the_tests")
exec(POISON, MODULE.__dict__)
NAMES = sorted(MODULE.POISONS)
HASHABLE = sorted(set(NAMES) - MODULE.UNHASHABLE)


@pytest.fixture
def poison(monkeypatch, tmp_path):
    """The module, as if it had been imported from a file."""
    monkeypatch.setitem(sys.modules, MODULE.__name__, MODULE)
    return MODULE.POISONS


def caused_by(part):
    error = ValueError("a")
    error.__cause__ = part if isinstance(part, BaseException) else ValueError(part)
    return error


def noted(part):
    error = ValueError("a")
    error.about = [part]
    return error


def attributed(series, part):
    series.attrs["about"] = [part]
    return series


PLACES = {
    "bare": lambda part: part,
    "deep": lambda part: {"a": [1, ({"b": [part]}, 2)]},
    "among much": lambda part: {"a": list(range(5000)), "b": part, "c": "text"},
    "in an ordered dict": lambda part: collections.OrderedDict(a=part),
    "in a default dict": lambda part: collections.defaultdict(list, a=[part]),
    "in a deque": lambda part: collections.deque([part]),
    "in a chain": lambda part: collections.ChainMap({"a": part}),
    "in a namespace": lambda part: types.SimpleNamespace(a=part),
    "in a read-only dict": lambda part: types.MappingProxyType({"a": part}),
    "in a slice": lambda part: slice(None, part),
    "in an exception": lambda part: ValueError("a", part),
    "on an exception": noted,
    "as a cause": caused_by,
    "in a counter": lambda part: collections.Counter({"a": part}),
}
IN_FRAMES = {
    "in an object array": lambda part: object_array([1, part]),
    "in a structured array": lambda part: np.array([(1, part)], [("a", "i4"), ("b", "O")]),
    "in a masked array": lambda part: np.ma.array(object_array([1, part]), mask=[0, 1]),
    "in an object column": lambda part: pd.DataFrame({"a": pd.Series(object_array([part, 1]), dtype=object)}),
    "in attrs": lambda part: framed([part]),
    "in attrs of a series": lambda part: attributed(pd.Series([1]), part),
}
AS_KEYS = {
    "as a key": lambda part: {"another": 1, part: 2},
    "in a key": lambda part: {(1, (part,)): 2},
    "in a set": lambda part: [{"another", part}],
    "in a frozenset": lambda part: {frozenset({part}): 1},
}
AS_LABELS = {
    "as a category": lambda part: pd.Series(pd.Categorical.from_codes([0], pd.Index([part], dtype=object))),
    "as a name": lambda part: pd.Series([1], name=part),
    "as a name of an index": lambda part: pd.Index([1], name=part),
    "as a label": lambda part: pd.DataFrame([[1]], columns=pd.Index([part], dtype=object)),
    "in a level": lambda part: pd.MultiIndex.from_arrays([[1], pd.Index([part], dtype=object)]),
    "as what is missing": lambda part: np.ma.array(object_array([1]), mask=[1], fill_value=part),
}


def is_code_or_refused(value):
    stash = HashStash("code", engine="memory", clear=True)
    try:
        stash["k"] = value
    except UnsupportedValue:
        return True
    (entry,) = stash.entries()
    return entry.is_code and entry.signer is not None


@pytest.mark.parametrize("name", NAMES)
def test_one_thing_that_imports_or_calls_makes_it_code(poison, name):
    with cases() as case:
        for place, made in PLACES.items():
            with case(place):
                assert is_code_or_refused(made(poison[name]()))


@pytest.mark.parametrize("name", HASHABLE)
def test_so_does_one_among_keys(poison, name):
    with cases() as case:
        for place, made in AS_KEYS.items():
            with case(place):
                assert is_code_or_refused(made(poison[name]()))


@pytest.mark.parametrize("name", NAMES)
def test_so_does_one_in_an_array_or_a_frame(poison, name):
    if np is None:
        pytest.skip("no numpy")
    with cases() as case:
        for place, made in IN_FRAMES.items():
            with case(place):
                assert is_code_or_refused(made(poison[name]()))


UNTOLD = {"tuple", "named tuple", "namedtuple", "frozenset", "zone", "datetime", "decimal"}
"""What pandas itself turns into something else when it becomes a label."""


@pytest.mark.parametrize("name", sorted(set(HASHABLE) - UNTOLD))
def test_so_does_one_among_labels(poison, name):
    if np is None:
        pytest.skip("no numpy")
    with cases() as case:
        for place, made in AS_LABELS.items():
            with case(place):
                assert is_code_or_refused(made(poison[name]()))


@pytest.mark.parametrize("name", HASHABLE)
def test_an_entry_whose_key_needs_code_is_code(poison, name):
    stash = HashStash("code", engine="memory", clear=True)
    stash[1, poison[name]()] = "data"
    (entry,) = stash.entries()
    assert entry.is_code
    assert entry.signer is not None


@pytest.mark.parametrize(
    "value",
    [re.compile("()" * 40_000), re.compile("[一-龯]" * 200), fractions.Fraction(3**60_000, 7**40_000)],
    ids=["long pattern", "many wide ranges", "long fraction"],
)
def test_what_takes_long_to_make_is_code_so_that_no_stranger_can_ask_for_it(value):
    stash = HashStash("code", engine="memory", clear=True)
    stash["k"] = value
    assert stash.entries()[0].is_code
    assert stash["k"] == value


# ---- strangers' code -------------------------------------------------------------------------------------------------

WRITE = """
import json, sys
import poison_of_the_tests as poison
from hashstash import HashStash, encode, serialize
stash = HashStash(sys.argv[1], engine="pairtree")
loose = []
for name, make in poison.POISONS.items():
    value = {"a": [1, (make(),)]}
    stash["value", name] = value
    loose += [encode(value).decode(), serialize(value).hex(), stash.encode_value(value).decode("latin1")]
    if name not in poison.UNHASHABLE:
        stash["key", make()] = name
        stash["a key within", name] = {"a": {make(): 1}}
        loose.append(stash.encode_key(make()).hex())
with open(sys.argv[2], "w") as file:
    json.dump(loose, file)
print(len(stash))
"""
READ = """
import contextlib, io, json, sys, warnings
from hashstash import HashStash, Decoder, Deserializer, decode, deserialize
from hashstash.errors import UntrustedEntry
from hashstash.store import Foreign
warnings.simplefilter("ignore")
stash = HashStash(sys.argv[1], engine="pairtree")
with open(sys.argv[2]) as file:
    loose = json.load(file)
failures, count = [], 0

def refused(what, read):
    global count
    count += 1
    try:
        found = read()
    except UntrustedEntry:
        return
    except Exception as error:
        found = repr(error)
    failures.append([what, repr(found)[:200]])

keys = list(stash.keys())
values = list(stash.values())
assert len(keys) == len(values) == len(stash.entries()) == int(sys.argv[3])
for listed in (keys, values, [key for key, _ in stash.items()], [value for _, value in stash.items()]):
    failures += [["listed", repr(one)] for one in listed if type(one) is not Foreign]
failures += [["entry", repr(one)] for one in stash.entries() if not one.is_code]
for key in json.loads(sys.argv[4]):
    key = tuple(key)
    refused("[]", lambda: stash[key])
    refused("get", lambda: stash.get(key, 1))
    refused("in", lambda: key in stash)
    refused("pop", lambda: stash.pop(key))
    refused("setdefault", lambda: stash.setdefault(key, 1))
    refused("get_set", lambda: stash.get_set(key, lambda: 1))
    refused("get_many", lambda: stash.get_many([key]))
    refused("get_all", lambda: stash.get_all(key))
    refused("get_encoded", lambda: stash.get_encoded(key))
for row in stash._values():
    refused("decode_value", lambda: stash.decode_value(row))
for key in stash._keys():
    if key[:3] == b"HST":
        refused("decode_key", lambda: stash.decode_key(key))
for text in loose:
    for data in {text.encode("latin1"), bytes.fromhex(text) if text.isalnum() and not text.startswith("SFNU") else text}:
        if data[:3] in (b"HST", b"SFN", "SFN"):
            refused("decode", lambda: decode(data))
            refused("deserialize", lambda: deserialize(data))
            refused("Decoder", lambda: Decoder()(data))
            refused("Deserializer", lambda: Deserializer()(data))
with contextlib.suppress(KeyError):
    failures.append(["popitem", repr(stash.popitem())])
other = HashStash("other", engine="memory")
stash.copy_to(other)
failures += [["copied", repr(one)] for one in other.items()]
other.update(data=1)
assert (stash == {}, stash == other) == (False, False)
for text in (repr(stash), repr(stash.keys()), repr(stash.values()), repr(stash.items())):
    failures += [["shown", text]] if "poison_of_the_tests" in text else []
assert 5 not in stash.values()
assert len(stash) == int(sys.argv[3])
print(json.dumps([count, failures, "poison_of_the_tests" in sys.modules]))
"""


def run(code, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_process_with_another_key_refuses_it_on_every_way_and_imports_and_calls_nothing(tmp_path):
    (tmp_path / "poison_of_the_tests.py").write_text(POISON)
    path, mark = str(tmp_path), tmp_path / "mark"
    written = run(WRITE, tmp_path / "stash", tmp_path / "loose.json", PYTHONPATH=f"{path}:{HERE.parent}")
    names = [["value", name] for name in NAMES] + [["a key within", name] for name in HASHABLE]
    arguments = (tmp_path / "stash", tmp_path / "loose.json", int(written), json.dumps(names))
    environment = {"PYTHONPATH": f"{path}:{HERE.parent}", "ARMED": str(mark), "XDG_STATE_HOME": str(tmp_path / "other")}
    count, failures, imported = json.loads(run(READ, *arguments, **environment))
    assert failures == []
    assert not imported
    assert not mark.exists()
    assert count > 1000


def test_the_same_process_with_the_same_key_would_have_left_a_mark(tmp_path):
    (tmp_path / "poison_of_the_tests.py").write_text(POISON)
    environment = {"PYTHONPATH": f"{tmp_path}:{HERE.parent}"}
    run(WRITE, tmp_path / "stash", tmp_path / "loose.json", **environment)
    code = "import sys\nfrom hashstash import HashStash\nHashStash(sys.argv[1], engine='pairtree')['value', 'instance']"
    run(code, tmp_path / "stash", ARMED=str(tmp_path / "mark"), **environment)
    assert (tmp_path / "mark").exists()


# ---- what decoding of data imports -----------------------------------------------------------------------------------

PACKAGES = {"numpy", "pandas", "pyarrow", "polars", "scipy", "dateutil", "pytz", "tzdata"}
"""A family's package is imported when a value of it is met: each is named in the table of families, none by an entry."""
COMPRESSORS_OF = {"lz4", "blosc", "blosc2", "zstandard", "compression", "zlib", "gzip", "bz2"}

DECODE = """
import json, sys
from hashstash import HashStash
rows = [(bytes.fromhex(address), bytes.fromhex(row)) for address, row in json.load(sys.stdin)]
stash = HashStash("golden", engine="memory")
stash["warm"] = [1]
stash["warm"], list(stash.items())
found, armed, events = [], False, []

class Recorder:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)
        while frame.f_globals.get("__name__", "").startswith(("importlib", "_frozen_importlib")):
            frame = frame.f_back
        found.append((name, frame.f_globals.get("__name__", "")))

def watch(event, arguments):
    if armed and event.startswith(("import", "exec", "compile", "open", "os.", "subprocess.", "socket.", "marshal.", "pickle.", "ctypes.dl")):
        events.append((event, repr(arguments)[:200]))

def decode_all():
    for address, row in rows:
        stash.store.engine.put(address, row)
        stash.store.load_at(address)
        list(stash.store.items())
        stash.store.engine.delete(address)

sys.addaudithook(watch)
sys.meta_path.insert(0, Recorder())
decode_all()
count = len(found)
armed = True
decode_all()
armed = False
print(json.dumps([len(rows), found, events, len(found) - count]))
"""


def golden_data_rows():
    from importlib.util import find_spec

    from hashstash.entry import Flag

    sections = json.loads((GOLDEN / "manifest.json").read_text())["sections"]
    missing = {
        name for name in ("numpy", "pandas", "pyarrow", "polars", "scipy", "lz4", "xxhash") if not find_spec(name)
    }
    for name, section in sections.items():
        for entry in section["entries"]:
            if not entry["flags"] & (Flag.BLOB | Flag.CODE) and entry.get("needs") not in missing:
                (path,) = GOLDEN.glob(f"stash/{name.replace(' ', '%20')}/*/data.db/*/{entry['address']}")
                yield entry["address"], path.read_bytes().hex()


def test_decoding_data_imports_only_what_fixed_tables_name_and_then_nothing_and_runs_nothing():
    done = subprocess.run(
        [sys.executable, "-c", DECODE],
        input=json.dumps(list(golden_data_rows())),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    count, imported, events, later = json.loads(done.stdout)
    by_us = {name for name, importer in imported if importer.partition(".")[0] == "hashstash"}
    roots = {name.partition(".")[0] for name in by_us} - {"hashstash"}
    assert count > 80
    assert roots <= PACKAGES | COMPRESSORS_OF | sys.stdlib_module_names
    source = "".join(path.read_text() for path in (HERE.parent / "hashstash").rglob("*.py"))
    assert [
        name for name in by_us if not re.search(rf"\b{re.escape(name)}\b", source) and "hashstash" not in name
    ] == []
    assert (events, later) == ([], 0)
