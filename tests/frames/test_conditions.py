"""One language of conditions, for rows and for entries."""

import datetime as dt
import math

import pytest

from hashstash.conditions import field_of, fields_of, matches


class Strange:
    """Its comparisons are not to be relied on."""

    def __eq__(self, other):
        raise RuntimeError("do not compare me")

    __hash__ = None

    def __gt__(self, other):
        raise RuntimeError("do not compare me")

    def __contains__(self, other):
        raise RuntimeError("do not look into me")


def holds(row, **conditions):
    return matches(conditions)(row.get)


@pytest.mark.parametrize(
    "condition, operand, expected",
    [
        ("age", 3, True),
        ("age", 4, False),
        ("age__eq", 3, True),
        ("age__ne", 3, False),
        ("age__ne", 4, True),
        ("age__gt", 2, True),
        ("age__gt", 3, False),
        ("age__ge", 3, True),
        ("age__lt", 4, True),
        ("age__lt", 3, False),
        ("age__le", 3, True),
        ("age__le", 2.5, False),
        ("age__in", (1, 3), True),
        ("age__in", [1, 2], False),
        ("age__in", range(5), True),
        ("age__in", {3: "c"}, True),
        ("age__in", [], False),
        ("name__contains", "nn", True),
        ("name__contains", "x", False),
        ("name__startswith", "An", True),
        ("name__startswith", ("B", "A"), True),
        ("name__startswith", "nna", False),
        ("tags__contains", "red", True),
        ("tags__contains", "blue", False),
        ("tags", ["red", "round"], True),
        ("tags__in", [["red", "round"], 3], True),
        ("tags__in", [("red", "round")], False),
        ("tags__in", ["red"], False),
        ("data__startswith", b"\0", True),
        ("nested.age__gt", 10, True),
    ],
)
def test_operator(condition, operand, expected):
    row = {"age": 3, "name": "Anna", "tags": ["red", "round"], "data": b"\0\1", "nested.age": 11}
    assert holds(row, **{condition: operand}) is expected


@pytest.mark.parametrize("name", ["gt", "ge", "lt", "le", "contains", "startswith"])
@pytest.mark.parametrize("value", [None, "text", b"bytes", 3, 2j, [1], {"a": 1}, Strange(), dt.datetime(2024, 1, 1)])
def test_what_cannot_be_compared_does_not_match(name, value):
    assert not holds({"field": value}, **{f"field__{name}": object()})


def test_times_with_and_without_a_zone_do_not_match():
    naive, aware = dt.datetime(2024, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    assert not holds({"when": naive}, when__gt=aware)


def test_what_cannot_be_compared_differs():
    assert holds({"field": Strange()}, field__ne=3)
    assert not holds({"field": Strange()}, field=3)
    assert not holds({"field": Strange()}, field__in=[3])


def test_one_field_may_have_several_conditions():
    assert holds({"age": 5}, age__gt=3, age__lt=6)
    assert not holds({"age": 7}, age__gt=3, age__lt=6)


def test_no_conditions_match_everything():
    assert holds({})


def test_a_field_that_is_not_there_is_none():
    assert holds({}, absent=None)
    assert holds({}, absent__ne="failed")
    assert holds({}, absent__in=[None, 1])
    assert not holds({}, absent="failed")
    assert not holds({}, absent__ne=None)
    assert not holds({}, absent__gt=0)
    assert not holds({}, absent__contains=0)


def test_nan_matches_no_order():
    assert not holds({"age": math.nan}, age__gt=0)
    assert not holds({"age": math.nan}, age__le=0)


def test_arrays_are_equal_by_content():
    np = pytest.importorskip("numpy")
    row = {"data": np.arange(3)}
    assert holds(row, data=np.arange(3))
    assert not holds(row, data=np.arange(4))
    assert holds(row, data__ne=np.arange(4))
    assert holds(row, data__contains=2)
    assert not holds(row, data__gt=1)


def test_missing_values_of_pandas_match_nothing():
    pd = pytest.importorskip("pandas")
    assert not holds({"age": pd.NA}, age__gt=0)
    assert not holds({"age": pd.NA}, age=0)
    assert not holds({"age": pd.NaT}, age__lt=pd.Timestamp("2024"))


@pytest.mark.parametrize("name", ["age__gte", "age__foo", "age__", "__gt", "a__b"])
def test_an_unknown_operator_raises_and_names_the_known_ones(name):
    with pytest.raises(TypeError, match="__eq, __ne, __gt, __ge, __lt, __le, __in, __contains, __startswith"):
        matches({name: 3})


def test_an_almost_known_operator_is_suggested():
    with pytest.raises(TypeError, match="did you mean 'startswith'"):
        matches({"name__startwith": "A"})


def test_a_field_called_like_an_operator_is_asked_for_with_eq():
    assert holds({"a__b": 3}, a__b__eq=3)
    assert holds({"a__in": 3}, a__in__gt=2)


def test_a_name_that_is_no_text_raises():
    with pytest.raises(TypeError, match="not by 3"):
        matches({3: 4})


@pytest.mark.parametrize("operand", ["abc", b"abc", 3, None])
def test_in_takes_several_values(operand):
    with pytest.raises(TypeError, match="several values"):
        matches({"name__in": operand})


def test_an_iterator_given_to_in_serves_every_row():
    condition = matches({"age__in": (number for number in (1, 2))})
    assert [condition({"age": age}.get) for age in (2, 1, 2, 3)] == [True, True, True, False]


def test_an_unknown_field_raises_and_names_the_known_ones():
    with pytest.raises(TypeError, match=r"'siez' \(did you mean 'size'\?\); the fields are: key, size"):
        matches({"siez__gt": 3}, fields=["key", "size"])


def test_a_name_that_is_no_misspelt_one_gets_no_hint():
    with pytest.raises(TypeError, match="there is no field 'older'; the fields are"):
        matches({"older": 3}, fields=["codec", "size"])


def test_operands_are_converted_by_field():
    condition = matches({"age__lt": "2", "name": "2"}, convert={"age": int})
    assert condition({"age": 1, "name": "2"}.get)
    assert not condition({"age": 2, "name": "2"}.get)


def test_elements_and_no_parts_are_converted():
    assert matches({"age__in": ["2", "3"]}, convert={"age": int})({"age": 3}.get)
    assert matches({"age__contains": "2"}, convert={"age": int})({"age": "12"}.get)


def test_a_conversion_that_fails_is_the_callers_error():
    with pytest.raises(ValueError, match="invalid literal"):
        matches({"age__lt": "soon"}, convert={"age": int})


@pytest.mark.parametrize("name, field", [("age__gt", "age"), ("name", "name"), ("a__b__eq", "a__b")])
def test_the_field_of_a_condition(name, field):
    assert field_of(name) == field


def test_the_fields_of_conditions():
    assert fields_of({"age__gt": 3, "age__lt": 5, "name": "x"}) == {"age", "name"}
