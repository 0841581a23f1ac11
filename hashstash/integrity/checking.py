"""Looking at every row, every blob file, and the storage as a whole, which changes nothing."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hashstash.blobs import YOUNGEST_ORPHAN
from hashstash.integrity.report import MOST_LISTED, ORPHANS, Problem, Report
from hashstash.integrity.rows import problem_of
from hashstash.integrity.storage import (
    UNREADABLE,
    other_sections,
    problems_of_facts,
    rows_of,
    sections,
    storage_problems,
)
from hashstash.paths import shown
from hashstash.quarantine import BAD
from hashstash.upkeep import orphans

if TYPE_CHECKING:
    from hashstash.store import Store


def check(store: Store) -> Report:
    """Look at every row, every blob file, and the storage as a whole."""
    rows, unlisted = 0, 0
    found: list[Problem] = []
    for section, engine in sections(store):
        for address, blob in rows_of(section, engine, found):
            rows += 1
            problem = problem_of(store, section, engine, address, blob)
            if problem is not None and len(found) < MOST_LISTED:
                found.append(problem)
            else:
                unlisted += problem is not None
    for section, engine in other_sections(store):
        storage_problems(section, engine, found)
    found += [problem for problem in problems_of_facts(store) if problem not in found]
    found += _abandoned(store)
    return Report(shown(store.engine.location()), rows, tuple(found), unlisted, _count_aside(store))


def _count_aside(store: Store) -> int:
    with contextlib.suppress(*UNREADABLE):  # which is among the problems already
        return store.engine.section(BAD).count() if BAD in store.engine.section_names() else 0
    return 0


def _abandoned(store: Store) -> list[Problem]:
    if store.blobs is None or not store.blobs.exists():
        return []
    try:
        names = orphans(store, store.blobs, older_than=YOUNGEST_ORPHAN)
    except UNREADABLE:
        return []  # the storage cannot say which files are in use, which has been reported already
    what = f"{len(names)} blob file{'s' * (len(names) != 1)} that no row points at; repair() removes them"
    return [Problem(what, ORPHANS, shown(store.engine.location()))] if names else []
