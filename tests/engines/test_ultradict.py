import pytest

from hashstash.testing.engine import EngineContract

ultradict_engine = pytest.importorskip(
    "hashstash.engines.ultradict", reason="the package ultradict is not installed", exc_type=ImportError
)
UltradictEngine = ultradict_engine.UltradictEngine


class TestUltradict(EngineContract):
    @pytest.fixture
    def make(self, tmp_path, freed_memory):
        return lambda: UltradictEngine(str(tmp_path / "stash"))

    def raw_get(self, engine, address):
        token = engine._token()
        if token is None:
            return None
        try:
            memory = ultradict_engine._Dict(
                name=engine._memory_name(token), create=False, serializer=ultradict_engine._Bytes, auto_unlink=False
            )
        except ultradict_engine.CannotAttachSharedMemory:
            return None
        blob = memory.get(address)
        memory.close()
        return blob
