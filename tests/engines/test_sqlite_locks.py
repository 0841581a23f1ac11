"""SQLite's locks belong to the process: whoever closes any descriptor of the file takes them away from all of its connections."""

import contextlib
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hashstash import HashStash
from hashstash.errors import StashLocked
from hashstash.testing.engine import row

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="the system does not list locks")


def locks_held(folder):
    files = [os.path.join(above, name) for above, _, names in os.walk(folder) for name in names]
    inodes = {str(os.stat(path).st_ino) for path in files if path.endswith((".sqlite", ".db"))}
    with open("/proc/locks") as file:
        lines = [line.split() for line in file]
    return sum(line[4] == str(os.getpid()) and line[5].split(":")[-1] in inodes for line in lines)


@pytest.mark.parametrize("engine", ["sqlite", "sqlitedict", "diskcache"])
def test_a_second_stash_on_the_same_file_leaves_the_locks_of_the_first(engine, tmp_path):
    with HashStash(tmp_path, engine=engine) as first:
        first["a"] = 1
        held = locks_held(tmp_path)
        with HashStash(tmp_path, engine=engine) as second:
            second["b"] = second["a"]
            assert locks_held(tmp_path) >= held > 0


# ---- rebuilding beside others ----------------------------------------------------------------------------------------

ADDRESSES = [bytes([number]) * 16 for number in range(9)]
MISCOUNTS = {
    "sqlite": "UPDATE counter SET rows = 99",
    "sqlitedict": "INSERT INTO unnamed VALUES ('no address', x'')",
    "diskcache": "UPDATE Settings SET value = 99 WHERE key = 'count'",
}


@pytest.fixture(params=MISCOUNTS)
def make(request, tmp_path, monkeypatch):
    """A function that makes engines on one folder, which are closed afterwards."""
    module = pytest.importorskip(
        f"hashstash.engines.{request.param}", reason=f"{request.param} is not installed", exc_type=ImportError
    )
    monkeypatch.setattr("hashstash.engines._sqlite_file.PATIENCE", 0.5)
    options = {"timeout": 0.5} if request.param == "sqlite" else {}
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(contextlib.closing(module.PLUGIN(str(tmp_path), **options)))


def damage(engine):
    """Have the database of *engine* count wrongly; a connection to it."""
    (file,) = (path for path in Path(engine.location()).iterdir() if path.suffix in (".sqlite", ".db"))
    raw = sqlite3.connect(file, isolation_level=None)
    raw.execute(MISCOUNTS[engine.name])
    return raw


def place_of(blob):
    return next((address for address in ADDRESSES if blob == row(address.hex())), None)


def test_rebuilding_loses_no_row_that_lies_in_the_log_only_while_others_read(make):
    engine = make()
    engine.put(ADDRESSES[0], row(ADDRESSES[0].hex()))
    with contextlib.closing(damage(engine)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        engine.put_many((address, row(address.hex())) for address in ADDRESSES)
        assert engine.check()
        with pytest.raises(StashLocked, match="end that one, or try again"):
            engine.rebuild(place_of)
        assert engine.get(ADDRESSES[8]) == row(ADDRESSES[8].hex())
    assert engine.rebuild(place_of)
    assert dict(engine.rows()) == {address: row(address.hex()) for address in ADDRESSES}
    assert not engine.check()


def test_other_engines_of_the_process_go_on_with_what_was_rebuilt(make):
    engine, other = make(), make()
    other.put(ADDRESSES[0], row(ADDRESSES[0].hex()))
    damage(engine).close()
    assert engine.rebuild(place_of)
    other.put(ADDRESSES[1], row(ADDRESSES[1].hex()))
    assert engine.get(ADDRESSES[1]) == row(ADDRESSES[1].hex())
    assert other.get(ADDRESSES[0]) == row(ADDRESSES[0].hex())


@pytest.fixture
def thread():
    """Another thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_what_another_thread_stores_while_rows_are_written_anew_is_not_lost_with_the_old_file(
    make, thread, monkeypatch
):
    engine, other = make(), make()
    monkeypatch.setattr(other, "_timeout", 30.0, raising=False)
    monkeypatch.setattr("hashstash.engines._sqlite_handle.PATIENCE", 30.0)
    engine.put(ADDRESSES[0], row(ADDRESSES[0].hex()))
    damage(engine).close()
    stored = []

    def place_while_others_store(blob):
        stored.append(thread.submit(other.put, ADDRESSES[1], row("b")))
        with contextlib.suppress(TimeoutError):  # as it has to wait
            stored[0].result(0.5)
        return place_of(blob)

    assert engine.rebuild(place_while_others_store)
    stored[0].result()
    assert dict(engine.rows()) == {ADDRESSES[0]: row(ADDRESSES[0].hex()), ADDRESSES[1]: row("b")}


def test_rows_that_a_thread_is_writing_anew_no_other_thread_does(make, thread):
    engine, other = make(), make()
    engine.put(ADDRESSES[0], row(ADDRESSES[0].hex()))
    damage(engine).close()
    refused = []

    def place_while_others_rebuild(blob):
        refused.append(thread.submit(other.rebuild, place_of).exception())
        return place_of(blob)

    assert engine.rebuild(place_while_others_rebuild)
    assert isinstance(refused[0], StashLocked)
    assert other.get(ADDRESSES[0]) == row(ADDRESSES[0].hex())
    assert not other.check()


@pytest.mark.parametrize("make", ["sqlitedict", "diskcache"], indirect=True)
def test_rows_are_not_written_anew_while_another_thread_is_in_the_middle_of_something(make, thread):
    engine, other = make(), make()
    other.put(ADDRESSES[0], row(ADDRESSES[0].hex()))
    damage(engine).close()
    is_inside, may_leave = threading.Event(), threading.Event()

    def stay(_):
        is_inside.set()
        may_leave.wait()

    inside = thread.submit(other._read, stay)
    is_inside.wait()
    try:
        with pytest.raises(StashLocked, match="another thread has been using"):
            engine.rebuild(place_of)
    finally:
        may_leave.set()
    inside.result()
    assert engine.rebuild(place_of)
    assert not engine.check()


# ---- what SQLite believes where the system has failed for a moment ---------------------------------------------------


@pytest.fixture
def patient(make, monkeypatch):
    """Two engines on one folder that wait for others for longer than a lock may be one of their own."""
    engines = make(), make()
    for engine in engines:
        monkeypatch.setattr(engine, "_timeout", 30.0, raising=False)
    engines[0].put(ADDRESSES[0], row("a"))
    return engines


def test_a_lock_that_this_process_has_kept_by_mistake_is_given_back(patient):
    """As where the system failed to unlock: SQLite keeps the lock until all connections of the process are closed."""
    stuck, engine = patient
    raw_of(stuck).execute("BEGIN IMMEDIATE")
    engine.put(ADDRESSES[1], row("b"))
    assert stuck.get(ADDRESSES[1]) == row("b")
    stuck.put(ADDRESSES[0], row("c"))
    assert engine.get(ADDRESSES[0]) == row("c")


WRITES = {
    "put": lambda engine, address: engine.put(address, row("b")),
    "put_many": lambda engine, address: engine.put_many([(address, row("b"))]),
    "delete": lambda engine, address: engine.delete(address),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_database_that_was_opened_for_reading_only_by_mistake_is_opened_anew(patient, write):
    """As where the system failed to make the index of the log: SQLite then only reads, for as long as it is open."""
    engine, _ = patient
    raw_of(engine).execute("PRAGMA query_only = ON")
    WRITES[write](engine, ADDRESSES[0])
    assert engine.get(ADDRESSES[0]) == (None if write == "delete" else row("b"))


@pytest.mark.parametrize("write", WRITES)
def test_a_lock_that_sqlite_has_waited_ten_seconds_for_is_given_back_by_all_of_the_process(patient, write):
    """It may be any of them that has kept it, since the system failed to unlock."""
    waiting, other = patient
    other.get(ADDRESSES[0])
    kept = raw_of(other)

    def give_up(*_):
        error = sqlite3.OperationalError("locking protocol")
        error.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
        raise error

    raw_of(waiting).execute = give_up
    if waiting.name == "sqlite":
        waiting._local.connection.execute = give_up
    WRITES[write](waiting, ADDRESSES[0])
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        kept.execute("SELECT 1")
    assert other.get(ADDRESSES[0]) == (None if write == "delete" else row("b"))


def raw_of(engine):
    return engine._local.connection.raw if engine.name == "sqlite" else engine._connection
