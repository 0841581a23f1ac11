"""All entries of a store, one after the other: bad ones are left out with one warning, foreign code is not decoded."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

from hashstash import trust as trusting
from hashstash.codec import key_is_code
from hashstash.decoding import needs_trust
from hashstash.engine import WRITE_ID
from hashstash.entry import Entry, plain_key, unpack, unpack_head, unpack_plain
from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, UntrustedEntry
from hashstash.foreign import Foreign
from hashstash.policies.versions import HISTORY, history_address
from hashstash.reading import MISSING
from hashstash.trust import Trust
from hashstash.writing import EXPIRING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.store import Store

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

HEAD = 4096
"""Enough for the header, the key and the notes of nearly every entry."""


def each(
    store: Store,
    view: Callable[[Entry], Result],
    plain_view: Callable[[bytes, bytes, bytes], Result] | None = None,
    *,
    with_expired: bool = False,
    warns: bool = True,
    heads_only: bool = False,
    every_context: bool = False,
) -> Iterator[Result]:
    """What *view* makes of each entry; those that turn out bad on the way are left out, with one warning at the end.

    *plain_view* makes the same of a plain row's encoded key, label and document, or raises where it cannot. Entries whose time
    is over are left out unless *with_expired*, and results of what a function was formerly unless *every_context*. With
    *heads_only*, payloads are left in the storage where that is cheaper, and *view* must do without.
    """
    context = b"" if every_context else store.keys.context()
    if context or not store.is_plain:
        plain_view = None
    bad = 0
    for address, blob in store.engine.heads(HEAD) if heads_only else store.engine.rows():
        if plain_view is not None and (plain := unpack_plain(blob, address)) is not None:
            key = plain_key(blob)
            if not key_is_code(key):
                try:
                    result = plain_view(key, plain[0], plain[1])
                except Exception:  # noqa: BLE001
                    pass  # the long way can, or says what is wrong
                else:
                    yield result
                    continue
        try:
            entry = open_head(store, address, blob) if heads_only else unpack(blob, address)
            if not with_expired and entry.is_expired():
                continue
            if entry.metadata[: len(context)] != context:
                continue
            with contextlib.suppress(UntrustedEntry):
                trusting.check(entry, store.namespace, store.trust)
            result = view(entry)
        except BadEntry as error:
            logger.debug("%s: %s", address.hex(), error)
            if _is_still(store, address, blob):  # else it was deleted while we were reading it
                bad += 1
            else:
                store.seen_bad.discard(address)
            continue
        yield result
    if bad and warns:
        what = "1 entry that cannot be read was" if bad == 1 else f"{bad} entries that cannot be read were"
        text = f"{store.engine.location()}: {what} left out; reading the key says why"
        warnings.warn(text, RuntimeWarning, stacklevel=2)


def open_head(store: Store, address: bytes, head: bytes) -> Entry:
    """The entry whose row begins with *head*, or is that; read as a whole where its beginning does not say enough."""
    if len(head) != HEAD:  # a storage that cannot give less has given the whole
        return unpack(head, address)
    entry = unpack_head(head, address)
    if entry is not None:
        return entry
    try:
        return unpack(head, address)
    except CorruptEntry:
        whole = store.engine.get(address)
        if whole is None or whole == head:
            raise
        return unpack(whole, address)


def _is_still(store: Store, address: bytes, head: bytes) -> bool:
    row = store.engine.get(address)
    return row is not None and row.startswith(head)


def is_there(store: Store, entry: Entry) -> bool:
    """Whether *entry*, the latest or an older version, still is what lies at its address."""
    row = store.engine.get(entry.digest)
    if row is None or row[WRITE_ID] != entry.write_id:
        row = store.engine.section(HISTORY).get(history_address(entry.digest, entry.version))
    return row is not None and row[WRITE_ID] == entry.write_id


def key_of(store: Store, entry: Entry) -> Any:
    """The key as it was given, or a placeholder where decoding it would run foreign code."""
    if is_foreign_key(store, entry):
        return Foreign(entry)
    try:
        return store.keys.decode(entry.key)
    except MissingDependency as error:
        raise store.explained(error, MISSING, entry.digest) from error


def shown_value_of(store: Store, entry: Entry) -> Any:
    """The value, or a placeholder where decoding it would run foreign code."""
    if is_foreign(store, entry):
        return Foreign(entry)
    try:
        return store.value_of(entry)
    except MissingDependency:  # which ends the listing, so that it should say where
        return store.value_of(entry, key_of(store, entry))


def is_foreign(store: Store, entry: Entry) -> bool:
    """Whether the entry's value must not be decoded here: for code, or for a size that only a trusted writer may claim."""
    return not entry.is_trusted and (entry.is_code or store.trust is Trust.STRICT or needs_trust(entry))


def is_foreign_key(store: Store, entry: Entry) -> bool:
    """Whether the entry's key must not be decoded here; the key itself says so even where the header does not."""
    return not entry.is_trusted and (entry.is_code or store.trust is Trust.STRICT or key_is_code(entry.key))


def count(store: Store) -> int:
    """How many entries there are: the engine's count, unless some may be over or belong to another context."""
    hides = any(policy.may_hide for policy in store.policies) if store.policies else False
    if hides or store.keys.context() or store.engine.section("meta").has(EXPIRING):
        # Without a warning: ``list`` counts first what it then goes through.
        return sum(1 for _ in each(store, lambda entry: entry, warns=False))
    return store.engine.count()
