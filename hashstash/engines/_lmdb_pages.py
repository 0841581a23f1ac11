"""The pages of an LMDB file: whether they are sound, and what can still be read of those that are not.

LMDB believes what its pages say: a changed offset makes it read behind the end of the file, which kills the interpreter, and a
changed number in a meta page gives up the last transaction without a word. Looking at every page takes a microsecond per row.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import time
from typing import TYPE_CHECKING, NamedTuple, Self

from hashstash.engines._lmdb_seal import was_sealed
from hashstash.engines._salvage import NEXT_STEP
from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = 0xBEEFC0DE
_META = struct.Struct("<16xII8xQ IHHQQQQQ IHHQQQQQ QQ")
_PAGE = struct.Struct("<Q2xHHH")
_LARGE = struct.Struct("<Q2xHI")
_NODE = struct.Struct("<HHHH")
_NUMBER = struct.Struct("<Q")
_HEAD = 16
_BRANCH, _LEAF, _OVERFLOW, _META_PAGE, _DIRTY = 1, 2, 4, 8, 16
_BIG = 1
_INTEGER_KEY = 8
_NONE = (1 << 64) - 1
_UNKNOWN = -1
LONGEST_KEY = 511
_SIZES = frozenset(1 << power for power in range(9, 17))
DEFAULT_SIZE = 4096
_TRIES = 3
_PAUSE = 0.005
MOST_LEAVES = 2_000
"""Leaf pages that are looked at whenever the file was changed; beyond that, where it is opened, only what leads to them is."""


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


def check_metas(path: str) -> None:
    """Raise CorruptEntry if the two meta pages, which everything begins with, are not those of one sound file."""
    problem, before = "", b""
    for _ in range(_TRIES):
        try:
            starts = _starts_of_metas(path)
        except FileNotFoundError:
            return
        problem = _problem_of_metas(path, starts)
        start = b"".join(starts)
        if not problem or (before and start != before):
            return  # a writer is at work: it has found a sound file, and what was read was of different moments
        before = start
        time.sleep(_PAUSE)  # a writer may be just about one of them
    raise CorruptEntry(f"{path} is damaged, or no LMDB environment: {problem}; {NEXT_STEP}")


def _starts_of_metas(path: str) -> tuple[bytes, ...]:
    """How the two meta pages begin, as far as they are there; read at once, since others may be writing."""
    if os.path.isdir(path):
        return ()
    with open(path, "rb", buffering=0) as file:
        pages = file.read(2 * DEFAULT_SIZE) or b""
        size = read_meta(pages).free.pad if len(pages) >= _HEAD + _META.size else 0
        if size not in _SIZES:
            return (pages[: _HEAD + _META.size],)
        if 2 * size > len(pages):
            file.seek(0)
            pages = file.read(2 * size) or b""
    return tuple(pages[place : place + _HEAD + _META.size] for place in (0, size))


def _problem_of_metas(path: str, starts: tuple[bytes, ...]) -> str:
    if not starts:
        return "it is a folder and no file"
    if not starts[0]:  # nothing was ever written, unless somebody has closed it since
        return "it is empty" if was_sealed(path) else ""
    if any(len(start) < _HEAD + _META.size for start in starts):
        return "it is cut off"
    if len(starts) == 1:
        return "its first page is none of an LMDB file"
    first, second = map(read_meta, starts)
    for number, (page, meta) in enumerate(zip(starts, (first, second), strict=True)):
        own, flags, _, _ = _PAGE.unpack_from(page)
        if (meta.magic, meta.version & 0xFFFF) != (_MAGIC, 1) or own != number or not flags & _META_PAGE:
            return f"page {number} is none of an LMDB file"
        if meta.free.pad != first.free.pad or meta.free.flags != _INTEGER_KEY or meta.main.flags or meta.last < 1:
            return f"page {number} contradicts itself"
    if not _follow(first.transaction, second.transaction):
        return "its two first pages are not of two transactions of which one follows the other"
    return ""


def _follow(first: int, second: int) -> bool:
    """Whether the meta pages are of a new file, or of two transactions in a row, each on the page that is its own."""
    return (first, second) == (0, 0) or (abs(first - second) == 1 and not first % 2)


class Pages:
    """The pages of the file at *path* as it is now; whoever writes to it has to leave the pages alone that are looked at."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "rb") as file:
            self.content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self.content) < _HEAD + _META.size:
            raise ValueError(f"{path} is too short")
        self.metas = [read_meta(self.content[:DEFAULT_SIZE])]
        self.size = self.metas[0].free.pad if self.metas[0].free.pad in _SIZES else DEFAULT_SIZE
        with contextlib.suppress(struct.error):
            second = read_meta(self.content[self.size : 2 * self.size])
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

    # ---- is everything sound? ------------------------------------------------------------------------------------

    def check(self, transaction: int | None = None, *, most_leaves: int | None = None) -> None:
        """Raise Damaged unless all pages that *transaction*, or the last one, can come to are sound."""
        if transaction is None:
            transaction = max(meta.transaction for meta in self.metas)
        meta = next((meta for meta in self.metas if meta.transaction == transaction), None)
        if meta is None:
            return  # others have written twice since; they have looked at what they found
        # A transaction that was cut short, or failed, has written over pages of the older of the two: they are newer than both.
        freed = self._last_freed(meta)
        if any(
            freed < self._last_freed(other) <= transaction for other in self.metas if other.transaction < transaction
        ):
            raise Damaged("its two first pages contradict the pages that they lead to")
        seen: set[int] = set()
        free: set[int] = set()
        for pages in self._check_tree(meta, meta.free, seen, is_free=True, most_leaves=None):
            free |= pages
        for _ in self._check_tree(meta, meta.main, seen, is_free=False, most_leaves=most_leaves):
            pass
        if free & seen:
            raise Damaged(f"page {min(free & seen)} is in use and counted as free")
        if meta.last >= self.there:
            missing = meta.last + 1 - self.there
            if missing > len(free) or not free.issuperset(range(self.there, meta.last + 1)):
                raise Damaged(f"it is cut off: {missing} of its pages are missing")

    def _last_freed(self, meta: Meta) -> int:
        """The last transaction that the list of free pages names: it has made the tree of that meta page, or one after it."""
        number = meta.free.root
        for _ in range(meta.free.depth):
            try:
                kind, keys, values = self.parsed(number)
            except (Damaged, struct.error):
                return _UNKNOWN
            if kind == _LEAF:
                return int.from_bytes(keys[-1], "little") if keys else 0
            number = int(values[-1])  # type: ignore[call-overload]
        return 0

    def _check_tree(
        self, meta: Meta, tree: Tree, seen: set[int], *, is_free: bool, most_leaves: int | None
    ) -> Iterator[set[int]]:
        """Look at all pages of a tree, and add them to *seen*; yields the free pages that the tree of those lists."""
        if tree.root == _NONE:
            if tree.entries or tree.depth:
                raise Damaged("a tree without a root has entries")
            return
        counts = {_BRANCH: 0, _LEAF: 0, _OVERFLOW: 0}
        entries = 0
        skips = most_leaves is not None and tree.leaves > most_leaves
        waiting: list[tuple[int, int, bytes | None, bytes | None]] = [(tree.root, 1, None, None)]
        while waiting:
            number, depth, low, high = waiting.pop()
            if skips and depth == tree.depth and depth > 1:
                self._use(meta, seen, number, 1)
                continue
            kind, keys, values = self._page(meta, seen, number)
            counts[kind] += 1
            if (kind == _LEAF) != (depth == tree.depth):
                raise Damaged(f"page {number} lies at another depth than its tree says")
            _check_order(number, keys[kind == _BRANCH :], low, high, is_free=is_free)
            if kind == _BRANCH:
                bounds: list[bytes | None] = [low, *keys[1:], high]
                waiting += [(int(child), depth + 1, *bounds[at : at + 2]) for at, child in enumerate(values)]  # type: ignore[call-overload]
                continue
            entries += len(keys)
            for value in values:
                if type(value) is tuple:
                    counts[_OVERFLOW] += self._check_large(meta, seen, *value)
                if is_free:
                    yield self._free_pages(meta, value)
        if not skips and (entries, *counts.values()) != (tree.entries, tree.branches, tree.leaves, tree.overflows):
            raise Damaged("a tree does not have as many pages and rows as the file counts")

    def _use(self, meta: Meta, seen: set[int], number: int, count: int) -> None:
        if not 1 < number <= number + count - 1 <= meta.last or number + count > self.there:
            raise Damaged(f"there is no page {number}")
        used = range(number, number + count)
        if not seen.isdisjoint(used):
            raise Damaged(f"page {number} is used twice")
        seen.update(used)

    def _page(self, meta: Meta, seen: set[int], number: int) -> tuple[int, list[bytes], list[object]]:
        """The kind, the keys and the values of a page: numbers of pages, or bytes, or where large values lie."""
        self._use(meta, seen, number, 1)
        return self.parsed(number)

    def parsed(self, number: int) -> tuple[int, list[bytes], list[object]]:
        """The kind, the keys and the values of a page; Damaged if a part of it lies outside of it."""
        page = self.content[number * self.size : (number + 1) * self.size]
        own, flags, lower, upper = _PAGE.unpack_from(page)
        kind = flags & ~_DIRTY
        if own != number or kind not in (_BRANCH, _LEAF):
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
            if kind == _BRANCH:
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

    def _check_large(self, meta: Meta, seen: set[int], number: int, size: int) -> int:
        if not 1 < number < self.there:
            raise Damaged(f"there is no page {number}")
        own, flags, count = _LARGE.unpack_from(self.content, number * self.size)
        if own != number or flags & ~_DIRTY != _OVERFLOW or count != -(-(size + _HEAD) // self.size):
            raise Damaged(f"page {number} does not hold the large row that it should")
        self._use(meta, seen, number, count)
        return int(count)

    def _free_pages(self, meta: Meta, value: object) -> set[int]:
        data = self.value(value)
        if len(data) < _NUMBER.size or len(data) % _NUMBER.size:
            raise Damaged("the list of free pages has a wrong size")
        count, *numbers = struct.unpack(f"<{len(data) // _NUMBER.size}Q", data)
        found = set(numbers[:count])
        if count > len(numbers) or len(found) != count or not all(1 < number <= meta.last for number in found):
            raise Damaged("the list of free pages has pages that there are not")
        return found

    def value(self, value: object) -> bytes:
        """A value of a leaf, wherever it lies."""
        if type(value) is bytes:
            return value
        place: tuple[int, int] = value  # type: ignore[assignment]
        number, size = place
        begin = number * self.size + _HEAD
        return self.content[begin : begin + size]

    # ---- what can be saved ---------------------------------------------------------------------------------------

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every row that can be found, the likeliest ones first: of the last transaction, then of pages that it has lost."""
        # The numbers in the meta pages may be what is damaged: the last transaction is the one that has freed pages last.
        freed = {meta: self._last_freed(meta) for meta in self.metas}
        is_known = _UNKNOWN not in freed.values()
        metas = sorted(self.metas, key=lambda meta: (freed[meta] * is_known, meta.transaction), reverse=True)
        kept: set[int] = set()
        free: set[int] = set()
        losses: list[int] = []
        yield from self._walk(metas[0].main, kept, losses)
        if not losses:
            return  # a whole tree: what lies outside of it is old
        for _, value in self._walk(metas[0].free, kept, []):
            with contextlib.suppress(Damaged, struct.error):
                free |= self._free_pages(metas[0]._replace(last=_NONE), value)
        for number in range(2, self.there):
            if number not in kept and number not in free:
                yield from self._leaf_rows(number)

    def _walk(self, tree: Tree, seen: set[int], losses: list[int]) -> Iterator[tuple[bytes, bytes]]:
        """The rows of a tree; pages that cannot be read are added to *losses*."""
        waiting = [tree.root] if tree.root != _NONE else []
        while waiting:
            number = waiting.pop()
            if not 1 < number < self.there or number in seen:
                losses.append(number)
                continue
            try:
                kind, _, values = self.parsed(number)
            except (Damaged, struct.error):
                if not self.content[number * self.size + 10] & _LEAF:  # else nothing but its own rows is lost
                    losses.append(number)
                seen.add(number)
                yield from self._parts(number)
                continue
            seen.add(number)
            if kind == _BRANCH:
                waiting += [int(child) for child in values]  # type: ignore[call-overload]
            else:
                yield from self._leaf_rows(number)

    def _leaf_rows(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        try:
            kind, keys, values = self.parsed(number)
        except (Damaged, struct.error):
            return
        if kind == _LEAF:
            for key, value in zip(keys, values, strict=True):
                yield key, self.value(value)

    def _parts(self, number: int) -> Iterator[tuple[bytes, bytes]]:
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


def _check_order(number: int, keys: list[bytes], low: bytes | None, high: bytes | None, *, is_free: bool) -> None:
    """Raise Damaged unless *keys* ascend between *low* and *high*: what is out of order is never found."""
    if is_free:
        ordered = [key[::-1] for key in keys]  # little-endian numbers
        low, high = low and low[::-1], high and high[::-1]
    else:
        ordered = keys
    is_sorted = all(map(bytes.__lt__, ordered, ordered[1:]))
    is_inside = not ordered or ((low is None or low <= ordered[0]) and (high is None or ordered[-1] < high))
    if not is_sorted or not is_inside or (keys and not all(keys)):
        raise Damaged(f"page {number} has rows that are out of order")
