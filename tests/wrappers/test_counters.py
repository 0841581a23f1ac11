import threading
import time

import pytest

from hashstash import HashStash
from hashstash.engines.memory import MemoryEngine
from hashstash.testing.engine import ADDRESS, OTHER, row
from hashstash.wrappers.counters import CountersWrapper

pytestmark = pytest.mark.once


@pytest.fixture
def engine(tmp_path):
    return CountersWrapper(MemoryEngine(str(tmp_path)))


def counted(engine, name):
    done = engine.operations()[name]
    return done.calls, done.rows, done.size


def test_calls_rows_and_bytes(engine):
    size = len(row("a"))
    engine.put(ADDRESS, row("a"))
    engine.put_many([(OTHER, row("b")), (ADDRESS, row("c"))])
    engine.get(ADDRESS)
    engine.get(b"none")
    list(engine.get_many([ADDRESS, b"none", OTHER]))
    list(engine.scan())
    list(engine.rows())
    engine.delete(OTHER)
    engine.delete(OTHER)
    assert counted(engine, "put") == (1, 1, size)
    assert counted(engine, "put_many") == (1, 2, 2 * size)
    assert counted(engine, "get") == (2, 1, size)
    assert counted(engine, "get_many") == (1, 2, 2 * size)
    assert counted(engine, "scan") == (1, 2, 0)
    assert counted(engine, "rows") == (1, 2, 2 * size)
    assert counted(engine, "delete") == (2, 1, 0)


def test_a_swap_counts_as_a_write_where_it_was_one(engine):
    assert [engine.swap(ADDRESS, None, row("a")), engine.swap(ADDRESS, None, row("b"))] == [True, False]
    assert counted(engine, "swap") == (2, 1, len(row("a")))


def test_sections_count_under_their_name(engine):
    engine.section("history").put(ADDRESS, row("a"))
    assert counted(engine, "history.put") == (1, 1, len(row("a")))
    assert "put" not in engine.operations()


def test_an_operation_that_fails_counts_as_a_call(engine):
    with pytest.raises(TypeError):
        engine.put(ADDRESS, 1.5)
    assert counted(engine, "put") == (1, 0, 0)


def test_seconds_are_those_of_the_engine_and_not_of_its_caller(engine):
    get = engine.inner.get
    engine.inner.get = lambda address: (time.sleep(0.05), get(address))[1]
    engine.get(ADDRESS)
    engine.put_many([(ADDRESS, row("a")), (OTHER, row("b"))])
    for _ in engine.scan():
        time.sleep(0.3)
    assert engine.operations()["get"].seconds >= 0.05
    assert engine.operations()["scan"].seconds < 0.5


def test_threads_count_exactly(engine):
    def work():
        for _ in range(500):
            engine.put(ADDRESS, row("a"))
            engine.get(ADDRESS)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(engine, "put") == counted(engine, "get") == (4000, 4000, 4000 * len(row("a")))


def test_it_begins_again_at_zero(engine):
    engine.put(ADDRESS, row("a"))
    engine.section("history").put(ADDRESS, row("a"))
    engine.reset()
    assert engine.operations() == {}
    engine.section("history").get(ADDRESS)
    assert list(engine.operations()) == ["history.get"]


def test_a_hit_of_a_stash_is_one_get(tmp_path):
    stash = HashStash(tmp_path / "stash", engine="pairtree")
    stash["k"] = [1, 2]
    stash.store.engine = counters = CountersWrapper(stash.store.engine)
    assert stash["k"] == [1, 2]
    assert {name: done.calls for name, done in counters.operations().items()} == {"get": 1}
