"""One reading of a stash for what was searched: in a thread of its own, so that no storage holds up the notebook.

What was found stays as little more than its headers: keys, arguments and notes are cut to what a row of a table shows, and
there is a most of rows. Values are neither read, where the storage can leave them out, nor decoded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import threading
import time
from dataclasses import dataclass, field
from heapq import nlargest, nsmallest
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash import trust as trusting
from hashstash.display.html import attempt
from hashstash.display.search import Found, Search
from hashstash.entries import EntryInfo, describe
from hashstash.entries.table import shown_key
from hashstash.errors import BadEntry, UntrustedEntry
from hashstash.functions.call_key import CallKeyCodec
from hashstash.listing import HEAD, open_head
from hashstash.store import Foreign
from hashstash.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashstash.stash import HashStash
    from hashstash.store import Store

MOST_ROWS = 200_000
"""Rows that are kept in memory; about 500 bytes each."""
_WIDTH = 60
_MOST_NOTES = 10
_MOST_NAMES = 200
_NUMBERS = {"created": "created_at", "size": "size", "seconds": "seconds"}
_EMPTY: Mapping[str, Any] = {}
_ATOMS = (int, float, bool, type(None))


class Text(str):
    """Stands for what is too large to be kept; its ``repr`` is it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Row(NamedTuple):
    """An entry as it was when it was found."""

    info: EntryInfo
    """With a key and notes that were cut."""
    arguments: Mapping[str, Any]
    """Those of the call whose result it is, by name, cut; empty but in the stash of a function."""


def order_of(row: Row, name: str) -> tuple[Any, ...] | None:
    """Where *row* comes in the order of a field, an argument or a note; ``None`` if it has none of that name."""
    value = Found(row.info, row.arguments).value_of(name)
    if value is None or (type(value) is float and math.isnan(value)):
        return None
    if type(value) in (int, float, bool):
        return (0, value)
    text = str(value) if isinstance(value, str) else repr(value)
    # Numbers in a text count as numbers: run 2 comes before run 10.
    parts = re.split(r"(\d{1,15})", text.casefold())
    return (1, *(int(part) if number % 2 else part for number, part in enumerate(parts)))


@dataclass
class Scan:
    """What has been found so far."""

    store: Store
    search: Search
    is_function_stash: bool = False
    rows: list[Row] = field(default_factory=list)
    looked_at: int = 0
    found: int = 0
    size: int = 0
    """Bytes of all that was found, as stored."""
    bad: int = 0
    """Entries that cannot be read."""
    trouble: str = ""
    """Why it could not go on, in words."""
    seconds: float = 0.0
    names: set[str] = field(default_factory=set)
    """Of arguments and notes of all that was looked at, as far as a search may be about them."""

    def __post_init__(self) -> None:
        self._cancelled = threading.Event()
        self._over = threading.Event()
        self._gone: set[bytes] = set()
        self._sorted: tuple[tuple[str, bool], list[Row]] | None = None
        self._thread = threading.Thread(target=self._run, name="hashstash-browse", daemon=True)

    def start(self) -> Scan:
        """Begin to read; returns itself."""
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Stop at the next entry."""
        self._cancelled.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it is over, now or within so many seconds."""
        return self._over.wait(seconds)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to come."""
        return self._over.is_set()

    def _run(self) -> None:
        started = time.monotonic()
        try:
            _, self.trouble = attempt(self._read)
        finally:
            self.seconds = time.monotonic() - started
            self._over.set()

    def _read(self) -> None:
        search, wanted = self.search, list(self.search.names)
        for info in self._infos():
            arguments = self._arguments(info.key)
            looked = Found(info, arguments)
            if wanted:
                self.names.update(name for name in wanted if looked.value_of(name) is not None)
                self._note_names(looked)
            if not search.holds(looked):
                continue
            self.found += 1
            self.size += info.size
            if len(self.rows) < MOST_ROWS:
                self.rows.append(Row(_slim(info), {name: _small(value) for name, value in arguments.items()} or _EMPTY))

    def _note_names(self, looked: Found) -> None:
        """Keep names that may have been meant, while there are not too many."""
        if len(self.names) < _MOST_NAMES:
            self.names.update(_cut(name) for name in (*looked.arguments, *islice(looked.info.meta, _MOST_NOTES)))

    def _infos(self) -> Iterator[EntryInfo]:
        """All entries that a listing shows."""
        store = self.store
        context = store.keys.context()
        for address, head in store.engine.heads(HEAD):
            if self._cancelled.is_set():
                return
            try:
                entry = open_head(store, address, head)
                if entry.metadata[: len(context)] != context or (entry.is_expired() and not self.search.with_expired):
                    continue
                with contextlib.suppress(UntrustedEntry):
                    trusting.check(entry, store.namespace, store.trust)
                info = describe(store, entry)
            except BadEntry:
                self.bad += 1
                continue
            self.looked_at += 1
            yield info

    def _arguments(self, key: Any) -> Mapping[str, Any]:
        return arguments_of(self.store, key) if self.is_function_stash else _EMPTY

    def ordered(self, name: str, start: int, stop: int, *, descending: bool) -> list[Row]:
        """A part of what was found, in the order of *name*; what has none of that name comes last. By storage, if it is empty."""
        is_done = self.is_done  # asked first: what is found from now on is not in the copy
        if self._sorted is not None and self._sorted[0] == (name, descending):
            return self._sorted[1][start:stop]
        rows = [row for row in list(self.rows) if row.info.address not in self._gone]
        if not name:
            return rows[start:stop]
        keyed = _keyed(rows, name)
        there = [one for one in keyed if one[0] is not None]
        rest = [rows[number] for order, number in keyed if order is None]
        if is_done:
            there.sort(key=_by_order, reverse=descending)
            self._sorted = (name, descending), [rows[number] for _, number in there] + rest
            return self._sorted[1][start:stop]
        there = (nlargest if descending else nsmallest)(stop, there, key=_by_order)
        return ([rows[number] for _, number in there] + rest)[start:stop]

    def drop(self, address: bytes) -> None:
        """Forget an entry that is gone."""
        gone = next((row.info for row in list(self.rows) if row.info.address == address), None)
        if gone is not None and address not in self._gone:
            self._gone.add(address)
            self.found -= 1
            self.size -= gone.size
            self._sorted = None


def _keyed(rows: list[Row], name: str) -> list[tuple[Any, int]]:
    if name in _NUMBERS:  # half of the time for the orders that are asked for most
        get = attrgetter(_NUMBERS[name])
        return [(get(row.info), number) for number, row in enumerate(rows)]
    return [(order_of(row, name), number) for number, row in enumerate(rows)]


def _by_order(one: tuple[Any, int]) -> Any:
    return one[0]


def arguments_of(store: Store, key: Any) -> Mapping[str, Any]:
    """The arguments of a stored call by their names, or by their places where no signature tells them."""
    if not (type(key) is tuple and len(key) == 2 and type(key[0]) is tuple and type(key[1]) is dict):
        return _EMPTY
    args, kwargs = key
    named = None
    if isinstance(store.keys, CallKeyCodec):
        with contextlib.suppress(TypeError):  # stored when the function had other parameters
            named = store.keys.binder.named(args, kwargs)
    if named is None:
        return {**{f"arg{number}": value for number, value in enumerate(args, 1)}, **kwargs}
    return named


def _slim(info: EntryInfo) -> EntryInfo:
    key, meta, tags = info.key, info.meta, info.tags
    key = Text(shown_key(info, _WIDTH)) if type(key) is Foreign else _small(key)
    if key is info.key and not meta and not tags:
        return info
    meta = {_cut(name): _small(value) for name, value in islice(meta.items(), _MOST_NOTES)} if meta else _EMPTY
    return dataclasses.replace(info, key=key, meta=meta, tags=tuple(map(_cut, tags[:_MOST_NOTES])))


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else Text(text[: _WIDTH - 1] + "…")


def _small(value: Any) -> Any:
    """*value*, or the beginning of its ``repr`` if it is more than a number or a short text."""
    if type(value) is str and len(value) <= _WIDTH:
        return value
    if type(value) in _ATOMS and not (type(value) is int and value.bit_length() > 256):
        return value
    return Text(shortened(value, _WIDTH))


def scan_of(stash: HashStash, search: Search) -> Scan:
    """A reading of *stash* that has begun."""
    return Scan(stash.store, search, bool(stash.is_function_stash)).start()
