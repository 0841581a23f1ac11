"""The rows that can still be read in an LMDB file of which pages are damaged."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

from hashstash.engines._lmdb_pages import BRANCH, LEAF, NO_PAGE, UNKNOWN, Damaged, Pages, Tree

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
    count = 0
    for row in _walk(pages, metas[0].main, kept, losses):
        count += 1
        yield row
    if not losses and count == metas[0].main.entries:
        return  # a whole tree: what lies outside of it is old
    for _, value in _walk(pages, metas[0].free, kept, []):
        with contextlib.suppress(Damaged, struct.error):
            free |= pages.free_pages(metas[0]._replace(last=NO_PAGE), value)
    for number in range(2, pages.there):
        if number not in kept and number not in free:
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
