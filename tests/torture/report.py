"""What a check is, how much of it runs, and what it found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torture.places import Place

MOST_SHOWN = 5


@dataclass(frozen=True)
class Budget:
    """How much is to be done: everything, or a bounded part of it for each run of the tests."""

    is_full: bool
    seed: int = 0

    def __call__(self, *, full: int, short: int) -> int:
        return full if self.is_full else short


@dataclass
class Finding:
    """The figures of one check on one engine, and what went wrong, a sentence each."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be tried, and what it took."""
    seconds: float = 0.0

    def wrong(self, what: str, *, kind: str = "wrong") -> None:
        """Note a failure: *kind* is counted, *what* is shown for the first few."""
        self.counts[kind] += 1
        if len(self.failures) < MOST_SHOWN:
            self.failures.append(what)
        elif len(self.failures) == MOST_SHOWN:
            self.failures.append("...")

    @contextmanager
    def timed(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds = time.monotonic() - began


@dataclass(frozen=True)
class Check:
    """One promise, and what tries to break it."""

    name: str
    run: Callable[[Place, Budget], Finding]
    engines: tuple[str, ...]
    promise: str
    """What must hold, in a sentence that stands behind the name."""
    often: tuple[str, ...] | None = None
    """The engines on which the bounded part tries it; ``None``: all of them."""

    def engines_for(self, budget: Budget) -> tuple[str, ...]:
        """The engines on which it is tried."""
        return self.engines if budget.is_full or self.often is None else self.often


def line(check: Check, engine: str, finding: Finding) -> str:
    """One line: whether it held, the check, the engine, the figures."""
    verdict = "FAIL" if finding.failures else "ok"
    figures = ", ".join(f"{number:,} {name}" for name, number in finding.counts.items())
    notes = "".join(f"; {note}" for note in finding.notes)
    return f"{verdict:4}  {check.name:<24} {engine:<11} {finding.seconds:6.1f} s  {figures}{notes}"
