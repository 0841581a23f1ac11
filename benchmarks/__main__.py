"""``python -m benchmarks [--quick] [--only W1 W5] [--systems hashstash ...]``: measure, and print one table."""

from __future__ import annotations

import argparse
import platform
import sys
from importlib.util import find_spec

from benchmarks.harness import IMPORTS, run
from benchmarks.original import is_usable
from benchmarks.systems import SYSTEMS, YARDSTICK
from benchmarks.table import head, line
from benchmarks.workloads import WORKLOADS

_NEEDED = ("lmdb", "numpy", "pandas")


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 if a package is missing without which there is none."""
    options = _parse(arguments)
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        print(f"the benchmarks need {', '.join(missing)}: pip install 'hashstash[bench]'", file=sys.stderr)
        return 1
    systems = [system for system in options.systems if is_usable(system, SYSTEMS[system].package)]
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    print(f"{machine}; medians ± half of the quartiles' distance;")
    print(f"ratios to {YARDSTICK} (with pickle) in the same round, below 1 is faster; '-': the system cannot do that\n")
    print(head(systems))
    missed = []
    for row in run(options.only, systems, rounds=options.rounds or (3 if options.quick else 5), quick=options.quick):
        print(line(row, systems), flush=True)
        if row.is_reached() is False:
            missed.append(f"{row.workload} {row.operation}")
    print(f"\ntargets missed: {', '.join(missed) if missed else 'none'}")
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="HashStash beside other stores.")
    names = [*WORKLOADS, IMPORTS]
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="W", help=f"workloads: {' '.join(names)}"
    )
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--rounds", type=int, help="how often all systems take their turn")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and less data")
    options = parser.parse_args(arguments)
    if YARDSTICK not in options.systems:
        options.systems.insert(0, YARDSTICK)
    return options


if __name__ == "__main__":
    sys.exit(main())
