"""Stashes and entries as plain data, of which tables and JSON are written. No value and no code is decoded."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from typing import TYPE_CHECKING, Any

from hashstash.codec import key_is_code
from hashstash.errors import StashError
from hashstash.listing import each
from hashstash.metadata import read_notes
from hashstash.policies.size_limit import entry_size
from hashstash.wording import ago, duration, printable, shortened, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.entry import Entry
    from hashstash.stash import HashStash
    from hashstash.store import Store

_LONGEST_KEY = 1000
_SHOWN_KEY = 60
_SHOWN_ADDRESS = 8
ENTRY_COLUMNS = ("address", "key", "size", "kind", "stored", "over in", "took", "version", "tags")


def entries_of(store: Store) -> Iterator[dict[str, Any]]:
    """Every entry that can be read; payloads are left in the storage where that is cheaper."""
    return each(store, lambda entry: entry_data(store, entry), heads_only=True, every_context=True)


def entry_data(store: Store, entry: Entry) -> dict[str, Any]:
    """What is known of an entry."""
    key, text = _key_of(store, entry)
    notes = read_notes(entry.metadata)
    return {
        "address": entry.digest.hex(),
        "key": key,
        "repr": text,
        "size": entry_size(entry),
        "raw_size": entry.raw_size,
        "codec": entry.label.decode("ascii", "replace"),
        "created": _iso(entry.created_at),
        "expires": _iso(entry.expires_at) if entry.expires_at else None,
        "seconds": entry.seconds if math.isfinite(entry.seconds) else None,
        "version": entry.version,
        "is_code": entry.is_code or key_is_code(entry.key),
        "signer": entry.signer.hex() or None,
        "trusted": entry.is_trusted,
        "foreign": store.is_foreign_key(entry),
        "tags": list(notes.tags),
        "meta": _plain(dict(notes.meta)),
    }


def _key_of(store: Store, entry: Entry) -> tuple[Any, str]:
    """The key, if it is text, and as Python writes it; a placeholder for one that only code could bring back."""
    if key_is_code(entry.key):
        return None, "<key that needs code>"
    try:
        key = store.keys.decode(entry.key)
    except StashError:  # damaged, or of a type whose package is not installed
        return None, "<key that cannot be read>"
    return (key if type(key) is str else None), printable(shortened(key, _LONGEST_KEY))


def _iso(moment: int) -> str:
    with contextlib.suppress(OverflowError, ValueError, OSError):
        return dt.datetime.fromtimestamp(moment / 1e9, dt.UTC).isoformat()
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


def entry_row(data: dict[str, Any], entry_key: int = _SHOWN_KEY) -> list[str]:
    """The line of a table."""
    text = data["repr"]
    created = dt.datetime.fromisoformat(data["created"]).timestamp() if data["created"] else None
    expires = dt.datetime.fromisoformat(data["expires"]).timestamp() if data["expires"] else None
    return [
        data["address"][:_SHOWN_ADDRESS],
        text if len(text) <= entry_key else text[: entry_key - 1] + "…",
        size_text(data["size"]),
        "foreign" if data["foreign"] else "code" if data["is_code"] else "data",
        ago(created) if created is not None else "",
        duration(max(0.001, expires - dt.datetime.now(dt.UTC).timestamp())) if expires is not None else "",
        duration(data["seconds"]) if data["seconds"] else "",
        str(data["version"]) if data["version"] > 1 else "",
        ", ".join(shortened(tag, _SHOWN_KEY)[1:-1] for tag in data["tags"])[:_SHOWN_KEY],
    ]


def stash_data(stash: HashStash, name: str, stores: list[tuple[str, Store]]) -> dict[str, Any]:
    """What is known of a stash."""
    return {
        "name": name,
        "engine": stash.engine,
        "entries": stash.store.count(),
        "results": sum(store.count() for below, store in stores if below),
        "size": sum(_size_of(store) for _, store in stores),
        "root_dir": stash.root_dir,
        "dbname": stash.dbname,
        "serializer": stash.serializer,
        "compress": stash.compress,
        "b64": stash.b64,
        "path": stash.path,
    }


def _size_of(store: Store) -> int:
    from hashstash.upkeep import size_bytes

    return size_bytes(store)
