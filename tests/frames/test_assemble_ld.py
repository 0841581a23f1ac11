"""A stash as a list of flat dicts: what keys add, versions and arguments, and what is left out."""

import dataclasses
import time

import pytest

from hashstash import HashStash


@dataclasses.dataclass
class Person:
    name: str
    age: int


def without_times(rows):
    return [{name: value for name, value in row.items() if name != "_timestamp"} for row in rows]


@pytest.fixture
def cat(opened):
    """Two versions under a key that is a dict."""
    stash = opened(append_mode=True)
    stash[{"name": "cat"}] = {"goodness": "good"}
    stash[{"name": "cat"}] = {"goodness": "bad"}
    return stash


def test_an_empty_stash_has_no_rows(stash):
    assert stash.ld == []
    assert stash.assemble_ld(with_metadata=True) == []


def test_rows_of_mixed_values(stash):
    stash["dict"] = {"a": {"b": 1}}
    stash["list"] = [1, {"c": 2}]
    stash["scalar"] = "text"
    stash["none"] = None
    stash["empty"] = []
    stash["nothing"] = {}
    expected = [
        {"_key": "dict", "a.b": 1},
        {"_key": "list", "_value": 1},
        {"_key": "list", "c": 2},
        {"_key": "scalar", "_value": "text"},
        {"_key": "none", "_value": None},
        {"_key": "empty"},
        {"_key": "nothing"},
    ]
    assert sorted(stash.ld, key=repr) == sorted(expected, key=repr)
    assert stash.assemble_ld() == stash.ld


@pytest.mark.parametrize("key", [1, 1.5, True, None, (1, "a"), b"x", frozenset({1}), [1, 2]])
def test_a_key_that_is_no_dict_is_whole(stash, key):
    stash[key] = {"a": 1}
    assert stash.ld == [{"_key": key, "a": 1}]
    assert type(stash.ld[0]["_key"]) is type(key)


def test_a_dict_key_contributes_its_fields(stash):
    stash[{"model": "small", "at": {"x": 1}, "seeds": [1, 2]}] = {"score": 0.5}
    assert stash.ld == [{"model": "small", "at.x": 1, "seeds": [1, 2], "score": 0.5}]


def test_dict_keys_and_others_side_by_side(stash):
    stash[{"name": "cat"}] = {"a": 1}
    stash["dog"] = {"a": 2}
    assert sorted(stash.ld, key=len, reverse=True) == sorted(
        [{"name": "cat", "a": 1}, {"_key": "dog", "a": 2}], key=len, reverse=True
    )


def test_a_field_that_key_and_value_have_is_kept_twice(stash):
    stash[{"name": "cat", "seed": 1}] = {"name": "Tom", "_key.name": "taken"}
    assert stash.ld == [{"_key.name_2": "cat", "seed": 1, "name": "Tom", "_key.name": "taken"}]


def test_fields_called_like_ours_are_numbered(stash):
    stash["k"] = {"_key": 1, "_value": 2, "_version": 3, "_key_2": 4}
    assert stash.ld == [{"_key": "k", "_key_3": 1, "_value": 2, "_version": 3, "_key_2": 4}]
    (row,) = without_times(stash.assemble_ld(with_metadata=True))
    assert row == {"_key": "k", "_version": 1, "_key_3": 1, "_value": 2, "_version_2": 3, "_key_2": 4}


def test_a_field_of_a_dict_key_called_like_ours(stash):
    stash[{"_key": 1}] = {"a": 2}
    assert stash.ld == [{"_key._key": 1, "a": 2}]


def test_many_entries_of_one_shape_keep_all_that_few_do(stash):
    """More than one batch, so that columns are built at once."""
    expected = {number: {"a": number, "b": {"c": str(number), "d": [number]}, "e": None} for number in range(1000)}
    stash.update(expected)
    assert {row.pop("_key"): row for row in stash.ld} == {
        number: {"a": number, "b.c": str(number), "b.d": [number], "e": None} for number in range(1000)
    }


@pytest.mark.parametrize(
    "odd, row",
    [
        ({"a": 1}, {"a": 1}),
        ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3}),
        ({"b": 1, "a": 2}, {"b": 1, "a": 2}),
        ({"a": 1, "x": 2}, {"a": 1, "x": 2}),
        ({"a": {"b": 1}, "b": 2}, {"a.b": 1, "b": 2}),
        ({"a": {}, "b": 2}, {"a": {}, "b": 2}),
        ({"a": Person("A", 1), "b": 2}, {"a.name": "A", "a.age": 1, "b": 2}),
        ({"a": (1, 2), "b": {3}}, {"a": (1, 2), "b": {3}}),
        ({1: 2, "b": 3}, {"1": 2, "b": 3}),
        ({}, {}),
        ([], {}),
        ([7], {"_value": 7}),
        (None, {"_value": None}),
    ],
)
def test_one_entry_of_another_shape_among_many(stash, odd, row):
    stash.update({number: {"a": number, "b": "text"} for number in range(100)})
    stash["odd"] = odd
    rows = {row.pop("_key"): row for row in stash.ld}
    assert rows["odd"] == row
    assert rows[77] == {"a": 77, "b": "text"}
    assert len(rows) == 101


@pytest.mark.parametrize("shape", [{"a.b": 1, "a": {"b": 2}}, {"a": {"b": 2}, "a.b": 1}])
def test_fields_of_one_name_in_many_entries_are_all_kept(stash, shape):
    stash.update(dict.fromkeys(range(100), shape))
    assert all(sorted(row) == ["_key", "a.b", "a.b_2"] for row in stash.ld)
    assert all({row["a.b"], row["a.b_2"]} == {1, 2} for row in stash.ld)


def test_dicts_that_hold_themselves_in_many_entries(stash):
    value = {"a": 1}
    value["me"] = value
    stash.update(dict.fromkeys(range(100), value))
    rows = stash.ld
    assert len(rows) == 100
    assert all(row["a"] == row["me.a"] == 1 for row in rows)


def test_lists_in_many_entries(stash):
    stash.update({number: [{"a": number}, {"b": {"c": 1}}, number, None, [1]][: number % 6] for number in range(120)})
    rows = [row for row in stash.ld if row["_key"] == 119]
    assert rows == [
        {"_key": 119, "a": 119},
        {"_key": 119, "b.c": 1},
        {"_key": 119, "_value": 119},
        {"_key": 119, "_value": None},
        {"_key": 119, "_value": [1]},
    ]
    assert [row for row in stash.ld if row["_key"] == 6] == [{"_key": 6}]
    assert len(stash.ld) == 20 * (1 + 1 + 2 + 3 + 4 + 5)


def test_many_dict_keys(stash):
    for number in range(100):
        stash[{"model": "small", "at": {"seed": number}}] = {
            "score": number / 2,
            **({"note": "x"} if number == 7 else {}),
        }
    rows = sorted(stash.ld, key=lambda row: row["score"])
    assert rows[8] == {"model": "small", "at.seed": 8, "score": 4.0}
    assert rows[7] == {"model": "small", "at.seed": 7, "score": 3.5, "note": "x"}


def test_many_dict_keys_whose_fields_the_values_have_too(stash):
    for number in range(100):
        stash[{"name": number}] = {"name": str(number)} if number % 2 else {"a": number}
    rows = stash.ld
    assert {"_key.name": 7, "name": "7"} in rows
    assert {"name": 8, "a": 8} in rows


def test_scalars_of_all_kinds_in_many_entries(stash):
    values = [1, 2.5, "x", None, True, b"b", (1, 2), {1}]
    stash.update({number: values[number % len(values)] for number in range(80)})
    assert {row["_key"]: row["_value"] for row in stash.ld} == {
        number: values[number % len(values)] for number in range(80)
    }


# ---- versions ----------------------------------------------------------------------------------------------------


def test_without_metadata_only_the_latest_version_counts(cat):
    assert cat.ld == [{"name": "cat", "goodness": "bad"}]


def test_with_metadata_there_is_a_row_for_each_version(cat):
    rows = cat.assemble_ld(with_metadata=True)
    assert without_times(rows) == [
        {"_version": 1, "name": "cat", "goodness": "good"},
        {"_version": 2, "name": "cat", "goodness": "bad"},
    ]
    assert rows[0]["_timestamp"] <= rows[1]["_timestamp"]


def test_versions_and_times_are_those_of_get_all(opened):
    stash = opened(append_mode=True)
    for number in range(5):
        stash["k"] = number
        stash["other"] = [number, -number]
    rows = [row for row in stash.assemble_ld(with_metadata=True) if row["_key"] == "k"]
    assert [{name: row[name] for name in row if name != "_key"} for row in rows] == stash.get_all(
        "k", with_metadata=True
    )


def test_every_engine_has_versions_and_times(every_engine, open_on):
    started = time.time()
    stash = open_on(every_engine, append_mode=True)
    stash["k"] = {"a": 1}
    stash["k"] = {"a": 2}
    rows = stash.assemble_ld(with_metadata=True)
    assert without_times(rows) == [{"_key": "k", "_version": 1, "a": 1}, {"_key": "k", "_version": 2, "a": 2}]
    assert started - 2 < rows[0]["_timestamp"] <= rows[1]["_timestamp"] < time.time() + 2
    assert stash.ld == [{"_key": "k", "a": 2}]


def test_a_stash_without_versions_has_one_of_each(stash):
    stash["k"] = 1
    stash["k"] = 2
    assert without_times(stash.assemble_ld(with_metadata=True)) == [{"_key": "k", "_version": 1, "_value": 2}]


def test_versions_of_a_list_value(opened):
    stash = opened(append_mode=True)
    stash["k"] = [1, 2]
    stash["k"] = []
    assert without_times(stash.assemble_ld(with_metadata=True)) == [
        {"_key": "k", "_version": 1, "_value": 1},
        {"_key": "k", "_version": 1, "_value": 2},
        {"_key": "k", "_version": 2},
    ]


# ---- functions ---------------------------------------------------------------------------------------------------


@pytest.fixture
def called(stash):
    @stash.stashed_result
    def add(a, b=2, *, c=0):
        return {"sum": a + b, "_arg1": "mine"}

    add(1)
    add(2, 3)
    add(2, b=4, c=5)
    return add.stash


def test_a_functions_stash_has_its_results(called):
    assert sorted(row["sum"] for row in called.ld) == [3, 5, 6]
    assert all(row.keys() == {"sum", "_arg1"} for row in called.ld)


def test_with_metadata_a_functions_stash_has_its_arguments(called):
    rows = sorted(without_times(called.assemble_ld(with_metadata=True)), key=lambda row: row["sum"])
    assert rows == [
        {"_arg1": 1, "_version": 1, "sum": 3, "_arg1_2": "mine"},
        {"_arg1": 2, "_arg2": 3, "_version": 1, "sum": 5, "_arg1_2": "mine"},
        {"_arg1": 2, "_kw.b": 4, "_kw.c": 5, "_version": 1, "sum": 6, "_arg1_2": "mine"},
    ]


def test_a_functions_results_that_are_lists(stash):
    def letters(text):
        return [{"letter": letter} for letter in text]

    stash.run(letters, "ab")
    assert letters.stash.ld == [{"letter": "a"}, {"letter": "b"}]


def test_versions_of_a_functions_results(opened):
    stash = opened(append_mode=True)

    def score(name, attempt):
        return attempt

    stash.options(ignore="attempt").run(score, "a", 0)
    stash.options(ignore="attempt", force=True).run(score, "a", 1)
    rows = without_times(score.stash.assemble_ld(with_metadata=True))
    assert rows == [
        {"_arg1": "a", "_arg2": 0, "_version": 1, "_value": 0},
        {"_arg1": "a", "_arg2": 1, "_version": 2, "_value": 1},
    ]


def test_a_functions_stash_opened_by_its_settings(opened):
    stash = opened(engine="pairtree")

    def double(x):
        return 2 * x

    stash.run(double, 4)
    again = HashStash.from_dict(double.stash.to_dict())
    assert again.ld == [{"_value": 8}]
    assert without_times(again.assemble_ld(with_metadata=True)) == [{"_arg1": 4, "_version": 1, "_value": 8}]


def test_large_arguments_stand_as_they_are_listed(stash):
    np = pytest.importorskip("numpy")

    @stash.stashed_result
    def total(array):
        return float(array.sum())

    total(np.zeros(100_000))
    (row,) = total.stash.assemble_ld(with_metadata=True)
    assert str(row["_arg1"]).startswith("<ndarray (100000,)")


# ---- what is left out --------------------------------------------------------------------------------------------


def test_expired_entries_are_left_out(opened):
    stash = opened()
    stash.put("old", 1, ttl=0.01)
    stash["new"] = 2
    while "old" in stash:
        time.sleep(0.01)
    assert stash.ld == [{"_key": "new", "_value": 2}]


def spoil(stash, key):
    address = stash.store.keys.address(key)
    row = bytearray(stash.store.engine.get(address))
    row[-1] ^= 1
    stash.store.engine.put(address, bytes(row))


def test_bad_entries_are_left_out_and_counted(opened, engine_on_disk):
    stash = opened(engine=engine_on_disk)
    stash.update({"a": 1, "b": 2, "c": 3})
    spoil(stash, "a")
    spoil(stash, "b")
    with pytest.warns(RuntimeWarning, match="2 entries that cannot be read"):
        rows = stash.ld
    assert rows == [{"_key": "c", "_value": 3}]


@pytest.fixture(params=["pairtree", "sqlite"])
def engine_on_disk(request):
    return request.param


def test_a_bad_version_is_left_out_and_the_others_are_there(opened):
    stash = opened(append_mode=True, engine="pairtree")
    stash.update([("k", 1)])
    stash["k"] = 2
    stash["k"] = 3
    history = stash.store.engine.section("history")
    first = min(history.scan())
    history.put(first, b"not an entry")
    with pytest.warns(RuntimeWarning, match=r"1 entry or version left out: stash\.check\(\) says why"):
        rows = stash.assemble_ld(with_metadata=True)
    assert [row["_value"] for row in rows] == [2, 3]


def test_foreign_code_is_left_out_and_counted(opened, somebody_else):
    with somebody_else:
        theirs = opened(engine="pairtree")
        theirs["code"] = Person("Eve", 1)
        theirs[Person] = 1
        theirs["data"] = {"a": 1}
    mine = opened(engine="pairtree")
    with pytest.warns(RuntimeWarning, match=r"2 entries or versions left out: .*stash\.trust\(\)"):
        rows = mine.ld
    assert rows == [{"_key": "data", "a": 1}]
    with pytest.warns(RuntimeWarning, match=r"2 entries or versions left out: .*stash\.trust\(\)"):
        rows = mine.assemble_ld(with_metadata=True)
    assert without_times(rows) == [{"_key": "data", "_version": 1, "a": 1}]


def test_foreign_versions_are_left_out_and_counted(opened, somebody_else):
    with somebody_else:
        opened(engine="pairtree", append_mode=True)["k"] = Person("Eve", 1)
    mine = opened(engine="pairtree", append_mode=True)
    mine["k"] = Person("Me", 2)
    with pytest.warns(RuntimeWarning, match="1 entry or version left out"):
        rows = mine.assemble_ld(with_metadata=True)
    assert without_times(rows) == [{"_key": "k", "_version": 2, "name": "Me", "age": 2}]


def test_reading_changes_nothing(opened):
    stash = opened(engine="pairtree", read_only=False)
    stash["k"] = {"a": 1}
    read_only = HashStash(stash.root_dir, engine="pairtree", read_only=True)
    assert read_only.ld == [{"_key": "k", "a": 1}]
    assert list(stash.items()) == [("k", {"a": 1})]
