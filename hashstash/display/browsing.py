"""Looking through a stash: what was searched, in an order, page by page, and what can be done with one entry.

This is all of ``stash.browse()`` but its widgets. Nothing here raises for what is stored, or for the storage: what is wrong is
said in words. No value is decoded but that of the entry which is looked at.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from hashstash.display.chosen import Chosen, delete, look, question, why_not_deleted
from hashstash.display.entries import counted_entries
from hashstash.display.html import attempt
from hashstash.display.scanning import MOST_ROWS, Row, Scan, Text, scan_of
from hashstash.display.search import Search
from hashstash.entries.table import expiry_of, kind_of, shown_key
from hashstash.wording import duration, shortened, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashstash.stash import HashStash

_MOST_FILES = 2000
_KEY_WIDTH = 44
_WIDTH = 24
_MOST_ARGUMENTS = 6
_PASSING = ("lock", "-shm", "@")
"""In the names of files that are written by reading, or of sections."""
_ORDERS = {
    "newest first": ("created", True),
    "oldest first": ("created", False),
    "largest first": ("size", True),
    "smallest first": ("size", False),
    "slowest first": ("seconds", True),
    "quickest first": ("seconds", False),
}
_BY_KEY = {"by key": ("key", False), "by key, backwards": ("key", True)}
_AS_STORED = {"as stored": ("", False)}


class Page(NamedTuple):
    """A part of what was found."""

    rows: list[Row]
    number: int
    """Counted from 1."""
    pages: int
    """How many there are, at least 1."""
    start: int
    """How many rows come before these."""


class Browsing:
    """What somebody who looks through a stash sees."""

    def __init__(self, stash: HashStash, *, page_size: int = 15) -> None:
        if type(page_size) is not int or not 1 <= page_size <= 500:
            raise ValueError(f"page_size={page_size!r}; it is a number of rows from 1 to 500")
        self.stash = stash
        self.page_size = page_size
        self.order = "newest first"
        self._search = Search("")
        self._begin()

    # ---- finding -------------------------------------------------------------------------------------------------

    def search(self, text: str) -> None:
        """Look for something else; BadSearch, and nothing changes, where the text has no meaning."""
        self._search = Search(text)
        self._begin()

    def refresh(self) -> None:
        """Read the stash anew."""
        self._begin()

    def cancel(self) -> None:
        """Stop reading."""
        self.scan.cancel()

    def _begin(self) -> None:
        scan: Scan | None = getattr(self, "scan", None)
        if scan is not None:
            scan.cancel()
        self._seen = self.state()
        self.scan = scan_of(self.stash, self._search)

    def state(self) -> object:
        """Something that differs when the files of the stash were written to; ``None`` where it lies in no files."""
        return attempt(self._files)[0]

    def _files(self) -> object:
        engine = self.stash.store.engine
        if not engine.keeps_files:
            return None
        found: list[tuple[str, int, int]] = []
        with os.scandir(engine.location()) as files:
            for file in files:
                if not any(part in file.name for part in _PASSING) and len(found) < _MOST_FILES:
                    status = file.stat()
                    found.append((file.name, status.st_mtime_ns, status.st_size))
        return sorted(found)

    @property
    def has_changed(self) -> bool:
        """Whether the stash was written to since it was read, as far as its files tell."""
        return self.state() != self._seen

    # ---- pages ---------------------------------------------------------------------------------------------------

    def orders(self) -> list[str]:
        """The names of the orders that there are; of arguments, those of the rows found so far."""
        arguments = self._arguments(self.scan.rows[: self.page_size])
        named = [f"by {name}" + after for name in arguments for after in ("", ", backwards")]
        return [*_ORDERS, *(named or _BY_KEY), *_AS_STORED]

    def _order(self) -> tuple[str, bool]:
        known = {**_ORDERS, **_BY_KEY, **_AS_STORED}
        if self.order in known and not (self.order in _BY_KEY and "key" in self._arguments(self.scan.rows[:1])):
            return known[self.order]
        name = self.order.removeprefix("by ").removesuffix(", backwards")
        return f"arg.{name}", self.order.endswith(", backwards")

    def page(self, number: int) -> Page:
        """A page of what was found so far; the last one where there are fewer."""
        scan = self.scan
        there = min(scan.found, len(scan.rows))
        count = max(1, -(-there // self.page_size))
        number = min(max(1, number), count)
        start = (number - 1) * self.page_size
        name, descending = self._order()
        rows = scan.ordered(name, start, start + self.page_size, descending=descending)
        return Page(rows, number, count, start)

    def table(self, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
        """Titles and cells for *rows*: the columns that say anything."""
        arguments = self._arguments(rows)
        columns: dict[str, Callable[[Row], str]] = {}
        if arguments:
            columns |= {name: _argument(name) for name in arguments}
        else:
            columns["key"] = lambda row: shown_key(row.info, _KEY_WIDTH)
        columns |= _COLUMNS
        if all(kind_of(row.info) == "data" for row in rows):
            del columns["kind"]
        cells = [[cell(row) for cell in columns.values()] for row in rows]
        used = [number for number in range(len(columns)) if any(line[number] for line in cells)]
        titles = list(columns)
        return [titles[number] for number in used], [[line[number] for number in used] for line in cells]

    def _arguments(self, rows: Sequence[Row]) -> list[str]:
        return list(dict.fromkeys(name for row in rows for name in row.arguments))[:_MOST_ARGUMENTS]

    def summary(self) -> str:
        """How much was found, and how far the reading is, in words."""
        scan = self.scan
        found = counted_entries(scan.found)
        if not scan.is_done:
            return f"{found} so far, {scan.looked_at:,} looked at…"
        size = f", {size_text(scan.size)}" if scan.size else ""
        if self._search:
            return f"{scan.found:,} of {counted_entries(scan.looked_at)}{size}"
        return f"{found}{size}"

    def notes(self) -> list[str]:
        """Sentences about what the reader should mind."""
        scan = self.scan
        notes = []
        if scan.trouble:
            notes.append(f"The storage cannot be read: {scan.trouble}")
        if scan.bad:
            are = "cannot be read and is" if scan.bad == 1 else "cannot be read and are"
            notes.append(f"{counted_entries(scan.bad).capitalize()} {are} left out; stash.check() says why.")
        if scan.found > MOST_ROWS:
            notes.append(f"Only {MOST_ROWS:,} of them are listed; a search finds the others.")
        advice = self._search.advice(scan.names) if scan.is_done and not scan.trouble and scan.looked_at else ""
        if advice:
            notes.append(advice)
        return notes

    # ---- one entry -----------------------------------------------------------------------------------------------

    def look(self, address: bytes, version: int | None = None, *, decodes_large: bool = False) -> Chosen:
        """The entry at *address*, or a *version* of it, with the head of its value if that may be decoded."""
        return look(self.stash, address, version, decodes_large=decodes_large)

    def why_not_deleted(self) -> str:
        """Why nothing can be deleted here; empty if it can."""
        return why_not_deleted(self.stash)

    def question(self, chosen: Chosen) -> str:
        """What is asked before *chosen* is deleted."""
        return question(self.stash, chosen)

    def delete(self, chosen: Chosen) -> str:
        """Remove what was *chosen*, unless it was written anew since it was looked at; what has come of it, in words."""
        before = self.state()
        words, is_gone = delete(self.stash, chosen)
        if is_gone and chosen.info is not None:
            self.scan.drop(chosen.address)
            if before == self._seen:
                self._seen = self.state()  # this change is known already
        return words


def _argument(name: str) -> Callable[[Row], str]:
    return lambda row: shortened(row.arguments[name], _WIDTH) if name in row.arguments else ""


_COLUMNS: dict[str, Callable[[Row], str]] = {
    "size": lambda row: size_text(row.info.size),
    "kind": lambda row: kind_of(row.info),
    "age": lambda row: duration(max(0.001, row.info.age)),
    "expires": lambda row: expiry_of(row.info),
    "took": lambda row: duration(row.info.seconds) if row.info.seconds else "",
    "version": lambda row: str(row.info.version) if row.info.version > 1 else "",
    "tags": lambda row: shortened(Text(", ".join(row.info.tags)), _WIDTH),
    "meta": lambda row: shortened(
        Text(", ".join(f"{n}={shortened(v, _WIDTH)}" for n, v in row.info.meta.items())), _WIDTH
    ),
}
