"""How the file of the sqlite engine is opened: its tables made or looked at, its files private, and some room put by beside it.

The room is for a full disk, on which even deleting needs a little. It is made last, and so says that there were tables.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3

from hashstash.engines._sqlite_answers import explained
from hashstash.engines._sqlite_connections import Connection, connect, is_mine, refuse_replaced, stamp_of, transaction
from hashstash.engines._sqlite_pages import check_header
from hashstash.engines._sqlite_statements import LOG_PAGES, SCHEMA, make_tables
from hashstash.errors import CorruptEntry, StashFull
from hashstash.paths import create_file, is_shared_mount, is_there, make_folder
from hashstash.refusals import read_only

RESERVE_SIZE = 256 * 1024
_RESERVE_STEP = 32 * 1024
_MAPPED = 256 << 20


def open_rows(file: str, *, durable: bool) -> Connection:
    """A connection to the database *file*, which is made where it is missing and its folder can be written."""
    folder = os.path.dirname(file)
    refuse_replaced(file)
    check_header(file, reserve_of(file))
    if os.path.isdir(folder) and not os.access(folder, os.W_OK):
        return _open_read_only(file)
    _make_files(file)
    while True:
        raw = connect(file)
        try:
            _prepare(raw, file, durable=durable)
            make_reserve(file)  # last: it says that there are tables
            return Connection(raw, read_only=False)
        except sqlite3.Error as error:
            raw.close()
            # Even reading needs room, for the index of the log: what was put by for deleting is enough for that.
            is_full = isinstance(explained(error, file, 0), StashFull)
            if not (is_full and shrink_reserve(file, RESERVE_SIZE // 2)):
                raise
        except BaseException:
            raw.close()
            raise


def _open_read_only(file: str) -> Connection:
    if not is_there(file):
        raise read_only(os.path.dirname(file))
    stamp = stamp_of(file)
    has_log = bool(stamp[-1])
    # Without a log there is no writer now, and the file can be read without locks and an index, which cannot be made here.
    raw = connect(file, "ro" if has_log else "ro&immutable=1")
    try:
        _check_schema(raw, file)
    except BaseException:
        raw.close()
        raise
    return Connection(raw, read_only=True, stamp=() if has_log else stamp)


def _make_files(file: str) -> None:
    if not is_there(file):
        make_folder(os.path.dirname(file))
        with contextlib.suppress(FileExistsError):
            os.close(create_file(file))  # the library gives its other files the rights that this one has
            with contextlib.suppress(FileNotFoundError):
                os.unlink(reserve_of(file))  # of a file that is gone


def _prepare(raw: sqlite3.Connection, file: str, *, durable: bool) -> None:
    # What is shared by machines has no shared memory, which the index of a write-ahead log would need.
    journal = "delete" if is_shared_mount(os.path.dirname(file)) else "wal"
    raw.execute(f"PRAGMA journal_mode = {journal}")
    raw.execute(f"PRAGMA synchronous = {'FULL' if durable or journal != 'wal' else 'NORMAL'}")
    raw.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
    if journal == "wal" and is_mine(file):
        raw.execute(f"PRAGMA mmap_size = {_MAPPED}")
    if not _check_schema(raw, file):
        transaction(raw, make_tables)
        _check_schema(raw, file)


def _check_schema(raw: sqlite3.Connection, file: str) -> bool:
    """Whether the tables are there; CorruptEntry if there is anything else: views and triggers of strangers would run."""
    found = {text for (text,) in raw.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    if found and found != set(SCHEMA):
        raise CorruptEntry(f"{file} is an SQLite database, but none of a stash; move it aside")
    return bool(found)


def reserve_of(file: str) -> str:
    """The path of the room put by."""
    return os.path.join(os.path.dirname(file), "reserve")


def is_new(file: str) -> bool:
    """Whether nothing was ever written: the file is made before there is room for anything in it, and the reserve last."""
    try:
        return os.stat(file).st_size == 0 and not os.path.exists(reserve_of(file))
    except (FileNotFoundError, NotADirectoryError):
        return True


def make_reserve(file: str) -> None:
    """Put some room by, so that rows can be deleted when the disk is full."""
    path = reserve_of(file)
    with contextlib.suppress(OSError):  # there is none, or another process has just done so
        if os.path.exists(path):
            if os.path.getsize(path) == RESERVE_SIZE:
                return
            os.unlink(path)
        descriptor = create_file(path)
        try:
            os.write(descriptor, bytes(RESERVE_SIZE))
        finally:
            os.close(descriptor)


def shrink_reserve(file: str, keep: int) -> bool:
    """Give up a part of what was put by, down to *keep* bytes; whether there was anything to give up."""
    path = reserve_of(file)
    with contextlib.suppress(FileNotFoundError):
        size = os.path.getsize(path)
        if size > keep:
            os.truncate(path, max(keep, size - _RESERVE_STEP))
            return True
    return False
