"""What a user has set, or keeps of a stash, as it is not meant: ``config.toml``, variables of the environment, descriptions."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from hashstash import HashStash
from hashstash.cells.stashes import CellStashes
from torture.hostile.facts import DEEP, Meetings
from torture.hostile.folders import lines
from torture.hostile.trials import REFUSED, Trials
from torture.hostile.varied import VALUES, changed, paths


def settings(sound: str, folder: Path) -> Meetings:
    texts: dict[str, Any] = {
        "deep": b"a = " + DEEP,
        "dotted": b"a" + b".a" * 50_000 + b" = 1",
        "no text": b"\xff\xfe",
        "no TOML": b"{",
        "digits": b"engine = " + b"9" * 9000,
        "a steering name": b'"\\u001b]0;t\\u0007" = 1',
        "a folder": Path.mkdir,
        "a pipe": os.mkfifo,
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a link to itself": lambda path: path.symlink_to(path.name),
        "much": lambda path: (path.write_bytes(b"#"), os.truncate(path, 1 << 40)),
    }
    for name, content in texts.items():
        yield "config.toml", name, lambda trials, content=content: _with_config(trials, content)
    for setting in ("engine", "serializer", "compress", "root", "status", "zq"):
        for value in VALUES:
            if (
                setting == "root"
                and isinstance(value, str)
                and (value.startswith(("/", "~", ".")) or len(value) > 1000)
            ):
                continue  # which is where the user wants his stashes
            with contextlib.suppress(UnicodeEncodeError):
                text = f"{setting} = {json.dumps(value)}".encode()
                yield "config.toml", f"{setting} = {value!r:.30}", lambda trials, text=text: _with_config(trials, text)
            if isinstance(value, str) and value.isascii() and "\0" not in value:
                variable = f"HASHSTASH_{setting.upper()}"
                yield (
                    "environment",
                    f"{variable} {value[:30]!r}",
                    lambda trials, v=variable, value=value: _with_variable(trials, v, value),
                )


def _with_config(trials: Trials, content: Any) -> None:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "hashstash" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    try:
        _open_by_name(trials)
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _with_variable(trials: Trials, variable: str, value: str) -> None:
    os.environ[variable] = value
    try:
        _open_by_name(trials)
    finally:
        del os.environ[variable]


def _open_by_name(trials: Trials) -> None:
    def opened() -> Any:
        with contextlib.closing(HashStash("mine")) as stash:
            stash["a"] = 1
            return stash["a"]

    trials.met("open", opened)
    trials.met("CellStashes", lambda: CellStashes().names())
    lines(trials, [["ls"], ["info", "mine"]])


def descriptions(sound: str, folder: Path) -> Meetings:
    """What to_dict gives, as somebody may have changed it where it was kept."""
    with HashStash(str(folder / "described"), engine="memory") as stash:
        described = {
            **stash.to_dict(),
            "trust": "mine",
            "ttl": 5.0,
            "max_entries": 5,
            "paths": "path",
            "durability": "process",
        }
    described |= {"engine_options": {}, "value_type": "int", "read_only": False}
    for path in paths(described):
        for value in VALUES:
            if isinstance(value, str) and (path == ("root_dir",) or len(value) > 1000):
                continue  # a folder that the user says; and what is told of it would be as long
            made = changed(described, path, value)
            yield "descriptions", f"{path[0]} = {value!r:.30}", lambda trials, made=made: _from(trials, made)
    for name, made in {
        "more": {**described, "zq_canary": 1},
        "nothing": {},
        "options": {**described, "engine_options": {"zq": 1}},
    }.items():
        yield "descriptions", name, lambda trials, made=made: _from(trials, made)


def _from(trials: Trials, described: dict[str, Any]) -> None:
    stash = trials.met("from_dict", lambda: HashStash.from_dict(described), errors=(TypeError, ValueError))
    if stash is not REFUSED:
        trials.look("repr", repr(stash))
        stash.close()
