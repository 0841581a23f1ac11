"""Removing what is not wanted any more, and keeping what still is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash import trust as trusting
from hashstash.entries.collection import Entries
from hashstash.entry import Flag, new_write_id
from hashstash.errors import Conflict, UntrustedEntry
from hashstash.listing import each
from hashstash.policies.size_limit import entry_size, history_sizes
from hashstash.policies.time_to_live import TimeToLive, parse_duration
from hashstash.policies.uses import Uses
from hashstash.wording import parse_size, shortened
from hashstash.writing import alone, note_expiring

if TYPE_CHECKING:
    from hashstash.entry import Entry
    from hashstash.store import Store

_MOST_RETRIES = 50
_SHOWN_KEY = 80


class _Candidate(NamedTuple):
    used: int
    size: int
    address: bytes
    write_id: bytes


def prune(
    store: Store,
    *,
    older_than: Any = None,
    larger_than: Any = None,
    max_size: Any = None,
    max_entries: int | None = None,
    **filters: Any,
) -> int:
    """Remove entries whose time is over, and those that fulfil all conditions; return how many went.

    With *max_size* or *max_entries*, of those that fulfil the conditions only as many go, those used longest ago first, as
    it takes for the whole stash to keep within the limits. In the stash of a function, the results of what it was formerly are
    pruned, too, which listings do not show.
    """
    store.engine.ensure_writable()
    bounds: dict[str, Any] = {}
    if older_than is not None:
        bounds["age__gt"] = parse_duration(older_than)
    if larger_than is not None:
        bounds["size__gt"] = parse_size(larger_than)
    most_bytes, most_entries = _limits(max_size, max_entries)
    chosen = Entries(
        store, [filters, bounds], every_context=True
    )  # before anything is removed: a mistake in a condition raises
    removed = _remove_expired(store)
    if most_bytes is not None or most_entries is not None:
        return removed + _shrink(store, chosen, most_bytes, most_entries)
    return removed + (chosen.delete() if filters or bounds else 0)


def _remove_expired(store: Store) -> int:
    now = time.time_ns()
    rows = each(store, _identity, with_expired=True, warns=False, heads_only=True, every_context=True)
    over = [(address, write_id) for address, write_id, end in rows if 0 < end <= now]
    removed = sum(store.remove(address, only=write_id) for address, write_id in over)
    store.counts.deletes += removed
    return removed


def _identity(entry: Entry) -> tuple[bytes, bytes, int]:
    return entry.digest, entry.write_id, entry.expires_at


def _limits(max_size: Any, max_entries: Any) -> tuple[float | None, int | None]:
    if max_entries is not None and (type(max_entries) is not int or max_entries < 0):
        raise ValueError(f"max_entries={max_entries!r}; it is a whole number, or None for no limit")
    most = None if max_size is None else parse_size(max_size)
    if most is not None and most < 0:
        raise ValueError(f"max_size={max_size!r}; it is a number of bytes, or None for no limit")
    return most, max_entries


def _shrink(store: Store, chosen: Entries, most_bytes: float | None, most_entries: int | None) -> int:
    uses = uses_of(store)
    older = history_sizes(store)
    candidates = [
        _Candidate(
            uses.last(info.address, round(info.created_at * 1e9)),
            info.size + older.get(info.address, 0),
            info.address,
            info.write_id,
        )
        for info in chosen
    ]
    count = size = 0
    for address, bytes_of_entry in each(store, _size, warns=False, heads_only=True, every_context=True):
        count, size = count + 1, size + bytes_of_entry + older.get(address, 0)
    removed = 0
    for candidate in sorted(candidates):
        if (most_bytes is None or size <= most_bytes) and (most_entries is None or count <= most_entries):
            break
        if store.remove(candidate.address, only=candidate.write_id):
            removed += 1
        count, size = count - 1, size - candidate.size
    store.counts.deletes += removed
    return removed


def _size(entry: Entry) -> tuple[bytes, int]:
    return entry.digest, entry_size(entry)


def uses_of(store: Store) -> Uses:
    """What is known of when the entries of a stash were read, whether this object limits it or not."""
    found = next((policy.uses for policy in store.policies if hasattr(policy, "uses")), None)
    uses: Uses = Uses() if found is None else found
    uses.refresh(store.engine)
    return uses


def touch(store: Store, key: Any, *, ttl: Any = None) -> bool:
    """Use the entry at *key* without reading its value, and let its time begin anew; return whether it was there.

    *ttl*: its time to live from now on; else that of the stash, if it has one, or else it keeps the end that it has. Only the
    row is written, and no value that lies in a file of its own.
    """
    address = store.keys.address(key)
    store.engine.ensure_writable()
    seconds = _time_to_live(store) if ttl is None else parse_duration(ttl)
    for _ in range(_MOST_RETRIES):
        with alone(store):
            row = store.engine.get(address)
            entry = None if row is None else store.open_row(address, row, key)  # which notes the use
            if entry is None:
                return False
            if seconds is None:
                break
            expected = entry.write_id
            entry.expires_at = time.time_ns() + round(seconds * 1e9)
            entry.write_id = new_write_id()
            if entry.flags & Flag.SIGNED:
                if not entry.is_trusted:
                    raise UntrustedEntry(
                        f"the entry of {shortened(key, _SHOWN_KEY)} is signed by somebody you do not trust"
                    )
                trusting.keyring().sign(entry, store.namespace)
            note_expiring(store)
            if store.engine.swap(address, expected, entry.pack()):
                if not store.append:
                    store.engine.expire(address, entry.expires_at, entry.write_id)
                break
    else:
        raise Conflict(f"{store.engine.location()}: other writers kept changing this key; try again")
    for policy in store.policies:
        policy.publish(store)
    return True


def _time_to_live(store: Store) -> float | None:
    return next((policy.seconds for policy in store.policies if isinstance(policy, TimeToLive)), None)
