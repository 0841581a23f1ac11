"""What the checks cost: ``python -m benchmarks.safety [--quick] [--engines lmdb] [--kinds array] [--sizes 1000]``.

Reads with everything checked (checksum, key, sizes and limits, the signature of code) beside the same reads by the same functions
without these checks. Both take turns in one process, in many rounds; the ratio is formed within each round, of processor time,
which other programs disturb least.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from benchmarks.table import duration
from benchmarks.unchecked import unchecked

ENGINES = ("lmdb", "pairtree", "memory")
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000, 8_000_000)
_SMALL, _SMALL_LIMIT = 10_000, 1.10
_LARGE, _LARGE_LIMIT = 1_000_000, 1.35
_BLOCK = 0.004
"""Seconds of reading that a block takes at least."""
_MOST_KEYS = 64
_MOST_BYTES = 16_000_000


def _array(size: int, source: random.Random) -> Any:
    import numpy as np

    return np.random.default_rng(source.randrange(1 << 30)).random(size // 8)


def _records(size: int, source: random.Random) -> Any:
    """Such as a web service gives: some 100 bytes each."""
    one = {"id": 0, "name": "", "score": 0.0, "tags": [], "active": True}
    return [
        {
            **one,
            "id": source.randrange(10**6),
            "name": source.randbytes(12).hex(),
            "score": source.random(),
            "tags": ["a", "b"],
        }
        for _ in range(max(1, size // 100))
    ]


@dataclass
class Reading:
    """An instance of a user's class, such as functions give."""

    name: str
    numbers: list[float]


def _instances(size: int, source: random.Random) -> Any:
    return [Reading(source.randbytes(8).hex(), [source.random() for _ in range(8)]) for _ in range(max(1, size // 100))]


KINDS: dict[str, tuple[str, Callable[[int, random.Random], Any]]] = {
    "array": ("hashstash", _array),
    "records": ("hashstash", _records),
    "code": ("hashstash", _instances),
    "pickle, array": ("pickle", _array),
    "pickle, records": ("pickle", _records),
}
"""By name, the serializer and what is stored. Pickles are the code that is read quickest, so that checks weigh most."""
_MOST_INSTANCES = 100_000
"""Bytes; reading larger ones takes so long that no check shows."""


@dataclass
class Read:
    """A way of reading: what it took with and without checks, seconds per entry, a number for each round."""

    title: str
    checked: list[float] = field(default_factory=list)
    unchecked: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        return [one / other for one, other in zip(self.checked, self.unchecked, strict=True)]


def measure(stash: Any, keys: list[Any], rounds: int, *, is_array: bool) -> list[Read]:
    """The first read of each entry, the first with a look at all of it where it is an array, and those that follow."""
    ways: list[tuple[Read, Callable[[Any], Any], bool]] = [(Read("first"), stash.__getitem__, True)]
    if is_array:
        ways.append((Read("first, summed"), lambda key: stash[key].sum(), True))
    ways.append((Read("repeated"), stash.__getitem__, False))
    for number in range(-1, rounds):  # the first round only warms up
        for read, way, is_first in ways:
            both = [(read.checked, nullcontext), (read.unchecked, unchecked)]
            for found, checks in both if number % 2 else both[::-1]:
                seconds = _block(way, keys, checks, is_first=is_first)
                if number >= 0:
                    found.append(seconds)
    return [read for read, _, _ in ways]


def _block(
    way: Callable[[Any], Any], keys: list[Any], checks: Callable[[], AbstractContextManager[None]], *, is_first: bool
) -> float:
    """Processor seconds per entry; what was read is kept until the clock has stopped."""
    spent, count = 0.0, 0
    with checks():
        for (
            key
        ) in keys:  # the interpreter gets used to these functions, and what is read repeatedly has been read before
            way(key)
        while spent < _BLOCK:
            if is_first:
                _forget()
            started = time.process_time()
            kept = [way(key) for key in keys]
            spent += time.process_time() - started
            count += len(keys)
            del kept
    return spent / count


def _forget() -> None:
    """What this process has verified so far."""
    from hashstash import blobs, trust

    blobs._verified.clear()  # noqa: SLF001
    trust._verified.clear()  # noqa: SLF001


def line(engine: str, kind: str, size: int, read: Read) -> str:
    """Both times, the ratio with half of the distance between its quartiles, and whether it is what it may be."""
    ratios = read.ratios()
    ratio = median(ratios)
    low, _, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else (ratio,) * 3
    limit = _SMALL_LIMIT if size <= _SMALL else _LARGE_LIMIT if size >= _LARGE else None
    verdict = "" if limit is None else f"<= {limit:.2f}x " + ("reached" if ratio <= limit else "MISSED")
    return (
        f"{engine:<9} {kind:<14} {size:>9,} B  {read.title:<14} {duration(median(read.checked)):>9} "
        f"{duration(median(read.unchecked)):>9} {ratio:>7.2f}x ±{100 * (high - low) / 2:.0f}%  {verdict}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    options = _parse(arguments)
    rounds = options.rounds or (5 if options.quick else 15)
    gc.disable()
    print(f"Python {sys.version.split()[0]}; medians of {rounds} rounds of processor time; checksum: {_checksum()}")
    print(f"{'engine':<9} {'value':<14} {'size':>11}  {'read':<14} {'checked':>9} {'not':>9} {'ratio':>8}")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="hashstash-bench-") as root:
        os.environ["XDG_CACHE_HOME"] = os.environ["XDG_STATE_HOME"] = root
        from hashstash import HashStash

        for engine in options.engines:
            for kind in options.kinds:
                serializer, make = KINDS[kind]
                for size in options.sizes:
                    if kind == "code" and size > _MOST_INSTANCES:
                        continue
                    source = random.Random(size)
                    with HashStash(f"{engine}-{kind}-{size}", engine=engine, serializer=serializer) as stash:
                        keys = list(range(max(1, min(_MOST_KEYS, _MOST_BYTES // size))))
                        for key in keys:
                            stash[key] = make(size, source)
                        for read in measure(stash, keys, rounds, is_array="array" in kind):
                            text = line(engine, kind, size, read)
                            missed += "MISSED" in text
                            print(text, flush=True)
                        stash.clear()
    print(f"\n{missed} missed" if missed else "\nall reached")
    return 0


def _checksum() -> str:
    from hashstash.checksum import crc32

    return f"{crc32.__module__}.crc32"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.safety", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="five rounds instead of fifteen")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
