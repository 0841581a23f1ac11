"""Why a run is not stored, as errors."""

from __future__ import annotations


class NotStored(Exception):
    """The run cannot be recorded; the text says why, in words for the user."""


class NotEqual(NotStored):
    """A value does not come back as it was."""

    def __init__(self, name: str) -> None:
        variable, _, is_changed = name.partition(" (changed")
        what = f"what was changed in `{variable}`" if is_changed else f"`{variable}`"
        super().__init__(
            f"{what} would not come back equal{f' (use -x {variable})' if variable.isidentifier() else ''}"
        )
