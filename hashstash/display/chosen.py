"""One entry that was chosen from a list: what its header says, its versions, the head of its value, and its end.

Nothing here raises for what is stored, or for the storage: what is wrong is said in words. Values of foreign code are never
decoded, and large ones only when asked for.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash import trust as trusting
from hashstash.display.card import Card, Facts, Lines, Section
from hashstash.display.entries import card_of_entry
from hashstash.display.functions import function_of
from hashstash.display.html import attempt
from hashstash.display.preview import Preview, preview_of
from hashstash.display.scanning import arguments_of
from hashstash.entries import EntryInfo, describe
from hashstash.entries.table import shown_key
from hashstash.entry import Entry, unpack
from hashstash.errors import UntrustedEntry
from hashstash.listing import HEAD, open_head
from hashstash.mapping.calls import Call, shown_call
from hashstash.policies.versions import HISTORY, history_address, kept_below, number_in
from hashstash.wording import duration, shortened, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashstash.stash import HashStash
    from hashstash.store import Store

MOST_DECODED = 16 << 20
"""Bytes of a serialized value that are decoded without being asked for."""
PATIENCE = 3.0
"""Seconds for which the notebook waits for a storage, or for a value to be decoded."""
_MOST_VERSIONS = 1000
_NAME_WIDTH = 80
_LONGEST = 4000
"""Characters of a key, or of an argument, that are shown."""
_GONE = "It is not there any more."
_FOREIGN = "Its value is not decoded, for nobody you trust has signed it."


@dataclass(frozen=True, slots=True)
class Chosen:
    """One entry as it was when it was chosen."""

    address: bytes
    info: EntryInfo | None = None
    """Of the version that is shown; ``None`` where it cannot be told."""
    card: Card = field(default_factory=lambda: Card("Entry"))
    versions: Sequence[int] = ()
    """The numbers of all versions that there are, the latest first."""
    version: int = 0
    """The one that is shown."""
    write_id: bytes = b""
    """Which write the latest one was."""
    preview: Preview | None = None
    """``None`` where the value was not decoded."""
    words: str = ""
    """Why it was not."""
    may_decode: bool = False
    """Whether it would be, if asked for."""


class Outcome(NamedTuple):
    """What has come of a removal."""

    words: str
    is_gone: bool
    """Whether the entry is not there any more, whoever has removed it."""


# ---- looking -------------------------------------------------------------------------------------------------------------


def look(stash: HashStash, address: bytes, version: int | None = None, *, decodes_large: bool = False) -> Chosen:
    """The entry at *address*, or a *version* of it, with the head of its value if that may be decoded. Never raises."""
    told: list[Chosen] = []
    _, trouble = attempt(lambda: _look(stash, address, version, told, decodes_large=decodes_large))
    so_far = told[-1] if told else Chosen(address)
    return replace(so_far, words=f"It cannot be read: {trouble}") if trouble else so_far


def _look(stash: HashStash, address: bytes, version: int | None, told: list[Chosen], *, decodes_large: bool) -> None:
    """Append to *told* what is known, and then what more is known: of it, the last remains where the next step fails."""
    store = stash.store
    head = store.engine.peek(address, HEAD)
    if head is None:
        told.append(Chosen(address, words=_GONE))
        return
    newest = open_head(store, address, head)
    versions = _versions(store, newest)
    number = newest.version if version is None else version
    told.append(Chosen(address, versions=versions, version=number, write_id=newest.write_id))
    entry = newest if number == newest.version else _older(store, address, number)
    if entry is None:
        told.append(replace(told[-1], words=f"There is no version {number} any more."))
        return
    _check(store, entry)
    info = describe(store, entry)
    told.append(replace(told[-1], info=info, card=_card_of(stash, info)))
    told.append(_with_value(store, told[-1], entry, decodes_large=decodes_large))


def _versions(store: Store, newest: Entry) -> list[int]:
    if newest.version <= 1:
        return [newest.version]
    kept = kept_below(store.engine, newest.digest, newest.version)
    return [newest.version, *map(number_in, reversed(kept[-_MOST_VERSIONS:]))]


def _older(store: Store, address: bytes, number: int) -> Entry | None:
    row = store.engine.section(HISTORY).get(history_address(address, number))
    return None if row is None else unpack(row, address)


def _check(store: Store, entry: Entry) -> None:
    with contextlib.suppress(UntrustedEntry):
        trusting.check(entry, store.namespace, store.trust)


def _card_of(stash: HashStash, info: EntryInfo) -> Card:
    """What its header says; with all of a long key, or of the arguments of a call."""
    card = card_of_entry(info)
    arguments = arguments_of(stash.store, info.key) if stash.is_function_stash else {}
    if arguments:
        call = shown_call(function_of(stash.dbname or "").name, Call(*info.key), _NAME_WIDTH)
        pairs = [(name, shortened(value, _LONGEST)) for name, value in arguments.items()]
        return replace(card, name=call, sections=[Section("Arguments", Facts(pairs), is_open=True), *card.sections])
    whole = shown_key(info, _LONGEST)
    if len(whole) <= _NAME_WIDTH:
        return card
    lines = [whole[start : start + _NAME_WIDTH] for start in range(0, len(whole), _NAME_WIDTH)]
    return replace(card, sections=[Section("Key", Lines(lines)), *card.sections])


def _with_value(store: Store, told: Chosen, entry: Entry, *, decodes_large: bool) -> Chosen:
    if store.is_foreign(entry):
        return replace(told, words=_FOREIGN)
    if entry.raw_size > MOST_DECODED and not decodes_large:
        words = f"Its value has {size_text(entry.raw_size)}, and is decoded if you ask for it."
        return replace(told, words=words, may_decode=True)
    if entry.unread:
        row = store.engine.get(entry.digest)
        if row is None:
            return replace(told, words=_GONE)
        entry = unpack(row, entry.digest)
        _check(store, entry)
        if store.is_foreign(entry):  # it was replaced meanwhile
            return replace(told, words=_FOREIGN)
    value, trouble = attempt(lambda: (store.value_of(entry),))
    if value is None:
        return replace(told, words=f"Its value cannot be decoded: {trouble}")
    return replace(told, preview=preview_of(value[0]))


# ---- removing ------------------------------------------------------------------------------------------------------------


def why_not_deleted(stash: HashStash) -> str:
    """Why nothing can be deleted here; empty if it can."""
    return attempt(stash.store.engine.ensure_writable)[1]


def question(stash: HashStash, chosen: Chosen) -> str:
    """What is asked before *chosen* is deleted: what goes, and that it does not come back."""
    info = chosen.info
    facts = [] if info is None else [size_text(info.size)]
    if stash.store.append and len(chosen.versions) > 1:
        facts = [f"all {len(chosen.versions):,} versions"]
    facts += [f"took {duration(info.seconds)} to compute"] if info is not None and info.seconds else []
    what = f" ({', '.join(facts)})" if facts else ""
    return f"Delete {chosen.card.name or 'this entry'}{what}? This cannot be undone."


def delete(stash: HashStash, chosen: Chosen) -> Outcome:
    """Remove what was *chosen*, unless it was written anew since it was looked at. Never raises."""
    outcome, trouble = attempt(lambda: _delete(stash.store, chosen))
    return outcome or Outcome(f"It was not deleted: {trouble}", False)


def _delete(store: Store, chosen: Chosen) -> Outcome:
    store.engine.ensure_writable()
    name = chosen.card.name or "It"
    head = store.engine.peek(chosen.address, HEAD)
    if head is None:
        return Outcome(f"{name} was gone already.", True)
    if not chosen.write_id or not store.remove(chosen.address, only=chosen.write_id):
        return Outcome(f"{name} was not deleted: it was written anew since you looked at it.", False)
    store.counts.deletes += 1
    return Outcome(f"{name} was deleted.", True)


# ---- time ----------------------------------------------------------------------------------------------------------------


def within(seconds: float, work: Callable[[], Any], late: Callable[[Any], None]) -> tuple[Any] | None:
    """What *work* gives, in a tuple, if it does so in time; else ``None``, and *late* is called with it in another thread."""
    changed = threading.Condition()
    answers: list[Any] = []
    is_late = False

    def run() -> None:
        answer = work()
        with changed:
            answers.append(answer)
            changed.notify()
            was_late = is_late
        if was_late:
            late(answer)

    threading.Thread(target=run, name="hashstash-browse", daemon=True).start()
    with changed:
        changed.wait_for(lambda: answers, seconds)
        is_late = not answers
        return (answers[0],) if answers else None
