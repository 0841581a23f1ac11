import asyncio

import pytest

from hashstash import HashStash
from hashstash.engine import Capability
from hashstash.engines.null import NullEngine
from hashstash.testing.engine import ADDRESS, row

pytestmark = pytest.mark.once


@pytest.fixture
def stash(tmp_path):
    return HashStash(tmp_path / "x", engine="null")


def test_nothing_that_is_put_is_there():
    engine = NullEngine("x")
    engine.put(ADDRESS, row("a"))
    engine.put_many([(ADDRESS, row("a"))])
    assert engine.swap(ADDRESS, None, row("a"))
    assert not engine.swap(ADDRESS, row("a")[8:16], row("b"))
    assert engine.get(ADDRESS) is None
    assert engine.peek(ADDRESS, 10) is None
    assert not engine.has(ADDRESS)
    assert not engine.delete(ADDRESS)
    assert list(engine.get_many([ADDRESS])) == [None]
    assert [*engine.scan(), *engine.rows(), *engine.section_names(), *engine.check()] == []
    assert engine.count() == engine.size_bytes() == 0
    assert engine.section("history").get(ADDRESS) is None
    engine.clear()
    engine.compact()


def test_it_promises_nothing():
    assert NullEngine("x").capabilities == Capability.NONE


def test_every_read_misses(stash):
    stash["k"] = 1
    stash.update({"a": 1, "b": 2})
    assert "k" not in stash
    assert stash.get("k", "default") == "default"
    assert len(stash) == 0
    assert list(stash.items()) == []
    with pytest.raises(KeyError):
        stash["k"]
    with pytest.raises(KeyError):
        del stash["k"]


def test_what_has_to_answer_with_a_value_gives_the_one_it_got(stash):
    assert stash.setdefault("k", [1]) == [1]
    assert stash.get_set("k", lambda: 5) == 5
    assert stash.pop("k", 6) == 6


def test_a_function_runs_each_time(stash):
    calls = []

    @stash.stashed_result
    def double(number):
        calls.append(number)
        return 2 * number

    assert [double(2), double(2), stash.run(double, 2)] == [4, 4, 4]
    assert calls == [2, 2, 2]


def test_versions_and_times_to_live_are_taken_and_forgotten(tmp_path):
    stash = HashStash(tmp_path, engine="null", append_mode=True, ttl=60, max_entries=5)
    for number in range(8):
        stash["k"] = number
    assert stash.get_all("k") == []
    assert len(stash) == 0


def test_nothing_is_made(stash, tmp_path):
    stash["k"] = bytes(100_000)
    stash.clear()
    with stash.lock("k"):
        pass
    stash.close()
    assert not list(tmp_path.iterdir())


def test_it_can_be_chosen_from_outside(monkeypatch):
    monkeypatch.setenv("HASHSTASH_ENGINE", "null")
    stash = HashStash("x")
    stash["k"] = 1
    assert stash.engine == "null"
    assert "k" not in stash
    assert asyncio.run(stash.aget("k")) is None


def test_copying_into_it_is_no_error(stash, tmp_path):
    full = HashStash(tmp_path / "full", engine="pairtree")
    full.update({number: str(number) for number in range(10)})
    assert len(full.copy_to(stash)) == 0
    assert len(stash.copy_to(full)) == 10
