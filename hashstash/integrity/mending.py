"""Mending: damaged storages are written anew, bad rows moved aside, older versions brought back; no row is deleted."""

from __future__ import annotations

import contextlib
from hashlib import blake2b
from typing import TYPE_CHECKING

from hashstash.engine import WRITE_ID, Capability
from hashstash.engines._salvage import remove_drafts
from hashstash.integrity.report import DAMAGE, STORAGE, Problem, Repairs
from hashstash.integrity.rows import place_of, problem_of
from hashstash.integrity.storage import (
    UNREADABLE,
    other_sections,
    problems_of_facts,
    rows_of,
    sections,
    storage_problems,
)
from hashstash.paths import shown
from hashstash.policies.versions import HISTORY, address_in
from hashstash.quarantine import BAD, MOST_ASIDE, MOST_ASIDE_BYTES, bytes_with_blob
from hashstash.upkeep import sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.engine import Engine
    from hashstash.store import Store


def repair(store: Store, *, is_rebuilt: bool = False) -> Repairs:
    """Write damaged storages anew, move bad rows aside and bring back older versions, remove blob files without rows.

    *is_rebuilt*: :func:`rebuild` was called just before, and need not look at everything once more.
    """
    store.engine.ensure_writable()
    rebuilt = () if is_rebuilt else rebuild(store)
    moved: list[Problem] = []
    left: list[Problem] = []
    restored = unmoved = 0
    room = _Aside(store)
    for section, engine in sections(store):
        for address, blob in rows_of(section, engine, left):
            problem = problem_of(store, section, engine, address, blob)
            if problem is None:
                continue
            if problem.kind != DAMAGE or not room.take(engine, address, blob):
                left.append(problem)
                unmoved += problem.kind == DAMAGE and not room.fits(blob)
                continue
            moved.append(problem)
            restored += not section and _bring_back(store, address)
    for section, engine in other_sections(store):
        storage_problems(section, engine, left)
    if any(problem.kind == STORAGE for problem in left):
        left = [problem for problem in left if problem.kind != STORAGE] + _mend_storage(store)
    left += [problem for problem in problems_of_facts(store) if problem not in left]
    swept = sweep(store)
    return Repairs(tuple(moved), restored, swept, tuple(left), rebuilt, unmoved)


def rebuild(store: Store) -> tuple[str, ...]:
    """Write storages anew that cannot give all of their rows; return where they lie."""
    return tuple(_rebuilt(store))


def _rebuilt(store: Store) -> Iterator[str]:
    if Capability.REMOTE in store.engine.capabilities:
        return  # there is nothing that could be written anew, and each row costs its way
    for section, engine in [*sections(store), *other_sections(store)]:
        if Capability.LOCAL_FILES in engine.capabilities:
            remove_drafts(engine.location())
        # Looked at twice: what the system failed to do once, for want of memory or of locks, is no damage.
        is_damaged = _has_problems(section, engine) and _has_problems(section, engine)
        if is_damaged and engine.rebuild(lambda blob, section=section: place_of(section, blob)):  # type: ignore[misc]
            yield shown(engine.location())


def _has_problems(section: str, engine: Engine) -> bool:
    found: list[Problem] = []
    storage_problems(section, engine, found)
    return bool(found)


class _Aside:
    """The section for bad rows, as long as there is room in it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._section = store.engine.section(BAD)
        sizes = [bytes_with_blob(store, row) for _, row in self._section.rows()]
        self._count, self._size = len(sizes), sum(sizes)

    def fits(self, blob: bytes) -> bool:
        """Whether there is room for one more row."""
        return self._count < MOST_ASIDE and self._size + bytes_with_blob(self._store, blob) <= MOST_ASIDE_BYTES

    def take(self, engine: Engine, address: bytes, blob: bytes) -> bool:
        """Move a row there; ``False``, and nothing is changed, if there is no room or somebody has changed it."""
        if not self.fits(blob):
            return False
        size = bytes_with_blob(self._store, blob)
        self._section.put(address + blake2b(blob, digest_size=8).digest(), blob)
        self._count += 1
        self._size += size
        return engine.get(address) == blob and engine.delete_if(address, blob[WRITE_ID])


def _bring_back(store: Store, address: bytes) -> bool:
    """Put the newest older version of an entry in its place, if there is a sound one."""
    if HISTORY not in store.engine.section_names():
        return False
    history = store.engine.section(HISTORY)
    for kept in sorted((kept for kept in history.scan(address) if address_in(kept) == address), reverse=True):
        blob = history.get(kept)
        if blob is not None and problem_of(store, HISTORY, history, kept, blob) is None:
            return store.engine.swap(address, None, blob)
    return False


def _mend_storage(store: Store) -> list[Problem]:
    """What is wrong with the storage after it was written anew, where it can be."""
    left: list[Problem] = []
    for section, engine in [*sections(store), *other_sections(store)]:
        with contextlib.suppress(*UNREADABLE):
            engine.compact()
        storage_problems(section, engine, left)
    return left
