"""A limit on what is kept of a cell's output: its beginning and its end stay, the middle is left out and counted."""

from __future__ import annotations

from typing import Any

from hashstash.wording import size_text

MAX_OUTPUT = 64_000_000
"""How much of one cell's output is kept, in characters of its texts and encoded images, if nobody says otherwise."""

_PIECES, _PIECE_WRITES = 64, 1000
"""A stream is kept in pieces of a limit's 64th, or so many writes."""


class Bounds:
    """Keeps a list of events to a size. Whoever adds an event calls :meth:`grew`."""

    def __init__(self, events: list[list[Any]], limit: int) -> None:
        self.events = events
        self.limit = limit
        self.left_out = 0
        self._size = 0
        self._before_last = 0
        """The size without the last event."""
        self._head: int | None = None
        """Where the beginning ends that stays; beyond, the oldest makes room."""

    def text(self, text: str) -> str:
        """One text, cut if it alone is too much."""
        room = self.limit // 4
        if len(text) <= room:
            return text
        return f"{text[: room // 2]}\n{self._note(len(text) - room)}\n{text[-(room // 2) :]}"

    def data(self, data: dict[str, Any]) -> dict[str, Any]:
        """One display; what alone is more than everything may be is a line of text."""
        size = _size_of(data)
        return data if size <= self.limit else {"text/plain": self._note(size)}

    def is_piece_full(self) -> bool:
        """Whether the last event is large enough: what makes room goes event by event."""
        return len(self.events[-1][2]) >= _PIECE_WRITES or self._size - self._before_last > self.limit // _PIECES

    def begins(self) -> None:
        """A new event is about to be added."""
        self._before_last = self._size

    def grew(self, event: list[Any]) -> None:
        """Make room for an event, or for what was added to the last one."""
        self._size += _size_of(event[2:])
        if self._head is None and self._size > self.limit // 2:
            self._head = len(self.events)
        if self._size > self.limit:
            self._make_room()

    def _make_room(self) -> None:
        assert self._head is not None
        end, gone = self._head, 0
        while end < len(self.events) - 1 and self._size - gone > self.limit * 3 // 4:
            gone += _size_of(self.events[end][2:])
            end += 1
        del self.events[self._head : end]
        self._size -= gone
        self._before_last -= gone
        self.left_out += gone

    def noted(self) -> list[list[Any]]:
        """The events, with a line where something is missing."""
        if not self.left_out or self._head is None:
            return self.events
        note = ["stream", "stderr", [f"\n{self._note(self.left_out)}\n"]]
        return [*self.events[: self._head], note, *self.events[self._head :]]

    def _note(self, size: int) -> str:
        return f"[... {size_text(size)} of output not kept: more than max_output, {size_text(self.limit)} ...]"


def _size_of(content: Any) -> int:
    if isinstance(content, str | bytes):
        return len(content)
    if isinstance(content, dict):
        return sum(map(_size_of, content.values()))
    return sum(map(_size_of, content)) if isinstance(content, list | tuple) else 8
