"""Bars in a terminal, on the standard error: tqdm's where it is installed, else one line of our own."""

from __future__ import annotations

import os
import sys
import threading
import unicodedata
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from hashstash.display.progress_view import View

_NARROWEST_BAR, _WIDEST_BAR = 10, 30
_DEFAULT_COLUMNS, _DEFAULT_ROWS = 80, 24


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at *stream*."""
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):  # a stand-in for a stream, or a closed one
        return False


class TqdmPainter:
    """A bar of tqdm. It counts items; its speed and time leave cached items out."""

    def open(self, view: View) -> None:
        """Draw the bar below those which are there."""
        from tqdm import tqdm

        # On a terminal that does not know its size tqdm would draw nothing.
        known = bool(terminal_columns(sys.stderr))
        size = {"dynamic_ncols": True} if known else {"ncols": _DEFAULT_COLUMNS, "nrows": _DEFAULT_ROWS}
        self._bar: Any = tqdm(total=view.tally.total, desc=view.label or None, file=sys.stderr, **size)
        self.paint(view)

    def paint(self, view: View) -> None:
        """Draw it anew."""
        tally, bar = view.tally, self._bar
        bar.total, bar.n = tally.total, tally.done
        bar.initial = tally.done - tally.computed - tally.failed  # tqdm leaves out what was there when it began
        counts = [(tally.cached, "cached"), (tally.failed, "failed")]
        counts += [(tally.running, "running")] if view.state == "running" else []
        words = [f"{count} {name}" for count, name in counts if count]
        words += ["interrupted"] if view.state == "interrupted" else []
        bar.set_postfix_str(", ".join(words), refresh=False)
        bar.refresh()

    def finish(self, view: View) -> None:
        """Draw it for the last time and go to the next line."""
        self.paint(view)
        self._bar.close()


class TextPainter:
    """A line that is drawn over and over. Of several at once only the first moves, the others say how they ended.

    Where nobody looks at the stream, such as a log file, only that last line is written.
    """

    _turn = threading.Lock()
    """Held by the line that moves."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._width = 0
        self._moves = False

    def open(self, view: View) -> None:
        """Draw the line, if it is this one that moves."""
        if self._stream is None:
            self._stream = sys.stderr
        self._moves = is_terminal(self._stream) and TextPainter._turn.acquire(blocking=False)
        self.paint(view)

    def paint(self, view: View) -> None:
        """Draw the line over the last one."""
        if self._moves:
            self._write(line(view, terminal_columns(self._stream) or _DEFAULT_COLUMNS))

    def finish(self, view: View) -> None:
        """Say how it ended, and leave the line."""
        try:
            self._write(view.text(), end="\n")
        finally:
            self._give_way()

    def __del__(self) -> None:
        self._give_way()

    def _give_way(self) -> None:
        if self._moves:
            self._moves = False
            TextPainter._turn.release()

    def _write(self, text: str, end: str = "") -> None:
        assert self._stream is not None
        blanks = " " * (self._width - columns_of(text))
        self._stream.write(("\r" if is_terminal(self._stream) else "") + text + blanks + end)
        self._stream.flush()
        self._width = columns_of(text)


def terminal_columns(stream: TextIO | None) -> int:
    """How wide the terminal behind *stream* is; 0 where nobody knows."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream is not None else 0
    except (OSError, ValueError, AttributeError):  # no terminal, a closed stream, a stand-in
        return 0


def line(view: View, columns: int) -> str:
    """*view* on one line of a terminal that is so wide; the label gives way first, then the bar."""
    facts = ", ".join([view.count(), *view.facts()])
    room = columns - 1 - columns_of(facts)  # a terminal breaks a line that fills its last column
    total = view.tally.total
    bar = ""
    if total and room >= _NARROWEST_BAR + 3:
        width = max(_NARROWEST_BAR, min(_WIDEST_BAR, room - columns_of(view.heading()) - 3))
        filled = width * min(view.tally.done, total) // total
        bar = "[" + "#" * filled + "." * (width - filled) + "] "
    return cut(cut(view.heading(), max(0, room - len(bar))) + bar + facts, columns - 1)


def cut(text: str, columns: int) -> str:
    """As much of *text* as fits."""
    if columns_of(text) <= columns:
        return text
    kept = ""
    for letter in text:
        if columns_of(kept + letter) > columns - 3:
            break
        kept += letter
    return kept.rstrip() + "... "[: max(0, columns - columns_of(kept.rstrip()))]


def columns_of(text: str) -> int:
    """How many columns of a terminal *text* takes: two for a wide letter, none for an accent on the letter before."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
