"""Writers and readers at once, in processes and in threads: every value that is read is whole, its key's own, and not older than before.

Each writer has keys of its own, which it never deletes, and keys that it deletes and sets again; some keys all writers share.
"""

from __future__ import annotations

import random
import select
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from torture.children import Child, Hangs, say
from torture.places import EVERY, FILES, SERVERS, Place
from torture.report import Budget, Check, Finding
from torture.values import LARGE, MIDDLE, SMALL, Torn, made, verified

KEYS = 12
SIZES = (SMALL, SMALL, SMALL, SMALL, SMALL, MIDDLE, MIDDLE, LARGE)
WRITERS, READERS = 3, 3
READS = {
    "mongo": 10_000,
    "pickledb": 8_000,
    "shelve": 30_000,
    "sqlitedict": 50_000,
    "diskcache": 60_000,
    "redis": 60_000,
}
"""How many reads are checked in the full budget, where that is fewer than elsewhere."""
FAST = 120_000
LONGEST = 240.0
SETTINGS: tuple[dict[str, Any], ...] = ({}, {"compress": "zlib"}, {"serializer": "pickle", "compress": "raw"})
"""Writers and readers differ in how they store; each reads what the others have stored."""
WRONG = ("torn", "missing", "backwards", "phantom", "errors")

OWN = [f"own {writer} {number}" for writer in range(WRITERS) for number in range(KEYS)]
SHARED_KEYS = [f"shared {number}" for number in range(4)]
FLEETING = [f"fleeting {writer} {number}" for writer in range(WRITERS) for number in range(4)]
STAYING = frozenset([*OWN, *SHARED_KEYS])


class Writer:
    """Overwrites its own keys and the shared ones, over and over, with rising numbers."""

    def __init__(self, stash: Any, number: int, seed: int) -> None:
        self.stash, self.writer = stash, number
        self.dice = random.Random(f"{seed} writer {number}")
        self.number = 0
        self.own = [key for key in OWN if key.startswith(f"own {number} ")]
        self.fleeting = [key for key in FLEETING if key.startswith(f"fleeting {number} ")]
        self.acknowledged: dict[str, int] = {}
        """The number that each key had after the last write of it; 0 once it was deleted."""

    def begin(self) -> None:
        """Store a first value at every key that is never absent from then on."""
        for key in [*self.own, *SHARED_KEYS]:
            self._set(key)

    def turn(self) -> None:
        """Write something."""
        choice = self.dice.random()
        if choice < 0.6:
            self._set(self.dice.choice(self.own))
        elif choice < 0.75:
            self._set(self.dice.choice(SHARED_KEYS))
        elif choice < 0.85:
            self.number += 1
            batch = {key: self._made(key) for key in self.dice.sample(self.own, 4)}
            self.stash.update(batch)
            self.acknowledged |= dict.fromkeys(batch, self.number)
        else:
            key = self.dice.choice(self.fleeting)
            if self.acknowledged.get(key):
                del self.stash[key]
                self.acknowledged[key] = 0
            else:
                self._set(key)

    def _set(self, key: str) -> None:
        self.number += 1
        self.stash[key] = self._made(key)
        self.acknowledged[key] = self.number

    def _made(self, key: str) -> dict[str, Any]:
        return made(key, self.writer, self.number, self.dice.choice(SIZES))


class Reader:
    """Reads in every way there is, and holds what it reads against what it has read before."""

    def __init__(self, stash: Any, number: int, seed: int) -> None:
        self.stash = stash
        self.dice = random.Random(f"{seed} reader {number}")
        self.newest: dict[tuple[str, int], int] = {}
        self.counts: Counter[str] = Counter()
        self.examples: list[str] = []

    def wrong(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        if len(self.examples) < 3:
            self.examples.append(f"{kind}: {what}")

    def turn(self) -> None:
        """Read something, and check it."""
        choice = self.dice.random()
        try:
            if choice < 0.6:
                self._got(key := self.dice.choice(OWN), self.stash.get(key))
            elif choice < 0.75:
                self._got(key := self.dice.choice(SHARED_KEYS), self.stash.get(key))
            elif choice < 0.85:
                self._got(key := self.dice.choice(FLEETING), self.stash.get(key))
            elif choice < 0.9:
                key = self.dice.choice(OWN)
                self._is(key in self.stash, "missing", f"{key!r} in stash")
            elif choice < 0.98:
                key = f"absent {self.dice.randrange(100)}"
                self._is(key not in self.stash and self.stash.get(key) is None, "phantom", f"there is {key!r}")
            else:
                self._all_at_once()
        except Exception as error:  # whatever comes is what a user would meet
            self.wrong("errors", f"{type(error).__name__}: {error}")

    def _all_at_once(self) -> None:
        kind = self.dice.randrange(4)
        if kind == 0:
            self._is(
                len(STAYING) <= len(self.stash) <= len(STAYING) + len(FLEETING), "missing", f"len is {len(self.stash)}"
            )
        elif kind == 1:
            for key, value in zip(asked := self.dice.sample(OWN, 5), self.stash.get_many(asked), strict=True):
                self._got(key, value)
        elif kind == 2:
            self._complete(list(self.stash.keys()), "keys()")
        else:
            keys = []
            for key, value in self.stash.items():
                keys.append(key)
                self._got(key, value)
            self._complete(keys, "items()")

    def _complete(self, keys: list[str], way: str) -> None:
        for key in STAYING.difference(keys):
            self.wrong("missing", f"{key!r} in {way}")
        for key in set(keys).difference(STAYING, FLEETING):
            self.wrong("phantom", f"{key!r} in {way}")
        self._is(len(keys) == len(set(keys)), "phantom", f"a key comes twice in {way}")

    def _is(self, holds: bool, kind: str, what: str) -> None:
        self.counts["reads"] += 1
        if not holds:
            self.wrong(kind, what)

    def _got(self, key: str, value: Any) -> None:
        self.counts["reads"] += 1
        if value is None:
            if key in STAYING:
                self.wrong("missing", repr(key))
            return
        try:
            writer, number = verified(key, value)
        except Torn as error:
            self.wrong("torn", str(error))
            return
        if number < self.newest.get((key, writer), 0):
            self.wrong("backwards", f"{key!r}: {number} after {self.newest[key, writer]}")
        self.newest[key, writer] = number


def lost(stash: Any, acknowledged: list[dict[str, int]]) -> list[str]:
    """What is not there though its writer's last word was that it is, now that nobody writes any more."""
    failures = []
    for key in [*OWN, *SHARED_KEYS, *FLEETING]:
        last = [(writer, said[key]) for writer, said in enumerate(acknowledged) if key in said]
        value = stash.get(key)
        found = None if value is None else verified(key, value)
        expected = [None if not number else (writer, number) for writer, number in last] or [None]
        if found not in expected:
            failures.append(f"{key!r} is {found}, and was last written as {expected}")
    return failures


# ---- in processes ----------------------------------------------------------------------------------------------------


def write(place: str, number: int, seed: int) -> None:
    """In a child: write until told to stop."""
    writer = Writer(Place.loads(place).open(**SETTINGS[number]), number, seed)
    writer.begin()
    say("ready")
    sys.stdin.readline()
    while not select.select([0], [], [], 0)[0]:
        writer.turn()
    say(writer.number, writer.acknowledged)


def read(place: str, number: int, seed: int, reads: int) -> None:
    """In a child: read so many times, unless it takes too long."""
    reader = Reader(Place.loads(place).open(**SETTINGS[number]), number, seed)
    say("ready")
    sys.stdin.readline()
    deadline = time.monotonic() + LONGEST
    while reader.counts["reads"] < reads and time.monotonic() < deadline:
        reader.turn()
    say(reader.counts, reader.examples)


def concurrent(place: Place, budget: Budget) -> Finding:
    """Three processes write, three read."""
    place = shared_by_processes(place)
    finding = Finding()
    reads = _reads(place, budget) // READERS
    writers = [Child(__name__, "write", place.dumps(), number, budget.seed) for number in range(WRITERS)]
    readers: list[Child] = []
    with finding.timed():
        try:
            for child in writers:
                _told(child, finding)
            readers += [Child(__name__, "read", place.dumps(), number, budget.seed, reads) for number in range(READERS)]
            for child in readers:
                _told(child, finding)
            for child in [*writers, *readers]:
                child.tell("go")
            for child in readers:
                _note_reads(finding, *_told(child, finding))
            for child in writers:
                child.tell("stop")
            said = [_told(child, finding) for child in writers]
            _note_end(finding, place, said)
        except (Hangs, BrokenPipeError) as error:
            finding.wrong(str(error), kind="hangs")
        finally:
            for child in [*writers, *readers]:
                child.drop()
    return finding


def _told(child: Child, finding: Finding) -> list[Any]:
    said = child.hear(LONGEST + 60)
    if said is None:
        child.end()
        raise Hangs(f"a child ended: {child.errors()[-1500:]}")
    return said


def _note_reads(finding: Finding, counts: dict[str, int], examples: list[str]) -> None:
    finding.counts.update(counts)
    if any(counts.get(kind) for kind in WRONG):
        finding.failures.extend(examples)


def _note_end(finding: Finding, place: Place, said: list[list[Any]]) -> None:
    finding.counts["writes"] += sum(number for number, _ in said)
    stash = place.open()
    try:
        _note_lost(finding, lost(stash, [acknowledged for _, acknowledged in said]))
    finally:
        stash.clear()
        stash.close()


def _note_lost(finding: Finding, failures: list[str]) -> None:
    for failure in failures:
        finding.wrong(failure, kind="lost")
    for kind in (*WRONG, "lost"):
        finding.counts.setdefault(kind, 0)


def shared_by_processes(place: Place) -> Place:
    """A place that other processes reach, where it is only a name in the memory of one."""
    return replace(place, options={"shared": True}) if place.engine == "memory" else place


def _reads(place: Place, budget: Budget) -> int:
    return budget(full=READS.get(place.engine, FAST), short=1500)


# ---- in threads ------------------------------------------------------------------------------------------------------


def race(place: str, seed: int, reads: int) -> None:
    """In a child: three threads write and three read, two of each through one object."""
    sys.setswitchinterval(1e-4)
    common = Place.loads(place).open()
    stashes = [common, common, Place.loads(place).open(**SETTINGS[1])]
    writers = [Writer(stash, number, seed) for number, stash in enumerate(stashes)]
    readers = [Reader(stash, number, seed) for number, stash in enumerate(stashes)]
    for writer in writers:
        writer.begin()
    is_over = threading.Event()
    errors: list[str] = []
    deadline = time.monotonic() + LONGEST

    def write(writer: Writer) -> None:
        try:
            while not is_over.is_set():
                writer.turn()
        except Exception as error:
            errors.append(f"a writer met {type(error).__name__}: {error}")

    def read(reader: Reader) -> None:
        while reader.counts["reads"] < reads and time.monotonic() < deadline:
            reader.turn()

    writing = [threading.Thread(target=write, args=(writer,), daemon=True) for writer in writers]
    reading = [threading.Thread(target=read, args=(reader,), daemon=True) for reader in readers]
    for thread in [*writing, *reading]:
        thread.start()
    for thread in reading:
        thread.join()
    is_over.set()
    for thread in writing:
        thread.join()
    counts: Counter[str] = Counter(writes=sum(writer.number for writer in writers), errors=len(errors))
    for reader in readers:
        counts.update(reader.counts)
    examples = [example for reader in readers for example in reader.examples]
    say(counts, examples + errors, lost(common, [writer.acknowledged for writer in writers]))


def threads(place: Place, budget: Budget, module: str = __name__) -> Finding:
    """Three threads of one process write, three read."""
    finding = Finding()
    child = Child(module, "race", place.dumps(), budget.seed, _reads(place, budget) // READERS)
    with finding.timed():
        try:
            counts, examples, missed = _told(child, finding)
            _note_reads(finding, counts, examples)
            _note_lost(finding, missed)
        except Hangs as error:
            finding.wrong(str(error), kind="hangs")
        finally:
            child.drop()
    return finding


RACES = (
    Check(
        "concurrent",
        concurrent,
        (*FILES, *SERVERS, "memory"),
        "processes that write and read at once see whole, own, never older values, and nothing acknowledged is lost",
        often=("lmdb", "pairtree"),
    ),
    Check(
        "threads",
        threads,
        EVERY,
        "so do threads of one process",
        often=("sqlite", "diskcache", "memory"),
    ),
)
