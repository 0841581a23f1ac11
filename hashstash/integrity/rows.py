"""Whether one row is what was written at its address, its blob file included."""

from __future__ import annotations

import contextlib
import os
from hashlib import blake2b
from typing import TYPE_CHECKING

from hashstash import trust as trusting
from hashstash.blobs import BlobMissing, Reference
from hashstash.checksum import crc32
from hashstash.decoding import UnknownCodec, decoder_of
from hashstash.entry import Entry, Flag, unpack
from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, NewerFormat, TamperedEntry, UntrustedEntry
from hashstash.integrity.report import DAMAGE, NOT_OURS, Problem
from hashstash.paths import shown
from hashstash.policies import versions
from hashstash.policies.versions import HISTORY

if TYPE_CHECKING:
    from hashstash.blobs import BlobStore
    from hashstash.engine import Engine
    from hashstash.store import Store

_PIECE = 1 << 20
_SHOWN_KEY = 60


def problem_of(store: Store, section: str, engine: Engine, address: bytes, blob: bytes) -> Problem | None:
    """What is wrong with a row that was read from *engine*; ``None`` if nothing is, or it is another one by now."""
    try:
        _check_row(store, section, address, blob)
    except (BadEntry, MissingDependency) as error:
        if engine.get(address) != blob:
            return None  # replaced or deleted while we were looking at it
        is_readable = isinstance(error, (NewerFormat, MissingDependency, UnknownCodec))
        kind = NOT_OURS if is_readable else DAMAGE
        return Problem(f"{_key_in(store, blob)}{error}", kind, shown(store.engine.location()), section, address)
    return None


def _check_row(store: Store, section: str, address: bytes, blob: bytes) -> None:
    entry = unpack(blob)
    if section:
        if versions.history_address(entry.digest, entry.version) != address:
            raise CorruptEntry("the row holds another version, or one of another key; it was copied there")
    elif entry.digest != address:
        raise CorruptEntry("the row holds the entry of another key; it was copied there")
    with contextlib.suppress(UntrustedEntry):  # somebody else's code is no damage
        trusting.check(entry, store.namespace, store.trust)
    decoder_of(entry.label)
    if entry.flags & Flag.BLOB:
        _check_blob(store.blobs, entry)


def _check_blob(blobs: BlobStore | None, entry: Entry) -> None:
    if blobs is None:
        raise CorruptEntry("the row points at a blob file, but its engine has none")
    reference = Reference.unpack(entry.payload)
    path = blobs.path(reference.name)
    checksum, size, state = 0, 0, blake2b(digest_size=16)
    is_signed = bool(entry.flags & Flag.SIGNED)
    try:
        with blobs.opened(reference.name) as file:
            # One of another size is damaged whatever it holds, and may have a hole of gigabytes.
            found = os.fstat(file.fileno()).st_size
            while found == reference.size and size <= found and (piece := file.read(_PIECE)):
                checksum = crc32(piece, checksum)
                size += len(piece)
                if is_signed:
                    state.update(piece)
    except BlobMissing as error:
        raise CorruptEntry(f"its blob file {path} is gone") from error
    except OSError as error:
        raise CorruptEntry(f"its blob file {path} cannot be read: {error.strerror}") from error
    if found != reference.size or size != reference.size:
        raise CorruptEntry(f"its blob file {path} has {size or found} bytes instead of {reference.size}")
    if checksum != reference.checksum:
        raise CorruptEntry(f"its blob file {path} was changed after it was written")
    if is_signed and state.digest() != reference.digest:
        raise TamperedEntry(f"its blob file {path} is not the one that was signed")


def why_aside(store: Store, blob: bytes) -> str:
    """The key of a row that was put aside, where it can be read, and what is wrong with it."""
    try:
        _check_row(store, "", unpack(blob).digest, blob)
    except (BadEntry, MissingDependency) as error:
        return f"{_key_in(store, blob)}{error}"
    return f"{_key_in(store, blob)}the row is whole, but lay at the place of another one"


def _key_in(store: Store, blob: bytes) -> str:
    """The key of a row whose key can be read, to begin a sentence with."""
    try:
        entry = unpack(blob)
        text = repr(store.key_of(entry))
    except Exception:  # noqa: BLE001
        return ""  # a key may be as damaged as the rest of its row, or need a package, and its repr is the user's
    return (text if len(text) <= _SHOWN_KEY else text[: _SHOWN_KEY - 1] + "…") + ": "


def place_of(section: str, blob: bytes) -> bytes | None:
    """The address at which a row belongs that is sound as far as its checksum goes."""
    if section not in ("", HISTORY):
        return None
    try:
        entry = unpack(blob)
    except BadEntry:
        return None
    return versions.history_address(entry.digest, entry.version) if section else entry.digest
