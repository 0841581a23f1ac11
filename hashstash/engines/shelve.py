"""Rows in a file of the standard library's ``dbm``, which ``shelve`` lies on: bytes under their addresses, never a pickle.

What ``dbm`` offers depends on the Python: ``dbm.sqlite3`` since 3.13, ``dbm.gnu`` where it was built with it, ``dbm.dumb``
everywhere. The file's name says which of them has written it, so that nothing is guessed from what it holds. None of them lets
several processes read and write at once; here a lock does, and what others have written is read anew.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sqlite3
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hashstash.engines._dbm_files import GnuFile, SqliteFile
from hashstash.engines._dumb import DATA, INDEX, NEW, DumbFile, salvaged, settle
from hashstash.engines._guarded import GuardedEngine
from hashstash.engines._salvage import NEXT_STEP, replace_files
from hashstash.engines._sqlite_answers import explained
from hashstash.engines._sqlite_opening import RESERVE_SIZE, is_new
from hashstash.engines._sqlite_pages import records_in
from hashstash.errors import CorruptEntry, MissingDependency, StashFull
from hashstash.paths import create_file, is_there
from hashstash.refusals import no_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.engines._guard import Guard

Result = TypeVar("Result")

_KEPT = RESERVE_SIZE // 4
_FULL = ("No space left", "Disk quota")
_SQLITE_WAITS = 5.0
"""Seconds, unless it is told otherwise."""


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


_BACKENDS: dict[str, tuple[Callable[..., _File], tuple[str, ...]]] = {
    "sqlite3": (SqliteFile, ("",)),
    "gnu": (GnuFile, ("",)),
    "dumb": (DumbFile, (INDEX, DATA)),
}
"""The modules of ``dbm`` in the order in which they are preferred, and how the names of files end that show it is there."""


class ShelveEngine(GuardedEngine):
    """Rows in ``rows.<backend>`` of *folder*; *backend* is the module of ``dbm`` that a new file is made with."""

    name = "shelve"
    title = "Shelve"
    knows_size = True
    options = ("backend",)
    _reserve_size = RESERVE_SIZE

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
        for name, (_, endings) in _BACKENDS.items():
            if any(is_there(f"{self._path(name)}{ending}") for ending in endings):
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
        elif not write and backend != "dumb" and (is_new(path) if backend == "sqlite3" else not os.path.getsize(path)):
            return None  # its maker was killed before anything was in it, or found no room
        return _BACKENDS[backend][0](path, write=write)

    def _read(self, read: Callable[[Any], Result]) -> Result | None:
        try:
            return self._read_in_room(read)
        except CorruptEntry as error:
            if _said_by_sqlite(error.__cause__) is None:
                raise
        return self._read_in_room(read)  # opened anew, it tells whether the system has only failed for a moment

    def _read_in_room(self, read: Callable[[Any], Result]) -> Result | None:
        while True:
            try:
                return super()._read(read)
            except StashFull:  # even reading needs room, for the index of the log
                if not self._give_up_reserve(_KEPT):
                    raise

    def _write(self, write: Callable[[Any], Result], *, added: int | None = None, needed: int | None = None) -> Result:
        try:
            return super()._write(write, added=added, needed=needed)
        except CorruptEntry as error:
            if _said_by_sqlite(error.__cause__) is None:
                raise
        return super()._write(write, added=added, needed=needed)

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
            self._freeing(self.compact, keep=0)

    def _remove_all(self, handle: Any) -> int:
        removed = len(handle)
        handle.clear()
        return -removed

    def size_bytes(self) -> int:
        return self._read(lambda handle: int(handle.size_bytes())) or 0

    def compact(self) -> None:
        if self._read(lambda _: True):
            self._write(lambda handle: handle.compact(), added=0)

    def _has_made_room(self) -> bool:
        # What has failed has closed the file, which brings its log into it and gives the room of that back.
        return self._existing() == "sqlite3"

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
        endings = (DATA, INDEX) if backend == "dumb" else ("", "-wal", "-shm")
        # All of them where there is any: what is written anew has those, too, that are gone.
        is_any = any(os.path.lexists(path + ending) for ending in endings)
        return [os.path.basename(path + ending) for ending in endings] if is_any else []

    def _replace_files(self, names: list[str], rows: dict[bytes, bytes]) -> None:
        if names and names[0].endswith(DATA):
            replace_files(self._folder, names, rows, self._make_section, new=names, ending=NEW)
        else:
            super()._replace_files(names, rows)

    def _salvaged(self, place_of: Callable[[bytes], bytes | None]) -> Iterator[tuple[bytes | None, bytes]]:
        backend = self._existing() or self.backend()
        path = self._path(backend)
        if backend == "dumb":
            settle(path)
            yield from salvaged(path, place_of)
        elif backend == "sqlite3":
            for record in records_in(path, "Dict"):
                if len(record) == 2 and type(record[1]) is bytes:
                    yield record[0] if type(record[0]) is bytes else None, record[1]
        else:
            with contextlib.suppress(*_of_gnu()):
                rows = GnuFile(path, write=False)
                for address in rows.addresses():
                    with contextlib.suppress(*_of_gnu()):
                        yield address, rows.get(address) or b""

    def _meaning(self, error: Exception, needed: int | None) -> Exception | None:
        said = _said_by_sqlite(error)
        if said is not None:
            return explained(said, self._path("sqlite3"), _SQLITE_WAITS, needed)
        if type(error).__module__ != "_gdbm" or (isinstance(error, OSError) and error.errno):
            return None  # or what the system says through that library
        if any(text in str(error) for text in _FULL):
            return no_room(None, self._folder, needed)
        return CorruptEntry(f"{self._path(self.backend())} is damaged ({error}); {NEXT_STEP}")


def _said_by_sqlite(error: BaseException | None) -> sqlite3.Error | None:
    """The error of SQLite behind one of ``dbm.sqlite3``, which repeats its words only."""
    found = error.__context__ if type(error).__module__ == "dbm.sqlite3" and error is not None else error
    return found if isinstance(found, sqlite3.Error) else None


def _of_gnu() -> tuple[type[Exception], ...]:
    return (importlib.import_module("dbm.gnu").error, OSError)


def _is_there(backend: str) -> bool:
    try:
        importlib.import_module(f"dbm.{backend}")
    except ImportError:
        return False
    return True


PLUGIN = ShelveEngine
