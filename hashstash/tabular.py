"""Tables of text for people: aligned lines, and HTML without colours, scripts or ids of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LEFT = ' style="text-align:left"'


@dataclass(frozen=True)
class Table:
    """A title and rows of text, one text for each column; in a notebook it is shown as HTML."""

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What programs may want to know of it; it travels as the metadata ``hashstash`` of the display."""

    def __repr__(self) -> str:
        return "\n".join([self.title, *text_lines(self.columns, self.rows)])

    def _repr_html_(self) -> str:
        return html_of_table(self.title, self.columns, self.rows)

    def _repr_mimebundle_(self, **_wanted: object) -> tuple[dict[str, str], dict[str, Any]]:
        facts = {"title": self.title, **self.facts}
        return {"text/plain": repr(self), "text/html": self._repr_html_()}, {"hashstash": facts}


def text_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A line of titles and a line for each row, aligned; nothing if there are no rows."""
    if not rows:
        return []
    lines = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def html_of_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows as an HTML table with a caption, all of it escaped; only the caption if there are no rows."""
    if not rows:
        return f"<div>{escape(caption)}</div>"
    head = "".join(f"<th{_LEFT}>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td{_LEFT}>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    titled = f"<caption{_LEFT}>{escape(caption)}</caption>" if caption else ""
    return f"<table>{titled}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
