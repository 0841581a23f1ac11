import pytest

from hashstash.engines import memory
from hashstash.engines.memory import MemoryEngine
from hashstash.testing.engine import EngineContract


class TestMemory(EngineContract):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: MemoryEngine(str(tmp_path))

    def raw_get(self, engine, address):
        return memory._stores[engine.location()].get(address)


def test_clearing_reaches_the_sections_that_another_object_made():
    one, other = MemoryEngine("shared"), MemoryEngine("shared")
    one.section("history").put(b"address", b"row")
    other.clear()
    assert one.section("history").count() == 0
