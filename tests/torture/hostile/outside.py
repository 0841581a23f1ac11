"""The check of what a stranger may have written beside rows and frames: archives, streams, facts, folders, settings, names."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import time
from pathlib import Path
from typing import Any

from hashstash import HashStash
from hashstash.errors import StashError
from hashstash.registry import COMPRESSORS
from torture.children import say
from torture.hostile import archives_met, facts, folders, lines, settings_met, streams
from torture.hostile.canary import Canary
from torture.hostile.checks import Broken, Scene, gathered
from torture.hostile.trials import Trials, quietly
from torture.places import Place
from torture.report import Budget, Check, Finding

MODULE = "torture.hostile.outside"
STRIDES = {
    "archives": (2, 193),
    "damage": (8, 389),
    "bombs": (1, 17),
    "streams": (1, 71),
    "facts": (3, 331),
    "folders": (1, 41),
    "labels": (1, 11),
    "settings": (3, 181),
    "lines": (11, 401),
}
"""Of which part one in how many is tried: in full, and in short. What comes in rows of five, seven, forty or sixty is met in all columns."""

BESIDE = {
    "facts": (facts.rows, facts.notes),
    "folders": (folders.folders,),
    "labels": (folders.labels,),
    "settings": (settings_met.settings, settings_met.descriptions),
}


def make(folder: str) -> None:
    """In a child with the stranger's home: an archive, and a stash, that are as they should be."""
    archives_met.export(f"{folder}/sound.stash")
    facts.fill(f"{folder}/sound")


def meet(folder: str, mark: str, signer: str, parts: dict[str, int], seed: int, with_magics: bool) -> None:
    """In a child with the victim's home, in a folder with gadgets: all of the *parts*, each with its stride."""
    quietly()
    here = Path(folder) / "met"
    here.mkdir()
    allowed = [folder, *(os.environ[f"XDG_{kind}_HOME"] for kind in ("CACHE", "STATE", "CONFIG"))]
    canary = Canary(mark, allowed)
    trials = Trials(canary)
    sound = Path(f"{folder}/sound.stash").read_bytes()
    _warm_up(trials, folder, here)
    work: dict[str, Any] = {
        "archives": lambda stride: archives_met.meet(
            trials, sound, here / "archives", mark, bytes.fromhex(signer), stride, seed
        ),
        "damage": lambda stride: archives_met.meet_damage(trials, sound, here / "damage", stride, seed),
        "bombs": lambda stride: archives_met.meet_bombs(trials, sound, here / "bombs", stride, seed),
        "streams": lambda stride: streams.meet(trials, stride, seed),
        "lines": lambda stride: lines.meet(trials, sound, here / "lines", stride, seed, with_magics=with_magics),
    }
    with contextlib.redirect_stdout(io.StringIO()):  # what is said goes to the parent by another way
        for part, stride in parts.items():
            began = time.process_time()
            if part in BESIDE:
                _beside(trials, part, f"{folder}/sound", here / part, stride, seed)
            else:
                work[part](stride)
            if os.environ.get("TORTURE_TIMES"):
                print(f"{part}: {time.process_time() - began:.2f} s", file=sys.stderr)
    say("met", dict(trials.counts), trials.refused, trials.wrong, trials.most, canary.seen())


def _beside(trials: Trials, part: str, sound: str, folder: Path, stride: int, seed: int) -> None:
    """What lies beside rows, or around a stash."""
    folder.mkdir()
    number = seed
    for make_them in BESIDE[part]:
        for family, name, meeting in make_them(sound, folder):
            number += 1
            if number % stride == 0:
                trials.count(family, name)
                with trials.weighed("it"):
                    meeting(trials)


def _warm_up(trials: Trials, folder: str, here: Path) -> None:
    """Import what is imported anyway, so that whatever is imported later was asked for by something hostile."""
    for name in COMPRESSORS.names():
        with contextlib.suppress(StashError):
            COMPRESSORS.load(name)
    for name in ("numpy", "difflib", "tomllib", "torture.hostile.notebooks"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warm = Trials(trials.canary)
        facts.warm_up(warm, f"{folder}/sound", here)
        folders.called(warm, f"{folder}/sound", here, "warm")
        HashStash("warm").update({"a": 1})
    trials.canary.seen()
    if os.environ.get("TORTURE_TIMES"):
        print(f"until then: {time.process_time():.2f} s", file=sys.stderr)


def said_of(place: Place, budget: Budget, module: str = MODULE, parts: dict[str, int] | None = None) -> list[Any]:
    """What the victim says who meets all of it, or the *parts* with strides of their own."""
    scene = Scene(place)
    chosen = parts or {part: budget(full=full, short=short) for part, (full, short) in STRIDES.items()}
    scene.child("make", scene.folder, who="stranger", module=MODULE)
    arguments = (scene.folder, scene.mark, scene.signer("victim"), chosen, budget.seed, budget.is_full)
    return scene.child("meet", *arguments, who="victim", module=module)


def outside(place: Place, budget: Budget) -> Finding:
    """Everything that is neither a row nor below one."""
    finding = Finding()
    with finding.timed():
        try:
            _, counts, refused, wrong, most, seen = said_of(place, budget)
        except Broken as error:
            finding.wrong(str(error), kind="crashes")
            return finding
    finding.counts["payloads"] = sum(counts.values())
    finding.counts["refused"] = refused
    finding.counts["MB more at most"] = most >> 20
    finding.counts["executions"] += 0
    finding.notes += [", ".join(f"{number:,} {family}" for family, number in counts.items())]
    for what, where in gathered(wrong).items():
        finding.wrong(f"{what} ({len(where)} x: {', '.join(where[:4])})")
    for what in seen:
        finding.wrong(what, kind="executions")
    return finding


OUTSIDE: tuple[Check, ...] = (
    Check(
        "hostile surroundings",
        outside,
        ("pairtree",),
        "archives, streams, facts, folders, settings and names lead nowhere, run nothing, take little and say nothing that steers",
    ),
)
