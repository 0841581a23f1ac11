"""All entries of a stash brought into another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hashstash import history
from hashstash.entry import Entry, Flag
from hashstash.errors import UntrustedEntry
from hashstash.metadata import notes_bytes
from hashstash.writing import WriteOptions

if TYPE_CHECKING:
    from hashstash.store import Store


def copy_entries(source: Store, target: Store) -> None:
    """Store every entry of *source* in *target*, with versions, notes, compute times and what is left of times to live."""
    for key, copies in source.each(lambda entry: _copies(source, entry)):
        for value, options in copies:
            encoded = target.codec.serializer.dumps(value)
            metadata = target.keys.context() + options.metadata
            whole = WriteOptions(options.seconds, options.ttl, options.sign, metadata)
            target.write(target.keys.encode(key), target.payload_of(encoded), whole)


def _copies(store: Store, entry: Entry) -> tuple[Any, list[tuple[Any, WriteOptions]]]:
    if store.is_foreign_key(entry):
        raise UntrustedEntry("foreign code is not copied; call stash.trust() first")
    key = store.key_of(entry)
    entries, values = history.values_of(store, key)
    return key, [(value, _options_of(version)) for version, value in zip(entries, values, strict=True)]


def _options_of(entry: Entry) -> WriteOptions:
    rest = max(1, entry.expires_at - time.time_ns()) / 1e9 if entry.expires_at else None
    return WriteOptions(entry.seconds, rest, bool(entry.flags & Flag.SIGNED), notes_bytes(entry.metadata))
