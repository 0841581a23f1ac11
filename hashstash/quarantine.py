"""Copies of what could not be read, made before it is overwritten or deleted: nobody's bytes go without a word."""

from __future__ import annotations

import contextlib
import os
from hashlib import blake2b
from typing import TYPE_CHECKING

from hashstash.blobs import Reference
from hashstash.engine import WRITE_ID
from hashstash.entry import Flag, is_whole, unpack
from hashstash.errors import BadEntry
from hashstash.in_use import likely_names
from hashstash.single_flight import warn_user

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashstash.store import Store

BAD = "bad"
"""The section for rows that could not be read, before they were overwritten or repaired."""
MOST_ASIDE = 100
MOST_ASIDE_BYTES = 64 << 20


def keep_bad_rows(store: Store, addresses: Iterable[bytes]) -> None:
    """Copy aside what this object has seen to be bad, before it is overwritten."""
    bad = store.seen_bad.intersection(addresses) if store.seen_bad else ()
    if not bad:
        return
    store.seen_bad.difference_update(bad)
    for address in bad:
        row = store.engine.get(address)
        if row is not None:
            _keep_aside(store, address, row)


def keep_if_damaged(store: Store, address: bytes, row: bytes | None) -> None:
    """Copy *row* aside, which is about to go, if it is not what was written there."""
    if row is not None and not is_whole(row):
        store.seen_bad.discard(address)
        _keep_aside(store, address, row)


def _keep_aside(store: Store, address: bytes, row: bytes) -> None:
    """Copy a bad row aside; where that cannot be done, its bytes go, and that is said."""
    aside = store.engine.section(BAD)
    there = aside.get(address)
    if there is not None and there != row:  # the key has been damaged before
        address += blake2b(row, digest_size=8).digest()
        there = aside.get(address)
    sizes = [bytes_with_blob(store, kept) for _, kept in aside.rows()] if there is None else []
    size = bytes_with_blob(store, row)
    if there is None and (len(sizes) >= MOST_ASIDE or sum(sizes) + size > MOST_ASIDE_BYTES):
        _tell_of_loss(store, f"there is room aside for {MOST_ASIDE} rows and {MOST_ASIDE_BYTES >> 20} MB")
        return
    try:
        aside.put(address, row)
    except OSError as error:  # whoever deletes to make room must not be kept from it
        _tell_of_loss(store, f"it could not be copied aside: {error}")
    else:
        store.kept_aside.add(row[WRITE_ID])


def _tell_of_loss(store: Store, why: str) -> None:
    if not store.has_told_of_loss:
        store.has_told_of_loss = True
        warn_user(
            f"{store.engine.location()}: a damaged entry is gone for good, since {why};"
            " stash.kept_aside() shows what is kept, stash.remove_aside() removes it"
        )


def bytes_with_blob(store: Store, row: bytes) -> int:
    """The bytes that a row takes, and its blob file on the disk: one with a hole of gigabytes may take nearly none."""
    size = len(row)
    if store.blobs is None:
        return size
    try:
        entry = unpack(row)
        found = [Reference.unpack(entry.payload).name] if entry.flags & Flag.BLOB else []
    except BadEntry:
        found = list(likely_names(row))
    for name in found:
        with contextlib.suppress(OSError):  # which is no blob file that anybody could find
            status = os.stat(store.blobs.path(name))
            size += min(status.st_size, getattr(status, "st_blocks", status.st_size) * 512)
    return size
