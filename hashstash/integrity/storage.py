"""What the storage of a stash can give, section by section, and what it cannot."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from hashstash.errors import BadEntry, CorruptEntry, StashFull
from hashstash.integrity.report import MOST_LISTED, STORAGE, Problem
from hashstash.key_codec import recorded_hash
from hashstash.paths import shown
from hashstash.policies.versions import HISTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.engine import Engine
    from hashstash.store import Store

UNREADABLE = (BadEntry, OSError)
_BATCH = 100


def other_sections(store: Store) -> list[tuple[str, Engine]]:
    """What the stash keeps beside its entries."""
    names = [name for name in store.engine.section_names() if name != HISTORY]
    return [(name, store.engine.section(name)) for name in names]


def sections(store: Store) -> list[tuple[str, Engine]]:
    """The entries, and their history, with which they share the namespace."""
    found = [("", store.engine)]
    if HISTORY in store.engine.section_names():
        found.append((HISTORY, store.engine.section(HISTORY)))
    return found


def rows_of(section: str, engine: Engine, found: list[Problem]) -> Iterator[tuple[bytes, bytes]]:
    """Every row that the storage can give; what it cannot is added to *found*."""

    def note(what: object, address: bytes = b"") -> None:
        if isinstance(what, (ConnectionError, TimeoutError, StashFull)):
            raise what  # a server that is away, or a full disk, says nothing about what is stored
        problem = Problem(str(what), STORAGE, shown(engine.location()), section, address)
        if len(found) < MOST_LISTED and not any(problem.is_told_by(other) for other in found):
            found.append(problem)

    try:
        for what in engine.check():
            note(what)
    except UNREADABLE as error:
        note(error)
    addresses: Iterator[bytes] | None = None
    while True:
        try:
            addresses = engine.scan() if addresses is None else addresses
            batch = list(islice(addresses, _BATCH))
        except UNREADABLE as error:
            note(error)
            return
        if not batch:
            return
        done = 0
        try:
            for address, blob in zip(batch, engine.get_many(batch), strict=False):
                done += 1
                row = (
                    engine.get(address) if blob is None else blob
                )  # where many are asked for, what is no row may be left out
                if row is not None:
                    yield address, row
                elif _is_listed(engine, address):
                    note("the storage lists the row and does not find it", address)
        except UNREADABLE:
            for address in batch[done:]:
                try:
                    alone = engine.get(address)
                except UNREADABLE as error:
                    note(error, address)
                else:
                    if alone is not None:
                        yield address, alone


def _is_listed(engine: Engine, address: bytes) -> bool:
    """Whether there is still said to be a row, and none can be had."""
    return any(found == address for found in engine.scan(address)) and engine.get(address) is None


def problems_of_facts(store: Store) -> list[Problem]:
    """Whether the stash does not say any more how its large keys are hashed, and so how they are found."""
    try:
        recorded_hash(store.engine)
    except CorruptEntry as error:
        return [Problem(str(error), STORAGE, shown(store.engine.location()))]
    except UNREADABLE:
        pass  # the section itself cannot be read, which has been reported already
    return []


def storage_problems(section: str, engine: Engine, found: list[Problem]) -> None:
    """Add to *found* what is wrong with the storage of a section, and not with single rows."""
    for _ in rows_of(section, engine, found):
        pass
