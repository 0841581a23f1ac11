"""Entries as cards: a listing, one of them, the versions of a key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashstash.display.card import Card, Column, Facts, Grid, Section
from hashstash.display.html import rendered
from hashstash.display.survey import in_time
from hashstash.entries.table import cells, expiry_of, kind_of, shown_key
from hashstash.tabular import filled
from hashstash.wording import ago, counted, duration, shortened, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashstash.entries import Entries, EntryInfo
    from hashstash.history import VersionInfo, Versions

_SHOWN = 10
_MOST_VERSIONS = 20
_MOST_COUNTED = 10_000
_MOST_SECONDS = 1.0
_MOST_NOTES = 20
_WIDTH = 80
_NUMBERS = frozenset({"size", "raw", "age", "took", "version"})
_CODE = frozenset({"key", "meta"})


class _Read:
    """What has been read of a listing so far."""

    def __init__(self) -> None:
        self.shown: list[EntryInfo] = []
        self.count = self.size = 0
        self.is_whole = False
        self.rows: int | None = None
        """How many there are in all, as the storage says, where the listing is of all."""

    def read(self, entries: Entries) -> None:
        """Go through *entries* for a while."""
        end = time.monotonic() + _MOST_SECONDS
        for info, _ in entries._pairs(warns=False):  # noqa: SLF001 - the text of the listing, which is made too, warns
            if self.count >= _MOST_COUNTED or time.monotonic() > end:
                self.rows = entries.most()
                return
            self.count, self.size = self.count + 1, self.size + info.size
            if self.count <= _SHOWN:
                self.shown.append(info)
        self.is_whole = True

    def in_words(self) -> str:
        """How many entries there are."""
        if self.rows is not None:
            return f"about {counted_entries(self.rows)}"
        return counted_entries(self.count) if self.is_whole else f"more than {counted_entries(self.count)}"


def card_of_entries(entries: Entries) -> Card:
    """How many there are, and a table of the first of them."""
    read = _Read()
    trouble = in_time(lambda: read.read(entries))
    facts = []
    if not trouble or read.count:
        facts.append(read.in_words())
        facts += [size_text(read.size)] if read.size and read.is_whole else []
    shown = list(read.shown)
    if shown and (not read.is_whole or read.count > len(shown)):
        facts.append(f"the first {len(shown)}:")
    return Card(
        "Entries",
        facts=facts,
        notes=[f"The entries cannot be listed: {trouble}"] if trouble else (),
        body=grid_of_entries(shown) if shown else None,
    )


def counted_entries(count: int) -> str:
    """A number of entries."""
    return counted(count, "entry")


def grid_of_entries(shown: Sequence[EntryInfo], *, without: frozenset[str] = frozenset()) -> Grid:
    """A row for each of *shown*; columns that are empty in all of them are left out, and those called *without*."""
    titles, rows = cells(shown)
    used = [number for number, title in enumerate(titles) if title not in without]
    return Grid(_columns([titles[number] for number in used]), [[row[number] for number in used] for row in rows])


def _columns(titles: Sequence[str]) -> list[Column]:
    return [Column(title, title in _NUMBERS, title in _CODE) for title in titles]


def card_of_entry(info: EntryInfo) -> Card:
    """One entry: what its header says, and its notes."""
    facts = [size_text(info.size), info.codec, kind_of(info), f"stored {ago(info.created_at)}"]
    facts += [f"took {duration(info.seconds)}"] if info.seconds else []
    notes = []
    if info.foreign:
        notes.append("It was stored by somebody you do not trust, and is not decoded; stash.trust() changes that.")
    if info.expired:
        notes.append("Its time to live is over.")
    details = [
        ("size", f"{size_text(info.size)} as stored, {size_text(info.raw_size)} before compression"),
        ("created", f"{info.created:%Y-%m-%d %H:%M:%S}"),
        *([("expires", f"{info.expires:%Y-%m-%d %H:%M:%S} ({expiry_of(info)})")] if info.expires is not None else []),
        *([("version", str(info.version))] if info.version > 1 else []),
        ("signer", f"{info.signer or 'nobody'}{' (trusted)' if info.trusted else ''}"),
        ("address", info.address.hex()),
    ]
    sections = [Section("Details", Facts(details))]
    if info.meta or info.tags:
        named = [(str(name), shortened(value, _WIDTH)) for name, value in list(info.meta.items())[:_MOST_NOTES]]
        tags = [("tags", ", ".join(map(str, info.tags[:_MOST_NOTES])))] if info.tags else []
        sections.insert(0, Section("Notes", Facts([*tags, *named]), is_open=True))
    return Card("Entry", shown_key(info, _WIDTH), facts, notes, sections=sections)


def card_of_versions(versions: Versions) -> Card:
    """A row for each version of a key, the latest ones where there are many."""
    shown: list[VersionInfo] = list(versions)[-_MOST_VERSIONS:]
    rows = [
        [
            str(one.version),
            f"{one.created:%Y-%m-%d %H:%M:%S}",
            size_text(one.size),
            duration(one.seconds) if one.seconds else "",
            ", ".join(map(str, one.tags[:_MOST_NOTES])),
            shortened(dict(one.meta), _WIDTH) if one.meta else "",
        ]
        for one in shown
    ]
    titles, cells_of_rows = filled(("version", "created", "size", "took", "tags", "meta"), rows, kept=1)
    facts = [counted(len(versions), "version"), size_text(sum(one.size for one in versions))]
    facts += [f"the latest {len(shown)}:"] if len(shown) < len(versions) else []
    return Card("Versions", facts=facts, body=Grid(_columns(titles), cells_of_rows))


html_of_entries = rendered(card_of_entries)
html_of_entry = rendered(card_of_entry)
html_of_versions = rendered(card_of_versions)
