"""What each engine costs beside the library underneath it: ``python -m benchmarks.engines [--quick] [--only sqlite]``.

Values are texts of 200 letters. In each round every system fills a new store, then reads and overwrites some of it; the
ratios of a round are to the bare library, used by hand with pickle, and to raw lmdb. ``--json FILE`` keeps the medians.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any, ClassVar

from benchmarks.bare import UNDERNEATH
from benchmarks.servers import running_servers
from benchmarks.systems import OursLmdb, RawLmdb, System
from benchmarks.table import duration

OPERATIONS = ("set many", "len", "iterate", "get", "miss", "set")
_BUDGET = 1.0
"""Seconds after which the single operations of a slow system are counted as they are."""
_MOST = 2000
_LIMIT = 1.5
_LIMITS_TO_LMDB = {("pairtree", "get"): 4.0, ("sqlite", "get"): 4.0, ("sqlite", "set"): 4.0}


@dataclass
class Pair:
    """An engine of ours and the library underneath: seconds per operation, one number for each round."""

    engine: str
    ours: dict[str, list[float]] = field(default_factory=dict)
    bare: dict[str, list[float]] = field(default_factory=dict)
    to_lmdb: dict[str, list[float]] = field(default_factory=dict)

    def to_bare(self, operation: str) -> float | None:
        """The median over the rounds of our time by the bare library's."""
        if operation not in self.bare:
            return None
        return median(own / bare for own, bare in zip(self.ours[operation], self.bare[operation], strict=True))


def ours_on(engine: str, options: dict[str, Any]) -> type[System]:
    """HashStash with that engine, as one of the compared systems."""

    class Ours(OursLmdb):
        name: ClassVar[str] = engine

        def __init__(self, folder: str) -> None:
            System.__init__(self, folder)
            from hashstash import HashStash

            place = folder if not options.get("url") else os.path.basename(folder)
            self._stash = HashStash(place, engine=engine, **options)

    return Ours


def measure(system: type[System], entries: int, root: str) -> dict[str, float]:
    """Seconds per operation on a new store."""
    folder = tempfile.mkdtemp(dir=root)
    store = system(folder)
    source = random.Random(1)
    values = {f"key {number}": source.randbytes(100).hex() for number in range(entries)}
    keys = source.sample(list(values), min(_MOST, entries))
    found = {
        "set many": _time(lambda: store.set_many(list(values.items()))) / entries,
        "len": _each(lambda _: store.count(), range(100)),
        "iterate": _time(lambda: sum(1 for _ in store.items())) / entries,
        "get": _each(store.get, keys),
        "miss": _each(store.miss, ["no " + key for key in keys]),
        "set": _each(lambda key: store.set(key, values[key]), keys),
    }
    assert store.get(keys[0]) == values[keys[0]]
    assert store.count() == entries
    return found


def _time(work: Callable[[], Any]) -> float:
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _each(work: Callable[[Any], Any], keys: Any) -> float:
    gc.collect()
    started = time.perf_counter()
    done = 0
    for key in keys:
        work(key)
        done += 1
        if not done % 10 and time.perf_counter() - started > _BUDGET:
            break
    return (time.perf_counter() - started) / done


def run(engines: list[str], entries: int, rounds: int) -> Iterator[Pair]:
    """The pairs that can be measured here, each when it is done; what cannot is named on standard error."""
    with tempfile.TemporaryDirectory(prefix="hashstash-bench-") as root, running_servers(root) as options:
        os.environ["XDG_CACHE_HOME"] = os.environ["XDG_STATE_HOME"] = root
        for engine in engines:
            if options.get(engine, {}) is None:
                print(f"{engine}: no server is here", file=sys.stderr)
                continue
            pair = Pair(engine)
            system = ours_on(engine.partition(" ")[0], _options(engine) | (options.get(engine) or {}))
            try:
                for _ in range(rounds):
                    _round(pair, system, entries, root)
            except ImportError as error:
                print(f"{engine}: {error}", file=sys.stderr)
                continue
            yield pair


def _options(engine: str) -> dict[str, Any]:
    return {"shared": True} if engine == "memory shared" else {}


def _round(pair: Pair, system: type[System], entries: int, root: str) -> None:
    yardstick = measure(RawLmdb, entries, root)
    bare = UNDERNEATH.get(pair.engine)
    for operation, seconds in (measure(bare, entries, root) if bare else {}).items():
        pair.bare.setdefault(operation, []).append(seconds)
    for operation, seconds in measure(system, entries, root).items():
        pair.ours.setdefault(operation, []).append(seconds)
        pair.to_lmdb.setdefault(operation, []).append(seconds / yardstick[operation])


def lines(pair: Pair) -> Iterator[str]:
    """One line for each operation: our time, the bare library's, the ratios, and whether the figures are reached."""
    for operation in OPERATIONS:
        ours, ratio = median(pair.ours[operation]), pair.to_bare(operation)
        bare = "-" if ratio is None else duration(median(pair.bare[operation]))
        to_lmdb = median(pair.to_lmdb[operation])
        limit = _LIMITS_TO_LMDB.get((pair.engine, operation))
        verdicts = []
        if ratio is not None:
            verdicts.append("reached" if ratio <= _LIMIT else f"MISSED {_LIMIT}x of the bare library")
        if limit is not None and to_lmdb > limit:
            verdicts.append(f"MISSED {limit:g}x of raw lmdb")
        shown = "-" if ratio is None else f"{ratio:.2f}x"
        yield (
            f"{pair.engine:<14}{operation:<10}{duration(ours):>10}{bare:>12}{shown:>10}{to_lmdb:>10.1f}x  "
            + "; ".join(verdicts)
        )


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    everything = [*UNDERNEATH, "memory shared", "ultradict"]
    parser.add_argument("--quick", action="store_true", help="one round with 2,000 entries")
    parser.add_argument("--only", nargs="+", choices=everything, default=everything, metavar="ENGINE")
    parser.add_argument("--entries", type=int, help="how many entries each store holds; 10,000 by default")
    parser.add_argument("--rounds", type=int, help="3 by default")
    parser.add_argument("--json", metavar="FILE", help="keep the medians, seconds per operation, in FILE")
    options = parser.parse_args(arguments)
    entries = options.entries or (2_000 if options.quick else 10_000)
    print(f"{entries:,} entries; medians of {options.rounds or (1 if options.quick else 3)} rounds")
    print(f"{'engine':<14}{'operation':<10}{'ours':>10}{'bare':>12}{'to bare':>10}{'to lmdb':>11}")
    kept = {}
    for pair in run(options.only, entries, options.rounds or (1 if options.quick else 3)):
        print("\n".join(lines(pair)), flush=True)
        kept[pair.engine] = {operation: median(seconds) for operation, seconds in pair.ours.items()}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"entries": entries, "seconds": kept}, file, indent=1)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
