import datetime as dt
import subprocess
import sys

import pytest

from hashstash.errors import VolatileKey
from hashstash.fingerprint import Fingerprinter

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")


def frame():
    return pd.DataFrame(
        {
            "i": [1, 2, 3],
            "f": [0.5, np.nan, -0.0],
            "s": ["a", None, "c"],
            "b": [True, False, True],
            "c": pd.Categorical(["x", "y", "x"]),
            "d": pd.date_range("2020", periods=3, tz="UTC"),
            "n": pd.array([1, None, 3], dtype="Int64"),
            "o": [[1], {"k": 2}, None],
            "p": pd.period_range("2020", periods=3, freq="D"),
            "v": pd.interval_range(0, 3),
            "t": pd.to_timedelta([1, 2, 3], unit="s"),
            "z": pd.arrays.SparseArray([0, 0, 1]),
        }
    )


CHANGES = {
    "a number": lambda f: f.assign(i=[1, 2, 4]),
    "a dtype": lambda f: f.assign(i=f.i.astype("i4")),
    "int to float": lambda f: f.assign(i=f.i.astype(float)),
    "a missing value": lambda f: f.assign(f=[0.5, 1.0, -0.0]),
    "the sign of zero": lambda f: f.assign(f=[0.5, np.nan, 0.0]),
    "a text": lambda f: f.assign(s=["a", None, "d"]),
    "texts grouped": lambda f: f.assign(s=["a", "c", None]),
    "text to object": lambda f: f.assign(s=pd.Series(["a", None, "c"], dtype=object).where(lambda s: s.notna(), 5)),
    "a category": lambda f: f.assign(c=pd.Categorical(["x", "x", "x"], categories=["x", "y"])),
    "an unused category": lambda f: f.assign(c=f.c.cat.add_categories("w")),
    "ordered": lambda f: f.assign(c=f.c.cat.as_ordered()),
    "a zone": lambda f: f.assign(d=f.d.dt.tz_convert("Europe/Paris")),
    "a masked value": lambda f: f.assign(n=pd.array([1, 2, 3], dtype="Int64")),
    "an object": lambda f: f.assign(o=[[1, 3], {"k": 2}, None]),
    "a period": lambda f: f.assign(p=f.p + 1),
    "a frequency": lambda f: f.assign(p=f.p.dt.asfreq("h")),
    "an interval": lambda f: f.assign(v=pd.interval_range(1, 4)),
    "a side": lambda f: f.assign(v=pd.interval_range(0, 3, closed="left")),
    "a duration": lambda f: f.assign(t=f.t * 2),
    "a sparse value": lambda f: f.assign(z=pd.arrays.SparseArray([0, 2, 1])),
    "a column's name": lambda f: f.rename(columns={"i": "j"}),
    "the order of columns": lambda f: f[["f", "i", *f.columns[2:]]],
    "a column less": lambda f: f.drop(columns="i"),
    "the order of rows": lambda f: f.iloc[::-1],
    "the index": lambda f: f.set_axis([1, 2, 3]),
    "the kind of index": lambda f: f.set_axis([0, 1, 2]),
    "the index's name": lambda f: f.rename_axis("k"),
    "the columns' name": lambda f: f.rename_axis(columns="k"),
    "levels of the index": lambda f: f.set_index(["i", "b"]),
    "attrs": lambda f: attrs(f),
    "flags": lambda f: f.set_flags(allows_duplicate_labels=False),
}


def attrs(frame):
    frame.attrs["k"] = 1
    return frame


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_counts_of(what, digest):
    assert digest(CHANGES[what](frame())) != digest(frame())


@pytest.mark.parametrize("what", CHANGES)
def test_equal_frames_have_equal_digests_with_another(what, digest):
    assert digest(CHANGES[what](frame())) == digest(CHANGES[what](frame()))


def test_a_long_frame_is_not_sampled(digest):
    data = pd.DataFrame({"a": np.zeros(200_000), "b": np.arange(200_000)})
    before = digest(data)
    data.loc[123_456, "a"] = 5
    assert digest(data) != before


def test_blocks_do_not_count(digest):
    together = pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=["a", "b"])
    apart = pd.DataFrame({"a": [0.0, 2.0, 4.0]})
    apart["b"] = [1.0, 3.0, 5.0]
    assert digest(together) == digest(apart)


def test_use_does_not_count(digest):
    data = frame()
    before = digest(data)
    data.index.is_unique, data.s.tolist(), data.groupby("b").size(), repr(data)
    assert digest(data) == before


def test_a_part_of_a_frame_is_its_content(digest):
    data = pd.DataFrame({"s": ["a", "bb", "ccc", None, "e"], "i": range(5)})
    part = data.iloc[1:4]
    assert digest(part) == digest(pd.DataFrame({"s": ["bb", "ccc", None], "i": [1, 2, 3]}, index=pd.RangeIndex(1, 4)))


def test_a_frame_is_not_its_dict_nor_its_column(digest):
    data = pd.DataFrame({"a": [1, 2]})
    assert (
        len(
            {
                digest(data),
                digest(data["a"]),
                digest(data["a"].array),
                digest(data["a"].to_numpy()),
                digest({"a": [1, 2]}),
            }
        )
        == 5
    )


def test_series_and_indexes(digest):
    values = [
        pd.Series([1, 2]),
        pd.Series([1, 2], name="s"),
        pd.Series([1, 2], index=[3, 4]),
        pd.Index([1, 2]),
        pd.Index([1, 2], name="s"),
        pd.RangeIndex(2),
        pd.RangeIndex(3),
        pd.DatetimeIndex(["2020-01-01", "2020-01-02"]),
        pd.DatetimeIndex(["2020-01-01", "2020-01-02"], freq="D"),
        pd.CategoricalIndex(["a", "b"]),
        pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]),
        pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["k", "l"]),
        pd.TimedeltaIndex([1, 2]),
        pd.PeriodIndex(["2020"], freq="D"),
        pd.IntervalIndex.from_breaks([0, 1]),
    ]
    assert len({digest(value) for value in values}) == len(values)
    assert all(digest(value) == digest(value.copy()) for value in values)


def test_scalars(digest):
    values = [
        pd.Timestamp("2020-01-01"),
        pd.Timestamp("2020-01-01", tz="UTC"),
        pd.Timestamp("2020-01-02"),
        dt.datetime(2020, 1, 1),
        pd.Timedelta(1, unit="s"),
        dt.timedelta(seconds=1),
        pd.NaT,
        pd.NA,
        None,
        pd.Period("2020", freq="D"),
        pd.Interval(0, 1),
        pd.offsets.Day(2),
        pd.offsets.Day(3),
        pd.CategoricalDtype(["a"]),
        pd.CategoricalDtype(["b"]),
        pd.Int64Dtype(),
    ]
    assert len({digest(value) for value in values}) == len(values)


def test_frames_are_listed_as_containers():
    data = frame()
    assert Fingerprinter().walk([data, data]).containers[1] is data


def test_a_subclass_keeps_its_metadata(digest):
    class Tagged(pd.DataFrame):
        _metadata = ["tag"]

    one, other = Tagged({"a": [1]}), Tagged({"a": [1]})
    one.tag, other.tag = 1, 2
    assert len({digest(one), digest(other), digest(pd.DataFrame({"a": [1]}))}) == 3


def test_text_columns_of_every_storage(digest):
    pytest.importorskip("pyarrow")
    for dtype in ("string[pyarrow]", "string[python]", object):
        one = pd.Series(["a", None, "c" * 100_000], dtype=dtype)
        other = pd.concat(
            [pd.Series(["a"], dtype=dtype), pd.Series([None, "c" * 100_000], dtype=dtype)], ignore_index=True
        )
        assert digest(one) == digest(other)
        assert digest(one) != digest(pd.Series(["a", "", "c" * 100_000], dtype=dtype))


def test_arrow_values_count_by_type_and_content(digest):
    pa = pytest.importorskip("pyarrow")
    full = pa.array(["x", "a", None, "bb", "y"])
    part = full.slice(1, 3)
    plain = pa.array(["a", None, "bb"])
    assert digest(part) == digest(plain)
    assert digest(pa.chunked_array([part])) == digest(pa.chunked_array([["a"], [None, "bb"]]))
    assert digest(plain) != digest(pa.array(["a", "", "bb"]))
    assert digest(plain) != digest(plain.cast(pa.large_string()))
    assert digest(pa.array([1, None, 3])) != digest(pa.array([1, 0, 3]))
    assert digest(pa.array([1, None, 3])) == digest(pa.array([9, 1, None, 3])[1:])
    assert digest(pa.array([[1], None])) != digest(pa.array([[1], []]))
    assert digest(pa.table({"a": [1, 2]})) != digest(pa.table({"b": [1, 2]}))
    assert digest(pa.scalar(1)) != digest(pa.scalar(1, pa.int8()))
    assert digest(pa.array([True, None])) != digest(pa.array([True, False]))
    assert digest(pa.array([], pa.string())) != digest(pa.array([], pa.int8()))
    assert digest(pa.array([dt.date(2020, 1, 1)])) != digest(pa.array([dt.date(2020, 1, 2)]))


POLARS = """
import sys
import polars
{}
from hashstash.fingerprint import Fingerprinter
frame = polars.DataFrame({{"i": [1, None, 3], "f": [1.5, 2, 3], "s": ["é", None, ""], "l": [[1], None, []], "b": [True, None, False]}})
frame = frame.with_columns(polars.col("i").cast(polars.UInt8).alias("u"), polars.col("f").cast(polars.Float32).alias("f4"))
print(Fingerprinter().digest(frame).hex())
"""


def test_frames_of_polars_do_not_depend_on_what_else_was_imported():
    pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    run = [subprocess.run([sys.executable, "-c", POLARS.format(line)], capture_output=True, text=True, check=True)
           for line in ("", "import numpy", "import pyarrow")]  # fmt: skip
    assert run[0].stdout == run[1].stdout == run[2].stdout != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [([1, None], [1, 0]), (["ab", "c"], ["a", "bc"]), (["", None], [None, ""]), ([1, 2], [1.0, 2.0]), ([[1], []], [[], [1]])],
)  # fmt: skip
def test_columns_of_polars_that_differ(digest, one, other):
    polars = pytest.importorskip("polars")
    assert digest(polars.Series("a", one)) == digest(polars.Series("a", one)) != digest(polars.Series("a", other))


def test_times_of_arrow_count_by_unit_zone_and_moment(digest):
    pa = pytest.importorskip("pyarrow")
    kinds = [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("s", "UTC"), pa.duration("s"), pa.date64(), pa.int64()]
    made = [digest(pa.array([0, None, 86_400_000], pa.int64()).view(kind)) for kind in kinds]
    assert len(set(made)) == len(kinds)
    assert digest(pa.array([0, None], pa.int64()).view(pa.date64())) not in made


def test_an_arrow_array_that_holds_nothing_a_billion_times_is_volatile():
    pa = pytest.importorskip("pyarrow")
    ends, values = pa.array([10**9], pa.int64()), pa.array([1], pa.int64())
    runs = pa.RunEndEncodedArray.from_arrays(ends, values)
    with pytest.raises(VolatileKey, match="says it has 1,000,000,000 elements"):
        Fingerprinter().digest(runs)
    assert Fingerprinter().digest(pa.nulls(1000)) != Fingerprinter().digest(pa.nulls(1001))


def test_the_memory_of_a_short_column_is_not_asked_for(digest, monkeypatch):
    pl = pytest.importorskip("polars")

    def asked(*_):
        raise AssertionError("asked for memory")

    monkeypatch.setattr(pl.Series, "estimated_size", asked)
    assert digest(pl.Series([1, 2])) == digest(pl.Series([1, 2]))
