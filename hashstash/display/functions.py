"""Functions with a memory as cards: their calls, why a call would be computed, what they have been good for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from hashstash.display.card import Card, Column, Facts, Grid, Section
from hashstash.display.html import rendered
from hashstash.entries.table import kind_of, shown_key
from hashstash.mapping.calls import Call, shown_call
from hashstash.open import FUNCTIONS
from hashstash.paths import original_name
from hashstash.wording import counted, duration, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashstash.entries import EntryInfo
    from hashstash.functions.explain import Explanation
    from hashstash.functions.memo import CacheInfo

_WIDTH = 80


class FunctionName(NamedTuple):
    """What is known of a function by the name of its folder."""

    module: str
    qualname: str

    @property
    def name(self) -> str:
        """As one would call it."""
        return self.qualname.rpartition(".")[2]


def function_of(dbname: str) -> FunctionName:
    """The function whose results lie in the namespace *dbname*."""
    encoded = dbname.rpartition(f"{FUNCTIONS}/")[2]
    parts = original_name(encoded).split(".")
    # Of ``package.module.Class.method`` only the modules that are loaded tell where the class begins.
    modules = (size for size in range(len(parts) - 1, 0, -1) if ".".join(parts[:size]) in sys.modules)
    size = next(modules, _before_locals(parts))
    return FunctionName(".".join(parts[:size]), ".".join(parts[size:]))


def _before_locals(parts: list[str]) -> int:
    """How many parts name the module, as far as can be told: all before the outermost function."""
    return (parts.index("<locals>") if "<locals>" in parts else len(parts)) - 1


def grid_of_calls(name: str, shown: Sequence[EntryInfo]) -> Grid:
    """A row for each stored call of the function called *name*."""
    columns = [Column("call", is_code=True), *(Column(title, is_number=True) for title in ("took", "size", "age"))]
    rows = [
        [
            _call_of(name, info),
            duration(info.seconds) if info.seconds else "",
            size_text(info.size),
            duration(max(0.001, info.age)),
            kind_of(info),
        ]
        for info in shown
    ]
    return Grid([*columns, Column("kind")], rows)


def _call_of(name: str, info: EntryInfo) -> str:
    """The call as one would write it; a placeholder where its arguments are foreign code."""
    key = info.key
    if isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], tuple) and isinstance(key[1], dict):
        return shown_call(name, Call(*key), _WIDTH)
    return shown_key(info, _WIDTH)


def card_of_explanation(explanation: Explanation) -> Card:
    """Whether a call would be answered, and if not, what has changed since the nearest one."""
    columns = [Column("what"), Column("was", is_code=True), Column("is", is_code=True)]
    rows = [[change.name, change.old, change.new] for change in explanation.changes]
    if rows and not any(old or new for _, old, new in rows):
        columns, rows = columns[:1], [row[:1] for row in rows]
    return Card(
        explanation.call,
        facts=[explanation.in_words()],
        sections=[Section("Changes", Grid(columns, rows), is_open=True)] if rows else (),
    )


def card_of_cache_info(info: CacheInfo) -> Card:
    """What a function has done in this process, and how many results there are."""
    reads = info.hits + info.misses
    rate = [f"{info.hits / reads:.0%} of {counted(reads, 'call')} answered from the stash"] if reads else []
    pairs = [("hits", f"{info.hits:,}"), ("misses", f"{info.misses:,}"), ("stored results", f"{info.size:,}")]
    return Card("Cache info", facts=rate, body=Facts(pairs))


html_of_explanation = rendered(card_of_explanation)
html_of_cache_info = rendered(card_of_cache_info)
