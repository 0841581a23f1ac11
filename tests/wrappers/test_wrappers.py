import os

import pytest

from hashstash.engine import Capability
from hashstash.engines.memory import MemoryEngine
from hashstash.engines.pairtree import PairtreeEngine
from hashstash.errors import ReadOnlyStash
from hashstash.testing.engine import ADDRESS, EngineContract, row
from hashstash.wrappers.prefix import PrefixWrapper
from hashstash.wrappers.read_only import ReadOnlyWrapper


class _PrefixOver(EngineContract):
    def raw_get(self, engine, address):
        return engine.inner.get(engine._prefix + address)

    def test_another_process_sees_the_rows(self):
        pytest.skip("a wrapper is made from an engine, not from a place")

    def test_clear_leaves_other_namespaces_alone(self, engine):
        other = PrefixWrapper(engine.inner, "other")
        other.put(ADDRESS, row("stays"))
        engine.put(ADDRESS, row("goes"))
        engine.clear()
        assert other.get(ADDRESS) == row("stays")

    def test_capabilities_are_forwarded(self, engine):
        assert engine.capabilities == engine.inner.capabilities


class TestPrefixOverMemory(_PrefixOver):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: PrefixWrapper(MemoryEngine(str(tmp_path)), "one")


class TestPrefixOverPairtree(_PrefixOver):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: PrefixWrapper(PairtreeEngine(os.path.join(tmp_path, "stash")), "one")


@pytest.fixture
def read_only(tmp_path):
    inner = MemoryEngine(str(tmp_path))
    inner.put(ADDRESS, row("a"))
    return ReadOnlyWrapper(inner)


def test_a_read_only_engine_answers(read_only):
    assert read_only.get(ADDRESS) == row("a")
    assert list(read_only.scan()) == [ADDRESS]
    assert read_only.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda engine: engine.put(ADDRESS, row("b")),
        lambda engine: engine.put_many([(ADDRESS, row("b"))]),
        lambda engine: engine.delete(ADDRESS),
        lambda engine: engine.swap(ADDRESS, None, row("b")),
        lambda engine: engine.clear(),
        lambda engine: engine.section("history").put(ADDRESS, row("b")),
    ],
)
def test_a_read_only_engine_refuses_every_change(read_only, change):
    with pytest.raises(ReadOnlyStash, match="read-only"):
        change(read_only)
    assert read_only.inner.get(ADDRESS) == row("a")


def test_a_read_only_engine_takes_back_what_it_cannot_honour(read_only):
    assert Capability.SWAP not in read_only.capabilities
