"""One file per row, in 256 folders: no dependency, no server, no memory map, and safe on any file system with atomic rename.

A row is written to a temporary file in the same folder tree and renamed onto its name, so that readers see the old row or
the new one. Renaming onto an existing name is slower on ext4 than onto a new one; the fixed name is what keeps a key from
ever being missing while it is replaced.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from hashstash.blobs import NO_ROOM
from hashstash.engine import Capability, FolderEngine
from hashstash.errors import StashFull
from hashstash.paths import create_file, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABANDONED = 3600.0
_SETTLED = 2.0


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
        self._remove_abandoned()

    def get(self, address: bytes) -> bytes | None:
        name = address.hex()
        try:
            descriptor = os.open(f"{self._prefix}{name[:2]}/{name}", os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            size = os.fstat(descriptor).st_size
            blob = os.read(descriptor, size + 1)
            if len(blob) < size:
                blob = _read_rest(descriptor, blob)
            return blob
        finally:
            os.close(descriptor)

    def put(self, address: bytes, blob: bytes) -> None:
        name = address.hex()
        folder = f"{self._prefix}{name[:2]}"
        draft = os.path.join(self._drafts, f"{os.getpid()}.{os.urandom(8).hex()}")
        try:
            self._write(draft, blob)
            self._publish(draft, folder, f"{folder}/{name}")
        except OSError as error:
            _discard(draft)
            if error.errno in NO_ROOM:
                raise StashFull(
                    error.errno, f"no room for {len(blob):,} bytes in {self._folder}; free some, or clear a stash"
                ) from error
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

    def _publish(self, draft: str, folder: str, path: str) -> None:
        try:
            os.replace(draft, path)
        except FileNotFoundError:
            make_folder(folder)
            os.replace(draft, path)
        if self._durable:
            _sync_folder(folder)

    def delete(self, address: bytes) -> bool:
        name = address.hex()
        try:
            os.unlink(f"{self._prefix}{name[:2]}/{name}")
        except FileNotFoundError:
            return False
        return True

    def has(self, address: bytes) -> bool:
        name = address.hex()
        return os.path.exists(f"{self._prefix}{name[:2]}/{name}")

    def peek(self, address: bytes, size: int) -> bytes | None:
        name = address.hex()
        try:
            descriptor = os.open(f"{self._prefix}{name[:2]}/{name}", os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return os.read(descriptor, size)
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
        """Remove drafts of writers that died: an hour is longer than any write."""
        try:
            with os.scandir(self._drafts) as drafts:
                for entry in drafts:
                    with contextlib.suppress(FileNotFoundError):  # its writer has just published it
                        if time.time() - entry.stat().st_mtime > _ABANDONED:
                            _discard(entry.path)
        except (FileNotFoundError, PermissionError):
            pass  # nothing was written here yet, or we may only read


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if _is_row(name)]
    except FileNotFoundError:
        return []


def _is_row(name: str) -> bool:
    return not len(name) % 2 and all(char in "0123456789abcdef" for char in name)


def _read_rest(descriptor: int, blob: bytes) -> bytes:
    chunks = [blob]
    while chunk := os.read(descriptor, 1 << 20):
        chunks.append(chunk)
    return b"".join(chunks)


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


PLUGIN = PairtreeEngine
