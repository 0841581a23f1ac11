"""One look at work that goes on: what its tally means at a moment, and how that is said in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hashstash.wording import long_duration

if TYPE_CHECKING:
    from hashstash.mapping.progress import Tally

State = Literal["running", "finished", "interrupted"]

_LONGEST_LABEL = 120


@dataclass(frozen=True, slots=True)
class View:
    """How far the work is, as it is shown at one moment."""

    label: str
    tally: Tally
    state: State = "running"
    elapsed: float = 0.0
    """Seconds since the start."""
    rate: float | None = None
    """Items computed in a second. Items that came from the stash do not count: they say nothing of those to come."""

    @property
    def left(self) -> float | None:
        """Seconds until all is done, if that can be told."""
        total, done = self.tally.total, self.tally.done
        if total is None or not self.rate or done >= total:
            return None
        return (total - done) / self.rate

    def count(self) -> str:
        """``13/40``, or ``13 done`` where nobody knows how many there are."""
        tally = self.tally
        return f"{tally.done} done" if tally.total is None else f"{tally.done}/{tally.total}"

    def facts(self) -> list[str]:
        """What stands behind the count: how it is made up, then how long it takes."""
        tally = self.tally
        parts = [f"{tally.cached} cached"] if tally.cached else []
        parts += [f"{tally.failed} failed"] if tally.failed else []
        if self.state == "running":
            parts += [f"{tally.running} running"] if tally.running else []
            parts += [per_second(self.rate)] if self.rate else []
            parts += [duration(self.elapsed)]
            parts += [f"{duration(self.left)} left"] if self.left is not None else []
        elif self.state == "interrupted":
            parts += [f"interrupted after {duration(self.elapsed)}"]
        else:
            parts += [duration(self.elapsed)]
        return parts

    def heading(self) -> str:
        """The label, ready to stand before the count."""
        return f"{self.label}: " if self.label else ""

    def text(self) -> str:
        """All of it on one line: ``label: 40/40, 12 cached, 1.3 s``."""
        return self.heading() + ", ".join([self.count(), *self.facts()])


def tidy_label(label: str) -> str:
    """*label* as one line of printable text, without the colon at its end."""
    line = "".join(letter for letter in " ".join(str(label).split()) if letter.isprintable()).rstrip(": ")
    return line if len(line) <= _LONGEST_LABEL else line[: _LONGEST_LABEL - 3] + "..."


def duration(seconds: float) -> str:
    """A time that goes on before the reader's eyes: ``20 ms``, ``1.0 s``, ``42 s``, ``5 min 20 s``.

    Other than in :func:`hashstash.wording.duration`, a full second keeps its decimal, so that the line does not jump.
    """
    if seconds < 0.0995:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return long_duration(seconds)


def per_second(rate: float) -> str:
    """A speed for people: ``120/s``, ``3.2/s``, or where an item takes longer than a second ``2.5 s each``."""
    if rate < 1:
        return f"{duration(1 / rate)} each"
    return f"{rate:.1f}/s" if rate < 10 else f"{rate:.0f}/s"
