"""What a card tells of a stash, asked of its storage within bounds: of rows, of bytes, and of time.

The storage is asked by a thread of its own, and what it has answered in time is shown: a database that another program has
locked, or a server that is away, would hold up the notebook for as long as an engine is patient. Only bytes are read there.
Keys are decoded, and their ``repr`` made, by whoever shows them.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashstash import statistics, upkeep
from hashstash import trust as trusting
from hashstash.display.html import attempt
from hashstash.errors import BadEntry, UntrustedEntry
from hashstash.listing import HEAD, open_head
from hashstash.open import FUNCTIONS, folder_of, function_stashes
from hashstash.registry import ENGINES

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.entry import Entry
    from hashstash.open import Config
    from hashstash.statistics import Counts
    from hashstash.store import Store

PATIENCE = 3.0
"""Seconds that a card waits for a storage."""
MOST_SEEN = 1000
"""Entries that are looked at."""
_MOST_BYTES = 16 << 20
_MOST_SECONDS = 0.5
_MOST_MEASURED = 10_000
"""Rows whose sizes are added up where the storage does not know the sum."""
_MOST_BELOW = 20


@dataclass(slots=True)
class Seen:
    """What a look at the entries has shown."""

    entries: list[Entry] = field(default_factory=list)
    """Those that were seen, in the order of the storage; their payloads need not be there."""
    is_whole: bool = True
    """Whether those are all there are."""
    expired: int = 0
    bad: int = 0
    former: int = 0
    """Results of what a function was formerly."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a function, or a kind of map, keeps below a stash."""

    name: str
    is_map: bool
    count: int


@dataclass(slots=True)
class Survey:
    """What the storage has answered so far; ``None`` where it has not."""

    context: bytes = b""
    """What an entry must carry to belong to a function as it is now."""
    is_missing: bool = False
    seen: Seen | None = None
    count: int | None = None
    """Rows, some of which may be over, or belong to what a function was formerly, if not all of them were looked at."""
    size: int | None = None
    """Bytes."""
    total: Counts | None = None
    below: list[Kept] = field(default_factory=list)
    more_below: int = 0
    trouble: str = ""
    """Why there are no more answers."""


def survey(store: Store, config: Config | None = None) -> Survey:
    """What there is to say of *store*, and with *config* of what lies below it. Never raises, and returns in time."""
    found = Survey()
    found.context = attempt(store.keys.context)[0] or b""  # of a function that cannot be told, all results are shown
    found.trouble = in_time(lambda: _ask(found, store, config))
    return found


def in_time(question: Callable[[], object]) -> str:
    """Ask the *question* in another thread; what has gone wrong in words, or empty text. It is left alone when time is up."""
    troubles: list[str] = []
    asked = threading.Event()

    def ask() -> None:
        troubles.append(attempt(question)[1])
        asked.set()

    threading.Thread(target=ask, name="hashstash-card", daemon=True).start()
    if asked.wait(PATIENCE):
        return troubles[0]
    return f"the storage has not answered within {PATIENCE:g} s; another program may have locked it"


def _ask(found: Survey, store: Store, config: Config | None) -> None:
    """Ask one thing after the other; the first failure ends it, as the next question would wait just as long."""
    engine = store.engine
    found.is_missing = engine.keeps_files and not os.path.exists(engine.location())
    if found.is_missing:
        found.count = 0
        return
    seen = look(store, found.context)
    found.seen = seen
    found.count = len(seen.entries) if seen.is_whole else engine.count()
    if seen.is_whole or engine.knows_size or found.count <= _MOST_MEASURED:
        found.size = upkeep.size_bytes(store)
    found.total = statistics.Stats(store).total
    if config is not None:
        found.below, found.more_below = _kept_below(config)


def look(store: Store, context: bytes = b"") -> Seen:
    """A look at the headers of the first entries, as many as can be seen in little time."""
    seen = Seen()
    size = number = 0
    end = time.monotonic() + _MOST_SECONDS
    for address, head in store.engine.heads(HEAD):
        if number >= MOST_SEEN or size > _MOST_BYTES or time.monotonic() > end:
            seen.is_whole = False
            break
        number, size = number + 1, size + len(head)
        try:
            entry = open_head(store, address, head)
        except BadEntry:
            seen.bad += 1
            continue
        if entry.is_expired():
            seen.expired += 1
        elif entry.metadata[: len(context)] != context:
            seen.former += 1
        else:
            with contextlib.suppress(UntrustedEntry):
                trusting.check(entry, store.namespace, store.trust)
            seen.entries.append(entry)
    return seen


def _kept_below(config: Config) -> tuple[list[Kept], int]:
    """What functions and maps keep, and how many of them are not looked at. Nothing is made for it: no folder, no object."""
    configs = function_stashes(config)
    found = []
    for one in configs[:_MOST_BELOW]:
        kind, _, name = (one.dbname or "")[len(config.dbname or "") :].lstrip("/").partition("/")
        with contextlib.closing(ENGINES.load(one.engine)(folder_of(one), **one.engine_options)) as engine:
            found.append(Kept(name, kind != FUNCTIONS, engine.count()))
    return found, len(configs) - len(found)
