"""What a user may say about one cell, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashstash.cells.bounds import MAX_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


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

    def unknown(self, variables: Collection[str], meant: Collection[str]) -> Iterator[str]:
        """What to tell, when the cell is over, of each name in a flag that no variable has: it may be misspelt.

        *meant* are further names that may stand in all flags but ``--only``: the shell's own, and those that the cell binds
        or deletes somewhere, and that may rightly be missing.
        """
        flags = (
            ("--only", self.only or (), (), "nothing was kept of it"),
            ("--exclude", self.exclude, meant, "nothing was left out"),
            ("--inputs", self.inputs or (), meant, "the cell does not depend on it"),
            ("--also", self.also, meant, "the cell does not depend on it"),
            ("--ignore", self.ignore, meant, "nothing was ignored"),
        )
        for flag, names, others, result in flags:
            for name in sorted(name for name in names if name not in variables and name not in others):
                yield f"{flag} {name}: the cell is over, and there is no such variable; {result}"
