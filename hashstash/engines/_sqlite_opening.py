"""How the file of the sqlite engine is opened: its tables made or looked at, its files private, and some room put by beside it.

The room is for a full disk, on which even deleting needs a little. It is made last, and so says that there were tables.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3

from hashstash.engines import _reserve
from hashstash.engines._sqlite_answers import explained
from hashstash.engines._sqlite_connections import (
    Connection,
    Handle,
    connect,
    is_mine,
    refuse_moved,
    refuse_replaced,
    stamp_of,
    transaction,
)
from hashstash.engines._sqlite_pages import check_header
from hashstash.engines._sqlite_statements import LOG_PAGES, SCHEMA, checkpoint, make_tables
from hashstash.errors import CorruptEntry, StashFull
from hashstash.paths import create_file, is_shared_mount, is_there, make_folder
from hashstash.refusals import free_bytes, read_only

RESERVE_SIZE = 256 * 1024
_FEW_LOG_PAGES = 48
"""What is put by is enough to bring so many pages from the log into the database."""
_LITTLE_ROOM = 64 << 20
_BLOCK = 512
_FIRST_PAGE = 4096
_MAPPED = 256 << 20


def open_rows(file: str, *, durable: bool, read_only: bool = False) -> Connection:
    """A connection to the database *file*, which is made where it is missing and its folder can be written.

    *read_only*: nothing of the file is changed, though it could be.
    """
    folder = os.path.dirname(file)
    refuse_replaced(file)
    check_header(file, reserve_of(file))
    if os.path.isdir(folder) and not os.access(folder, os.W_OK):
        return _open_read_only(file)
    if read_only:
        return _open_unchanged(file)
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
            if not (is_full and shrink_reserve(file, RESERVE_SIZE // 4)):
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


def _open_unchanged(file: str) -> Connection:
    raw = connect(file, "rw")  # as SQLite calls what can lock and make an index for the log
    try:
        _map(raw, file)
        _check_schema(raw, file)
        refuse_moved(raw)
        return Connection(raw, read_only=True, keeps_log=True)
    except sqlite3.Error as error:
        raw.close()
        if not isinstance(explained(error, file, 0), StashFull):
            raise
    except BaseException:
        raw.close()
        raise
    return _open_read_only(file)  # there is no room for an index of the log


def _make_files(file: str) -> None:
    if not is_there(file):
        make_folder(os.path.dirname(file))
        with contextlib.suppress(FileExistsError):
            os.close(create_file(file))  # the library gives its other files the rights that this one has
            with contextlib.suppress(FileNotFoundError):
                os.unlink(reserve_of(file))  # of a file that is gone


def _prepare(raw: Handle, file: str, *, durable: bool) -> None:
    # What is shared by machines has no shared memory, which the index of a write-ahead log would need.
    journal = "delete" if is_shared_mount(os.path.dirname(file)) else "wal"
    raw.execute(f"PRAGMA journal_mode = {journal}")
    refuse_moved(raw)  # the log, which has just been opened by its name, is that of the file in place
    raw.execute(f"PRAGMA synchronous = {'FULL' if durable or journal != 'wal' else 'NORMAL'}")
    raw.execute(f"PRAGMA wal_autocheckpoint = {log_pages(file)}")
    _map(raw, file)
    if not _check_schema(raw, file):
        transaction(raw, make_tables)
        _check_schema(raw, file)


def _map(raw: Handle, file: str) -> None:
    if not is_shared_mount(os.path.dirname(file)) and is_mine(file):
        raw.execute(f"PRAGMA mmap_size = {_MAPPED}")


def _check_schema(raw: sqlite3.Connection, file: str) -> bool:
    """Whether the tables are there; CorruptEntry if there is anything else: views and triggers of strangers would run."""
    found = {text for (text,) in raw.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    if found and found != set(SCHEMA):
        raise CorruptEntry(f"{file} is an SQLite database, but none of a stash; move it aside")
    return bool(found)


def reserve_of(file: str) -> str:
    """The path of the room put by."""
    return _reserve.reserve_in(os.path.dirname(file))


def is_new(file: str) -> bool:
    """Whether nothing was ever written: the file is made before there is room for anything in it, and the reserve last."""
    try:
        # Where there was no room for tables, the first page may be there, in which there are none.
        is_unborn = os.stat(file).st_size <= _FIRST_PAGE and not os.path.exists(reserve_of(file))
        return is_unborn and not _size_of(f"{file}-wal")
    except (FileNotFoundError, NotADirectoryError):
        return True


def make_reserve(file: str) -> None:
    """Put some room by, so that rows can be deleted when the disk is full."""
    _reserve.make_reserve(os.path.dirname(file), RESERVE_SIZE)


def shrink_reserve(file: str, keep: int) -> bool:
    """Give up a part of what was put by, down to *keep* bytes; whether there was anything to give up."""
    return _reserve.shrink_reserve(os.path.dirname(file), keep=keep)


def log_pages(file: str, most: int = LOG_PAGES) -> int:
    """How many pages the log may have, at *most*: on a disk that is nearly full, what it holds must find room beside it."""
    free = free_bytes(os.path.dirname(file))
    return most if free is None or free > _LITTLE_ROOM else _FEW_LOG_PAGES


def empty_log(raw: sqlite3.Connection, *, file: str) -> bool:
    """Bring what the log holds into the database, if that finds room in what was put by; whether that has emptied it."""
    pages, size = raw.execute("SELECT * FROM pragma_page_count(), pragma_page_size()").fetchone()
    missing, log = pages * size - _allotted(file), _size_of(f"{file}-wal")
    if not log or missing > _size_of(reserve_of(file)) + (free_bytes(os.path.dirname(file)) or 0):
        return False
    _reserve.shrink_reserve(os.path.dirname(file), step=RESERVE_SIZE)
    try:
        # The room of the log is for what the database takes, else for the log itself, which begins anew in it.
        return checkpoint(raw, log_pages=_FEW_LOG_PAGES, cuts=missing > 0 or log > 2 * RESERVE_SIZE)
    finally:
        make_reserve(file)


def _size_of(path: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        return os.path.getsize(path)
    return 0


def _allotted(path: str) -> int:
    """How many bytes of the file are on the disk, where it may have holes."""
    status = os.stat(path)
    return status.st_blocks * _BLOCK if hasattr(status, "st_blocks") else status.st_size
