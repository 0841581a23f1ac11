"""The sqlite engine's connections to a file that was removed, or in whose place another one was put."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest

from hashstash.engines.sqlite import SqliteEngine
from hashstash.errors import StashLocked
from hashstash.testing.engine import ADDRESS, OTHER, row


@pytest.fixture
def make(tmp_path):
    """A function that makes engines on one folder, as two processes would have them."""
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(contextlib.closing(SqliteEngine(str(tmp_path / "stash"), timeout=0.5)))


@pytest.fixture
def opened(make):
    """An engine that has its file open."""
    engine = make()
    engine.put(ADDRESS, row("old"))
    return engine


def rows_file(engine):
    return os.path.join(engine.location(), "rows.sqlite")


def made_anew(engine, make, *addresses):
    """Another engine that has made the removed folder of *engine* anew, with *addresses*."""
    shutil.rmtree(engine.location())
    another = make()
    for address in addresses:
        another.put(address, row("theirs"))
    return another


@pytest.mark.parametrize(
    "store",
    [
        lambda engine: engine.put_many([(OTHER, row("ours"))]),
        lambda engine: engine.swap(OTHER, None, row("ours")),
        lambda engine: engine.swap_many([(OTHER, None, row("ours"))]),
    ],
    ids=["put_many", "swap", "swap_many"],
)
def test_whatever_stores_a_row_stores_it_in_the_file_that_is_there(store, opened, make):
    another = made_anew(opened, make, ADDRESS)
    store(opened)
    assert another.get(OTHER) == row("ours")


def test_a_swap_answers_for_the_file_that_is_there(opened, make):
    another = made_anew(opened, make, OTHER)
    assert opened.swap(OTHER, None, row("ours")) is False
    assert another.get(OTHER) == row("theirs")


def test_clearing_clears_the_file_that_is_there(opened, make):
    another = made_anew(opened, make, ADDRESS, OTHER)
    opened.clear()
    assert list(another.scan()) == []


def test_closing_a_removed_file_leaves_the_log_of_the_new_one(opened, make):
    another = made_anew(opened, make, OTHER)
    log = rows_file(opened) + "-wal"
    before = os.stat(log)
    opened.close()
    assert os.path.samestat(os.stat(log), before)
    assert (another.get(OTHER), another.check()) == (row("theirs"), [])


def test_the_connections_of_other_threads_are_closed_with_the_first_that_notices(opened, make):
    go, is_done = threading.Event(), threading.Event()

    def read():
        opened.get(ADDRESS)
        is_done.set()
        go.wait()

    thread = threading.Thread(target=read)
    thread.start()
    is_done.wait()
    shutil.rmtree(opened.location())
    opened.put(OTHER, row("new"))
    still_open = [connection for connection in list(opened._connections) if not connection.is_closed]
    go.set()
    thread.join()
    assert len(still_open) == 1


def test_a_thread_that_had_the_removed_file_open_writes_into_the_new_one(opened, make):
    opened_by_thread, is_removed = threading.Event(), threading.Event()

    def work():
        opened.get(ADDRESS)
        opened_by_thread.set()
        is_removed.wait()
        opened.put(OTHER, row("thread"))

    thread = threading.Thread(target=work)
    thread.start()
    opened_by_thread.wait()
    another = made_anew(opened, make, ADDRESS)
    is_removed.set()
    thread.join()
    assert another.get(OTHER) == row("thread")


def test_an_empty_file_beside_room_put_by_is_waited_for_while_another_process_makes_it(opened, make):
    opened.close()
    os.truncate(rows_file(opened), 0)

    def write_first_page():
        with contextlib.closing(sqlite3.connect(rows_file(opened))) as connection:
            connection.execute("PRAGMA journal_mode = wal")

    fill = threading.Timer(0.05, write_first_page)
    fill.start()
    assert make().get(ADDRESS) is None
    fill.join()


# ---- rows written anew -------------------------------------------------------------------------------------------------


ANSWERS = """
import sqlite3, sys

connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
for query in sys.stdin:
    try:
        if query.strip() == "close":
            connection.close()
            print("closed", flush=True)
            continue
        print(connection.execute(query).fetchall(), flush=True)
    except sqlite3.Error as error:
        print(error, flush=True)
"""
BRINGS = """
import fcntl, sys, time

with open(sys.argv[1] + "-shm", "r+b") as index:
    fcntl.lockf(index, fcntl.LOCK_EX, 1, 121)  # as SQLite does where it brings the log into the file
    print("locked", flush=True)
    time.sleep(5)
"""
READ, REMOVE, CLOSE = "SELECT count(*) FROM rows", "DELETE FROM rows", "close"


@pytest.fixture
def beside(opened):
    """What another process answers that has the file of *opened* open, as soon as it has answered once."""
    program = [sys.executable, "-c", ANSWERS, rows_file(opened)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:

        def ask(query):
            process.stdin.write(query + "\n")
            return process.stdout.readline().strip()

        yield ask
        process.stdin.close()
        process.wait()


@pytest.fixture
def during(monkeypatch):
    """A function that has something done when the rows are written anew, before the new file is put in place."""
    from hashstash.engines import sqlite as module

    def do(work):
        replace = module.replace_files

        def replaced(*arguments, **options):
            work()
            return replace(*arguments, **options)

        monkeypatch.setattr(module, "replace_files", replaced)

    return do


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be replaced there")
class TestRebuildBesideOthers:
    def test_what_only_the_log_holds_is_kept_although_another_process_has_the_file_open(self, opened, beside):
        assert beside(READ) == "[(1,)]"
        opened.put(OTHER, row("in the log"))
        assert opened.rebuild(lambda _: None)
        assert opened.get(OTHER) == row("in the log")

    def test_nobody_writes_meanwhile(self, opened, beside, during):
        said = []
        assert beside(READ) == "[(1,)]"
        during(lambda: said.append(beside(REMOVE)))
        assert opened.rebuild(lambda _: None)
        assert said == ["database is locked"]

    def test_nobody_begins_to_read_meanwhile(self, opened, beside, during):
        said = []
        during(lambda: said.append(beside(READ)))
        assert opened.rebuild(lambda _: None)
        assert said == ["database is locked"]

    def test_a_failed_one_leaves_the_file_to_all(self, opened, beside, during):
        during(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            opened.rebuild(lambda _: None)
        assert beside(REMOVE) == "[]"
        assert opened.count() == 0

    def test_somebody_who_writes_is_waited_for(self, opened, beside):
        assert beside("BEGIN IMMEDIATE") == "[]"
        with pytest.raises(StashLocked, match="locked"):
            opened.rebuild(lambda _: None)
        assert beside(REMOVE) == "[]"

    def test_somebody_who_brings_the_log_into_the_file_is_waited_for(self, opened, beside):
        assert beside(READ) == "[(1,)]"  # so that there is a log
        with subprocess.Popen([sys.executable, "-c", BRINGS, rows_file(opened)], stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            with pytest.raises(StashLocked, match="locked"):
                opened.rebuild(lambda _: None)
            other.kill()
        assert opened.rebuild(lambda _: None)
        assert opened.count() == 1

    def test_whoever_has_the_old_file_open_leaves_the_log_of_the_new_one(self, opened, beside):
        assert beside(READ) == "[(1,)]"
        assert opened.rebuild(lambda _: None)
        opened.put(OTHER, row("new"))
        assert beside(CLOSE) == "closed"
        assert os.path.getsize(rows_file(opened) + "-wal") > 0
        assert (opened.get(OTHER), opened.check()) == (row("new"), [])


def test_what_sqlite_is_stuck_with_is_closed_although_the_system_does_not_tell_what_is_in_place(opened, monkeypatch):
    def stuck(_raw):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    def fail(_path):
        raise OSError(5, "Input/output error")

    connection = opened._local.connection
    monkeypatch.setattr("hashstash.engines.sqlite.file_at", fail)
    with pytest.raises(OSError, match="error"):
        opened._run(stuck, write=True)
    assert connection.is_closed
