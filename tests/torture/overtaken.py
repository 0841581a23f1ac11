"""Writers beside all that changes or removes entries after a look at them: no acknowledged value is lost, and none goes back.

What is over at once is written before each value that stays, so that there is always something to be removed, for those who
prune, compact and import. Others touch, trust and pop. Each key has one writer, who knows what has to be there.
"""

from __future__ import annotations

import random
import select
import sys
import time
from collections import Counter
from typing import Any

from hashstash import archive, upkeep
from hashstash.errors import StashError
from torture.children import Child, Hangs, say
from torture.places import Place
from torture.races import LONGEST, _told
from torture.report import Budget, Check, Finding
from torture.values import LARGE, SMALL, Torn, made, verified

WRITERS = 2
KEYS = 6
STAYING = [[f"staying {writer} {number}" for number in range(KEYS)] for writer in range(WRITERS)]
POPPED = [f"popped {writer}" for writer in range(WRITERS)]
MEDDLERS = ("touch", "trust", "prune", "import", "pop")
WRONG = ("lost", "back", "torn", "errors", "popped twice")
_AT_ONCE = 0.0002
_FOR_LONG = 1000.0


# ---- in children -------------------------------------------------------------------------------------------------------


def write(place: str, writer: int, seed: int, writes: int) -> None:
    """Write so many values, unless it takes too long, and look after each whether it is there and stays."""
    stash = Place.loads(place).open()
    dice = random.Random(f"{seed} overtaken {writer}")
    counts: Counter[str] = Counter()
    examples: list[str] = []
    last_popped = 0
    say("ready")
    sys.stdin.readline()
    deadline = time.monotonic() + LONGEST
    while counts["writes"] < writes and time.monotonic() < deadline:
        number = counts["writes"] = counts["writes"] + 1
        key = dice.choice(STAYING[writer])
        size = LARGE if dice.random() < 0.3 else SMALL
        stash.put(key, made(key, writer, 0, SMALL), ttl=_AT_ONCE)
        value = made(key, writer, number, size)
        if dice.random() < 0.5:
            stash.put(key, value, ttl=_FOR_LONG)
        else:
            stash[key] = value
        for pause in (0, 0.0005, 0.003):
            time.sleep(pause)
            wrong = _what_is_wrong(stash, key, writer, number)
            if wrong:
                kind, words = wrong
                counts[kind] += 1
                examples.append(f"{kind}: {key!r} was written as {number}, and then there is {words}")
                break
        if dice.random() < 0.3:
            stash[POPPED[writer]] = made(POPPED[writer], writer, number, size)
            last_popped = number
    say(counts, examples[:3], last_popped)


def _what_is_wrong(stash: Any, key: str, writer: int, number: int) -> tuple[str, str] | None:
    try:
        value = stash.get(key)
        if value is None:
            return "lost", "none"
        found = verified(key, value)
    except Torn as error:
        return "torn", str(error)
    except Exception as error:  # whatever comes is what a user would meet
        return "errors", f"{type(error).__name__}: {error}"
    return None if found == (writer, number) else ("back", str(found))


def meddle(place: str, what: str, seed: int, file: str) -> None:
    """Change or remove entries, over and over, until told to stop."""
    stash = Place.loads(place).open()
    dice = random.Random(f"{seed} {what}")
    counts: Counter[str] = Counter()
    examples: list[str] = []
    popped: list[list[int]] = [[] for _ in POPPED]
    say("ready")
    sys.stdin.readline()
    while not select.select([0], [], [], 0)[0]:
        counts[what] += 1
        try:
            if what == "touch":
                stash.touch(dice.choice(dice.choice(STAYING)), ttl=_FOR_LONG)
            elif what == "trust":
                upkeep.trust_all(stash.store, everything=True)
            elif what == "prune":
                stash.prune() if counts[what] % 20 else stash.compact()
            elif what == "import":
                archive.import_stash(file, stash, overwrite="never")
            else:
                _pop(stash, dice.randrange(WRITERS), popped)
        except (StashError, OSError) as error:
            counts["errors"] += 1
            examples.append(f"{what} meets {type(error).__name__}: {error}")
    say(counts, examples[:3], popped)


def _pop(stash: Any, writer: int, popped: list[list[int]]) -> None:
    value = stash.pop(POPPED[writer], None)
    if value is not None:
        popped[writer].append(verified(POPPED[writer], value)[1])
    else:
        time.sleep(_AT_ONCE)  # the others need the processors


# ---- the check ---------------------------------------------------------------------------------------------------------


def overtaken(place: Place, budget: Budget, module: str = __name__) -> Finding:
    """Two processes write; one each touches, trusts, prunes and imports, and two pop."""
    finding = Finding()
    file = _archive(place)
    writes = budget(full=3000, short=80)
    arguments = place.dumps()
    writers: list[Child] = []
    meddlers: list[Child] = []
    with finding.timed():
        try:
            for writer in range(WRITERS):
                writers.append(Child(module, "write", arguments, writer, budget.seed, writes))
            for number, what in enumerate((*MEDDLERS, "pop")):
                meddlers.append(Child(module, "meddle", arguments, what, budget.seed + number, file))
            for child in [*writers, *meddlers]:
                _told(child, finding)
            for child in [*meddlers, *writers]:
                child.tell("go")
            last = [_note(finding, *_told(child, finding)) for child in writers]
            for child in meddlers:
                child.tell("stop")
            popped = [_note(finding, *_told(child, finding)) for child in meddlers]
            _note_popped(finding, place, last, popped)
        except (Hangs, BrokenPipeError) as error:
            finding.wrong(str(error), kind="hangs")
        finally:
            for child in [*writers, *meddlers]:
                child.drop()
    for kind in WRONG:
        finding.counts.setdefault(kind, 0)
    return finding


def _archive(place: Place) -> str:
    """A file with an older value of every key that stays."""
    source = Place("pairtree", f"{place.root}-archived").open()
    for writer, keys in enumerate(STAYING):
        for key in keys:
            source[key] = made(key, writer, 0, SMALL)
    file = f"{place.root}.archive"
    archive.export_stashes(file, {"old": source})
    source.clear()
    return file


def _note(finding: Finding, counts: dict[str, int], examples: list[str], rest: Any) -> Any:
    finding.counts.update(counts)
    if any(counts.get(kind) for kind in WRONG):
        finding.failures.extend(examples)
    return rest


def _note_popped(finding: Finding, place: Place, last: list[int], popped: list[list[list[int]]]) -> None:
    """Each value is popped at most once, in the order of the writes; the last one was popped, or is there still."""
    stash = place.open()
    try:
        for writer, key in enumerate(POPPED):
            taken = [numbers[writer] for numbers in popped]
            value = stash.get(key)
            left = [] if value is None else [verified(key, value)[1]]
            found = [number for numbers in [*taken, left] for number in numbers]
            if len(set(found)) < len(found):
                finding.wrong(f"{key!r}: the same value was popped twice", kind="popped twice")
            if any(numbers != sorted(numbers) for numbers in taken):
                finding.wrong(f"{key!r}: an older value was popped after a newer one", kind="back")
            if last[writer] and last[writer] not in found:
                finding.wrong(f"{key!r}: {last[writer]} was written last, and is neither there nor popped", kind="lost")
    finally:
        stash.clear()
        stash.close()


OVERTAKEN = (
    Check(
        "overtaken",
        overtaken,
        ("pairtree", "lmdb", "sqlite", "redis"),
        "what is touched, trusted, pruned, imported or popped beside its writer is neither lost nor older than acknowledged",
        often=("pairtree", "sqlite", "lmdb", "redis"),
    ),
)
