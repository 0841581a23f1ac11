"""One LMDB environment: opened only if its pages can be trusted, growing its map, alone for what no transaction may run beside.

The map starts small and sparse and doubles when it is full. Nothing is fsynced per write unless it shall be durable.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import lmdb

from hashstash.engines._lmdb_check import MOST_LEAVES, check_metas, check_pages
from hashstash.engines._lmdb_lease import lend
from hashstash.engines._lmdb_pages import Damaged, Pages
from hashstash.engines._lmdb_replacing import DATA, LOCKS, NEW, finish, in_turn, is_left, replace
from hashstash.engines._lmdb_seal import is_sealed, seal
from hashstash.engines._lmdb_unborn import begin_anew
from hashstash.engines._lmdb_writer import NOBODY, Writer, is_own, wait_for
from hashstash.engines._nested import comes_from, in_the_midst
from hashstash.engines._reserve import make_reserve
from hashstash.engines._salvage import NEXT_STEP
from hashstash.errors import CorruptEntry, StashFull
from hashstash.leaving import always_left
from hashstash.paths import PRIVATE_FILE, create_file, make_folder
from hashstash.refusals import NO_ROOM, explain, no_room, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

FIRST_MAP_SIZE = 1 << 30
QUIET = 0.001
"""Seconds between two looks at whether a transaction still runs."""
SEAL = "data.seal"
FILES = (DATA, LOCKS, SEAL, NEW)
RESERVE_SIZE = 128 * 1024
_LARGEST_MAP_SIZE = 1 << 44
_MOST_READERS = 1024
_USER = "hashstash.engines.lmdb"
"""The module whose functions put a ``note`` of theirs into ``running``."""
OPTIONS: dict[str, Any] = {"max_readers": _MOST_READERS, "max_spare_txns": 0, "mode": PRIVATE_FILE}
"""No transaction is kept for the next read: where a forked child closes what its parent has open, the library ends those that are
kept, in the table of readers that both share. The child would take the parent's place there, and lose it as soon as the parent
ends that transaction too; writers would use the pages again that it is reading."""
_LONGEST_WAIT = 30.0
_MOST_RESIZES = 64  # from the first size to the largest it doubles less often
_LOCKS_SIZE = 192 + 64 * (_MOST_READERS - 1)
"""As the library makes it: a head, and a line of the processor's cache for each reader but one, which is in the head."""
_NUMBERS = {os.strerror(number): number for number in errno.errorcode}
"""What the system says, which ends an error of the library, and its number."""
_DAMAGE = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.PanicError)


class Environment:
    """The one environment that this process has open on a folder.

    Growing and closing must not happen while a transaction runs, so every operation has a note of its own in ``running``,
    whose ``add`` and ``discard`` are atomic, and ``begin`` is ``None`` while the gate is shut.

    Others may remove the folder and make it anew. So ``begin`` is lent for a tenth of a second: a transaction that begins later
    than that after the file was removed does not find it. One that begins earlier is as if it had come before the removal.
    """

    def __init__(self, folder: str, map_size: int, *, durable: bool) -> None:
        self.folder = folder
        self.durable = durable
        self.users = 0
        self.running: set[object] = set()
        self.begin: Callable[..., Any] | None = None
        self.gate = threading.RLock()
        self.is_dirty = False
        self.is_tidied = False
        self.is_due = False
        """Whether ``begin`` is ``None`` since somebody has to look whether the file is in place."""
        self.used_at = time.monotonic()
        self.writer = NOBODY
        self._writer: Writer | None = None
        self._env: Any = None
        self.rows: Any = None
        self._is_closed = False
        self.identity: tuple[int, int] | None = None
        self._locks: tuple[int, int] | None = None
        self.read_only = os.path.isdir(folder) and not os.access(folder, os.W_OK)
        if not self.read_only:
            make_folder(folder)
        finish(folder)
        in_turn(folder, lambda: self._open(map_size))

    def _open(self, map_size: int) -> None:
        for name in FILES:
            if os.path.isdir(os.path.join(self.folder, name)):
                raise CorruptEntry(f"{os.path.join(self.folder, name)} is a folder and no file; move it aside")
        path = os.path.join(self.folder, DATA)
        is_unborn = check_metas(path)
        try:
            if self.read_only:
                self._env = open_steadily(self.folder, readonly=True, lock=False, **OPTIONS)
            else:
                locks = os.path.join(self.folder, LOCKS)
                _allot_locks(locks)
                if is_unborn:
                    begin_anew(path, locks)
                self._writer = Writer(locks)
                with contextlib.suppress(FileExistsError):
                    os.close(create_file(path))  # else the umask might take the owner's own rights
                # Before they are opened: if others exchange them meanwhile, the difference is seen at the first use.
                self.identity, self._locks = file_in(self.folder), file_in(self.folder, LOCKS)
                self._env = open_steadily(
                    self.folder, map_size=map_size, sync=self.durable, metasync=self.durable, **OPTIONS
                )
                self._env.reader_check()
                self.writer = self._writer.thread()
        except lmdb.Error as error:
            self._shut()
            refusal = refused(error, self.folder)
            if refusal is not None and not isinstance(error, _DAMAGE):
                raise refusal from error
            raise CorruptEntry(
                f"{self.folder} is no LMDB environment that can be opened ({error}); move it aside"
            ) from error
        try:
            self._check_pages()
            self._fill_up()
            self.rows = self._resized(lambda: self._env.open_db(None))
        except BaseException:
            self._shut()
            raise
        self.identity = self.identity or file_in(self.folder)
        self.is_due = True

    def _check_pages(self) -> None:
        """Raise CorruptEntry if the file was changed since one of us has closed it, and cannot be trusted.

        The library takes offsets in pages as they are: reading through a wrong one would kill the interpreter.
        """
        path = os.path.join(self.folder, DATA)
        if is_sealed(path):
            return
        try:
            # In a transaction, so that nobody uses the pages again that are looked at.
            with self._resized(self._env.begin) as transaction, Pages(path) as pages:
                check_pages(pages, transaction.id(), most_leaves=MOST_LEAVES)
        except Damaged as error:
            raise CorruptEntry(f"{path} is damaged: {error}; {NEXT_STEP}") from error

    def _resized(self, ask: Callable[[], Any]) -> Any:
        """What *ask* gives, in a map of the size to which others have made it grow meanwhile."""
        while True:
            try:
                return ask()
            except lmdb.MapResizedError:
                self._env.set_mapsize(0)

    def _fill_up(self) -> None:
        """Make the file as long as its pages say, where its last ones are free: reading behind its end kills the interpreter."""
        path = os.path.join(self.folder, DATA)
        info, page = self._env.info(), self._env.stat()["psize"]
        needed = (info["last_pgno"] + 1) * page
        if os.path.getsize(path) >= needed:
            return
        if self.read_only:
            raise CorruptEntry(f"{path} is cut off: it should have {needed} bytes; move it aside")
        _lengthen(path, needed)

    def _shut(self) -> None:
        self._is_closed = True
        self.writer = NOBODY
        if self._env is not None:
            self._env.close()
        if self._writer is not None:
            self._writer.close()

    def wait_for_writer(self) -> None:
        """Wait for another writer, as far as one can be seen."""
        try:
            if self.writer[0]:
                if self.running and is_own(self.writer):
                    raise in_the_midst(self.folder)
                wait_for(self.writer, self.folder)
        except ValueError:
            pass  # closed meanwhile

    @always_left
    def alone(self) -> Iterator[Any]:
        """The environment with no transaction of this process running."""
        with self.gate:
            try:
                if self.is_running_here():
                    raise in_the_midst(self.folder)  # whose transaction ends only afterwards
                self.begin, self.is_due = None, False
                deadline = time.monotonic() + _LONGEST_WAIT
                while self.running and time.monotonic() < deadline:
                    time.sleep(QUIET)
                yield self._env
            finally:
                self.begin, self.is_due = None, True

    def is_running_here(self) -> bool:
        """Whether this thread is in the midst of a transaction, from which a signal handler or a finalizer has come here."""
        return comes_from(_USER, "note", self.running)

    def renew(self) -> bool:
        """Let transactions begin for another while; ``False`` if this is closed, or another file lies there, or none."""
        with self.gate:
            if self._is_closed:
                return False
            if self.is_due:
                if not self.is_in_place():
                    return False
                self.used_at = time.monotonic()
                self.begin = self._env.begin
                self.is_due = False
                lend(self)
            if self.begin is None:
                raise in_the_midst(self.folder)  # this thread is alone with it
            return True

    def expire(self) -> bool:
        """Have the next one who begins a transaction look whether the file is in place; ``False``: not now, ask again."""
        if not self.gate.acquire(blocking=False):
            return False
        try:
            if self.begin is not None:
                self.begin = None
                self.is_due = True
            return True
        finally:
            self.gate.release()

    def grow(self, full_at: int) -> None:
        """Double the map, unless another thread has done so since it was full at *full_at* bytes."""
        with self.alone() as env:
            # What a killed process had kept of the room is free once it is noticed.
            if self._is_closed or env.info()["map_size"] > full_at or env.reader_check():
                return
            if full_at >= _LARGEST_MAP_SIZE:
                raise StashFull(28, f"{self.folder} has reached the largest map size")
            env.set_mapsize(2 * full_at)

    def adopt_size(self) -> bool:
        """Take over the size that another process has grown the map to; ``False`` if it has put another file in place instead."""
        with self.alone() as env:
            if self._is_closed:
                return True
            if not self.is_in_place() or is_left(os.path.join(self.folder, DATA)):
                return False
            env.set_mapsize(0)
            return True

    def replace(self, transaction: Any, *, keeps_rows: bool) -> bool:
        """Put a file with the rows of the write transaction, or none, in place of this one, which nobody can use then.

        ``False`` if it would not be smaller.
        """
        if not self.is_in_place():
            return False
        return replace(self.folder, transaction, map_size=self.map_size(), keeps_rows=keeps_rows)

    def is_in_place(self) -> bool:
        """Whether the file that is open is still the one that lies there; else its folder was removed.

        Also that of the locks: by another one, others do not keep out whoever uses this one.
        """
        is_locked_by_it = self._locks is None or self._locks == file_in(self.folder, LOCKS)
        return self.identity is not None and self.identity == file_in(self.folder) and is_locked_by_it

    def map_size(self) -> int:
        """The size of the map in bytes."""
        return int(self._env.info()["map_size"])

    def tidy(self) -> None:
        """Have room put by in the folder, and the file sealed when it is closed."""
        if not (self.read_only or self.is_tidied):
            self.is_tidied = True
            make_reserve(self.folder, RESERVE_SIZE)

    def sync(self) -> None:
        """Write what was committed to the disk."""
        self.is_dirty = False
        if self.read_only:
            return
        try:
            self._env.reader_check()  # a process that was killed while it read keeps all pages that were freed since then
            self._env.sync(True)
        except lmdb.Error as error:
            self.is_dirty = True
            raise refused(error, self.folder) or error from error

    def leave(self) -> None:
        """Close in a forked child what only the parent may go on using."""
        self._shut()

    def close_if_quiet(self) -> bool:
        """Close what stashes still have, and open again when they need it; ``False`` if it is in use, or cannot be synced."""
        if not self.gate.acquire(blocking=False):
            return False
        try:
            if self.begin is None and not self.is_due:
                return False  # this thread is alone with it, and was interrupted
            self.begin, self.is_due = None, True
            if self.running:
                return False
            if self.is_dirty:
                self.sync()
            self.close()
        except (lmdb.Error, OSError) as error:
            logger.debug("%s stays open: %s", self.folder, error)
            return False
        else:
            return True
        finally:
            self.gate.release()

    def give_up(self) -> None:
        """Close without a sync, which the library refuses by now, or which nobody needs."""
        with self.alone():
            self._shut()

    def close(self) -> None:
        """Sync and close; the caller has made sure that nobody comes back with this object."""
        with self.alone():
            try:
                if self.is_dirty:
                    self.sync()
            finally:
                self._shut()
        if self.is_tidied and self.is_in_place():
            seal(os.path.join(self.folder, DATA))


def _allot_locks(path: str) -> None:
    """Have room for the table of readers: the library maps it, and on a full disk the interpreter would be killed by using it."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        descriptor = create_file(path)
    except FileExistsError:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        status = os.fstat(descriptor)
        if status.st_blocks * 512 < _LOCKS_SIZE:
            os.posix_fallocate(descriptor, 0, _LOCKS_SIZE)
    except OSError as error:
        explain(error, path, os.path.dirname(path), _LOCKS_SIZE)
        raise
    finally:
        os.close(descriptor)


def _lengthen(path: str, size: int) -> None:
    """Make the file at least *size* bytes long. Never shorter: another process may be writing behind its end just now."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, size - 1, 1)
        else:
            os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


def refused(error: lmdb.Error, folder: str, needed: int | None = None) -> OSError | None:
    """What the system has against what the library could not do; ``None`` where the system has not refused anything."""
    number = _NUMBERS.get(str(error).rpartition(": ")[2])
    if number == errno.EIO:  # what the library also says where only a part of a write found room
        return why_not(folder, error, needed)
    if number in NO_ROOM:
        return no_room(number, folder, needed)
    return None if number is None else OSError(number, os.strerror(number), folder)


def file_in(folder: str, name: str = DATA) -> tuple[int, int] | None:
    """Which file lies in *folder*, whatever path leads there; ``None`` if none does."""
    try:
        status = os.stat(os.path.join(folder, name))
    except OSError:
        return None
    return status.st_dev, status.st_ino


def open_steadily(folder: str, **options: Any) -> Any:
    """The environment; again when others make the map larger in the very moment between its parts being read.

    Also again where the library finds the file of locks invalid: refused the lock on it, by a system that fails for a moment, it
    goes on as if others had the environment open, and had filled that file.
    """
    is_told = False
    for _ in range(_MOST_RESIZES):
        try:
            return lmdb.open(folder, **options)
        except lmdb.MapResizedError:
            continue
        except lmdb.InvalidError:
            if is_told:
                raise
            is_told = True
    return lmdb.open(folder, **options)
