"""What is known of an entry without decoding its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hashstash.entry import Entry
from hashstash.policies.size_limit import entry_size
from hashstash.store import Store


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
