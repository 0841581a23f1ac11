"""Whether the pages of an LMDB file are sound.

LMDB believes what its pages say: a changed offset makes it read behind the end of the file, which kills the interpreter, and a
changed number in a meta page gives up the last transaction without a word. Looking at every page takes a microsecond per row.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hashstash.engines._lmdb_pages import (
    BRANCH,
    DEFAULT_SIZE,
    INTEGER_KEY,
    LEAF,
    MAGIC,
    META_PAGE,
    META_SIZE,
    NO_PAGE,
    OVERFLOW,
    SIZES,
    Damaged,
    Meta,
    Pages,
    Tree,
    read_head,
    read_meta,
)
from hashstash.engines._lmdb_seal import was_sealed
from hashstash.engines._lmdb_unborn import is_unborn
from hashstash.engines._salvage import NEXT_STEP
from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_LEAVES = 2_000
"""Leaf pages that are looked at whenever the file was changed; beyond that, where it is opened, only what leads to them is."""
_TRIES = 3
_PAUSE = 0.005


def check_metas(path: str) -> bool:
    """Raise CorruptEntry if the two meta pages, which everything begins with, are not those of one sound file.

    Gives whether the file is no whole one yet, since its making was cut short.
    """
    problem, before = "", b""
    for _ in range(_TRIES):
        try:
            starts = _starts_of_metas(path)
        except FileNotFoundError:
            return False
        problem = _problem_of_metas(path, starts)
        start = b"".join(starts)
        if not problem:
            return not any(read_meta(start).transaction for start in starts if start) and is_unborn(path)
        if before and start != before:
            return False  # a writer is at work: it has found a sound file, and what was read was of different moments
        before = start
        time.sleep(_PAUSE)  # a writer may be just about one of them
    if is_unborn(path):
        return True
    raise CorruptEntry(f"{path} is damaged, or no LMDB environment: {problem}; {NEXT_STEP}")


def _starts_of_metas(path: str) -> tuple[bytes, ...]:
    """How the two meta pages begin, as far as they are there; read at once, since others may be writing."""
    if os.path.isdir(path):
        return ()
    with open(path, "rb", buffering=0) as file:
        pages = file.read(2 * DEFAULT_SIZE) or b""
        size = read_meta(pages).free.pad if len(pages) >= META_SIZE else 0
        if size not in SIZES:
            return (pages[:META_SIZE],)
        if 2 * size > len(pages):
            file.seek(0)
            pages = file.read(2 * size) or b""
    return tuple(pages[place : place + META_SIZE] for place in (0, size))


def _problem_of_metas(path: str, starts: tuple[bytes, ...]) -> str:
    if not starts:
        return "it is a folder and no file"
    if not starts[0]:  # nothing was ever written, unless somebody has closed it since
        return "it is empty" if was_sealed(path) else ""
    if any(len(start) < META_SIZE for start in starts):
        return "it is cut off"
    if len(starts) == 1:
        return "its first page is none of an LMDB file"
    first, second = map(read_meta, starts)
    for number, (page, meta) in enumerate(zip(starts, (first, second), strict=True)):
        own, flags = read_head(page)
        if (meta.magic, meta.version & 0xFFFF) != (MAGIC, 1) or own != number or not flags & META_PAGE:
            return f"page {number} is none of an LMDB file"
        if meta.free.pad != first.free.pad or meta.free.flags != INTEGER_KEY or meta.main.flags or meta.last < 1:
            return f"page {number} contradicts itself"
        if meta.last >= meta.map_size // meta.free.pad:  # all of which the library would map
            return f"page {number} counts more pages than the file may have"
    if not _follow(first.transaction, second.transaction):
        return "its two first pages are not of two transactions of which one follows the other"
    return ""


def _follow(first: int, second: int) -> bool:
    """Whether the meta pages are of a new file, or of two transactions in a row, each on the page that is its own."""
    return (first, second) == (0, 0) or (abs(first - second) == 1 and not first % 2)


def check_pages(pages: Pages, transaction: int | None = None, *, most_leaves: int | None = None) -> None:
    """Raise Damaged unless all pages that *transaction*, or the last one, can come to are sound."""
    if transaction is None:
        transaction = max(meta.transaction for meta in pages.metas)
    meta = next((meta for meta in pages.metas if meta.transaction == transaction), None)
    if meta is None:
        return  # others have written twice since; they have looked at what they found
    # A transaction that was cut short, or failed, has written over pages of the older of the two: they are newer than both.
    freed = pages.last_freed(meta)
    if any(freed < pages.last_freed(other) <= transaction for other in pages.metas if other.transaction < transaction):
        raise Damaged("its two first pages contradict the pages that they lead to")
    seen: set[int] = set()
    free: set[int] = set()
    for listed in _check_tree(pages, meta, meta.free, seen, is_free=True, most_leaves=None):
        free |= listed
    for _ in _check_tree(pages, meta, meta.main, seen, is_free=False, most_leaves=most_leaves):
        pass
    if free & seen:
        raise Damaged(f"page {min(free & seen)} is in use and counted as free")
    if meta.last >= pages.there:
        missing = meta.last + 1 - pages.there
        if missing > len(free) or not free.issuperset(range(pages.there, meta.last + 1)):
            raise Damaged(f"it is cut off: {missing} of its pages are missing")


def _check_tree(
    pages: Pages, meta: Meta, tree: Tree, seen: set[int], *, is_free: bool, most_leaves: int | None
) -> Iterator[set[int]]:
    """Look at all pages of a tree, and add them to *seen*; yields the free pages that the tree of those lists."""
    if tree.root == NO_PAGE:
        if tree.entries or tree.depth:
            raise Damaged("a tree without a root has entries")
        return
    counts = {BRANCH: 0, LEAF: 0, OVERFLOW: 0}
    entries = 0
    skips = most_leaves is not None and tree.leaves > most_leaves
    waiting: list[tuple[int, int, bytes | None, bytes | None]] = [(tree.root, 1, None, None)]
    while waiting:
        number, depth, low, high = waiting.pop()
        _use(pages, meta, seen, number, 1)
        if skips and depth == tree.depth and depth > 1:
            continue
        kind, keys, values = pages.parsed(number)
        counts[kind] += 1
        if (kind == LEAF) != (depth == tree.depth):
            raise Damaged(f"page {number} lies at another depth than its tree says")
        _check_order(number, keys[kind == BRANCH :], low, high, is_free=is_free)
        if kind == BRANCH:
            bounds: list[bytes | None] = [low, *keys[1:], high]
            waiting += [(int(child), depth + 1, *bounds[at : at + 2]) for at, child in enumerate(values)]  # type: ignore[call-overload]
            continue
        entries += len(keys)
        for value in values:
            if type(value) is tuple:
                count = pages.large(*value)
                _use(pages, meta, seen, value[0], count)
                counts[OVERFLOW] += count
            if is_free:
                yield pages.free_pages(meta, value)
    if not skips and (entries, *counts.values()) != (tree.entries, tree.branches, tree.leaves, tree.overflows):
        raise Damaged("a tree does not have as many pages and rows as the file counts")


def _use(pages: Pages, meta: Meta, seen: set[int], number: int, count: int) -> None:
    if not 1 < number <= number + count - 1 <= meta.last or number + count > pages.there:
        raise Damaged(f"there is no page {number}")
    used = range(number, number + count)
    if not seen.isdisjoint(used):
        raise Damaged(f"page {number} is used twice")
    seen.update(used)


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
