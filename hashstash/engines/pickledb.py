"""Rows in one JSON file, as pickleDB keeps them: base64 text under hexadecimal keys, all in memory, all written each time.

Good for small stashes that people want to look into: a write costs as much as there is in the file, so that many rows should
be stored at once. The package's own ``load`` and ``save`` are coroutines where an event loop runs, as in a notebook, leave the
file open to other users, and in some versions print what went wrong; what is read and written here is the same file.
"""

from __future__ import annotations

import contextlib
import os
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, TypeVar

from hashstash.checksum import crc32
from hashstash.engines._guarded import GuardedEngine
from hashstash.engines._salvage import NEXT_STEP
from hashstash.errors import CorruptEntry, MissingDependency
from hashstash.hollow import is_hollow_file, solid_part
from hashstash.paths import create_file, is_there

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.engines._guard import Guard

try:
    from pickledb import PickleDB, orjson
except ImportError as error:
    raise MissingDependency(
        "the pickledb engine needs the package 'pickledb': pip install 'hashstash[pickledb]'"
    ) from error


Result = TypeVar("Result")

_PAIR = re.compile(rb'"([^"]{0,300})"\s*:\s*"([^"]*)"')


class PickledbEngine(GuardedEngine):
    """Rows in the file ``rows.json`` of *folder*."""

    name = "pickledb"
    title = "PickleDB"
    knows_size = True

    def __init__(self, folder: str, *, durable: bool = False) -> None:
        super().__init__(folder, durable=durable)
        self._path = os.path.join(folder, "rows.json")
        self._draft = self._path + ".tmp"
        self._has_tidied = False

    def _make_section(self, folder: str) -> PickledbEngine:
        return PickledbEngine(folder, durable=self._durable)

    def _write(self, write: Callable[[Any], Result], *, added: int | None = None, needed: int | None = None) -> Result:
        result = super()._write(write, added=added, needed=needed)
        if not self._has_tidied:
            self._has_tidied = True
            with contextlib.suppress(OSError, CorruptEntry):  # what was to be written is there all the same
                self._tidy_sections()
        return result

    def _tidy_sections(self) -> None:
        """Remove what others have left beside them: some are written once, and then by nobody for years."""
        for name in self.section_names():
            self.section(name).compact()

    def compact(self) -> None:
        """Remove the draft of a writer that was killed, or could not do so itself."""
        if is_there(self._draft):
            self._write(lambda _: None, added=0)

    def _stamp(self) -> object:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _load(self, handle: Any, *, write: bool) -> Any:
        try:
            with open(self._path, "rb") as file:
                if is_hollow_file(os.fstat(file.fileno())):
                    raise CorruptEntry(f"{self._path} is nearly all a hole; {NEXT_STEP}")
                content = file.read()
        except FileNotFoundError:
            content = b""
        rows = orjson.loads(content) if content else {}
        if not isinstance(rows, dict):
            raise CorruptEntry(f"{self._path} holds no JSON object; {NEXT_STEP}")
        if handle is None:
            handle = _new_database()
        handle.db = rows
        handle.seal, handle.is_suspect = _seal(content), False
        return handle

    def _seal_of(self, handle: Any) -> int | None:
        return int(handle.seal) ^ int(handle.is_suspect)  # what is lost stays lost until somebody repairs it

    def _hold_against(self, handle: Any, guard: Guard) -> None:
        handle.is_suspect = guard.seal not in (None, handle.seal)

    def _save(self, handle: Any) -> None:
        """Replace the file; whoever is killed on the way leaves the old one."""
        try:
            os.unlink(self._draft)
        except FileNotFoundError:
            pass
        content = orjson.dumps(handle.db)
        handle.seal = _seal(content)
        try:
            self._write_draft(content)
            os.replace(self._draft, self._path)
        except BaseException:
            with contextlib.suppress(OSError):  # it was not even begun, or whoever writes next, or compacts, removes it
                os.unlink(self._draft)
            raise

    def _write_draft(self, content: bytes) -> None:
        descriptor = create_file(self._draft)
        try:
            view = memoryview(content)
            while view.nbytes:
                view = view[os.write(descriptor, view) :]
            if self._durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _meaning(self, error: Exception, needed: int | None) -> Exception | None:
        if isinstance(error, orjson.JSONDecodeError):
            return CorruptEntry(f"{self._path} is damaged ({error}); {NEXT_STEP}")
        return None

    def _fetch(self, handle: Any, address: bytes) -> bytes | None:
        text = handle.db.get(address.hex())
        if text is None and handle.is_suspect:
            raise CorruptEntry(
                f"{self._path} was changed since it was written, so that rows may be missing; {NEXT_STEP}"
            )
        return None if text is None else _from_text(text)

    def _store(self, handle: Any, address: bytes, blob: bytes) -> None:
        handle.db[address.hex()] = b64encode(blob).decode()

    def _remove(self, handle: Any, address: bytes) -> None:
        del handle.db[address.hex()]

    def _holds(self, handle: Any, address: bytes) -> bool:
        return address.hex() in handle.db

    def _addresses(self, handle: Any) -> list[bytes]:
        return list(_own(handle.db))

    def peek(self, address: bytes, size: int) -> bytes | None:
        def read(handle: Any) -> bytes | None:
            text = handle.db.get(address.hex())
            return _from_text(text[: (size + 2) // 3 * 4]) if isinstance(text, str) else self._fetch(handle, address)

        return self._read(read)

    def _count_rows(self, handle: Any) -> int:
        return len(handle.db)

    def _remove_all(self, handle: Any) -> int:
        removed = len(handle.db)
        handle.db.clear()
        handle.is_suspect = False
        return -removed

    def size_bytes(self) -> int:
        try:
            return os.path.getsize(self._path)
        except FileNotFoundError:
            return 0

    def check(self) -> list[str]:
        problems = super().check()
        if not problems and self._read(lambda handle: handle.is_suspect):
            problems.append(f"{self._path} was changed since it was written; {NEXT_STEP}")
        return problems

    def _files_of_rows(self) -> list[str]:
        return [os.path.basename(self._path)] if os.path.lexists(self._path) else []

    def _salvaged(self, place_of: Callable[[bytes], bytes | None]) -> Iterator[tuple[bytes | None, bytes]]:
        try:
            content = solid_part(self._path)
        except (FileNotFoundError, IsADirectoryError):
            return
        for found in _PAIR.finditer(content):
            try:
                address = bytes.fromhex(found[1].decode("ascii", "replace"))
            except ValueError:
                address = None
            with contextlib.suppress(ValueError):
                yield address, b64decode(found[2], validate=True)


def _seal(content: bytes) -> int:
    return len(content) << 32 & 0xFFFFFFFFFFFFFFFF | crc32(content)


def _new_database() -> Any:
    return PickleDB(os.devnull)  # it is told what to hold, and never where it came from


def _from_text(text: Any) -> bytes:
    """The blob in *text*. What is no base64 was not written by us, and is left to whoever looks into rows to refuse."""
    try:
        return b64decode(text, validate=True)
    except (TypeError, ValueError):
        return str(text).encode("utf-8", "surrogatepass")


def _own(rows: dict[str, Any]) -> Iterator[bytes]:
    for key in rows:
        try:
            address = bytes.fromhex(key)
        except ValueError:
            continue  # somebody else's
        if address.hex() == key:
            yield address


PLUGIN = PickledbEngine
