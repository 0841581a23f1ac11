import contextlib
import os
import sqlite3
import time

import pytest

from hashstash.errors import CorruptEntry, StashLocked
from hashstash.testing.engine import ADDRESS, OTHER, EngineContract, row

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


A_MINUTE = 60.0
"""For so long the package tries again by itself."""


@pytest.fixture
def unprepared(tmp_path):
    """A function that makes engines on a database to which the package has yet to add a setting."""
    with contextlib.ExitStack() as opened:

        def make():
            return opened.enter_context(contextlib.closing(DiskcacheEngine(str(tmp_path))))

        engine = make()
        engine.put(ADDRESS, row("a"))
        engine._connection.execute("DELETE FROM Settings WHERE key = 'cull_limit'")
        engine.close()
        yield make


def test_a_lock_that_this_process_has_kept_by_mistake_is_given_back_before_the_package_waits_for_it(unprepared):
    stuck, engine = unprepared(), unprepared()
    assert stuck.get(ADDRESS) == row("a")
    stuck._connection.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    engine.put(OTHER, row("b"))
    assert time.monotonic() - began < A_MINUTE
    assert stuck.get(OTHER) == row("b")


def test_it_is_the_engine_that_says_for_how_long_others_are_waited_for(unprepared, monkeypatch):
    monkeypatch.setattr("hashstash.engines._sqlite_handle.PATIENCE", 0.2)
    engine = unprepared()
    with contextlib.closing(sqlite3.connect(f"{engine.location()}/cache.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StashLocked):
            engine.put(OTHER, row("b"))
    assert time.monotonic() - began < A_MINUTE
    engine.put(OTHER, row("b"))
    assert engine.get(OTHER) == row("b")


def made_until(folder, *statements):
    with contextlib.closing(sqlite3.connect(folder / "cache.db")) as raw:
        for statement in statements:
            raw.execute(statement)
    return DiskcacheEngine(str(folder))


SETTINGS = "CREATE TABLE Settings (key TEXT NOT NULL UNIQUE, value)"


def test_a_database_whose_maker_was_killed_before_there_was_a_table_of_rows_is_empty(tmp_path):
    engine = made_until(tmp_path, SETTINGS)
    assert engine.get(ADDRESS) is None
    assert (list(engine.rows()), engine.count(), engine.check()) == ([], 0, [])
    engine.put(ADDRESS, row("a"))
    assert engine.get(ADDRESS) == row("a")
    engine.close()


def test_a_database_that_has_lost_its_table_of_rows_is_damaged(tmp_path):
    engine = DiskcacheEngine(str(tmp_path))
    engine.put(ADDRESS, row("a"))
    engine.close()
    engine = made_until(tmp_path, "DROP TABLE Cache")
    with pytest.raises(CorruptEntry, match="no such table"):
        engine.get(ADDRESS)
    engine.close()
