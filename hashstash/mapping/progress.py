"""What a long piece of work tells whoever shows its progress; this layer knows nothing of bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tally:
    """How far the work is, in items."""

    total: int | None = None
    """All items; ``None`` while nobody knows."""
    cached: int = 0
    """Answered from the stash, or equal to another item of the same map."""
    computed: int = 0
    failed: int = 0
    running: int = 0
    """Handed to workers and not yet back."""

    @property
    def done(self) -> int:
        """Items that will not be touched again."""
        return self.cached + self.computed + self.failed


class Progress(Protocol):
    """Shows a tally. Every method may be called from any thread, returns at once and raises nothing."""

    def start(self, label: str, tally: Tally) -> None:
        """The work begins; *label* says what it is, such as ``Mapping __main__.f across 40 objects [2x]``."""

    def update(self, tally: Tally) -> None:
        """The work went on; called as often as it does, which may be thousands of times a second."""

    def close(self, tally: Tally, *, interrupted: bool = False) -> None:
        """Nothing more will come. Called once; what is shown from now on stays as it is."""


class NoProgress:
    """Shows nothing."""

    def start(self, label: str, tally: Tally) -> None:
        """Nothing."""

    def update(self, tally: Tally) -> None:
        """Nothing."""

    def close(self, tally: Tally, *, interrupted: bool = False) -> None:
        """Nothing."""
