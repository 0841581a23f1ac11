"""Processes that write are killed at random moments; afterwards everything acknowledged is there, and the stash goes on.

A process that never opens the stash itself forks a writer for each round, kills it, and forks a witness that opens the stash
anew. What a writer does follows from the round's number: it only acknowledges, with a byte for each step, how far it came.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torture.children import Child, Hangs, say
from torture.places import FILES, SERVERS, Place
from torture.races import shared_by_processes
from torture.report import Budget, Check, Finding
from torture.values import LARGE, MIDDLE, SMALL, Torn, made, verified

KEYS = [f"key {number}" for number in range(16)]
EPOCH = 20
"""Rounds after which other keys get versions: to look at all versions again and again would take ever longer."""
SIZES = (SMALL, SMALL, SMALL, MIDDLE, LARGE)
SLOW = 0.5
"""Seconds within which the first write after a kill is to be done, opening included."""
FAR_TOO_SLOW = 5.0
PATIENCE = 60.0
LONG_AGO = 2 * 86_400.0
SMALLEST_FILE = 32 * 1024
CHECK_EVERY = 20
SERIES = {"mongo": 5}
"""On how many stashes the rounds are played: the stand-in for MongoDB becomes slow with what is in it."""
ABOUT_THE_SERVER = "writes nothing to a disk"
"""What is said of a Redis that the suite has started without persistence, and is no fault of what is stored."""


def growing_keys(number: int) -> list[str]:
    """The keys that get versions in that round."""
    return [f"growing {number // EPOCH} {which}" for which in range(3)]


class Step(NamedTuple):
    """One thing that a writer does."""

    kind: str
    keys: tuple[str, ...]
    number: int
    size: int


def steps(seed: int, number: int) -> Iterator[Step]:
    """What the writer of that round does, in this order."""
    dice = random.Random(f"{seed} {number}")
    kinds = ["large"] if number % 4 == 2 else ["set"] * 5 + ["append"] * 2 + ["update", "delete"]
    for count in range(1, 100_000):
        kind = dice.choice(kinds)
        keys = dice.sample(growing_keys(number) if kind == "append" else KEYS, 6 if kind == "update" else 1)
        yield Step(kind, tuple(keys), number * 100_000 + count, LARGE if kind == "large" else dice.choice(SIZES))


class Known:
    """What must be there: by key the number of its value, or the numbers of its versions; and their sizes."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.versions: defaultdict[str, list[int]] = defaultdict(list)
        self.sizes: dict[int, int] = {0: 0}

    def apply(self, step: Step) -> None:
        self.sizes[step.number] = step.size
        if step.kind == "append":
            self.versions[step.keys[0]].append(step.number)
        else:
            self.values |= dict.fromkeys(step.keys, 0 if step.kind == "delete" else step.number)

    def large_ones(self) -> int:
        """How many values lie in files of their own, in engines that have such."""
        numbers = [*self.values.values(), *(number for numbers in self.versions.values() for number in numbers)]
        return sum(self.sizes[number] == LARGE for number in numbers)


def open_both(place: Place) -> tuple[Any, Any]:
    """A stash, and one beside it that keeps all versions."""
    return place.fresh("plain").open(), place.fresh("growing").open(append_mode=True)


# ---- the processes ---------------------------------------------------------------------------------------------------


def work(place: Place, seed: int, number: int, pipe: int) -> None:
    """Write until killed, with a byte for each step that is done."""
    plain, growing = open_both(place)
    for step in steps(seed, number):
        if step.kind == "append":
            growing[step.keys[0]] = made(step.keys[0], 0, step.number, step.size)
        elif step.kind == "update":
            plain.update({key: made(key, 0, step.number, step.size) for key in step.keys})
        elif step.kind == "delete":
            plain.discard(step.keys[0])
        else:
            plain[step.keys[0]] = made(step.keys[0], 0, step.number, step.size)
        os.write(pipe, b".")


def witness(place: Place, known: Known, pending: Step | None, number: int, pipe: int) -> None:
    """Open what the killed writer has left, look at everything, and tell what is wrong."""
    wrong: list[str] = []
    began = time.monotonic()
    plain, growing = open_both(place)
    plain["afterwards"] = made("afterwards", 0, number)
    seconds = time.monotonic() - began
    growing["afterwards"] = made("afterwards", 0, number)
    found = {key: _number(wrong, key, plain.get(key)) for key in KEYS}
    for key, it_is in found.items():
        allowed = {known.values.get(key, 0)}
        if pending is not None and pending.kind != "append" and key in pending.keys:
            allowed.add(0 if pending.kind == "delete" else pending.number)
        if it_is not in allowed:
            wrong.append(f"{key!r} is {it_is}, and should be one of {allowed}")
    grown = {key: [_number(wrong, key, value) for value in growing.get_all(key, [])] for key in growing_keys(number)}
    for key, numbers in grown.items():
        begun = pending is not None and pending.kind == "append" and key in pending.keys
        if numbers not in (known.versions[key], known.versions[key] + [pending.number] * begun):
            wrong.append(f"the versions of {key!r} are {numbers[-3:]}, and should be {known.versions[key][-3:]}")
        counted = [info.version for info in growing.versions(key)] if numbers else []
        if counted != list(range(1, len(numbers) + 1)):
            wrong.append(f"the versions of {key!r} are numbered {counted}")
    _look_around(plain, growing, {key for key in KEYS if found[key]}, pending, wrong)
    if number % CHECK_EVERY == 0:
        problems = [str(problem) for stash in (plain, growing) for problem in stash.check()]
        wrong += [f"check: {problem}" for problem in problems if ABOUT_THE_SERVER not in problem]
    plain.close()
    growing.close()
    os.write(pipe, json.dumps([wrong, seconds, found, grown]).encode())


def _number(wrong: list[str], key: str, value: Any) -> int:
    try:
        return 0 if value is None else verified(key, value)[1]
    except Torn as error:
        wrong.append(str(error))
        return 0


def _look_around(plain: Any, growing: Any, present: set[str], pending: Step | None, wrong: list[str]) -> None:
    listed = sorted(plain.keys())
    if listed != sorted({*present, "afterwards"}) or len(plain) != len(listed):
        wrong.append(f"listed are {listed} of {sorted(present)}, and len is {len(plain)}")
    for key in pending.keys if pending else ():
        for stash in (plain, growing):
            lock = stash.lock(key)
            if not lock.acquire(FAR_TOO_SLOW):
                wrong.append(f"the lock of {key!r} is still held")
            else:
                lock.release()


def forked(task: Callable[..., None], *arguments: Any) -> tuple[int, int]:
    """The process in which *task* runs, and the end of the pipe that it writes to."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        os.close(reading)
        task(*arguments, writing)
    except BaseException:  # in the form of what a witness tells, which every teller's parent knows for a failure
        os.write(writing, json.dumps([[traceback.format_exc()[-1500:]], 0.0, None, None]).encode())
    finally:
        os._exit(0)


def read_all(pipe: int, deadline: float) -> bytes | None:
    """Everything until the other end closes it; ``None`` if that takes too long."""
    read = b""
    while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(pipe, 1 << 16)
        if not piece:
            return read
        read += piece
    return None


class _Rounds:
    def __init__(self, place: Place, seed: int) -> None:
        self.place, self.seed = place, seed
        self.known = Known()
        self.dice = random.Random(f"{seed} kills")
        self.opening = 0.05
        """Seconds that a writer takes until its first step is done, about."""
        self.seconds: list[float] = []

    def play(self, number: int) -> list[str]:
        """Let a writer write, kill it, and look what it has left."""
        acknowledged = self._kill(number)
        if acknowledged is None:
            return [f"round {number}: the writer wrote nothing for {PATIENCE:g} s"]
        if b"[" in acknowledged:
            return [f"round {number}: the writer failed: {acknowledged[acknowledged.index(b'[') :].decode()}"]
        done = steps(self.seed, number)
        for _ in acknowledged:
            self.known.apply(next(done))
        pending = next(done)
        child, pipe = forked(witness, self.place, self.known, pending, number)
        told = read_all(pipe, time.monotonic() + PATIENCE)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(pipe)
        if not told:
            return [f"round {number}: whoever opens it then {'hangs' if told is None else 'crashes'}"]
        wrong, seconds, found, grown = json.loads(told)
        if found is not None:
            self.known.sizes[pending.number] = pending.size
            self.known.values = found
            self.known.versions.update(grown)
            self.seconds.append(seconds)
        return [f"round {number}, after {len(acknowledged)} of {pending}: {sentence}" for sentence in wrong]

    def _kill(self, number: int) -> bytes | None:
        began = time.monotonic()
        child, pipe = forked(work, self.place, self.seed, number)
        acknowledged = b""
        if number % 4 == 0:  # while it opens the stash, or right afterwards
            time.sleep(self.dice.uniform(0, 1.2 * self.opening))
        elif select.select([pipe], [], [], PATIENCE)[0]:
            acknowledged = os.read(pipe, 1)
            self.opening = time.monotonic() - began
            time.sleep(self.dice.uniform(0, 0.01 if number % 4 == 1 else 0.05))
        else:
            acknowledged = b"?"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        rest = read_all(pipe, time.monotonic() + PATIENCE)
        os.close(pipe)
        return None if rest is None or acknowledged == b"?" else acknowledged + rest


def serve(place: str, seed: int, rounds: int) -> None:
    """In a child: all rounds, with a word after each, and at the end how many large values there are."""
    where = Place.loads(place)
    for stash in open_both(where.fresh("warming up")):  # so that everything is imported before the first fork
        stash.get("nothing")
        stash.close()
    playing = _Rounds(where, seed)
    for number in range(1, rounds + 1):
        say(playing.play(number))
    say(playing.seconds, playing.known.large_ones(), sorted(playing.known.values))


# ---- the check -------------------------------------------------------------------------------------------------------


def kill9(place: Place, budget: Budget, module: str = __name__) -> Finding:
    """Kill a writer in each round, then see that the next process finds everything and can go on."""
    place = shared_by_processes(place)
    finding = Finding()
    series = budget(full=SERIES.get(place.engine, 1), short=1)
    seconds: list[float] = []
    with finding.timed():
        for number in range(series):
            rounds = budget(full=200, short=12) // series
            seconds += _series(finding, place.fresh(str(number)), budget.seed + number, rounds, module)
        if seconds:
            _note_seconds(finding, seconds)
    return finding


def _series(finding: Finding, place: Place, seed: int, rounds: int, module: str) -> list[float]:
    """Rounds on one stash, and how long the first write after each took."""
    child = Child(module, "serve", place.dumps(), seed, rounds)
    try:
        for _ in range(rounds):
            _note(finding, _heard(child))
        seconds, large_ones, _ = _heard(child)
        _note_leftovers(finding, place, large_ones)
    except Hangs as error:
        finding.wrong(str(error), kind="hangs")
        return []
    finally:
        child.drop()
    return seconds


def _heard(child: Child) -> list[Any]:
    said = child.hear(3 * PATIENCE)
    if said is None:
        child.end()
        raise Hangs(f"the process that forks has ended: {child.errors()[-1500:]}")
    return said


def _note(finding: Finding, said: list[Any]) -> None:
    finding.counts["rounds"] += 1
    for sentence in said[0]:
        finding.wrong(sentence, kind="failures")


def _note_seconds(finding: Finding, seconds: list[float]) -> None:
    slow = sum(second > SLOW for second in seconds)
    finding.counts["failures"] += 0
    finding.counts["slow next writes"] = slow
    finding.notes.append(
        f"next write {1000 * sorted(seconds)[len(seconds) // 2]:.0f} ms, at most {1000 * max(seconds):.0f} ms"
    )
    if max(seconds) > FAR_TOO_SLOW:
        finding.failures.append(f"the write after a kill took {max(seconds):.1f} s")


def _note_leftovers(finding: Finding, place: Place, large_ones: int) -> None:
    """What writers have left that were killed: drafts go at the next opening, files that no row points at with the daily sweep."""
    for stash in open_both(place):
        stash.get("nothing")
        finding.counts["drafts left"] += len(_files(stash.path, "tmp"))
        stash.close()
    folders = [stash.path for stash in open_both(place)]
    blobs = [path for folder in folders for path in _files(folder, "blobs")]
    finding.notes.append(f"{len(blobs) - large_ones} files without a row wait for the daily sweep") if blobs else None
    for folder in folders:
        _age(folder)
    for stash in open_both(place):
        stash.close()
    blobs = [path for folder in folders for path in _files(folder, "blobs")]
    finding.counts["files left"] = len(blobs) - large_ones if blobs or large_ones and place.engine not in SERVERS else 0
    if finding.counts["drafts left"] or finding.counts["files left"]:
        finding.failures.append(
            f"{finding.counts['drafts left']} drafts and {finding.counts['files left']} files are left"
        )
    for stash in open_both(place):
        stash.clear()
        stash.close()


def _files(folder: str, kind: str) -> list[str]:
    """The files in folders of that name below *folder*, without small ones that only mark something."""
    found = []
    for path, _, names in os.walk(folder):
        if kind in os.path.relpath(path, folder).split(os.sep):
            found += [
                f"{path}/{name}"
                for name in names
                if kind != "blobs" or os.path.getsize(f"{path}/{name}") >= SMALLEST_FILE
            ]
    return found


def _age(folder: str) -> None:
    """Let everything look as if it had been written two days ago."""
    long_ago = time.time() - LONG_AGO
    for path, _, names in os.walk(folder):
        for name in names:
            os.utime(f"{path}/{name}", (long_ago, long_ago))


KILLS = (
    Check(
        "kill9",
        kill9,
        (*FILES, *SERVERS, "memory"),
        "after a SIGKILL everything acknowledged is there, nothing is half there, and the next process writes at once",
        often=("pairtree", "lmdb", "sqlite"),
    ),
)
