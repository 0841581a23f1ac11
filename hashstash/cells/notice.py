"""A line of ours that is shown while something lasts, and changes with it."""

from __future__ import annotations

import uuid
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashstash.cells.shell import Shell

_STYLE = "font-size:85%;opacity:.75;font-family:inherit"


class Notice:
    """One display that is replaced by the next text, where the front end can; a terminal shows the first and the last."""

    def __init__(self, shell: Shell, **facts: Any) -> None:
        self._shell = shell
        self._facts = facts
        self._id = uuid.uuid4().hex
        self._shown = ""

    @property
    def is_shown(self) -> bool:
        """Whether there is a text to be seen."""
        return bool(self._shown)

    @property
    def can_change(self) -> bool:
        """Whether the display can be replaced."""
        return hasattr(self._shell, "kernel")

    def show(self, text: str) -> None:
        """Show the text, in place of the one before."""
        if text == self._shown:
            return
        markup = f'<div style="{_STYLE}">{escape(text)}</div>'
        extras: dict[str, Any] = {"update": True} if self._shown and self.can_change else {}
        self._shown = text
        self._shell.display_pub.publish(
            {"text/plain": text, "text/html": markup},
            {"hashstash": self._facts},
            transient={"display_id": self._id},
            **extras,
        )
