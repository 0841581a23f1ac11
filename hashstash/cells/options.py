"""What a user may say about one cell, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CellOptions:
    """The flags of ``%%stash``. The defaults are what a cell gets without any."""

    name: str = "notebook"
    only: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    inputs: frozenset[str] | None = None
    also: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    environment: frozenset[str] = frozenset()
    ttl: float | None = None
    """Seconds after which the record is over."""
    force: bool = False
    read_only: bool = False
    dry_run: bool = False
    replays: bool = True
    watches_files: bool = True
    rng: bool = False
    quiet: bool = False
    verbose: bool = False

    def keeps(self, name: str) -> bool:
        """Whether the variable is stored and restored."""
        return name not in self.exclude and (self.only is None or name in self.only)
