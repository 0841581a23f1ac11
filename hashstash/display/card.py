"""A card as data: what is said of a thing in a notebook, before anybody thinks of how it looks.

A headline, facts that stand below it on one line, notes about what is wrong, and sections that unfold. Every text is plain
text, whoever has written it: the writer (:mod:`hashstash.display.html`) escapes it, and cuts what is too long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a grid."""

    title: str
    is_number: bool = False
    """Whether its cells stand below one another by their ends."""
    is_code: bool = False
    """Whether its cells are what one would write in Python."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cells, one for each column."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    more: int = 0
    """How many rows there are beyond these."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names, and what is to be said of each."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of text whose blanks count."""

    lines: Sequence[str]
    more: bool = False
    """Whether there are more than these."""


Body: TypeAlias = Grid | Facts | Lines


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a card that unfolds; while it is folded, the title and the *brief* words beside it are seen."""

    title: str
    body: Body
    brief: str = ""
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """What there is to say about one thing."""

    kind: str
    """What it is, such as ``LMDBHashStash``."""
    name: str = ""
    """Which one it is."""
    facts: Sequence[str] = ()
    notes: Sequence[str] = ()
    """Sentences about what the reader should mind."""
    body: Body | None = None
    """What is always seen."""
    sections: Sequence[Section] = ()
