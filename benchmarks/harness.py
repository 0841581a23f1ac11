"""Runs workloads on systems: one process for each pair, in rounds that take turns, and what came out of it.

The machine's mood changes by the second, so a ratio is formed within each round, where all systems ran one after the
other, and the median over the rounds is reported.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from benchmarks import original
from benchmarks.systems import SYSTEMS, YARDSTICK, OursLmdb, OursPairtree, System
from benchmarks.workloads import WORKLOADS, Target

IMPORTS = "W10"
_IMPORT_TARGETS = {"import": Target(None, 0.015), "import, open, set, get": Target(None)}
_FIRST_USE = (
    "from benchmarks.systems import SYSTEMS; import sys; system = SYSTEMS[sys.argv[1]](sys.argv[2]);"
    " system.set('a', 1); assert system.get('a') == 1"
)
_START = (
    "import sys; from importlib import import_module; sys.path.append(sys.argv.pop(1));"
    " import_module(sys.argv.pop(1)).main(sys.argv[1:])"
)
"""The project comes last on the path: where another release of HashStash is installed, that one is meant."""
_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LAST_WAIT = 60
"""Seconds that a worker has to end."""


@dataclass
class Row:
    """One operation of one workload: the seconds of each system, one number for each round."""

    workload: str
    title: str
    operation: str
    target: Target
    yardstick: str = YARDSTICK
    rounds: dict[str, list[float]] = field(default_factory=dict)

    def seconds(self, system: str) -> float | None:
        """The median over the rounds."""
        return median(self.rounds[system]) if self.rounds.get(system) else None

    def spread(self, system: str) -> float:
        """Half of the distance between the quartiles, as a part of the median."""
        rounds = self.rounds[system]
        if len(rounds) < 2:
            return 0.0
        low, _, high = quantiles(rounds, n=4, method="inclusive")
        return (high - low) / 2 / median(rounds)

    def ratio(self, system: str) -> float | None:
        """The median over the rounds of the system's time by the yardstick's in the same round.

        Time over a bare interpreter is a difference, which noise can turn negative: such a round gives no ratio.
        """
        pairs = list(zip(self.rounds.get(system, ()), self.rounds.get(self.yardstick, ()), strict=False))
        ratios = [own / yardstick for own, yardstick in pairs if min(own, yardstick) > 0]
        return median(ratios) if ratios else None

    def is_reached(self, system: str = OursLmdb.name) -> bool | None:
        """Whether *system*, one of ours, reached the target; ``None`` where there is none."""
        limit = {OursLmdb.name: self.target.ratio, OursPairtree.name: self.target.pairtree}[system]
        ratio, seconds = self.ratio(system), self.seconds(system)
        if seconds is None or (limit is None and self.target.seconds is None):
            return None
        in_ratio = limit is None or (ratio is not None and ratio <= limit)
        return in_ratio and (self.target.seconds is None or seconds <= self.target.seconds)


def run(workloads: Iterable[str], systems: Iterable[str], *, rounds: int, quick: bool) -> Iterator[Row]:
    """The rows of each workload, as soon as it has been measured."""
    chosen = list(systems)
    for name in workloads:
        with tempfile.TemporaryDirectory(prefix="hashstash-bench-") as root:
            if name == IMPORTS:
                yield from _measure_imports(chosen, rounds, root)
            else:
                yield from _measure(name, chosen, rounds, root, quick=quick)


def _measure(name: str, systems: list[str], rounds: int, root: str, *, quick: bool) -> Iterator[Row]:
    workload = WORKLOADS[name]
    rows = {operation: Row(name, workload.title, operation, target) for operation, target in workload.targets.items()}
    flags = ["quick"] if quick else []
    with ExitStack() as stack:
        workers = {}
        for system in systems:
            arguments = [system, name, folder_of(root, system), *flags]
            worker = stack.enter_context(worker_of(system, "benchmarks.worker", arguments, root))
            if answer_of(worker):
                workers[system] = worker
        for _ in range(min(rounds, workload.most_rounds)):
            for system, worker in workers.items():
                _add(rows, system, ask(worker, "round"))
                _add(rows, system, _in_new_process(system, name, root, flags))
    yield from (row for row in rows.values() if row.rounds)


def _add(rows: Mapping[str, Row], system: str, blocks: Mapping[str, list[float]]) -> None:
    for operation, seconds in blocks.items():
        rows[operation].rounds.setdefault(system, []).append(median(seconds))


def folder_of(root: str, system: str) -> str:
    """Where a system keeps what it stores."""
    folder = os.path.join(root, system.replace(" ", "_"))
    os.makedirs(folder, exist_ok=True)
    return folder


def private_environment(root: str) -> dict[str, str]:
    """No setting and no key of the user's takes part, and compiled modules are kept as they are in any installation."""
    private = {f"XDG_{kind}_HOME": os.path.join(root, kind.lower()) for kind in ("CACHE", "STATE", "CONFIG")}
    left_out = ("HASHSTASH_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    path = os.pathsep.join(filter(None, [_PROJECT, os.environ.get("PYTHONPATH")]))
    compiled = os.path.join(root, "compiled")
    return kept | private | {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": compiled}


@contextmanager
def worker_of(system: str, module: str, arguments: list[str], root: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the ``main`` of a *module*; it ends with the block, or with all that it started is killed."""
    is_original = system == original.NAME
    python = original.interpreter() if is_original else sys.executable
    environment = private_environment(root) | ({"HOME": root, "PYTHONPATH": ""} if is_original else {})
    with subprocess.Popen(
        [python, "-c", _START, _PROJECT, module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=root,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()  # the end of its input ends the worker
            try:
                process.wait(timeout=_LAST_WAIT)
            except subprocess.TimeoutExpired:
                _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """End the worker and the processes of its pools."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def ask(worker: subprocess.Popen[str], question: str) -> Any:
    """The answer of a worker to a line."""
    assert worker.stdin is not None
    worker.stdin.write(question + "\n")
    worker.stdin.flush()
    return answer_of(worker)


def answer_of(worker: subprocess.Popen[str]) -> Any:
    """The next answer of a worker."""
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError(f"a worker ended with {worker.wait()}: {worker.args!r}; its message is above")
    return json.loads(line)


def _in_new_process(system: str, name: str, root: str, flags: list[str]) -> dict[str, list[float]]:
    if not WORKLOADS[name].is_fresh:
        return {}
    arguments = [system, name, folder_of(root, system), "fresh", *flags]
    with worker_of(system, "benchmarks.worker", arguments, root) as worker:
        answer_of(worker)
        answer: dict[str, list[float]] = answer_of(worker)
    return answer


def _measure_imports(systems: list[str], rounds: int, root: str) -> Iterator[Row]:
    """Seconds over a bare interpreter, and over one that has the adapters for a first use."""
    rows = [Row(IMPORTS, "a new process", operation, target) for operation, target in _IMPORT_TARGETS.items()]
    usable = [system for system in systems if SYSTEMS[system].imports]
    for number in range(rounds + 1):
        bare = _seconds_of(["pass"], root)
        adapters = _seconds_of(["import benchmarks.systems"], root)
        for system in usable:
            imported = _seconds_of([SYSTEMS[system].imports], root) - bare
            is_dict = SYSTEMS[system].set is not System.set
            used = _seconds_of([_FIRST_USE, system, folder_of(root, system)], root) - adapters if is_dict else None
            if number:  # the first one only fills the caches of the system
                rows[0].rounds.setdefault(system, []).append(imported)
                if used is not None:
                    rows[1].rounds.setdefault(system, []).append(used)
    yield from rows


def _seconds_of(arguments: list[str], root: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", *arguments], check=True, env=private_environment(root), cwd=root)
    return time.perf_counter() - started
