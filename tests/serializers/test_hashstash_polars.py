"""Values of polars in plain documents, with the msgpack packages and without."""

import datetime as dt
import decimal
from contextlib import nullcontext

import pytest
from together import cases, each

from hashstash.errors import CorruptEntry, MissingDependency, UnsupportedValue
from hashstash.serializers.hashstash import PLUGIN
from hashstash.serializers.hashstash.document import NeedsGraph, plain_python, read, write
from hashstash.serializers.hashstash.types import restore
from hashstash.testing.equality import assert_same

pl = pytest.importorskip("polars")
np = pytest.importorskip("numpy")

IS_YOUNG = hasattr(pl, "Categories")


@pytest.fixture(params=["packages", "plain"], autouse=True)
def writer(request):
    if request.param == "packages":
        pytest.importorskip("msgpack")
        pytest.importorskip("msgspec")
    with plain_python() if request.param == "plain" else nullcontext():
        yield request.param


def again(value, kind=bytearray):
    encoded = write(value)
    assert not encoded.is_code
    return read(kind(encoded.document), [memoryview(kind(buffer)) for buffer in encoded.buffers])


def size_of(value):
    encoded = write(value)
    return len(encoded.document) + sum(memoryview(buffer).nbytes for buffer in encoded.buffers)


DAY = dt.datetime(2020, 2, 29, 1, 2, 3, 456000)
TEXTS = ["a", None, "", "é" * 40, "a text that is longer than twelve bytes", "end"]
RECORDS = [
    {"a": 1, "b": ["x"]},
    None,
    {"a": None, "b": None},
    {"a": 4, "b": []},
    {"a": 5, "b": [None]},
    {"a": 6, "b": None},
]
INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
COLUMNS = {
    **{name: (lambda name=name: pl.Series([1, None, 3, 0, 5, 6], dtype=getattr(pl, name))) for name in INTEGERS},
    "Int128": lambda: pl.Series([1, None, -(2**100), 2**126, 0, 5], dtype=pl.Int128),
    "Float32": lambda: pl.Series([1.5, None, float("nan"), float("inf"), -0.0, 5], dtype=pl.Float32),
    "Float64": lambda: pl.Series([1.5, None, float("nan"), float("-inf"), -0.0, 5e-324]),
    "without missing": lambda: pl.Series(range(6)),
    "Boolean": lambda: pl.Series([True, None, False, True, True, False]),
    "String": lambda: pl.Series(TEXTS),
    "Binary": lambda: pl.Series([b"a", None, b"", b"\xff\0", b"x" * 50, b"end"]),
    "Date": lambda: pl.Series([DAY.date(), None, dt.date.min, dt.date.max, DAY.date(), None]),
    "Time": lambda: pl.Series([DAY.time(), None, dt.time.min, dt.time.max, DAY.time(), None]),
    **{
        f"Datetime {unit} {zone}": (
            lambda unit=unit, zone=zone: pl.Series([DAY, None] * 3, dtype=pl.Datetime(unit)).dt.replace_time_zone(zone)
        )
        for unit in ("ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Paris")
    },
    **{
        f"Duration {unit}": (
            lambda unit=unit: pl.Series([dt.timedelta(days=-1, seconds=3), None] * 3, dtype=pl.Duration(unit))
        )
        for unit in ("ms", "us", "ns")
    },
    "Decimal": lambda: pl.Series(
        [decimal.Decimal("1.10"), None, decimal.Decimal("-99999999999999999999.25")] * 2, dtype=pl.Decimal(38, 2)
    ),
    "whole Decimal": lambda: pl.Series([decimal.Decimal(3), None] * 3, dtype=pl.Decimal(10, 0)),
    "Null": lambda: pl.Series([None] * 6),
    "Categorical": lambda: pl.Series(["b", None, "a", "b", "c", "a"], dtype=pl.Categorical),
    "lexical Categorical": lambda: pl.Series(["b", None, "a", "b", "c", "a"], dtype=pl.Categorical("lexical")),
    "Categorical that misses": lambda: pl.Series([None] * 6, dtype=pl.Categorical),
    "Enum": lambda: pl.Series(["b", None, "a", "b", "c", "a"], dtype=pl.Enum(["c", "b", "a", "unused"])),
    "Enum that misses": lambda: pl.Series([None] * 6, dtype=pl.Enum(["c"])),
    "List": lambda: pl.Series([[1, 2], None, [], [None, 3], [4], []], dtype=pl.List(pl.Int16)),
    "List of empty ones": lambda: pl.Series([[], None, []] * 2, dtype=pl.List(pl.String)),
    "List that misses": lambda: pl.Series([None] * 6, dtype=pl.List(pl.String)),
    "List of List": lambda: pl.Series([[["a"], None], None, [], [[], ["b", None]], [["c"]], [None]]),
    "List of Struct": lambda: pl.Series([[part, part] for part in RECORDS]),
    "List of Categorical": lambda: pl.Series(
        [["a", "b"], None, [], ["b"], [None], ["a"]], dtype=pl.List(pl.Categorical)
    ),
    "List of Enum": lambda: pl.Series([["a", "b"], None, [], ["b"], [None], ["a"]], dtype=pl.List(pl.Enum(["b", "a"]))),
    "List of Null": lambda: pl.Series([[None], None, [], [None, None], [], []], dtype=pl.List(pl.Null)),
    "List of Array": lambda: pl.Series(
        [[[1, 2]], None, [], [None, [3, 4]], [], []], dtype=pl.List(pl.Array(pl.Int8, 2))
    ),
    "List of Datetime": lambda: pl.Series(
        [[DAY], None, [], [None], [DAY, DAY], []], dtype=pl.List(pl.Datetime("us", "UTC"))
    ),
    "List of Decimal": lambda: pl.Series(
        [[decimal.Decimal("1.5")], None, [], [None], [], []], dtype=pl.List(pl.Decimal(10, 1))
    ),
    "Array": lambda: pl.Series([[1, 2], None, [3, None], [4, 5], [6, 7], None], dtype=pl.Array(pl.Float32, 2)),
    "Array of Array": lambda: pl.Series(
        [[[1, 2], [3, 4], [5, 6]], None, [[7, 8], None, [9, None]]] * 2, dtype=pl.Array(pl.Int8, (3, 2))
    ),
    "Array of String": lambda: pl.Series([["a", None], None, ["b", "c"]] * 2, dtype=pl.Array(pl.String, 2)),
    "Array of List": lambda: pl.Series([[["a"], []], None, [None, ["b"]]] * 2, dtype=pl.Array(pl.List(pl.String), 2)),
    "Array that misses": lambda: pl.Series([None] * 6, dtype=pl.Array(pl.Int8, 1000)),
    "Array of nothing": lambda: pl.Series([[], None] * 3, dtype=pl.Array(pl.Int8, 0)),
    "Struct": lambda: pl.Series(RECORDS),
    "Struct of Struct": lambda: pl.Series([{"in": part, "n": 1} for part in RECORDS]),
    "Struct without fields": lambda: pl.Series([{}, None] * 3, dtype=pl.Struct([])),
    "Struct of everything": lambda: pl.DataFrame(
        {n: COLUMNS[n]() for n in ("Categorical", "Enum", "Array", "List", "Decimal", "Null")}
    ).to_struct("s"),
}
if IS_YOUNG:
    COLUMNS["Float16"] = lambda: pl.Series([1.5, None] * 3, dtype=pl.Float16)
    COLUMNS["UInt128"] = lambda: pl.Series([2**127, None, 0] * 2, dtype=pl.UInt128)
    COLUMNS["named Categorical"] = lambda: pl.Series(
        ["b", None, "a"] * 2, dtype=pl.Categorical(pl.Categories("own", "space", pl.UInt8))
    )
PARTS = {"whole": (0, 6), "begin": (0, 2), "middle": (1, 3), "one": (2, 1), "none": (3, 0)}


@each("name", COLUMNS)
def test_series_come_back_the_same(name):
    with cases() as case:
        for part, bounds in PARTS.items():
            with case(part):
                series = COLUMNS[name]().alias(name).slice(*bounds)
                assert_same(again(series), series)


@each("name", COLUMNS)
def test_chunks_become_one(name):
    series = COLUMNS[name]()
    chunked = series.append(COLUMNS[name]().slice(1, 4))
    assert_same(again(chunked), chunked)


@each("name", COLUMNS)
def test_types_come_back_the_same(name):
    dtype = COLUMNS[name]().dtype
    assert_same(again(dtype), dtype)


@each("name", COLUMNS)
def test_both_writers_write_the_same_bytes(name):
    pytest.importorskip("msgpack")
    value = COLUMNS[name]()
    with plain_python():
        ours = write(value)
    theirs = write(value)
    assert bytes(ours.document) == bytes(theirs.document)


def frame():
    return pl.DataFrame({name: make() for name, make in COLUMNS.items()})


VALUES = {
    "frame": frame,
    "rows": lambda: frame().slice(1, 3),
    "no rows": lambda: frame().clear(),
    "nothing": lambda: pl.DataFrame(),
    "columns only": lambda: pl.DataFrame(schema={"a": pl.Int8, "b": pl.List(pl.String)}),
    "concatenated": lambda: pl.concat([frame(), frame().slice(2)]),
    "filtered": lambda: frame().filter(pl.col("Int8") > 1),
    "grouped": lambda: pl.DataFrame({"k": ["a", "b", "a"], "v": [1, 2, 3]}).group_by("k", maintain_order=True).agg("v"),
    "many rows": lambda: pl.DataFrame({"n": range(5000), "s": [f"row {i}é" for i in range(5000)]}),
    "many texts": lambda: pl.DataFrame({"s": [None, "é", ""] * 5000, "b": [b"x", None, b"\xff"] * 5000}),
    "no name": lambda: pl.Series([1]),
    "schema": lambda: frame().schema,
    "classes of types": lambda: [pl.Int64, pl.List, pl.Datetime],
    "in a dict": lambda: {"f": pl.DataFrame({"a": [1]}), "s": [pl.Series("x", ["y"])]},
}
VALUES["many rows of nothing"] = lambda: pl.DataFrame(
    {
        "n": [None] * 100_000,
        "s": pl.Series([{}], dtype=pl.Struct([])).new_from_index(0, 100_000),
        "l": [[None]] * 100_000,
    }
)
if IS_YOUNG:
    VALUES["rows without columns"] = lambda: pl.DataFrame(height=5)


@pytest.mark.parametrize("kind", [bytes, bytearray])
@each("name", VALUES)
def test_values_come_back_the_same(name, kind):
    assert_same(again(VALUES[name](), kind), VALUES[name]())


def test_values_of_a_graph_come_back_the_same():
    value = [frame(), COLUMNS["List"]()]
    value.append(value)
    encoded = PLUGIN.dumps(value)
    made = PLUGIN.loads(encoded)
    assert not encoded.is_code
    assert_same(made[:2], value[:2])


def test_a_frame_works_on():
    made = again(pl.DataFrame({"k": ["x", "y", "x"], "v": [1, 2, 3]}))
    assert made.group_by("k").agg(pl.col("v").sum()).sort("k").rows() == [("x", 4), ("y", 2)]
    assert made.with_columns(pl.col("v") * 2).get_column("v").to_list() == [2, 4, 6]


def test_categories_stay_in_the_order_of_their_numbers():
    series = pl.Series(["z", "a", "m", "z"], dtype=pl.Categorical)
    assert_same(again(series).sort().cast(pl.String), series.sort().cast(pl.String))


def test_numbers_are_not_copied_when_written():
    series = pl.Series(np.arange(10_000))
    (buffer,) = write(series).buffers
    assert np.shares_memory(np.frombuffer(buffer, "i8"), series.to_numpy())


@pytest.mark.parametrize("name", ["String", "List", "Struct", "Int64", "Array"])
def test_a_slice_does_not_store_the_whole(name):
    series = pl.concat([COLUMNS[name]()] * 2000).rechunk()
    assert size_of(series.slice(6000, 3)) < 500


PLANS = {
    "lazy": lambda: pl.LazyFrame({"a": [1, 2]}).select(pl.col("a") + 1),
    "function": lambda: pl.LazyFrame({"a": [1, 2]}).map_batches(lambda part: part),
    "expression": lambda: pl.col("a") + 1,
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_no_data(name):
    with pytest.raises(NeedsGraph):
        write(PLANS[name]())


def test_a_lazy_frame_comes_back_as_code():
    lazy = pl.LazyFrame({"a": [1, 2]}).select(pl.col("a") + 1)
    encoded = PLUGIN.dumps([lazy])
    assert encoded.is_code
    assert_same(PLUGIN.loads(encoded)[0].collect(), lazy.collect())


def test_a_column_of_objects_is_refused():
    with pytest.raises(UnsupportedValue):
        PLUGIN.dumps(pl.Series([object(), {1}], dtype=pl.Object))


def lengths(*values):
    return np.array(values, "<u4").tobytes()


LEAF = [1, False, []]
ONE = ["String", LEAF]
MALFORMED = {
    "unknown": ("eval", LEAF, [b"a"]),
    "a class of python": ("DataFrame", LEAF, [b"a"]),
    "object": ("Object", LEAF, [b"a"]),
    "too short": ("Int64", [3, False, []], [bytes(16)]),
    "too long": ("Int64", [2**40, False, []], [bytes(16)]),
    "negative": ("Int64", [-1, False, []], [b""]),
    "no buffer": ("Int64", LEAF, []),
    "a buffer more": ("Int8", LEAF, [b"a", b"b"]),
    "nulls without end": ("Null", [2**62, False, []], []),
    "validity too short": ("Int8", [9, True, []], [b"\xff", bytes(9)]),
    "text beyond": ("String", LEAF, [lengths(9), b"ab"]),
    "text before": ("String", [2, False, []], [lengths(1, 2**32 - 1), b"ab"]),
    "no text": ("String", LEAF, [lengths(1), b"\xff"]),
    "a part of a letter": ("String", [2, False, []], [lengths(1, 1), "é".encode()]),
    "no number": (["Decimal", 10, 2], LEAF, [lengths(1), b"x"]),
    "wide decimal": (["Decimal", 99, 2], LEAF, [lengths(1), b"1"]),
    "number too large": ("Int128", LEAF, [lengths(60), b"9" * 60]),
    "time of no day": ("Time", LEAF, [np.int64(-5).tobytes()]),
    "unknown zone": (["Datetime", "us", "No/Where"], LEAF, [bytes(8)]),
    "unknown unit": (["Datetime", "parsec", None], LEAF, [bytes(8)]),
    "code beyond": (["Enum", ["a"]], LEAF, [lengths(7)]),
    "same members": (["Enum", ["a", "a"]], LEAF, [lengths(0)]),
    "member of no text": (["Enum", [1]], LEAF, [lengths(0)]),
    "category beyond": (["Categorical", None, None], [1, False, [LEAF]], [lengths(7), lengths(1), b"a"]),
    "no category": (["Categorical", None, None], LEAF, [lengths(0)]),
    "list beyond": (["List", "Int8"], [1, False, [LEAF]], [lengths(9), b"a"]),
    "list without child": (["List", "Int8"], LEAF, [lengths(1)]),
    "array beyond": (["Array", "Int8", 2], [1, False, [LEAF]], [b"a"]),
    "array without end": (["Array", "Null", 2**31 - 1], [2**31, False, [[2**31, False, []]]], []),
    "array of less than nothing": (["Array", "Int8", -1], LEAF, [b"a"]),
    "fields of two lengths": (
        ["Struct", [["a", "Int8"], ["b", "Int8"]]],
        [1, False, [LEAF, [2, False, []]]],
        [b"a", b"bc"],
    ),
    "two fields of one name": (["Struct", [["a", "Int8"], ["a", "Int8"]]], [1, False, [LEAF, LEAF]], [b"a", b"b"]),
    "a field less": (["Struct", [["a", "Int8"]]], LEAF, [b"a"]),
    "a type of nothing": ([], LEAF, []),
    "a type of a type": ([["List"]], LEAF, []),
}


@each("name", MALFORMED)
def test_a_malformed_column_is_corrupt(name):
    dtype, node, buffers = MALFORMED[name]
    with pytest.raises(CorruptEntry):
        restore("pl.series", ["s", dtype, node], buffers)


@pytest.mark.parametrize(("ends", "data"), [((1,) * 20_000, b"\xff" * 20_000), ((1,) * 20_000, b"a")])
def test_many_malformed_texts_are_corrupt(ends, data):
    with pytest.raises(CorruptEntry):
        restore("pl.series", ["s", "String", [len(ends), False, []]], [lengths(*ends), data])


def test_a_type_that_is_nested_beyond_all_use_is_corrupt():
    dtype = "Int8"
    for _ in range(10_000):
        dtype = ["List", dtype]
    with pytest.raises(CorruptEntry):
        restore("pl.type", dtype, [])


@pytest.mark.parametrize(
    ("tag", "meta", "buffers"),
    [
        ("pl.frame", [5, [["a", "Int8", LEAF]]], [b"a"]),
        ("pl.frame", [1, [["a", "Int8", LEAF], ["a", "Int8", LEAF]]], [b"a", b"b"]),
        ("pl.frame", [1, [["a", "Int8", LEAF], ["b", "Int8", [2, False, []]]]], [b"a", b"bc"]),
        ("pl.frame", [2**62, []], []),
        ("pl.frame", [-1, []], []),
        ("pl.frame", [1, [[1, "Int8", LEAF]]], [b"a"]),
        ("pl.kind", "DataFrame", []),
        ("pl.kind", "read_csv", []),
        ("pl.schema", [["a", 5]], []),
        ("pl.type", "read_csv", []),
    ],
)
def test_a_malformed_value_is_corrupt(tag, meta, buffers):
    with pytest.raises(CorruptEntry):
        restore(tag, meta, buffers)


@pytest.mark.skipif(IS_YOUNG, reason="this polars has the type")
def test_a_type_of_a_younger_polars_gives_the_pip_line():
    with pytest.raises(MissingDependency, match="pip install -U polars"):
        restore("pl.type", "UInt128", [])


def test_a_missing_polars_gives_the_pip_line(monkeypatch):
    import sys

    from hashstash.serializers.hashstash import types

    encoded = write(pl.DataFrame({"a": [1]}))
    monkeypatch.setattr(types, "_found_by_tag", {})
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingDependency, match=r"pip install 'hashstash\[polars\]'"):
        read(encoded.document, encoded.buffers)


def test_reading_needs_no_pyarrow(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    value = frame().drop("Null")
    encoded = write(value)
    assert_same(read(encoded.document, encoded.buffers), value)
