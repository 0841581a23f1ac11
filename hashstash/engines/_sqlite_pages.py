"""SQLite files that are damaged: whether the header is one of ours, and the records that SQLite itself does not give any more."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from typing import TYPE_CHECKING, Any

from hashstash.engines._salvage import NEXT_STEP
from hashstash.engines._sqlite_connections import is_open_here, opening
from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTERIOR, _LEAF = 0x05, 0x0D
_HEADER = 100
_USUAL_SIZE = 4096
_MAGIC = b"SQLite format 3\0"
_VERSIONS = (b"\1\1\0\x40\x20\x20", b"\2\2\0\x40\x20\x20")
_FORMATS = (0, 4)
_ENCODINGS = (0, 1)
_MOST_COLUMNS = 64
_NUMBERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_REAL = 7
_MAKING = 0.2
"""Seconds that a new file may be empty."""


def check_header(path: str, reserve: str) -> None:
    """Raise CorruptEntry if the first bytes of the file at *path* are not as SQLite writes them for us.

    It would take a file of an unknown version for one that must not be written, and another text encoding for granted; and an
    empty file, where *reserve* shows that tables were made once, for a new one.
    """
    if os.path.isdir(path):
        raise CorruptEntry(f"{path} is a folder and no file; {NEXT_STEP}")
    with opening:
        if not is_open_here(path):  # else it was looked at before, and must not be opened here
            _check_header(path, reserve)


def _check_header(path: str, reserve: str) -> None:
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        head = file.read(_HEADER)
        if not head:
            if os.path.exists(reserve) and not _is_filled(file.fileno()):
                raise CorruptEntry(f"{path} is empty, although there was something in it; {NEXT_STEP}")
            return
        size = int.from_bytes(head[16:18], "big")
        is_sound = (
            len(head) == _HEADER
            and head.startswith(_MAGIC)
            and (size == 1 or (size >= 512 and not size & (size - 1)))
            and head[18:24] in _VERSIONS
            and int.from_bytes(head[44:48], "big") in _FORMATS
            and int.from_bytes(head[56:60], "big") in _ENCODINGS
        )
        if not is_sound:
            raise CorruptEntry(f"{path} is damaged: its header is none of SQLite's; {NEXT_STEP}")


def _is_filled(descriptor: int) -> bool:
    """Whether somebody is just writing the first page, into a file that takes the place of one that was removed."""
    deadline = time.monotonic() + _MAKING
    while not (status := os.fstat(descriptor)).st_size:
        if time.monotonic() > deadline or abs(time.time() - status.st_mtime) > _MAKING:
            return False
        time.sleep(_MAKING / 40)
    return True


def records_in(path: str, table: str) -> Iterator[list[Any]]:
    """The columns of each record that can be found, those of *table* first and those of pages that it has lost after them."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, IsADirectoryError):
        return
    yield from records_of(content, table)


def records_of(content: bytes, table: str) -> Iterator[list[Any]]:
    """:func:`records_in` the file that has this *content*."""
    size = int.from_bytes(content[16:18], "big")
    for guess in dict.fromkeys((65536 if size == 1 else size, _USUAL_SIZE)):
        if guess >= 512 and not guess & (guess - 1):
            yield from _Pages(content, guess).records(table)


def bytes_of(column: Any) -> bytes | None:
    """The bytes of a column that :func:`records_in` found, be it a blob or text; ``None`` if it is neither.

    Which of them it is, a single bit of the record says, and SQLite finds a row by its index whatever that bit is.
    """
    if type(column) is str:
        return column.encode("utf-8", "surrogateescape")
    return column if type(column) is bytes else None


class _Pages:
    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size
        self.there = -(-len(content) // size)

    def records(self, table: str) -> Iterator[list[Any]]:
        seen: set[int] = set()
        for root in [
            record[3] for record in self._leaf(1) if record[:3] == ["table", table, table] and len(record) > 3
        ]:
            yield from self._tree(root, seen)
        free = self._free()
        for number in range(2, self.there + 1):
            if number not in seen and number not in free:
                yield from self._leaf(number)

    def _tree(self, root: Any, seen: set[int]) -> Iterator[list[Any]]:
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if type(number) is not int or not 1 < number <= self.there or number in seen:
                continue
            seen.add(number)
            page = self._page(number)
            if page[:1] == bytes([_INTERIOR]):
                waiting += [int.from_bytes(page[place : place + 4], "big") for place in self._places(page, 0, 12)]
                waiting.append(int.from_bytes(page[8:12], "big"))
            else:
                yield from self._leaf(number)

    def _page(self, number: int) -> bytes:
        return self.content[(number - 1) * self.size : number * self.size]

    def _places(self, page: bytes, start: int, head: int) -> tuple[int, ...]:
        count = int.from_bytes(page[start + 3 : start + 5], "big")
        count = min(count, (len(page) - start - head) // 2)
        return struct.unpack_from(f">{max(0, count)}H", page, start + head)

    def _leaf(self, number: int) -> Iterator[list[Any]]:
        page = self._page(number)
        start = _HEADER if number == 1 else 0
        if page[start : start + 1] != bytes([_LEAF]):
            return
        for place in self._places(page, start, 8):
            try:
                yield self._record(page, place)
            except (IndexError, ValueError, struct.error):
                continue

    def _record(self, page: bytes, place: int) -> list[Any]:
        _, place = _number(page, place)  # its length, which may be damaged: the kinds of its columns tell it as well
        _, place = _number(page, place)
        head, at = _number(page, place)
        kinds: list[int] = []
        while at < place + head and len(kinds) < _MOST_COLUMNS:
            kind, at = _number(page, at)
            kinds.append(kind)
        payload = self._payload(page, place, head + sum(map(_size, kinds)))
        columns = []
        at = head
        for kind in kinds:
            if at > len(payload):
                raise ValueError("a column before the last is cut off")  # half an address is that of another row
            columns.append(_column(payload, at, kind))
            at += _size(kind)
        return columns

    def _payload(self, page: bytes, place: int, length: int) -> bytes:
        """The bytes of a record, the rest of which lies in a chain of further pages if it is large."""
        usable = self.size
        if length > len(self.content):
            raise ValueError("longer than the file")
        if length <= usable - 35:
            return page[place : place + length]
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = local if local <= usable - 35 else least
        pieces = [page[place : place + local]]
        rest, number = length - local, int.from_bytes(page[place + local : place + local + 4], "big")
        while rest > 0 and 1 < number <= self.there:
            further = self._page(number)
            pieces.append(further[4 : 4 + rest])
            rest -= usable - 4
            number = int.from_bytes(further[:4], "big")
        return b"".join(pieces)

    def _free(self) -> set[int]:
        """The pages that the file lists as free; none if the list contradicts itself."""
        if len(self.content) < _HEADER:
            return set()
        number, count = struct.unpack_from(">II", self.content, 32)
        found: set[int] = set()
        while number:
            page = self._page(number)
            if number in found or not 1 < number <= self.there or len(page) < self.size:
                return set()
            found.add(number)
            number, listed = struct.unpack_from(">II", page)
            if listed > self.size // 4 - 2:
                return set()
            found.update(struct.unpack_from(f">{listed}I", page, 8))
        return found if len(found) == count else set()


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for step in range(8):
        byte = data[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    return value << 8 | data[at + 8], at + 9


def _size(kind: int) -> int:
    """The bytes of a column of that kind."""
    return (kind - 12) // 2 if kind >= 12 else 8 if kind == _REAL else _NUMBERS.get(kind, 0)


def _column(data: bytes, at: int, kind: int) -> Any:
    piece = data[at : at + _size(kind)]
    if kind in _NUMBERS:
        return int.from_bytes(piece, "big", signed=True)
    if kind == _REAL:
        return struct.unpack(">d", piece)[0]
    if kind >= 12:
        return piece.decode("utf-8", "surrogateescape") if kind % 2 else piece
    return {8: 0, 9: 1}.get(kind)
