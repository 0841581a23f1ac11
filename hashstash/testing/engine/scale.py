"""Large rows and many of them: counting costs nothing, and looking at all of them needs little memory."""

from __future__ import annotations

import os
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from hashstash.testing.engine.base import ContractBase
from hashstash.testing.rows import ADDRESS, numbered, row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashstash.engine import Engine

SETTLING = 5.0
"""Seconds that an engine has to notice that nothing changes any more."""
BATCH = 5000


class ScaleContract(ContractBase):
    """A blob of 50 MB; a hundred thousand rows."""

    @pytest.mark.slow
    def test_a_blob_of_50_mb(self, engine: Engine) -> None:
        blob = row("") + os.urandom(1 << 20) * 50
        engine.put(ADDRESS, blob)
        assert self.raw_get(engine, ADDRESS) == blob
        assert engine.get(ADDRESS) == blob
        assert (engine.peek(ADDRESS, 88) or b"")[:88] == blob[:88]
        assert engine.delete(ADDRESS)
        assert (engine.get(ADDRESS), engine.count()) == (None, 0)

    @pytest.mark.slow
    def test_many_rows_are_counted_at_once_and_looked_at_in_little_memory(self, engine: Engine) -> None:
        few = self.many // 100
        self.fill(engine, 0, few)
        at_few = min(_seconds_to_count(engine) for _ in range(10))
        self.fill(engine, few, self.many)
        assert engine.count() == self.many
        for items, most in ((engine.scan(), self.scan_bytes), (engine.rows(), 2 * self.scan_bytes)):
            number, peak = _peak(items)
            assert number == self.many
            assert peak < most
        addresses = [numbered(number)[0] for number in range(self.many)]
        assert all(engine.get_many(addresses[::10]))
        if not self.slow_count:
            self.check_count(engine, at_few)

    def check_count(self, engine: Engine, at_few: float) -> None:
        """Fail if counting takes longer than for a hundredth of the rows, even when the engine had time to settle."""
        deadline = time.monotonic() + SETTLING
        while (at_many := _seconds_to_count(engine)) > 10 * at_few + 0.0005:
            assert time.monotonic() < deadline, f"{at_few * 1e6:.0f} us for few rows, {at_many * 1e6:.0f} us for many"
            time.sleep(0.05)

    def fill(self, engine: Engine, start: int, end: int) -> None:
        for begin in range(start, end, BATCH):
            engine.put_many(numbered(number, "x" * 180) for number in range(begin, min(begin + BATCH, end)))


def _seconds_to_count(engine: Engine) -> float:
    start = time.perf_counter()
    engine.count()
    return time.perf_counter() - start


def _peak(items: Iterable[object]) -> tuple[int, int]:
    """How many *items* there are, and the bytes that Python took at most at one time while it looked at them."""
    tracemalloc.start()
    try:
        number = sum(1 for _ in items)
        return number, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
