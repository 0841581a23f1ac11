"""Links, pipes, sockets and devices in the place of what lies in a stash's folder."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torture.children import say
from torture.hostile.canary import Canary
from torture.hostile.used import folder_of, used
from torture.places import Place

OLD = 1_000_000_000


def links(folder: Path, outside: Path) -> Iterator[tuple[str, Callable[[Path, Path], None]]]:
    """Each file and folder of the store in turn replaced by a link to what was moved outside, a pipe, and so on."""
    found = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if not path.is_symlink()]
    some = {path.parts[:1]: path for path in found}.values()
    deeper = [path for path in found if len(path.parts) > 1]
    for path in [*some, *deeper[:: max(1, len(deeper) // 12)]]:
        yield f"link {path}", lambda f, o, path=path: _moved(f / path, o)
        yield f"dangling link {path}", lambda f, o, path=path: _instead(f / path, lambda p: p.symlink_to(o / "nowhere"))
        yield f"pipe {path}", lambda f, o, path=path: _instead(f / path, os.mkfifo)
        yield f"socket {path}", lambda f, o, path=path: _instead(f / path, _socket)
        yield f"folder {path}", lambda f, o, path=path: _instead(f / path, os.mkdir)
        yield f"link to itself {path}", lambda f, o, path=path: _instead(f / path, lambda p: p.symlink_to(p.name))
    for name in (
        "tmp",
        "blobs",
        "locks",
        "leases",
        "@bad",
        "@history",
        "@meta",
        "@x",
        "reserve",
        "current",
        "rows.sqlite-wal",
        "ab",
    ):
        if not (folder / name).exists():
            yield f"link to a folder named {name}", lambda f, o, name=name: (f / name).symlink_to(o)
    yield "the whole folder a link", lambda f, o: _moved(f, o)
    if os.getuid() == 0:
        yield (
            "a device",
            lambda f, o: _instead(f / found[-1], lambda p: os.mknod(p, 0o666 | stat.S_IFCHR, os.makedev(1, 5))),
        )


def _moved(path: Path, outside: Path) -> None:
    target = outside / f"moved-{path.name}"
    shutil.move(str(path), target)
    path.symlink_to(target)


def _instead(path: Path, make: Callable[[Path], Any]) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    make(path)


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def precious(folder: Path) -> None:
    """What a user has elsewhere: old files under names that stashes use as well."""
    (folder / "ab").mkdir(parents=True)
    for name in ("letter.txt", "12.0123456789abcdef", "ab/" + "ab" * 16, "tmp", "locks"):
        (folder / name).write_text(f"precious {name}")
        os.utime(folder / name, (OLD, OLD))
    connection = sqlite3.connect(folder / "other.sqlite")
    connection.execute("CREATE TABLE mine (a)")
    connection.commit()
    connection.close()


def snapshot(folder: Path) -> dict[str, Any]:
    """All that lies there."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            found[str(path)] = path.read_bytes()
        else:
            found[str(path)] = os.lstat(path).st_mode
    return found


def meet_links(place: str, folder: str, mark: str, most: int, seed: int) -> None:
    """In a child with the victim's home: each link in a fresh copy of the store, and all that a user does."""
    warnings.simplefilter("ignore")
    where = Place.loads(place)
    outside = Path(folder) / "outside"
    all_of_them = list(links(folder_of(where.root), outside))
    chosen = all_of_them[seed % max(1, len(all_of_them) // most) :: max(1, len(all_of_them) // most)]
    failures: list[str] = []
    canary = Canary(mark, [folder, *(os.environ[f"XDG_{kind}_HOME"] for kind in ("CACHE", "STATE", "CONFIG"))])
    for number, (name, plant) in enumerate(chosen):
        say("trying", name)
        base = Path(folder) / f"copy-{number}"  # nothing of this process is open there
        shutil.rmtree(outside, ignore_errors=True)
        precious(outside)
        shutil.copytree(where.root, base)
        plant(folder_of(str(base)), outside)
        before = snapshot(outside)
        copy = Place(where.engine, str(base), where.options)
        with canary:
            failures += [f"{name}: {what}" for what in used(copy, number)]
        after = snapshot(outside)
        failures += [f"{name}: {path} outside was changed" for path in before if after.get(path) != before[path]]
        failures += [f"{name}: {path} outside was made" for path in after if path not in before]
        shutil.rmtree(base)
    say("met", len(chosen), failures, canary.seen(), [])
