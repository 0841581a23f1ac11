"""Stashes and entries as plain data, of which tables and JSON are written. No value and no code is decoded."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from typing import TYPE_CHECKING, Any

from hashstash.codec import key_is_code
from hashstash.entries import EntryInfo, describe
from hashstash.entries.table import expiry_of, kind_of, tags_of
from hashstash.errors import StashError
from hashstash.listing import each
from hashstash.upkeep import size_bytes
from hashstash.wording import ago, duration, printable, shortened, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.entry import Entry
    from hashstash.stash import HashStash
    from hashstash.store import Store

_LONGEST_KEY = 1000
_SHOWN_KEY = 60
_SHOWN_ADDRESS = 8
ENTRY_COLUMNS = ("address", "key", "size", "kind", "stored", "expires", "took", "version", "tags")


class _NotDecoded:
    """What stands for a key of which nothing is decoded, and why."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __repr__(self) -> str:
        return f"<key that {self._why}>"


def infos_of(store: Store) -> Iterator[EntryInfo]:
    """Every entry that can be read; payloads are left in the storage where that is cheaper."""
    return each(store, lambda entry: info_without_code(store, entry), heads_only=True, every_context=True)


def info_without_code(store: Store, entry: Entry) -> EntryInfo:
    """What is known of an entry; no code is decoded for it, not even the user's own."""
    return describe(store, entry, key=_key_of(store, entry))


def _key_of(store: Store, entry: Entry) -> Any:
    if key_is_code(entry.key):
        return _NotDecoded("needs code")
    try:
        return store.keys.decode(entry.key)
    except StashError:  # damaged, or of a type whose package is not installed
        return _NotDecoded("cannot be read")


def entry_data(info: EntryInfo) -> dict[str, Any]:
    """The entry as JSON has it."""
    return {
        "address": info.address.hex(),
        "key": info.key if type(info.key) is str else None,
        "repr": printable(shortened(info.key, _LONGEST_KEY)),
        "size": info.size,
        "raw_size": info.raw_size,
        "codec": info.codec,
        "created": _iso(info.created_at),
        "expires": None if info.expires_at is None else _iso(info.expires_at),
        "seconds": info.seconds if math.isfinite(info.seconds) else None,
        "version": info.version,
        "is_code": info.is_code,
        "signer": info.signer,
        "trusted": info.trusted,
        "foreign": info.foreign,
        "tags": list(info.tags),
        "meta": _plain(dict(info.meta)),
    }


def _iso(moment: float) -> str:
    with contextlib.suppress(OverflowError, ValueError, OSError):
        return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat()
    return ""  # an entry of somebody else may claim any time


def _plain(note: Any) -> Any:
    """A note as JSON can hold it; what it cannot, as text."""
    if type(note) is dict:
        return {
            name if type(name) is str else shortened(name, _LONGEST_KEY): _plain(part) for name, part in note.items()
        }
    if type(note) in (list, tuple):
        return [_plain(part) for part in note]
    if type(note) in (str, int, bool, type(None)) or (type(note) is float and math.isfinite(note)):
        return note
    return shortened(note, _LONGEST_KEY)


def entry_row(info: EntryInfo) -> list[str]:
    """The line of a table."""
    return [
        info.address.hex()[:_SHOWN_ADDRESS],
        printable(shortened(info.key, _SHOWN_KEY)),
        size_text(info.size),
        kind_of(info),
        ago(info.created_at),
        expiry_of(info),
        duration(info.seconds) if info.seconds else "",
        str(info.version) if info.version > 1 else "",
        tags_of(info, _SHOWN_KEY),
    ]


def stash_data(stash: HashStash, name: str, stores: list[tuple[str, Store]]) -> dict[str, Any]:
    """What is known of a stash."""
    return {
        "name": name,
        "engine": stash.engine,
        "entries": stash.store.count(),
        "results": sum(store.count() for below, store in stores if below),
        "size": sum(size_bytes(store) for _, store in stores),
        "root_dir": stash.root_dir,
        "dbname": stash.dbname,
        "serializer": stash.serializer,
        "compress": stash.compress,
        "b64": stash.b64,
        "path": stash.path,
    }
