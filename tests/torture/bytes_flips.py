"""Every byte of small stores flipped, and files cut off, grown, swapped, replaced: no wrong value, no crash, no hang, no silence."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torture import bytes_stores as stores
from torture.bytes_damages import Damage, cuts, flips
from torture.bytes_examined import LIMIT
from torture.children import Child, Hangs
from torture.places import FILES, Place
from torture.report import Budget, Check, Finding

_SEPARATE = ("pairtree",)
"""Engines of which nothing is shared by entries, so that damage affects one only."""
_ALSO_IN_SHORT = ("pairtree", "lmdb")
_PATIENCE = 600.0


@dataclass
class Trials:
    """Damages that are tried in children: *module.function*, which the tests of this suite replace by what breaks the product."""

    where: Place
    finding: Finding
    module: str = "torture.bytes_flips"
    function: str = "examined"
    most_ends: int = 20
    """How many damages may end a child, alone as well, before the rest is given up."""

    def run(self, damages: list[Damage]) -> None:
        """All of *damages*; a new child begins behind the damage that ended the last one."""
        start, ends = 0, 0
        while start < len(damages) and ends < self.most_ends:
            at, left = self._child(damages, start, self.finding, LIMIT)
            if not left:
                return
            start, ends = at + 1, ends + self._ends_again(damages[at])

    def _child(self, damages: list[Damage], start: int, finding: Finding, limit: float) -> tuple[int, str]:
        """The number of the last damage that a child has begun with, and what it left on stderr if that ended it."""
        with tempfile.TemporaryDirectory(prefix="torture-bytes-") as folder:
            listed, progress = f"{folder}/damages", f"{folder}/progress"
            with open(listed, "w") as file:
                json.dump(damages, file)
            separate = self.where.engine in _SEPARATE
            child = Child(self.module, self.function, self.where.dumps(), listed, start, progress, separate, limit)
            is_ready = child.hear(_PATIENCE) is not None
            heard = [_take(said, finding) for said in child.hear_all(_PATIENCE)]
            child.end()
            errors = child.errors()
            if not is_ready:
                raise RuntimeError(f"the store cannot be looked at even as it is: {errors}")
            with open(progress) as file:
                return int(file.read()), "" if any(heard) else errors or "it says nothing"

    def _ends_again(self, damage: Damage) -> bool:
        """Whether what ended a child does so alone and with more time: a machine that is busy with other things makes nothing hang."""
        alone = Finding()
        try:
            _, left = self._child([damage], 0, alone, 3 * LIMIT)
        except Hangs as error:
            self.finding.wrong(f"{damage}: {error}", kind="hangs")
            return True
        if left:
            kind = "hangs" if "Timeout (" in left else "crashes"
            self.finding.wrong(f"{damage}: the process ended: {left[-1500:]}", kind=kind)
            return True
        self.finding.counts.update(alone.counts)
        self.finding.failures.extend(alone.failures)
        return False


def examined(place: str, listed: str, *rest: Any) -> None:
    """In a child: what lies in the file *listed* is too much for its arguments."""
    from torture.bytes_examined import examine

    with open(listed) as file:
        damages = json.load(file)
    examine(place, damages, *rest)


def _take(said: list[Any], finding: Finding) -> bool:
    """Note what a child says; whether that was its last word."""
    if said[0] == "wrong":
        finding.wrong(said[2])
    elif said[0] == "counts":
        finding.counts.update(said[1])
    return said[0] == "done"


def run(where: Place, damages_of: Callable[[str, int, int], list[Damage]], most: int, budget: Budget) -> Finding:
    """Fill the store at *where*, and try about *most* damages on copies of it."""
    finding = Finding()
    with finding.timed():
        stores.fill(where)
        damages = damages_of(where.root, most, budget.seed)
        Trials(where, finding).run(damages if budget.is_full else damages[: 2 * most])
    return finding


def _flipped(where: Place, budget: Budget) -> Finding:
    return run(where, flips, budget(full=1200, short=15), budget)


def _cut(where: Place, budget: Budget) -> Finding:
    if not budget.is_full and where.engine not in _ALSO_IN_SHORT:
        return Finding(notes=["only in full"])
    return run(where, cuts, budget(full=300, short=8), budget)


FLIPS: tuple[Check, ...] = (
    Check(
        "bytes",
        _flipped,
        FILES,
        "a flipped byte gives the exact value or a clear error; check and repair tell and mend",
    ),
    Check("cuts", _cut, FILES, "the same for files cut off, zeroed, swapped, grown, or replaced by something else"),
)
