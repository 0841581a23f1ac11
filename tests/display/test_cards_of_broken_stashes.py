"""A stash that cannot be read is shown with what is wrong in words, in little time; nothing raises."""

import os
import shutil
import socketserver
import sqlite3
import threading

import pytest

from hashstash import HashStash
from hashstash.display import survey

_HELPERS = ("reserve", "-wal", "-shm", "lock.mdb", ".lock")


def is_said(page):
    return page.has("The storage cannot be read: ")


def rows_file(stash):
    """The file that holds the rows: the largest one directly in the stash's folder, but for those that are only helpers."""
    files = [entry for entry in os.scandir(stash.path) if entry.is_file() and not entry.name.endswith(_HELPERS)]
    return max(files, key=lambda entry: entry.stat().st_size).path


@pytest.fixture
def stored(open_on):
    """A callable that opens a stash on an engine, stores something and closes it."""

    def store(engine, **options):
        stash = open_on(engine, **options)
        stash.set_many((number, "x" * 100) for number in range(50))
        stash.close()
        return stash

    return store


@pytest.mark.parametrize("engine", ["sqlite", "lmdb", "sqlitedict", "diskcache"])
@pytest.mark.parametrize("damage", ["cut off", "overwritten"])
def test_a_damaged_file(stored, page_of, engine, damage):
    stash = stored(engine)
    with open(rows_file(stash), "r+b") as file:
        if damage == "cut off":
            file.truncate(100)
        else:
            file.write(b"something else " * 1000)
    page = page_of(HashStash(stash.root_dir, engine=engine))
    assert is_said(page)
    assert "Settings" in page.sections


def test_a_damaged_row_is_counted(stored, page_of):
    stash = stored("pairtree")
    stash.store.engine.put(stash.store.keys.address(3), b"HST" + bytes(300))
    page = page_of(stash)
    assert page.has("49 entries")
    assert page.has("1 entry cannot be read; stash.check() says why.")


@pytest.mark.parametrize("engine", ["pairtree", "lmdb", "sqlite", "shelve", "pickledb"])
def test_a_folder_that_was_removed_is_not_made_again(stored, page_of, engine):
    stash = stored(engine)
    shutil.rmtree(stash.root_dir)
    page = page_of(stash)
    assert page.has("Its folder is not there")
    assert page.has("0 entries")
    assert not os.path.exists(stash.root_dir)


def test_a_closed_stash_is_shown(stored, page_of, every_engine):
    stash = stored(every_engine)
    stash.close()
    assert page_of(stash).has("50 entries")


def test_an_emptied_stash_is_shown(stored, page_of, every_engine):
    assert page_of(stored(every_engine).clear()).has("0 entries")


def test_a_database_that_another_program_has_locked(stored, page_of):
    stash = stored("sqlite", timeout=0.2)
    locker = sqlite3.connect(rows_file(stash), isolation_level=None)
    locker.execute("PRAGMA locking_mode = EXCLUSIVE")
    locker.execute("BEGIN EXCLUSIVE")
    locker.execute("UPDATE counter SET rows = rows")
    try:
        page = page_of(HashStash(stash.root_dir, engine="sqlite", timeout=0.2))
        assert is_said(page)
        assert page.has("locked")
    finally:
        locker.close()


def test_a_storage_that_does_not_answer_is_not_waited_for(stored, page_of, monkeypatch, patience):
    stash, gate = stored("pairtree"), threading.Event()
    patience(0.2)

    def stuck(_):
        gate.wait(120)
        yield from ()

    monkeypatch.setattr(stash.store.engine, "heads", stuck)
    monkeypatch.setattr(stash.store.engine, "rows", stuck)
    try:
        assert page_of(stash).has("has not answered within 0.2 s")
        assert page_of(stash.entries()).has("cannot be listed: the storage has not answered within 0.2 s")
    finally:
        gate.set()


class Surprise(Exception):
    pass


@pytest.mark.parametrize("name", ["heads", "count", "size_bytes", "section", "location"])
def test_whatever_an_engine_raises_is_read_on_the_card(stored, page_of, monkeypatch, name):
    def fail(*_):
        raise Surprise("<b>unheard of</b>")

    monkeypatch.setattr(survey, "MOST_SEEN", 10)
    stash = stored("pairtree")
    monkeypatch.setattr(stash.store.engine, name, fail)
    assert "<b>unheard of</b>" in page_of(stash).text


def test_what_was_learnt_before_a_failure_is_shown(stored, page_of, monkeypatch):
    def fail():
        raise OSError("the disk is gone")

    stash = stored("pairtree")
    monkeypatch.setattr(stash.store.engine, "size_bytes", fail)
    page = page_of(stash)
    assert page.has("50 entries")
    assert page.has("cannot be read: the disk is gone")
    assert "Entries" in page.sections


def test_counts_that_cannot_be_read_leave_those_of_this_object(stored, page_of, monkeypatch):
    def fail(*_):
        raise OSError("the disk is gone")

    stash = stored("pairtree")
    stash[3]
    monkeypatch.setattr(stash.store.engine.section("meta"), "get", fail)
    page = page_of(stash.stats)
    assert page.has("What others have done cannot be read: the disk is gone")
    assert page.has("hits 1 (100% of reads)")


def test_a_server_where_nobody_listens(page_of):
    pytest.importorskip("redis", reason="the package redis is not installed")
    page = page_of(HashStash("redis://127.0.0.1:1/nobody"))
    assert is_said(page)
    assert page.has("connection refused")


class Refusing(socketserver.StreamRequestHandler):
    """A server that knows no such password."""

    def handle(self):
        while line := self.rfile.readline():
            if line.startswith(b"*"):
                self.wfile.write(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")


def test_a_wrong_password_is_told_and_not_shown(page_of):
    pytest.importorskip("redis", reason="the package redis is not installed")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = page_of(HashStash(f"redis://:sesame@127.0.0.1:{server.server_address[1]}/closed"))
        server.shutdown()
    assert is_said(page)
    assert "sesame" not in page.markup
    assert page.has("password")
