"""Pandas values in plain documents, with the msgpack packages and without."""

from contextlib import nullcontext

import pytest
from together import each

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.document import NeedsGraph, plain_python, read, write
from hashstash.testing.equality import assert_same

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")


@pytest.fixture(params=["packages", "plain"], autouse=True)
def writer(request):
    if request.param == "packages":
        pytest.importorskip("msgpack")
        pytest.importorskip("msgspec")
    with plain_python() if request.param == "plain" else nullcontext():
        yield request.param


def again(value, kind=bytearray):
    encoded = write(value)
    return read(kind(encoded.document), [memoryview(kind(buffer)) for buffer in encoded.buffers])


def columns():
    return {
        "float": np.arange(4.0),
        "second float": [0.5, float("nan"), float("inf"), -0.0],
        "int": range(4),
        "small": np.arange(4, dtype="i1"),
        "bool": [True, False, True, False],
        "text": ["a", "", None, "é"],
        "objects": [1, "a", None, [2]],
        "python text": np.array(["a", None, "c", "d"], object),
        "complex": [1j, 2, 3, 4],
        "dates": pd.date_range("2020", periods=4),
        "milliseconds": pd.date_range("2020", periods=4).as_unit("ms"),
        "UTC": pd.date_range("2020", periods=4, tz="UTC"),
        "zone": pd.date_range("2020", periods=4, tz="Europe/Paris"),
        "same zone": pd.date_range("2021", periods=4, tz="Europe/Paris"),
        "offset": pd.to_datetime(["2020-01-01 00:00+02:00"] * 4),
        "durations": pd.to_timedelta([1, 2, None, 4], unit="h"),
        "categories": pd.Categorical(["x", "y", None, "x"], categories=["y", "x", "z"], ordered=True),
        "number categories": pd.Categorical([3, 1, 3, 1]),
        "Int64": pd.array([1, None, 3, 4], dtype="Int64"),
        "UInt8": pd.array([1, None, 3, 4], dtype="UInt8"),
        "Float32": pd.array([1, None, 3, 4], dtype="Float32"),
        "boolean": pd.array([True, None, False, True], dtype="boolean"),
        "string": pd.array(["a", None, "c", "é"], dtype="string"),
        "string in Python": pd.array(["a", None, "c", "é"], dtype=pd.StringDtype("python")),
        "months": pd.period_range("2020-01", periods=4, freq="M"),
        "quarters": pd.PeriodIndex(["2020Q1", "NaT", "2020Q3", "2020Q4"], freq="Q-NOV"),
        "intervals": pd.interval_range(0, 4),
        "intervals of dates": pd.interval_range(pd.Timestamp("2020"), periods=4, closed="left"),
        "sparse": pd.arrays.SparseArray([0, 0, 1, 0]),
        "sparse floats": pd.arrays.SparseArray([np.nan, 0, 1, np.nan], kind="block"),
    }


def arrow_columns():
    pytest.importorskip("pyarrow")
    return {
        "string in Arrow": pd.array(["a", None, "c", "é"], dtype=pd.StringDtype("pyarrow")),
        "no string missing": pd.array(["a", "b", "", "é"], dtype=pd.StringDtype("pyarrow")),
        "Arrow int": pd.array([1, None, 3, 4], dtype="int64[pyarrow]"),
        "Arrow bool": pd.array([True, None, False, True], dtype="bool[pyarrow]"),
        "Arrow string": pd.array(["a", None, "b", "c"], dtype="string[pyarrow]"),
        "Arrow moments": pd.array(pd.date_range("2020", periods=4), dtype="timestamp[us][pyarrow]"),
        "Arrow decimals": pd.array([1, None, 2, 3], dtype=pd.ArrowDtype(__import__("pyarrow").decimal128(10, 2))),
        "Arrow zone": pd.array(
            pd.date_range("2020", periods=4, tz="UTC"),
            dtype=pd.ArrowDtype(__import__("pyarrow").timestamp("us", "Europe/Paris")),
        ),
    }


def frame():
    return pd.DataFrame(columns())


def labelled():
    made = frame().set_index(pd.date_range("2020", periods=4, freq="D", tz="Europe/Paris", name="when"))
    made.attrs = {"source": {"url": "x", "seen": (1, 2)}}
    return made


def grid():
    return pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=list("abc"))


FRAMES = {
    "of every dtype": frame,
    "labelled": labelled,
    "of Arrow": lambda: pd.DataFrame(arrow_columns()),
    "rows of Arrow": lambda: pd.DataFrame(arrow_columns()).iloc[1:3],
    "some rows": lambda: frame().iloc[1:3],
    "every other row": lambda: frame().iloc[::2],
    "no rows": lambda: frame().iloc[:0],
    "no columns": lambda: frame()[[]],
    "nothing": pd.DataFrame,
    "an index only": lambda: pd.DataFrame(index=["a", "b"]),
    "columns only": lambda: pd.DataFrame(columns=["a", "b"]),
    "from one array": grid,
    "transposed": lambda: grid().T,
    "duplicate columns": lambda: pd.DataFrame([[1, 2.5, "x"]], columns=["a", "a", "b"]),
    "no duplicates allowed": lambda: grid().set_flags(allows_duplicate_labels=False),
    "index of two levels": lambda: frame().set_index(["int", "text"]),
    "columns of two levels": lambda: pd.DataFrame(
        np.eye(2), columns=pd.MultiIndex.from_tuples([("a", 1), ("b", None)], names=["x", None])
    ),
    "pivoted": lambda: frame().pivot_table(index="int", columns="bool", values="float"),
    "grouped": lambda: frame().groupby("bool", observed=True)[["float", "int"]].agg(["sum", "mean"]),
    "described": lambda: grid().describe(),
    "number columns": lambda: pd.DataFrame({0: [1], 1.5: [2], "x": [3], ("t", 1): [4]}),
    "named columns": lambda: grid().rename_axis(columns="letters"),
    "columns added one by one": lambda: grid().assign(d=1.5, e=2.5, f="x"),
    "concatenated": lambda: pd.concat([frame(), frame()]),
    "many rows": lambda: pd.DataFrame({"n": np.arange(5000), "s": [f"row {i}" for i in range(5000)]}),
    "frames in a dict": lambda: pd.DataFrame({"cell": [{"inner": 1}, [pd.Timestamp("2020")]]}),
}
INDEXES = {
    "range": lambda: pd.RangeIndex(3, 9, 2, name=("a", 1)),
    "plain": lambda: pd.Index([3, 1, 2], name="n"),
    "objects": lambda: pd.Index([1, "a", None], dtype=object),
    "tuples": lambda: pd.Index([(1, 2), (3,)], tupleize_cols=False),
    "months": lambda: pd.date_range("2020", periods=5, freq="ME"),
    "business days": lambda: pd.date_range("2020", periods=5, freq="B", tz="UTC"),
    "hours": lambda: pd.timedelta_range("1h", periods=3, freq="h"),
    "no frequency": lambda: pd.DatetimeIndex(["2020-01-05", "2020-01-01", "NaT"]),
    "periods": lambda: pd.period_range("2020", periods=3, freq="2W-SUN"),
    "intervals": lambda: pd.IntervalIndex.from_breaks([0.0, 1.0, 2.5], closed="both", name="i"),
    "categories": lambda: pd.CategoricalIndex(["a", "b", "a"], categories=["b", "a"], name="c"),
    "levels": lambda: pd.MultiIndex.from_product([[1, 2], ["a", None]], names=["x", "x"]),
    "unused levels": lambda: pd.MultiIndex.from_product([[1, 2], ["a", "b"]])[:1],
    "no levels": lambda: pd.MultiIndex.from_arrays([[], []]),
}
SCALARS = {
    "moment": lambda: pd.Timestamp("2020-01-02 03:04:05.123456789"),
    "seconds": lambda: pd.Timestamp(5, unit="s").as_unit("s"),
    "zoned": lambda: pd.Timestamp("2020-06-01", tz="Europe/Paris"),
    "first of two": lambda: pd.Timestamp("2020-10-25 02:30").tz_localize("Europe/Paris", ambiguous=True),
    "second of two": lambda: pd.Timestamp("2020-10-25 02:30").tz_localize("Europe/Paris", ambiguous=False),
    "offset": lambda: pd.Timestamp("2020-01-01 00:00+03:30"),
    "fold": lambda: pd.Timestamp("2020-01-01").replace(fold=1),
    "duration": lambda: pd.Timedelta("-1D 5ns"),
    "milliseconds": lambda: pd.Timedelta("1D").as_unit("ms"),
    "missing": lambda: [pd.NaT, pd.NA],
    "period": lambda: pd.Period("2020Q1", freq="Q-NOV"),
    "weeks": lambda: pd.Period("2020-01-01", freq="2W-SUN"),
    "interval": lambda: pd.Interval(0, 1.5, "neither"),
    "frequencies": lambda: [pd.offsets.MonthEnd(2), pd.offsets.Week(weekday=2), pd.offsets.Day(), pd.offsets.Hour(3)],
    "dtypes": lambda: [
        *(pd.CategoricalDtype(["a", "b"], True), pd.CategoricalDtype(), pd.DatetimeTZDtype("ns", "UTC")),
        *(pd.PeriodDtype("2M"), pd.IntervalDtype("int64", "left"), pd.IntervalDtype(), pd.SparseDtype("float", 0.0)),
        *(pd.StringDtype(), pd.StringDtype("python"), pd.Int64Dtype(), pd.BooleanDtype(), pd.Float32Dtype()),
    ],
    "keys": lambda: {pd.Timestamp("2020"): 1, pd.Timedelta("1D"): 2, pd.Interval(0, 1): 3},
}


@each("name", FRAMES)
def test_frames_come_back_the_same(name):
    assert_same(again(FRAMES[name]()), FRAMES[name]())


@pytest.mark.parametrize("name", columns())
def test_series_come_back_the_same(name):
    series = pd.Series(columns()[name], name=name)
    assert_same(again(series), series)


@pytest.mark.parametrize("name", ["labelled series", ("a", 1), None, 5])
def test_names_of_series_come_back(name):
    series = labelled()["float"].rename(name)
    assert_same(again(series), series)


@pytest.mark.parametrize("name", columns())
def test_indexes_of_every_dtype_come_back_the_same(name):
    index = pd.Index(columns()[name], name=name)
    assert_same(again(index), index)


@pytest.mark.parametrize("name", INDEXES)
def test_indexes_come_back_the_same(name):
    assert_same(again(INDEXES[name]()), INDEXES[name]())


@pytest.mark.parametrize("name", SCALARS)
def test_single_values_come_back_the_same(name):
    assert_same(again(SCALARS[name]()), SCALARS[name]())


@each("name", [*FRAMES])
def test_both_writers_write_the_same_bytes(name):
    pytest.importorskip("msgpack")
    value = FRAMES[name]()
    with plain_python():
        ours = write(value)
    theirs = write(value)
    assert bytes(ours.document) == bytes(theirs.document)
    assert [bytes(buffer) for buffer in ours.buffers] == [bytes(buffer) for buffer in theirs.buffers]


def test_arrays_of_pandas_are_values():
    for value in columns().values():
        array = pd.Series(value).array
        assert_same(again(array), array)


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_frames_come_back_writable(kind):
    made = again(grid(), kind)
    made.iloc[0, 0] = 99.0
    made["a"] += 1
    assert made["a"].tolist() == [100.0, 4.0, 7.0, 10.0]
    assert_same(again(grid(), kind), grid())


def test_a_frame_can_grow_and_be_sorted():
    made = again(frame())
    made["new"] = made["float"] * 2
    made.loc[10] = made.loc[0]
    assert made.sort_values("int").shape == (5, len(columns()) + 1)


def test_many_columns_of_one_dtype_are_one_buffer():
    made = pd.DataFrame(np.zeros((100, 500)))
    assert len(write(made).buffers) == 1


def test_numbers_are_not_copied_when_written():
    values = np.arange(10_000.0).reshape(5000, 2)
    (buffer,) = write(pd.DataFrame(values, copy=False)).buffers
    assert np.shares_memory(np.frombuffer(buffer), values)


def test_a_slice_does_not_store_the_whole():
    pytest.importorskip("pyarrow")
    series = pd.Series([f"row {i}" for i in range(10_000)], dtype=pd.StringDtype("pyarrow"))
    encoded = write(series.iloc[5000:5010])
    assert len(encoded.document) + sum(len(buffer) for buffer in encoded.buffers) < 2000


class Child(pd.DataFrame):
    pass


@pytest.mark.parametrize(
    "value",
    [Child({"a": [1]}), type("Own", (pd.offsets.DateOffset,), {})(months=1)],
    ids=["subclass", "offset"],
)
def test_what_a_hook_would_lose_needs_a_graph(value):
    with pytest.raises(NeedsGraph):
        write([value])


RANGE = ["a", "b"]


def frame_meta(**changes):
    parts = {
        "blocks": [[[0, 1], np.zeros((2, 3))]],
        "index": pd.RangeIndex(3),
        "columns": pd.Index(["a", "b"]),
        "attrs": {},
        "flags": True,
        **changes,
    }
    return list(parts.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"blocks": [[[0], np.zeros((1, 3))]]},
        {"blocks": [[[0, 0], np.zeros((2, 3))]]},
        {"blocks": [[[0, 5], np.zeros((2, 3))]]},
        {"blocks": [[[0, 1], np.zeros((2, 4))]]},
        {"blocks": [[[0, 1], np.zeros((3, 3))]]},
        {"blocks": [[[0, 1], np.zeros(3)]]},
        {"blocks": [[[0, 1], [1, 2, 3]]]},
        {"blocks": [[["a", 1], np.zeros((2, 3))]]},
        {"blocks": 5},
        {"index": [0, 1, 2]},
        {"columns": ["a", "b"]},
        {"attrs": []},
        {"flags": 1},
    ],
)
def test_a_malformed_frame_is_corrupt(changes):
    from hashstash.serializers.hashstash.types import restore

    with pytest.raises(CorruptEntry):
        restore("pd.frame", frame_meta(**changes), [])


@pytest.mark.parametrize(
    ("tag", "meta"),
    [
        ("pd.series", [np.zeros(2), pd.RangeIndex(3), None, {}, True]),
        ("pd.index", [[1, 2], None, None]),
        ("pd.index", [np.arange(3), None, "D"]),
        ("pd.range", [0, "a", 1, None]),
        ("pd.multi", [[pd.Index(["a"])], [np.array([5])], [None]]),
        ("pd.multi", [[pd.Index(["a"])], [np.array([0.5])], [None]]),
        ("pd.categorical", [pd.CategoricalDtype(["a"]), np.array([5], "i1")]),
        ("pd.categorical", ["category", np.array([0], "i1")]),
        ("pd.moments", [np.zeros(2), None, None]),
        ("pd.moments", [np.zeros(2, "M8[ns]"), "UTC", None]),
        ("pd.periods", [np.zeros(2), pd.PeriodDtype("M")]),
        ("pd.nullable", ["Int64", np.zeros(2), np.zeros(2, bool)]),
        ("pd.nullable", ["Int65", np.zeros(2, "i8"), np.zeros(2, bool)]),
        ("pd.sparse", [np.zeros(2), np.array([0, 9], "i4"), 3, "integer", pd.SparseDtype("float")]),
        ("pd.freq", "os.system"),
        ("pd.dtype", ["eval", 1]),
        ("pd.period", [1, "period", "nonsense"]),
        ("pd.timestamp", [1, "parsec", None, 0]),
        ("pd.interval", [2, 1, "left"]),
    ],
)
def test_a_malformed_pandas_value_is_corrupt(tag, meta):
    from hashstash.serializers.hashstash.types import restore

    with pytest.raises(CorruptEntry):
        restore(tag, meta, [])


def offsets(*ends):
    return np.array(ends, "<i8").tobytes()


@pytest.mark.parametrize("storage", ["python", "pyarrow"])
@pytest.mark.parametrize(
    ("count", "buffers"),
    [
        (2, [offsets(0, 1, 9), b"ab", b""]),
        (2, [offsets(0, 2, 1), b"ab", b""]),
        (2, [offsets(0, 1), b"ab", b""]),
        (2, [offsets(-5, 1, 2), b"ab", b""]),
        (1, [offsets(0, 1), b"\xff", b""]),
        (2, [offsets(0, 1, 2), "é".encode(), b""]),
        (2, [offsets(3, 4, 5), b"ab", b""]),
        (2**40, [offsets(0, 1), b"a", b""]),
        (-1, [offsets(0, 1), b"a", b""]),
    ],
)
def test_malformed_strings_are_corrupt(storage, count, buffers):
    from hashstash.serializers.hashstash.types import restore

    if storage == "pyarrow":
        pytest.importorskip("pyarrow")
    with pytest.raises(CorruptEntry):
        restore("pd.strings", [storage, "na", count], buffers)
