"""Rows in a file of the standard library's ``dbm``, which ``shelve`` lies on: bytes under their addresses, never a pickle.

What ``dbm`` offers depends on the Python: ``dbm.sqlite3`` since 3.13, ``dbm.gnu`` where it was built with it, ``dbm.dumb``
everywhere. The file's name says which of them has written it, so that nothing is guessed from what it holds. None of them lets
several processes read and write at once; here a lock does, and what others have written is read anew.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sqlite3
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from hashstash.engines._dumb import DumbFile, salvaged
from hashstash.engines._guard import Guard, GuardedEngine
from hashstash.engines._salvage import NEXT_STEP
from hashstash.engines._sqlite_connections import refuse_programs
from hashstash.engines._sqlite_pages import records_in
from hashstash.errors import CorruptEntry, MissingDependency, StashFull
from hashstash.paths import create_file, is_there
from hashstash.refusals import no_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SLACK = 512 * 1024
_FULL = ("disk is full", "No space left", "Disk quota")


class _File(Protocol):
    """What an engine needs of an open file."""

    is_for_writing: bool

    def __contains__(self, address: bytes) -> bool: ...
    def __len__(self) -> int: ...
    def is_current(self) -> bool: ...
    def refresh(self) -> None: ...
    def addresses(self) -> list[bytes]: ...
    def get(self, address: bytes) -> bytes | None: ...
    def put(self, address: bytes, blob: bytes) -> None: ...
    def remove(self, address: bytes) -> None: ...
    def save(self, *, durable: bool) -> None: ...
    def clear(self) -> None: ...
    def compact(self) -> None: ...
    def size_bytes(self) -> int: ...
    def sync(self) -> None: ...
    def close(self) -> None: ...


class _Mapping:
    """A file of ``dbm.gnu`` or ``dbm.sqlite3``."""

    def __init__(self, rows: Any, *, write: bool) -> None:
        self.is_for_writing = write
        self._rows = rows

    def __contains__(self, address: bytes) -> bool:
        return address in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def is_current(self) -> bool:
        return True

    def refresh(self) -> None:
        """Nothing: what others have written is there."""

    def addresses(self) -> list[bytes]:
        return list(self._rows.keys())

    def get(self, address: bytes) -> bytes | None:
        blob = self._rows.get(address)
        return blob if blob is None or type(blob) is bytes else str(blob).encode("utf-8", "surrogatepass")

    def put(self, address: bytes, blob: bytes) -> None:
        self._rows[address] = blob

    def remove(self, address: bytes) -> None:
        del self._rows[address]

    def save(self, *, durable: bool) -> None:
        """Nothing, but for what has to survive a power loss: each change was written at once."""
        if durable:
            self.sync()

    def clear(self) -> None:
        for address in self.addresses():
            del self._rows[address]

    def compact(self) -> None:
        self._rows.reorganize()

    def sync(self) -> None:
        self._rows.sync()

    def close(self) -> None:
        self._rows.close()


class _GnuFile(_Mapping):
    """A file of ``dbm.gnu``, which keeps parts of it in memory."""

    def __init__(self, path: str, *, write: bool) -> None:
        self._path = path
        # "u": its own lock would let nobody write as long as anybody has it open.
        super().__init__(importlib.import_module("dbm.gnu").open(path, "cu" if write else "ru", 0o600), write=write)

    def is_current(self) -> bool:
        return False

    def put(self, address: bytes, blob: bytes) -> None:
        # The library loses rows that it has when it finds the disk full in the middle of a change.
        status = os.statvfs(self._path)
        if status.f_bavail * status.f_frsize < len(blob) + _SLACK:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        super().put(address, blob)

    def size_bytes(self) -> int:
        return os.path.getsize(self._path)


class _SqliteFile(_Mapping):
    """A file of ``dbm.sqlite3``, in one transaction per change, whichever thread asks."""

    def __init__(self, path: str, *, write: bool) -> None:
        self._path, self._inode = path, os.stat(path).st_ino
        mode = "rw" if write else "ro"
        if not write and not os.path.exists(path + "-wal"):
            mode += "&immutable=1"  # the lock keeps writers away, and in this folder nothing can be made
        self._connection = sqlite3.connect(
            f"file:{quote(path)}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._connection.execute("PRAGMA secure_delete = OFF")
            refuse_programs(self._connection, path)
            if write:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)"
                )
            super().__init__(_over(self._connection), write=write)
        except BaseException:
            self._connection.close()
            raise

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def is_current(self) -> bool:
        try:
            return self.is_for_writing and os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def addresses(self) -> list[bytes]:
        return [key for key in super().addresses() if isinstance(key, bytes)]

    def put(self, address: bytes, blob: bytes) -> None:
        self._begin()
        super().put(address, blob)

    def remove(self, address: bytes) -> None:
        self._begin()
        super().remove(address)

    def save(self, *, durable: bool) -> None:
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        super().save(durable=durable)

    def clear(self) -> None:
        # On a full disk, bringing the log into the file would take the room that this needs; compacting does it afterwards.
        self._connection.execute("PRAGMA wal_autocheckpoint = 0")
        self._begin()
        self._connection.execute("DELETE FROM Dict")

    def compact(self) -> None:
        self._connection.execute("VACUUM")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.execute("PRAGMA wal_autocheckpoint = 1000")

    def size_bytes(self) -> int:
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def sync(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()

    def close(self) -> None:
        self._connection.close()


def _over(connection: sqlite3.Connection) -> Any:
    """The module's mapping on a connection of ours: its own answers one thread only, and waits for nobody."""
    mapping = importlib.import_module("dbm.sqlite3")._Database  # noqa: SLF001

    class Rows(mapping):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            self._cx = connection

    return Rows()


def _dumb(path: str, *, write: bool) -> _File:
    return DumbFile(path, write=write)


_BACKENDS: dict[str, tuple[Callable[..., _File], str]] = {
    "sqlite3": (_SqliteFile, ""),
    "gnu": (_GnuFile, ""),
    "dumb": (_dumb, ".dir"),
}
"""The modules of ``dbm`` in the order in which they are preferred, and how the name of the file ends that shows it is there."""


class ShelveEngine(GuardedEngine):
    """Rows in ``rows.<backend>`` of *folder*; *backend* is the module of ``dbm`` that a new file is made with."""

    name = "shelve"
    title = "Shelve"
    knows_size = True
    options = ("backend",)

    def __init__(self, folder: str, *, durable: bool = False, backend: str | None = None) -> None:
        super().__init__(folder, durable=durable)
        if backend is not None and backend not in _BACKENDS:
            raise ValueError(f"backend={backend!r}; it is one of {', '.join(map(repr, _BACKENDS))}")
        self._wanted = backend

    def _make_section(self, folder: str) -> ShelveEngine:
        return ShelveEngine(folder, durable=self._durable, backend=self._existing() or self._wanted)

    def backend(self) -> str:
        """The module of ``dbm`` that the rows are kept with: the one that has made them, else the one for new ones."""
        found = self._existing()
        return found if found is not None else self._wanted or next(filter(_is_there, _BACKENDS))

    def _existing(self) -> str | None:
        for name, (_, ending) in _BACKENDS.items():
            if is_there(f"{self._path(name)}{ending}"):
                return name
        return None

    def _path(self, backend: str) -> str:
        return os.path.join(self._folder, f"rows.{backend}")

    def _stamp(self) -> object:
        found = self._existing()
        if found is None:
            return None
        statuses = [os.stat(path) for path in self._files(found)]
        return found, *((status.st_ino, status.st_size, status.st_mtime_ns) for status in statuses)

    def _files(self, backend: str) -> list[str]:
        path = self._path(backend)
        names = (path, path + "-wal", path + ".dat", path + ".dir")
        return [name for name in names if is_there(name)]

    def _load(self, handle: Any, *, write: bool) -> Any:
        if handle is not None:
            if handle.is_current() and handle.is_for_writing >= write:
                handle.refresh()
                return handle
            self._forget()
        existing = self._existing()
        if existing is None and not write:
            return None
        backend = existing or self.backend()
        if not _is_there(backend):
            raise MissingDependency(
                f"the rows in {self._folder} were written with dbm.{backend}, which this Python does not have;"
                " read them with one that has, or copy them to another engine there"
            )
        path = self._path(backend)
        if write and backend != "dumb":
            with contextlib.suppress(FileExistsError):
                os.close(create_file(path))
        elif not write and not _BACKENDS[backend][1] and not os.path.getsize(path):
            return None  # its maker was killed before anything was in it
        return _BACKENDS[backend][0](path, write=write)

    def _is_for_writing(self, handle: Any) -> bool:
        return bool(handle.is_for_writing)

    def _release(self, handle: Any) -> None:
        handle.close()

    def _save(self, handle: Any) -> None:
        handle.save(durable=self._durable)

    def _fetch(self, handle: Any, address: bytes) -> bytes | None:
        blob: bytes | None = handle.get(address)
        return blob

    def _store(self, handle: Any, address: bytes, blob: bytes) -> None:
        handle.put(address, blob)

    def _remove(self, handle: Any, address: bytes) -> None:
        handle.remove(address)

    def _holds(self, handle: Any, address: bytes) -> bool:
        return address in handle

    def _addresses(self, handle: Any) -> list[bytes]:
        addresses: list[bytes] = handle.addresses()
        return addresses

    def _count_rows(self, handle: Any) -> int:
        return len(handle)

    def _count_is_quick(self, handle: Any) -> bool:
        return isinstance(handle, DumbFile)

    def _is_in_memory(self, handle: Any) -> bool:
        return isinstance(handle, DumbFile)  # whose index is, and whose rows never change where they lie

    def _has_file(self, handle: Any) -> bool:
        return True

    def _clear_rows(self) -> None:
        super()._clear_rows()
        with contextlib.suppress(StashFull):
            self._removing(self.compact)

    def _remove_all(self, handle: Any) -> int:
        removed = len(handle)
        handle.clear()
        return -removed

    def size_bytes(self) -> int:
        return self._read(lambda handle: int(handle.size_bytes())) or 0

    def compact(self) -> None:
        if self._read(lambda _: True):
            self._write(lambda handle: handle.compact(), added=0)

    def sync(self) -> None:
        if not self.is_read_only() and self._read(lambda _: True):
            self._write(lambda handle: handle.sync(), added=0)

    def _seal_of(self, handle: Any) -> int | None:
        return handle.seal() if isinstance(handle, DumbFile) else None

    def _hold_against(self, handle: Any, guard: Guard) -> None:
        if isinstance(handle, DumbFile) and guard.seal is not None and not handle.fits(guard.seal):
            raise CorruptEntry(f"{self._path('dumb')}.dir was changed since it was written; {NEXT_STEP}")

    def _files_of_rows(self) -> list[str]:
        backend = self._existing() or self.backend()
        path = self._path(backend)
        endings = (".dat", ".dir") if backend == "dumb" else ("", "-wal", "-shm")
        return [os.path.basename(path + ending) for ending in endings if os.path.lexists(path + ending)]

    def _salvaged(self, place_of: Callable[[bytes], bytes | None]) -> Iterator[tuple[bytes | None, bytes]]:
        backend = self._existing() or self.backend()
        path = self._path(backend)
        if backend == "dumb":
            yield from salvaged(path, place_of)
        elif backend == "sqlite3":
            for record in records_in(path, "Dict"):
                if len(record) == 2 and type(record[1]) is bytes:
                    yield record[0] if type(record[0]) is bytes else None, record[1]
        else:
            with contextlib.suppress(*_of_gnu()):
                rows = _GnuFile(path, write=False)
                for address in rows.addresses():
                    with contextlib.suppress(*_of_gnu()):
                        yield address, rows.get(address) or b""

    def _damage(self, error: Exception) -> Exception | None:
        if isinstance(error, StashFull):
            return None
        if isinstance(error, sqlite3.Error) or type(error).__module__ in ("_gdbm", "dbm.sqlite3"):
            if any(text in str(error) for text in _FULL):
                return no_room(None, self._folder)
            return CorruptEntry(f"{self._path(self.backend())} is damaged ({error}); {NEXT_STEP}")
        return None


def _of_gnu() -> tuple[type[Exception], ...]:
    return (importlib.import_module("dbm.gnu").error, OSError)


def _is_there(backend: str) -> bool:
    try:
        importlib.import_module(f"dbm.{backend}")
    except ImportError:
        return False
    return True


PLUGIN = ShelveEngine
