"""A stash as a pandas DataFrame: its index, its columns, and their types."""

import datetime as dt
import enum
import subprocess
import sys
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

pd = pytest.importorskip("pandas")
np = pytest.importorskip("numpy")

from pandas.testing import assert_frame_equal, assert_series_equal  # noqa: E402

from hashstash import HashStash  # noqa: E402
from hashstash.frames import to_frame  # noqa: E402

TEXT = pd.Series(["text"]).dtype
MOMENT = pd.Series([dt.datetime(2024, 1, 1)]).dtype


def column(cells):
    """The column of a stash whose values have these cells; ``...`` stands for a missing field."""
    return to_frame([{} if cell is ... else {"a": cell} for cell in cells])["a"]


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


# ---- index -------------------------------------------------------------------------------------------------------


def test_the_index_is_the_key(stash):
    stash.update({"x": {"a": 1}, "y": {"a": 2}})
    expected = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="_key"))
    assert_frame_equal(stash.df.sort_index(), expected)
    assert_frame_equal(stash.assemble_df(), stash.df)


def test_a_frame_of_a_stash_is_a_plain_frame(stash):
    stash["x"] = 1
    assert type(stash.df) is pd.DataFrame


def test_there_is_no_level_for_dict_keys(stash):
    stash[{"name": "cat"}] = {"a": 1}
    assert_frame_equal(stash.df, pd.DataFrame({"name": ["cat"], "a": [1]}))


def test_there_is_no_level_for_functions(stash):
    def double(x):
        return {"twice": 2 * x}

    stash.run(double, 4)
    assert_frame_equal(double.stash.df, pd.DataFrame({"twice": [8]}))


def test_dict_keys_beside_others_have_no_label(stash):
    stash[{"name": "cat"}] = {"a": 1}
    stash["dog"] = {"a": 2}
    frame = stash.df
    assert frame.index.name == "_key"
    assert frame.loc["dog", "a"] == 2
    assert frame[frame.index.isna()]["name"].tolist() == ["cat"]


def test_versions_are_levels(opened):
    stash = opened(append_mode=True)
    stash["cat"] = {"goodness": "good"}
    stash["cat"] = {"goodness": "bad"}
    frame = stash.assemble_df(with_metadata=True)
    assert frame.index.names == ["_key", "_version", "_timestamp"]
    assert frame["goodness"].tolist() == ["good", "bad"]
    assert frame.index.get_level_values("_version").tolist() == [1, 2]
    times = [version["_timestamp"] for version in stash.get_all("cat", with_metadata=True)]
    assert frame.index.get_level_values("_timestamp").tolist() == times
    assert frame.loc["cat"].shape == (2, 1)
    assert stash.df["goodness"].tolist() == ["bad"]


def test_versions_under_dict_keys(opened):
    stash = opened(append_mode=True)
    stash[{"name": "cat"}] = {"goodness": "good"}
    stash[{"name": "cat"}] = {"goodness": "bad"}
    frame = stash.assemble_df(with_metadata=True)
    assert frame.index.names == ["_version", "_timestamp"]
    assert frame.reset_index(drop=True).to_dict("list") == {"name": ["cat", "cat"], "goodness": ["good", "bad"]}


def test_arguments_are_levels(stash):
    def add(a, b=0, *, c=0):
        return a + b + c

    stash.run(add, 1)
    stash.run(add, 2, 3, c=4)
    frame = add.stash.assemble_df(with_metadata=True)
    assert frame.index.names == ["_arg1", "_arg2", "_kw.c", "_version", "_timestamp"]
    assert frame.xs(2, level="_arg1")["_value"].tolist() == [9]


def test_more_than_nine_arguments_stand_in_order(stash):
    def total(*numbers):
        return sum(numbers)

    stash.run(total, *range(11))
    names = total.stash.assemble_df(with_metadata=True).index.names
    assert names == [*(f"_arg{number}" for number in range(1, 12)), "_version", "_timestamp"]


@pytest.mark.parametrize("with_metadata", [False, True])
def test_keys_of_every_kind_are_labels(opened, with_metadata):
    stash = opened()
    keys = [1, 1.0, True, "1", (1, 2), ("a", (1,)), None, b"x", frozenset({1}), dt.date(2024, 1, 2), float]
    for key in keys:
        stash[key] = {"a": repr(key)}
    frame = stash.assemble_df(with_metadata=with_metadata)
    labels = frame.index.get_level_values("_key")
    found = dict(zip(frame["a"], labels, strict=True))
    assert all(repr(label) == text for text, label in found.items() if text != "None")
    assert pd.isna(found["None"])


@pytest.mark.parametrize("with_metadata", [False, True])
def test_tuple_keys_stay_whole(stash, with_metadata):
    stash[("a", 1)] = 5
    stash[("b", 2)] = 6
    frame = stash.assemble_df(with_metadata=with_metadata)
    assert sorted(frame.index.get_level_values("_key")) == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("with_metadata", [False, True])
def test_keys_without_a_hash_stand_for_themselves(stash, with_metadata):
    stash[[1, [2]]] = "list"
    stash[{1: 2}, "x"] = "dict in a tuple"
    stash["x"] = "text"
    frame = stash.assemble_df(with_metadata=with_metadata)
    labels = set(frame.index.get_level_values("_key"))
    assert labels == {(1, (2,)), (((1, 2),), "x"), "x"}
    assert "text" in repr(frame)


def test_arrays_as_arguments_stand_as_text(stash):
    def total(array):
        return float(array.sum())

    stash.run(total, np.arange(3))
    frame = total.stash.assemble_df(with_metadata=True)
    assert frame.index.get_level_values("_arg1").tolist() == [repr(np.arange(3))]
    (row,) = total.stash.assemble_ld(with_metadata=True)
    assert row["_arg1"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "with_metadata, names", [(False, ["_key"]), (True, ["_key", "_version", "_timestamp"])], ids=["plain", "metadata"]
)
def test_an_empty_stash_is_an_empty_frame_with_an_index(stash, with_metadata, names):
    frame = stash.assemble_df(with_metadata=with_metadata)
    assert frame.shape == (0, 0)
    assert frame.index.names == names
    assert stash.assemble_df(columns=["b", "a"]).columns.tolist() == ["b", "a"]


def test_an_index_is_there_when_no_row_is(stash):
    stash["k"] = {"a": 1}
    assert stash.assemble_df(where={"_key": "other"}).index.names == ["_key"]
    assert stash.assemble_df(where={"a": 2}).index.names == ["_key"]
    del stash["k"]
    stash[{"name": "cat"}] = {"a": 1}
    assert stash.assemble_df(where={"_key": "other"}).index.names == [None]
    assert stash.assemble_df(where={"a": 2}).index.names == [None]


def test_a_functions_empty_stash(stash):
    @stash.stashed_result
    def never():
        return 1

    assert never.stash.df.index.names == [None]
    assert never.stash.assemble_df(with_metadata=True).index.names == ["_version", "_timestamp"]


def test_empty_values_keep_their_keys(stash):
    stash.update({"a": [], "b": {}, "c": pd.DataFrame(), "d": np.zeros(0)})
    frame = stash.df
    assert sorted(frame.index) == ["a", "b", "c", "d"]
    assert frame.shape == (4, 0)
    stash["e"] = {"x": 1}
    assert stash.df["x"].isna().tolist().count(True) == 4


# ---- columns -----------------------------------------------------------------------------------------------------


def test_columns_stand_as_they_were_first_seen():
    frame = to_frame([{"b": 1, "a": 2}, {"a": 3, "c": 4}, {"0": 5, "b": 6}])
    assert frame.columns.tolist() == ["b", "a", "c", "0"]


def test_nested_values(stash):
    stash.update({number: {"name": "x", "etc": {"age": number, "at": {"y": True}}} for number in range(300)})
    frame = stash.df
    assert frame.columns.tolist() == ["name", "etc.age", "etc.at.y"]
    assert frame["etc.age"].tolist() == frame.index.tolist()
    assert frame.dtypes.tolist() == [TEXT, np.dtype("int64"), np.dtype("bool")]


def test_the_choice_of_columns_and_rows(stash):
    stash.update({number: {"a": number, "b": {"c": -number}, "d": "x"} for number in range(300)})
    frame = stash.assemble_df(columns=["b", "a"], where={"a__ge": 298}).sort_index()
    assert_frame_equal(
        frame, pd.DataFrame({"b.c": [-298, -299], "a": [298, 299]}, index=pd.Index([298, 299], name="_key"))
    )


def test_a_column_that_was_asked_for_is_there_when_no_row_is(stash):
    stash["k"] = {"a": 1, "b": {"c": 2}}
    assert stash.assemble_df(columns=["b.c", "a"], where={"a__gt": 1}).columns.tolist() == ["b.c", "a"]
    assert stash.assemble_df(where={"a__gt": 1}).shape == (0, 0)


def test_names_that_arrow_cannot_hold():
    frame = to_frame([{"a\ud800": "\ud800"}, {"a\ud800": "b"}])
    assert frame["a\ud800"].tolist() == ["\ud800", "b"]


# ---- types -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cells, dtype",
    [
        ([1, 2], "int64"),
        ([1, ..., 2], "Int64"),
        ([1, None, 2], "Int64"),
        ([True, False], "bool"),
        ([True, ...], "boolean"),
        ([True, None], "boolean"),
        ([1.5, 2.5], "float64"),
        ([1.5, ..., None], "float64"),
        ([1, 2.5], "float64"),
        ([1, 2.5, ...], "float64"),
        (["a", "b"], TEXT),
        (["a", ...], TEXT),
        (["a", None], TEXT),
        (["a", float("nan")], TEXT),
        ([dt.datetime(2024, 1, 1), dt.datetime(2025, 1, 1)], MOMENT),
        ([dt.datetime(2024, 1, 1), ..., None], MOMENT),
        ([dt.timedelta(1), ...], pd.Series([dt.timedelta(1)]).dtype),
        ([np.int64(1), np.int32(2)], "int64"),
        ([np.int64(1), ...], "Int64"),
        ([np.float64(1.5), 2], "float64"),
        ([np.bool_(True), None], "boolean"),
        ([pd.Timestamp("2024-01-01"), pd.NaT], pd.Series([pd.Timestamp("2024-01-01")]).dtype),
        ([1, pd.NA], "Int64"),
        ([np.str_("a"), "b", None], TEXT),
    ],
    ids=repr,
)
def test_the_type_of_a_column(cells, dtype):
    found = column(cells)
    assert found.dtype == dtype
    for cell, value in zip(cells, found, strict=True):
        is_missing = cell is ... or cell is None or cell is pd.NA or cell is pd.NaT or cell != cell
        assert pd.isna(value) if is_missing else value == cell


@pytest.mark.parametrize(
    "cells",
    [
        [1, "a"],
        [1, True],
        [True, 0.5],
        [2**70, 1],
        [2**60 + 1, 0.5],
        [-(2**53) - 1, 0.5, ...],
        ["a", 1.5],
        [b"a", "a"],
        [[1], [2]],
        [[1, 2], [3, 4], ...],
        [(1, 2), (3, 4)],
        [{1: 2}, {}],
        [Decimal("0.1"), Decimal(2)],
        [dt.date(2024, 1, 2), dt.date(2025, 1, 2)],
        [dt.datetime(2024, 1, 1), "soon"],
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
        [1j, 2],
        [Level.LOW, Level.HIGH],
        [Level.LOW, 3],
        [np.longdouble(1.5), 2],
        [None, None],
        [None, ...],
        [int, str],
    ],
    ids=repr,
)
def test_what_has_no_common_type_stays_as_it_is(cells):
    found = column(cells)
    assert found.dtype == object
    for cell, value in zip(cells, found, strict=True):
        if cell is ...:
            assert value != value
        else:
            assert type(value) is type(cell)
            assert value == cell


def test_times_with_a_zone():
    zone = ZoneInfo("Europe/Paris")
    found = column([dt.datetime(2024, 1, 1, tzinfo=zone), ..., dt.datetime(2024, 7, 1, tzinfo=zone)])
    assert str(found.dt.tz) == "Europe/Paris"
    assert found.isna().tolist() == [False, True, False]
    assert found[2] == dt.datetime(2024, 7, 1, tzinfo=zone)


def test_times_before_pandas_began():
    assert column([dt.datetime(1, 1, 1), dt.datetime(2024, 1, 1), ...])[0] == dt.datetime(1, 1, 1)


def test_text_that_arrow_cannot_hold():
    assert column(["\ud800", "b", ...]).tolist()[:2] == ["\ud800", "b"]


def test_arrays_in_cells_stay_whole():
    arrays = [np.arange(3), np.arange(3) + 1]
    assert all(cell is array for cell, array in zip(column(arrays), arrays, strict=True))


# ---- frames and arrays as values ---------------------------------------------------------------------------------

FRAME = pd.DataFrame(
    {
        "i": np.array([1, 2], "int32"),
        "u": np.array([1, 2], "uint8"),
        "f": np.array([0.5, 1.5], "float32"),
        "b": [True, False],
        "s": ["x", "y"],
        "when": pd.to_datetime(["2024-01-01", "2024-01-02"]),
        "zoned": pd.to_datetime(["2024-01-01", "2024-01-02"]).tz_localize("Europe/Paris"),
        "kind": pd.Categorical(["p", "q"]),
        "n": pd.array([1, None], "Int64"),
    }
)


def test_columns_of_frames_keep_their_types(stash):
    stash["k"] = FRAME
    assert_frame_equal(stash.df.reset_index(drop=True), FRAME)
    assert stash.df.index.tolist() == ["k", "k"]


def test_frames_stand_below_each_other(stash):
    stash["a"] = FRAME
    stash["b"] = FRAME
    frame = stash.df
    assert_frame_equal(frame.reset_index(drop=True), pd.concat([FRAME, FRAME], ignore_index=True))
    assert frame.index.tolist() == ["a", "a", "b", "b"]


def test_columns_of_frames_that_others_lack_have_gaps(stash):
    stash["a"] = FRAME
    stash["b"] = {"other": 1}
    frame = stash.assemble_df(where={"_key__in": ["a", "b"]})
    there = frame.loc[["a"]].reset_index(drop=True)
    types = {"i": "Int32", "u": "UInt8", "b": "boolean"}
    assert_frame_equal(there.drop(columns="other"), FRAME.astype(types))
    assert frame.loc["b"].drop("other").isna().all()
    assert frame["other"].dtype == "Int64"


def test_an_index_of_a_frame_is_a_column(stash):
    stash["k"] = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "x"], name="id"))
    assert stash.df.to_dict("list") == {"id": ["x", "x"], "a": [1, 2]}


def test_arrays_keep_their_types(stash):
    stash["a"] = np.arange(3, dtype="int16")
    assert stash.df["_value"].dtype == "int16"
    stash["b"] = {"c": 1}
    assert stash.df["_value"].dtype == "Int16"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(3).astype(">i4"),
        np.array(["a", "bc"]),
        np.array([1, "x", None], dtype=object),
        np.array([1 + 2j]),
        np.array(["2024-01-02"], "M8[D]"),
        np.array([3], "m8[s]"),
        np.array([0.5], "float16"),
        np.arange(6).reshape(2, 3),
    ],
    ids=lambda array: array.dtype.str,
)
def test_arrays_of_every_kind(stash, array):
    stash["k"] = array
    found = stash.df["_value"]
    assert len(found) == len(array)
    assert all(np.all(cell == element) for cell, element in zip(found, array, strict=True))


def test_numbers_and_a_frames_column_of_numbers_meet(stash):
    stash["a"] = pd.DataFrame({"x": [1, 2]})
    stash["b"] = {"x": 3}
    stash["c"] = [{"x": 4}, {}]
    found = stash.df["x"]
    assert found.dtype == "Int64"
    assert sorted(found.dropna()) == [1, 2, 3, 4]


def test_a_frames_text_and_a_number_meet(stash):
    stash["a"] = pd.DataFrame({"x": ["y"]})
    stash["b"] = {"x": 3}
    assert sorted(stash.df["x"], key=str) == [3, "y"]


def test_a_series_and_a_frame_of_polars(stash):
    stash["a"] = pd.Series([1, 2], name="x")
    assert stash.df["x"].tolist() == [1, 2]
    pl = pytest.importorskip("polars")
    stash["a"] = pl.DataFrame({"x": [1, None]})
    assert stash.df["x"].dtype == "Int64"


def test_a_frame_in_a_cell_stays_whole(stash):
    stash["k"] = {"data": FRAME, "n": 1}
    assert_frame_equal(stash.df.loc["k", "data"], FRAME)


def test_the_stored_value_is_not_changed_through_the_frame(opened):
    stash = opened(engine="pairtree")
    stash["k"] = np.zeros(100_000)
    frame = stash.df
    frame.iloc[0, 0] = 7.0
    assert stash["k"][0] == 0


# ---- rows of others ----------------------------------------------------------------------------------------------


def test_rows_with_an_index():
    frame = to_frame([{"a": 1, "b": 2}, {"a": 3}], index=["a"])
    assert_frame_equal(frame, pd.DataFrame({"b": pd.array([2, None], "Int64")}, index=pd.Index([1, 3], name="a")))


def test_no_rows_with_an_index():
    frame = to_frame([], index=["a", "b"])
    assert frame.index.names == ["a", "b"]
    assert frame.shape == (0, 0)


def test_a_level_that_no_row_has():
    frame = to_frame([{"a": 1}], index=["x"])
    assert frame.index.name == "x"
    assert frame.index.isna().all()


def test_rows_may_come_from_a_generator():
    assert_series_equal(to_frame({"a": number} for number in range(3))["a"], pd.Series([0, 1, 2], name="a"))


def test_without_pandas_the_error_says_what_to_install(tmp_path):
    code = f"""
import sys
sys.modules["pandas"] = None
from hashstash import HashStash
stash = HashStash({str(tmp_path / "stash")!r}, engine="pairtree")
stash["k"] = [{{"a": 1}}, 2]
assert stash.ld == [{{"_key": "k", "a": 1}}, {{"_key": "k", "_value": 2}}]
try:
    stash.df
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "MissingDependency" in done.stdout
    assert "pip install 'hashstash[dataframe]'" in done.stdout


def test_importing_hashstash_brings_no_pandas():
    code = "import sys, hashstash; hashstash.HashStash; import hashstash.frames; assert 'pandas' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_frame_of_one_settings_is_that_of_another(tmp_path):
    one = HashStash(tmp_path / "stash", engine="pairtree", serializer="pickle")
    one.update({number: {"a": number, "b": "x"} for number in range(50)})
    other = HashStash(tmp_path / "stash", engine="pairtree", serializer="hashstash", compress="zlib")
    assert_frame_equal(one.df.sort_index(), other.df.sort_index())
