"""Columns chosen and rows filtered while a stash is read."""

import pytest

from hashstash.frames import Choice, flatten
from hashstash.frames.flat import parts_of

ANIMALS = {
    f"animal {number}": {
        "name": "cat" if number % 2 else "dog",
        "age": number,
        "etc": {"goes_to": {"heaven": number % 3 == 0}, "legs": 4},
    }
    for number in range(60)
}


@pytest.fixture
def animals(stash):
    stash.update(ANIMALS)
    return stash


@pytest.fixture(params=["many of one shape", "one by one"])
def either(request, animals):
    """The animals, read by columns and read one after the other: one entry of another shape in each batch sees to that."""
    if request.param == "one by one":
        animals.update({("odd", number): [number] for number in range(60)})
    return animals


def animals_only(rows):
    return sorted((row for row in rows if isinstance(row["_key"], str)), key=lambda row: int(row["_key"].split()[1]))


def test_columns_are_chosen_by_name(either):
    rows = animals_only(either.assemble_ld(columns=["age", "etc.legs"]))
    assert rows == [{"_key": key, "age": value["age"], "etc.legs": 4} for key, value in ANIMALS.items()]


def test_columns_stand_in_the_order_in_which_they_were_asked_for(animals):
    assert [list(row) for row in animals.assemble_ld(columns=["age", "etc.legs", "name"])] == [
        ["_key", "age", "etc.legs", "name"]
    ] * 60


def test_rows_read_one_by_one_stand_in_that_order_too(stash):
    stash["k"] = [{"a": 1, "b": 2}, {"b": 3}]
    assert [list(row) for row in stash.assemble_ld(columns=["b", "a"])] == [["_key", "b", "a"], ["_key", "b"]]


def test_one_name_may_stand_alone(animals):
    assert animals.assemble_ld(columns="age")[7].keys() == {"_key", "age"}


def test_a_field_brings_what_is_nested_in_it(either):
    row = animals_only(either.assemble_ld(columns=["etc"]))[3]
    assert row == {"_key": "animal 3", "etc.goes_to.heaven": True, "etc.legs": 4}
    row = animals_only(either.assemble_ld(columns=["etc.goes_to"]))[3]
    assert row == {"_key": "animal 3", "etc.goes_to.heaven": True}


def test_a_field_and_what_is_nested_in_it_may_both_be_asked_for(either):
    row = animals_only(either.assemble_ld(columns=["etc.legs", "etc"]))[3]
    assert list(row) == ["_key", "etc.legs", "etc.goes_to.heaven"]
    row = animals_only(either.assemble_ld(columns=["etc.goes_to", "etc.goes_to.heaven", "age", "age"]))[3]
    assert list(row) == ["_key", "etc.goes_to.heaven", "age"]


def test_no_columns_leave_the_key(animals):
    assert animals.assemble_ld(columns=[])[0].keys() == {"_key"}
    assert len(animals.assemble_ld(columns=[])) == 60


def test_a_field_that_no_entry_has_raises_and_names_those_that_there_are(either):
    with pytest.raises(KeyError, match=r"no entry has a field 'agee' \(did you mean 'age'\?\); there are: .*name"):
        either.assemble_ld(columns=["name", "agee"])


def test_a_field_that_some_entry_has_is_left_out_where_it_is_missing(stash):
    stash.update({"a": {"x": 1}, "b": {"y": 2}})
    rows = stash.assemble_ld(columns=["y"])
    assert sorted(rows, key=lambda row: row["_key"]) == [{"_key": "a"}, {"_key": "b", "y": 2}]


def test_a_field_may_be_asked_for_while_nothing_is_stored(stash):
    assert stash.assemble_ld(columns=["a"]) == []


@pytest.mark.parametrize("columns, wrong", [(["a", 3], "3"), (3, "3"), ([["a"]], r"\['a'\]")])
def test_columns_that_are_no_text_raise(stash, columns, wrong):
    with pytest.raises(TypeError, match=f"named by text, not by {wrong}"):
        stash.assemble_ld(columns=columns)


@pytest.mark.parametrize(
    "where, expected",
    [
        ({"age__gt": 57}, [58, 59]),
        ({"age__gt": 50, "name": "cat"}, [51, 53, 55, 57, 59]),
        ({"etc.goes_to.heaven": True, "age__lt": 10}, [0, 3, 6, 9]),
        ({"_key__in": ["animal 3", "animal 5"]}, [3, 5]),
        ({"_key__startswith": "animal 5", "age__ge": 10}, list(range(50, 60))),
        ({"nothing": None, "age__le": 1}, [0, 1]),
        ({"nothing__gt": 1}, []),
        ({"age__gt": "text"}, []),
        ({}, list(range(60))),
        (lambda row: row.get("age", 0) > 57, [58, 59]),
        (lambda row: row["_key"] == "animal 3", [3]),
        (lambda row: row.get("etc.goes_to.heaven") and row["age"] < 4, [0, 3]),
    ],
)
def test_rows_are_filtered(either, where, expected):
    rows = animals_only(either.assemble_ld(where=where))
    assert [row["age"] for row in rows] == expected
    assert rows == [row | {"name": ANIMALS[row["_key"]]["name"], "etc.legs": 4} for row in rows]


def test_rows_are_filtered_by_what_is_no_column(either):
    rows = animals_only(either.assemble_ld(columns=["name"], where={"age__gt": 57}))
    assert rows == [{"_key": "animal 58", "name": "dog"}, {"_key": "animal 59", "name": "cat"}]
    rows = animals_only(either.assemble_ld(columns=["name"], where=lambda row: row.get("etc.legs") == 4))
    assert len(rows) == 60


def test_rows_of_frames_and_arrays_are_filtered(stash):
    pd, np = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    stash["frame"] = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    stash["array"] = np.arange(5)
    assert stash.assemble_ld(where={"a__ge": 2}) == [
        {"_key": "frame", "a": 2, "b": "y"},
        {"_key": "frame", "a": 3, "b": "z"},
    ]
    assert stash.assemble_ld(columns="b", where=lambda row: row.get("a") == 2) == [{"_key": "frame", "b": "y"}]
    assert stash.assemble_ld(where={"_value__gt": 3}) == [{"_key": "array", "_value": 4}]


def test_rows_of_a_list_are_filtered(stash):
    stash["k"] = [{"a": 1}, {"a": 2}, 3]
    assert stash.assemble_ld(where={"a__gt": 1}) == [{"_key": "k", "a": 2}]


def test_versions_and_arguments_may_be_filtered(opened):
    stash = opened(append_mode=True)
    for number in range(5):
        stash["k"] = number
    rows = stash.assemble_ld(with_metadata=True, where={"_version__gt": 3})
    assert [row["_value"] for row in rows] == [3, 4]

    def double(a):
        return 2 * a

    for number in range(5):
        stash.run(double, number)
    rows = double.stash.assemble_ld(with_metadata=True, where={"_arg1__ge": 3}, columns=[])
    assert sorted(row["_arg1"] for row in rows) == [3, 4]


def test_fields_of_a_dict_key_are_chosen_and_filtered(stash):
    for number in range(5):
        stash[{"name": "cat", "seed": number}] = {"name": "Tom", "score": number / 2}
    rows = stash.assemble_ld(columns=["_key.name", "score"], where={"seed__ge": 4})
    assert rows == [{"_key.name": "cat", "score": 2.0}]
    rows = stash.assemble_ld(columns=["seed"], where={"name": "Tom", "score": 0.5})
    assert rows == [{"seed": 1}]


def test_numbered_fields_may_be_asked_for(stash):
    stash["k"] = {"a.b": 1, "a": {"b": 2}, "c": 3}
    assert stash.assemble_ld(columns=["a.b_2"]) == [{"_key": "k", "a.b_2": 2}]


def test_a_condition_that_changes_its_row_changes_nothing(stash):
    stash["k"] = [{"a": 1, "b": 2}]
    assert stash.assemble_ld(where=lambda row: row.pop("a")) == [{"_key": "k", "a": 1, "b": 2}]


def test_an_error_in_a_condition_is_raised(animals):
    with pytest.raises(ZeroDivisionError):
        animals.assemble_ld(where=lambda row: 1 / 0)


@pytest.mark.parametrize("where", ["age > 3", 3, ["age"]])
def test_a_condition_of_another_kind_raises(stash, where):
    with pytest.raises(TypeError, match="dict of conditions"):
        stash.assemble_ld(where=where)


def test_a_misspelt_operator_raises_even_on_an_empty_stash(stash):
    with pytest.raises(TypeError, match="known: __eq"):
        stash.assemble_ld(where={"age__gte": 3})


def test_conditions_on_the_key_spare_the_value():
    choice = Choice(columns=["a"], where={"_key__gt": 1, "b": 2})
    test, rest = choice.divided(lambda name: name == "_key")
    assert not test({"_key": 1})
    assert test({"_key": 2})
    assert rest.of_row({"_key": 0, "a": 1, "b": 2}, ["_key"]) == {"_key": 0, "a": 1}
    assert rest.of_row({"_key": 9, "a": 1, "b": 3}, ["_key"]) is None


def test_a_field_of_entries_that_were_passed_over_is_known(stash):
    stash.update({"a": {"x": 1}, "b": {"y": 2}})
    assert stash.assemble_ld(columns=["y"], where={"_key": "a"}) == [{"_key": "a"}]
    with pytest.raises(KeyError, match="no entry has a field 'z'; there are: _key, x, y"):
        stash.assemble_ld(columns=["z"], where={"_key": "a"})


def test_a_condition_on_keys_does_not_hold_for_dict_keys(stash):
    stash[{"name": "cat"}] = 1
    stash["dog"] = 2
    assert stash.assemble_ld(where={"_key__startswith": "d"}) == [{"_key": "dog", "_value": 2}]
    assert stash.assemble_ld(where={"_key": None}) == [{"name": "cat", "_value": 1}]


class Untouchable(dict):
    """A dict that must not be looked into."""

    def items(self):
        raise AssertionError("looked into")


def test_what_is_not_needed_is_not_taken_apart():
    choice = Choice(columns=["a", "b.c"], where={"d__gt": 1})
    value = {"a": 1, "b": {"c": 2, "x": 3}, "d": 4, "huge": Untouchable(e=1)}
    (row,) = parts_of(value, choice.needs)
    assert choice.of_row(row, ()) == {"a": 1, "b.c": 2}
    with pytest.raises(AssertionError, match="looked into"):
        flatten(value)


def test_a_function_of_the_row_sees_all_fields():
    assert Choice(columns=["a"], where=lambda row: row["b.c"] > 1).needs("b")
