"""Rows in the memory: in a dict of this process, or with ``shared=True`` in memory that all processes of this user share.

In the dict, stashes of the same name share their rows within the process, and a forked child has a snapshot. Shared rows lie in
the system's memory file system, by LMDB if it is installed and as single files otherwise. They are seen by processes that were
started independently, outlive all of them, and are gone after ``clear()``, which gives their memory back, after a restart of
the machine or its container, and on some systems after the user has logged out everywhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from hashstash import forks
from hashstash.engine import WRITE_ID, Capability, Change, Engine, FolderEngine, SectionTable, WriteId
from hashstash.imports import is_installed
from hashstash.locks import KeyLock
from hashstash.paths import create_file, make_folder
from hashstash.registry import ENGINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MEMORY = "/dev/shm"  # noqa: S108
_CURRENT = "current"
_KINDS = ("lmdb", "pairtree")

_stores: dict[str, dict[bytes, bytes]] = {}
_swap_lock = threading.RLock()
"""Held for each change of a row; reentrant, for finalizers that change one."""


class MemoryEngine(Engine):
    """A dict of blobs under *folder*, which is only a name here and is never created; with *shared*, a SharedMemoryEngine."""

    name = "memory"
    title = "Memory"
    capabilities = Capability.SWAP
    options = ("shared",)
    keeps_files = False
    reads_for_free = True

    def __new__(cls, folder: str, *, shared: bool = False) -> Engine:  # type: ignore[misc]
        return SharedMemoryEngine(shared_folder(folder)) if shared else super().__new__(cls)

    def __init__(self, folder: str, *, shared: bool = False) -> None:
        self._folder = folder
        self._rows = _stores.setdefault(folder, {})
        self._sections = SectionTable(lambda name: MemoryEngine(f"{folder}@{name}"))

    def get(self, address: bytes) -> bytes | None:
        return self._rows.get(address)

    def put(self, address: bytes, blob: bytes) -> None:
        with _swap_lock:
            self._rows[address] = bytes(blob)

    def delete(self, address: bytes) -> bool:
        with _swap_lock:
            return self._rows.pop(address, None) is not None

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        return iter([address for address in list(self._rows) if address.startswith(prefix)])

    def section(self, name: str) -> Engine:
        return self._sections[name]

    def section_names(self) -> list[str]:
        start = f"{self._folder}@"
        return [
            name[len(start) :] for name in list(_stores) if name.startswith(start) and "@" not in name[len(start) :]
        ]

    def location(self) -> str:
        return self._folder

    @classmethod
    def from_url(cls, url: str) -> tuple[str, dict[str, Any]]:
        name, options = super().from_url(url)
        return name, {**options, "shared": True} if name else options

    @classmethod
    def names_below(cls, folder: str) -> list[str]:
        prefix = folder + os.sep
        return sorted({name[len(prefix) :].split(os.sep)[0] for name in list(_stores) if name.startswith(prefix)})

    @classmethod
    def stashes_below(cls, folder: str, options: Mapping[str, Any]) -> list[str]:
        return SharedMemoryEngine.names_below(folder) if options.get("shared") else cls.names_below(folder)

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        with _swap_lock:
            current = self._rows.get(address)
            if (None if current is None else current[WRITE_ID]) != expected:
                return False
            self._rows[address] = bytes(blob)
            return True

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        with _swap_lock:
            current = self._rows.get(address)
            if current is None or current[WRITE_ID] != expected:
                return False
            del self._rows[address]
            return True

    def clear(self) -> None:
        with _swap_lock:
            self._rows.clear()
        for name in self.section_names():
            _stores[f"{self._folder}@{name}"].clear()  # whichever object has made it

    def count(self) -> int:
        return len(self._rows)

    def size_bytes(self) -> int:
        return sum(len(address) + len(blob) for address, blob in list(self._rows.items()))


class SharedMemoryEngine(FolderEngine):
    """Rows in ``<folder>/<kind>.<generation>``, which the file ``current`` names.

    Emptying the stash ends a generation: its files are removed, whoever has them open, which is what gives the memory back.
    Each operation looks whether its generation is still the current one, so that all processes go over to the next.
    """

    name = "memory"
    title = "Memory"
    keeps_files = False

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._pointer = os.path.join(folder, _CURRENT)
        self._stamp: tuple[int, int] | None = None
        self._rows: Engine | None = None
        self._kind = best_kind()
        self.capabilities = ENGINES.load(self._kind).capabilities

    def _make_section(self, folder: str) -> SharedMemoryEngine:
        return SharedMemoryEngine(folder)

    @classmethod
    def names_below(cls, folder: str) -> list[str]:
        return [name for name in super().names_below(shared_folder(folder, rows="")) if not name.startswith("@")]

    def _current(self) -> Engine | None:
        """The engine of the current generation; ``None`` if nothing was stored since the stash was emptied."""
        try:
            status = os.stat(self._pointer)
        except FileNotFoundError:
            self._let_go()
            return None
        stamp = (status.st_ino, status.st_mtime_ns)
        rows = self._rows
        if rows is not None and stamp == self._stamp:
            return rows
        return self._turn_to(stamp)

    def _let_go(self) -> None:
        """Close the generation that was current: its memory is free when nobody has it open any more."""
        rows, self._rows = self._rows, None
        if rows is not None:
            rows.close()

    def _turn_to(self, stamp: tuple[int, int]) -> Engine | None:
        try:
            with open(self._pointer, encoding="ascii") as file:
                name = file.read()
        except FileNotFoundError:
            self._let_go()
            return None
        self._let_go()
        rows: Engine = ENGINES.load(name.split(".")[0])(os.path.join(self._folder, name))
        self._rows, self._stamp = rows, stamp
        return rows

    def _writable(self) -> Engine:
        while True:
            rows = self._current()
            if rows is not None:
                return rows
            make_folder(self._folder)
            with self._changing():
                if not os.path.exists(self._pointer):
                    self._begin_generation()

    def _begin_generation(self) -> None:
        name = f"{self._kind}.{os.urandom(8).hex()}"
        make_folder(os.path.join(self._folder, name))
        draft = f"{self._pointer}.{os.urandom(8).hex()}"
        descriptor = create_file(draft)
        try:
            os.write(descriptor, name.encode())
        finally:
            os.close(descriptor)
        os.replace(draft, self._pointer)

    def _changing(self) -> KeyLock:
        return KeyLock(self.lock_folder(), "generation")

    def get(self, address: bytes) -> bytes | None:
        rows = self._current()
        return None if rows is None else rows.get(address)

    def put(self, address: bytes, blob: bytes) -> None:
        self._writable().put(address, blob)

    def delete(self, address: bytes) -> bool:
        rows = self._current()
        return rows is not None and rows.delete(address)

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        rows = self._current()
        return iter(()) if rows is None else rows.scan(prefix)

    def has(self, address: bytes) -> bool:
        rows = self._current()
        return rows is not None and rows.has(address)

    def peek(self, address: bytes, size: int) -> bytes | None:
        rows = self._current()
        return None if rows is None else rows.peek(address, size)

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        rows = self._current()
        return (None for _ in addresses) if rows is None else rows.get_many(addresses)

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self._writable().put_many(rows)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        rows = self._current()
        return iter(()) if rows is None else rows.rows()

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        return self._writable().swap(address, expected, blob)

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        return self._writable().swap_many(changes)

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        rows = self._current()
        return rows is not None and rows.delete_if(address, expected)

    def clear(self) -> None:
        if os.path.isdir(self._folder):
            with self._changing():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._pointer)
                self._let_go()
                for entry in os.scandir(self._folder):
                    if entry.name.split(".")[0] in (*_KINDS, _CURRENT):  # of generations whose end was cut short, too
                        _remove(entry.path)
        self.clear_sections()
        self._remove_empty_folders()

    def _remove_empty_folders(self) -> None:
        """Remove the folder, and those above it that were made for it; whoever writes makes them anew."""
        with contextlib.suppress(OSError):
            os.rmdir(self.lock_folder())
        folder, base = self._folder, private_base()
        with contextlib.suppress(OSError):  # there is something in it
            while folder.startswith(base + os.sep):
                os.rmdir(folder)
                folder = os.path.dirname(folder)

    def count(self) -> int:
        rows = self._current()
        return 0 if rows is None else rows.count()

    def size_bytes(self) -> int:
        rows = self._current()
        return 0 if rows is None else rows.size_bytes()

    def compact(self) -> None:
        rows = self._current()
        if rows is not None:
            rows.compact()

    def check(self) -> list[str]:
        rows = self._current()
        return [] if rows is None else rows.check()

    def close(self) -> None:
        self._let_go()
        super().close()


def best_kind() -> str:
    """The engine that keeps shared rows, unless whoever came first has chosen the other one."""
    return "lmdb" if is_installed("lmdb") else "pairtree"


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def shared_folder(name: str, *, rows: str = "@rows") -> str:
    """Where the shared rows of the stash that lies at *name* are; no name of a stash below it can lead there too."""
    inner = os.path.splitdrive(os.path.abspath(name))[1].lstrip(os.sep)
    return os.path.join(private_base(), inner, rows) if rows else os.path.join(private_base(), inner)


def private_base() -> str:
    """The folder for this user's shared memory, made if need be; PermissionError if it is anybody else's."""
    parent = _MEMORY if os.path.isdir(_MEMORY) and os.access(_MEMORY, os.W_OK) else tempfile.gettempdir()
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    base = os.path.join(os.path.realpath(parent), f"hashstash-{user}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(base, 0o700)
        os.chmod(base, 0o700)
    _check_private(base)
    return base


def _check_private(base: str) -> None:
    """In a folder that everybody may write, somebody else may have put a folder or a link in the place of ours."""
    if not hasattr(os, "getuid"):
        return
    status, above = os.lstat(base), os.stat(os.path.dirname(base))
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(
            13, "shared memory needs a folder that only you can enter, which this is not; remove it", base
        )
    if above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX:
        raise PermissionError(
            13, "everybody may replace what lies in this folder; set its sticky bit", os.path.dirname(base)
        )


def _renew_lock() -> None:
    global _swap_lock
    _swap_lock = threading.RLock()  # a thread that does not exist in the child may have held it


forks.in_child(_renew_lock)

PLUGIN = MemoryEngine
