"""Frames, series and indexes of every kind: odd labels, odd columns, nested Arrow, and what is code."""

import datetime as dt
import decimal

import pytest
from together import each

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash import PLUGIN
from hashstash.serializers.hashstash.document import read, write
from hashstash.serializers.hashstash.types import restore
from hashstash.testing.equality import assert_same

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

NAN = float("nan")


def again(value, kind=bytearray):
    encoded = write(value)
    assert not encoded.is_code
    return read(kind(encoded.document), [memoryview(kind(buffer)) for buffer in encoded.buffers])


def levels():
    return pd.MultiIndex.from_product(
        [pd.date_range("2020", periods=2, tz="UTC", name="when"), pd.CategoricalIndex(["b", "a"], name="c"), [1.5, NAN]]
    )


GRID = np.arange(16.0).reshape(2, 8)
VALUES = {
    "levels on both axes": lambda: pd.DataFrame(np.arange(64.0).reshape(8, 8), index=levels(), columns=levels()),
    "part of levels": lambda: pd.DataFrame(GRID, columns=levels()).iloc[:, 3:6],
    "levels of periods and intervals": lambda: pd.DataFrame(
        {"v": range(4)},
        index=pd.MultiIndex.from_arrays([pd.period_range("2020", periods=4, freq="M"), pd.interval_range(0, 4)]),
    ),
    "names of levels": lambda: pd.DataFrame(GRID, columns=levels().set_names([None, 5, ("x", "y")])),
    "columns of dates": lambda: pd.DataFrame(GRID, columns=pd.date_range("2020", periods=8, freq="ME")),
    "columns of periods": lambda: pd.DataFrame(GRID, columns=pd.period_range("2020", periods=8, freq="Q")),
    "columns of intervals": lambda: pd.DataFrame(GRID, columns=pd.interval_range(0, 8, closed="both")),
    "columns of categories": lambda: pd.DataFrame(GRID, columns=pd.CategoricalIndex(list("abcdefgh"), ordered=True)),
    "columns of bools": lambda: pd.DataFrame(GRID[:, :2], columns=[True, False]),
    "columns of missing": lambda: pd.DataFrame(GRID[:, :4], columns=[None, NAN, pd.NaT, "x"]),
    "columns of everything": lambda: pd.DataFrame(
        GRID, columns=[1, "1", 1.5, None, ("t", 1), b"b", dt.date(2020, 1, 1), True]
    ),
    "duplicate columns of several types": lambda: pd.DataFrame([[1, "x", 2.5, None]], columns=["a", "a", "b", "a"]),
    "no columns and many rows": lambda: pd.DataFrame(index=pd.RangeIndex(1000)),
    "columns without rows": lambda: pd.DataFrame({"a": pd.Series([], dtype="i4"), "b": pd.Series([], dtype="M8[ms]")}),
    "nullable columns without rows": lambda: pd.DataFrame(
        {
            "i": pd.array([], "Int8"),
            "s": pd.array([], "string"),
            "c": pd.Categorical([], ["x"]),
            "b": pd.array([], "boolean"),
        }
    ),
    "mixed objects": lambda: pd.DataFrame({"o": [{"a": {1: (2,)}}, None, NAN, pd.NA, pd.NaT, [1], "x", b"y", 1.5]}),
    "dates as objects": lambda: pd.DataFrame({"d": [dt.date(2020, 1, 1), None], "n": [decimal.Decimal("1.10"), NAN]}),
    "bools with holes": lambda: pd.DataFrame({"b": [True, None, False]}),
    "series in cells": lambda: pd.Series([pd.Series([1, 2], name="in"), pd.DataFrame({"a": ["x"]}), None]),
    "arrays in cells": lambda: pd.DataFrame({"a": [np.arange(3), np.array(["x"], object)]}),
    "functions of types": lambda: pd.Series([int, str, np.float64]),
    **{
        f"moments in {unit}": (
            lambda unit=unit: pd.DataFrame(
                {
                    "t": pd.date_range("2020", periods=3).as_unit(unit),
                    "z": pd.date_range("2020", periods=3, tz="Asia/Tokyo").as_unit(unit),
                }
            )
        )
        for unit in ("s", "ms", "us", "ns")
    },
    **{
        f"durations in {unit}": (lambda unit=unit: pd.to_timedelta([1, None, -3], unit="D").as_unit(unit))
        for unit in ("s", "ms", "us", "ns")
    },
    "durations with a frequency": lambda: pd.Series(range(3), index=pd.timedelta_range("0s", periods=3, freq="90min")),
    "moments beyond nanoseconds": lambda: pd.Series(np.array(["0001-01-01", "9999-12-31", "NaT"], "M8[s]")),
    "unused categories": lambda: pd.Series(pd.Categorical(["a", None], categories=["z", "a", "unused"])),
    "ordered categories": lambda: pd.Series(pd.Categorical([2, 1], categories=[3, 1, 2], ordered=True)),
    "no categories": lambda: pd.Series(pd.Categorical([None, None])),
    "categories of moments": lambda: pd.Series(pd.Categorical(pd.date_range("2020", periods=3, tz="UTC"))),
    "categories of intervals": lambda: pd.cut([1, 5, 9], [0, 3, 6, 9]),
    "categories of objects": lambda: pd.Categorical([("a", 1), ("b", 2), ("a", 1)]),
    "categories of bools": lambda: pd.Categorical([True, False, True]),
    "many categories": lambda: pd.Categorical([f"c{i}" for i in range(300)]),
    "index of categories": lambda: pd.DataFrame({"v": [1, 2]}, index=pd.CategoricalIndex(["b", "a"], name="c")),
    "sparse": lambda: pd.DataFrame(
        {"s": pd.arrays.SparseArray([0, 0, 1.5], fill_value=0), "b": pd.arrays.SparseArray([True, False, False])}
    ),
    "sparse from a frame": lambda: pd.DataFrame(np.eye(4)).astype(pd.SparseDtype("float", 0)),
    "sparse objects": lambda: pd.arrays.SparseArray(["a", "b", "a"], fill_value="a"),
    "intervals of moments with a zone": lambda: pd.Series(pd.interval_range(pd.Timestamp("2020", tz="UTC"), periods=3)),
    "intervals with holes": lambda: pd.arrays.IntervalArray.from_tuples([(0, 1), NAN, (2.5, 3)], closed="neither"),
    "periods with holes": lambda: pd.Series(
        pd.PeriodIndex(["2020-01-01", "NaT"], freq="B" if pd.__version__ < "2" else "D")
    ),
    **{
        f"nullable {name}": (
            lambda name=name: pd.Series(pd.array([1, None, 0], name), index=pd.array([1, None, 0], name))
        )
        for name in ("Int8", "UInt64", "Float32")
    },
    "nullable bools": lambda: pd.Series([1, 2, 3], index=pd.array([True, None, False], "boolean")),
    "nested attributes": lambda: _with_attributes(
        pd.DataFrame({"a": [1]}), {"k": {"list": [1, (2,)], "at": pd.Timestamp("2020")}, 5: None}
    ),
    "attributes of a series": lambda: _with_attributes(pd.Series([1]), {"unit": "m"}),
    "an index over memory": lambda: pd.Index(np.arange(10)[::2], name=""),
    "an index of bytes": lambda: pd.Index([b"a", b"b"]),
    "an index of complex numbers": lambda: pd.Index([1j, 2]),
    "an index of small floats": lambda: pd.Index(np.array([1, 2], "f4")),
    "an index of bools": lambda: pd.Index([True, False]),
    "an index of dates": lambda: pd.Index([dt.date(2020, 1, 1)], dtype=object),
    "an empty range": lambda: pd.RangeIndex(0),
    "a range downwards": lambda: pd.RangeIndex(10, 0, -3),
    "a long series": lambda: pd.Series(np.arange(20_000), index=pd.Index([f"row {i}" for i in range(20_000)])),
    "wide": lambda: pd.DataFrame({f"c{i}": [i, float(i), str(i)][i % 3 :][:1] for i in range(300)}),
}


def _with_attributes(value, attributes):
    value.attrs = attributes
    return value


@pytest.mark.parametrize("kind", [bytes, bytearray])
@each("name", VALUES)
def test_values_come_back_the_same(name, kind):
    assert_same(again(VALUES[name](), kind), VALUES[name]())


@each("name", VALUES)
def test_values_of_a_graph_come_back_the_same(name):
    value = [VALUES[name]()]
    value.append(value)
    encoded = PLUGIN.dumps(value)
    assert not encoded.is_code
    assert_same(PLUGIN.loads(encoded)[0], VALUES[name]())


class TestNestedArrow:
    @staticmethod
    def columns():
        pa = pytest.importorskip("pyarrow")
        words = pa.DictionaryArray.from_arrays(pa.array([0, None, 1]), pa.array(["x", "y"]))
        return {
            "lists": pa.array([[1, 2], None, []]),
            "large lists": pa.array([["a"], None, []], pa.large_list(pa.string())),
            "fixed lists": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int8(), 2)),
            "structs": pa.array([{"a": 1, "b": ["x"]}, None, {"a": None, "b": []}]),
            "maps": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
            "dictionary": words,
            "nulls": pa.nulls(3),
            "views": pa.array(["a", None, "a text of more than twelve bytes"], pa.string_view()),
            "fixed bytes": pa.array([b"ab", None, b"cd"], pa.binary(2)),
            "wide decimals": pa.array([1, None, 3], pa.decimal256(50, 2)),
            "times": pa.array([1000, None, 3000], pa.time64("ns")),
            "durations": pa.array([1, None, 3], pa.duration("us")),
            "flat": pa.array([1, None, 3]),
        }

    NAMES = (
        *("lists", "large lists", "fixed lists", "structs", "maps", "dictionary", "nulls", "views", "fixed bytes"),
        *("wide decimals", "times", "durations", "flat"),
    )

    def array(self, name):
        return pd.arrays.ArrowExtensionArray(self.columns()[name])

    @pytest.mark.parametrize("name", NAMES)
    def test_series_come_back_the_same(self, name):
        series = pd.Series(self.array(name), name=name, index=list("abc"))
        made = again(series)
        assert made.dtype == series.dtype
        assert made.array._pa_array.equals(series.array._pa_array)
        assert made.index.equals(series.index)

    @pytest.mark.parametrize("name", NAMES)
    def test_dtypes_come_back_the_same(self, name):
        dtype = self.array(name).dtype
        assert again(dtype) == dtype

    def test_what_was_written_before_nested_types_is_read(self):
        """A flat column is the type, the length and the buffers of one array."""
        meta, buffers = ["int64", 3, [True, True]], [b"\x05", np.array([1, 2, 3]).tobytes()]
        assert restore("pd.arrow", meta, buffers)._pa_array.to_pylist() == [1, None, 3]

    def test_a_frame_of_all_of_them_comes_back(self):
        pa = pytest.importorskip("pyarrow")
        frame = pd.DataFrame({name: self.array(name) for name in self.NAMES})
        made = again(frame)
        assert made.dtypes.equals(frame.dtypes)
        assert pa.Table.from_pandas(made).equals(pa.Table.from_pandas(frame))

    @pytest.mark.parametrize("name", ["flat", "fixed bytes", "times", "durations", "wide decimals"])
    def test_indexes_and_categories_come_back(self, name):
        values = self.array(name)[[0, 2]]
        index = pd.Index(values, name="n")
        assert_same(again(index), index)
        categories = pd.Categorical.from_codes([1, -1, 0], categories=index)
        assert_same(again(categories), categories)
        levels = pd.MultiIndex.from_arrays([values, ["a", "b"]])
        assert_same(again(levels), levels)

    def test_a_slice_does_not_store_the_whole(self):
        pa = pytest.importorskip("pyarrow")
        series = pd.Series(pd.arrays.ArrowExtensionArray(pa.array([[i, i] for i in range(5000)])))
        encoded = write(series.iloc[100:102])
        assert len(encoded.document) + sum(memoryview(buffer).nbytes for buffer in encoded.buffers) < 1000

    def test_what_is_no_chunked_array_is_corrupt(self):
        pytest.importorskip("pyarrow")
        for meta in ("x", {}, None):
            with pytest.raises(CorruptEntry):
                restore("pd.arrow", meta, [])


def grouped(frame):
    return frame.groupby("k")["v"].sum().to_dict()


TABLE = pd.DataFrame({"k": ["a", "b", "a"], "v": [1, 2, 3]})


def test_a_grouped_frame_is_code_and_works():
    encoded = PLUGIN.dumps(TABLE.groupby("k"))
    assert encoded.is_code
    assert PLUGIN.loads(encoded)["v"].sum().to_dict() == {"a": 4, "b": 2}


class Child(pd.DataFrame):
    _metadata = ["unit"]

    @property
    def _constructor(self):
        return Child


class ChildSeries(pd.Series):
    @property
    def _constructor(self):
        return ChildSeries


def test_a_subclass_is_code_and_stays_one():
    frame = Child({"a": [1, 2]})
    frame.unit = "m"
    encoded = PLUGIN.dumps([frame, ChildSeries([1], name="s")])
    made, series = PLUGIN.loads(encoded)
    assert encoded.is_code
    assert (type(made).__name__, made.unit, made["a"].tolist()) == ("Child", "m", [1, 2])
    assert (type(series).__name__, series.name, series.tolist()) == ("ChildSeries", "s", [1])


def test_writing_leaves_a_frame_alone():
    frame = VALUES["levels on both axes"]()
    before = frame.copy(deep=True)
    again(frame)
    assert_same(frame, before)


def test_two_reads_share_nothing():
    encoded = write(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    buffers = [bytes(buffer) for buffer in encoded.buffers]
    first, second = (read(bytes(encoded.document), buffers) for _ in range(2))
    first.loc[0, "a"] = 99
    assert second.loc[0, "a"] == 1
