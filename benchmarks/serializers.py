"""``python -m benchmarks.serializers [--quick]``: time and size of each kind of value in each serializer, as one table.

A time stands in the table only for a value that came back as it was; for the others it says what happened instead. One
process per serializer; for each kind of value they take their turns in rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from statistics import median, quantiles
from typing import Any, Self

from benchmarks.encoders import ENCODERS, Original
from benchmarks.harness import private_environment
from benchmarks.original import NotThere, interpreter
from benchmarks.table import duration
from benchmarks.values import KINDS

_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_QUICK = 100
_START = (
    "import sys; sys.path.append(sys.argv.pop(1)); from benchmarks.serializers_worker import main; main(sys.argv[1])"
)
"""The project comes last on the path: where another release of HashStash is installed, that one is meant."""


@dataclass
class Cell:
    """What one system did with one kind of value."""

    verdict: str = ""
    reason: str = ""
    size: int = 0
    encode: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)

    def add(self, answer: dict[str, Any]) -> None:
        """Take in what the worker said in one round."""
        self.verdict, self.reason = answer.get("verdict", ""), answer.get("reason", "")
        if not self.verdict:
            self.size = answer["size"]
            self.encode.append(answer["encode"])
            self.decode.append(answer["decode"])

    def __str__(self) -> str:
        if self.verdict:
            return self.verdict
        return f"{duration(median(self.encode))} / {duration(median(self.decode))}, {_bytes(self.size)}"

    def spreads(self) -> Iterator[float]:
        """Half of the distance between the quartiles, as a part of the median, of both times."""
        for seconds in (self.encode, self.decode):
            if len(seconds) > 1:
                low, _, high = quantiles(seconds, n=4, method="inclusive")
                yield (high - low) / 2 / median(seconds)


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    options = _parse(arguments)
    divisor, rounds = (_QUICK, options.rounds or 1) if options.quick else (1, options.rounds or 5)
    spreads: list[float] = []
    reasons: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hashstash-bench-") as root, ExitStack() as stack:
        workers = {name: stack.enter_context(_Worker(name, root)) for name in options.systems if _is_usable(name)}
        print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()};", _load())
        print("processor time to encode / to decode, and size; medians\n")
        print("| " + " | ".join(["value", *workers]) + " |\n|" + "---|" * (len(workers) + 1))
        for kind in options.kinds:
            cells = {name: Cell() for name in workers}
            for _ in range(rounds):
                for name, worker in workers.items():
                    cells[name].add(worker.ask(kind, divisor))
            print("| " + " | ".join([kind, *map(str, cells.values())]) + " |", flush=True)
            spreads += [spread for cell in cells.values() for spread in cell.spreads()]
            reasons += [f"{kind}, {name}: {cell.verdict}: {cell.reason}" for name, cell in cells.items() if cell.reason]
    if len(spreads) > 1:
        typical, most = median(spreads), quantiles(spreads, n=10)[-1]
        print(
            f"\nhalf of the quartiles' distance: ±{100 * typical:.0f} %, in nine of ten cells below ±{100 * most:.0f} %"
        )
    print("\n" + "\n".join(reasons))
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serializers", description="Serializers compared.")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND")
    parser.add_argument("--systems", nargs="+", choices=list(ENCODERS), default=list(ENCODERS), metavar="NAME")
    parser.add_argument("--rounds", type=int, help="how often all systems take their turn")
    parser.add_argument("--quick", action="store_true", help="one round, and values of a hundredth of the size")
    return parser.parse_args(arguments)


def _is_usable(name: str) -> bool:
    missing = [package for package in ENCODERS[name].packages if find_spec(package) is None]
    if missing:
        print(
            f"{name} is left out, since {missing[0]} is not installed: pip install 'hashstash[bench]'", file=sys.stderr
        )
    return not missing


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""


class _Worker:
    """The process of one system; a new one if it dies of a value."""

    def __init__(self, name: str, root: str) -> None:
        self._name = name
        self._root = root
        self._process: subprocess.Popen[str] | None = None
        self._verdicts: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, kind: str, divisor: int) -> dict[str, Any]:
        """One round with a value of *kind*."""
        if kind in self._verdicts:
            return {"verdict": self._verdicts[kind]}
        try:
            process = self._running()
        except NotThere as error:
            return {"verdict": "not installed", "reason": str(error)}
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps([kind, divisor]) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._end()
            self._verdicts[kind] = f"dies ({process.returncode})"
            return self.ask(kind, divisor)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            python = interpreter() if self._name == Original.name else sys.executable
            environment = private_environment(self._root) | {"HOME": self._root, "PYTHONPATH": ""}
            self._process = subprocess.Popen(
                [python, "-c", _START, _PROJECT, self._name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                cwd=self._root,
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.close()  # the end of its input ends the worker
            process.wait(timeout=60)
            assert process.stdout is not None
            process.stdout.close()


def _bytes(size: int) -> str:
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} B"


if __name__ == "__main__":
    sys.exit(main())
