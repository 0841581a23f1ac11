"""The formats of engines, filled with what no engine wrote."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torture.children import say
from torture.hostile.canary import WORD, Canary
from torture.hostile.databases import diskcache_attacks, sqlite_attacks
from torture.hostile.on_servers import empty, server_attacks
from torture.hostile.pickles import Runs
from torture.hostile.stranger import store_by_the_front_door
from torture.hostile.used import folder_of, used
from torture.places import Place


def _files(change: Callable[[bytes, str], bytes]) -> Callable[[Path, str], None]:
    def attack(folder: Path, mark: str) -> None:
        for path in folder.iterdir():
            if path.is_file() and path.name not in ("rows.lock", "reserve"):
                path.write_bytes(change(path.read_bytes(), mark))

    return attack


def _json(change: Callable[[dict[str, Any], str], Any]) -> Callable[[Path, str], None]:
    def attack(folder: Path, mark: str) -> None:
        rows = json.loads((folder / "rows.json").read_text())
        made = change(rows, mark)
        (folder / "rows.json").write_text(made if isinstance(made, str) else json.dumps(made))

    return attack


ANY_FILE: dict[str, Callable[[Path, str], None]] = {
    "a pickle": _files(lambda content, mark: pickle.dumps(Runs(mark))),
    "nothing": _files(lambda content, mark: b""),
    "python": _files(lambda content, mark: f"__import__('os').system('touch {mark} # {WORD}')".encode()),
    "twice": _files(lambda content, mark: content * 2),
    "the first half": _files(lambda content, mark: content[: len(content) // 2]),
    "ones": _files(lambda content, mark: b"\xff" * len(content)),
}
PICKLEDB: dict[str, Callable[[Path, str], None]] = {
    "deep": lambda folder, mark: (folder / "rows.json").write_text("[" * 200_000) and None,
    "deep and whole": lambda folder, mark: (
        (folder / "rows.json").write_text('{"a":' * 50_000 + "1" + "}" * 50_000) and None
    ),
    "types": _json(lambda rows, mark: dict.fromkeys(rows, {"a": [1, None]})),
    "numbers": _json(lambda rows, mark: dict.fromkeys(rows, 17)),
    "pickles": _json(lambda rows, mark: dict.fromkeys(rows, pickle.dumps(Runs(mark), 0).decode("latin1"))),
    "names": _json(lambda rows, mark: {**rows, "../../x": "y", "": "", "\0": "z", "g" * 10_000: 1}),
    "a list": _json(lambda rows, mark: list(rows.values())),
    "nan": _json(lambda rows, mark: '{"a": NaN, "b": Infinity}'),
}


def pairtree_attacks() -> dict[str, Callable[[Path, str], None]]:
    def sparse(folder: Path, mark: str) -> None:
        for path in _row_files(folder):
            os.truncate(path, 40 << 30)

    def sparse_blobs(folder: Path, mark: str) -> None:
        for path in (folder / "blobs").rglob("*"):
            if path.is_file():
                os.truncate(path, 2 << 30)

    def strays(folder: Path, mark: str) -> None:
        for name in ("zz", "ab", "abc", "00", "\udcff", "ab\n"):
            with contextlib.suppress(OSError):
                (folder / name).mkdir(exist_ok=True)
                for row in ("", "ab", "a" * 200, "g" * 32, "ab" * 16 + ".tmp", "\x1b[2J", "-rf"):
                    with contextlib.suppress(OSError):
                        (folder / name / row).write_bytes(pickle.dumps(Runs(mark)))

    def pickles(folder: Path, mark: str) -> None:
        for path in _row_files(folder):
            path.write_bytes(pickle.dumps(Runs(mark)))

    return {"sparse rows": sparse, "sparse blobs": sparse_blobs, "strays": strays, "pickles": pickles}


def _row_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("??/*") if path.is_file()]


def lmdb_attacks() -> dict[str, Callable[[Path, str], None]]:
    def rows(change: Callable[[bytes, bytes, str], tuple[bytes, bytes] | None]) -> Callable[[Path, str], None]:
        def attack(folder: Path, mark: str) -> None:
            import lmdb

            with (
                lmdb.open(str(folder), map_size=1 << 30, max_dbs=10) as environment,
                environment.begin(write=True) as transaction,
            ):
                for key, value in list(transaction.cursor()):
                    made = change(key, value, mark)
                    if made is not None:
                        transaction.put(*made)

        return attack

    def databases(folder: Path, mark: str) -> None:
        import lmdb

        with lmdb.open(str(folder), map_size=1 << 30, max_dbs=10) as environment:
            for name in (b"named", b"\0" * 16, b"stash"):
                with contextlib.suppress(lmdb.Error):
                    environment.open_db(name, dupsort=True)

    return {
        "pickles": rows(lambda key, value, mark: (key, pickle.dumps(Runs(mark)))),
        "empty": rows(lambda key, value, mark: (key, b"")),
        "long keys": rows(lambda key, value, mark: (key + b"x" * 300, value)),
        "short keys": rows(lambda key, value, mark: (key[:1], value)),
        "large": rows(lambda key, value, mark: (key, value + bytes(5_000_000))),
        "named databases": databases,
    }


def attacks(where: Place) -> dict[str, Callable[[Path, str], None]]:
    """What can be done to the rows of that engine."""
    if where.engine in ("redis", "mongo"):
        return server_attacks(where)
    return {
        "sqlite": lambda: {**sqlite_attacks("rows.sqlite", "rows", "address", "blob"), **ANY_FILE},
        "sqlitedict": lambda: {**sqlite_attacks("rows.sqlite", "unnamed", "key", "value"), **ANY_FILE},
        "diskcache": lambda: {**diskcache_attacks(), **ANY_FILE},
        "shelve": lambda: ANY_FILE,
        "pickledb": lambda: {**PICKLEDB, **ANY_FILE},
        "pairtree": pairtree_attacks,
        "lmdb": lmdb_attacks,
    }[where.engine]()


def meet_attacks(place: str, folder: str, mark: str, names: list[str], port: int) -> None:
    """In a child with the victim's home: each attack on a fresh copy (or, on a server, on the store filled anew)."""
    warnings.simplefilter("ignore")
    where = Place.loads(place)
    failures: list[str] = []
    homes = [os.environ[f"XDG_{kind}_HOME"] for kind in ("CACHE", "STATE", "CONFIG")]
    canary = Canary(mark, [folder, *homes], (port,))
    known = attacks(where)
    untried: list[str] = []
    for number, name in enumerate(names):
        say("trying", name)
        copy = where
        if where.engine in ("redis", "mongo"):
            empty(where)
            stash = where.open()
            store_by_the_front_door(stash)
            try:
                known[name](Path(folder), mark)
            except Exception as error:  # the stand-in of a server does not store everything that a server does
                untried.append(f"{name} ({type(error).__name__})")
                continue
        else:
            base = Path(folder) / f"attacked-{number}"
            shutil.copytree(where.root, base)
            known[name](folder_of(str(base)), mark)
            copy = Place(where.engine, str(base), where.options)
        with canary:
            failures += [f"{name}: {what}" for what in used(copy, number)]
        if copy is not where:
            shutil.rmtree(copy.root, ignore_errors=True)
    say("met", len(names) - len(untried), failures, canary.seen(), untried)
