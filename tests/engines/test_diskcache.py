import os
import sqlite3

import pytest

from hashstash.testing.engine import EngineContract

diskcache_engine = pytest.importorskip(
    "hashstash.engines.diskcache", reason="the package diskcache is not installed", exc_type=ImportError
)
DiskcacheEngine = diskcache_engine.DiskcacheEngine


class TestDiskcache(EngineContract):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: DiskcacheEngine(str(tmp_path / "stash"))

    def raw_get(self, engine, address):
        connection = sqlite3.connect(os.path.join(engine.location(), "cache.db"))
        found = connection.execute("SELECT value FROM Cache WHERE key = ?", (address,)).fetchone()
        connection.close()
        return found and found[0]
