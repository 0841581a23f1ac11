"""What a user may say about one cell, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from hashstash.cells.bounds import MAX_OUTPUT


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
    waits: bool = True
    """Whether to wait for another kernel that runs the same cell with the same inputs."""
    quiet: bool = False
    verbose: bool = False
    min_seconds: float = 0.0
    """Seconds that the run must take to be stored."""
    max_size: int | None = None
    """Bytes of variables beyond which the run is not stored."""
    max_output: int = MAX_OUTPUT
    """How much is kept of what the cell shows, in characters; beyond it the middle is left out."""
    shows_value: bool = False
    """The shell runs the cell itself: its last value is displayed while it runs, at its place among the outputs."""

    def keeps(self, name: str) -> bool:
        """Whether the variable is stored and restored."""
        return name not in self.exclude and (self.only is None or name in self.only)
