"""What cannot be stored, and what is stored but cannot be read: the results are there all the same."""

import shutil
import struct
import zlib

import pytest

from hashstash import HashStash, trust
from hashstash.errors import MissingDependency, StashFull


def helper(x):
    return x * 10


def mapped(stash, function, *args, **options):
    return stash.map(function, *args, **{"num_proc": 1, "progress": False, **options})


class Model:
    def __init__(self, weight):
        self.weight = weight


class TestWhatCannotBeStored:
    def test_arguments_that_cannot_be_hashed_are_computed_with_one_warning(self, stash, noted, calls):
        import threading

        def named(lock):
            calls.append(1)
            return "a lock"

        locks = [threading.Lock(), threading.Lock()]
        made, warned = noted(lambda: mapped(stash, named, locks))
        assert made.results == ["a lock", "a lock"]
        assert len(warned) == 1
        assert "is not stashed for some items, since" in warned[0]
        noted(lambda: mapped(stash, named, locks))
        assert len(calls) == 4

    def test_a_function_that_cannot_be_hashed_is_computed_with_one_warning(self, stash, noted):
        import threading

        lock = threading.Lock()

        def locked(x):
            with lock:
                return x

        made, warned = noted(lambda: mapped(stash, locked, [1, 2]))
        assert made.results == [1, 2]
        assert len(warned) == 1
        assert "is not stashed, since" in warned[0]

    @pytest.mark.parametrize("workers", ["serial", "threads"])
    def test_results_that_cannot_be_stored_are_returned_with_one_warning(self, stash, noted, workers):
        made, warned = noted(
            lambda: stash.map(lambda x: (n for n in [x]), [1, 2], executor=workers, progress=False).results
        )
        assert [list(each) for each in made] == [[1], [2]]
        assert len(warned) == 1
        assert "results of a map could not be stored" in warned[0]

    @pytest.mark.parametrize("workers", ["serial", "threads"])
    def test_results_whose_own_methods_fail_are_returned_with_one_warning(self, stash, noted, workers):
        made, warned = noted(lambda: stash.map(Unwilling, [1, 2], executor=workers, progress=False).results)
        assert [each.x for each in made] == [1, 2]
        assert len(warned) == 1

    def test_a_read_only_stash_returns_results_with_one_warning(self, stash, tmp_path, noted):
        mapped(stash, helper, [1])
        closed = HashStash(tmp_path / "stash", engine="pairtree", read_only=True)
        made, warned = noted(lambda: mapped(closed, helper, [1, 2, 3]))
        assert (made.results, made.was_cached) == ([10, 20, 30], [True, False, False])
        assert len(warned) == 1

    @pytest.mark.parametrize(
        "error", [StashFull(28, "no room"), OSError(5, "a broken disk"), PermissionError(13, "no")]
    )
    def test_results_are_returned_if_the_storage_fails(self, stash, noted, monkeypatch, error):
        def fail(*_):
            raise error

        memo = mapped(stash, helper, [])._computation.plan.memo
        monkeypatch.setattr(memo.store.engine, "put", fail)
        monkeypatch.setattr(memo.store.engine, "put_many", fail)
        made, warned = noted(lambda: mapped(stash, helper, [1, 2, 3]))
        assert made.results == [10, 20, 30]
        assert len(warned) == 1
        assert "could not be stored" in warned[0]


class Unwilling:
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        raise ValueError("not me")


def with_checksum(body):
    return body + struct.pack("<I", zlib.crc32(body))


class TestBadEntries:
    @pytest.fixture
    def stored(self, stash):
        """The stash of a function with results for 1 and 2."""
        mapped(stash, helper, [1, 2])
        return stash.stashed_result(helper).stash

    def spoil(self, stored, change):
        address = stored.store.keys.address(((1,), {}))
        engine = stored.store.engine
        engine.put(address, change(engine.get(address)))
        return address

    def test_a_corrupt_entry_is_computed_anew_with_one_warning_and_mended(self, stash, stored, noted):
        self.spoil(stored, lambda row: row[:-3] + b"???")
        made, warned = noted(lambda: mapped(stash, helper, [1, 2]))
        assert (made.results, made.was_cached) == ([10, 20], [False, True])
        assert len(warned) == 1
        assert "is computed anew for some items" in warned[0]
        assert mapped(stash, helper, [1, 2]).was_cached == [True, True]

    def test_an_entry_of_a_newer_version_is_left_where_it_is(self, stash, stored, noted):
        address = self.spoil(stored, lambda row: with_checksum(row[:3] + b"\x63" + row[4:-4]))
        row = stored.store.engine.get(address)
        made, warned = noted(lambda: mapped(stash, helper, [1]))
        assert made.results == [10]
        assert len(warned) == 1
        assert "newer" in warned[0].lower()
        assert stored.store.engine.get(address) == row

    def test_foreign_code_is_computed_anew_with_one_warning(self, stash, somebody_else, noted):

        with somebody_else:
            trust._keyrings.clear()
            mapped(stash, Model, [1, 2])
        trust._keyrings.clear()
        made, warned = noted(lambda: mapped(stash, Model, [1, 2]))
        assert [each.weight for each in made] == [1, 2]
        assert made.was_cached == [False, False]
        assert len(warned) == 1

    def test_foreign_data_is_answered_with(self, stash, somebody_else):

        with somebody_else:
            trust._keyrings.clear()
            mapped(stash, helper, [1])
        trust._keyrings.clear()
        assert mapped(stash, helper, [1]).was_cached == [True]

    def test_an_expired_entry_is_computed_anew_without_a_word(self, stash, counted, noted):
        stash.options(ttl=0.000001).map(counted, [1], num_proc=1, progress=False)
        made, warned = noted(lambda: mapped(stash, counted, [1]))
        assert made.was_cached == [False]
        assert warned == []


@pytest.mark.parametrize("engine", ["sqlite", "lmdb"])
def test_a_map_computes_where_the_storage_of_its_results_is_damaged(tmp_path, noted, engine):
    sound = HashStash(tmp_path / "sound", engine=engine)
    mapped(sound, helper, [1, 2])
    sound.close()
    shutil.copytree(tmp_path / "sound", tmp_path / "damaged")  # which nobody here has open
    for file in (tmp_path / "damaged").rglob("*"):
        if file.name in {"data.mdb", "rows.sqlite"}:
            file.write_bytes(b"Z" * file.stat().st_size)
    made, warned = noted(lambda: mapped(HashStash(tmp_path / "damaged", engine=engine), helper, [1, 2, 3]).results)
    assert made == [10, 20, 30]
    assert "is computed anew for some items" in warned[0]
    assert "stash.repair()" in warned[0]


def test_a_map_of_results_that_cannot_be_looked_up_for_want_of_a_package_says_so(stash, monkeypatch):
    def get_many(self, addresses):
        raise MissingDependency("pip install it")

    monkeypatch.setattr(type(stash.store.engine), "get_many", get_many)
    with pytest.raises(MissingDependency, match="pip install it"):
        mapped(stash, helper, [1, 2])
