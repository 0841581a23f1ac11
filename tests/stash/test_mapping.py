import asyncio
import collections
import dataclasses
import datetime
import math
import os
import pathlib
import threading
from collections.abc import MutableMapping

import pytest

from hashstash import HashStash, trust
from hashstash.errors import StashFull, UnsupportedValue, VolatileKey


def module_function(x):
    return x + 1


class Thing:
    def __init__(self, size):
        self.size = size

    def __eq__(self, other):
        return type(other) is type(self) and other.size == self.size

    __hash__ = None


KEYS = {
    "text": "a",
    "number": 1,
    "float": 1.5,
    "bool": True,
    "none": None,
    "bytes": b"a",
    "tuple": (1, ("a", None)),
    "list": [1, [2, 3]],
    "dict": {"a": {"b": [1, 2]}},
    "set": {1, "a", (2,)},
    "frozenset": frozenset({1, 2}),
    "date": datetime.date(2024, 2, 29),
    "big number": 10**30,
    "nan": math.nan,
    "empty": "",
    "unicode": "日本\ud800\0",
    "builtin": len,
    "class": dict,
    "user class": Thing,
    "instance": Thing(3),
    "long text": "x" * 100_000,
}


@pytest.mark.parametrize("name", KEYS)
def test_any_object_is_a_key(stash, name):
    key = KEYS[name]
    stash[key] = name
    assert stash[key] == name
    assert key in stash
    assert stash.get(key) == name
    assert len(stash) == 1
    del stash[key]
    assert key not in stash


@pytest.mark.parametrize("name", [name for name in KEYS if name != "nan"])
def test_iterating_yields_the_key_itself(stash, name):
    stash[KEYS[name]] = 1
    (key,) = stash
    assert key == KEYS[name]
    assert type(key) is type(KEYS[name])


def test_functions_are_keys_and_callable_again(stash):
    stash[module_function] = "named"
    stash[lambda x: x * 2] = "lambda"
    results = {value: key(10) for key, value in stash.items()}
    assert results == {"named": 11, "lambda": 20}


def test_two_lambdas_on_one_line_are_two_keys(stash):
    one, other = (lambda x: x + 1), (lambda x: x + 2)
    stash[one], stash[other] = 1, 2
    assert (stash[one], stash[other], len(stash)) == (1, 2, 2)


def test_frames_are_keys(stash):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    stash[frame] = "frame"
    assert stash[frame.copy()] == "frame"
    (key,) = stash
    pd.testing.assert_frame_equal(key, frame)


def test_arrays_are_keys(stash):
    np = pytest.importorskip("numpy")
    stash[np.arange(5)] = "small"
    stash[{"a": np.arange(50_000)}] = "large"
    assert stash[np.arange(5)] == "small"
    assert stash[{"a": np.arange(50_000)}] == "large"
    assert {len(key) for key in stash} == {5, 1}


def test_large_arrays_in_keys_are_found_by_whoever_opens_the_stash_later(opened):
    np = pytest.importorskip("numpy")
    opened()[np.arange(50_000)] = 1
    assert opened()[np.arange(50_000)] == 1


def test_types_are_told_apart(stash):
    for key in (1, 1.0, True, "1", (1,), [1]):
        stash[key] = type(key).__name__
    assert len(stash) == 6
    assert all(stash[key] == type(key).__name__ for key in (1, 1.0, True, "1", (1,), [1]))


def test_equal_dicts_and_sets_in_another_order_are_one_key(stash):
    stash[{"a": 1, "b": {3, 1, 2}}] = 1
    assert stash[{"b": {2, 1, 3}, "a": 1}] == 1


@pytest.mark.parametrize(
    "value", [None, False, 0, "", [], {}, b"", (), math.inf, {"a": (1, {2})}, "x" * 200_000, list(range(10_000))]
)
def test_any_value_comes_back(stash, value):
    stash["k"] = value
    assert stash["k"] == value
    assert type(stash["k"]) is type(value)


def test_none_is_a_value_and_not_a_miss(stash):
    stash["k"] = None
    assert "k" in stash
    assert stash.get("k", "default") is None
    assert stash.pop("k", "default") is None


def test_a_value_that_contains_itself_comes_back(stash):
    value = [1]
    value.append(value)
    stash["k"] = value
    found = stash["k"]
    assert found[1] is found


def test_a_missing_key_raises_with_the_key(stash):
    with pytest.raises(KeyError) as caught:
        stash["missing"]
    assert caught.value.args == ("missing",)


@pytest.mark.parametrize("default", [None, 5, "x"])
def test_get_gives_the_default(stash, default):
    assert stash.get("missing", default) is default


def test_overwriting(stash):
    stash["k"] = 1
    stash["k"] = 2
    assert (stash["k"], len(stash)) == (2, 1)


def test_deleting_what_is_missing_raises(stash):
    with pytest.raises(KeyError):
        del stash["missing"]


def test_len_counts(stash):
    assert len(stash) == 0
    stash.update({number: number for number in range(50)})
    assert len(stash) == 50
    del stash[7]
    assert len(stash) == 49


def test_truth(stash):
    assert not stash
    stash["k"] = None
    assert stash


def test_it_is_a_mutable_mapping(stash):
    assert isinstance(stash, MutableMapping)


# ---- views -----------------------------------------------------------------------------------------------------------


def test_views_show_what_is_there_now(stash):
    keys, values, items = stash.keys(), stash.values(), stash.items()
    stash["a"] = 1
    assert (list(keys), list(values), list(items)) == (["a"], [1], [("a", 1)])
    assert (len(keys), len(values), len(items)) == (1, 1, 1)


def test_views_answer_what_they_contain(stash):
    stash["a"] = [1]
    assert "a" in stash.keys()  # noqa: SIM118
    assert "b" not in stash.keys()  # noqa: SIM118
    assert [1] in stash.values()
    assert [2] not in stash.values()
    assert ("a", [1]) in stash.items()
    assert ("a", [2]) not in stash.items()
    assert ("b", None) not in stash.items()
    assert "a" not in stash.items()


def test_values_are_decoded_when_they_are_reached(stash):
    for number in range(10):
        stash[number] = number
    before = stash.stats.bytes_read
    next(iter(stash.values()))
    one = stash.stats.bytes_read - before
    list(stash.values())
    assert 0 < one <= (stash.stats.bytes_read - before) / 5


def test_views_may_be_iterated_while_the_stash_changes(stash):
    stash.update({number: number for number in range(20)})
    for key in stash.keys():  # noqa: SIM118
        stash[("new", key)] = 1
        del stash[key]
        assert len(stash) < 1000
    assert not [key for key in stash if isinstance(key, int)]


def test_views_have_a_short_repr(stash):
    stash.update({number: number for number in range(20)})
    assert repr(stash.keys()).startswith("StashKeys([")
    assert repr(stash.values()).endswith(", ...])")
    assert "(1" in repr(stash.items())


def test_views_of_values_without_end_have_an_end(stash):
    """A list that holds one list twice, sixty levels deep, which a stranger can store in a few hundred bytes."""
    value = [1]
    for _ in range(60):
        value = [value, value]
    stash["without end"] = value
    assert len(repr(stash.values())) < 3000
    assert len(repr(stash.items())) < 3000
    (entry,) = stash.entries()
    assert len(repr(dataclasses.replace(entry, key=value, meta={"note": value}))) < 3000


def test_keys_are_a_set_for_set_operations(stash):
    stash.update(a=1, b=2)
    assert stash.keys() & {"a", "c"} == {"a"}
    assert {*stash.keys()} == {"a", "b"}


def test_dict_of_a_stash(stash):
    stash.update(a=1, b=2)
    assert dict(stash) == {"a": 1, "b": 2}


# ---- removing and adding ---------------------------------------------------------------------------------------------


def test_pop(stash):
    stash["k"] = 1
    assert stash.pop("k") == 1
    assert "k" not in stash


def test_pop_without_a_default_raises(stash):
    with pytest.raises(KeyError):
        stash.pop("missing")


@pytest.mark.parametrize("default", [None, 5])
def test_pop_with_a_default(stash, default):
    assert stash.pop("missing", default) is default


def test_popitem_empties_the_stash(stash):
    stash.update({number: str(number) for number in range(5)})
    assert {stash.popitem() for _ in range(5)} == {(number, str(number)) for number in range(5)}
    with pytest.raises(KeyError, match="empty"):
        stash.popitem()


def test_discard_says_whether_it_was_there(stash):
    stash["k"] = 1
    assert stash.discard("k") is True
    assert stash.discard("k") is False


def test_setdefault_returns_what_is_there(stash):
    stash["k"] = 1
    assert stash.setdefault("k", 2) == 1


def test_setdefault_stores_and_returns_what_is_stored(stash):
    default = [1]
    found = stash.setdefault("k", default)
    assert found == [1]
    assert found is not default
    assert stash["k"] == [1]


def test_setdefault_without_a_default_stores_none(stash):
    assert stash.setdefault("k") is None
    assert "k" in stash


def test_get_set_calls_for_what_is_missing(stash):
    calls = []
    assert stash.get_set("k", lambda: calls.append(1) or 5) == 5
    assert stash.get_set("k", lambda: calls.append(1) or 6) == 5
    assert calls == [1]


def test_get_set_with_a_value(stash):
    assert stash.get_set("k", 5) == 5


def test_get_set_stores_nothing_when_the_call_fails(stash):
    with pytest.raises(ZeroDivisionError):
        stash.get_set("k", lambda: 1 / 0)
    assert "k" not in stash


def test_get_set_returns_what_it_computed_where_there_is_no_room(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", max_size=500)
    with pytest.warns(RuntimeWarning, match="could not be stored") as warned:
        assert len(stash.get_set("k", lambda: os.urandom(2000))) == 2000
    assert [warning.filename for warning in warned] == [__file__]
    assert "k" not in stash


def test_get_set_returns_what_it_computed_where_it_cannot_be_stored(stash):
    with pytest.warns(RuntimeWarning, match="could not be stored.*generator") as warned:
        assert list(stash.get_set("k", lambda: (number for number in [1, 2]))) == [1, 2]
    assert [warning.filename for warning in warned] == [__file__]
    assert "k" not in stash


def test_get_set_returns_what_it_computed_where_nothing_can_be_signed(tmp_path, monkeypatch):
    stash = HashStash(tmp_path, engine="pairtree")
    trust._keyrings.clear()
    monkeypatch.setenv("HASHSTASH_KEY", "no key")
    with pytest.warns(RuntimeWarning, match="could not be stored.*HASHSTASH_KEY"):
        assert stash.get_set("k", lambda: lambda: 5)() == 5


def test_get_set_raises_for_a_value_that_was_given_and_finds_no_room(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", max_size=500)
    with pytest.raises(StashFull):
        stash.get_set("k", os.urandom(2000))


def test_get_set_computes_where_there_are_no_locks_to_be_had(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree")
    stash["other"] = 1
    folder = pathlib.Path(stash.store.engine.lock_folder())
    folder.write_bytes(b"")  # a file, so that no lock can be made in it
    assert stash.get_set("k", lambda: 5) == 5
    assert stash["k"] == 5


def test_get_set_is_computed_by_one_thread(stash):
    calls, results = [], []

    def compute():
        calls.append(1)
        threading.Event().wait(0.05)
        return "value"

    threads = [threading.Thread(target=lambda: results.append(stash.get_set("k", compute))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (calls, results) == ([1], ["value"] * 8)


UPDATES = {
    "mapping": ({"a": 1, "b": 2},),
    "pairs": ([("a", 1), ("b", 2)],),
    "ordered": (collections.OrderedDict(a=1, b=2),),
    "user dict": (collections.UserDict(a=1, b=2),),
}


@pytest.mark.parametrize("arguments", UPDATES.values(), ids=UPDATES)
def test_update_from(stash, arguments):
    stash.update(*arguments)
    assert stash == {"a": 1, "b": 2}


def test_update_from_a_generator_and_keywords(stash):
    stash.update(((name, 1) for name in "ab"), b=2, other=3, self=4)
    assert stash == {"a": 1, "b": 2, "other": 3, "self": 4}


def test_update_from_another_stash(stash, tmp_path):
    other = HashStash(tmp_path / "other", engine="memory")
    other.update({(1, 2): [3], "x": None})
    stash.update(other)
    assert stash == other


def test_update_from_something_with_keys(stash):
    class Keyed:
        def keys(self):
            return ["a", "b"]

        def __getitem__(self, key):
            return key * 2

    stash.update(Keyed())
    assert stash == {"a": "aa", "b": "bb"}


@pytest.mark.parametrize("other", [5, None, [1], ["abc"], [("a", 1, 2)]])
def test_update_from_something_else_raises(stash, other):
    with pytest.raises((TypeError, ValueError)):
        stash.update(other)
    assert len(stash) == 0


def test_ior_updates_in_place(stash):
    before = stash
    stash |= {"a": 1}
    stash |= [("b", 2)]
    assert stash is before
    assert stash == {"a": 1, "b": 2}


def test_clear_returns_the_stash(stash):
    stash["k"] = 1
    assert stash.clear() is stash
    assert len(stash) == 0
    assert list(stash) == []
    stash["k"] = 2
    assert stash["k"] == 2


# ---- comparing -------------------------------------------------------------------------------------------------------


def test_it_equals_a_dict_with_the_same_items(stash):
    stash.update(a=1, b=[2])
    assert stash == {"b": [2], "a": 1}
    assert stash != {"a": 1}
    assert stash != {"a": 1, "b": [2], "c": 3}
    assert stash != {"a": 1, "b": [3]}


def test_it_equals_a_stash_on_the_same_place(opened):
    opened()["k"] = float("nan")
    assert opened() == opened()


def test_two_empty_stashes_hold_the_same(opened, tmp_path):
    assert opened() == opened(dbname="other")


def test_it_equals_nothing_that_is_no_mapping(stash):
    assert stash != 5
    assert stash != [("a", 1)]
    assert stash is not None


def test_arrays_and_frames_are_compared_by_content(stash):
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    value = {"array": np.arange(5), "frame": pd.DataFrame({"a": [1, 2]})}
    stash.update(value)
    assert stash == {name: item.copy() for name, item in value.items()}
    assert stash != {**value, "array": np.arange(6)}
    assert np.arange(5) in stash.values()


def test_a_stash_is_not_hashable(stash):
    with pytest.raises(TypeError):
        hash(stash)


# ---- many at once ----------------------------------------------------------------------------------------------------


def test_get_many_keeps_the_order(stash):
    stash.update(a=1, b=None)
    assert stash.get_many(["b", "missing", "a", "a"], default=0) == [None, 0, 1, 1]


def test_get_many_of_nothing(stash):
    assert stash.get_many([]) == []


def test_get_many_takes_a_generator(stash):
    stash.update({number: number * 2 for number in range(100)})
    assert stash.get_many(number for number in range(100)) == [number * 2 for number in range(100)]


@pytest.mark.parametrize("items", [{"a": 1, "b": [2]}, [("a", 1), ("b", [2])]])
def test_set_many(stash, items):
    stash.set_many(items)
    assert stash == {"a": 1, "b": [2]}


def test_the_last_of_equal_keys_wins(stash):
    stash.set_many([("k", 1), ("k", len), ("k", 2)])
    assert stash["k"] == 2
    stash.set_many([("k", 3), ("k", len)])
    assert stash["k"] is len


def test_set_many_of_large_and_small(stash):
    items = {number: bytes([number % 256]) * (number * 1000) for number in range(0, 200, 7)}
    stash.set_many(items)
    assert stash == items


def test_set_many_that_fails_keeps_what_came_before(stash):
    with pytest.raises(TypeError):
        stash.set_many([("a", 1), ("b", (i for i in ())), ("c", 3)])
    assert dict(stash.items()) == {"a": 1}


def test_statistics_count_what_this_object_did(opened):
    stash = opened()
    stash["a"] = 1
    stash["a"]
    stash.get("missing")
    stash.discard("a")
    stats = stash.stats
    assert (stats.sets, stats.hits, stats.misses, stats.deletes) == (1, 1, 1, 1)
    assert stats.bytes_written > 0
    assert stats.bytes_read > 0
    assert opened().stats.sets == 0


def test_size_grows_with_what_is_stored(stash):
    before = stash.size_bytes()
    stash["k"] = bytes(range(256)) * 1000
    assert stash.size_bytes() > before


def test_entries_say_what_is_known_without_decoding(opened):
    stash = opened(compress="zlib")
    stash.put("k", "x" * 10_000, seconds=1.5)
    (info,) = stash.entries()
    assert (info.key, info.codec, info.seconds, info.version, info.is_code, info.signer) == (
        "k",
        "hashstash+zlib",
        1.5,
        1,
        False,
        None,
    )
    assert info.raw_size > 10_000 > info.size > 0
    assert info.expires_at is None
    assert abs(info.created_at - datetime.datetime.now(datetime.UTC).timestamp()) < 60


# ---- other stashes ---------------------------------------------------------------------------------------------------


def test_a_sub_stash_is_separate(stash):
    sub = stash.sub("below")
    sub["k"] = 1
    stash["k"] = 2
    assert (sub["k"], stash["k"], len(stash), len(sub)) == (1, 2, 1, 1)
    assert stash.sub("below")["k"] == 1


def test_sub_stashes_nest(stash):
    stash.sub("a").sub("b")["k"] = 1
    assert stash.sub("a/b")["k"] == 1
    assert "k" not in stash.sub("a")


def test_clearing_a_stash_leaves_its_sub_stashes(stash):
    stash.sub("below")["k"] = 1
    stash.clear()
    assert stash.sub("below")["k"] == 1


def test_a_sub_stash_has_the_same_settings(opened):
    stash = opened(compress="bz2", append_mode=True, ttl=60)
    assert stash.sub("x").to_dict() == {**stash.to_dict(), "dbname": "x"}


def test_copy_to_returns_the_other(stash, tmp_path):
    stash.update({"a": 1, (1, 2): {"b": [3]}, len: dict})
    other = HashStash(tmp_path / "other", engine="memory")
    assert stash.copy_to(other) is other
    assert other == stash


def test_copy_to_takes_a_stash_and_not_its_name(stash):
    with pytest.raises(TypeError, match="takes a stash, .*not 'other'"):
        stash.copy_to("other")


def test_copy_to_keeps_what_the_other_has(stash, tmp_path):
    stash["a"] = 1
    other = HashStash(tmp_path / "other", engine="memory")
    other.update(a=0, b=2)
    assert stash.copy_to(other) == {"a": 1, "b": 2}


def test_copy_to_keeps_compute_times(stash, tmp_path):
    stash.put("k", 1, seconds=2.5)
    (info,) = stash.copy_to(HashStash(tmp_path / "other", engine="memory")).entries()
    assert info.seconds == 2.5


def test_copy_to_keeps_versions(opened, tmp_path):
    stash = opened(append_mode=True)
    for number in range(3):
        stash["k"] = number
    other = stash.copy_to(HashStash(tmp_path / "other", engine="memory", append_mode=True))
    assert other.get_all("k") == [0, 1, 2]


def test_a_temporary_stash_is_empty_separate_and_gone_afterwards(stash):
    stash["k"] = 1
    with stash.tmp() as temporary:
        assert len(temporary) == 0
        temporary["k"] = 2
        assert stash["k"] == 1
        assert temporary.to_dict()["is_tmp"]
    assert "k" not in temporary
    assert stash["k"] == 1


def test_a_temporary_stash_is_removed_after_an_error(stash):
    with pytest.raises(ZeroDivisionError), stash.tmp() as temporary:
        temporary["k"] = 1
        1 / 0
    assert "k" not in temporary


# ---- async -----------------------------------------------------------------------------------------------------------


def test_async_methods(stash):
    async def work():
        await stash.aset("k", [1])
        return await stash.aget("k"), await stash.ahas("k"), await stash.ahas("missing"), await stash.aget("missing", 5)

    assert asyncio.run(work()) == ([1], True, False, 5)


def test_many_async_writers(stash):
    async def work():
        await asyncio.gather(*(stash.aset(number, number) for number in range(50)))
        return await asyncio.gather(*(stash.aget(number) for number in range(50)))

    assert asyncio.run(work()) == list(range(50))


# ---- encoded forms ---------------------------------------------------------------------------------------------------

ENCODED_KEYS = [name for name in KEYS if name != "nan"]


@pytest.mark.parametrize("name", ENCODED_KEYS)
def test_an_encoded_key_is_decoded(stash, name):
    encoded = stash.encode_key(KEYS[name])
    assert isinstance(encoded, bytes)
    assert stash.decode_key(encoded) == KEYS[name]


@pytest.mark.parametrize("options", [{}, {"serializer": "pickle"}, {"b64": True}, {"compress": "bz2", "b64": True}])
@pytest.mark.parametrize("value", [None, {"a": [1, (2, {3})]}, "x" * 5000, len])
def test_an_encoded_value_is_decoded(opened, options, value):
    stash = opened(**options)
    encoded = stash.encode_value(value)
    assert stash.decode_value(encoded) == value
    assert not options.get("b64") or encoded.isascii()


def test_stored_bytes_are_decoded(stash):
    stash.update({"a": [1], len: dict, (1, 2): "x" * 5000})
    assert {stash.decode_key(key): stash.decode_value(value) for key, value in stash._items()} == dict(stash.items())
    assert set(map(stash.decode_key, stash._keys())) == set(stash)
    assert len(list(map(stash.decode_value, stash._values()))) == 3


def test_stored_bytes_of_large_arrays_are_decoded(stash):
    np = pytest.importorskip("numpy")
    stash["k"] = np.arange(100_000)
    (row,) = stash._values()
    assert (stash.decode_value(row) == np.arange(100_000)).all()


def test_what_a_row_holds_is_what_encode_key_gives(stash):
    stash[("a", 1)] = 1
    assert list(stash._keys()) == [stash.encode_key(("a", 1))]


# ---- what cannot be stored -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key, place",
    [
        (lambda part: part, "key"),
        (lambda part: (1, [part]), r"key\[1\]\[0\]"),
        (lambda part: {"a": {"b": part}}, r"key\['a'\]\['b'\]"),
    ],
)
def test_the_part_of_a_key_that_cannot_be_hashed_is_named(stash, key, place):
    with pytest.raises(VolatileKey, match=f"`{place}` is a lock"):
        stash.get(key(threading.Lock()))


@pytest.mark.parametrize("wrap", [lambda part: part, lambda part: {"a": [part]}])
def test_a_volatile_key_is_refused_and_named(stash, wrap):
    with pytest.raises(VolatileKey, match="generator"):
        stash[wrap(i for i in ())] = 1
    with pytest.raises(VolatileKey, match="generator"):
        stash.get(wrap(i for i in ()))
    assert len(stash) == 0


@pytest.mark.parametrize(
    "value", [(i for i in ()), threading.Lock(), {"a": [threading.Lock()]}], ids=["generator", "lock", "inside"]
)
@pytest.mark.parametrize("serializer", ["hashstash", "pickle"])
def test_a_value_that_cannot_be_stored_is_refused_and_nothing_is_lost(opened, serializer, value):
    stash = opened(serializer=serializer)
    stash["k"] = "before"
    with pytest.raises(UnsupportedValue, match=r"generator|lock"):
        stash["k"] = value
    assert stash["k"] == "before"


def test_a_frame_that_only_counts_its_rows_is_soon_compared(stash):
    pd = pytest.importorskip("pandas")
    stash["rows"] = pd.RangeIndex(10**15)
    assert 5 not in stash.values()
    assert stash != {"rows": [1]}


def test_the_repr_of_a_stash_steers_no_terminal(tmp_path):
    shown = repr(HashStash(tmp_path / "\x1b]0;title\x07\n\u202e", engine="pairtree"))
    assert shown.isprintable()
