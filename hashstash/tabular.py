"""Tables of text for people: aligned lines, and in a notebook what :mod:`hashstash.display` makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Table:
    """A title and rows of text, one text for each column; in a notebook it is shown as HTML."""

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What programs may want to know of it; it travels as the metadata ``hashstash`` of the display."""

    def __repr__(self) -> str:
        return "\n".join([*([self.title] if self.title or not self.rows else []), *text_lines(self.columns, self.rows)])

    def _repr_html_(self) -> str:
        from hashstash.display.reports import html_of_table

        return html_of_table(self)

    def _repr_mimebundle_(self, **_wanted: object) -> tuple[dict[str, str], dict[str, Any]]:
        facts = {"title": self.title, **self.facts}
        return {"text/plain": repr(self), "text/html": self._repr_html_()}, {"hashstash": facts}


@dataclass(frozen=True, repr=False)
class Listing(Table):
    """A table with the values from which its rows were written."""

    items: Sequence[Mapping[str, Any]] = ()
    """For each row, its values by their names: sizes in bytes, durations in seconds."""
    fields: Sequence[str] = ()
    """The names of these values."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def df(self) -> Any:
        """The values as a pandas data frame, one row each."""
        import pandas as pd

        names = dict.fromkeys([*self.fields, *(name for item in self.items for name in item)])
        return pd.DataFrame([dict(item) for item in self.items], columns=list(names))


def text_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A line of titles, if there are any, and a line for each row, aligned; nothing if there are no rows."""
    if not rows:
        return []
    lines = [columns, *rows] if any(columns) else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def filled(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, kept: int = 0
) -> tuple[list[str], list[list[str]]]:
    """The columns that have anything in them, and their cells; the first *kept* ones in any case."""
    used = [at for at in range(len(columns)) if at < kept or any(row[at] for row in rows)]
    return [columns[at] for at in used], [[row[at] for at in used] for row in rows]
