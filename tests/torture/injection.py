"""The n-th call of the system fails, for n = 1 until the operation passes: what is stored is the old or the new, and it all works on.

A process that has opened nothing, but has imported what there is to be imported, forks for every trial, so that each begins with
a copy of the same folder and takes milliseconds. The trial does the operation with the fault, looks, and does it again without;
another process then looks too.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import replace
from typing import Any

from hashstash.errors import CorruptEntry, StashError, StashFull
from torture.children import Child, say
from torture.faults import BROKEN, FAULTS, Fault, Faults, Patched, Preloaded, compiled
from torture.forks import forked, imported
from torture.operations import OPERATIONS, SMALL, Operation, Work, fill, state
from torture.places import FILES, Place
from torture.report import Budget, Check, Finding

_STEPS = {"pairtree": (1, 1), "lmdb": (1, 1), "sqlite": (1, 4), "pickledb": (2, 6), "shelve": (2, 6)}
"""At each how many-th call EIO is tried, and at each how many-th another fault; SQLite makes the most calls."""
_OTHER_STEPS = (5, 15)
_PROCESSES = 2
_OLD = 2 * 86_400
_PYTHON_ENGINES = ("pairtree", "shelve", "pickledb")
_LOCAL_ERRORS = {"sqlite", "diskcache", "sqlitedict", "lmdb", "shelve"}
"""Engines whose libraries do not tell which error the system gave: any number will do, but not a wrong meaning."""


def tries(place: str, names: list[str], faults: list[str], steps: tuple[int, int], seed: int) -> None:
    """In a child: every operation with EIO and other faults, each at each so many-th call.

    *seed* chooses at which calls to begin.
    """
    where = Place.loads(place)
    injected: Faults = Preloaded() if "LD_PRELOAD" in os.environ else Patched()
    os.environ["PYTHONWARNINGS"] = "ignore"
    template = os.path.join(where.root, "template")
    imported(forked(lambda: _filled(Work(template, where.engine))))
    for operation in (known for known in OPERATIONS if known.name in names):
        trial = _Trial(injected, where, template, operation)
        for place_in_list, fault in enumerate(known for known in FAULTS if known.name in faults):
            calls = trial.learn(fault)
            stride = steps[fault is not BROKEN]
            numbers = range(1 + (seed + place_in_list) % stride, calls + 1, stride)
            for number in numbers:
                for wrong in trial.attempt(fault, number):
                    say("wrong", f"{operation.name}, {fault.name} at call {number} of {calls}: {wrong}")
            say("tried", operation.name, len(numbers))


def _filled(work: Work) -> list[str]:
    os.makedirs(work.folder, mode=0o700)
    work.live()
    fill(work)
    return list(sys.modules)


class _Trial:
    """One operation, tried again and again."""

    def __init__(self, faults: Faults, where: Place, template: str, operation: Operation) -> None:
        self._faults, self._where, self._template, self._operation = faults, where, template, operation
        self._folder = os.path.join(where.root, "trial")
        self._before: dict[str, str] = {}
        self._after: dict[str, str] = {}
        self._answer: Any = None
        self._again: dict[str, str] = {}
        self._files: Counter[str] = Counter()

    @property
    def _work(self) -> Work:
        return Work(self._folder, self._where.engine)

    def learn(self, fault: Fault) -> int:
        """How many calls of *fault*'s kinds the operation makes; and, once, what it does where nothing fails."""
        told = self._told(fault, 0)
        if "answer" not in told:
            raise RuntimeError(f"{self._operation.name} fails without a fault: {told}")
        imported(told["modules"])
        if not self._files:
            self._before, self._after, self._answer = told["before"], told["state"], told["answer"]
            looked = forked(self._look)
            self._again, self._files = looked["state"], Counter(looked["files"])
            imported(looked["modules"])
        return told["counted"]

    def attempt(self, fault: Fault, number: int) -> list[str]:
        """What is wrong after the *number*-th call has failed."""
        told = self._told(fault, number)
        if "hangs" in told or "died" in told:
            return [str(told)]
        where = f"({told['last']}) "
        wrong = [where + text for text in self._wrong_at_once(told, fault)]
        looked = forked(self._look)
        if "state" not in looked:
            return [*wrong, f"{where}another process: {looked}"]
        if looked["state"] not in (self._after, self._again):  # done twice, or only the second time
            wrong.append(
                f"{where}after it was done again, another process sees {_differences(self._after, looked['state'])}"
            )
        if looked["problems"]:
            wrong.append(f"{where}check() says {looked['problems']}")
        if extra := Counter(looked["files"]) - self._files:
            wrong.append(f"{where}left behind for ever: {sorted(extra)}")
        return wrong

    def _told(self, fault: Fault, number: int) -> dict[str, Any]:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._template, self._folder)
        return forked(lambda: self._act(fault, number))

    def _act(self, fault: Fault, number: int) -> dict[str, Any]:
        """In a process of its own: the operation with the fault, what is there afterwards, and the operation again."""
        work, operation = self._work, self._operation
        work.live()
        told: dict[str, Any] = {"before": state(work)} if not number else {}
        if operation.name.startswith("first"):
            shutil.rmtree(os.path.join(work.folder, "state"))
        if not number and operation.name.startswith("export"):
            told["before"]["exported"] = MISSING_FILE
        stash = work.open()
        if not operation.is_cold:
            stash["a"]
            stash["code"]
        self._faults.arm(work.folder, fault, number)
        try:
            told["answer"] = operation.perform(work, work.open() if operation.is_cold else stash)
        except Exception as error:  # noqa: BLE001 - which one is told to whoever judges
            told["error"] = _described(error, work.folder)
        finally:
            told["failed"] = self._faults.disarm()
        told["counted"], told["last"] = self._faults.counted(), self._faults.last()
        told["state"] = state(work)
        stash["works"] = SMALL
        told["works"] = stash["works"] == SMALL
        del stash["works"]
        told["works"] = told["works"] and "works" not in stash
        told["again"] = _again(operation, work, stash)
        stash.close()
        if not number:
            told["modules"] = list(sys.modules)
        return told

    def _wrong_at_once(self, told: dict[str, Any], fault: Fault) -> list[str]:
        wrong = []
        if "error" in told:
            if self._operation.never_fails:
                wrong.append(f"the computation's result was lost: {told['error']['text']}")
            wrong += _unclear(told["error"], fault, self._where.engine)
        elif self._operation.answers and told["answer"] != self._answer:
            wrong.append(f"it answered {str(told['answer'])[:200]} instead of {str(self._answer)[:200]}")
        if "error" not in told and not self._operation.never_fails and told["state"] != self._after:
            wrong.append(f"it said nothing, and did not do it: {_differences(self._after, told['state'])}")
        for key in sorted({*self._before, *self._after, *told["state"]}):
            found = told["state"].get(key)
            if found not in (self._before.get(key), self._after.get(key)):
                wrong.append(f"{key} is neither the old nor the new value")
        if not told["works"]:
            wrong.append("it does not store any more")
        if told["again"]:
            wrong.append(f"done again without a fault, it fails: {told['again']}")
        return wrong

    def _look(self) -> dict[str, Any]:
        """In another process, days later: what is there, whether it is sound, and which files lie about."""
        work = self._work
        work.live()
        _make_old(work.folder)
        seen = state(work)
        with contextlib.closing(work.open()) as stash:
            stash["later"] = SMALL
            del stash["later"]
            problems = [str(problem) for problem in stash.check()]
            files = _names(work.folder)
            if Counter(files) - self._files and self._files:
                for other in (stash, work.versions(), work.open(dbname="fresh")):
                    other.repair()
                    other.compact()
                files = _names(work.folder)
        return {
            "state": seen,
            "problems": problems,
            "files": files,
            "modules": [] if self._files else list(sys.modules),
        }


MISSING_FILE = "no file"


def _again(operation: Operation, work: Work, stash: Any) -> str:
    """Why the operation cannot be done once more without a fault; empty if it can."""
    try:
        operation.perform(work, work.open() if operation.is_cold else stash)
    except KeyError:  # what was to be deleted is gone
        return ""
    except Exception as error:  # noqa: BLE001
        return repr(error)[:300]
    return ""


def _described(error: Exception, folder: str) -> dict[str, Any]:
    names_place = folder in str(error) or folder in str(getattr(error, "filename", None) or "")
    kind = next(
        known.__name__
        for known in (StashFull, CorruptEntry, StashError, OSError, Exception)
        if isinstance(error, known)
    )
    trace = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(trace.filename)}:{trace.lineno}"
    text = f"{type(error).__name__}: {error} ({where})".replace(folder, "…")
    return {"kind": kind, "number": getattr(error, "errno", None), "names place": names_place, "text": text[:400]}


def _unclear(error: dict[str, Any], fault: Fault, engine: str) -> list[str]:
    """What is not clear about an error."""
    is_full = fault.name.startswith(("ENOSPC", "EDQUOT"))
    if error["kind"] == "StashFull" and not is_full and fault.error:
        return [f"it says that there is no room: {error['text']}"]
    if error["kind"] in ("CorruptEntry", "Exception"):
        return [f"no clear error: {error['text']}"]
    if not error["names place"]:
        return [f"the error does not say where: {error['text']}"]
    if error["kind"] in ("OSError", "StashFull") and error["number"] is None:
        return [f"the error has no number: {error['text']}"]
    if error["kind"] in ("OSError", "StashFull") and engine not in _LOCAL_ERRORS and error["number"] != fault.error:
        return [f"the error has another number: {error['text']}"]
    return []


def _differences(expected: dict[str, str], found: dict[str, str]) -> str:
    return ", ".join(
        f"{key}: {found.get(key, 'nothing')} instead of {expected.get(key, 'nothing')}"
        for key in sorted({*expected, *found})
        if expected.get(key) != found.get(key)
    )[:300]


def _make_old(folder: str) -> None:
    moment = time.time() - _OLD
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):
                os.utime(os.path.join(path, name), (moment, moment))


def _names(folder: str) -> list[str]:
    """The files below *folder*, without what is chosen by chance in their names."""
    found = []
    for path, _, files in os.walk(folder):
        place = os.path.relpath(path, folder)
        found += [re.sub(r"[0-9a-f]{4,}|\b[0-9a-f]{2}\b|\d+", "#", os.path.join(place, name)) for name in files]
    return found


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
    with finding.timed():
        children = [
            Child(
                module,
                "tries",
                where.fresh(str(number)).dumps(),
                names[number::_PROCESSES],
                faults,
                steps,
                seed,
                **environment,
            )
            for number in range(_PROCESSES)
        ]
        for child in children:
            while (said := child.hear(600)) is not None:
                if said[0] == "tried":
                    finding.counts["faults"] += said[2]
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
