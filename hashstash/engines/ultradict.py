"""Rows in shared memory, in an ``UltraDict`` that several processes attach to; they vanish when the machine restarts.

Each process holds a copy of all rows, so that reading is as fast as a dict, and takes over what others have changed from a
stream in shared memory. The package pickles by default, leaves its lock behind when its holder is killed, and touches pages that
a full memory cannot give, which ends the process. Here it sees bytes, a lock file in the stash's folder lets one writer in at a
time, and memory is allocated before it is written.
"""

from __future__ import annotations

import importlib
import os
import struct
from contextlib import suppress
from hashlib import blake2b
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING, Any

from hashstash.engine import Capability
from hashstash.engines._guarded import GuardedEngine
from hashstash.engines._ultradict_places import abandoned, forget, note
from hashstash.errors import CorruptEntry, MissingDependency, StashFull
from hashstash.paths import create_file

if TYPE_CHECKING:
    from collections.abc import Callable

_tracking = resource_tracker.register, resource_tracker.unregister, dict(resource_tracker._CLEANUP_FUNCS)  # type: ignore[attr-defined]  # noqa: SLF001
try:
    from UltraDict import UltraDict
    from UltraDict.Exceptions import CannotAttachSharedMemory
except ImportError as error:
    raise MissingDependency(
        "the ultradict engine needs the package 'ultradict': pip install 'hashstash[memory]'"
    ) from error
finally:
    # Importing it ends the tracking of shared memory for the whole process; only the memory of this engine is not to be tracked.
    resource_tracker.register, resource_tracker.unregister = _tracking[:2]
    resource_tracker._CLEANUP_FUNCS.update(_tracking[2])  # type: ignore[attr-defined]  # noqa: SLF001

STREAM_SIZE = 1 << 20
"""Bytes of changes that are passed on one by one, before all rows are written anew for others to take over."""
_LARGEST = (1 << 32) - 1
_ROW = struct.Struct("<?HI")


class _Bytes:
    """What the dict calls its serializer: rows one after another, never a pickle."""

    @staticmethod
    def dumps(content: Any) -> bytes:
        if isinstance(content, tuple):
            is_put, address, blob = content
            return b"".join((_ROW.pack(is_put, len(address), len(blob)), address, blob))
        parts: list[bytes] = []
        for address, blob in content.items():
            parts += (_ROW.pack(True, len(address), len(blob)), address, blob)
        return b"d" + b"".join(parts)

    @staticmethod
    def loads(data: bytes) -> Any:
        if data[:1] != b"d":
            return _row_at(data, 0)[0]
        rows, start = {}, 1
        while start < len(data):
            (_, address, blob), start = _row_at(data, start)
            rows[address] = blob
        return rows


def _row_at(data: bytes, start: int) -> tuple[tuple[bool, bytes, bytes], int]:
    is_put, key_size, size = _ROW.unpack_from(data, start)
    middle = start + _ROW.size + key_size
    end = middle + size
    if end > len(data):
        raise struct.error("a row is cut off")
    return (is_put, data[start + _ROW.size : middle], data[middle:end]), end


class _Memory(SharedMemory):
    """Shared memory that outlives its processes, and whose pages are there before anybody writes to them."""

    created_by_ultra: bool

    def __init__(self, name: str | None = None, *, create: bool = False, size: int = 0) -> None:
        super().__init__(name, create, size)
        resource_tracker.unregister(self._name, "shared_memory")  # type: ignore[attr-defined]
        if create and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._fd, 0, size)  # type: ignore[attr-defined]
            except OSError:
                self.unlink()
                self.close()
                raise

    def unlink(self) -> None:
        with suppress(FileNotFoundError):
            _unlink(self._name)  # type: ignore[attr-defined]


def _unlink(name: str) -> None:
    importlib.import_module("_posixshmem").shm_unlink(name)


class _Dict(UltraDict):  # type: ignore[misc]
    """The dict on memory that nobody tracks."""

    def get_memory(self, *, create: bool | None = True, name: str | None = None, size: int = 0) -> _Memory:
        if name is None:
            name = self._free_slot()
        else:
            with suppress(FileNotFoundError):
                return _Memory(name)
        if create is False:
            raise CannotAttachSharedMemory(f"Could not get memory '{name}'")
        memory = _Memory(name, create=True, size=size)
        memory.created_by_ultra = True
        return memory

    def _free_slot(self) -> str:
        """The name for all rows written anew: one of two, so that what a killed writer has left is found again."""
        current = bytes(self.full_dump_memory_name_remote).decode("utf-8", "replace").strip(" \0")
        name = next(slot for slot in _slots(self.name) if slot != current)
        self.unlink_by_name(name)
        return name

    @staticmethod
    def unlink_by_name(name: str, ignore_errors: bool = False) -> bool:  # noqa: ARG004
        with suppress(FileNotFoundError):
            _unlink("/" + name)
        return True


def unlink_all(name: str) -> None:
    """Give the memory of that name back, as soon as nobody has it attached any more."""
    forget(name)
    for part in (name, name + "_memory", *_slots(name)):
        _Dict.unlink_by_name(part)


def _slots(name: str) -> tuple[str, str]:
    return name + "_a", name + "_b"


def _token_file(folder: str) -> str:
    return os.path.join(folder, "rows.memory")


def _token_in(folder: str) -> bytes | None:
    try:
        with open(_token_file(folder), "rb") as file:
            return file.read(64)
    except FileNotFoundError:
        return None


def _memory_name(folder: str, token: bytes) -> str:
    """A name that nobody can guess, and that a copy of the folder does not share."""
    place = os.path.realpath(folder).encode("utf-8", "surrogatepass")
    return "hs-" + blake2b(place, key=token, digest_size=8).hexdigest()


def memory_in(folder: str) -> str | None:
    """The name of the memory that belongs to *folder*, if that is there."""
    token = _token_in(folder)
    return None if token is None else _memory_name(folder, token)


class UltradictEngine(GuardedEngine):
    """Rows in memory whose name follows from *folder* and from what its file ``rows.memory`` holds."""

    name = "ultradict"
    title = "UltraDict"
    capabilities = GuardedEngine.capabilities & ~Capability.LOCAL_FILES
    settings = ()

    _may_vanish = True

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._path = _token_file(folder)

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        return False  # there are no files of rows

    def _make_section(self, folder: str) -> UltradictEngine:
        return UltradictEngine(folder)

    def blob_folder(self) -> None:  # type: ignore[override]
        """Nowhere: all of it is in memory."""

    def _make_reserve(self) -> None:
        """Nothing: room on the disk is of no use here, and the memory for changes was allocated with the dict."""

    def _token(self) -> bytes | None:
        return _token_in(self._folder)

    def _memory_name(self, token: bytes) -> str:
        return _memory_name(self._folder, token)

    def _stamp(self) -> object:
        return self._token()

    def _load(self, handle: Any, *, write: bool) -> Any:
        token = self._token()
        if token is None and write:
            token = self._new_token()
        if token is None:
            return None
        name = self._memory_name(token)
        if handle is not None and handle.name == name:
            handle.apply_update()
            return handle
        if handle is not None:
            self._forget()
            unlink_all(handle.name)  # nobody finds it any more: the rows were cleared, or the folder was removed
        try:
            return self._attach(name, create=False)
        except CannotAttachSharedMemory:
            if not write:
                return None  # the machine has restarted since
        handle = self._attach(name, create=None)
        note(name, self._folder)
        for gone in abandoned(memory_in):
            unlink_all(gone)
        self._guard.rows = len(handle.data)
        return handle

    @staticmethod
    def _attach(name: str, *, create: bool | None) -> Any:
        return _Dict(
            name=name, create=create, serializer=_Bytes, buffer_size=STREAM_SIZE, auto_unlink=False, recurse=False
        )

    def _new_token(self) -> bytes:
        token = os.urandom(32)
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        descriptor = create_file(self._path)
        try:
            os.write(descriptor, token)
        finally:
            os.close(descriptor)
        return token

    def _release(self, handle: Any) -> None:
        handle.close()

    def _save(self, handle: Any) -> None:
        """Nothing: the dict has passed each change on."""

    def _meaning(self, error: Exception, needed: int | None) -> Exception | None:
        if isinstance(error, (struct.error, AssertionError)):
            return CorruptEntry(f"the shared memory of {self._folder} is damaged ({error}); clear() makes it anew")
        if isinstance(error, OverflowError):
            return StashFull(
                28, f"{self._folder}: all rows in shared memory may take {_LARGEST:,} bytes; clear a stash"
            )
        return None

    def _fetch(self, handle: Any, address: bytes) -> bytes | None:
        blob: bytes | None = handle.data.get(address)
        return blob

    def _store(self, handle: Any, address: bytes, blob: bytes) -> None:
        handle[address] = blob

    def _remove(self, handle: Any, address: bytes) -> None:
        del handle[address]

    def _holds(self, handle: Any, address: bytes) -> bool:
        return address in handle.data

    def _addresses(self, handle: Any) -> list[bytes]:
        return list(handle.data)

    def _count_rows(self, handle: Any) -> int:
        return len(handle.data)

    def _clear_rows(self) -> None:
        try:
            super()._clear_rows()
        except CorruptEntry:
            self._start_anew()

    def _start_anew(self) -> None:
        """Leave memory that cannot be read, and let go of it as far as that is known by name."""
        with self._turn:
            self._change(self._start_anew_now)

    def _start_anew_now(self) -> None:
        self._guard.for_writing()
        self._guard.enter(alone=True, before_waiting=self._refuse_to_wait)
        self._forget()
        self._guard.begin()
        token = self._token()
        if token is not None:
            name = self._memory_name(token)
            unlink_all(name)
        self._new_token()
        self._guard.finish(0)

    def _remove_all(self, handle: Any) -> int:
        """Give all of the memory back; whoever has it attached finds the new one by its name."""
        removed = len(handle.data)
        handle.close()
        unlink_all(handle.name)
        self._new_token()
        self._handle = None
        return -removed

    def compact(self) -> None:
        if self._read(lambda _: True):
            self._write(lambda handle: handle.dump(), added=0)

    def size_bytes(self) -> int:
        return self._read(lambda handle: sum(len(address) + len(blob) for address, blob in handle.data.items())) or 0


PLUGIN = UltradictEngine
