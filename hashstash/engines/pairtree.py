"""One file per row, in 256 folders: no dependency, no server, no memory map, and safe on any file system with atomic rename.

A row is written to a temporary file in the same folder tree and renamed onto its name, so that readers see the old row or
the new one. Renaming onto an existing name is slower on ext4 than onto a new one; the fixed name is what keeps a key from
ever being missing while it is replaced.

Whoever replaces or removes a row locks its file, so that no swap undoes what was written since it looked. A new row needs no
lock: it gets its name as a second one, which fails where there is a row, and loses the first one then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING

from hashstash.engine import WRITE_ID, Capability, FolderEngine, WriteId
from hashstash.engines._row_lock import alone_with
from hashstash.engines._salvage import ASIDE
from hashstash.hollow import is_hollow_file
from hashstash.locks import KeyLock
from hashstash.paths import create_file, make_folder
from hashstash.processes import is_gone, mark
from hashstash.refusals import explain, locate, refuse_if_read_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ABANDONED = 3600.0
_SETTLED = 2.0
# A link would show any file of this user's as a row, and opening a pipe would wait for ever.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_NOT_A_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV)
_NO_LINKS = (errno.EPERM, errno.EACCES, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What file systems say that know no second names; renaming says it too, where something else is the matter."""


class PairtreeEngine(FolderEngine):
    """Rows as files ``<folder>/<first byte>/<address>``, both in hexadecimal."""

    name = "pairtree"
    title = "Pairtree"
    capabilities = Capability.CROSS_PROCESS | Capability.SWAP | Capability.LOCAL_FILES | Capability.SHARED_WRITERS
    settings = ("durable",)

    def __init__(self, folder: str, *, durable: bool = False) -> None:
        super().__init__(folder)
        self._durable = durable
        self._drafts = os.path.join(folder, "tmp")
        self._prefix = folder + os.sep
        self._counts: dict[str, tuple[int, int]] = {}
        self._replaces = False
        self._remove_abandoned()

    def get(self, address: bytes) -> bytes | None:
        name = address.hex()
        try:
            descriptor = os.open(f"{self._prefix}{name[:2]}/{name}", _READ)
        except OSError as error:
            return _no_row(error)
        try:
            status = os.fstat(descriptor)
            size = status.st_size
            if is_hollow_file(status):
                return b""
            blob = os.read(descriptor, size + 1)
            if len(blob) < size:
                blob = _read_rest(descriptor, blob)
            return blob
        except IsADirectoryError as error:
            return _no_row(error)
        except OSError as error:
            locate(error, f"{self._prefix}{name[:2]}/{name}")
            raise
        finally:
            os.close(descriptor)

    def put(self, address: bytes, blob: bytes) -> None:
        self._publish(address, blob, self._put)

    def _publish(self, address: bytes, blob: bytes, publish: Callable[[str, str, str], bool]) -> bool:
        """Write a draft and let *publish* make it the row, given the names of the draft, the folder and the row."""
        name = address.hex()
        folder = f"{self._prefix}{name[:2]}"
        draft = os.path.join(self._drafts, f"{mark()}.{os.urandom(8).hex()}")
        try:
            self._write(draft, blob)
            if not publish(draft, folder, f"{folder}/{name}"):
                _discard(draft)
                return False
            if self._durable:
                _sync_folder(folder)
            return True
        except OSError as error:
            _discard(draft)
            explain(error, draft, self._folder, len(blob))
            raise
        except BaseException:
            _discard(draft)
            raise

    def _write(self, draft: str, blob: bytes) -> None:
        try:
            descriptor = create_file(draft)
        except FileNotFoundError:
            make_folder(self._drafts)
            descriptor = create_file(draft)
        try:
            view = memoryview(blob)
            while view.nbytes:
                view = view[os.write(descriptor, view) :]
            if self._durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _put(self, draft: str, folder: str, path: str) -> bool:
        # Whoever replaces one row will replace the next one, more often than not.
        while not (self._replaces and self._replace(draft, path)):
            self._replaces = not self._add(draft, folder, path)
            if not self._replaces:
                break
        return True

    def _add(self, draft: str, folder: str, path: str) -> bool:
        """Make the draft a new row; ``False`` if there is one."""
        try:
            try:
                os.link(draft, path)
            except FileNotFoundError:
                make_folder(folder)
                os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._add_alone(draft, folder, path)
        _discard(draft)
        return True

    def _add_alone(self, draft: str, folder: str, path: str) -> bool:
        """:meth:`_add` where a file has one name only: no two writers at a time."""
        make_folder(folder)
        lock = KeyLock(self.lock_folder(), f"add:{os.path.basename(path)}")
        lock.may_fail = (OSError,)
        with lock:
            if os.path.lexists(path):
                return False
            os.replace(draft, path)
        return True

    def _replace(self, draft: str, path: str) -> bool:
        """Make the draft the row in the place of the one that is there; ``False`` if there is none."""
        try:
            alone_with(path, lambda: _moved(draft, path))
        except FileNotFoundError:
            return False
        except IsADirectoryError:
            self._set_aside(path)
            return False
        return True

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        if expected is None:
            return not self.has(address) and self._publish(address, blob, self._add)
        if not self._carries(address, expected):
            return False  # without writing anything

        def replace(draft: str, _folder: str, path: str) -> bool:
            return self._alone(path, lambda: self._carries(address, expected) and _moved(draft, path))

        return self._publish(address, blob, replace)

    def _carries(self, address: bytes, expected: WriteId) -> bool:
        current = self.get(address)
        return current is not None and current[WRITE_ID] == expected

    @staticmethod
    def _alone(path: str, work: Callable[[], bool]) -> bool:
        """What *work* says, done while nobody changes the row; ``False`` if there is none."""
        try:
            return alone_with(path, work, is_needed=True)
        except FileNotFoundError:
            return False

    def delete(self, address: bytes) -> bool:
        path = self._path(address)
        try:
            return alone_with(path, lambda: self._unlink(path))
        except FileNotFoundError:
            return False

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        path = self._path(address)

        return self._alone(path, lambda: self._carries(address, expected) and self._unlink(path))

    def _path(self, address: bytes) -> str:
        name = address.hex()
        return f"{self._prefix}{name[:2]}/{name}"

    def _unlink(self, path: str) -> bool:
        try:
            os.unlink(path)
        except OSError as error:
            if not os.path.isdir(path):  # for which one system raises this error, and another that
                refuse_if_read_only(error, self._folder)
                raise
            self._set_aside(path)
        return True

    def _set_aside(self, path: str) -> None:
        """Move away what is no row, but a folder in the place of one."""
        make_folder(os.path.join(self._folder, ASIDE))
        os.rename(path, os.path.join(self._folder, ASIDE, f"{os.path.basename(path)}.{os.urandom(4).hex()}"))

    def has(self, address: bytes) -> bool:
        name = address.hex()
        return os.path.lexists(f"{self._prefix}{name[:2]}/{name}")

    def peek(self, address: bytes, size: int) -> bytes | None:
        name = address.hex()
        try:
            descriptor = os.open(f"{self._prefix}{name[:2]}/{name}", _READ)
        except OSError as error:
            return _no_row(error)
        try:
            return os.read(descriptor, size)
        except IsADirectoryError as error:
            return _no_row(error)
        except OSError as error:
            locate(error, f"{self._prefix}{name[:2]}/{name}")
            raise
        finally:
            os.close(descriptor)

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        wanted = prefix.hex()
        for folder in self._row_folders():
            if folder[-2:].startswith(wanted[:2]):
                for name in _names(folder):
                    if name.startswith(wanted):
                        yield bytes.fromhex(name)

    def _make_section(self, folder: str) -> PairtreeEngine:
        return PairtreeEngine(folder, durable=self._durable)

    def count(self) -> int:
        return sum(map(self._count_in, self._row_folders()))

    def _count_in(self, folder: str) -> int:
        """The rows in one folder; listed again only when the folder changed, or may just have."""
        changed = os.stat(folder).st_mtime_ns
        known = self._counts.get(folder)
        if known is not None and known[0] == changed:
            return known[1]
        number = len(_names(folder))
        if time.time() - changed / 1e9 > _SETTLED:  # the clock of a file system is coarse
            self._counts[folder] = (changed, number)
        return number

    def size_bytes(self) -> int:
        total = 0
        for folder in self._row_folders():
            for entry in os.scandir(folder):
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:
                    continue
        return total

    def clear(self) -> None:
        super().clear()
        self.clear_sections()

    def sync(self) -> None:
        """Ask the system to write its buffers to the disk."""
        if os.path.isdir(self._folder):
            os.sync()

    def _row_folders(self) -> list[str]:
        try:
            return [
                entry.path
                for entry in os.scandir(self._folder)
                if len(entry.name) == 2 and entry.is_dir(follow_symlinks=False)
            ]
        except FileNotFoundError:
            return []

    def _remove_abandoned(self) -> None:
        """Remove drafts of writers that died; on another machine, or before a restart, an hour is longer than any write."""
        try:
            with os.scandir(self._drafts) as drafts:
                for entry in drafts:
                    with contextlib.suppress(FileNotFoundError):  # its writer has just published it
                        age = time.time() - entry.stat(follow_symlinks=False).st_mtime
                        if age > _ABANDONED or is_gone(entry.name.partition(".")[0]):
                            _discard(entry.path)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            pass  # nothing was written here yet, or we may only read; whoever writes is told


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if _is_row(name)]
    except FileNotFoundError:
        return []


def _no_row(error: OSError) -> bytes | None:
    """What stands for a row that cannot be opened: ``None`` if there is none, nothing at all for what is not a file."""
    if isinstance(error, FileNotFoundError):
        return None
    if error.errno in _NOT_A_FILE:
        return b""  # which is no entry, and is said to be none
    raise error


def _is_row(name: str) -> bool:
    return not len(name) % 2 and all(char in "0123456789abcdef" for char in name)


def _read_rest(descriptor: int, blob: bytes) -> bytes:
    chunks = [blob]
    while chunk := os.read(descriptor, 1 << 20):
        chunks.append(chunk)
    return b"".join(chunks)


def _moved(draft: str, path: str) -> bool:
    os.replace(draft, path)
    return True


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # it is gone, or is removed when the stash is opened later


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


PLUGIN = PairtreeEngine
