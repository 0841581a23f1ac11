"""LMDB files whose making was cut short: a disk that was full, or failed, has left a piece of the two meta pages, and no row.

The library takes such a file for a damaged one. It never was an environment, so whoever opens it next begins it anew.
"""

from __future__ import annotations

import errno
import os
import struct

from hashstash.engines._lmdb_pages import (
    DEFAULT_SIZE,
    MAGIC,
    META_PAGE,
    META_SIZE,
    NO_PAGE,
    SIZES,
    read_head,
    read_meta,
)
from hashstash.engines._lmdb_seal import was_sealed
from hashstash.refusals import naming

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_BEGINNING = struct.Struct("<QHHHHII")
_AT_WORK = (errno.EACCES, errno.EAGAIN)


def is_unborn(path: str) -> bool:
    """Whether the file at *path* is a part of what a new environment begins with, and was never one that was closed."""
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read(2 * max(SIZES) + 1) or b""
    except (FileNotFoundError, IsADirectoryError):
        return False
    return _is_piece(content) and not was_sealed(path)


def _is_piece(content: bytes) -> bool:
    size = read_meta(content).free.pad if len(content) >= META_SIZE else 0
    if size not in SIZES:
        size = DEFAULT_SIZE
    pages = [content[:size], content[size:]]
    is_whole = len(content) == 2 * size and all(map(any, pages))
    return 0 < len(content) <= 2 * size and not is_whole and all(_is_new(*page) for page in enumerate(pages))


def _is_new(number: int, page: bytes) -> bool:
    """Whether *page* is what there is of a meta page before the first transaction."""
    if not any(page):
        return True
    if len(page) < META_SIZE:
        beginning = _BEGINNING.pack(number, 0, META_PAGE, 0, 0, MAGIC, 1)
        return beginning.startswith(page[: len(beginning)])
    meta = read_meta(page)
    is_meta = read_head(page) == (number, META_PAGE) and meta.magic == MAGIC
    is_empty = (meta.transaction, meta.last, meta.free.root, meta.main.root) == (0, 1, NO_PAGE, NO_PAGE)
    return is_meta and is_empty and not any(page[META_SIZE:])


def begin_anew(path: str, locks: str) -> None:
    """Empty the unborn file at *path* unless somebody is making it just now, which the lock on the file *locks* tells.

    To be called only while this process has no environment open there: it would lose its own lock.
    """
    if fcntl is None:
        return
    with naming(locks):
        descriptor = os.open(locks, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)  # the byte that the library locks
            if is_unborn(path):
                os.truncate(path, 0)
        except OSError as error:
            if error.errno not in _AT_WORK:
                raise
        finally:
            os.close(descriptor)
