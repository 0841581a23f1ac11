"""Why a run is not stored, as errors."""

from __future__ import annotations


class NotStored(Exception):
    """The run cannot be recorded; the text says why, in words for the user."""


class NotEqual(NotStored):
    """A value does not come back as it was."""

    def __init__(self, name: str) -> None:
        super().__init__(f"`{name}` would not come back equal (use -x {name})")
        self.name = name
