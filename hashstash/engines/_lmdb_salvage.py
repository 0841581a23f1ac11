"""The rows that can still be read in an LMDB file of which pages are damaged."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

from hashstash.engines._lmdb_pages import BRANCH, LEAF, NO_PAGE, UNKNOWN, Damaged, Pages, Tree
from hashstash.entry import unpack
from hashstash.errors import BadEntry

if TYPE_CHECKING:
    from collections.abc import Iterator


def rows_in(pages: Pages) -> Iterator[tuple[bytes, bytes]]:
    """Every row that can be found, the likeliest ones first: of the last transaction, then of pages that it has lost."""
    # The numbers in the meta pages may be what is damaged: the last transaction is the one that has freed pages last.
    freed = {meta: pages.last_freed(meta) for meta in pages.metas}
    is_known = UNKNOWN not in freed.values()
    metas = sorted(pages.metas, key=lambda meta: (freed[meta] * is_known, meta.transaction), reverse=True)
    kept: set[int] = set()
    free: set[int] = set()
    losses: list[int] = []
    found = list(_walk(pages, metas[0].main, kept, losses))
    is_whole = not losses and len(found) == metas[0].main.entries
    used = frozenset(kept)
    for _, value in _walk(pages, metas[0].free, kept, []):
        with contextlib.suppress(Damaged, struct.error):
            free |= pages.free_pages(metas[0]._replace(last=NO_PAGE), value)
    if free & used:
        # The tree is an older one, or the list of free pages is damaged: the rows themselves say which are newer.
        yield from sorted([*found, *_elsewhere(pages, kept | free)], key=_created_at, reverse=True)
        return
    yield from found
    if not is_whole:  # else what lies outside of it is old
        yield from _elsewhere(pages, kept | free)


def _created_at(row: tuple[bytes, bytes]) -> int:
    try:
        return unpack(row[1]).created_at
    except BadEntry:
        return 0


def _elsewhere(pages: Pages, known: set[int]) -> Iterator[tuple[bytes, bytes]]:
    """The rows of all leaves but those that are known."""
    for number in range(2, pages.there):
        if number not in known:
            yield from _leaf_rows(pages, number)


def _walk(pages: Pages, tree: Tree, seen: set[int], losses: list[int]) -> Iterator[tuple[bytes, bytes]]:
    """The rows of a tree; pages that cannot be read are added to *losses*."""
    waiting = [tree.root] if tree.root != NO_PAGE else []
    while waiting:
        number = waiting.pop()
        if not 1 < number < pages.there or number in seen:
            losses.append(number)
            continue
        try:
            kind, _, values = pages.parsed(number)
        except (Damaged, struct.error):
            if not pages.content[number * pages.size + 10] & LEAF:  # else nothing but its own rows is lost
                losses.append(number)
            seen.add(number)
            yield from pages.parts(number)
            continue
        seen.add(number)
        if kind == BRANCH:
            waiting += [int(child) for child in values]  # type: ignore[call-overload]
        else:
            yield from _leaf_rows(pages, number)


def _leaf_rows(pages: Pages, number: int) -> Iterator[tuple[bytes, bytes]]:
    try:
        kind, keys, values = pages.parsed(number)
    except (Damaged, struct.error):
        return
    if kind == LEAF:
        for key, value in zip(keys, values, strict=True):
            yield key, pages.value(value)
