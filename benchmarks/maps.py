"""``python -m benchmarks.maps [--quick] [--systems hashstash joblib]``: W9, a map over many items with two processes.

One process per system, in rounds that take turns; each round has one more process per system, whose first map starts its
pool. The ratios of a round are to a raw pool, which looks nothing up and stores nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Row, answer_of, ask, folder_of, worker_of
from benchmarks.mapped import BUSY as SECONDS_EACH
from benchmarks.mappers import MAPPERS, WORKERS, YARDSTICK
from benchmarks.maps_worker import BUSY, CACHED, COLD, LONGEST, OPERATIONS, SLOW, WARM
from benchmarks.original import is_usable
from benchmarks.table import duration, head, line
from benchmarks.workloads import Target

if TYPE_CHECKING:
    import subprocess

_MODULE = "benchmarks.maps_worker"
_TARGETS = {
    COLD: ("1000 trivial items, each", Target()),
    WARM: ("1000 trivial items, each", Target(seconds=10e-6)),
    CACHED: ("1000 trivial items, each", Target(seconds=3e-6)),
    BUSY: ("busy items", Target()),
}


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    options = _parse(arguments)
    systems = [system for system in options.systems if is_usable(system, MAPPERS[system].package)]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores{load};"
    )
    print(f"{WORKERS} processes; medians ± half of the quartiles' distance;")
    print(f"ratios to a {YARDSTICK} in the same round, below 1 is faster; '-': the system cannot do that\n")
    rows, stuck = measure(systems, options.rounds or (1 if options.quick else 7))
    print(head(systems))
    for row in rows.values():
        print(line(row, systems))
    print(
        f"\n{SLOW} items of {1000 * SECONDS_EACH:g} ms take {WORKERS} processes at least {duration(_ideal())}; efficiency:"
    )
    shares = [(system, rows[BUSY].seconds(system)) for system in systems]
    print(", ".join(f"{system} {_ideal() / seconds:.0%}" for system, seconds in shares if seconds))
    for system, times in stuck.items():
        print(f"{system}: {times} of its maps did not come back within {LONGEST} s, and were given up")
    missed = [row.operation for row in rows.values() if row.is_reached() is False]
    print(f"\ntargets missed: {', '.join(missed) if missed else 'none'}")
    return 0


def _ideal() -> float:
    return SLOW * SECONDS_EACH / WORKERS


class _Contestant:
    """One system and its process; a new one if a map does not come back."""

    def __init__(self, system: str, root: str, stack: ExitStack) -> None:
        self.system = system
        self.lost = 0
        """How many maps did not come back."""
        self._root = root
        self._stack = stack
        self._arguments = [system, folder_of(root, system)]
        self._process: subprocess.Popen[str] | None = None
        self._remembers = True

    def seconds(self, operation: str, number: int) -> float | None:
        """One measurement; ``None`` if the system cannot do that, or does not come back from it."""
        if operation == COLD:
            with worker_of(self.system, _MODULE, [*self._arguments, str(number)], self._root) as process:
                return self._noted(answer_of(process))
        if self._process is None:
            self._process = self._stack.enter_context(worker_of(self.system, _MODULE, self._arguments, self._root))
            if self._noted(remembers := answer_of(self._process)) is None:
                return None
            self._remembers = remembers
        if operation == CACHED and not self._remembers:
            return None
        return self._noted(ask(self._process, json.dumps([operation, number])))

    def _noted(self, answer: Any) -> Any:
        if answer is None:
            self.lost += 1
            self._process = None
        return answer


def measure(systems: list[str], rounds: int) -> tuple[dict[str, Row], dict[str, int]]:
    """The rows of the table, and how many maps of a system did not come back."""
    rows = {name: Row("W9", title, name, target, YARDSTICK) for name, (title, target) in _TARGETS.items()}
    with tempfile.TemporaryDirectory(prefix="hashstash-bench-") as root, ExitStack() as stack:
        contestants = [_Contestant(system, root, stack) for system in systems]
        for number in range(rounds):
            for operation in (*OPERATIONS, COLD):
                for contestant in contestants:
                    seconds = contestant.seconds(operation, number)
                    if seconds is not None:
                        rows[operation].rounds.setdefault(contestant.system, []).append(seconds)
    return rows, {contestant.system: contestant.lost for contestant in contestants if contestant.lost}


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.maps", description="Maps with two processes, compared.")
    parser.add_argument("--systems", nargs="+", choices=list(MAPPERS), default=list(MAPPERS), metavar="NAME")
    parser.add_argument("--rounds", type=int, help="how often all systems take their turn")
    parser.add_argument("--quick", action="store_true", help="one round instead of seven")
    options = parser.parse_args(arguments)
    if YARDSTICK not in options.systems:
        options.systems.insert(0, YARDSTICK)
    return options


if __name__ == "__main__":
    sys.exit(main())
