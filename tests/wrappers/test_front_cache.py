import os
import threading
import time

import pytest

from hashstash import HashStash
from hashstash.engine import Capability
from hashstash.engines.memory import MemoryEngine
from hashstash.engines.pairtree import PairtreeEngine
from hashstash.testing.engine import ADDRESS, OTHER, row
from hashstash.testing.rows import is_whole, numbered, whole
from hashstash.wrappers.counters import CountersWrapper
from hashstash.wrappers.front_cache import FrontCacheWrapper

pytestmark = pytest.mark.once

LARGE = "x" * 10_000


@pytest.fixture
def storage(tmp_path):
    """The engine inside, with a count of what it is asked."""
    return CountersWrapper(MemoryEngine(str(tmp_path)))


def asked(storage):
    """What the storage was asked since the last time, and how many bytes it gave."""
    done = {name: (operation.calls, operation.size) for name, operation in storage.operations().items()}
    storage.reset()
    return done


def test_a_row_is_read_once_and_confirmed_by_its_head(storage):
    cache = FrontCacheWrapper(storage)
    storage.put(ADDRESS, row(LARGE))
    storage.reset()
    assert [cache.get(ADDRESS) for _ in range(3)] == [row(LARGE)] * 3
    assert {name: calls for name, (calls, _) in asked(storage).items()} == {"get": 1, "peek": 2}


def test_confirming_reads_the_head_of_a_file_only(tmp_path):
    storage = CountersWrapper(PairtreeEngine(str(tmp_path)))
    cache = FrontCacheWrapper(storage)
    storage.put(ADDRESS, row(LARGE))
    cache.get(ADDRESS)
    storage.reset()
    cache.get(ADDRESS)
    assert asked(storage) == {"peek": (1, 16)}


@pytest.mark.parametrize("max_age", [0, 60])
@pytest.mark.parametrize(
    "change",
    [
        lambda cache: cache.put(ADDRESS, row("b")),
        lambda cache: cache.put_many(iter([(OTHER, row("c")), (ADDRESS, row("b"))])),
        lambda cache: cache.swap(ADDRESS, row("a")[8:16], row("b")),
        lambda cache: (cache.delete(ADDRESS), cache.put(ADDRESS, row("b"))),
        lambda cache: (cache.clear(), cache.put(ADDRESS, row("b"))),
    ],
)
def test_what_goes_through_it_is_read_as_it_is(storage, max_age, change):
    cache = FrontCacheWrapper(storage, max_age=max_age)
    cache.put(ADDRESS, row("a"))
    assert cache.get(ADDRESS) == row("a")
    change(cache)
    assert (cache.get(ADDRESS), list(cache.get_many([ADDRESS])), cache.peek(ADDRESS, 99)) == (
        row("b"),
        [row("b")],
        row("b"),
    )


@pytest.mark.parametrize("max_age", [0, 60])
@pytest.mark.parametrize("remove", [lambda cache: cache.delete(ADDRESS), lambda cache: cache.clear()])
def test_what_was_removed_through_it_is_gone(storage, max_age, remove):
    cache = FrontCacheWrapper(storage, max_age=max_age)
    cache.put(ADDRESS, row("a"))
    cache.section("history").put(ADDRESS, row("old"))
    assert (cache.get(ADDRESS), cache.section("history").get(ADDRESS)) == (row("a"), row("old"))
    remove(cache)
    assert (cache.get(ADDRESS), cache.has(ADDRESS), cache.peek(ADDRESS, 16)) == (None, False, None)
    assert cache.section("history").get(ADDRESS) == storage.section("history").get(ADDRESS)


def test_without_an_age_what_others_write_is_seen_at_once(storage):
    cache = FrontCacheWrapper(storage)
    storage.put(ADDRESS, row("a"))
    assert cache.get(ADDRESS) == row("a")
    storage.put(ADDRESS, row("b"))
    assert cache.get(ADDRESS) == row("b")
    storage.delete(ADDRESS)
    assert (cache.get(ADDRESS), cache.has(ADDRESS)) == (None, False)
    assert cache.capabilities == storage.capabilities


def test_with_an_age_what_others_write_is_seen_when_it_is_over(storage):
    cache = FrontCacheWrapper(storage, max_age=1.5)
    storage.put(ADDRESS, row("a"))
    assert cache.get(ADDRESS) == row("a")
    storage.put(ADDRESS, row("b"))
    storage.reset()
    assert (cache.get(ADDRESS), cache.has(ADDRESS), asked(storage)) == (row("a"), True, {})
    time.sleep(1.55)
    assert cache.get(ADDRESS) == row("b")


def test_with_an_age_it_does_not_promise_to_see_other_processes(tmp_path):
    cache = FrontCacheWrapper(PairtreeEngine(str(tmp_path)), max_age=1)
    assert not cache.capabilities & (Capability.CROSS_PROCESS | Capability.SHARED_WRITERS)
    assert Capability.SWAP in cache.capabilities


def test_a_swap_that_fails_lets_the_next_read_ask(storage):
    cache = FrontCacheWrapper(storage, max_age=60)
    storage.put(ADDRESS, row("a"))
    stale = cache.get(ADDRESS)
    storage.put(ADDRESS, row("b"))
    assert not cache.swap(ADDRESS, stale[8:16], row("c"))
    assert cache.get(ADDRESS) == row("b")


def test_absent_rows_are_asked_for_each_time(storage):
    cache = FrontCacheWrapper(storage, max_age=60)
    assert cache.get(ADDRESS) is None
    storage.put(ADDRESS, row("a"))
    assert cache.get(ADDRESS) == row("a")


def test_it_keeps_no_more_than_it_may_and_what_was_used_last(storage):
    cache = FrontCacheWrapper(storage, max_bytes=20_000, max_age=60)
    rows = dict(numbered(number, "x" * 1000) for number in range(100))
    storage.put_many(rows.items())
    first = next(iter(rows))
    for address, blob in rows.items():
        assert (cache.get(address), cache.get(first)) == (blob, rows[first])
        assert cache.kept_bytes <= 20_000
    storage.reset()
    assert cache.get(first) == rows[first]
    assert asked(storage) == {}
    assert cache.get(list(rows)[1]) == rows[list(rows)[1]]
    assert "get" in asked(storage)


def test_a_row_that_is_larger_than_all_it_may_keep_is_not_kept(storage):
    cache = FrontCacheWrapper(storage, max_bytes=1000, max_age=60)
    cache.put(ADDRESS, row(LARGE))
    assert [cache.get(ADDRESS), cache.get(ADDRESS)] == [row(LARGE)] * 2
    assert cache.kept_bytes == 0


def test_closing_forgets(storage):
    cache = FrontCacheWrapper(storage, max_age=60)
    cache.put(ADDRESS, row("a"))
    cache.get(ADDRESS)
    cache.close()
    assert cache.kept_bytes == 0
    assert cache.get(ADDRESS) == row("a")


def test_many_at_once_ask_for_the_rest_only(storage):
    cache = FrontCacheWrapper(storage, max_age=60)
    storage.put_many([(ADDRESS, row("a")), (OTHER, row("b"))])
    cache.get(ADDRESS)
    storage.reset()
    assert list(cache.get_many([OTHER, ADDRESS, b"none"])) == [row("b"), row("a"), None]
    assert storage.operations()["get_many"].size == len(row("b"))


@pytest.mark.parametrize("max_age", [0, 60])
def test_a_read_that_a_write_has_overtaken_is_not_kept(storage, max_age):
    """The storage answers, then the row is replaced, then the answer arrives: it must not stay."""
    cache = FrontCacheWrapper(storage, max_age=max_age)
    cache.put(ADDRESS, row("old"))
    inside, go_on = threading.Event(), threading.Event()
    get = storage.get

    def slow_get(address):
        blob = get(address)
        inside.set()
        go_on.wait(10)
        return blob

    storage.get = slow_get
    reader = threading.Thread(target=cache.get, args=(ADDRESS,))
    reader.start()
    inside.wait(10)
    cache.put(ADDRESS, row("new"))
    go_on.set()
    reader.join()
    assert cache.get(ADDRESS) == row("new")


@pytest.mark.parametrize("max_age", [0, 60])
def test_a_thread_reads_what_it_has_written(storage, max_age):
    cache = FrontCacheWrapper(storage, max_age=max_age, max_bytes=5000)
    wrong = []

    def work(kind):
        for size in range(1, 200):
            own = bytes([kind]) * 16
            cache.put(own, whole(size, kind))
            cache.put(ADDRESS, whole(size, kind))
            if cache.get(own) != whole(size, kind) or not is_whole(cache.get(ADDRESS)):
                wrong.append((kind, size))

    threads = [threading.Thread(target=work, args=(kind,)) for kind in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert cache.get(ADDRESS) == storage.get(ADDRESS)
    assert 0 < cache.kept_bytes <= 5000


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_with_an_empty_cache_and_does_not_hang(storage):
    cache = FrontCacheWrapper(storage, max_age=60)
    cache.put(ADDRESS, row("a"))
    cache.get(ADDRESS)
    with cache._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if cache.kept_bytes == 0 and cache.get(ADDRESS) == row("a") else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.kept_bytes > 0


def test_a_stash_reads_through_it(tmp_path):
    stash = HashStash(tmp_path / "stash", engine="pairtree")
    stash.store.engine = FrontCacheWrapper(stash.store.engine, max_age=60)
    stash["k"] = LARGE
    assert [stash["k"], stash["k"], stash.get("k")] == [LARGE] * 3
    stash["k"] = 2
    assert (stash["k"], len(stash), list(stash.items())) == (2, 1, [("k", 2)])
    del stash["k"]
    assert "k" not in stash
