"""``update`` and ``set_many`` write small values in batches, and nobody can tell by the result."""

from __future__ import annotations

import pytest

from hashstash import HashStash
from hashstash.errors import UnsupportedValue

SMALL = {"name": "a", "tags": [1, 2]}
LARGE = bytes(range(256)) * 400


@pytest.fixture(params=["lmdb", "pairtree", "memory"])
def stash(request, tmp_path):
    with HashStash(tmp_path / "stash", engine=request.param, compress=False) as stash:
        yield stash


def test_the_last_pair_of_a_key_wins(stash):
    stash.set_many([("a", "z"), ("b", 2), ("a", "m"), ("a", "b")])
    assert dict(stash.items()) == {"a": "b", "b": 2}


def test_small_and_large_values_of_one_key_end_as_the_last_one(stash):
    stash.set_many([("a", SMALL), ("a", LARGE), ("b", LARGE), ("b", SMALL)])
    assert dict(stash.items()) == {"a": LARGE, "b": SMALL}


def test_pairs_before_one_that_cannot_be_stored_are_kept(stash):
    with pytest.raises(UnsupportedValue):
        stash.set_many([("a", 1), ("b", (number for number in "ab")), ("c", 3)])
    assert dict(stash.items()) == {"a": 1}


def test_pairs_before_an_error_of_the_iterable_are_kept(stash):
    def pairs():
        yield "a", 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stash.set_many(pairs())
    assert dict(stash.items()) == {"a": 1}


def test_a_batch_counts_as_so_many_sets(stash):
    stash.set_many({"a": 1, "b": 2, "c": LARGE})
    assert stash.stats.sets == 3


def test_more_than_one_batch_is_stored_whole(stash, monkeypatch):
    monkeypatch.setattr("hashstash.store._BATCH_BYTES", 500)
    pairs = {number: {"number": number} for number in range(60)}
    stash.set_many(pairs)
    assert dict(stash.items()) == pairs


@pytest.mark.parametrize("engine", ["lmdb", "pairtree"])
@pytest.mark.parametrize("write", [HashStash.__setitem__, lambda stash, key, value: stash.set_many([(key, value)])])
def test_a_small_value_in_place_of_a_large_one_removes_its_blob_file(tmp_path, engine, write):
    stash = HashStash(tmp_path / "stash", engine=engine, compress=False)
    stash["a"] = LARGE
    before = len(list(stash.store.blobs.names()))
    write(stash, "a", SMALL)
    assert (before, len(list(stash.store.blobs.names()))) == (1, 0)
    assert stash["a"] == SMALL


def test_items_include_what_only_the_long_way_can_decode(stash):
    deep = []
    for _ in range(500):
        deep = [deep]
    stash.update({"deep": deep, (1, "two"): SMALL})
    found = dict(stash.items())
    assert found.keys() == {"deep", (1, "two")}
    assert found[1, "two"] == SMALL
    assert len(found["deep"]) == 1


# ---- a few entries that belong together --------------------------------------------------------------------------------


def encoded(stash, value):
    return stash.store.codec.serializer.dumps(value)


def test_entries_that_belong_together_are_read_as_if_each_had_been_stored_alone(stash):
    stash.put_encoded_together([("a", encoded(stash, SMALL), True), ("b", encoded(stash, LARGE), False)], seconds=2.5)
    assert dict(stash.items()) == {"a": SMALL, "b": LARGE}
    assert [stash.store.find(key).seconds for key in "ab"] == [2.5, 2.5]
    assert stash.stats.sets == 2


def test_entries_that_belong_together_are_signed_as_asked_for(stash):
    stash.put_encoded_together([("a", encoded(stash, 1), True), ("b", encoded(stash, 2), False)])
    assert [stash.store.find(key).is_trusted for key in "ab"] == [True, False]


def test_rules_see_each_of_the_entries_that_belong_together(tmp_path):
    with HashStash(tmp_path / "stash", engine="pairtree", append_mode=True) as stash:
        stash["a"] = 0
        stash.put_encoded_together([("a", encoded(stash, 1), False), ("b", encoded(stash, 2), False)])
        assert [len(stash.versions(key)) for key in "ab"] == [2, 1]


@pytest.mark.parametrize("engine", ["lmdb", "pairtree"])
def test_what_cannot_be_stored_together_leaves_no_blob_file(tmp_path, monkeypatch, engine):
    with HashStash(tmp_path / "stash", engine=engine) as stash:
        items = [("a", encoded(stash, LARGE), False), ("b", encoded(stash, LARGE * 2), False)]
        monkeypatch.setattr(stash.store.engine, "put_many", lambda _rows: (_ for _ in ()).throw(OSError(28, "no room")))
        with pytest.raises(OSError, match="no room"):
            stash.put_encoded_together(items)
        assert list(stash.store.blobs.names()) == []
        assert len(stash) == 0
