"""What of a stash others have written: listed first, then signed, and exactly what was listed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.cells.looking import MOST_ROWS, head_of, not_shown, readable
from hashstash.codec import key_is_code
from hashstash.errors import BadEntry
from hashstash.open import function_stashes
from hashstash.stash import HashStash
from hashstash.tabular import Listing
from hashstash.upkeep import content_digest, trust_all, untrusted
from hashstash.wording import ago, counted, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashstash.cells.rows import RecordList, Rows
    from hashstash.entry import Entry
    from hashstash.store import Store

_COLUMNS = ("what", "signer", "kind", "size", "written", "code")
_KINDS = {"code": "record", "outputs": "outputs", "variables": "variables"}
_CODE_LENGTH = 16
_UNSIGNED = "nobody"


@dataclass(frozen=True, repr=False)
class Untrusted(Listing):
    """The rows of others in one stash, and what stands for exactly these."""

    listed: Mapping[str, Mapping[bytes, bytes]] = field(default_factory=dict)
    """For the namespace of each store: addresses, and a digest of what lies there."""
    code: str = ""
    """A digest of all of it, for people to repeat; empty if there is nothing."""


class _Row(NamedTuple):
    what: str
    signer: str
    is_code: bool
    size: int
    created_at: float
    text: str


def untrusted_in(name: str, rows: Rows) -> Untrusted:
    """What :func:`trust` would sign in a stash of cells, and in the stashes of functions and maps below it."""
    lists = list(rows.lists())
    heads = {str(row.get("id")): head_of(str(row.get("code", ""))) for found in lists for row in found.rows}
    listed: dict[str, dict[bytes, bytes]] = {}
    found = list(_records(rows, lists, listed))
    for store in _stores(rows):
        seen = listed.setdefault(store.namespace, {})
        for _engine, address, entry in untrusted(store, everything=store is rows.stash.store):
            row = _row_of(store, rows, entry, heads)
            # Lists of records were read above; variables that are data are signed only if they may do more than be bound.
            if address not in seen and (row.is_code or row.signer or row.what != "variables"):
                seen[address] = content_digest(entry)
                found.append(row)
    found.sort(key=lambda row: (not row.is_code, row.what, -row.created_at))
    return _listing(name, found, listed)


def _records(rows: Rows, lists: list[RecordList], listed: dict[str, dict[bytes, bytes]]) -> Iterator[_Row]:
    for found in lists:
        if not found.foreign:
            continue
        listed.setdefault(rows.stash.store.namespace, {})[found.entry.digest] = found.content
        for row in found.foreign:
            text = head_of(str(row.get("code", "")))
            signer = "" if found.entry.is_trusted else found.entry.signer.hex()
            yield _Row("record", signer, False, len(found.entry.payload), _moment(row, found.entry), text)


def _moment(row: Mapping[str, Any], entry: Entry) -> float:
    moment = row.get("created_at")
    return float(moment) if isinstance(moment, int | float) else entry.created_at / 1e9


def _row_of(store: Store, rows: Rows, entry: Entry, heads: Mapping[str, str]) -> _Row:
    what, text = "entry", ""
    if store is not rows.stash.store:
        what = "result"
        text = store.namespace.removeprefix(rows.stash.store.namespace + "/").partition("/")[2]
    else:
        key: Any = None
        if not key_is_code(entry.key):  # a key is data even where the value is code
            with contextlib.suppress(BadEntry):
                key = store.keys.decode(entry.key)
        if isinstance(key, tuple) and len(key) == 2 and key[0] in _KINDS:
            what, text = _KINDS[key[0]], heads.get(str(key[1]), "")
    size = entry.raw_size or len(entry.payload)
    return _Row(what, entry.signer.hex(), entry.is_code, size, entry.created_at / 1e9, readable(text))


def _stores(rows: Rows) -> Iterator[Store]:
    yield rows.stash.store
    for config in function_stashes(rows.stash.config):
        yield HashStash.from_config(config).store


def _listing(name: str, found: list[_Row], listed: Mapping[str, Mapping[bytes, bytes]]) -> Untrusted:
    if not found:
        return Untrusted(f"stash {name}: everything in it is yours, or of somebody you trust")
    state = blake2b(digest_size=16)
    for place, seen in sorted(listed.items()):
        for address, digest in sorted(seen.items()):
            state.update(repr((place, address, digest)).encode("utf-8", "surrogatepass"))
    table = [
        [
            row.what,
            row.signer[:8] or _UNSIGNED,
            "code" if row.is_code else "data",
            size_text(row.size),
            ago(row.created_at),
            printable(row.text),
        ]
        for row in found
    ]
    items = [
        {**row._asdict(), "signer": row.signer or None, "kind": "code" if row.is_code else "data"} for row in found
    ]
    rows, others = counted(len(found), "row"), len({row.signer for row in found})
    signers = "one signer" if others == 1 else f"{others} signers"
    title = f"stash {name}: {rows} of others ({signers}); nothing is trusted yet" + not_shown(len(found))
    return Untrusted(
        title, _COLUMNS, table[:MOST_ROWS], items=items, listed=listed, code=state.hexdigest()[:_CODE_LENGTH]
    )


def trust(rows: Rows, seen: Untrusted) -> tuple[int, int]:
    """Sign what was *seen* and is still like that; return how many records, and how many further rows."""
    records = signed = 0
    for store in _stores(rows):
        only = seen.listed.get(store.namespace, {})
        if store is not rows.stash.store:
            signed += trust_all(store, only=only)
            continue
        records, own = rows.trust(only)
        signed += own
    return records, signed
