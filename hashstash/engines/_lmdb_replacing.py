"""Another file in place of that of an LMDB environment: its rows in as little room as they need, or none, while others go on.

Who has the old file open must neither miss what is stored in the new one nor store anything that only the old one holds. So,
within a write transaction, which keeps other writers out, the new file is written beside the old one and is on the disk before a
mark in the old one's meta page makes the library refuse every new transaction on it, as if the map had grown. Then the new one
takes its name. The table of readers belongs to the old file and goes first. Whoever is refused opens what lies there. Opening
takes turns with those few steps by a lock on the folder, and finishes them where their process was killed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from typing import TYPE_CHECKING, Any, TypeVar

import lmdb

from hashstash.engines._lmdb_pages import LAST_AT, META_SIZE, SIZES, Meta, read_meta
from hashstash.engines._lmdb_seal import seal
from hashstash.errors import StashLocked
from hashstash.folders import while_locked
from hashstash.paths import create_file, make_folder, open_file, remove_abandoned

try:
    import fcntl
except ImportError:  # no flock on this system: files stay as large as they are
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

DATA = "data.mdb"
LOCKS = "lock.mdb"
NEW = "data.new"
_DRAFT = "draft"
CAN_REPLACE = fcntl is not None
_LEFT = 1 << 60
"""Added to the number of the last page: no map is as large; and times the size of a page it is nothing in 64 bits, which keeps
those alive that are just about to make their map larger."""
_BATCH = 1000
_PATIENCE = 60.0
_ABANDONED = 3600.0
_NAP = 0.002
_NO_LOCKS = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)


def in_turn(folder: str, work: Callable[[], Result], *, alone: bool = False) -> Result | None:
    """What *work* gives, which opens files in *folder* while others may do so, too, or, *alone*, puts another file there.

    ``None``, and nothing is done, where nobody can be alone.
    """
    if fcntl is None:
        return work()
    return while_locked(
        folder,
        lambda descriptor: _is_locked(descriptor, folder, alone=alone),
        lambda is_locked: work() if is_locked or not alone else None,
    )


def _is_locked(descriptor: int, folder: str, *, alone: bool) -> bool:
    """Wait for the lock; ``False`` if the file system locks no folders, so that nobody ever puts another file there."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise StashLocked(
                    f"somebody keeps {folder} locked for {_PATIENCE:.0f} seconds by now; try again"
                ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return False
        else:
            return True
        time.sleep(_NAP)


def is_left(path: str) -> bool:
    """Whether the file at *path* is to make place for another one."""
    try:
        descriptor = open_file(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False  # none, or one of which whoever opens it is told
    try:
        return any(_is_marked(meta) for _, meta in _metas(descriptor)[-1:])
    except OSError:
        return False
    finally:
        os.close(descriptor)


def replace(folder: str, transaction: Any, *, map_size: int, keeps_rows: bool) -> bool:
    """Put a new file with the rows of *transaction*, or none, in place of the one in *folder*; whether that was worth it.

    *transaction*: a write transaction on the file there. Nothing can be stored in that file afterwards.
    """
    new, old = os.path.join(folder, NEW), os.path.join(folder, DATA)
    descriptor = open_file(old, os.O_RDWR)
    try:
        is_smaller = _is_written(new, os.fstat(descriptor).st_size, transaction if keeps_rows else None, map_size)
        if not is_smaller:
            return False
        is_replaced = in_turn(folder, lambda: _is_replaced(folder, descriptor), alone=True)
        if not is_replaced:
            os.unlink(new)
        return bool(is_replaced)
    finally:
        os.close(descriptor)


def _is_replaced(folder: str, descriptor: int) -> bool:
    if os.fstat(descriptor).st_ino != os.stat(os.path.join(folder, DATA)).st_ino:
        return False  # the folder was removed and made again
    leave(descriptor)
    _take_place(folder)
    return True


def _is_written(path: str, size: int, source: Any, map_size: int) -> bool:
    """Write the rows of *source* to a new file at *path*, and wait for the disk; none is there if it takes *size* bytes."""
    # In a folder of its own: the library notes in a file that it was made without one.
    draft = os.path.join(os.path.dirname(path), _DRAFT)
    shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
    try:
        make_folder(draft)
        _write_new(draft, map_size, source)
        if os.path.getsize(os.path.join(draft, DATA)) >= size:
            return False
        os.replace(os.path.join(draft, DATA), path)
        _flush(path)
        _flush(os.path.dirname(path))
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True


def _write_new(folder: str, map_size: int, source: Any) -> None:
    os.close(create_file(os.path.join(folder, DATA)))
    env = lmdb.open(folder, lock=False, map_size=map_size, sync=False, metasync=False, max_spare_txns=0)
    try:
        if source is not None:
            with source.cursor() as cursor:
                _copy_rows(cursor, env)
    finally:
        env.close()


def _copy_rows(cursor: Any, env: Any) -> None:
    is_there = cursor.first()
    while is_there:
        with env.begin(write=True) as target, target.cursor() as end:
            for _ in range(_BATCH):
                end.put(cursor.key(), cursor.value(), append=True)
                is_there = cursor.next()
                if not is_there:
                    return


def _flush(path: str) -> None:
    descriptor = open_file(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_marked(meta: Meta) -> bool:
    return meta.last & -_LEFT == _LEFT


def leave(descriptor: int) -> None:
    """Mark the file, so that nobody can begin a transaction on it.

    The current meta page first: from then on nobody can begin one that would rewrite the other.
    """
    for place, meta in reversed(_metas(descriptor)):
        _note_last(descriptor, place, meta.last | _LEFT)


def come_back(descriptor: int) -> None:
    """Take the mark away."""
    for place, meta in _metas(descriptor):
        _note_last(descriptor, place, meta.last & (_LEFT - 1))


def _note_last(descriptor: int, place: int, last: int) -> None:
    os.pwrite(descriptor, last.to_bytes(8, "little"), place + LAST_AT)


def _take_place(folder: str) -> None:
    """Put the new file in place of one that is marked."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, LOCKS))
    path = os.path.join(folder, DATA)
    os.replace(os.path.join(folder, NEW), path)
    _flush(folder)
    seal(path)


def _metas(descriptor: int) -> list[tuple[int, Meta]]:
    """The two meta pages with their places, the current one last; nothing if there are none."""
    first = os.pread(descriptor, META_SIZE, 0)
    size = read_meta(first).free.pad if len(first) == META_SIZE else 0
    second = os.pread(descriptor, META_SIZE, size) if size in SIZES else b""
    if len(second) < META_SIZE:
        return []
    return sorted([(0, read_meta(first)), (size, read_meta(second))], key=lambda found: found[1].transaction)


def finish(folder: str) -> None:
    """Where the file in *folder* is marked and lies there still, since a process was killed, put the new one in its place.

    StashLocked where that cannot be done by this user.
    """
    path = os.path.join(folder, DATA)
    if not is_left(path):
        _sweep(folder)
        return
    if not os.access(folder, os.W_OK):
        text = f"{folder} was being compacted by a process that was killed; whoever may write there has to open it once"
        raise StashLocked(text)
    in_turn(folder, lambda: _finish(folder, path), alone=True)


def _sweep(folder: str) -> None:
    """Remove what killed processes have left."""
    remove_abandoned(folder, NEW.__eq__, older_than=_ABANDONED)
    draft = os.path.join(folder, _DRAFT)
    with contextlib.suppress(FileNotFoundError):
        newest = max(os.stat(path).st_mtime for path in (draft, *(entry.path for entry in os.scandir(draft))))
        if time.time() - newest > _ABANDONED:
            shutil.rmtree(draft, ignore_errors=True)


def _finish(folder: str, path: str) -> None:
    if not is_left(path):
        return
    descriptor = open_file(path, os.O_RDWR)
    try:
        # The new file is not needed while one mark is missing: the table of readers is there then, too.
        if all(_is_marked(meta) for _, meta in _metas(descriptor)) and os.path.exists(os.path.join(folder, NEW)):
            _take_place(folder)
        else:
            come_back(descriptor)
    finally:
        os.close(descriptor)
