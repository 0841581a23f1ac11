"""Folders of a stranger's whose names say something: that they lead elsewhere, or are of another engine, or nothing for a terminal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hashstash import HashStash
from hashstash.cells.stashes import CellStashes
from hashstash.command_line import main
from torture.hostile.facts import Meetings, copied, use
from torture.hostile.trials import REFUSED, Trials

NAMES = (
    *(
        "%2E%2E",
        "%2e",
        "%2e%2e%2F%2e%2e",
        "%00",
        "..%2F",
        "~",
        "%7E",
        "%2Fetc",
        "a%2Fb",
        "C:",
        "redis:%2F%2Fx",
        "%FF",
        "%",
        "%zz",
    ),
    *(
        "\x1b]0;t\x07",
        "%1B%5D0;t%07",
        "<img src=x onerror=zq()>",
        "a\nb",
        "\u202e",
        "%E2%80%AE",
        "\udcff",
        "-rf",
        "--help",
    ),
    *("@meta", "@bad", "stashed_result", "stashed_map", "a" * 250, "$(touch zq_canary)", "*", "CON", " "),
)
LABELS = (
    *("null.a.b", "memory.hashstash.lz4", "ultradict.hashstash.lz4", "shelve.a.b", "redis.hashstash.lz4", "mongo.a.b"),
    *(
        "pairtree.\x1b]0;t\x07.lz4",
        "pairtree...",
        "pairtree.evil.evil",
        "pairtree.pickle.lz4",
        "pairtree.zq_canary_module.helpers",
    ),
    *(
        "pairtree.hashstash.lz4+b64+b64",
        "engines.x.y",
        "__init__.x.y",
        "zq_canary_module.x.y",
        "helpers.x.y",
        "lmdb.x.y",
    ),
    *("sqlite.x.y", "shelve.x.y", "diskcache.x.y", "sqlitedict.x.y", "pickledb.x.y", "plugged.x.y", "evil.x.y"),
)


def folders(sound: str, folder: Path) -> Meetings:
    for name in NAMES:
        yield "folders", name, lambda trials, name=name: called(trials, sound, folder, name)
        yield "folders of functions", name, lambda trials, name=name: _with_function(trials, sound, folder, name)
        yield "folders of cells", name, lambda trials, name=name: _among_cells(trials, sound, name)


def called(trials: Trials, sound: str, folder: Path, name: str) -> None:
    top = folder / "top"
    shutil.copytree(sound, top / name)
    shutil.copytree(sound, top / "honest")
    use(trials, str(top / name))
    asked = [
        ["ls", str(top)],
        ["ls", "-e", str(top / name)],
        ["check", str(top)],
        ["export", str(folder / "top.stash"), str(top)],
    ]
    lines(trials, [*asked, ["info", str(top)], ["info", str(top / "honest"), "--dbname", name]])
    shutil.rmtree(top)


def _with_function(trials: Trials, sound: str, folder: Path, name: str) -> None:
    with copied(sound, folder) as root:
        inner = Path(root) / "stashed_result"
        shutil.copytree(next(inner.iterdir()), inner / name)
        use(trials, root)
        stash = HashStash(root, engine="pairtree")
        for what in ("check", "repair", "compact", "clear"):
            if trials.met(what, getattr(stash, what)) is REFUSED:
                trials.fail(f"{what} is refused for the sake of a folder")
        stash.close()


def _among_cells(trials: Trials, sound: str, name: str) -> None:
    cells = Path(os.environ["XDG_CACHE_HOME"]) / "hashstash" / "cells"
    shutil.copytree(sound, cells / name, dirs_exist_ok=True)
    shutil.copytree(sound, cells / "honest", dirs_exist_ok=True)
    stashes = CellStashes()
    names = trials.met("names", stashes.names)
    if names is REFUSED or "honest" not in names:
        trials.fail("an honest stash is not listed")
    listed = trials.met("ls", stashes.ls)
    if listed is not REFUSED:
        trials.look("ls", repr(listed))
        trials.look_at_html("the card of it", listed._repr_html_())
    trials.met("clear", lambda: stashes.clear_all(older=1e9))
    trials.met("export", lambda: stashes.export_to(f"{cells}.stash", names))
    lines(trials, [["ls"], ["check"]])
    shutil.rmtree(cells)


def labels(sound: str, folder: Path) -> Meetings:
    for label in LABELS:
        yield "labels", label, lambda trials, label=label: _labelled(trials, sound, folder, label)


def _labelled(trials: Trials, sound: str, folder: Path, label: str) -> None:
    """The folder of the data is called so; a server, or this user's memory, is not asked for it."""
    root = folder / "labelled"
    data = next(Path(sound).glob("pairtree.*"))
    shutil.copytree(data, root / label)
    place = str(root)
    lines(trials, [["ls", place], ["info", place], ["check", place], ["ls", "-e", place], ["get", place, "data"]])
    lines(
        trials,
        [
            ["export", str(folder / "l.stash"), place, "--force"],
            ["trust", place, "--dry-run"],
            ["import", str(folder / "l.stash"), place],
        ],
    )
    trials.met("open", lambda: HashStash(place, engine="pairtree").get("data"))
    shutil.rmtree(root)


def lines(trials: Trials, lines: list[list[str]]) -> None:
    for line in lines:
        if trials.met(f"hashstash {line[0]}", lambda line=line: main(line)) not in (0, 1, 2):
            trials.fail(f"hashstash {line[0]} ends in another way")
