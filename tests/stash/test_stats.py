"""What a stash has done: by each object at once, by all of them when they have added it to the stash's sums."""

import gc
import json
import math
import os
import threading

import pytest

from hashstash import HashStash, statistics
from hashstash.engine import Capability
from hashstash.statistics import Counts
from hashstash.testing.engine.base import Worker, run_alone, run_together
from hashstash.wrappers.counters import CountersWrapper

pytestmark = pytest.mark.once


def source(stash):
    settings = json.dumps(stash.to_dict())
    return f"import json\nfrom hashstash import HashStash\nstash = HashStash.from_dict(json.loads({settings!r}))\n"


def work(stash):
    stash["a"] = 1
    stash["b"] = [2] * 100
    stash["a"], stash["a"], stash.get("missing")
    stash.discard("b")


DONE = (2, 1, 2, 1)


def numbers(counts):
    return counts.hits, counts.misses, counts.sets, counts.deletes


def test_an_object_counts_what_it_does(opened):
    stash = opened()
    work(stash)
    assert numbers(stash.stats) == DONE
    assert stash.stats.bytes_written > 100
    assert stash.stats.bytes_read > 0
    assert stash.stats.hit_rate == pytest.approx(2 / 3)
    assert numbers(opened().stats) == (0, 0, 0, 0)


def test_counts_are_live(opened):
    stash = opened()
    stats = stash.stats
    work(stash)
    assert numbers(stats) == DONE


def test_the_total_has_what_this_object_has_not_added_yet(opened):
    stash = opened()
    work(stash)
    assert numbers(stash.stats.total) == DONE
    assert numbers(stash.stats.total) == DONE


def test_closing_adds_them_to_the_total_once(opened):
    stash = opened()
    work(stash)
    stash.close()
    stash.close()
    assert numbers(opened().stats.total) == DONE
    assert numbers(stash.stats.total) == DONE
    work(stash)
    stash.close()
    assert numbers(opened().stats.total) == tuple(2 * number for number in DONE)
    assert numbers(stash.stats) == tuple(2 * number for number in DONE)


def test_objects_that_are_forgotten_without_being_closed_count(opened):
    work(opened())
    stash = opened()
    assert numbers(stash.stats.total) == DONE
    stash.close()
    assert numbers(opened().stats.total) == DONE


def test_a_process_that_goes_through_many_stashes_keeps_the_newest_in_mind(tmp_path):
    for number in range(300):
        work(HashStash(tmp_path / str(number), engine="memory"))
    gc.collect()
    assert len(statistics._left) <= 256
    assert numbers(HashStash(tmp_path / "299", engine="memory").stats.total) == DONE


def test_the_time_that_hits_saved(opened):
    stash = opened()
    stash.put("k", [1], seconds=2.5)
    stash.put("timed", [1], seconds=0.5, ttl=60)
    stash["plain"] = 1
    for key in ("k", "k", "timed", "plain"):
        stash[key]
    assert stash.stats.seconds_saved == pytest.approx(5.5)
    stash.close()
    assert opened().stats.total.seconds_saved == pytest.approx(5.5)


def test_hits_of_functions_save_what_computing_took(opened):
    stash = opened()

    @stash.stashed_result
    def slow(number):
        threading.Event().wait(0.05)
        return number

    for _ in range(3):
        slow(1)
    assert slow.stash.stats.seconds_saved >= 0.1
    assert slow.stash.stats.hits == 2


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -5.0, 1e300])
def test_a_stranger_cannot_spoil_the_sums(opened, seconds):
    stash = opened()
    stash["k"] = 1
    entry = stash.store.find("k")
    entry.seconds = seconds
    stash.store.engine.put(entry.digest, entry.pack())
    assert stash["k"] == 1
    stash.close()
    assert 0 <= opened().stats.total.seconds_saved < 1e12
    assert opened().stats.total.hits == 1


@pytest.mark.parametrize("row", [b"", b"x" * 16, b"HSTstat\1" + bytes(20), bytes(200)])
def test_damaged_sums_begin_anew(opened, row):
    stash = opened()
    stash["k"] = 1
    stash.store.engine.section("meta").put(b"stats", row)
    assert stash.stats.total.sets == 1
    stash.close()
    assert stash["k"] == 1


def test_clearing_begins_at_zero(opened):
    stash, other = opened(), opened()
    work(stash)
    work(other)
    other.close()
    stash.clear()
    assert numbers(stash.stats.total) == (0, 0, 0, 0)
    stash["a"] = 1
    stash.close()
    assert numbers(opened().stats.total) == (0, 0, 1, 0)


def test_looking_into_an_empty_stash_writes_nothing(opened):
    stash = opened()
    stash.get("missing")
    "missing" in stash  # noqa: B015
    stash.close()
    assert stash.stats.total.misses == 1
    assert stash.store.engine.section("meta").count() == 0


def test_a_read_only_object_counts_in_memory(opened):
    writer = opened()
    writer["k"] = 1
    writer.close()
    reader = opened(read_only=True)
    assert reader["k"] == 1
    reader.close()
    assert reader.stats.hits == 1
    assert opened().stats.total.hits == 0


def test_a_hit_writes_nothing(opened):
    stash = opened()
    stash["k"] = 1
    stash.store.engine = counters = CountersWrapper(stash.store.engine)
    for _ in range(1000):
        stash["k"]
    assert {name: done.calls for name, done in counters.operations().items()} == {"get": 1000}


def test_counts_are_added_in_passing_by_many_writes(opened):
    stash = opened()
    stash["k"] = 1
    for _ in range(3):
        stash["k"]
    for number in range(300):
        stash["n"] = number
    assert statistics.stored(stash.store.engine).hits == 3
    assert numbers(stash.stats.total) == (3, 0, 301, 0)


def test_counts_are_added_in_passing_in_append_mode_too(opened):
    stash = opened(append_mode=True)
    for number in range(260):
        stash["n", number % 5] = number
    assert 0 < statistics.stored(stash.store.engine).sets <= 260


def test_a_storage_that_fails_does_not_fail_the_closing(opened, monkeypatch):
    stash = opened()
    work(stash)
    section = stash.store.engine.section("meta")

    def fail(*_):
        raise OSError(28, "no space")

    monkeypatch.setattr(section, "swap", fail)
    stash.close()
    monkeypatch.undo()
    stash.close()
    assert numbers(opened().stats.total) == DONE


def test_a_folder_that_was_removed_is_not_made_again(tmp_path):
    import shutil

    stash = HashStash(tmp_path / "stash", engine="pairtree")
    work(stash)
    shutil.rmtree(tmp_path / "stash")
    stash.close()
    assert not (tmp_path / "stash").exists()


def test_threads_count_each_once(opened):
    stash = opened()
    stash["k"] = 1

    def close_often():
        for _ in range(30):
            stash.store.settle()

    threads = [threading.Thread(target=close_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(100):
        stash[number] = number
    for thread in threads:
        thread.join()
    stash.close()
    assert opened().stats.total.sets == 101


def test_it_prints(opened):
    stash = opened()
    work(stash)
    text = repr(stash.stats)
    assert "this object" in text
    assert "hits        2 (67% of reads)" in text
    assert "time saved" in stash.stats._repr_html_()
    assert repr(Counts(1, 2)).startswith("Counts(hits=1, misses=2")
    with pytest.raises(AttributeError):
        stash.stats.nothing  # noqa: B018
    assert "hits" in dir(stash.stats)


def test_it_prints_for_a_storage_that_fails(opened, monkeypatch):
    stash = opened()
    work(stash)

    def fail(*_):
        raise OSError("gone")

    monkeypatch.setattr(stash.store.engine.section("meta"), "get", fail)
    assert "hits" in repr(stash.stats)
    assert "time saved" in stash.stats._repr_html_()


# ---- processes -----------------------------------------------------------------------------------------------------------------

USE = "stash['k']; stash['k']; stash.get('missing'); stash[int(sys.argv[1])] = 1"


@pytest.fixture
def shared(open_on, shared_engine):
    stash = open_on(shared_engine)
    stash["k"] = 1
    assert Capability.CROSS_PROCESS in stash.store.engine.capabilities
    return stash


def test_processes_add_at_their_end(shared):
    run_together(source(shared), USE, 4)
    shared.close()
    assert numbers(shared.stats.total) == (8, 4, 5, 0)


def test_objects_that_are_gone_count_at_the_end_of_the_process(shared):
    code = "del stash\ndef use():\n    from hashstash import HashStash\n    return HashStash(sys.argv[1], engine=sys.argv[2])['k']\nuse(); use()"
    settings = shared.to_dict()
    with Worker(source(shared), code, settings["root_dir"], settings["engine"]) as worker:
        worker.go()
        worker.finish()
    assert shared.stats.total.hits == 2


def test_a_killed_process_loses_what_it_had_not_added(shared):
    code = "import os, signal\nstash['k']; stash.close(); stash['k']\nos.kill(os.getpid(), signal.SIGKILL)"
    with Worker(source(shared), code) as worker:
        worker.go()
        with pytest.raises(pytest.fail.Exception, match="-9"):
            worker.finish()
    assert shared.stats.total.hits == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_count_what_its_parent_did(shared):
    code = (
        "import os\nfor _ in range(5): stash['k']\n"
        "pid = os.fork()\nif not pid:\n    stash['k']; stash.close(); os._exit(0)\n"
        "os.waitpid(pid, 0); stash.close()"
    )
    run_alone(source(shared), code)
    assert shared.stats.total.hits == 6
