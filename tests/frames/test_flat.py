"""What one value is as rows."""

import collections
import dataclasses
import datetime as dt
import types
from decimal import Decimal
from typing import NamedTuple

import pytest

from hashstash.frames import flatten


class Point(NamedTuple):
    x: object
    y: object


@dataclasses.dataclass
class Person:
    name: str
    where: object = None


@dataclasses.dataclass
class Unfinished:
    there: int = 1
    absent: int = dataclasses.field(init=False)


@pytest.mark.parametrize(
    "value, rows",
    [
        (1, [{"_value": 1}]),
        ("text", [{"_value": "text"}]),
        (b"bytes", [{"_value": b"bytes"}]),
        (None, [{"_value": None}]),
        (dt.date(2024, 1, 2), [{"_value": dt.date(2024, 1, 2)}]),
        (Decimal("1.5"), [{"_value": Decimal("1.5")}]),
        ((1, 2), [{"_value": (1, 2)}]),
        ({1, 2}, [{"_value": {1, 2}}]),
        (range(3), [{"_value": range(3)}]),
        (dict, [{"_value": dict}]),
        (Point, [{"_value": Point}]),
    ],
)
def test_what_has_no_fields_is_one_value(value, rows):
    assert flatten(value) == rows


def test_nested_keys_are_joined_by_dots():
    assert flatten({"a": 1, "b": {"c": 2, "d": {"e": 3}}}) == [{"a": 1, "b.c": 2, "b.d.e": 3}]


def test_a_list_gives_a_row_for_each_element():
    assert flatten([1, {"a": {"b": 2}}, None, "x"]) == [{"_value": 1}, {"a.b": 2}, {"_value": None}, {"_value": "x"}]


def test_a_list_in_a_list_stays_whole():
    assert flatten([[1, 2], [3]]) == [{"_value": [1, 2]}, {"_value": [3]}]


def test_what_a_field_holds_stays_whole():
    assert flatten({"tags": ["a", "b"], "at": (1, 2), "all": {3}}) == [{"tags": ["a", "b"], "at": (1, 2), "all": {3}}]


@pytest.mark.parametrize("empty", [{}, []])
def test_an_empty_value_is_one_row_without_fields(empty):
    assert flatten(empty) == [{}]


def test_an_empty_element_is_a_row_too():
    assert flatten([{}, 1]) == [{}, {"_value": 1}]


@pytest.mark.parametrize("empty", [{}, [], (), Point, ""])
def test_an_empty_field_is_kept(empty):
    assert flatten({"a": empty, "b": 1}) == [{"a": empty, "b": 1}]


def test_two_fields_of_one_name_are_both_kept():
    assert flatten({"a.b": 1, "a": {"b": 2}}) == [{"a.b": 1, "a.b_2": 2}]
    assert flatten({"a": {"b": 2}, "a.b": 1}) == [{"a.b": 2, "a.b_2": 1}]
    assert flatten({"a.b": 1, "a": {"b": 2, "b_2": 3}}) == [{"a.b": 1, "a.b_2": 2, "a.b_2_2": 3}]
    assert flatten({1: "number", "1": "text"}) == [{"1": "number", "1_2": "text"}]


def test_keys_that_are_no_text():
    keys = {1: "a", 2.5: "b", None: "c", ("x", 1): "d", b"q": "e", dt.date(2024, 1, 2): "f"}
    assert flatten(keys) == [{"1": "a", "2.5": "b", "None": "c", "x.1": "d", "b'q'": "e", "2024-01-02": "f"}]


def test_dicts_of_the_standard_library():
    for kind in (collections.OrderedDict, collections.Counter, collections.UserDict, types.MappingProxyType):
        assert flatten(kind({"a": 1})) == [{"a": 1}]
    assert flatten(collections.defaultdict(list, a={"b": 1})) == [{"a.b": 1}]
    assert flatten({"inner": collections.OrderedDict(a=1)}) == [{"inner.a": 1}]


def test_records_have_fields():
    assert flatten(Point(1, {"z": 2})) == [{"x": 1, "y.z": 2}]
    assert flatten(Person("Anna", Point(1, 2))) == [{"name": "Anna", "where.x": 1, "where.y": 2}]
    assert flatten([Point(1, 2), Point(3, 4)]) == [{"x": 1, "y": 2}, {"x": 3, "y": 4}]
    assert flatten({"who": Person("Anna")}) == [{"who.name": "Anna", "who.where": None}]


def test_a_field_that_was_never_set_is_absent():
    assert flatten(Unfinished()) == [{"there": 1}]


def test_attrs_and_pydantic_classes_have_fields():
    attrs, pydantic = pytest.importorskip("attrs"), pytest.importorskip("pydantic")
    by_attrs = attrs.make_class("ByAttrs", ["a", "b"])
    by_pydantic = pydantic.create_model("ByPydantic", a=(int, ...), b=(dict, ...))
    assert flatten(by_attrs(1, {"c": 2})) == [{"a": 1, "b.c": 2}]
    assert flatten(by_pydantic(a=1, b={"c": 2})) == [{"a": 1, "b.c": 2}]


def test_a_dict_that_holds_itself_ends():
    value = {"a": 1}
    value["me"] = value
    (row,) = flatten(value)
    assert row["a"] == row["me.a"] == 1
    assert any(cell is value for cell in row.values())


def test_very_deep_dicts_end():
    value = {}
    for _ in range(5000):
        value = {"a": value}
    (row,) = flatten(value)
    assert list(row)[0].startswith("a.a.a")


def test_the_value_is_not_changed():
    value = {"a": {"b": [1]}}
    flatten(value)[0]["a.b"] = None
    assert value == {"a": {"b": [1]}}


class TestArrays:
    @pytest.fixture
    def np(self):
        return pytest.importorskip("numpy")

    def test_an_array_gives_a_row_for_each_element(self, np):
        assert flatten(np.arange(3)) == [{"_value": 0}, {"_value": 1}, {"_value": 2}]
        assert type(flatten(np.arange(3))[0]["_value"]) is int

    def test_rows_lie_along_the_first_axis(self, np):
        rows = flatten(np.eye(2))
        assert [row["_value"].tolist() for row in rows] == [[1.0, 0.0], [0.0, 1.0]]

    def test_an_array_without_axes_is_a_value(self, np):
        assert flatten(np.array(5)) == [{"_value": 5}]
        assert flatten(np.float64(2.5)) == [{"_value": 2.5}]

    def test_an_empty_array_is_a_row_without_fields(self, np):
        assert flatten(np.zeros((0, 3))) == [{}]

    def test_a_structured_array_has_fields(self, np):
        array = np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")])
        assert flatten(array) == [{"a": 1, "b": 2.5}, {"a": 3, "b": 4.5}]

    def test_times_stay_times(self, np):
        (row,) = flatten(np.array(["2024-01-02T03:04:05"], "M8[ns]"))
        assert row["_value"] == np.datetime64("2024-01-02T03:04:05")

    def test_masked_elements_are_none(self, np):
        assert flatten(np.ma.array([1, 2], mask=[False, True])) == [{"_value": 1}, {"_value": None}]

    def test_an_array_in_a_list_or_a_field_stays_whole(self, np):
        array = np.arange(3)
        assert flatten([array])[0]["_value"] is array
        assert flatten({"data": array})[0]["data"] is array


class TestFrames:
    @pytest.fixture
    def pd(self):
        return pytest.importorskip("pandas")

    def test_a_frame_gives_its_rows(self, pd):
        frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
        assert flatten(frame) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]

    def test_an_index_that_says_something_is_kept(self, pd):
        assert flatten(pd.DataFrame({"a": [1]}, index=["x"])) == [{"_index": "x", "a": 1}]
        assert flatten(pd.DataFrame({"a": [1]}, index=pd.Index([7], name="id"))) == [{"id": 7, "a": 1}]
        assert flatten(pd.DataFrame({"a": [1, 2, 3]}).iloc[1:2]) == [{"_index": 1, "a": 2}]

    def test_levels_of_an_index_are_columns(self, pd):
        index = pd.MultiIndex.from_tuples([(1, 2)], names=["a", None])
        assert flatten(pd.DataFrame({"a": [3]}, index=index)) == [{"a_2": 1, "_index": 2, "a": 3}]

    def test_an_index_with_repeated_labels_keeps_each_row(self, pd):
        frame = pd.DataFrame({"a": [1, 2]}, index=["x", "x"])
        assert flatten(frame) == [{"_index": "x", "a": 1}, {"_index": "x", "a": 2}]

    def test_repeated_column_names_are_numbered(self, pd):
        assert flatten(pd.DataFrame([[1, 2, 3]], columns=["a", "a", "a_2"])) == [{"a": 1, "a_2": 2, "a_2_2": 3}]

    def test_levels_of_columns_are_joined(self, pd):
        columns = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])
        assert flatten(pd.DataFrame([[1, 2]], columns=columns)) == [{"a.1": 1, "a.2": 2}]

    def test_a_frame_without_rows_is_a_row_without_fields(self, pd):
        assert flatten(pd.DataFrame({"a": []})) == [{}]

    def test_a_series_gives_a_row_for_each_element(self, pd):
        assert flatten(pd.Series([1, 2])) == [{"_value": 1}, {"_value": 2}]
        assert flatten(pd.Series([1], name="n", index=["x"])) == [{"_index": "x", "n": 1}]
        assert flatten(pd.Series([1], name="n", index=pd.Index([5], name="n"))) == [{"n_2": 5, "n": 1}]

    def test_an_index_and_an_array_of_pandas(self, pd):
        assert flatten(pd.Index(["x"])) == [{"_value": "x"}]
        assert flatten(pd.array([1, None]))[1]["_value"] is pd.NA
        assert flatten(pd.MultiIndex.from_tuples([(1, 2)], names=["a", "b"])) == [{"a": 1, "b": 2}]

    def test_frames_in_a_list_give_their_rows(self, pd):
        frame = pd.DataFrame({"a": [1, 2]})
        assert flatten([frame, {"a": 3}]) == [{"a": 1}, {"a": 2}, {"a": 3}]

    def test_a_frame_in_a_field_stays_whole(self, pd):
        frame = pd.DataFrame({"a": [1, 2]})
        assert flatten({"data": frame})[0]["data"] is frame

    def test_times_of_a_frame_are_timestamps(self, pd):
        (row,) = flatten(pd.DataFrame({"when": pd.to_datetime(["2024-01-02"])}))
        assert row["when"] == pd.Timestamp("2024-01-02")
        assert isinstance(row["when"], pd.Timestamp)

    def test_frames_of_polars(self):
        pl = pytest.importorskip("polars")
        assert flatten(pl.DataFrame({"a": [1, None]})) == [{"a": 1}, {"a": None}]
        assert flatten(pl.Series("n", [1])) == [{"n": 1}]
        assert flatten(pl.Series([1])) == [{"_value": 1}]

    def test_tables_of_arrow(self):
        pa = pytest.importorskip("pyarrow")
        assert flatten(pa.table({"a": [1, 2]})) == [{"a": 1}, {"a": 2}]
        assert flatten(pa.table([[1], [2]], names=["a", "a"])) == [{"a": 1, "a_2": 2}]
        assert flatten(pa.array([1, None])) == [{"_value": 1}, {"_value": None}]
        assert flatten(pa.chunked_array([[1], [2]])) == [{"_value": 1}, {"_value": 2}]


def doubled(make, levels=60):
    """A value that takes a few hundred bytes, and has ``2 ** levels`` leaves."""
    value = {"a": 1}
    for _ in range(levels):
        value = make(value)
    return value


def test_a_dict_that_holds_one_dict_twice_and_so_on_has_an_end_of_columns():
    (row,) = flatten(doubled(lambda value: {"a": value, "b": value}))
    assert 60 < len(row) < 600


def test_a_dict_that_stands_twice_in_a_row_is_taken_apart_twice():
    address = {"street": {"name": "s"}, "town": "t"}
    (row,) = flatten({"home": address, "work": address})
    assert row == {"home.street.name": "s", "home.town": "t", "work.street.name": "s", "work.town": "t"}


def test_a_field_has_all_the_columns_that_it_holds():
    (row,) = flatten({"counts": {f"word {number}": {"n": number} for number in range(20_000)}})
    assert len(row) == 20_000


def test_names_without_end_are_not_written():
    (row,) = flatten({"x" * 1000: {"inner": {"a": 1}}})
    assert row == {"x" * 1000: {"inner": {"a": 1}}}
