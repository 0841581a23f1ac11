"""One process that measures one workload on one system.

``main([SYSTEM, WORKLOAD, FOLDER, "fresh", "quick"])``, of which the last two may be left out, prepares its data, says so,
and then measures one round for each line that it reads. Every answer is one line of JSON: the seconds per unit of work of
each block.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import TextIO

from benchmarks.systems import SYSTEMS, Unsupported
from benchmarks.workloads import WORKLOADS, Operation

Blocks = dict[str, list[float]]


def measure(operations: dict[str, Operation], blocks: int) -> Blocks:
    """The seconds per unit of work in *blocks* blocks of each operation."""
    return {name: [_time(operation) for _ in range(blocks)] for name, operation in operations.items()}


def _time(operation: Operation) -> float:
    gc.collect()
    started = time.perf_counter()
    kept = operation.run()
    seconds = time.perf_counter() - started
    del kept
    return seconds / operation.number


def _prepare(arguments: list[str]) -> tuple[dict[str, Operation], int]:
    system_name, workload_name, folder, *flags = arguments
    system = SYSTEMS[system_name](folder)
    if system.workloads is not None and workload_name not in system.workloads:
        return {}, 0
    workload = WORKLOADS[workload_name](system, quick="quick" in flags)
    try:
        operations = workload.fresh() if "fresh" in flags else workload.operations()
    except Unsupported:
        return {}, 0
    return operations, 1 if "fresh" in flags else workload.blocks


def own_output() -> TextIO:
    """Standard output for answers alone: what a system prints is none, and goes where errors go."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def say(answers: TextIO, answer: object) -> None:
    """One answer, as a line of JSON."""
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def main(arguments: list[str]) -> None:
    """Measure a round for each line on standard input; with ``fresh`` one round at once."""
    answers = own_output()
    if "fresh" in arguments:
        import pandas as pd  # noqa: F401  whoever works with arrays and frames has it loaded already
    operations, blocks = _prepare(arguments)
    say(answers, sorted(operations))
    if "fresh" in arguments:
        say(answers, measure(operations, blocks))
        return
    gc.freeze()
    for _ in sys.stdin:
        say(answers, measure(operations, blocks))
