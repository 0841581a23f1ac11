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
