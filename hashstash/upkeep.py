"""What concerns a store as a whole: emptying it, sweeping up after writers that died, trusting what others wrote."""

from __future__ import annotations

import contextlib
import logging
import time
from hashlib import blake2b
from typing import TYPE_CHECKING

from hashstash import locks
from hashstash import trust as trusting
from hashstash.blobs import YOUNGEST_ORPHAN, BlobStore, Reference
from hashstash.codec import key_is_code
from hashstash.decoding import needs_trust
from hashstash.engine import WRITE_ID
from hashstash.entry import Entry, Flag, unpack
from hashstash.errors import BadEntry, StashError
from hashstash.in_use import InUse
from hashstash.policies.versions import HISTORY
from hashstash.quarantine import BAD
from hashstash.statistics import forget_before_clear
from hashstash.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashstash.engine import Engine
    from hashstash.store import Store

logger = logging.getLogger(__name__)


def clear(store: Store) -> None:
    """Remove everything that was stored before this call; the counts of the stash begin at zero again."""
    forget_before_clear(store)
    if store.blobs is None or not store.blobs.exists():
        store.engine.clear()
        return
    used = in_use(store, set(store.blobs.names()))
    store.engine.clear()
    for name in used.names:
        store.blobs.remove(name)
    sweep(store)


def sweep(store: Store, *, older_than: float = YOUNGEST_ORPHAN) -> int:
    """Remove blob files that no row points at and that are older than any write can be; return how many.

    The lock files that killed processes have left go too.
    """
    for engine in (store.engine, *map(store.engine.section, store.engine.section_names())):
        folder = engine.lock_folder()
        if folder is not None:
            with contextlib.suppress(OSError):  # what cannot be removed, or locked, harms nobody
                locks.sweep(folder)
    if store.blobs is None:
        return 0
    names = orphans(store, store.blobs, older_than=older_than)
    for name in names:
        store.blobs.remove(name)
    return len(names)


def sweep_daily(store: Store) -> None:
    """Sweep if nobody has done so for a day. What hinders it, be it damage, is for check to tell, and for whoever meets it."""
    if store.blobs is not None and store.blobs.exists() and store.blobs.is_sweep_due():
        try:
            sweep(store)
        except (StashError, OSError) as error:
            logger.debug("%s: not swept: %s", store.engine.location(), error)


def orphans(store: Store, blobs: BlobStore, *, older_than: float = 0.0) -> set[str]:
    """The names of blob files that no row points at, not even one that was moved aside; files younger than that are left out.

    None, while there is a row that may point at any of them: one of a newer hashstash, or one that is damaged where it did.
    """
    return in_use(store, set(blobs.names(older_than=older_than))).orphans


def in_use(store: Store, names: set[str]) -> InUse:
    """Which of *names*, of blob files, are in use; bad rows and those that were moved aside count."""
    used = InUse(names)
    if names:
        for engine in (store.engine, store.engine.section(HISTORY), store.engine.section(BAD)):
            for _, row in engine.rows():
                used.look(row)
    return used


def compact(store: Store) -> None:
    """Remove entries whose time is over and blob files that no row points at, and give the room of all that was deleted back."""
    store.engine.ensure_writable()
    now = time.time_ns()
    for address, row in store.engine.rows():
        with contextlib.suppress(BadEntry):
            if unpack(row).is_expired(now):
                store.remove(address, only=row[WRITE_ID])
    sweep(store)
    for engine in (store.engine, *map(store.engine.section, store.engine.section_names())):
        engine.compact()


def size_bytes(store: Store) -> int:
    """Bytes that rows, history and blob files take."""
    total = store.engine.size_bytes() + store.engine.section(HISTORY).size_bytes()
    return total + (store.blobs.size_bytes() if store.blobs is not None else 0)


def trust_all(store: Store, *, everything: bool = False, only: Mapping[bytes, bytes] | None = None) -> int:
    """Sign with this user's key every foreign entry that is not decoded without, for code or for its size; return how many.

    With *everything*, all other data entries too: what a signature permits beyond decoding is up to whoever reads them. *only*:
    addresses with the :func:`content_digest` of what was seen there; what has come or changed since then is left as it is.
    """
    signed = 0
    for engine, address, entry in untrusted(store, everything=everything):
        if only is None or only.get(address) == content_digest(entry):
            signed += _sign(store, engine, address, entry)
    return signed


def untrusted(store: Store, *, everything: bool = False) -> Iterator[tuple[Engine, bytes, Entry]]:
    """What :func:`trust_all` would sign, each with the engine and the address at which it lies."""
    for engine in (store.engine, store.engine.section(HISTORY)):
        for address, blob in list(engine.rows()):
            with contextlib.suppress(BadEntry):  # what was changed or tampered with is not made good by trusting it
                entry = unpack(blob)
                is_wanted = everything or entry.is_code or key_is_code(entry.key) or store.trust is Trust.STRICT
                if (is_wanted or needs_trust(entry)) and not trusting.keyring().verifies(entry, store.namespace):
                    if entry.flags & Flag.BLOB and store.blobs is not None:
                        _fill_digest(store.blobs, entry)
                    yield engine, address, entry


def content_digest(entry: Entry) -> bytes:
    """A digest of all that a signature of *entry*, as :func:`untrusted` gives it, would cover."""
    return blake2b(entry.body(), digest_size=16).digest()


def _sign(store: Store, engine: Engine, address: bytes, entry: Entry) -> bool:
    if key_is_code(entry.key):
        entry.flags |= Flag.CODE
    trusting.keyring().sign(entry, store.namespace)
    return engine.swap(address, entry.write_id, entry.pack())


def _fill_digest(blobs: BlobStore, entry: Entry) -> None:
    """A signature over a blob's reference must cover its content, which an unsigned reference does not."""
    reference = Reference.unpack(entry.payload)
    content = blobs.map(reference, is_signed=False)
    entry.payload = reference._replace(digest=blake2b(content, digest_size=16).digest()).pack()
