"""What a user does with an archive that somebody has sent."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from hashstash import HashStash, archive
from hashstash.cells.stashes import CellStashes
from hashstash.command_line import main
from hashstash.errors import UntrustedEntry
from hashstash.open import function_stashes
from torture.children import say
from torture.hostile.archives import archives, damaged, notebook
from torture.hostile.plain import f
from torture.hostile.trials import REFUSED, Trials

EXPECTED = {"key": "new", "numbers": [1, 2.5, None], "pair": (1, {2})}
CODE = "code"
NAME = "x.stash"
BOMBS = "bombs"
_RARE = {"something else": 10}
"""Families of which more is tried than of the others."""


def export(file: str) -> None:
    """In a child with the stranger's home: a small archive of all kinds."""
    stash = HashStash(f"{file}-of", dbname="data", engine="pairtree", append_mode=True)
    stash["key"] = "old"
    stash.update({**EXPECTED, CODE: os.system})
    stash.run(f, 3)
    stash.export_to(file)
    say("exported")


def meet(trials: Trials, sound: bytes, folder: Path, mark: str, signer: bytes, stride: int, seed: int) -> None:
    """Each of them, or every *stride*-th of each family."""
    folder.mkdir()
    file = folder / NAME
    _whole(trials, sound, file)
    seen: dict[str, int] = {}
    for number, (family, name, make) in enumerate(archives(sound, mark, signer)):
        if family != BOMBS and _is_next(seen, family, max(1, stride // _RARE.get(family, 1)), seed):
            trials.count(family, name)
            file.write_bytes(make())
            with trials.weighed("it"):
                _everything(trials, file, number)
    for number, (name, make) in enumerate(_places(folder).items()):
        if (number + seed) % max(1, stride // 20):
            continue
        trials.count("no file", name)
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
        make(file)
        _everything(trials, file, 0)
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
    _called(trials, sound, folder, max(1, stride // 12), seed)


def meet_damage(trials: Trials, sound: bytes, folder: Path, stride: int, seed: int) -> None:
    """Cut off, and with a byte changed."""
    folder.mkdir()
    file = folder / NAME
    with trials.weighed("damage of all kinds"):
        for family, name, content in list(damaged(sound))[seed % stride :: stride]:
            trials.count(family, name)
            file.write_bytes(content)
            _damaged(trials, file)


def meet_bombs(trials: Trials, sound: bytes, folder: Path, stride: int, seed: int) -> None:
    """A few bytes that stand for very many."""
    folder.mkdir()
    file = folder / NAME
    all_of_them = [(name, make) for family, name, make in archives(sound, "", b"") if family == BOMBS]
    for number, (name, make) in enumerate(all_of_them[seed % stride :: stride]):
        trials.count(BOMBS, name)
        file.write_bytes(make())
        with trials.weighed("it"):
            _everything(trials, file, number)


def _is_next(seen: dict[str, int], family: str, stride: int, seed: int) -> bool:
    seen[family] = seen.get(family, seed % stride if stride > 1 else 0) + 1
    return seen[family] % stride == 0


def _target() -> HashStash:
    return HashStash("meeting archives", dbname="data", engine="memory", append_mode=True).clear()


def _whole(trials: Trials, sound: bytes, file: Path) -> None:
    """The archive itself, so that what is refused is refused for what was done to it."""
    file.write_bytes(sound)
    trials.count("as it was sent", "")
    target = _target()
    if trials.met("import", lambda: target.import_from(file)) is REFUSED:
        trials.fail("what nobody has touched is refused")
    _expect(trials, target)
    if trials.met("reading code", lambda: target[CODE]) is not REFUSED:
        trials.fail("code is decoded")


def _expect(trials: Trials, target: HashStash) -> None:
    for key, value in EXPECTED.items():
        found = trials.met("reading", lambda key=key: target[key])
        if found != value:
            trials.fail(f"{key!r} is {'refused' if found is REFUSED else repr(found)[:100]}")


def _damaged(trials: Trials, file: Path) -> None:
    """All of it comes in as it was, or nothing."""
    target = _target()
    if trials.met("import", lambda: target.import_from(file)) is not REFUSED:
        _expect(trials, target)
    elif len(target):
        trials.fail(f"{len(target)} entries came in")


def _everything(trials: Trials, file: Path, number: int) -> None:
    target = _target()
    trials.met("contents", lambda: repr(archive.contents(file)))
    trials.met("import", lambda: target.import_from(file, name=None if number % 3 else "data"), errors=(ValueError,))
    trials.met("reading", lambda: _read(target))
    for key in (CODE, b"c" * 16):
        with contextlib.suppress(UntrustedEntry, KeyError):
            trials.fail(f"{key!r} gives {target[key]!r:.80}")
    trials.look("the stash", f"{target!r} {target.entries()!r} {target.check()!r}")
    trials.look_at_html(
        "the card", target._repr_html_() + target.entries()._repr_html_() + target.check()._repr_html_()
    )
    if number % 4 == 0:
        _WAYS[number // 4 % len(_WAYS)](trials, file)


def _read(target: HashStash) -> Any:
    stashes = [target, *map(HashStash.from_config, function_stashes(target.config))]
    return [(list(one.items()), list(one.entries()), one.get_all("key", [])) for one in stashes]


def _by_the_line(trials: Trials, file: Path) -> None:
    for line in (["import", str(file)], ["ls", "--json"], ["check"]):
        if trials.met(f"hashstash {line[0]}", lambda line=line: main(line)) not in (0, 1, 2):
            trials.fail(f"hashstash {line[0]} ends in another way")


def _dry(trials: Trials, file: Path) -> None:
    trials.met("hashstash import --dry-run", lambda: main(["import", str(file), "--dry-run"]))
    trials.met("hashstash import --name", lambda: main(["import", str(file), "below", "--name", "data", "--json"]))


def _by_cells(trials: Trials, file: Path) -> None:
    stashes = CellStashes()
    trials.met("CellStashes.import_from", lambda: stashes.import_from(file))
    trials.met("CellStashes.ls", lambda: trials.look("ls", repr(stashes.ls())))


def _below(trials: Trials, file: Path) -> None:
    trials.met(
        "hashstash import PLACE", lambda: main(["import", str(file), f"{file.parent}/target", "--overwrite", "always"])
    )


_WAYS = (_by_the_line, _by_cells, _below, _dry)


def _places(folder: Path) -> dict[str, Any]:
    def a_socket(path: Path) -> None:
        here = os.getcwd()
        os.chdir(path.parent)
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        finally:
            os.chdir(here)

    def sparse(path: Path) -> None:
        path.write_bytes(b"PK\3\4")
        os.truncate(path, 1 << 42)

    return {
        "a folder": Path.mkdir,
        "a pipe": os.mkfifo,
        "a socket": a_socket,
        "a link to a device": lambda path: path.symlink_to("/dev/zero"),
        "a link to a folder": lambda path: path.symlink_to(folder.parent),
        "a link to nowhere": lambda path: path.symlink_to(folder / "nowhere"),
        "a link to itself": lambda path: path.symlink_to(path.name),
        "a hole": sparse,
        "nothing there": lambda path: None,
    }


def _called(trials: Trials, sound: bytes, folder: Path, stride: int, seed: int) -> None:
    """By names that steer terminals, whole and damaged, and notebooks where an archive is asked for."""
    names = (
        "\x1b]0;t\x07.stash",
        "<img src=x onerror=zq()>.stash",
        "-rf",
        "--help",
        "\u202e.stash",
        "$(touch x).ipynb",
    )
    pairs = [(name, content) for content in (sound[:50], sound, repr(notebook()).encode()) for name in names]
    for name, content in pairs[seed % stride :: stride]:
        trials.count("called", name)
        (folder / name).write_bytes(content)
        _everything(trials, folder / name, 0)
        _dry(trials, folder / name)
