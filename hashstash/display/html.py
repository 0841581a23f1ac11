"""Cards as HTML: the one place that writes it.

There are no scripts, no ids, no classes and no ``<style>``, which other cells would catch: styles stand in the elements, and
only such as JupyterLab leaves in notebooks that it does not trust. Colours are those of the text around. A site that takes
styles away shows the same words in the same order: a headline, a line of facts, lists that unfold.
"""

from __future__ import annotations

import functools
from html import escape
from typing import TYPE_CHECKING, TypeVar

from hashstash.display.card import Body, Card, Column, Facts, Grid, Lines, Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Answer = TypeVar("Answer")
Subject = TypeVar("Subject")

MOST_ROWS = 100
MOST_CHARACTERS = 300
"""Of one piece of text."""
_LONG = 40
"""Characters beyond which a text in a table may have several lines."""
_MOST_COLUMNS = 30
_MOST_SECTIONS = 20
_BETWEEN = " \u00b7 "

_CARD = "margin:4px 0 8px;line-height:1.5;text-align:left"
_HEAD = "overflow-wrap:anywhere"
_QUIET = "opacity:0.65"
_NOTE = "margin:4px 0;padding-left:8px;border-left:3px solid;overflow-wrap:anywhere"
_SUMMARY = "cursor:pointer"
_INSIDE = "margin:2px 0 6px;padding-left:17px;overflow-x:auto"
_WHOLE = "margin:4px 0;overflow-x:auto"
_TABLE = "margin:0;width:auto;border-collapse:collapse;color:inherit;font-size:inherit"
_ROW = "background:none"  # JupyterLab shades every other one, which is too much for tables of a few words
_CELL = "padding:1px 16px 1px 0;text-align:{};vertical-align:top;white-space:nowrap"
_LONG_CELL = _CELL.replace("white-space:nowrap", "min-width:16em;overflow-wrap:anywhere")
"""So that one long text does not push the other columns out of sight."""
_TITLE = _CELL + ";font-weight:normal;opacity:0.65"
_WORDS = "padding:1px 0;text-align:left;vertical-align:top;overflow-wrap:anywhere"
_PRE = "margin:0;padding:0;color:inherit;font-size:inherit;white-space:pre"


def rendered(describe: Callable[[Subject], Card]) -> Callable[[Subject], str]:
    """What *describe* says, as HTML; where that raises, a card that says so: something is always shown, and nothing raised."""

    @functools.wraps(describe)
    def html_of(subject: Subject) -> str:
        card, trouble = attempt(lambda: html_of_card(describe(subject)))
        return card or html_of_card(Card(type(subject).__name__, notes=[f"It cannot be shown: {trouble}"]))

    return html_of


def attempt(question: Callable[[], Answer]) -> tuple[Answer | None, str]:
    """The answer, or ``None`` and what is wrong in words.

    The one place that takes every exception. A card is drawn by the notebook and not asked for by the user's code: whatever an
    engine, its package, or the class of a key raises has to be read on the card, for it would be a traceback in its place.
    """
    try:
        return question(), ""
    except Exception as error:  # noqa: BLE001 - see above
        return None, words_of(error)


def words_of(error: BaseException) -> str:
    """What *error* says, or what it is if it says nothing."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the class of the exception may be anybody's
        text = ""
    return text or type(error).__name__


def html_of_card(card: Card) -> str:
    """The card as one element."""
    parts = [_headline(card)]
    if card.facts:
        parts.append(_div(_BETWEEN.join(map(visible, card.facts)), _HEAD))
    parts += [_div(visible(note), _NOTE) for note in card.notes[:MOST_ROWS]]
    if card.body is not None:
        parts.append(_div(_body(card.body), _WHOLE))
    parts += map(_section, card.sections[:_MOST_SECTIONS])
    return _div("".join(parts), _CARD)


def visible(text: str) -> str:
    """*text* escaped and on one line, without what cannot be seen or turns the direction of what follows, and cut."""
    cut = text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "\u2026"
    if not cut.isprintable():
        cut = "".join(char if char.isprintable() else " " for char in cut)
    return escape(cut)


def _headline(card: Card) -> str:
    name = f' <span style="{_QUIET}">{visible(card.name)}</span>' if card.name else ""
    return _div(f"<b>{visible(card.kind)}</b>{name}", _HEAD)


def _div(content: str, style: str) -> str:
    return f'<div style="{style}">{content}</div>'


def _section(section: Section) -> str:
    brief = f'<span style="{_QUIET}">{_BETWEEN}{visible(section.brief)}</span>' if section.brief else ""
    summary = f'<summary style="{_SUMMARY}">{visible(section.title)}{brief}</summary>'
    start = "<details open>" if section.is_open else "<details>"
    return f"{start}{summary}{_div(_body(section.body), _INSIDE)}</details>"


def _body(body: Body) -> str:
    if isinstance(body, Grid):
        return _grid(body)
    return _facts(body) if isinstance(body, Facts) else _lines(body)


def _grid(grid: Grid) -> str:
    columns, rows = grid.columns[:_MOST_COLUMNS], grid.rows[:MOST_ROWS]
    titles = "".join(f'<th style="{_TITLE.format(_side(column))}">{visible(column.title)}</th>' for column in columns)
    head = f"<thead><tr>{titles}</tr></thead>" if any(column.title for column in columns) else ""
    body = "".join(f'<tr style="{_ROW}">{"".join(map(_cell, columns, row))}</tr>' for row in rows)
    table = f'<table style="{_TABLE}">{head}<tbody>{body}</tbody></table>' if rows else ""
    more = grid.more + len(grid.rows) - len(rows)
    return table + (_div(f"and {more:,} more", _QUIET) if more > 0 else "")


def _cell(column: Column, text: str) -> str:
    words = visible(text)
    # JupyterLab puts a box of its own around <code>.
    code = f"<samp>{words}</samp>" if column.is_code and words else words
    style = _LONG_CELL if len(text) > _LONG and not column.is_code else _CELL
    return f'<td style="{style.format(_side(column))}">{code}</td>'


def _side(column: Column) -> str:
    return "right" if column.is_number else "left"


def _facts(facts: Facts) -> str:
    title = _TITLE.format("left")
    rows = "".join(
        f'<tr style="{_ROW}"><th style="{title}">{visible(name)}</th><td style="{_WORDS}">{visible(what)}</td></tr>'
        for name, what in facts.pairs[:MOST_ROWS]
    )
    return f'<table style="{_TABLE}"><tbody>{rows}</tbody></table>' if rows else ""


def _lines(lines: Lines) -> str:
    shown = lines.lines[:MOST_ROWS]
    more = lines.more or len(shown) < len(lines.lines)
    return _pre([*shown, "..."] if more else shown)


def _pre(lines: Iterable[str]) -> str:
    return f'<pre style="{_PRE}">{chr(10).join(map(visible, lines))}</pre>'
