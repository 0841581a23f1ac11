"""The pages of an LMDB file as they lie there: two meta pages, which say where two trees begin, and the pages of those trees."""

from __future__ import annotations

import contextlib
import mmap
import struct
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = 0xBEEFC0DE
_META = struct.Struct("<16xII8xQ IHHQQQQQ IHHQQQQQ QQ")
_PAGE = struct.Struct("<Q2xHHH")
_LARGE = struct.Struct("<Q2xHI")
_NODE = struct.Struct("<HHHH")
_NUMBER = struct.Struct("<Q")
_HEAD = 16
BRANCH, LEAF, OVERFLOW, META_PAGE, _DIRTY = 1, 2, 4, 8, 16
_BIG = 1
INTEGER_KEY = 8
NO_PAGE = (1 << 64) - 1
UNKNOWN = -1
LONGEST_KEY = 511
SIZES = frozenset(1 << power for power in range(9, 17))
DEFAULT_SIZE = 4096
META_SIZE = _HEAD + _META.size
_MOST_READS = 100
LAST_AT = struct.calcsize("<16xII8xQ IHHQQQQQ IHHQQQQQ")
"""Where in a meta page the number of the last page stands, as eight bytes."""


class Tree(NamedTuple):
    """What a meta page says of a tree."""

    pad: int
    flags: int
    depth: int
    branches: int
    leaves: int
    overflows: int
    entries: int
    root: int


class Meta(NamedTuple):
    """A meta page."""

    magic: int
    version: int
    map_size: int
    free: Tree
    main: Tree
    last: int
    """The number of the last page in use."""
    transaction: int


class Damaged(Exception):
    """A page that is not as LMDB writes it."""


def read_meta(page: bytes) -> Meta:
    """The meta page in *page*, as it is."""
    magic, version, map_size, *rest = _META.unpack_from(page)
    return Meta(magic, version, map_size, Tree(*rest[:8]), Tree(*rest[8:16]), *rest[16:])


def read_head(page: bytes) -> tuple[int, int]:
    """The number and the flags that a page says it has."""
    own, flags, _, _ = _PAGE.unpack_from(page)
    return own, flags


def _steady(content: mmap.mmap, place: int) -> bytes:
    """The meta page at *place*, read until it was twice the same.

    Who reads it while somebody writes it sees the trees of one transaction with the number of another.
    """
    before, page = b"", content[place : place + META_SIZE]
    for _ in range(_MOST_READS):
        if page == before:
            break
        before, page = page, content[place : place + META_SIZE]
    return page


class Pages:
    """The pages of the file at *path* as it is now; whoever writes to it has to leave the pages alone that are looked at."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "rb") as file:
            self.content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self.content) < META_SIZE:
            raise ValueError(f"{path} is too short")
        self.metas = [read_meta(_steady(self.content, 0))]
        self.size = self.metas[0].free.pad if self.metas[0].free.pad in SIZES else DEFAULT_SIZE
        with contextlib.suppress(struct.error):
            second = read_meta(_steady(self.content, self.size))
            if any(second):  # else there is nothing at all
                self.metas.append(second)
        self.there = len(self.content) // self.size

    def close(self) -> None:
        """Give the file back."""
        self.content.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def parsed(self, number: int) -> tuple[int, list[bytes], list[object]]:
        """The kind, the keys and the values of a page; Damaged if a part of it lies outside of it."""
        page = self.content[number * self.size : (number + 1) * self.size]
        own, flags, lower, upper = _PAGE.unpack_from(page)
        kind = flags & ~_DIRTY
        if own != number or kind not in (BRANCH, LEAF):
            raise Damaged(f"page {number} is another one than it should be")
        if not _HEAD < lower <= upper <= self.size or lower % 2:
            raise Damaged(f"page {number} has a wrong size")
        places = struct.unpack_from(f"<{(lower - _HEAD) // 2}H", page, _HEAD)
        keys: list[bytes] = []
        values: list[object] = []
        used = 0
        for place in places:
            if place < upper or place % 2 or place > self.size - _NODE.size:
                raise Damaged(f"page {number} has a row outside of it")
            low, high, node, key_size = _NODE.unpack_from(page, place)
            begin = place + _NODE.size
            end = begin + key_size
            size = 0
            if kind == BRANCH:
                values.append(low | high << 16 | node << 32)
            elif node == _BIG:
                size = _NUMBER.size
                if end + size <= self.size:
                    values.append((_NUMBER.unpack_from(page, end)[0], low | high << 16))
            elif node:
                raise Damaged(f"page {number} has a row of an unknown kind")
            else:
                size = low | high << 16
                values.append(page[end : end + size])
            if end + size > self.size or key_size > LONGEST_KEY:
                raise Damaged(f"page {number} has a row that is longer than it")
            keys.append(page[begin:end])
            used += (end + size - place + 1) & ~1
        if used > self.size - upper:
            raise Damaged(f"page {number} has rows that lie over each other")
        return kind, keys, values

    def value(self, value: object) -> bytes:
        """A value of a leaf, wherever it lies."""
        if type(value) is bytes:
            return value
        place: tuple[int, int] = value  # type: ignore[assignment]
        number, size = place
        begin = number * self.size + _HEAD
        return self.content[begin : begin + size]

    def last_freed(self, meta: Meta) -> int:
        """The last transaction that the list of free pages names: it has made the tree of that meta page, or one after it."""
        number = meta.free.root
        for _ in range(meta.free.depth):
            try:
                kind, keys, values = self.parsed(number)
            except (Damaged, struct.error):
                return UNKNOWN
            if kind == LEAF:
                return int.from_bytes(keys[-1], "little") if keys else 0
            number = int(values[-1])  # type: ignore[call-overload]
        return 0

    def free_pages(self, meta: Meta, value: object) -> set[int]:
        """The pages that a row of the list of free pages names."""
        data = self.value(value)
        if len(data) < _NUMBER.size or len(data) % _NUMBER.size:
            raise Damaged("the list of free pages has a wrong size")
        count, *numbers = struct.unpack(f"<{len(data) // _NUMBER.size}Q", data)
        found = set(numbers[:count])
        if count > len(numbers) or len(found) != count or not all(1 < number <= meta.last for number in found):
            raise Damaged("the list of free pages has pages that there are not")
        return found

    def large(self, number: int, size: int) -> int:
        """How many pages a value of *size* bytes takes from *number* on; Damaged if it does not lie there."""
        if not 1 < number < self.there:
            raise Damaged(f"there is no page {number}")
        own, flags, count = _LARGE.unpack_from(self.content, number * self.size)
        if own != number or flags & ~_DIRTY != OVERFLOW or count != -(-(size + _HEAD) // self.size):
            raise Damaged(f"page {number} does not hold the large row that it should")
        return int(count)

    def parts(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        """The rows of a damaged leaf that lie inside of it, if it is one."""
        page = self.content[number * self.size : (number + 1) * self.size]
        _, _, lower, _ = _PAGE.unpack_from(page)
        count = (min(lower, self.size) - _HEAD) // 2
        for place in struct.unpack_from(f"<{max(0, count)}H", page, _HEAD):
            if place + _NODE.size > len(page):
                continue
            low, high, node, key_size = _NODE.unpack_from(page, place)
            begin = place + _NODE.size
            key, data = page[begin : begin + key_size], page[begin + key_size :]
            if node == _BIG and len(data) >= _NUMBER.size:
                with contextlib.suppress(struct.error):
                    yield key, self.value((_NUMBER.unpack_from(data)[0], low | high << 16))
            elif (low | high << 16) <= len(data):
                yield key, data[: low | high << 16]
