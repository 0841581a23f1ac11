"""A stash as a pyarrow Table and as a polars DataFrame."""

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import pytest

pa = pytest.importorskip("pyarrow")


@pytest.fixture
def mixed(stash):
    stash["a"] = {"i": 1, "s": "x", "b": True, "f": 0.5, "when": dt.datetime(2024, 1, 2), "tags": ["p", "q"]}
    stash["b"] = {"i": 2, "d": Decimal("0.10"), "nested": {"deep": b"bytes"}, "none": None}
    return stash


def by_key(table):
    return {row.pop("_key"): row for row in table.to_pylist()}


def test_columns_have_arrows_types(mixed):
    types = {field.name: str(field.type) for field in mixed.to_arrow().schema}
    assert types == {
        "_key": "string",
        "i": "int64",
        "s": "string",
        "b": "bool",
        "f": "double",
        "when": "timestamp[us]",
        "tags": types["tags"],
        "d": types["d"],
        "nested.deep": "binary",
        "none": "null",
    }
    assert types["tags"].startswith("list<")
    assert types["d"].startswith("decimal128")


def test_what_is_missing_is_null(mixed):
    rows = by_key(mixed.to_arrow())
    assert rows["a"] == {
        **dict.fromkeys(["d", "nested.deep", "none"]),
        **{"i": 1, "s": "x", "b": True, "f": 0.5, "when": dt.datetime(2024, 1, 2), "tags": ["p", "q"]},
    }
    assert rows["b"]["i"] == 2
    assert rows["b"]["s"] is None


@pytest.mark.parametrize(
    "cells, texts",
    [
        ([1, "a"], ["1", "a"]),
        ([1, True], ["1", "True"]),
        ([2**70, None], [str(2**70), None]),
        ([2**60 + 1, 0.5], [str(2**60 + 1), "0.5"]),
        ([1j, None], ["1j", None]),
        ([int, "a"], ["<class 'int'>", "a"]),
        ([[1, "a"], None], ["[1, 'a']", None]),
        (["\ud800", "a"], ["\\ud800", "a"]),
    ],
    ids=repr,
)
def test_what_has_no_type_of_arrow_is_text(stash, cells, texts):
    stash["k"] = [{"a": cell} for cell in cells]
    assert stash.to_arrow()["a"].to_pylist() == texts


def test_keys_of_several_kinds_are_text(stash):
    stash["a"] = 1
    stash[("b", 2)] = 2
    assert sorted(stash.to_arrow()["_key"].to_pylist()) == ["('b', 2)", "a"]


def test_versions_are_columns(opened):
    stash = opened(append_mode=True)
    stash["k"] = 1
    stash["k"] = 2
    table = stash.to_arrow(with_metadata=True)
    assert table.column_names == ["_key", "_version", "_timestamp", "_value"]
    assert table["_version"].to_pylist() == [1, 2]


def test_columns_and_rows_are_chosen(stash):
    stash.update({number: {"a": number, "b": -number} for number in range(100)})
    assert stash.to_arrow(columns=["b"], where={"a__gt": 98}).to_pylist() == [{"_key": 99, "b": -99}]


def test_an_empty_stash_is_an_empty_table(stash):
    assert stash.to_arrow().num_rows == 0
    assert stash.to_arrow().column_names == ["_key"]


def test_columns_of_frames_keep_their_types(stash):
    pd, np = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    stash["a"] = pd.DataFrame({"i": np.array([1, 2], "int32"), "kind": pd.Categorical(["p", "q"])})
    stash["b"] = np.arange(2, dtype="uint8")
    table = stash.to_arrow()
    assert str(table.schema.field("i").type) == "int32"
    assert str(table.schema.field("_value").type) == "uint8"
    assert str(table.schema.field("kind").type).startswith("dictionary")
    assert sorted(table["kind"].to_pylist(), key=str) == [None, None, "p", "q"]


def test_a_frames_column_and_cells_of_another_kind_meet(stash):
    pd = pytest.importorskip("pandas")
    stash["a"] = pd.DataFrame({"x": [1, 2]})
    stash["b"] = {"x": "text"}
    assert sorted(stash.to_arrow()["x"].to_pylist()) == ["1", "2", "text"]
    stash["b"] = {"x": 0.5}
    assert sorted(stash.to_arrow()["x"].to_pylist()) == [0.5, 1, 2]


def test_missing_times_and_numbers_of_pandas_are_null(stash):
    pd = pytest.importorskip("pandas")
    stash["k"] = [{"when": pd.Timestamp("2024-01-02"), "n": 1}, {"when": pd.NaT, "n": pd.NA}]
    table = stash.to_arrow()
    assert table["when"].to_pylist() == [dt.datetime(2024, 1, 2), None]
    assert table["n"].to_pylist() == [1, None]


def test_sparse_columns_are_dense(stash):
    pd = pytest.importorskip("pandas")
    stash["k"] = pd.DataFrame({"x": pd.arrays.SparseArray([0, 1])})
    assert stash.to_arrow()["x"].to_pylist() == [0, 1]


# ---- polars ------------------------------------------------------------------------------------------------------


@pytest.fixture
def pl():
    return pytest.importorskip("polars")


def test_a_polars_frame_holds_the_same(mixed, pl):
    frame = mixed.to_polars()
    assert type(frame) is pl.DataFrame
    assert frame.drop("none").to_dicts() == mixed.to_arrow().drop_columns(["none"]).to_pylist()
    assert frame.schema["i"] == pl.Int64
    assert frame.schema["when"] == pl.Datetime("us")
    assert frame.schema["tags"] == pl.List(pl.String)


def test_mixed_cells_are_text_in_polars(stash, pl):
    stash["k"] = [1, "a", None]
    assert stash.to_polars()["_value"].to_list() == ["1", "a", None]


def test_polars_frames_as_values(stash, pl):
    stash["k"] = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert stash.to_polars().to_dicts() == [{"_key": "k", "a": 1, "b": "x"}, {"_key": "k", "a": 2, "b": None}]


def test_intervals_of_pandas_are_structs_in_polars(stash, pl):
    pd = pytest.importorskip("pandas")
    stash["k"] = pd.DataFrame({"x": pd.interval_range(0, 1)})
    assert stash.to_polars()["x"].to_list() == [{"left": 0, "right": 1}]


def test_categories_of_several_frames_meet_in_polars(stash, pl):
    pd = pytest.importorskip("pandas")
    stash["a"] = pd.DataFrame({"x": pd.Categorical(["p"])})
    stash["b"] = pd.DataFrame({"x": pd.Categorical(["q"])})
    assert sorted(stash.to_polars()["x"].to_list()) == ["p", "q"]


def test_choice_in_polars(stash, pl):
    stash.update({number: {"a": number, "b": {"c": -number}} for number in range(100)})
    assert stash.to_polars(columns="b", where={"a__gt": 98}).to_dicts() == [{"_key": 99, "b.c": -99}]
    assert stash.to_polars(columns="b", where={"a__gt": 1000}).shape == (0, 2)


@pytest.mark.parametrize(
    "method, package, extra", [("to_arrow", "pyarrow", "dataframe"), ("to_polars", "polars", "polars")]
)
def test_without_the_package_the_error_says_what_to_install(tmp_path, method, package, extra):
    code = f"""
import sys
sys.modules[{package!r}] = None
from hashstash import HashStash
stash = HashStash({str(tmp_path / "stash")!r}, engine="pairtree")
stash["k"] = 1
try:
    stash.{method}()
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("MissingDependency")
    assert f"pip install 'hashstash[{extra}]'" in done.stdout


def test_what_pandas_lacks_in_a_series_of_objects_is_null(stash):
    pd = pytest.importorskip("pandas")
    stash["plain"] = pd.Series(["q", float("nan"), "r"], dtype=object)
    assert stash.to_arrow().column("_value").to_pylist() == ["q", None, "r"]


def test_what_pandas_lacks_beside_a_value_without_end_is_null(stash):
    pd = pytest.importorskip("pandas")
    endless = [1, 2]
    for _ in range(60):
        endless = [endless, endless]
    stash["folded"] = pd.Series(["q", float("nan"), endless], dtype=object)
    first, missing, last = stash.to_arrow().column("_value").to_pylist()
    assert (first, missing) == ("q", None)
    assert last.startswith("[[[")
