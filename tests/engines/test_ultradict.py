import os
import shutil
import subprocess
import sys

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


STORES = """
import sys
from hashstash.engines.ultradict import UltradictEngine
for folder in sys.argv[1:]:
    UltradictEngine(folder).put(bytes(16), b"a" * 16)
"""


def stored_elsewhere(*folders):
    """The names of the memory in which another process has stored a row for each folder."""
    subprocess.run([sys.executable, "-c", STORES, *folders], check=True, timeout=60)
    return [ultradict_engine.memory_in(str(folder)) for folder in folders]


def memory(name):
    """What there is of the memory of that name."""
    return {found for found in os.listdir("/dev/shm") if found.startswith(name)}


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="shared memory is nowhere to be listed")
def test_the_memory_of_a_folder_that_was_removed_goes_when_another_stash_is_made(tmp_path, freed_memory):
    gone, moved, kept = stored_elsewhere(*(tmp_path / name for name in ("gone", "moved", "kept")))
    shutil.rmtree(tmp_path / "gone")
    os.rename(tmp_path / "moved", tmp_path / "elsewhere")  # where its rows are not found
    assert all(map(memory, (gone, moved, kept)))
    UltradictEngine(str(tmp_path / "gone")).put(bytes(16), b"b" * 16)
    assert not memory(gone) | memory(moved)
    assert UltradictEngine(str(tmp_path / "kept")).get(bytes(16)) == b"a" * 16


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="shared memory is nowhere to be listed")
def test_clearing_leaves_nothing_of_the_memory(tmp_path):
    engine = UltradictEngine(str(tmp_path))
    engine.put(bytes(16), b"a" * 16)
    name = ultradict_engine.memory_in(str(tmp_path))
    engine.clear()
    assert not memory(name)
    engine.close()
