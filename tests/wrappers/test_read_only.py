import time

import pytest

from hashstash.engine import Capability
from hashstash.errors import ReadOnlyStash
from hashstash.testing.engine.base import PROPERTY, run_alone
from hashstash.testing.rows import ADDRESS, OTHER, numbered, row
from hashstash.wrappers.counters import CountersWrapper
from hashstash.wrappers.read_only import ReadOnlyWrapper

pytestmark = pytest.mark.once


@pytest.fixture(params=["memory", "pairtree", "lmdb"])
def engine(request, tmp_path):
    inner = pytest.importorskip(f"hashstash.engines.{request.param}", exc_type=ImportError).PLUGIN(
        str(tmp_path / "stash")
    )
    inner.put(ADDRESS, row("a"))
    inner.section("history").put(ADDRESS, row("old"))
    yield ReadOnlyWrapper(inner)
    inner.close()


@pytest.fixture
def promised(engine, record_property):
    """A callable that skips the test unless the engine promises a capability, and notes in the table what was tested."""

    def needs(capability):
        if capability not in engine.capabilities:
            pytest.skip(f"{capability.name} is not promised")
        record_property(PROPERTY, [f"read_only({engine.inner.name})", engine.capabilities.value, capability.value])

    return needs


def test_it_answers(engine):
    assert (engine.get(ADDRESS), engine.has(ADDRESS), engine.has(OTHER)) == (row("a"), True, False)
    assert list(engine.get_many([OTHER, ADDRESS])) == [None, row("a")]
    assert (list(engine.scan()), list(engine.rows()), engine.count()) == ([ADDRESS], [(ADDRESS, row("a"))], 1)
    assert engine.peek(ADDRESS, 16)[:16] == row("a")[:16]
    assert engine.section("history").get(ADDRESS) == row("old")
    assert engine.size_bytes() > 0
    assert engine.check() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda engine: engine.put(ADDRESS, row("b")),
        lambda engine: engine.put_many([(ADDRESS, row("b"))]),
        lambda engine: engine.put_many([]),
        lambda engine: engine.delete(ADDRESS),
        lambda engine: engine.delete(OTHER),
        lambda engine: engine.swap(ADDRESS, None, row("b")),
        lambda engine: engine.clear(),
        lambda engine: engine.compact(),
        lambda engine: engine.expire(ADDRESS, time.time_ns()),
        lambda engine: engine.ensure_writable(),
        lambda engine: engine.section("history").put(ADDRESS, row("b")),
        lambda engine: engine.section("history").clear(),
    ],
)
def test_it_refuses_every_change(engine, change):
    with pytest.raises(ReadOnlyStash, match="read-only"):
        change(engine)
    assert dict(engine.inner.rows()) == {ADDRESS: row("a")}
    assert engine.section("history").get(ADDRESS) == row("old")


def test_it_takes_back_what_it_cannot_honour(engine):
    assert not engine.capabilities & (Capability.SWAP | Capability.SHARED_WRITERS)


def test_what_is_written_elsewhere_is_seen(engine):
    engine.inner.put(OTHER, row("b"))
    assert engine.get(OTHER) == row("b")


def test_what_another_process_writes_is_seen(engine, promised):
    promised(Capability.CROSS_PROCESS)
    name, place = engine.inner.name, engine.location()
    assert engine.get(OTHER) is None
    source = f"from hashstash.registry import ENGINES\nengine = ENGINES.load({name!r})({place!r})\n"
    run_alone(source, "engine.put(OTHER, row('b'))")
    assert (engine.get(OTHER), engine.count()) == (row("b"), 2)


def test_its_files_are_those_of_the_engine_inside(engine, promised):
    promised(Capability.LOCAL_FILES)
    assert engine.blob_folder() == engine.inner.blob_folder()


def test_it_scans_by_prefix(engine, promised):
    promised(Capability.PREFIX_SCAN)
    engine.inner.put_many(numbered(number) for number in range(2000))
    found = CountersWrapper(engine)
    assert list(found.scan(ADDRESS[:8])) == [ADDRESS]
    assert found.operations()["scan"].rows == 1


@pytest.mark.parametrize("name", ["memory", "pairtree", "lmdb"])
def test_a_stash_that_was_opened_read_only_reads_and_refuses(open_on, name):
    stash = open_on(name)
    stash["k"] = 1
    reader = open_on(name, read_only=True)
    assert (reader["k"], reader.engine, len(reader)) == (1, name, 1)
    with pytest.raises(ReadOnlyStash, match="read_only=True"):
        reader["k"] = 2
    with pytest.raises(ReadOnlyStash):
        reader.compact()
    stash.clear()
