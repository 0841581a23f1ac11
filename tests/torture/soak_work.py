"""What a process does in a long run: all that users do, again and again, with values that tell whether they are whole."""

from __future__ import annotations

import contextlib
import random
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any

from hashstash import HashStash
from hashstash.errors import StashFull
from torture.children import say
from torture.places import Place
from torture.values import LARGE, MIDDLE, SMALL, Torn, made, verified

MAX_SIZE = 2_000_000
MAX_ENTRIES = 100
TTL = 0.5
LAST = 3
"""The process that is killed again and again."""
MOST_VERSIONS = 20
SIZES = (SMALL, SMALL, SMALL, MIDDLE, LARGE)
KEYS = 20
"""Of each process."""
PARTS = ("plain", "limited", "timed", "growing", "results")


def opened(where: Place, part: str) -> HashStash:
    """One of the stashes of a long run, as every process opens it."""
    options: dict[str, dict[str, Any]] = {
        "limited": {"max_size": MAX_SIZE, "max_entries": MAX_ENTRIES},
        "timed": {"ttl": TTL},
        "growing": {"append_mode": True, "max_size": 4 * MAX_SIZE},
    }
    return where.fresh(part).open(**options.get(part, {}))


def computed(key: str, number: int) -> dict[str, Any]:
    """A function whose results are remembered."""
    return made(key, 0, number, MIDDLE)


def mapped(number: int) -> dict[str, Any]:
    """A function that pools of processes compute; it takes long enough for a pool to be worth it."""
    time.sleep(0.003)
    return made(number, 0, number)


def work(text: str, number: int, seed: int, pause: float) -> None:
    """Work until SIGTERM comes; each value that is not right, and each error, is said. *pause*: seconds between two steps."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, _: asked.append(signum))
    worker = Worker(Place.loads(text), number, seed)
    warming = worker.each_job() if number != LAST else []
    say("ready")
    while not asked:
        job = warming.pop() if warming else worker.next_job()
        try:
            job()
        except Torn as error:
            say("wrong", f"{job.__name__}: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be told
            place = traceback.extract_tb(error.__traceback__)[-1]
            say("error", f"{job.__name__}: {type(error).__name__}: {error} ({place.filename}:{place.lineno})")
        worker.steps += 1
        time.sleep(pause)
    worker.end()
    say("done", worker.steps, worker.reads)


class Worker:
    """One process with the stashes that it has open."""

    def __init__(self, where: Place, number: int, seed: int) -> None:
        self.where = where
        self.number = number
        self.dice = random.Random(f"{seed} {number}")
        self.stashes = {part: opened(where, part) for part in PARTS}
        self.known: dict[str, int | None] = {}
        """By key of this process, the number of what it has written, ``None`` for what it has deleted."""
        self.count = time.time_ns()
        self.steps = self.reads = 0
        often: list[Callable[[], None]] = [self.write, self.write, self.read, self.read, self.read_others, self.delete]
        often += [self.fill, self.fill, self.use, self.pass_away, self.append, self.look_back, self.run, self.run]
        self._jobs = often * 8 + [self.begin_part, self.come_and_go, self.list_all, self.forget_results]
        self._rare: list[Callable[[], None]] = [self.map, self.compact]

    def each_job(self) -> list[Callable[[], None]]:
        """Each of them once, so that what they open and start is there before anything is compared."""
        return list(dict.fromkeys([*self._rare, *self._jobs]))

    def next_job(self) -> Callable[[], None]:
        return self.dice.choice(self._rare if self.dice.random() < 0.01 else self._jobs)

    def end(self) -> None:
        for stash in self.stashes.values():
            stash.close()

    def _value(self, key: Any, size: int | None = None) -> dict[str, Any]:
        self.count += 1
        return made(key, self.number, self.count, self.dice.choice(SIZES) if size is None else size)

    def _look(self, key: Any, value: Any) -> tuple[int, int]:
        self.reads += 1
        return verified(key, value)

    def _own_key(self) -> str:
        return f"{self.number} {self.dice.randrange(KEYS)}"

    def write(self) -> None:
        key = self._own_key()
        value = self._value(key)
        self.stashes["plain"][key] = value
        self.known[key] = value["number"]

    def read(self) -> None:
        key = self._own_key()
        value = self.stashes["plain"].get(key)
        if value is not None:
            self._look(key, value)
        if key in self.known and self.known[key] != (None if value is None else value["number"]):
            raise Torn(f"{key!r} is not what this process has written last")

    def read_others(self) -> None:
        key = f"{self.dice.randrange(4)} {self.dice.randrange(KEYS)}"
        value = self.stashes["plain"].get(key)
        if value is not None:
            self._look(key, value)

    def delete(self) -> None:
        key = self._own_key()
        self.stashes["plain"].discard(key)
        self.known[key] = None

    def fill(self) -> None:
        """More than fits: what was used longest ago has to go."""
        key = self.dice.randrange(10 * MAX_ENTRIES)
        self.stashes["limited"][key] = self._value(key)

    def use(self) -> None:
        key = self.dice.randrange(10 * MAX_ENTRIES)
        value = self.stashes["limited"].get(key)
        if value is not None:
            self._look(key, value)

    def pass_away(self) -> None:
        key = self.dice.randrange(10 * KEYS)
        value = self.stashes["timed"].get(key)
        if value is not None:
            self._look(key, value)
        else:
            self.stashes["timed"][key] = self._value(key)

    def append(self) -> None:
        key = self.dice.randrange(5)
        try:
            self.stashes["growing"][key] = self._value(key)
        except StashFull:  # the versions of this key take all of the room there is
            self.stashes["growing"].discard(key)

    def look_back(self) -> None:
        key = self.dice.randrange(5)
        found = self.stashes["growing"].get_all(key)
        for value in found or ():
            self._look(key, value)
        if found is not None and len(found) > MOST_VERSIONS:
            self.stashes["growing"].discard(key)

    def run(self) -> None:
        key = f"a {self.dice.randrange(100)}"
        value = self.stashes["results"].run(computed, key, 7)
        self._look(key, value)

    def forget_results(self) -> None:
        self.stashes["results"].clear()

    def map(self) -> None:
        start = self.dice.randrange(1000)
        for number, value in enumerate(
            self.stashes["results"].map(mapped, range(start, start + 20), num_proc=2, progress=False), start
        ):
            self._look(number, value)

    def begin_part(self) -> None:
        """A stash below, which is filled and emptied."""
        part = self.stashes["plain"].sub(f"part {self.number}")
        for key in range(5):
            part[key] = self._value(key, LARGE if key == 1 else SMALL)
        self._look(1, part[1])
        part.clear()
        part.close()

    def come_and_go(self) -> None:
        with opened(self.where, "plain") as stash:
            for key in list(stash)[:3]:
                value = stash.get(key)
                if value is not None:
                    self._look(key, value)

    def list_all(self) -> None:
        for key, value in self.stashes["limited"].items():
            self._look(key, value)

    def compact(self) -> None:
        with contextlib.suppress(StashFull):
            self.stashes["timed"].compact()
