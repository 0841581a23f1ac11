"""Touching an entry lets its time begin anew, and writes no more than its row."""

import random
import time

import pytest

from hashstash.errors import CorruptEntry, ReadOnlyStash, UntrustedEntry
from hashstash.wrappers.counters import CountersWrapper

pytestmark = pytest.mark.once

LARGE = random.Random(0).randbytes(256_000)


def test_the_time_that_is_given_begins_now(opened):
    stash = opened()
    stash.put("k", 1, ttl=60, meta={"a": 1}, seconds=2.5)
    before = stash.info("k")
    assert stash.touch("k", ttl="1h") is True
    after = stash.info("k")
    assert after.expires_at == pytest.approx(time.time() + 3600, abs=60)
    assert (after.created_at, after.meta, after.seconds) == (before.created_at, before.meta, 2.5)
    assert stash["k"] == 1


def test_without_a_time_the_stashs_begins_anew(opened):
    opened().put("k", 1, ttl=30)
    stash = opened(ttl="2h")
    stash.touch("k")
    assert stash.info("k").expires_at == pytest.approx(time.time() + 7200, abs=60)


def test_without_any_time_the_end_stays(opened):
    stash = opened()
    stash.put("k", 1, ttl=600)
    stash["plain"] = 1
    end = stash.info("k").expires_at
    assert stash.touch("k")
    assert stash.touch("plain")
    assert stash.info("k").expires_at == end
    assert stash.info("plain").expires_at is None


def test_an_entry_that_never_ended_gets_an_end(opened):
    stash = opened()
    stash["k"] = 1
    stash.touch("k", ttl=0.05)
    time.sleep(0.1)
    assert "k" not in stash
    assert len(stash) == 0


def test_a_touched_entry_outlives_its_first_end(opened):
    stash = opened()
    stash.put("k", 1, ttl=1.5)
    assert stash.touch("k", ttl=3600)
    time.sleep(1.6)
    assert (stash["k"], len(stash)) == (1, 1)


def test_what_is_missing_or_over_is_not_brought_back(opened):
    stash = opened()
    stash.put("over", 1, ttl=0.01)
    time.sleep(0.05)
    assert (stash.touch("over", ttl=60), stash.touch("missing", ttl=60)) == (False, False)
    assert "over" not in stash


def test_a_large_value_is_not_written_again(tmp_path, open_on):
    stash = open_on("lmdb")
    stash["k"] = LARGE
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "stash").rglob("blobs/**/*") if path.is_file()}
    assert files
    stash.store.engine = counters = CountersWrapper(stash.store.engine)
    stash.touch("k", ttl=60)
    assert counters.operations()["swap"].size < 1000
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "stash").rglob("blobs/**/*") if path.is_file()
    } == files
    assert stash["k"] == LARGE


def test_versions_stay_and_are_not_added_to(opened):
    stash = opened(append_mode=True)
    stash["k"], stash["k"] = 1, 2
    stash.touch("k", ttl=60)
    assert stash.get_all("k") == [1, 2]
    assert stash.info("k").version == 2


def test_code_is_signed_again(opened):
    stash = opened()
    stash["k"] = len
    stash.touch("k", ttl=60)
    assert stash["k"] is len
    assert stash.info("k").trusted


def test_foreign_code_is_not_touched(opened, somebody_else):
    stash = opened()
    with somebody_else:
        stash["k"] = len
        signer = stash.info("k").signer
    with pytest.raises(UntrustedEntry):
        stash.touch("k", ttl=60)
    assert stash.info("k").signer == signer


def test_foreign_data_is_touched(opened, somebody_else):
    stash = opened()
    with somebody_else:
        stash["k"] = [1]
    assert stash.touch("k", ttl=60)
    assert stash["k"] == [1]


def test_a_corrupt_entry_raises(opened):
    stash = opened()
    stash["k"] = 1
    address = stash.store.keys.address("k")
    stash.store.engine.put(address, stash.store.engine.get(address)[:-1])
    with pytest.raises(CorruptEntry):
        stash.touch("k", ttl=60)


def test_a_read_only_stash_refuses(opened):
    opened()["k"] = 1
    with pytest.raises(ReadOnlyStash):
        opened(read_only=True).touch("k", ttl=60)


@pytest.mark.parametrize("ttl", [0, -1, "soon", True])
def test_a_bad_time_is_refused(opened, ttl):
    stash = opened()
    stash["k"] = 1
    with pytest.raises((ValueError, TypeError), match="duration"):
        stash.touch("k", ttl=ttl)


def test_a_writer_that_comes_in_between_is_not_overwritten(opened):
    stash = opened()
    stash.put("k", "old", ttl=60)
    engine = stash.store.engine

    class Meddling(CountersWrapper):
        def swap(self, address, expected, blob):
            if not done:
                done.append(1)
                stash.store.engine = engine
                stash["k"] = "new"
                stash.store.engine = self
            return super().swap(address, expected, blob)

    done = []
    stash.store.engine = Meddling(engine)
    assert stash.touch("k", ttl=3600)
    assert stash["k"] == "new"
    assert stash.info("k").expires_at == pytest.approx(time.time() + 3600, abs=60)


def test_touching_from_four_processes_loses_nothing(opened, in_processes):
    stash = opened()
    stash["k"] = LARGE
    in_processes(stash, "for number in range(20): assert stash.touch('k', ttl=1000 + who)")
    assert stash["k"] == LARGE
    assert stash.info("k").expires_at > time.time() + 900
