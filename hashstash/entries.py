"""Entries as a whole: what is known of one without decoding its value, and all of a stash brought into another."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from hashstash.entry import Entry, Flag
from hashstash.errors import UntrustedEntry
from hashstash.policies.size_limit import entry_size
from hashstash.store import Store, WriteOptions


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """One entry of a listing; sizes in bytes, times in seconds since the epoch."""

    key: Any
    size: int
    """Bytes as stored, key and header included."""
    raw_size: int
    """Bytes of the serialized value before compression."""
    codec: str
    created_at: float
    expires_at: float | None
    seconds: float
    """How long computing the value took, 0 if it was not measured."""
    version: int
    is_code: bool
    signer: str | None


def describe(store: Store, entry: Entry) -> EntryInfo:
    """The listing's line for *entry*."""
    return EntryInfo(
        key=store.key_of(entry),
        size=entry_size(entry),
        raw_size=entry.raw_size,
        codec=entry.label.decode("ascii", "replace"),
        created_at=entry.created_at / 1e9,
        expires_at=entry.expires_at / 1e9 if entry.expires_at else None,
        seconds=entry.seconds,
        version=entry.version,
        is_code=entry.is_code,
        signer=entry.signer.hex() or None,
    )


def copy_entries(source: Store, target: Store) -> None:
    """Store every entry of *source* in *target*, versions, compute times and what is left of their times to live included."""
    for key, copies in source.each(lambda entry: _copies(source, entry)):
        for value, options in copies:
            target.write(target.keys.encode(key), target.payload_of(target.codec.serializer.dumps(value)), options)


def _copies(store: Store, entry: Entry) -> tuple[Any, list[tuple[Any, WriteOptions]]]:
    if store.is_foreign_key(entry):
        raise UntrustedEntry("foreign code is not copied; call stash.trust() first")
    key = store.key_of(entry)
    return key, [(store.value_of(version, key), _options_of(version)) for version in store.versions_of(key)]


def _options_of(entry: Entry) -> WriteOptions:
    rest = max(1, entry.expires_at - time.time_ns()) / 1e9 if entry.expires_at else None
    return WriteOptions(entry.seconds, rest, bool(entry.flags & Flag.SIGNED))
