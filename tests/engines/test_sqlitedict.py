import os
import sqlite3

import pytest

from hashstash.testing.engine import EngineContract

sqlitedict_engine = pytest.importorskip(
    "hashstash.engines.sqlitedict", reason="the package sqlitedict is not installed", exc_type=ImportError
)
SqlitedictEngine = sqlitedict_engine.SqlitedictEngine


class TestSqlitedict(EngineContract):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: SqlitedictEngine(str(tmp_path / "stash"))

    def raw_get(self, engine, address):
        connection = sqlite3.connect(os.path.join(engine.location(), "rows.sqlite"))
        found = connection.execute("SELECT value FROM unnamed WHERE key = ?", (address.hex(),)).fetchone()
        connection.close()
        return found and found[0]
