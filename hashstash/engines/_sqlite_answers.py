"""What SQLite answers: stored values as bytes, and errors as what they mean for the user."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from hashstash.engines._salvage import NEXT_STEP
from hashstash.engines._sqlite_connections import is_open_here, opening
from hashstash.errors import CorruptEntry, StashFull, StashLocked
from hashstash.refusals import no_room, why_not

_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_READ_ONLY = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_UNCLEAR = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_STUCK = _UNCLEAR | {sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_READONLY}
# Our own statements are always right: if SQLite finds something wrong with one, the tables are not what they should be.
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR})


def as_bytes(stored: Any) -> bytes:
    """A stored value as bytes. What is no blob was not written by us, and is left to whoever looks into rows to refuse."""
    if type(stored) is bytes:
        return stored
    return b"" if stored is None else str(stored).encode("utf-8", "surrogatepass")


def is_locked(error: BaseException) -> bool:
    """Whether another process was in the way."""
    return _kind(error) in _LOCKED


def may_pass(error: BaseException) -> bool:
    """Whether it may be nothing that lasts, which only tells who opens the file anew.

    Where the system fails for a moment, SQLite takes the file for damaged; or, for as long as anything in this process has it
    open, for one that must not be written.
    """
    return _kind(error) in _DAMAGE | _READ_ONLY


def is_stuck(error: BaseException) -> bool:
    """Whether SQLite may not recover from it with the files that it has open."""
    return _kind(error) in _STUCK


def is_given_up(error: BaseException) -> bool:
    """Whether SQLite has tried for ten seconds, deaf to interrupts, to get a lock that this process may hold by mistake."""
    return _kind(error) == sqlite3.SQLITE_PROTOCOL


def explained(error: BaseException, path: str, patience: float, needed: int | None = None) -> Exception:
    """What an error in the file at *path* means for the user.

    *patience*: seconds that were waited for others; *needed*: how many bytes were to be stored, if any.
    """
    kind, folder = _kind(error), os.path.dirname(path)
    is_undecodable = isinstance(error, UnicodeDecodeError) or (not kind and "decode" in str(error))
    if kind in _DAMAGE or is_undecodable:
        return CorruptEntry(f"{path} is damaged ({error}); {NEXT_STEP}")
    if kind == sqlite3.SQLITE_FULL:
        return no_room(None, folder, needed)
    if kind in _LOCKED:
        return locked(path, patience)
    if kind in _READ_ONLY:
        return PermissionError(13, f"the database of this stash cannot be written ({error})", path)
    if kind == sqlite3.SQLITE_TOOBIG or isinstance(error, OverflowError):
        return StashFull(27, f"one row is larger than SQLite takes, in {path}; store it in parts")
    if kind in _UNCLEAR:
        return _refusal(path, kind) or why_not(folder, f"SQLite says: {error}", needed)
    return OSError(5, f"SQLite says: {error}", path)


def locked(path: str, patience: float) -> StashLocked:
    """The error where others are in the way in the file at *path*, for so many seconds."""
    return StashLocked(
        f"{path} has been locked by another process for {patience:g} seconds; end that one, or try again"
    )


def _refusal(path: str, kind: int) -> OSError | None:
    """What the system has against what SQLite could not do, as far as opening *path* tells."""
    with opening:
        try:
            if is_open_here(path):
                return None
            os.close(os.open(path, os.O_RDONLY))
        except OSError as error:
            return error
    folder = os.path.dirname(path)
    if kind == sqlite3.SQLITE_CANTOPEN and not os.access(folder, os.W_OK) and os.path.exists(path + "-wal"):
        text = "the last writes lie in a log that needs a writable folder; copy this folder to one"
        return PermissionError(13, text, folder)
    return None


def _kind(error: BaseException) -> int:
    """SQLite's number of the error without its finer distinctions; 0 for an error that is not SQLite's."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
