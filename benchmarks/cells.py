"""``python -m benchmarks.cells [--quick] [--systems hashstash joblib]``: what it costs that a cell remembers, in real kernels.

Three tables in one run: the seconds of a hit and of a miss, from the request until the kernel is idle; how fast inputs are
hashed; how much memory it takes while a large frame is an input. One kernel per system and work, in rounds that take turns. A
system whose body runs when it should not, or does not run when it should, is named instead of timed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from statistics import median
from typing import Any

from benchmarks.cell_kernel import CellFailed, Kernel, Timing, counts_memory
from benchmarks.cell_systems import ARRAY, ROWS, SMALL, SYSTEMS, YARDSTICK, CellSystem, Ours, Work, frame_work
from benchmarks.harness import Row, folder_of, private_environment
from benchmarks.original import is_usable
from benchmarks.table import duration, head, line
from benchmarks.workloads import Target

HIT, STAYS, MISS = "hit", "hit, all is there", "miss"
ADDED = {(SMALL.name, HIT): 0.005, (SMALL.name, STAYS): 0.005, (SMALL.name, MISS): 0.010}
"""Seconds that ours may take more than the yardstick."""
LEAST_RATE = 2e9
"""Bytes of inputs that are to be hashed in a second."""
_NEEDED = ("jupyter_client", "ipykernel", "lmdb", "numpy", "pandas", "xxhash")
_TIMES = {False: 5, True: 1}
"""How often each operation runs in a round: of small works, of large ones."""
_ROW_BYTES = 30
"""What a row of the frame takes: two numbers, a name of up to nine letters and where it begins."""


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; 1 if a package is missing without which there are none."""
    options = _parse(arguments)
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        print(f"the benchmark of cells needs {', '.join(missing)}: pip install 'hashstash[bench]'", file=sys.stderr)
        return 1
    systems = [SYSTEMS[name] for name in options.systems if is_usable(name, SYSTEMS[name].package)]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores{load};"
    )
    print("a cell from its request until the kernel is idle; medians ± half of the quartiles' distance;")
    print(f"ratios to the same {YARDSTICK} in the same round; '-': the system does not remember that\n")
    names = [system.name for system in systems]
    print(head(names))
    missed = []
    with tempfile.TemporaryDirectory(prefix="hashstash-bench-") as root:
        works = [work for work in (SMALL, ARRAY, frame_work(ROWS)) if not options.only or work.name in options.only]
        measured = [_Measured(work, systems, root) for work in works]
        for one in measured:
            one.measure(options.rounds or (3 if options.quick else 7))
            for row in one.rows.values():
                print(line(row, names), flush=True)
        print()
        for one in measured:
            missed += one.tell()
        if not options.only or "C4" in options.only:
            missed += _tell_rates(root, 3 if options.quick else 7)
        if not options.only or "C5" in options.only:
            missed += _tell_memory(systems, root, 300_000_000 if options.quick else 1_000_000_000)
    print(f"\ntargets missed: {', '.join(missed) if missed else 'none'}")
    return 0


@dataclass
class _Seat:
    """One system in its kernel, and why it takes no part any more."""

    system: CellSystem
    kernel: Kernel
    number: int = 0
    excuse: str = ""

    def changed(self, work: Work) -> None:
        """Make the inputs such as were never there."""
        self.number += 1
        self.kernel.run(work.change.format(number=self.number), cell_id="change")


@dataclass
class _Measured:
    """One work, done by all systems."""

    work: Work
    systems: list[CellSystem]
    root: str
    rows: dict[str, Row] = field(init=False)
    cpu: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    excuses: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = {
            name: Row(self.work.name, self.work.title, name, Target(), YARDSTICK) for name in (MISS, HIT, STAYS)
        }

    def measure(self, rounds: int) -> None:
        """All rounds, each system in its turn."""
        with ExitStack() as stack:
            seats = [self._seated(system, stack) for system in self.systems]
            for seat in seats:
                self._first(seat)
            for _ in range(rounds):
                for seat in seats:
                    seat.kernel.run(seat.system.tidy(), cell_id="tidy")
                for operation, row in self.rows.items():
                    for seat in seats:
                        self._round(seat, operation, row)
            self.excuses += [f"{self.work.name}, {seat.system.name}: {seat.excuse}" for seat in seats if seat.excuse]

    def _seated(self, system: CellSystem, stack: ExitStack) -> _Seat:
        folder = folder_of(self.root, f"{self.work.name} {system.name}")
        seat = _Seat(system, stack.enter_context(Kernel(folder, private_environment(folder))))
        try:
            seat.kernel.run(system.setup(self.work), cell_id="setup")
        except CellFailed as error:
            seat.excuse = f"cannot be set up: {_last(error)}"
        return seat

    def _first(self, seat: _Seat) -> None:
        """Once without the clock: everything is imported and the store is open."""
        for operation in self.rows:
            if not seat.excuse and _does(seat.system, operation):
                self._time(seat, operation)

    def _round(self, seat: _Seat, operation: str, row: Row) -> None:
        if seat.excuse or not _does(seat.system, operation):
            return
        timings = [found for _ in range(_TIMES[self.work.is_large]) if (found := self._time(seat, operation))]
        if timings:
            name = seat.system.name
            row.rounds.setdefault(name, []).append(median(timing.seconds for timing in timings))
            self.cpu.setdefault((operation, name), []).append(median(timing.cpu for timing in timings))

    def _time(self, seat: _Seat, operation: str) -> Timing | None:
        work, kernel = self.work, seat.kernel
        try:
            if operation == MISS:
                seat.changed(work)
            elif operation == HIT:
                kernel.run(work.forget, cell_id="forget")
            timing = kernel.run(seat.system.cell(work) if operation == MISS else seat.system.hit(work), cell_id="cell")
            check = kernel.run(f"assert {work.outputs[0]} is not None", cell_id="check")
        except CellFailed as error:
            seat.excuse = f"{operation}: {_last(error)}"
            return None
        if timing.runs != (operation == MISS) and seat.system.remembers:
            stale = "a stale result: its inputs had changed, and " if operation == MISS and not timing.runs else ""
            seat.excuse = f"{operation}: {stale}the body ran {timing.runs} times"
            return None
        assert check.runs == 0
        return timing

    def tell(self) -> list[str]:
        """Print what ours adds to the yardstick, and who takes no part; return the targets that were missed."""
        missed = []
        for operation, row in self.rows.items():
            added = _difference(row.rounds.get(Ours.name, []), row.rounds.get(YARDSTICK, []))
            if added is None:
                continue
            times = [self.cpu.get((operation, name), []) for name in (Ours.name, YARDSTICK)]
            cpu = _difference(*times) or 0.0
            limit = ADDED.get((self.work.name, operation))
            verdict = "" if limit is None else f", <= {duration(limit)} {'reached' if added <= limit else 'MISSED'}"
            title = f"{self.work.name} {operation}"
            print(f"{title}: {duration(added)} more than {YARDSTICK} ({duration(cpu)} of the processor){verdict}")
            if limit is not None and added > limit:
                missed.append(title)
        for excuse in self.excuses:
            print(excuse)
        return missed


def _does(system: CellSystem, operation: str) -> bool:
    return {MISS: True, HIT: system.restores, STAYS: system.remembers}[operation]


def _difference(ours: list[float], others: list[float]) -> float | None:
    """The median over the rounds of what ours took more in the same round."""
    differences = [own - other for own, other in zip(ours, others, strict=False)]
    return median(differences) if differences else None


def _last(error: CellFailed) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else "it raised"


# ---- how fast inputs are hashed ------------------------------------------------------------------------------------

_RATES = """
import json, pickle, time
import pandas as pd, xxhash
from hashstash.fingerprint import Fingerprinter

def size_of(value):
    return int(value.memory_usage(deep=True).sum()) if isinstance(value, pd.DataFrame) else value.nbytes

def hashed_by_pickle(value):
    digest = xxhash.xxh3_128()
    pickled = pickle.dumps(value, 5, buffer_callback=lambda buffer: digest.update(buffer.raw()))
    digest.update(pickled)
    return digest.digest()

ways = {
    "hashstash": lambda value: Fingerprinter(namespace={}).walk(value).digest,
    "pickle 5, out of band, xxh3": hashed_by_pickle,
}
try:
    import joblib
    ways["joblib.hash"] = joblib.hash
except ImportError:
    pass

def rates(value, rounds):
    found = {}
    if hasattr(value, "groupby"):
        ways["pd.util.hash_pandas_object"] = lambda frame: pd.util.hash_pandas_object(frame).sum()
    for way in ways.values():
        way(value)
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way(value)
            found.setdefault(name, []).append(time.perf_counter() - started)
    return json.dumps([size_of(value), found])
"""


def _tell_rates(root: str, rounds: int) -> list[str]:
    missed = []
    folder = folder_of(root, "C4")
    with Kernel(folder, private_environment(folder)) as kernel:
        kernel.run(_RATES)
        for work in (ARRAY, frame_work(ROWS)):
            kernel.run(work.setup)
            shown = kernel.run(f"print(rates({work.inputs[0]}, {rounds}))").shown
            size, found = json.loads("".join(shown))
            title = f"C4 {work.title}: hashed"
            print(f"\n{title}, {size / 1e6:.0f} MB, GB/s and ratio to ours: " + ", ".join(_rates_told(size, found)))
            rate = size / median(found[Ours.name])
            verdict = "reached" if rate >= LEAST_RATE else "MISSED"
            print(f"{title}: {rate / 1e9:.2f} GB/s, >= {LEAST_RATE / 1e9:g} {verdict}")
            missed += [title] if rate < LEAST_RATE else []
    return missed


def _rates_told(size: int, found: dict[str, list[float]]) -> Iterator[str]:
    for name, times in found.items():
        ratios = [time / own for time, own in zip(times, found[Ours.name], strict=True)]
        yield f"{name} {size / median(times) / 1e9:.2f} ({median(ratios):.1f}x)"


# ---- memory --------------------------------------------------------------------------------------------------------


def _tell_memory(systems: list[CellSystem], root: str, size: int) -> list[str]:
    """Print how much memory a cell takes at its peak with a frame of *size* bytes as input, beyond what there was."""
    if not counts_memory():
        print("\nC5 memory: left out, since this system does not tell the peak of a process")
        return []
    work = frame_work(size // _ROW_BYTES, "C5", f"frame of {size / 1e9:g} GB as input")
    print(f"\n{work.name} {work.title}: memory at the peak beyond what there was, as a part of the frame")
    missed = []
    for system in systems:
        if system.name != YARDSTICK:
            told, added = _memory(system, work, root)
            is_missed = system.name == Ours.name and added is not None and added >= 1
            verdict = "" if system.name != Ours.name else f"; < 100 % {'MISSED' if is_missed else 'reached'}"
            print(f"{system.name}: {told}{verdict}", flush=True)
            missed += [f"{work.name} memory"] if is_missed else []
    return missed


def _memory(system: CellSystem, work: Work, root: str) -> tuple[str, float | None]:
    folder = folder_of(root, f"{work.name} {system.name}")
    with Kernel(folder, private_environment(folder)) as kernel:
        try:
            kernel.run(system.setup(work), cell_id="setup")
            kernel.run("size = int(frame.memory_usage(deep=True).sum())", cell_id="size")
            size = int(kernel.run("print(size)", cell_id="print").shown[0])
            parts = {name: added / size for name, added in _peaks(kernel, system, work)}
        except CellFailed as error:
            return _last(error), None
    return ", ".join(f"{name} {part:.0%}" for name, part in parts.items()), max(parts.values())


def _peaks(kernel: Kernel, system: CellSystem, work: Work) -> Iterator[tuple[str, int]]:
    """What a miss and a hit take at their peaks; the first cell of all is a small one, so that everything is imported."""
    for operation in (MISS, STAYS) if system.remembers else (MISS,):
        before = kernel.forget_peak()
        kernel.run(system.cell(work) if operation == MISS else system.hit(work), cell_id="cell")
        yield operation, max(0, kernel.peak() - before)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cells", description="Cells that remember, compared.")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--only", nargs="+", choices=["C1", "C2", "C3", "C4", "C5"], metavar="C", help="C1 to C5")
    parser.add_argument("--rounds", type=int, help="how often all systems take their turn")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and 300 MB instead of 1 GB in C5")
    options: Any = parser.parse_args(arguments)
    if YARDSTICK not in options.systems:
        options.systems.insert(0, YARDSTICK)
    return options


if __name__ == "__main__":
    sys.exit(main())
