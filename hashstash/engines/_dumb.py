"""Files in the format of ``dbm.dumb``, to which is only ever appended: a writer that is killed leaves the old row or the new.

That module writes over rows in place and its index anew for every change of one; a kill in between loses rows, or all of them.
Its reader takes the last line of a key, so that a line more replaces a row. A row that was removed is a line with no bytes at
the beginning of the data, where no row lies.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from hashstash.checksum import crc32
from hashstash.engines._salvage import NEXT_STEP
from hashstash.entry import row_size
from hashstash.errors import CorruptEntry
from hashstash.hollow import is_hollow_file, solid_part
from hashstash.paths import create_file, open_file
from hashstash.refusals import NO_ROOM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA, INDEX = ".dat", ".dir"
NEW = ".new"
"""What the names of files end with that are to replace the others, the data first."""
_BLOCK = 512
_LINE = re.compile(rb"'((?:[0-9a-f]{2})*)', \((\d{1,18}), (\d{1,18})\)\n")
_BEGUN = re.compile(rb"(?:'[0-9a-f', ()]*)?")
_GONE = (0, 0)
_SIZE = 0xFFFFFFFF
_MOST_WRONG = 2
_MOST_STALE = 1000
_LARGE = 1 << 20
_CHUNK = 1 << 20


class DumbFile:
    """The rows in ``<path>.dat`` with the index ``<path>.dir``; the caller sees to it that nobody writes meanwhile."""

    _data = _index = -1  # also of one whose making was interrupted before its first step

    def __init__(self, path: str, *, write: bool) -> None:
        self.is_for_writing = write
        self._data_path, self._index_path = path + DATA, path + INDEX
        self._rows: dict[bytes, tuple[int, int]] = {}
        self._offset = 0
        self._checksum = 0
        self._stale = 0
        self._is_torn = False
        self._lines: list[bytes] = []
        self._end = 0
        if write:
            settle(path)
        elif _has_new_data(path):
            self._index_path += NEW
        try:
            self._open_both()
        except BaseException:
            self.close()
            raise

    def __del__(self) -> None:
        self.close()  # where an interrupt came before anybody had it

    def _open_both(self) -> None:
        """A file that is missing is an empty one where its maker was stopped between the two, and damage where there are rows."""
        flags = os.O_RDWR if self.is_for_writing else os.O_RDONLY
        with suppress(FileNotFoundError):
            self._index = open_file(self._index_path, flags)
        with suppress(FileNotFoundError):
            self._data = open_file(self._data_path, flags)
        self.refresh()
        if self._data < 0 and self._rows:
            raise CorruptEntry(f"{self._data_path} with {len(self._rows)} rows is gone; {NEXT_STEP}")
        if self._index < 0 and self._end:
            raise CorruptEntry(f"{self._index_path} is gone, and its rows with it; {NEXT_STEP}")
        if self.is_for_writing:
            if self._index < 0:
                self._index = _new(self._index_path)
            if self._data < 0:
                self._data = _new(self._data_path)

    def refresh(self) -> None:
        """Read what others have appended to the index since."""
        self._end = os.fstat(self._data).st_size if self._data >= 0 else 0
        if self._index < 0:
            return
        status = os.fstat(self._index)
        if is_hollow_file(status):
            raise CorruptEntry(f"{self._index_path} is nearly all a hole; {NEXT_STEP}")
        size = status.st_size
        content = os.pread(self._index, size - self._offset, self._offset) if size > self._offset else b""
        whole = content[: content.rfind(b"\n") + 1]  # the rest is a line of a writer that was killed
        if not _BEGUN.fullmatch(content[len(whole) :]):
            raise CorruptEntry(f"{self._index_path} has something at its end that is no row; {NEXT_STEP}")
        matched = 0
        for found in _LINE.finditer(whole):
            if found.start() != matched:
                break
            matched = found.end()
            self._take(bytes.fromhex(found[1].decode()), (int(found[2]), int(found[3])))
        if matched != len(whole):
            raise CorruptEntry(f"{self._index_path} is damaged at byte {self._offset + matched}; {NEXT_STEP}")
        self._offset += len(whole)
        self._checksum = crc32(whole, self._checksum)
        self._is_torn = len(content) > len(whole)

    def seal(self) -> int:
        """How the index looks: its size and its checksum."""
        return self._checksum << 32 | self._offset & _SIZE

    def fits(self, seal: int) -> bool:
        """Whether the index looks as *seal* says, or was that and became longer: others than us only append to it."""
        size, checksum = seal & _SIZE, seal >> 32
        if size == self._offset & _SIZE:
            return checksum == self._checksum
        return size < self._offset and crc32(os.pread(self._index, size, 0)) == checksum

    def is_current(self) -> bool:
        """Whether nobody has replaced the files since they were opened, or made what was missing."""
        if self._index < 0 or self._data < 0:
            return False
        try:
            return os.path.samestat(os.stat(self._index_path), os.fstat(self._index))
        except FileNotFoundError:
            return False

    def _take(self, address: bytes, place: tuple[int, int]) -> None:
        self._stale += address in self._rows
        if place == _GONE:
            self._stale += 1
            self._rows.pop(address, None)
        else:
            self._rows[address] = place

    def __contains__(self, address: bytes) -> bool:
        return address in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def addresses(self) -> list[bytes]:
        """The addresses of all rows."""
        return list(self._rows)

    def get(self, address: bytes) -> bytes | None:
        """The blob at *address*; shorter than it was where the data were cut off."""
        place = self._rows.get(address)
        if place is None:
            return None
        start, size = place
        if size > _LARGE:
            size = max(0, min(size, os.fstat(self._data).st_size - start))
        blob = os.pread(self._data, size, start)
        while len(blob) < size and (more := os.pread(self._data, size - len(blob), start + len(blob))):
            blob += more
        return blob

    def put(self, address: bytes, blob: bytes) -> None:
        """Append *blob*; readers see it after :meth:`save`."""
        start = max(_BLOCK, _next_block(self._end))
        _write(self._data, blob, start)
        self._end = start + len(blob)
        self._note(address, (start, len(blob)))

    def remove(self, address: bytes) -> None:
        """Note that the row at *address* is gone."""
        self._note(address, _GONE)

    def _note(self, address: bytes, place: tuple[int, int]) -> None:
        self._take(address, place)
        self._lines.append(_line(address, place))

    def save(self, *, durable: bool) -> None:
        """Append what was noted to the index."""
        if durable:
            os.fsync(self._data)
        lines, self._lines = b"".join(self._lines), []
        if not (self._stale > _MOST_STALE + len(self._rows) and self._is_index_replaced()):
            if self._is_torn:
                os.ftruncate(self._index, self._offset)
                self._is_torn = False
            _write(self._index, lines, self._offset)
            self._offset += len(lines)
            self._checksum = crc32(lines, self._checksum)
        if durable:
            os.fsync(self._index)

    def _is_index_replaced(self) -> bool:
        """Whether there was room for writing the index anew; where there is none, there may be enough for a line more."""
        try:
            self._replace_index(self._index_path + ".tmp")
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            return False
        return True

    def _replace_index(self, draft: str) -> None:
        """Write the index anew, without the lines that others have replaced."""
        lines = b"".join(_line(address, place) for address, place in self._rows.items())
        descriptor = _new(draft)
        try:
            _write(descriptor, lines, 0)
            os.replace(draft, self._index_path)
        except BaseException:
            os.close(descriptor)
            with suppress(FileNotFoundError):
                os.unlink(draft)
            raise
        old, self._index = self._index, descriptor
        os.close(old)
        self._offset, self._stale, self._checksum = len(lines), 0, crc32(lines)

    def clear(self) -> None:
        """Remove all rows and give their room back."""
        self._rows.clear()
        self._lines.clear()
        self._replace_index(self._index_path + ".tmp")  # before the data: rows without them would be damage
        os.ftruncate(self._data, 0)
        self._end = 0

    def compact(self) -> None:
        """Write both files anew, without what is stale.

        Two files cannot be replaced at once: the data come first, and whoever then finds a new index without new data goes on.
        """
        data = index = -1
        try:
            data = _new(self._data_path + NEW)
            places, end = self._copy_data(data)
            lines = b"".join(_line(address, place) for address, place in places.items())
            index = _new(self._index_path + NEW)
            _write(index, lines, 0)
            os.replace(self._data_path + NEW, self._data_path)
            os.replace(self._index_path + NEW, self._index_path)
            self.close()
        except BaseException:
            for descriptor in (data, index):
                if descriptor >= 0:
                    os.close(descriptor)
            raise  # the next one to open the files for writing removes what was made, or goes on
        self._data, self._index, self._rows = data, index, places
        self._offset, self._end, self._stale, self._checksum = len(lines), end, 0, crc32(lines)

    def _copy_data(self, target: int) -> tuple[dict[bytes, tuple[int, int]], int]:
        """Where the rows lie in *target*, to which they were copied, and where its end is."""
        places, end = {}, 0
        for address in self._rows:
            blob = self.get(address) or b""
            start = max(_BLOCK, _next_block(end))
            _write(target, blob, start)
            places[address], end = (start, len(blob)), start + len(blob)
        return places, end

    def size_bytes(self) -> int:
        """The bytes of both files."""
        return sum(os.fstat(descriptor).st_size for descriptor in (self._data, self._index) if descriptor >= 0)

    def sync(self) -> None:
        """Write what the system holds to the disk."""
        os.fsync(self._data)
        os.fsync(self._index)

    def close(self) -> None:
        """Close both files."""
        # Each is forgotten before it is closed, with no place for an interrupt in between: a second close could meet somebody
        # else's file, and what was left out is closed by it.
        try:
            data, self._data = self._data, -1
            if data >= 0:
                os.close(data)
        finally:
            index, self._index = self._index, -1
            if index >= 0:
                os.close(index)


def _has_new_data(path: str) -> bool:
    """Whether the data were replaced, and their new index not yet."""
    return not os.path.exists(path + DATA + NEW) and os.path.exists(path + INDEX + NEW)


def settle(path: str) -> None:
    """Finish what somebody has left who was killed while he replaced the files, or remove it; the caller is alone with them."""
    if _has_new_data(path):
        os.replace(path + INDEX + NEW, path + INDEX)
        return
    # The index before the data: alone, it would be taken for the one of data that are in their place already.
    for ending in (INDEX + NEW, DATA + NEW, INDEX + ".tmp"):
        with suppress(FileNotFoundError):
            os.unlink(path + ending)


def salvaged(path: str, place_of: Callable[[bytes], bytes | None]) -> Iterator[tuple[bytes | None, bytes]]:
    """The rows of files of which the index is damaged: by its sound lines, and in the data that none of them speaks of."""
    index, data = _content(path + INDEX), _content(path + DATA)
    known: set[bytes] = set()
    rows: dict[bytes, tuple[int, bytes]] = {}
    gone: dict[bytes, int] = {}
    unsound: dict[bytes, bytes] = {}
    spoken_of: list[tuple[int, int]] = []
    last = 0
    for line in index.splitlines(keepends=True):
        found = _LINE.fullmatch(line)
        if found is None or (int(found[2]), int(found[3])) == _GONE:
            # A damaged line has replaced the row or removed it: a newer one may be found below.
            address = _nearest(line, known)
            if rows.pop(address, None) or found is not None:
                gone[address] = last
            continue
        start, size = int(found[2]), int(found[3])
        blob = data[start : start + size]
        place = place_of(blob)  # a row knows better where it belongs than a line that may be damaged
        if place is None:
            unsound[bytes.fromhex(found[1].decode())] = blob
            continue
        known.add(place)
        rows[place] = start, blob
        gone.pop(place, None)
        spoken_of.append((start, size))
        last = max(last, start)
    for start, blob in _unspoken_of(data, sorted(spoken_of), place_of):
        place = place_of(blob) or b""
        # It is only ever appended: what lies further behind is newer.
        if start > max(rows.get(place, (-1,))[0], gone.get(place, -1)):
            rows[place] = start, blob
    yield from ((place, blob) for place, (_, blob) in rows.items())
    yield from unsound.items()


def _nearest(line: bytes, known: set[bytes]) -> bytes:
    """The address of *known* that a line is about which may be damaged; else nothing."""
    found = _LINE.fullmatch(line)
    if found is not None and (exact := bytes.fromhex(found[1].decode())) in known:
        return exact
    for address in known:
        name = address.hex().encode()
        if sum(one != other for one, other in zip(name, line[1 : 1 + len(name)], strict=False)) <= _MOST_WRONG:
            return address
    return b""


def _unspoken_of(
    data: bytes, places: list[tuple[int, int]], place_of: Callable[[bytes], bytes | None]
) -> Iterator[tuple[int, bytes]]:
    """Sound rows, and where they begin, at the beginnings of blocks that lie outside of all *places*."""
    at = _BLOCK
    for start, size in [*places, (len(data), 0)]:
        bound = min(start, len(data))
        while at < bound:
            end = at + row_size(data[at : at + _BLOCK])  # by its header, which its checksum covers as well
            blob = data[at:end] if at < end <= bound else b""
            if blob and place_of(blob) is not None:
                yield at, blob
            else:
                end = at + 1
            at = _next_block(end)
        at = max(at, _next_block(start + size))


def _next_block(end: int) -> int:
    return -(-end // _BLOCK) * _BLOCK


def _content(path: str) -> bytes:
    with suppress(OSError):
        return solid_part(path)
    return b""


def _line(address: bytes, place: tuple[int, int]) -> bytes:
    return b"'%s', (%d, %d)\n" % (address.hex().encode(), *place)


def _new(path: str) -> int:
    with suppress(FileNotFoundError):
        os.unlink(path)
    os.close(create_file(path))
    return open_file(path, os.O_RDWR)


def _write(descriptor: int, content: bytes, start: int) -> None:
    view = memoryview(content)
    while view.nbytes:
        written = os.pwrite(descriptor, view[:_CHUNK], start)
        view, start = view[written:], start + written
