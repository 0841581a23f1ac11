"""What another writer stores between a look at an entry and its removal or replacement stays."""

import pytest

from hashstash import archive
from hashstash.wrappers.counters import CountersWrapper

LARGE = b"large " * 20_000


class Meddling(CountersWrapper):
    """Does something once, in the last moment before a row is removed or replaced."""

    def __init__(self, inner, meddle):
        super().__init__(inner)
        self._meddle = meddle

    def _first(self):
        meddle, self._meddle = self._meddle, lambda: None
        meddle()

    def delete(self, address):
        self._first()
        return super().delete(address)

    def delete_if(self, address, expected):
        self._first()
        return super().delete_if(address, expected)

    def put_many(self, rows):
        self._first()
        super().put_many(rows)

    def swap_many(self, changes):
        self._first()
        return super().swap_many(changes)


@pytest.fixture
def other(opened):
    """Another object on the same stash."""
    return opened()


@pytest.fixture
def meddled(stash):
    """Let something happen in between."""

    def meddle(work):
        stash.store.engine = Meddling(stash.store.engine, work)
        return stash

    return meddle


@pytest.mark.parametrize("old", [1, LARGE])
@pytest.mark.parametrize("remove", ["prune", "compact"])
def test_what_is_written_anew_is_not_removed_as_over(stash, other, meddled, remove, old):
    stash.put("k", old, ttl=1e-9)
    getattr(meddled(lambda: other.put("k", "new")), remove)()
    assert other["k"] == "new"


@pytest.mark.parametrize("old", [1, LARGE])
def test_chosen_entries_that_are_written_anew_are_not_deleted(stash, other, meddled, old):
    stash["k"] = old
    assert meddled(lambda: other.put("k", "new")).entries().delete() == 0
    assert other["k"] == "new"
    assert other.entries().delete() == 1


def test_a_bad_row_that_is_overwritten_meanwhile_is_not_moved_aside(stash, other, meddled):
    stash["k"] = 1
    address = stash.store.keys.address("k")
    row = bytearray(stash.store.engine.get(address))
    row[-6] ^= 1
    stash.store.engine.put(address, bytes(row))
    meddled(lambda: other.put("k", "new")).repair()
    assert other["k"] == "new"


@pytest.mark.parametrize("old", [1, LARGE])
def test_pop_gives_what_it_removes(stash, other, meddled, old):
    stash["k"] = old
    assert meddled(lambda: other.put("k", "new")).pop("k") == "new"
    assert "k" not in other


def test_of_two_who_pop_one_gets_it(stash, other, meddled):
    stash["k"] = 1
    with pytest.raises(KeyError):
        meddled(lambda: other.pop("k")).pop("k")


def test_popitem_gives_what_it_removes(stash, other, meddled):
    stash["k"] = 1
    assert meddled(lambda: other.put("k", "new")).popitem() == ("k", "new")
    assert not other


def test_popitem_says_that_the_stash_is_empty_where_others_took_the_last_one(stash, other, meddled):
    stash["k"] = 1
    with pytest.raises(KeyError, match="empty"):
        meddled(lambda: other.pop("k")).popitem()


def test_a_version_that_is_appended_meanwhile_keeps_the_entry(opened):
    stash, other = opened(append_mode=True), opened(append_mode=True)
    stash["k"] = 1
    first = stash.store.engine.get(stash.store.keys.address("k"))[8:16]
    other["k"] = 2
    assert not stash.store.remove(stash.store.keys.address("k"), only=first)
    assert other.get_all("k") == [1, 2]


@pytest.fixture
def exported(stash, tmp_path):
    """A file with an entry for each of two keys, which the stash does not hold."""
    file = tmp_path / "some.stash"
    stash.update({"k": "archived", "l": "archived"})
    archive.export_stashes(file, {"one": stash})
    stash.clear()
    return file


def test_an_import_that_overwrites_nothing_leaves_what_others_write_meanwhile(exported, other, meddled):
    stash = meddled(lambda: other.put("k", "new"))
    assert archive.import_stash(exported, stash, overwrite="never") == 1
    assert dict(other) == {"k": "new", "l": "archived"}


def test_an_import_of_what_is_newer_leaves_what_others_write_meanwhile(exported, stash, other, meddled):
    assert archive.import_stash(exported, meddled(lambda: other.put("k", "new")), overwrite="newer") == 1
    assert dict(other) == {"k": "new", "l": "archived"}


@pytest.mark.parametrize("new", ["new", LARGE])
def test_an_import_that_overwrites_everything_tries_again(exported, other, meddled, new):
    stash = meddled(lambda: other.put("k", new))
    assert archive.import_stash(exported, stash, overwrite="always") == 2
    assert dict(other) == {"k": "archived", "l": "archived"}
