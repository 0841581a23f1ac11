"""The n-th call of the system fails, for n = 1 until the operation passes: what is stored is the old or the new, and it all works on.

A process that has opened nothing, but has imported what there is to be imported, forks for every trial, so that each begins with
the same folder and takes milliseconds. The trial does the operation with the fault, looks, and does it again without; another
process then looks too, unless one has looked at the same bytes.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace

from torture.children import Child, say
from torture.faults import BROKEN, FAULTS, Faults, Patched, Preloaded, compiled
from torture.forks import be_steady, forked, imported
from torture.injection_folders import Template
from torture.injection_trial import Trial
from torture.operations import OPERATIONS, Work, fill, fill_without_key, trust_a_colleague
from torture.places import FILES, Place
from torture.report import Budget, Check, Finding

_STEPS = {"pairtree": (1, 1), "lmdb": (1, 1), "sqlite": (1, 4), "pickledb": (2, 6), "shelve": (2, 6)}
"""At each how many-th call EIO is tried, and at each how many-th another fault; SQLite makes the most calls."""
_OTHER_STEPS = (5, 15)
_PROCESSES = 6
"""More than there are processors: most of the time of a trial is spent waiting for one, or for a lock."""
_PYTHON_ENGINES = ("pairtree", "shelve", "pickledb")


def tries(place: str, operations: list[str], faults: list[str], steps: tuple[int, int], seed: int) -> None:
    """In a child: every operation with EIO and other faults, each at each so many-th call.

    *seed* chooses at which calls to begin.
    """
    where = Place.loads(place)
    injected: Faults = Preloaded() if "LD_PRELOAD" in os.environ else Patched()
    os.environ["PYTHONWARNINGS"] = "ignore"
    be_steady()
    filled, without_key = (_template(where, filling) for filling in (fill, fill_without_key))
    for operation in (known for known in OPERATIONS if known.name in operations):
        trial = Trial(injected, where, without_key if operation.is_first else filled, operation)
        kinds = trial.learn()
        for place_in_list, fault in enumerate(known for known in FAULTS if known.name in faults):
            calls = injected.reached(fault, kinds)
            stride = steps[fault is not BROKEN]
            numbers = range(1 + (seed + place_in_list) % stride, calls + 1, stride)
            for number in numbers:
                for wrong in trial.attempt(fault, number):
                    say("wrong", f"{operation.name}, {fault.name} at call {number} of {calls}: {wrong}")
                say("tried", operation.name)  # each time: whoever listens takes a long silence for a process that hangs
        say("looked", trial.looks, trial.missed, trial.spared)


def _template(where: Place, filling: Callable[[Work], None]) -> Template:
    work = Work(os.path.join(where.root, filling.__name__), where.engine)
    imported(forked(lambda: _filled(work, filling), seed="fill"))
    return Template(work.folder)


def _filled(work: Work, filling: Callable[[Work], None]) -> list[str]:
    os.makedirs(work.folder, mode=0o700)
    work.live()
    filling(work)
    trust_a_colleague(work)
    gc.collect()  # which closes what the function's stash has opened
    return list(sys.modules)


Chosen = tuple[list[str], list[str], tuple[int, int]]
"""Operations, faults, and how many calls to go on by, with EIO and with others."""


def injects(
    where: Place, budget: Budget, *, beneath: bool, chosen: Chosen | None = None, module: str = "torture.injection"
) -> Finding:
    """What :func:`tries` of *module* finds."""
    chosen = chosen or _chosen(budget, where.engine)
    with tempfile.TemporaryDirectory(prefix="torture-", dir=_quick_folder()) as folder:
        return _injects_in(replace(where, root=folder), chosen, budget.seed, beneath=beneath, module=module)


def _quick_folder() -> str | None:
    """A file system in memory, where there is one: thousands of folders are copied."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _injects_in(where: Place, chosen: Chosen, seed: int, *, beneath: bool, module: str) -> Finding:
    finding = Finding()
    environment = {}
    if beneath:
        path, reason = compiled(where.root)
        if reason:
            finding.notes.append(reason)
            return finding
        environment["LD_PRELOAD"] = path
    names, faults, steps = chosen
    processes = min(_PROCESSES, len(names))
    with finding.timed(), contextlib.ExitStack() as stack:
        children = []
        for number in range(processes):
            root = where.fresh(str(number)).dumps()
            children.append(Child(module, "tries", root, names[number::processes], faults, steps, seed, **environment))
            stack.callback(children[-1].drop)  # which does nothing to one that has ended
        for child in children:
            while (said := child.hear(600)) is not None:
                if said[0] == "tried":
                    finding.counts["faults"] += 1
                elif said[0] == "looked":
                    finding.counts["folders looked at"] += said[1]
                    finding.counts["calls not met"] += said[2]
                    finding.counts["of which are the same trials"] += said[3]
                else:
                    finding.wrong(said[1])
            child.end_well(finding, "the process that tries")
    finding.counts["operations"] = len(names)
    return finding


def _chosen(budget: Budget, engine: str) -> Chosen:
    if budget.is_full:  # another seed begins at other calls
        steps = _STEPS.get(engine, _OTHER_STEPS)
        return [operation.name for operation in OPERATIONS], [fault.name for fault in FAULTS], steps
    step = 7 if engine == "pairtree" else 11
    return ["overwrite large", "set code", "run anew"], ["EIO", "ENOSPC for good"], (step, 3 * step)


def in_python(where: Place, budget: Budget) -> Finding:
    """Calls that Python makes."""
    return injects(where, budget, beneath=False)


def beneath_python(where: Place, budget: Budget) -> Finding:
    """All calls, of libraries too."""
    return injects(where, budget, beneath=True)


_PROMISE = "the old value or the new one, a clear error, everything works on, and nothing is left for ever"
INJECTION = (
    Check(
        "nth_call_fails",
        in_python,
        _PYTHON_ENGINES,
        f"where the n-th call that Python makes fails: {_PROMISE}",
        ("pairtree",),
    ),
    Check(
        "nth_system_call_fails",
        beneath_python,
        FILES,
        f"where the n-th call that any library makes fails: {_PROMISE}",
        ("lmdb",),
    ),
)
