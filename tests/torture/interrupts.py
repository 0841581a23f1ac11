"""Ctrl-C at any moment: it comes out once, nothing hangs, nothing is half there, no lock stays held, and one goes on at once.

A process works in its main thread and is interrupted; another one then looks whether it can read, write and take the same locks.
Interrupts come by a timer, as from a keyboard; or, to leave out none, at each place in turn where the interpreter looks for them.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from torture.children import Child, Hangs, say
from torture.interrupting import at_step, by_timer
from torture.places import EVERY, FILES, Place
from torture.report import Budget, Check, Finding
from torture.values import LARGE, SMALL, Torn, made, verified

KEYS = [f"key {number}" for number in range(6)]
PATIENCE = 20.0
TRIES = 40
MOST_VERSIONS = 8


def square(number: int) -> dict[str, Any]:
    """A function to be stashed."""
    return made("square", 0, number)


class Struggle:
    """What is done to a stash, and what must therefore be there."""

    def __init__(self, place: Place, seed: int) -> None:
        self.stash = place.open()
        self.growing = place.fresh("growing").open(append_mode=True)
        self.dice = random.Random(f"{seed} interrupts")
        self.number = 0
        self.allowed: dict[str, list[int]] = {}
        """By key, the numbers one of which is there; 0: nothing."""
        self.growing_key = "growing 0"
        self.grown: list[int] = []
        self.newest: int | None = None
        """The number of an append of which it is not known whether it was done."""
        for key in KEYS:
            self.stash[key] = self._next(key)
        self.work: dict[str, Callable[[], None]] = {
            "set": self.store,
            "set large": self.store,
            "get": self.get,
            "update": self.update,
            "delete": self.delete,
            "append": self.append,
            "items": self.items,
            "run": self.run,
            "lock": self.lock,
        }

    def _next(self, key: str, size: int = SMALL) -> dict[str, Any]:
        self.number += 1
        self.allowed.setdefault(key, [0]).append(self.number)
        return made(key, 0, self.number, size)

    def _is_now(self, *keys: str, number: int | None = None) -> None:
        for key in keys:
            self.allowed[key] = [self.allowed[key][-1] if number is None else number]

    def prepare(self, name: str) -> None:
        """What an interrupt of that operation does not concern."""
        self.key = self.dice.choice(KEYS)
        if name in {"set", "set large"}:
            self.value = self._next(self.key, LARGE if name == "set large" else SMALL)
        elif name == "update":
            self.batch = {key: self._next(key) for key in KEYS[:4]}
        elif name == "delete":
            self.allowed[self.key].append(0)
        elif name == "append":
            self.number += 1
            if len(self.grown) >= MOST_VERSIONS:
                self.growing_key, self.grown = f"growing {self.number}", []
            self.newest = self.number
            self.value = made(self.growing_key, 0, self.number)
        elif name == "run" and self.dice.random() < 0.8:
            self.number += 1

    def store(self) -> None:
        self.stash[self.key] = self.value
        self._is_now(self.key)

    def get(self) -> None:
        self._read(self.stash.get(self.key), self.key)

    def _read(self, value: Any, key: str) -> None:
        found = 0 if value is None else verified(key, value)[1]
        if found not in self.allowed[key]:
            raise Torn(f"{key!r} is {found}, and should be one of {self.allowed[key]}")
        self._is_now(key, number=found)

    def update(self) -> None:
        self.stash.update(self.batch)
        self._is_now(*self.batch)

    def delete(self) -> None:
        self.stash.discard(self.key)
        self._is_now(self.key, number=0)

    def append(self) -> None:
        self.growing[self.growing_key] = self.value
        self._grow()

    def _grow(self) -> None:
        self.grown.append(self.newest)
        self.newest = None

    def items(self) -> None:
        for key, value in self.stash.items():
            if key in KEYS:
                self._read(value, key)

    def run(self) -> None:
        if verified("square", self.stash.run(square, self.number))[1] != self.number:
            raise Torn(f"the square of {self.number} is another one")

    def lock(self) -> None:
        with self.stash.lock(self.key):
            pass

    def look(self, stash: Any, growing: Any) -> list[str]:
        """What is wrong with what another process, or thread, sees of it, and whether that can go on at once."""
        return looked(stash, growing, *self.question())

    def question(self) -> tuple[Any, ...]:
        """What one who looks must know."""
        return self.key, self.allowed, self.growing_key, self.expected()

    def expected(self) -> list[list[int]]:
        """The numbers of all versions, with and without the one that may be there."""
        return [self.grown, [*self.grown, self.newest]] if self.newest is not None else [self.grown]

    def go_on(self, wrong: list[str]) -> None:
        """Do all of it once more, in the same process and at once."""
        began = time.monotonic()
        for key in KEYS:
            self._read(self.stash.get(key), key)
        numbers = versions_of(self.growing, self.growing_key)
        if numbers not in self.expected():
            wrong.append(f"the versions are {numbers[-3:]}, and should be {self.expected()}")
        self.grown, self.newest = numbers, None
        for name in ("set", "run", "append", "lock"):
            self.prepare(name)
            self.work[name]()
        seconds = time.monotonic() - began
        if seconds > PATIENCE / 4:
            wrong.append(f"to go on took {seconds:.1f} s")

    def end(self) -> list[str]:
        """What is wrong with closing it, for which nothing that was interrupted may be waited for."""
        began = time.monotonic()
        self.stash.close()
        self.growing.close()
        seconds = time.monotonic() - began
        return [f"to close it took {seconds:.1f} s"] if seconds > PATIENCE / 4 else []


def versions_of(growing: Any, key: str) -> list[int]:
    """The numbers of all versions."""
    return [verified(key, value)[1] for value in growing.get_all(key, [])]


def looked(
    stash: Any, growing: Any, key: str, allowed: dict[str, list[int]], growing_key: str, grown: list[list[int]]
) -> list[str]:
    """What is wrong for one who comes from elsewhere: values, locks, whether it can write."""
    wrong = []
    for name, numbers in allowed.items():
        value = stash.get(name)
        found = 0 if value is None else verified(name, value)[1]
        if found not in numbers:
            wrong.append(f"{name!r} is {found}, and should be one of {numbers}")
    versions = versions_of(growing, growing_key)
    if versions not in grown:
        wrong.append(f"the versions are {versions[-3:]}, and should be {grown}")
    began = time.monotonic()
    for lock in (stash.lock(key), growing.lock(growing_key)):
        if lock.acquire(PATIENCE / 4):
            lock.release()
        else:
            wrong.append(f"the lock of {key!r} is still held")
    stash["from elsewhere"] = made("from elsewhere", 0, 1)
    if verified("square", stash.run(square, 0))[1] != 0:
        wrong.append("what was computed is another number's")
    if time.monotonic() - began > PATIENCE / 4:
        wrong.append(f"to write took {time.monotonic() - began:.1f} s")
    return wrong


# ---- the processes ---------------------------------------------------------------------------------------------------


def struggle(place: str, seed: int, rounds: int) -> None:
    """In a child: be interrupted so many times, at random moments of random operations."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    mine = Struggle(Place.loads(place), seed)
    lengths = {name: _length(mine, name) for name in mine.work}
    for _ in range(rounds):
        name = mine.dice.choice(list(mine.work))
        for attempt in range(TRIES):
            mine.prepare(name)
            delay = mine.dice.uniform(0, 1.1 * lengths[name] / (1 + attempt / 4))
            came, came_out = by_timer(mine.work[name], delay)
            if came:
                break
        else:
            continue
        _tell(mine, name, f"after {1000 * delay:.3f} ms", came_out, Place.loads(place))
    say(None, mine.end())


def everywhere(place: str, seed: int, stride: int, names: list[str]) -> None:
    """In a child: be interrupted at each step of each operation, or at each *stride*-th one."""
    mine = Struggle(Place.loads(place), seed)
    for name in names:
        for _ in range(2):  # what is opened at the first time
            mine.prepare(name)
            mine.work[name]()
        step = 1 + mine.dice.randrange(stride)
        where = "somewhere"
        while where:
            mine.prepare(name)
            where, came_out = at_step(mine.work[name], step)
            if where:
                _tell(mine, name, f"at step {step}, {where}", came_out, Place.loads(place))
                step += stride
    say(None, mine.end())


def _length(mine: Struggle, name: str) -> float:
    seconds = []
    for _ in range(5):
        mine.prepare(name)
        began = time.perf_counter()
        mine.work[name]()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def _tell(mine: Struggle, name: str, when: str, came_out: bool, place: Place) -> None:
    """Let the other one look, and go on."""
    wrong = [] if came_out else ["the interrupt was swallowed"]
    if place.engine == "memory":
        wrong += _looked_in_a_thread(mine)
        say(name, when, wrong, [])
    else:
        say(name, when, wrong, mine.question())
    sys.stdin.readline()
    wrong = []
    try:
        mine.go_on(wrong)
    except Exception as error:
        wrong.append(f"to go on raises {type(error).__name__}: {error}")
    say(wrong)


def _looked_in_a_thread(mine: Struggle) -> list[str]:
    wrong = ["a thread that looks hangs"]

    def look() -> None:
        wrong[:] = mine.look(mine.stash, mine.growing)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return list(wrong)


def watch(place: str) -> None:
    """In a child: look whenever asked."""
    stash, growing = Place.loads(place).open(), Place.loads(place).fresh("growing").open(append_mode=True)
    for line in sys.stdin:
        try:
            say(looked(stash, growing, *json.loads(line)))
        except Exception as error:
            say([f"to look raises {type(error).__name__}: {error}"])


# ---- the checks ------------------------------------------------------------------------------------------------------


def interrupted(place: Place, function: str, *arguments: Any, module: str = __name__) -> Finding:
    """What comes of a process that is interrupted in that way."""
    finding = Finding()
    working = Child(module, function, place.dumps(), *arguments)
    watching = Child(__name__, "watch", place.dumps())
    name = when = ""
    with finding.timed():
        try:
            for name, when, wrong, question in _rounds(working, finding):
                finding.counts["interrupts"] += 1
                if question:
                    watching.tell(json.dumps(question))
                    wrong += [f"elsewhere: {sentence}" for sentence in _heard(watching)[0]]
                working.tell("go on")
                wrong += _heard(working)[0]
                for sentence in wrong:
                    finding.wrong(f"{name} {when}: {sentence}", kind="failures")
        except (Hangs, BrokenPipeError) as error:
            finding.wrong(f"{name} {when}: {error}", kind="hangs")
        finally:
            for child in (working, watching):
                child.drop()
    for kind in ("failures", "hangs"):
        finding.counts.setdefault(kind, 0)
    return finding


def _rounds(working: Child, finding: Finding) -> Iterator[list[Any]]:
    while (said := _heard(working))[0] is not None:
        yield said
    for sentence in said[1]:
        finding.wrong(sentence, kind="failures")


def _heard(child: Child) -> list[Any]:
    said = child.hear(3 * PATIENCE)
    if said is None:
        child.process.wait()
        raise Hangs(f"a child ended: {child.errors()[-1500:]}")
    return said


def sigint(place: Place, budget: Budget) -> Finding:
    """Interrupts at random moments."""
    return interrupted(place, "struggle", budget.seed, budget(full=500, short=40))


def interrupt_everywhere(place: Place, budget: Budget) -> Finding:
    """Interrupts at each place where the interpreter looks for them."""
    names = ["set", "get", "delete", "append", "lock", "run"]
    return interrupted(place, "everywhere", budget.seed, budget(full=1, short=40), names)


INTERRUPTS = (
    Check(
        "sigint",
        sigint,
        EVERY,
        "after a Ctrl-C at a random moment everything acknowledged is there, and everybody goes on at once",
        often=("sqlite", "lmdb"),
    ),
    Check(
        "interrupt_everywhere",
        interrupt_everywhere,
        (*FILES, "memory", "redis"),
        "so it is after one at each single place where the interpreter looks for it",
        often=("pairtree", "memory"),
    ),
)
