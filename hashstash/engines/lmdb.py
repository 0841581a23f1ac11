"""Rows in an LMDB environment: the fastest local engine, transactional, read by many processes at once.

One environment per folder and process, shared by all stashes on it, opened anew after a fork. The map starts small and
sparse and doubles when it is full. Nothing is fsynced per write: a killed process loses nothing, and a background thread
syncs what a power loss would.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import logging
import os
import threading
import time
from functools import partial
from itertools import islice, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from hashstash.engine import WRITE_ID, Capability, FolderEngine, WriteId
from hashstash.engines._lmdb_pages import LONGEST_KEY, MOST_LEAVES, Damaged, Pages, check_metas
from hashstash.engines._lmdb_seal import is_sealed, seal
from hashstash.engines._salvage import NEXT_STEP, gathered, replace_files
from hashstash.errors import CorruptEntry, MissingDependency, StashFull
from hashstash.paths import PRIVATE_FILE, create_file, is_there, make_folder
from hashstash.refusals import NO_ROOM, explain, naming, no_room, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

try:
    import lmdb
except ImportError as error:
    raise MissingDependency("the lmdb engine needs the package 'lmdb': pip install 'hashstash[lmdb]'") from error

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_MAP_SIZE = 1 << 30
_LARGEST_MAP_SIZE = 1 << 44
_MOST_READERS = 1024
_BATCH = 1000
_WRITE_BATCH = 50_000
_SYNC_EVERY = 3.0
_QUIET = 0.001
_LONGEST_WAIT = 30.0
_LONGEST_PAUSE = 2.0
_MOST_IDLE = 32
_MOST_RESIZES = 64  # from the first size to the largest it doubles less often
_FORK_SAFE_SINCE = 3
_DATA = "data.mdb"
_LOCKS = "lock.mdb"
_LOCKS_SIZE = 192 + 64 * (_MOST_READERS - 1)
"""As the library makes it: a head, and a line of the processor's cache for each reader but one, which is in the head."""
_FILES = (_DATA, "lock.mdb", "data.seal")
_NUMBERS = {os.strerror(number): number for number in errno.errorcode}
"""What the system says, which ends an error of the library, and its number."""
_DAMAGE = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.PanicError)


class _Environment:
    """The one environment that this process has open on a folder.

    Growing and closing must not happen while a transaction runs, so every operation has a note of its own in ``running``,
    whose ``add`` and ``discard`` are atomic, and ``begin`` is ``None`` while the gate is shut.
    """

    def __init__(self, folder: str, map_size: int, *, durable: bool) -> None:
        self.folder = folder
        self.durable = durable
        self.users = 0
        self.read_only = False
        self.running: set[object] = set()
        self.begin: Callable[..., Any] | None = None
        self.paused: Callable[..., Any] | None = None
        self.gate = threading.RLock()
        self.is_dirty = False
        self._env: Any = None
        self.rows: Any = None
        self._open(map_size)

    def _open(self, map_size: int) -> None:
        options: dict[str, Any] = {"max_readers": _MOST_READERS, "max_spare_txns": 8, "mode": PRIVATE_FILE}
        for name in _FILES:
            if os.path.isdir(os.path.join(self.folder, name)):
                raise CorruptEntry(f"{os.path.join(self.folder, name)} is a folder and no file; move it aside")
        check_metas(os.path.join(self.folder, _DATA))
        self.read_only = os.path.isdir(self.folder) and not os.access(self.folder, os.W_OK)
        try:
            if self.read_only:
                self._env = _open_steadily(self.folder, readonly=True, lock=False, **options)
            else:
                make_folder(self.folder)
                _allot_locks(os.path.join(self.folder, _LOCKS))
                _let_go_of_parents(self.folder)
                self._env = _open_steadily(
                    self.folder, map_size=map_size, sync=self.durable, metasync=self.durable, **options
                )
                self._env.reader_check()
        except lmdb.Error as error:
            refused = _refused(error, self.folder)
            if refused is not None and not isinstance(error, _DAMAGE):
                raise refused from error
            raise CorruptEntry(
                f"{self.folder} is no LMDB environment that can be opened ({error}); move it aside"
            ) from error
        try:
            self._check_pages()
            self._fill_up()
            self.rows = self._open_rows()
        except BaseException:
            self._env.close()
            raise
        self.begin = self._env.begin

    def _check_pages(self) -> None:
        """Raise CorruptEntry if the file was changed since one of us has closed it, and cannot be trusted.

        The library takes offsets in pages as they are: reading through a wrong one would kill the interpreter.
        """
        path = os.path.join(self.folder, _DATA)
        if is_sealed(path):
            return
        try:
            # In a transaction, so that nobody uses the pages again that are looked at.
            with self._begun() as transaction, Pages(path) as pages:
                pages.check(transaction.id(), most_leaves=MOST_LEAVES)
        except Damaged as error:
            raise CorruptEntry(f"{path} is damaged: {error}; {NEXT_STEP}") from error

    def _begun(self) -> Any:
        while True:
            try:
                return self._env.begin()
            except lmdb.MapResizedError:
                self._env.set_mapsize(0)

    def _open_rows(self) -> Any:
        while True:
            try:
                return self._env.open_db(None)
            except lmdb.MapResizedError:
                self._env.set_mapsize(0)

    def _fill_up(self) -> None:
        """Make the file as long as its pages say, where its last ones are free: reading behind its end kills the interpreter."""
        path = os.path.join(self.folder, _DATA)
        info, page = self._env.info(), self._env.stat()["psize"]
        needed = (info["last_pgno"] + 1) * page
        if os.path.getsize(path) >= needed:
            return
        if self.read_only:
            self._env.close()
            raise CorruptEntry(f"{path} is cut off: it should have {needed} bytes; move it aside")
        _lengthen(path, needed)

    @contextlib.contextmanager
    def alone(self) -> Iterator[Any]:
        """The environment with no transaction of this process running."""
        with self.gate:
            begin, self.begin = self.begin, None
            try:
                deadline = time.monotonic() + _LONGEST_WAIT
                while self.running and time.monotonic() < deadline:
                    time.sleep(_QUIET)
                yield self._env
            finally:
                self.begin = begin

    def grow(self, full_at: int) -> None:
        """Double the map, unless another thread has done so since it was full at *full_at* bytes."""
        with self.alone() as env:
            if (
                env.info()["map_size"] > full_at or env.reader_check()
            ):  # room that a killed process had kept is free now
                return
            if full_at >= _LARGEST_MAP_SIZE:
                raise StashFull(28, f"{self.folder} has reached the largest map size")
            env.set_mapsize(2 * full_at)

    def adopt_size(self) -> None:
        """Take over the size that another process has grown the map to."""
        with self.alone() as env:
            env.set_mapsize(0)

    def map_size(self) -> int:
        """The size of the map in bytes."""
        return int(self._env.info()["map_size"])

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
            raise _refused(error, self.folder) or error from error

    def leave(self) -> None:
        """Close in a forked child what only the parent may go on using."""
        self._env.close()

    def give_up(self) -> None:
        """Close without a sync, which the library refuses by now."""
        with self.alone() as env:
            env.close()
        self.begin = None

    def close(self) -> None:
        """Sync and close; the caller has made sure that nobody comes back with this object."""
        with self.alone() as env:
            try:
                if self.is_dirty:
                    self.sync()
            finally:
                env.close()
        if not self.read_only:
            seal(os.path.join(self.folder, _DATA))
        self.begin = None


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


def _refused(error: lmdb.Error, folder: str, needed: int | None = None) -> OSError | None:
    """What the system has against what the library could not do; ``None`` where the system has not refused anything."""
    number = _NUMBERS.get(str(error).rpartition(": ")[2])
    if number == errno.EIO:  # what the library also says where only a part of a write found room
        return why_not(folder, error, needed)
    if number in NO_ROOM:
        return no_room(number, folder, needed)
    return None if number is None else OSError(number, os.strerror(number), folder)


def _open_steadily(folder: str, **options: Any) -> Any:
    """The environment; again when others make the map larger in the very moment between its parts being read."""
    for _ in range(_MOST_RESIZES):
        with contextlib.suppress(lmdb.MapResizedError):
            return lmdb.open(folder, **options)
    return lmdb.open(folder, **options)


_environments: dict[str, _Environment] = {}
_table_lock = threading.RLock()
_abandoned: list[_Environment] = []
_syncer: threading.Thread | None = None


def _acquire(folder: str, map_size: int, *, durable: bool) -> _Environment:
    real = os.path.realpath(folder)
    with _table_lock:
        environment = _environments.get(real)
        if environment is None:
            _close_idle()
            with naming(real):
                environment = _environments[real] = _Environment(real, map_size, durable=durable)
        environment.users += 1
        return environment


def _let_go_of_parents(folder: str) -> None:
    """In a forked child, make the library forget what the parent has open on *folder*.

    Since version 3 it refuses to open a folder twice and closes an environment of another process without touching that
    process's locks and readers; older versions do neither, and there the environment must stay as it is.
    """
    if int(lmdb.__version__.split(".")[0]) >= _FORK_SAFE_SINCE:
        for environment in [known for known in _abandoned if known.folder == folder]:
            environment.leave()
            _abandoned.remove(environment)


def _close_idle() -> None:
    idle = [environment for environment in _environments.values() if environment.users <= 0]
    for environment in idle if len(idle) > _MOST_IDLE else ():
        del _environments[environment.folder]
        environment.close()


def _release(environment: _Environment) -> None:
    with _table_lock:
        environment.users -= 1
        if environment.users <= 0 and _environments.get(environment.folder) is environment:
            del _environments[environment.folder]
            environment.close()


class LmdbEngine(FolderEngine):
    """Rows in the LMDB environment in *folder*; *map_size* is its first size in bytes."""

    name = "lmdb"
    title = "LMDB"
    knows_size = True
    capabilities = (
        Capability.CROSS_PROCESS
        | Capability.SWAP
        | Capability.PREFIX_SCAN
        | Capability.LOCAL_FILES
        | Capability.SHARED_WRITERS
    )
    options = ("map_size",)
    settings = ("durable",)
    needs_local_disk = True

    def __init__(self, folder: str, *, durable: bool = False, map_size: int = FIRST_MAP_SIZE) -> None:
        super().__init__(folder)
        self._durable = durable
        self._map_size = map_size
        self._environment: _Environment | None = None
        self._running: set[object] = set()
        self._generation = -1

    def _make_section(self, folder: str) -> LmdbEngine:
        # An environment of its own: a named database in this one would cost each write a page more.
        return LmdbEngine(folder, durable=self._durable, map_size=self._map_size)

    def _open(self) -> _Environment:
        """The environment, opened if this engine is new, was closed, or came through a fork."""
        if self._environment is None or self._generation != _generation:
            with _table_lock:
                environment = _acquire(self._folder, self._map_size, durable=self._durable)
                self._running = environment.running
                self._environment, self._generation = environment, _generation
        return self._environment

    def _existing(self) -> _Environment | None:
        """The environment, unless there is none yet: reading makes nothing."""
        is_open = self._environment is not None and self._generation == _generation
        return self._open() if is_open or is_there(os.path.join(self._folder, _DATA)) else None

    def get(self, address: bytes) -> bytes | None:
        running, note = self._running, object()
        try:
            running.add(note)
            begin = self._environment.begin  # type: ignore[union-attr]
            transaction = begin()  # type: ignore[misc]
            try:
                return transaction.get(address)  # type: ignore[no-any-return]
            finally:
                transaction.abort()
        except (AttributeError, TypeError, lmdb.Error):
            pass  # not open, growing, or resized by another process: the careful way
        finally:
            running.discard(note)
        return self._read(lambda transaction: transaction.get(address))

    def _read(self, read: Callable[[Any], Result]) -> Result | None:
        """What *read* gives for a read transaction; ``None`` if nothing was ever written."""
        while True:
            environment = self._existing()
            if environment is None:
                return None
            note, has_panicked = object(), False
            try:
                environment.running.add(note)
                begin = environment.begin
                if begin is not None:
                    with begin() as transaction:
                        return read(transaction)
            except lmdb.MapResizedError:
                resized = True
            except lmdb.BadRslotError:
                resized = False  # a spare transaction whose place a forked child has given back; each is met only once
            except lmdb.PanicError:
                resized, has_panicked = False, True
            except (lmdb.CorruptedError, lmdb.PageNotFoundError) as error:
                raise CorruptEntry(f"{self._folder} is damaged ({error}); move it aside") from error
            else:
                resized = False
            finally:
                environment.running.discard(note)
            if has_panicked:
                self._give_up(environment)
            else:
                self._wait_for_gate(environment, resized=resized)

    def _give_up(self, environment: _Environment) -> None:
        """Close what the library does not use any more since a write of its own failed; what is on the disk is opened anew."""
        with _table_lock:
            if _environments.get(environment.folder) is environment:
                del _environments[environment.folder]
                environment.give_up()
        if self._environment is environment:
            self._environment = None

    def _wait_for_gate(self, environment: _Environment, *, resized: bool) -> None:
        if resized:
            environment.adopt_size()
        with environment.gate:
            if environment.begin is None and self._environment is environment:
                self._environment = None  # closed while we waited

    def _write(self, write: Callable[[Any], Result], *, needed: int | None = None) -> Result:
        """What *write* gives for a write transaction, in a map that grows as needed.

        *needed*: how many bytes are to be stored, for the error where there is no room.
        """
        while True:
            environment = self._open()
            if environment.read_only:
                raise PermissionError(13, "the folder of this stash is read-only", self._folder)
            note = object()
            full_at = 0
            resized = has_panicked = False
            try:
                environment.running.add(note)
                begin = environment.begin
                if begin is not None:
                    with begin(write=True) as transaction:
                        result = write(transaction)
                    environment.is_dirty = True
                    if _syncer is None and not self._durable:
                        _start_syncer()
                    return result
            except lmdb.MapFullError:
                full_at = environment.map_size()
            except lmdb.MapResizedError:
                resized = True
            except lmdb.PanicError:
                has_panicked = True
            except (lmdb.CorruptedError, lmdb.PageNotFoundError) as error:
                raise CorruptEntry(f"{self._folder} is damaged ({error}); move it aside") from error
            except lmdb.Error as error:
                raise _refused(error, self._folder, needed) or error from error
            finally:
                environment.running.discard(note)
            if has_panicked:
                self._give_up(environment)
            elif full_at:
                environment.grow(full_at)
            else:
                self._wait_for_gate(environment, resized=resized)

    def put(self, address: bytes, blob: bytes) -> None:
        running, note = self._running, object()
        try:
            running.add(note)
            environment = self._environment
            transaction = environment.begin(None, None, True)  # type: ignore[union-attr, misc]
            try:
                transaction.put(address, blob)
                transaction.commit()
            except BaseException:
                transaction.abort()
                raise
            environment.is_dirty = True  # type: ignore[union-attr]
            if _syncer is not None or self._durable:
                return
            _start_syncer()
            return
        except (AttributeError, TypeError, lmdb.Error):
            pass  # not open, growing, full or read-only: the careful way
        finally:
            running.discard(note)
        self._write(lambda transaction: transaction.put(address, blob), needed=len(blob))

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        items = sorted(rows, key=itemgetter(0))  # the last one of an address stays the last
        for start in range(0, len(items), _WRITE_BATCH):
            self._put_batch(items[start : start + _WRITE_BATCH])

    def _put_batch(self, rows: list[tuple[bytes, bytes]]) -> None:
        def write(transaction: Any) -> None:
            with transaction.cursor() as cursor:
                cursor.putmulti(rows)

        self._write(write, needed=sum(len(blob) for _, blob in rows))

    def delete(self, address: bytes) -> bool:
        if not self.has(address):
            return False
        return self._write(lambda transaction: bool(transaction.delete(address)))

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        wanted = list(addresses)
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            found = self._read(lambda transaction, batch=batch: [transaction.get(address) for address in batch])  # type: ignore[misc]
            yield from [None] * len(batch) if found is None else found

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        for address, _ in self._batches(prefix, values=False):
            yield address

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        return self._batches(b"", values=True)

    def _batches(self, prefix: bytes, *, values: bool) -> Iterator[tuple[bytes, bytes]]:
        """Rows in batches, so that no transaction stays open while the caller works."""
        start, after = prefix, False
        while True:
            batch = self._read(partial(_batch, start=start, after=after, prefix=prefix, values=values))
            if not batch:
                return
            yield from batch
            start, after = batch[-1][0], True

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        def write(transaction: Any) -> bool:
            current = transaction.get(address)
            if (None if current is None else current[WRITE_ID]) != expected:
                return False
            transaction.put(address, blob)
            return True

        return self._write(write, needed=len(blob))

    def clear(self) -> None:
        environment = self._existing()
        if environment is not None:
            self._write(lambda transaction: transaction.drop(environment.rows, delete=False))
        self.clear_sections()

    def count(self) -> int:
        return int(self._statistics().get("entries", 0))

    def size_bytes(self) -> int:
        stat = self._statistics()
        pages = sum(stat.get(kind, 0) for kind in ("branch_pages", "leaf_pages", "overflow_pages"))
        return pages * stat.get("psize", 0)

    def check(self) -> list[str]:
        path = os.path.join(self._folder, _DATA)
        try:
            self._read(lambda transaction: _check_all(path, transaction))
        except CorruptEntry as error:
            return [str(error)]
        except Damaged as error:
            return [f"{path} is damaged: {error}; {NEXT_STEP}"]
        return []

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        path = os.path.join(self._folder, _DATA)
        if not is_there(path):
            return False
        with _table_lock:
            environment = _environments.pop(os.path.realpath(self._folder), None)
            if environment is not None:
                environment.close()
            self._environment = None
            rows: dict[bytes, bytes] = {}
            with contextlib.suppress(ValueError, OSError), Pages(path) as pages:  # of an empty file, or none
                found = gathered(pages.rows(), place_of).items()
                rows = {address: blob for address, blob in found if 0 < len(address) <= LONGEST_KEY}
            replace_files(self._folder, _FILES, rows, self._make_section)
        return True

    def _statistics(self) -> dict[str, int]:
        environment = self._existing()
        if environment is None:
            return {}
        return self._read(lambda transaction: transaction.stat(environment.rows)) or {}

    def sync(self) -> None:
        environment = self._existing()
        if environment is not None:
            environment.sync()

    def close(self) -> None:
        with _table_lock:
            environment, self._environment = self._environment, None
            if environment is not None and self._generation == _generation:
                _release(environment)
        super().close()

    def __del__(self) -> None:
        if self._environment is not None and self._generation == _generation:
            self._environment.users -= 1  # the environment stays open: closing it here could wait for ever


def _check_all(path: str, transaction: Any) -> None:
    with Pages(path) as pages:
        pages.check(transaction.id())


def _batch(transaction: Any, *, start: bytes, after: bool, prefix: bytes, values: bool) -> list[tuple[bytes, bytes]]:
    with transaction.cursor() as cursor:
        found = cursor.set_range(start) if start else cursor.first()
        if found and after and cursor.key() == start:
            found = cursor.next()
        if not found:
            return []
        rest = cursor.iternext(True, True) if values else zip(cursor.iternext(True, False), repeat(b""))
        rows = list(islice(rest, _BATCH))
    if prefix and rows and not rows[-1][0].startswith(prefix):
        rows = [row for row in rows if row[0].startswith(prefix)]
    return rows


def _start_syncer() -> None:
    global _syncer
    with _table_lock:
        if _syncer is None:
            _syncer = threading.Thread(target=_sync_for_ever, name="hashstash-sync", daemon=True)
            _syncer.start()


def _sync_for_ever() -> None:
    while True:
        time.sleep(_SYNC_EVERY)
        for environment in list(_environments.values()):
            if environment.is_dirty:
                with _table_lock:
                    if _environments.get(environment.folder) is environment:
                        try:
                            environment.sync()
                        except (
                            lmdb.Error,
                            OSError,
                        ) as error:  # tried again, and raised where the environment is closed
                            logger.debug("%s is not synced: %s", environment.folder, error)


def _close_all() -> None:
    with _table_lock:
        for environment in list(_environments.values()):
            environment.close()
        _environments.clear()


_generation = 0


def _forget_in_child() -> None:
    """A forked child must neither use nor close what its parent has open."""
    global _generation, _syncer, _table_lock
    _generation += 1
    _table_lock = threading.RLock()
    _syncer = None
    for environment in _environments.values():
        environment.begin = None
        _abandoned.append(environment)
    _environments.clear()


def _pause_for_fork() -> None:
    """Let no transaction run while the process is copied: the child could never close what its parent was writing to."""
    _table_lock.acquire()
    for environment in _environments.values():
        environment.gate.acquire()
        environment.paused, environment.begin = environment.begin, None
    deadline = time.monotonic() + _LONGEST_PAUSE
    while any(known.running for known in _environments.values()) and time.monotonic() < deadline:
        time.sleep(_QUIET)


def _go_on_after_fork() -> None:
    for environment in _environments.values():
        environment.begin = environment.paused
        environment.gate.release()
    _table_lock.release()


os.register_at_fork(before=_pause_for_fork, after_in_parent=_go_on_after_fork, after_in_child=_forget_in_child)
atexit.register(_close_all)

PLUGIN = LmdbEngine
