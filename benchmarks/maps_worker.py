"""One process that maps with one system, as often as it is asked.

``main([SYSTEM, FOLDER])`` says whether the system remembers, and then answers each line, an operation and the number of a
round, with the seconds per unit of work. ``main([SYSTEM, FOLDER, ROUND])`` measures the first map of a process instead.
``null`` is the last answer of a system whose map does not come back.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable

from benchmarks import mapped
from benchmarks.mappers import MAPPERS, WORKERS, Items, Mapper
from benchmarks.serializers_worker import TooLong, limited
from benchmarks.worker import own_output, say

COUNT = 1000
SLOW = 40
COLD, WARM, CACHED, BUSY = "cold pool", "warm, new inputs", "all cached", "40 x 20 ms"
LONGEST = 10
"""Seconds after which a map is given up: many times what any of them takes."""
_CHUNKS_EACH = 4
_FAR_AWAY = 10**9


def items_of(number: int, count: int) -> Items:
    """*count* items that no other *number* has."""
    return [(number * count + index,) for index in range(count)]


def measure(mapper: Mapper, function: Callable[..., int], items: Items, chunksize: int) -> float:
    """The seconds of one map; its results live on until the clock has stopped."""
    gc.collect()
    with limited(LONGEST):
        started = time.perf_counter()
        results = mapper.map(function, items, chunksize)
        seconds = time.perf_counter() - started
    assert results == [number + 1 for (number,) in items]
    return seconds


def trivial(mapper: Mapper, number: int) -> float:
    """The seconds per item of a map of trivial items."""
    return measure(mapper, mapped.increment, items_of(number, COUNT), COUNT // (WORKERS * _CHUNKS_EACH)) / COUNT


def remembers(mapper: Mapper) -> bool:
    """Whether a second map calls the function no more; raises if the first has not called it once for each item.

    It starts the pool of this process as well.
    """
    path = os.path.join(mapper.folder, f"calls {os.getpid()}")
    items = [(number, path) for number in range(10)]
    with limited(LONGEST):
        first = mapper.map(mapped.noted, items, 1)
        calls = os.path.getsize(path)
        second = mapper.map(mapped.noted, items, 1)
    assert first == second == [number + 1 for number, _ in items]
    assert calls == len(items), f"{calls} calls for {len(items)} items"
    return os.path.getsize(path) == calls


def warm_up(mapper: Mapper) -> None:
    """A map of some items that no other process has, so that all workers, and the system, know the function."""
    measure(mapper, mapped.increment, items_of(_FAR_AWAY + os.getpid(), 100), 100 // (WORKERS * _CHUNKS_EACH))


OPERATIONS: dict[str, Callable[[Mapper, int], float]] = {
    WARM: trivial,
    CACHED: trivial,  # of the same round, which is stored by now
    BUSY: lambda mapper, number: measure(mapper, mapped.work, items_of(number, SLOW), 1),
}


def main(arguments: list[str]) -> None:
    """Measure an operation for each line on standard input, or the first map of this process."""
    answers = own_output()
    name, folder, *rest = arguments
    mapper = MAPPERS[name](folder)
    try:
        if rest:
            say(answers, trivial(mapper, -1 - int(rest[0])))
            return
        is_memory = remembers(mapper)
        warm_up(mapper)
        say(answers, is_memory)
        for line in sys.stdin:
            operation, number = json.loads(line)
            say(answers, OPERATIONS[operation](mapper, number))
    except TooLong:
        say(answers, None)
