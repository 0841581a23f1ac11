"""A stash as a card: what it is and holds, without decoding a value; what is wrong with it, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.display.card import Card, Column, Facts, Grid, Section
from hashstash.display.entries import counted_entries, grid_of_entries
from hashstash.display.functions import function_of, grid_of_calls
from hashstash.display.html import attempt, rendered
from hashstash.display.reports import grid_of_counts
from hashstash.display.survey import Seen, Survey, survey
from hashstash.entries import EntryInfo, describe
from hashstash.open import FUNCTIONS
from hashstash.paths import is_foreign, shown
from hashstash.wording import counted, duration, shortened, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.entry import Entry
    from hashstash.open import Config
    from hashstash.stash import HashStash
    from hashstash.store import Store

_SHOWN = 5
_MOST_NAMED = 3
_NOT_HERE = frozenset({"raw", "signer", "version"})
_WIDTH = 60


def card_of_stash(stash: HashStash) -> Card:
    """The stash, or what a function keeps in one."""
    store, config = stash.store, stash.config
    found = survey(store, None if config.is_function_stash else config)
    infos = _described(store, found.seen)
    parts = (
        _entries(config, found, infos),
        _below(found),
        _statistics(store, found),
        _settings(config, store.engine.location()),
    )
    kind, name = _title(stash)
    return Card(
        kind,
        name,
        [*_amounts(config, found), *_rules(config)],
        list(_notes(store, config, found)),
        sections=[part for part in parts if part is not None],
    )


def _title(stash: HashStash) -> tuple[str, str]:
    engine, config = stash.store.engine, stash.config
    if not config.is_function_stash:
        return f"{engine.title}HashStash", shown(engine.location())
    function = function_of(config.dbname or "")
    above = (config.dbname or "").rpartition(FUNCTIONS)[0].rstrip("/")
    place = "/".join(part for part in (shown(config.root_dir), above) if part)
    return function.qualname, f"{f'of {function.module}, ' if function.module else ''}in {place}"


# ---- the line of facts ---------------------------------------------------------------------------------------------------


def _amounts(config: Config, found: Survey) -> Iterator[str]:
    """How much there is, and what it has been good for."""
    if found.count is not None:
        is_exact = found.is_missing or (found.seen is not None and found.seen.is_whole)
        some = counted(found.count, "result") if config.is_function_stash else counted_entries(found.count)
        yield some if is_exact or not _hides(found.seen) else f"about {some}"
    if found.seen is not None and found.seen.expired:
        yield f"{_at_least(found.seen)}{found.seen.expired:,} over"
    if found.seen is not None and found.seen.former:
        yield f"{_at_least(found.seen)}{found.seen.former:,} of former versions of the function"
    if found.size:
        yield size_text(found.size)
    if found.total is not None and found.total.seconds_saved:
        yield f"{duration(found.total.seconds_saved)} saved"


def _hides(seen: Seen | None) -> bool:
    return seen is not None and bool(seen.expired or seen.former or seen.bad)


def _at_least(seen: Seen) -> str:
    return "" if seen.is_whole else "at least "


def _rules(config: Config) -> Iterator[str]:
    """How entries are stored, and the rules for them that were chosen."""
    yield f"{config.serializer} + {config.compress}" + (" + b64" if config.b64 else "")
    if config.append_mode:
        yield "keeps versions"
    if config.ttl is not None:
        yield f"ttl {duration(config.ttl)}"
    if config.max_entries is not None:
        yield f"at most {counted_entries(config.max_entries)}"
    if config.max_size is not None:
        yield f"at most {size_text(config.max_size)}"
    if config.value_type is not None:
        yield f"takes {_type_words(config.value_type)}" if isinstance(config.value_type, tuple) else "checks values"
    if config.read_only:
        yield "read only"
    if config.is_tmp:
        yield "temporary"


# ---- notes ---------------------------------------------------------------------------------------------------------------


def _notes(store: Store, config: Config, found: Survey) -> Iterator[str]:
    """What the reader should mind."""
    if found.trouble:
        yield f"The storage cannot be read: {found.trouble}"
    if found.is_missing:
        yield "Its folder is not there: nothing has been stored yet, or somebody has removed it."
    seen = found.seen
    if seen is not None:
        foreign = sum(store.is_foreign(entry) or store.is_foreign_key(entry) for entry in seen.entries)
        if foreign:
            some, are = _some(seen, foreign)
            yield f"{some} stored by somebody you do not trust {are} not decoded; stash.trust() changes that."
        if seen.bad:
            some, _ = _some(seen, seen.bad)
            yield f"{some} cannot be read; stash.check() says why."
    if config.trust == "all":
        yield "trust='all': whoever can write to it can run code here."
    if store.engine.keeps_files and attempt(lambda: is_foreign(config.root_dir))[0]:
        yield "Its folder belongs to other users or can be written by them: their code is not decoded."


def _some(seen: Seen, count: int) -> tuple[str, str]:
    words = f"{_at_least(seen)}{counted_entries(count)}"
    return words[0].upper() + words[1:], "is" if count == 1 else "are"


# ---- sections ------------------------------------------------------------------------------------------------------------


def _described(store: Store, seen: Seen | None) -> list[EntryInfo]:
    """The entries to be shown: the latest where all were seen, else the first; a key that cannot be decoded is left out."""
    if seen is None:
        return []
    chosen: list[Entry] = seen.entries
    if seen.is_whole:
        chosen = sorted(chosen, key=lambda entry: entry.created_at, reverse=True)
    infos = (attempt(lambda entry=entry: describe(store, entry))[0] for entry in chosen[:_SHOWN])  # type: ignore[misc]
    return [info for info in infos if info is not None]


def _entries(config: Config, found: Survey, infos: list[EntryInfo]) -> Section | None:
    if found.seen is None or not infos:
        return None
    is_all = found.seen.is_whole and len(infos) == len(found.seen.entries)
    brief = "" if is_all else f"the {'latest' if found.seen.is_whole else 'first'} {len(infos)}"
    if config.is_function_stash:
        return Section("Calls", grid_of_calls(function_of(config.dbname or "").name, infos), brief)
    return Section("Entries", grid_of_entries(infos, without=_NOT_HERE), brief)


def _below(found: Survey) -> Section | None:
    """What functions and maps keep in the stash."""
    if not found.below:
        return None
    columns = [Column("name", is_code=True), Column("results", is_number=True), Column("kept as")]
    rows = [[one.name, f"{one.count:,}", "whole maps" if one.is_map else "calls"] for one in found.below]
    if not any(one.is_map for one in found.below):
        columns, rows = columns[:2], [row[:2] for row in rows]
    names = list(dict.fromkeys(function_of(one.name).qualname for one in found.below))
    brief = ", ".join(names) if len(names) <= _MOST_NAMED else f"{len(names) + found.more_below:,}"
    return Section("Functions", Grid(columns, rows, found.more_below), brief)


def _statistics(store: Store, found: Survey) -> Section | None:
    if found.total is None or not any(found.total.numbers()):
        return None
    total = found.total
    brief = ", ".join([counted(total.hits, "hit"), f"{total.misses:,} {'miss' if total.misses == 1 else 'misses'}"])
    return Section("Statistics", grid_of_counts(store.counts, total), brief)


def _settings(config: Config, location: str) -> Section:
    values: dict[str, Any] = {
        "rows in": shown(location),
        "root_dir": shown(config.root_dir),
        "dbname": config.dbname,
        "engine": config.engine,
        **dict(config.engine_options),
        "serializer": config.serializer,
        "compress": config.compress,
        "b64": config.b64,
        "append_mode": config.append_mode,
        "ttl": None if config.ttl is None else duration(config.ttl),
        "max_size": None if config.max_size is None else size_text(config.max_size),
        "max_entries": None if config.max_entries is None else f"{config.max_entries:,}",
        "value_type": None if config.value_type is None else _type_words(config.value_type),
        "durability": config.durability,
        "trust": config.trust,
        "read_only": config.read_only,
        "paths": config.paths,
    }
    pairs = [(name, "yes" if value is True else str(value)) for name, value in values.items() if _says_something(value)]
    return Section("Settings", Facts(pairs))


def _says_something(value: Any) -> bool:
    return value is not None and value is not False and value != ""


def _type_words(value_type: Any) -> str:
    types = value_type if isinstance(value_type, tuple) else (value_type,)
    return " or ".join(getattr(one, "__qualname__", None) or shortened(one, _WIDTH) for one in types)


html_of_stash = rendered(card_of_stash)
