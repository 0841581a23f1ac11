"""A long run: four processes do all that users do, one of them is killed again and again, and nothing may grow or be left behind.

``make soak``, or in ``tests``: ``python -m torture.soak [--minutes 10] [--engine lmdb pairtree] [--seed 7]``. It prints a line
every half a minute and a verdict. What is watched counts as growing if its median in the last quarter of the time is well above
the one in the second quarter: the first is for warming up, and single peaks mean nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import time
from contextlib import ExitStack
from typing import Any

from hashstash import HashStash
from torture import soak_work
from torture.children import Child, Hangs
from torture.places import EVERY, SHARED, Place, place, why_not
from torture.report import Budget, Check, Finding, line
from torture.soak_watch import MARK, Watch, bytes_left, processes_of, was_left
from torture.values import Torn, verified

PROCESSES = soak_work.LAST + 1
KILL_EVERY = 3.0
LAST_WORD = 60.0
_NOT_PERSISTENT = "writes nothing to a disk"
GONE = 30.0
"""Seconds within which the processes of pools end after the one that they worked for."""


def soak(where: Place, *, seconds: float, pause: float, seed: int, report_every: float = 0.0) -> Finding:
    """Keep the processes busy for that long; *report_every* seconds a line is printed."""
    finding = Finding()
    with ExitStack() as stack, finding.timed():
        home = where.root + ".home"
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        run = _Run(where, home, finding, pause, seed)
        stack.callback(run.end_all)
        run.keep_busy(seconds, report_every)
        run.stop()
        _judge(run, where, finding)
    return finding


class _Run:
    """The processes, and what they say."""

    def __init__(self, where: Place, home: str, finding: Finding, pause: float, seed: int) -> None:  # noqa: PLR0917
        self.where, self.finding, self.pause, self.seed = where, finding, pause, seed
        self.mark = os.urandom(8).hex()
        self.environment = {MARK: self.mark}
        for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "TMPDIR"):
            self.environment[name] = os.path.join(home, name.lower())
            os.makedirs(self.environment[name], 0o700)
        self.watch = Watch(where, self.environment["TMPDIR"])
        self.children = [self._start(number) for number in range(PROCESSES)]
        for child in self.children:
            self._expect_ready(child)
        self.kills = 0

    def _start(self, number: int) -> Child:
        arguments = (self.where.dumps(), number, self.seed + getattr(self, "kills", 0), self.pause)
        return Child("torture.soak_work", "work", *arguments, **self.environment)

    def _expect_ready(self, child: Child) -> None:
        heard = child.hear(LAST_WORD)
        if heard != ["ready"]:
            self.finding.wrong(f"a process does not start: {heard} {child.errors()[-1000:] if heard is None else ''}")

    def keep_busy(self, seconds: float, report_every: float) -> None:
        """Sample, kill and restart the last process now and then."""
        dice = random.Random(self.seed)
        began = time.monotonic()
        interval = min(1.0, seconds / 40)
        next_kill, next_report = began + KILL_EVERY, began + report_every
        while (now := time.monotonic()) < began + seconds:
            self.watch.sample(now - began, [child.process.pid for child in self.children[:-1]])
            if now >= next_kill:
                self._take(self.children[-1].kill())
                self.kills += 1
                self.children[-1] = self._start(PROCESSES - 1)
                next_kill = now + KILL_EVERY * (0.5 + dice.random())
            if report_every and now >= next_report:
                print(f"      {now - began:5.0f} s  {self.watch.latest()}", flush=True)
                next_report += report_every
            time.sleep(interval)

    def stop(self) -> None:
        """Ask all of them to end, and wait until nothing of them is there any more."""
        if self.kills:
            self._expect_ready(self.children[-1])  # else the signal could end it, which is to end by itself
        for child in self.children:
            child.process.terminate()
        for child in self.children:
            try:
                self._take(child.hear_all(LAST_WORD))
                code = child.end(LAST_WORD)
                if errors := child.errors():
                    self.finding.notes.append(f"stderr: {errors[-200:]!r}")
                if code:
                    self.finding.wrong(f"a process ends with {code}", kind="errors")
            except Hangs as error:
                self.finding.wrong(f"a process does not end: {error}", kind="hangs")
        deadline = time.monotonic() + GONE
        while (left := processes_of(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for process, command in left.items():
            self.finding.wrong(f"process {process} is left: {command}", kind="left")

    def _take(self, heard: list[list[Any]]) -> None:
        for kind, *words in heard:
            if kind == "done":
                self.finding.counts["steps"] += words[0]
                self.finding.counts["checked reads"] += words[1]
            elif kind != "ready":
                self.finding.wrong(str(words[0]), kind=f"{kind}s")

    def end_all(self) -> None:
        """Whatever has happened, leave no process."""
        for child in self.children:
            if child.process.poll() is None:
                child.process.kill()
                child.process.wait()
        for process in processes_of(self.mark):
            os.kill(process, 9)


def _judge(run: _Run, where: Place, finding: Finding) -> None:
    finding.counts["kills"] = run.kills
    for name, trend in run.watch.trends().items():
        finding.notes.append(trend.shown(name))
        if trend.grows(run.kills):
            finding.wrong(f"{name} grows: {trend.shown(name)}", kind="growing")
    for part in soak_work.PARTS:
        try:
            with soak_work.opened(where, part) as stash:
                _judge_part(run, part, stash, finding)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            finding.wrong(f"{part}: {type(error).__name__}: {error}", kind="errors")
    for what in run.watch.left_after_clearing(run.kills):
        finding.wrong(what, kind="left")


def _judge_part(run: _Run, part: str, stash: HashStash, finding: Finding) -> None:
    for key, value in stash.items():
        try:
            verified(key, value)
        except Torn as error:
            finding.wrong(f"{part}: {error}")
    for problem in stash.check():
        if _NOT_PERSISTENT not in str(problem):  # the server was started like that
            finding.wrong(f"{part}: {problem}", kind="damaged")
    if part == "limited":
        size = stash.size_bytes() - bytes_left(stash)  # of these, as many as were killed, whatever the limit
        if len(stash) > soak_work.MAX_ENTRIES or size > 1.2 * soak_work.MAX_SIZE:
            finding.wrong(f"{part}: {len(stash)} entries, {size:,} bytes", kind="too large")
    stash.compact()
    for what in was_left(stash, run.kills):
        finding.wrong(f"{part}: {what}", kind="left")
    stash.clear()


def _check(where: Place, budget: Budget) -> Finding:
    seconds = budget(full=60, short=20)
    finding = soak(where, seconds=seconds, pause=0.0 if budget.is_full else 0.02, seed=budget.seed)
    finding.notes = [note for note in finding.notes if note.startswith(("memory", "descriptors", "storage", "stderr"))]
    return finding


SOAK = (
    Check(
        "soak",
        _check,
        ("lmdb",),
        "a long run of four processes, one of them killed again and again, leaves nothing behind and lets nothing grow",
    ),
)


def main(arguments: list[str] | None = None) -> int:
    """The long run on each engine; 1 if anything grew, was left or was wrong."""
    parser = argparse.ArgumentParser(prog="python -m torture.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each engine")
    parser.add_argument(
        "--engine", nargs="+", choices=EVERY, default=["lmdb"], help=f"{', '.join(SHARED)}, or any other"
    )
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two steps of a process")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    failed = 0
    for engine in options.engine:
        if missing := why_not(engine):
            print(f"skip  soak {engine}: {missing}")
            continue
        print(f"{SOAK[0].name}: {SOAK[0].promise}; {engine}, {options.minutes:g} minutes", flush=True)
        with place(engine) as where:
            finding = soak(
                where, seconds=60 * options.minutes, pause=options.pause, seed=options.seed, report_every=30.0
            )
        notes, finding.notes = finding.notes, []
        print(line(SOAK[0], engine, finding))
        print("".join(f"      {note}\n" for note in notes), end="")
        print("".join(f"      {failure}\n" for failure in finding.failures), end="", flush=True)
        failed += bool(finding.failures)
    print("\nsomething grew, was left, or was wrong" if failed else "\nnothing grew, and nothing was left")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
