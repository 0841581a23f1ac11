"""A map that is too small, and grows under those who write to it and read in it."""

from __future__ import annotations

import random
import select
import sys

from hashstash import HashStash
from torture.children import Child, say
from torture.places import Place
from torture.report import Budget, Check, Finding
from torture.values import MIDDLE, SMALL, Torn, made, verified

_PATIENCE = 240.0
_SMALL_MAP = 1 << 16


def grows(place: str, writer: int, rounds: int, seed: int) -> None:
    """In a child: store more and more, alone and in batches; say each number that was acknowledged."""
    where, dice = Place.loads(place), random.Random(f"{seed} {writer}")
    stash = where.open(map_size=_SMALL_MAP)
    say("ready")
    sys.stdin.readline()
    for number in range(rounds):
        names = [f"{writer} {number} {part}" for part in range(30 if number % 4 == 0 else 1)]
        values = {name: made(name, writer, number, dice.choice((SMALL, MIDDLE, 20_000))) for name in names}
        if len(values) > 1:
            stash.update(values)
        else:
            stash[names[0]] = values[names[0]]
        say("done", number, len(names))
    stash.close()


def watches(place: str) -> None:
    """In a child: read whatever there is, over and over, while the map grows, until told to stop."""
    where = Place.loads(place)
    stash = where.open(map_size=_SMALL_MAP)
    say("ready")
    sys.stdin.readline()
    reads = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        for key in list(stash.keys())[-50:]:
            verified(key, stash[key])
            reads += 1
    say("done", reads)


def growth(where: Place, budget: Budget) -> Finding:
    finding = Finding()
    rounds, writers = budget(full=300, short=12), budget(full=4, short=3)
    with finding.timed():
        children = [
            Child("torture.growing", "grows", where.dumps(), number, rounds, budget.seed) for number in range(writers)
        ]
        reader = Child("torture.growing", "watches", where.dumps())
        for child in (*children, reader):
            child.hear()
        for child in (*children, reader):
            child.tell("go")
        expected: dict[str, int] = {}
        for writer, child in enumerate(children):
            for _, number, parts in child.hear_all(_PATIENCE):
                expected |= {f"{writer} {number} {part}": number for part in range(parts)}
            child.end_well(finding, f"writer {writer}")
        reader.tell("stop")
        finding.counts["reads meanwhile"] = sum(said[1] for said in reader.hear_all(_PATIENCE))
        reader.end_well(finding, "the reader")
        stash = where.open(map_size=_SMALL_MAP)
        _hold_against(stash, expected, finding)
        finding.counts["entries"] = len(expected)
        stash.close()
    if len(expected) < writers * rounds:
        finding.wrong(f"only {len(expected)} entries were acknowledged")
    return finding


def _hold_against(stash: HashStash, expected: dict[str, int], finding: Finding) -> None:
    for key, number in expected.items():
        try:
            if verified(key, stash[key])[1] != number:
                finding.wrong(f"{key} is not what was acknowledged")
        except (Torn, KeyError) as error:
            finding.wrong(f"lost: {error!r}")
    if set(stash.keys()) != set(expected):
        finding.wrong("there are keys that nobody stored, or some are not listed")


GROWING = (
    Check("growth", growth, ("lmdb",), "the map grows under writers and readers, and nothing is lost or refused"),
)
