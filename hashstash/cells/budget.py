"""How long looking at a cell's inputs may take: a cell that will turn out quick must not wait for gigabytes to be hashed.

Nothing is guessed where the time is over: the cell runs as if it were not stashed, and is not recorded.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from hashstash.errors import StashError
from hashstash.wording import duration

if TYPE_CHECKING:
    from collections.abc import Callable


class OutOfTime(StashError):
    """Looking at the inputs was given up."""


_MOST_WAITING = 4
"""So many times as long may it take while other processes have the processor, or files are read."""


class Budget:
    """A time within which the inputs are looked at, or not at all."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        """Of this thread's work; ``math.inf`` for as long as it takes."""
        self.was_spent = False
        self.used = 0.0
        """Seconds that passed between :meth:`start` and :meth:`stop`."""
        self._started: tuple[float, float] | None = None

    def start(self) -> None:
        """The time runs from now on."""
        self._started = time.monotonic(), time.thread_time()

    def stop(self) -> None:
        """The inputs have been looked at: whatever comes now may take its time."""
        if self._started is not None:
            self.used = time.monotonic() - self._started[0]
            self._started = None

    @property
    def checker(self) -> Callable[[], None] | None:
        """:meth:`check`, or ``None`` where there is no end of the time to look for."""
        return None if math.isinf(self.seconds) else self.check

    def check(self) -> None:
        """Raise :class:`OutOfTime` once the time is over."""
        if self._started is None:
            return
        waited, worked = time.monotonic() - self._started[0], time.thread_time() - self._started[1]
        if worked > self.seconds or waited > self.seconds * _MOST_WAITING:
            self.was_spent = True
            raise OutOfTime(f"looking at its inputs takes longer than {duration(self.seconds)}")
