"""All entries of a stash brought into another: as a whole or not at all, or as far as they can be read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hashstash import history
from hashstash.codec import key_is_code
from hashstash.entry import Entry, Flag, unpack
from hashstash.errors import BadEntry, MissingDependency, UntrustedEntry
from hashstash.metadata import notes_bytes
from hashstash.reading import MISSING
from hashstash.trust import why_untrusted
from hashstash.writing import WriteOptions

_MOST_KEPT = 64 << 20
"""Bytes of entries that are in memory together to be copied."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashstash.store import Store


def copy_entries(source: Store, target: Store) -> None:
    """Store every entry of *source* in *target*, with versions, notes, compute times and what is left of times to live."""
    for key, copies in source.each(lambda entry: _copies(source, entry)):
        for value, options in copies:
            encoded = target.codec.serializer.dumps(value)
            metadata = target.keys.context() + options.metadata
            whole = WriteOptions(options.seconds, options.ttl, options.sign, metadata)
            target.write(target.keys.encode(key), target.payload_of(encoded), whole)


def pairs_to_copy(source: Store) -> Iterable[tuple[Any, Any]]:
    """``(key, value)`` of every entry of *source*; the first one that cannot be read raises before any of them is given.

    Of a large stash they are read twice, so that they need not be in memory together.
    """
    kept: list[tuple[Any, Any]] = []
    size = 0
    for entry_size, pair in _read_strictly(source):
        size += entry_size
        if size <= _MOST_KEPT:
            kept.append(pair)
    return kept if size <= _MOST_KEPT else (pair for _, pair in _read_strictly(source))


def _read_strictly(source: Store) -> Iterator[tuple[int, tuple[Any, Any]]]:
    """Each entry's size in bytes and its key and value; raises what says why one of them cannot be read."""
    context = source.keys.context()
    for address, row in source.engine.rows():
        name = _name_of(source, address, row)
        entry = source.open_row(address, row, name)
        if entry is None or entry.metadata[: len(context)] != context:
            continue
        if source.is_foreign_key(entry):  # whatever the header says
            raise source.explained(UntrustedEntry(why_untrusted(entry)), name, address)
        value = source.load_row(address, row, name)
        if value is not MISSING:
            yield len(row) + entry.raw_size, (source.key_of(entry), value)


def _name_of(store: Store, address: bytes, row: bytes) -> Any:
    """The key in *row* if it is data, which names the entry even where its value must not be decoded."""
    try:
        entry = unpack(row, address)
        return MISSING if key_is_code(entry.key) else store.keys.decode(entry.key)
    except (BadEntry, MissingDependency) as error:
        raise store.explained(error, MISSING, address) from error


def _copies(store: Store, entry: Entry) -> tuple[Any, list[tuple[Any, WriteOptions]]]:
    if store.is_foreign_key(entry):
        raise UntrustedEntry("foreign code is not copied; call stash.trust() first")
    key = store.key_of(entry)
    entries, values = history.values_of(store, key)
    return key, [(value, _options_of(version)) for version, value in zip(entries, values, strict=True)]


def _options_of(entry: Entry) -> WriteOptions:
    rest = max(1, entry.expires_at - time.time_ns()) / 1e9 if entry.expires_at else None
    return WriteOptions(entry.seconds, rest, bool(entry.flags & Flag.SIGNED), notes_bytes(entry.metadata))
