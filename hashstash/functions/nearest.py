"""The stored call that is nearest to one that is not: the same arguments for another state of the function come first."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hashstash.entry import Entry, unpack
from hashstash.errors import BadEntry, StashError, UntrustedEntry
from hashstash.fingerprint.walker import MISSING
from hashstash.functions.contexts import read_contexts
from hashstash.functions.differences import Change, changes_between
from hashstash.functions.listed import described, shown
from hashstash.keys import ADDRESS_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.functions.call_key import CallKeyCodec
    from hashstash.functions.memo import Memo

_MOST_COMPARED = 10_000
"""Rows that are looked at: explaining takes a second at most, however many there are."""

Arguments = dict[str, Any]


@dataclass(frozen=True)
class NearCall:
    """A stored call beside which another one is put."""

    context: bytes
    stored_at: float
    seconds: float
    has_same_arguments: bool
    arguments: Arguments | None = None
    """By parameter, as they are listed; ``None`` where only the same address was found."""


def nearest_call(memo: Memo, given: tuple[Any, Any], bound: tuple[Any, ...]) -> NearCall | None:
    """The stored call that explains best why the one that is *given* is not stored; ``None`` if there are no others."""
    now = memo.keys.context()
    contexts = set(read_contexts(memo.store.engine)) - {now}
    listed: list[Entry] = []
    for entry in _entries(memo):
        contexts.add(_context_in(entry))
        listed.append(entry)
    same = [found for found in (_same_call(memo, context, bound) for context in contexts - {now}) if found]
    if same:
        return max(same, key=lambda call: call.stored_at)
    candidates = [entry for entry in listed if _context_in(entry) == now] or listed
    return _closest(memo, candidates, given)


def _entries(memo: Memo) -> Iterator[Entry]:
    """The entries that are not over and can be read, up to a limit."""
    for number, (address, row) in enumerate(memo.store.engine.rows()):
        if number >= _MOST_COMPARED:
            return
        with contextlib.suppress(BadEntry):
            entry = _opened(memo, address, row)
            if entry is not None:
                yield entry


def _opened(memo: Memo, address: bytes, row: bytes) -> Entry | None:
    """The entry if it is not over; one that is foreign is opened too, but never decoded."""
    try:
        return memo.store.open_row(address, row)
    except UntrustedEntry:
        return unpack(row, address)


def _context_in(entry: Entry) -> bytes:
    """The state of the function whose result it is: the beginning of the metadata, whatever users say after it."""
    return entry.metadata[:ADDRESS_SIZE]


def _same_call(memo: Memo, context: bytes, bound: tuple[Any, ...]) -> NearCall | None:
    """The call with the same arguments for the function as it was in *context*."""
    address = memo.keys.address_in(context, bound)
    row = memo.store.engine.get(address)
    if row is None:
        return None
    try:
        entry = _opened(memo, address, row)
    except BadEntry:
        return None
    return None if entry is None else _call_of(entry, has_same_arguments=True)


def _call_of(entry: Entry, *, has_same_arguments: bool, arguments: Arguments | None = None) -> NearCall:
    return NearCall(_context_in(entry), entry.created_at / 1e9, entry.seconds, has_same_arguments, arguments)


def _closest(memo: Memo, entries: list[Entry], given: tuple[Any, Any]) -> NearCall | None:
    """Of *entries*, the newest of those of which the fewest arguments differ."""
    keys = memo.keys
    wanted = {name: _digests_of(keys, value) for name, value in _named(keys, *given).items()}
    best: tuple[tuple[int, float], NearCall] | None = None
    for entry in entries:
        arguments = _arguments_of(memo, entry)
        if arguments is None:
            continue
        differing = sum(not _is_same(keys, arguments, name, wanted) for name in {*arguments, *wanted})
        rank = (-differing, entry.created_at / 1e9)
        if best is None or rank > best[0]:
            best = (rank, _call_of(entry, has_same_arguments=not differing, arguments=arguments))
    if best is None:  # only calls whose arguments cannot be shown
        newest = max(entries, key=lambda entry: entry.created_at, default=None)
        return None if newest is None else _call_of(newest, has_same_arguments=False)
    return best[1]


def _named(keys: CallKeyCodec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """The arguments by parameter; those that go into ``*args`` and ``**kwargs`` one by one."""
    named = keys.binder.named(args, kwargs)
    if named is None:
        return {**{f"argument {number}": value for number, value in enumerate(args)}, **kwargs}
    return named


def _arguments_of(memo: Memo, entry: Entry) -> Arguments | None:
    if memo.store.is_foreign_key(entry):
        return None
    try:
        args, kwargs = memo.keys.decode(entry.key)
        return _named(memo.keys, args, kwargs)
    except (StashError, TypeError, ValueError):
        return None  # the parameters were others then


def _digests_of(keys: CallKeyCodec, value: Any) -> set[bytes]:
    """The digests of the forms in which an argument may be listed."""
    found = set()
    for form in (shown, described):
        with contextlib.suppress(StashError):
            found.add(keys.fingerprint(form(value)))
    return found


def _is_same(keys: CallKeyCodec, arguments: Arguments, name: str, wanted: dict[str, set[bytes]]) -> bool:
    old = arguments.get(name, MISSING)
    if old is MISSING or name not in wanted:
        return False
    with contextlib.suppress(StashError):
        return keys.fingerprint(old) in wanted[name]
    return False


def changed_arguments(memo: Memo, near: NearCall, given: tuple[Any, Any]) -> list[Change]:
    """The arguments of the call that is *given* which are not those of the nearest one, and where they differ."""
    keys = memo.keys
    if near.arguments is None:
        return []
    changes: list[Change] = []
    new = _named(keys, *given)
    for name in dict.fromkeys((*near.arguments, *new)):
        old, value = near.arguments.get(name, MISSING), new.get(name, MISSING)
        if (
            value is not MISSING
            and old is not MISSING
            and _is_same(keys, near.arguments, name, {name: _digests_of(keys, value)})
        ):
            continue
        changes += changes_between(name, old, _as_listed(old, value), keys.fingerprint)
    return changes


def _as_listed(old: Any, new: Any) -> Any:
    """*new* in the form in which *old* is listed, so that the two can be put beside each other."""
    if new is MISSING:
        return new
    is_text = type(old) is str and old.startswith("<") and type(new) is not str
    return described(new) if is_text else shown(new)
