"""One operation, in which one call after the other fails.

Each trial is a fork of a process that has opened nothing, in a folder laid out anew. What another process would see afterwards
depends on nothing but the bytes of that folder: where the clock stands still and chance repeats itself, most trials leave the
bytes of an earlier one, and only bytes that were never seen are looked at.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections import Counter
from typing import Any

from hashstash.errors import CorruptEntry, StashError, StashFull
from torture.faults import BROKEN, Call, Fault, Faults
from torture.forks import be_light, forked, imported
from torture.injection_folders import Template, digest, make_old, names
from torture.operations import SMALL, Operation, Work, squared, state
from torture.places import Place

_LOCAL_ERRORS = {"sqlite", "diskcache", "sqlitedict", "lmdb", "shelve"}
"""Engines whose libraries do not tell which error the system gave: any number will do, but not a wrong meaning."""


class Trial:
    """One operation, tried again and again."""

    def __init__(self, faults: Faults, where: Place, template: Template, operation: Operation) -> None:
        self._faults, self._template, self._operation = faults, template, operation
        self._folder = os.path.join(where.root, "trial")
        self._work = Work(self._folder, where.engine)
        self._before: dict[str, str] = {}
        self._after: dict[str, str] = {}
        self._answer: Any = None
        self._again: dict[str, str] = {}
        self._files: Counter[str] = Counter()
        self._looked: dict[bytes, dict[str, Any]] = {}
        self._ended: set[tuple[int, Call, int]] = set()
        """Where no call of the fault's kinds followed the one that failed, so that more than one cannot fail."""
        self.looks = self.spared = self.missed = 0
        """How many folders were looked at, how many trials were the same as others, and how many met no such call."""

    def learn(self) -> list[int]:
        """The kinds of the calls that the operation makes; and what it does where nothing fails."""
        self._template.lay_out(self._folder)
        self._before = _sound(forked(self._see, seed="look"))["state"]
        for _ in range(2):  # the first one imports what the others then have
            told = _sound(self._told(BROKEN, 0))
            imported(told["modules"])
            self._after, self._answer = told["state"], told["answer"]
        if "error" in told:
            raise RuntimeError(f"{self._operation.name} fails without a fault: {told}")
        for _ in range(2):
            looked = _sound(forked(self._look, seed="look"))
            imported(looked["modules"])
            self._again, self._files = self._again or looked["state"], self._files or Counter(looked["files"])
        be_light()
        return told["kinds"]

    def attempt(self, fault: Fault, number: int) -> list[str]:
        """What is wrong after the *number*-th call has failed."""
        if fault.lasts and (fault.error, fault.calls, number) in self._ended:
            self.spared += 1
            return []
        told = self._told(fault, number)
        if "hangs" in told or "died" in told:
            return [str(told)]
        if not fault.lasts and told["counted"] == number:
            self._ended.add((fault.error, fault.calls, number))
        self.missed += not told["failed"]
        where = f"({told['last']}) "
        wrong = [where + text for text in self._wrong_at_once(told, fault)]
        return wrong + [where + text for text in self._wrong_later(self._seen_later(told["process"]))]

    def _told(self, fault: Fault, number: int) -> dict[str, Any]:
        self._template.lay_out(self._folder)
        return forked(lambda: self._act(fault, number), seed="act")

    def _act(self, fault: Fault, number: int) -> dict[str, Any]:
        """In a process of its own: the operation with the fault, what is there afterwards, and the operation again."""
        work, operation = self._work, self._operation
        work.live()
        told: dict[str, Any] = {}
        stash = work.open()
        if not operation.is_cold:
            stash["a"]
            if not operation.is_first:
                stash["code"]
        self._faults.arm(work.folder, fault, number)
        try:
            opened = work.open() if operation.is_cold else stash
            told["opened"] = True
            told["answer"] = operation.perform(work, opened)
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
            told |= {"modules": list(sys.modules), "kinds": self._faults.kinds()}
        return told

    def _wrong_at_once(self, told: dict[str, Any], fault: Fault) -> list[str]:
        wrong = []
        if "error" in told:
            if self._operation.never_fails and "opened" in told:
                wrong.append(f"the computation's result was lost: {told['error']['text']}")
            wrong += _unclear(told["error"], fault, self._work.engine)
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

    def _seen_later(self, process: int) -> dict[str, Any]:
        known = digest(self._folder, process)
        if known not in self._looked:
            self._looked[known] = forked(self._look, seed="look")
            self.looks += 1
        return self._looked[known]

    def _wrong_later(self, looked: dict[str, Any]) -> list[str]:
        if "state" not in looked:
            return [f"another process: {looked}"]
        wrong = []
        if looked["state"] not in (self._after, self._again):  # done twice, or only the second time
            wrong.append(f"after it was done again, another process sees {_differences(self._after, looked['state'])}")
        if looked["problems"]:
            wrong.append(f"check() says {looked['problems']}")
        if extra := Counter(looked["files"]) - self._files:
            wrong.append(f"left behind for ever: {sorted(extra)}")
        return wrong

    def _see(self) -> dict[str, Any]:
        self._work.live()
        return {"state": state(self._work)}

    def _tidy(self, stash: Any) -> None:
        """What a user can do to have files removed that lie about; everything is closed at the end."""
        work = self._work
        if os.path.exists(work.archive + ".new"):
            stash.export_to(work.archive + ".new")
        of_function = stash.stashed_result(squared).stash
        for other in (stash, of_function, work.versions(), work.open(dbname="fresh")):
            with contextlib.closing(other):  # as long as one is open, its library has files of its own beside it
                other.repair()
                other.compact()
        gc.collect()

    def _look(self) -> dict[str, Any]:
        """In another process, days later: what is there, whether it is sound, and which files lie about."""
        work = self._work
        work.live()
        make_old(work.folder)
        seen = state(work)
        with contextlib.closing(work.open()) as stash:
            stash["later"] = SMALL
            del stash["later"]
            problems = [str(problem) for problem in stash.check()]
            gc.collect()  # as at the end of a process, which closes what check() has opened
            files = names(work.folder)
            if Counter(files) - self._files and self._files:
                self._tidy(stash)
                files = names(work.folder)
        modules = [] if self._looked else list(sys.modules)
        return {"state": seen, "problems": problems, "files": files, "modules": modules}


def _sound(told: dict[str, Any]) -> dict[str, Any]:
    if "died" in told or "hangs" in told:
        raise RuntimeError(f"it fails without a fault: {told}")
    return told


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
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace is not None else ""
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
