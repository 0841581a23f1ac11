"""What is done to a stash while a call of the system fails: each with what was there before, and what is there after it."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from hashstash import HashStash

SMALL, LARGE, LARGER = b"small", b"large" * 60_000, b"other" * 64_000  # so large that they are mapped
"""A value in its row, and two in files of their own."""
MISSING = "nothing"


@dataclass(frozen=True)
class Work:
    """A folder of one trial, with the stash, its archive, and a home."""

    folder: str
    engine: str

    @property
    def archive(self) -> str:
        return os.path.join(self.folder, "archive")

    def open(self, **options: Any) -> HashStash:
        return HashStash(os.path.join(self.folder, "stash"), engine=self.engine, **options)

    def versions(self) -> HashStash:
        """Another stash, which keeps the versions of each key."""
        return self.open(dbname="versions", append_mode=True)

    def first(self) -> HashStash:
        """The stash that a user has who names none."""
        return HashStash(engine=self.engine)

    def live(self) -> None:
        """Make the trial's folder the home of this process."""
        for name in ("CACHE", "STATE", "CONFIG"):
            os.environ[f"XDG_{name}_HOME"] = os.path.join(self.folder, name.lower())
        os.environ["HOME"] = self.folder


@dataclass(frozen=True)
class Operation:
    """One operation of a user."""

    name: str
    perform: Callable[[Work, HashStash], Any]
    is_cold: bool = False
    """Whether opening the stash belongs to it."""
    never_fails: bool = False
    """Whether it is a computation that must not suffer from what happens to its memory."""
    answers: bool = True
    """Whether what it returns must be what it always returns."""
    is_first: bool = False
    """Whether it is done where no key was ever made."""


def fill(work: Work) -> None:
    """What is there before each operation."""
    with contextlib.closing(work.open()) as stash:
        stash["archived"], stash["archived large"] = SMALL, LARGER
        stash.export_to(work.archive)
        stash.clear()
        stash.update({name: name.encode() for name in ("a", "b", "c")})
        stash["large"], stash["gone large"] = LARGE, LARGE
        stash["code"] = squared
        stash.run(squared, 2)
    with contextlib.closing(work.versions()) as versions:
        versions["a"], versions["large"] = SMALL, LARGE
        versions["a"], versions["large"] = SMALL * 2, LARGER


def fill_without_key(work: Work) -> None:
    """What is there where nothing was ever signed."""
    with contextlib.closing(work.open()) as stash:
        stash.update({name: name.encode() for name in ("a", "b", "c")})
    with contextlib.closing(work.versions()) as versions:
        versions["a"] = SMALL
    shutil.rmtree(os.path.join(work.folder, "state"), ignore_errors=True)


def trust_a_colleague(work: Work) -> None:
    """List another's key among the trusted ones."""
    folder = os.path.join(work.folder, "state", "hashstash")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(os.open(os.path.join(folder, "trusted"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(f"# a colleague\n{sha256(b'colleague').hexdigest()}\n")


def squared(number: int) -> int:
    """What is memoized."""
    return number * number


def state(work: Work) -> dict[str, str]:
    """A digest of every value of the stash and of the one with versions, results of functions and archive included."""
    with contextlib.closing(work.open()) as stash:
        found = {f"plain {key}": _digest(stash[key]) for key in stash}
    with contextlib.closing(work.versions()) as kept:
        for key in kept:
            found |= {f"version {number} of {key}": _digest(value) for number, value in enumerate(kept.get_all(key))}
    if os.path.exists(work.archive + ".new"):
        with contextlib.closing(work.open(dbname="import")) as other:
            other.import_from(work.archive + ".new")
            found["exported"] = str(len(other))
            other.clear()
    if os.path.exists(os.path.join(work.folder, "cache")):
        with contextlib.closing(work.first()) as first:
            found |= {f"first {key}": _digest(first[key]) for key in first}
    return found


def _digest(value: Any) -> str:
    content = value if isinstance(value, bytes) else repr(value).split(" at ")[0].encode()
    return sha256(content).hexdigest()[:12]


def _get(key: str) -> Callable[[Work, HashStash], Any]:
    return lambda _, stash: _digest(stash[key])


def _set(key: str, value: Any) -> Callable[[Work, HashStash], Any]:
    return lambda _, stash: stash.__setitem__(key, value)


def _delete(key: str) -> Callable[[Work, HashStash], Any]:
    return lambda _, stash: stash.__delitem__(key)


def _run(number: int) -> Callable[[Work, HashStash], Any]:
    def run(_: Work, stash: HashStash) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return stash.run(squared, number)

    return run


def _first_home(work: Work, _: HashStash) -> Any:
    with contextlib.closing(work.first()) as first:
        first["code"] = squared
        return first["code"](3)


def _append(key: str, value: bytes) -> Callable[[Work, HashStash], Any]:
    def append(work: Work, _: HashStash) -> None:
        with contextlib.closing(work.versions()) as kept:
            kept[key] = value

    return append


def _do(method: str) -> Callable[[Work, HashStash], Any]:
    def do(_: Work, stash: HashStash) -> None:
        getattr(stash, method)()

    return do


OPERATIONS = (
    Operation("open and get", _get("a"), is_cold=True),
    Operation("open and get large", _get("large"), is_cold=True),
    Operation("open and set", _set("new", SMALL), is_cold=True),
    Operation("open and get code", lambda _, stash: stash["code"](3), is_cold=True),
    Operation("open and set code", _set("new", squared), is_cold=True),
    Operation("open a new one and set", lambda work, _: work.open(dbname="fresh").__setitem__("a", SMALL)),
    Operation("get", _get("a")),
    Operation("get large", _get("large")),
    Operation("ask", lambda _, stash: ["a" in stash, "absent" in stash, len(stash)]),
    Operation("get code", lambda _, stash: stash["code"](3)),
    Operation("set", _set("new", SMALL)),
    Operation("overwrite", _set("a", SMALL * 2)),
    Operation("set large", _set("new", LARGER)),
    Operation("overwrite large", _set("large", LARGER)),
    Operation("make large small", _set("large", SMALL)),
    Operation("set code", _set("new", squared)),
    Operation("delete", _delete("b")),
    Operation("delete large", _delete("gone large")),
    Operation("append", _append("a", b"third")),
    Operation("append large", _append("large", LARGE + b"third")),
    Operation("update", lambda _, stash: stash.update(dict.fromkeys("abcdefgh", SMALL * 3) | {"large": LARGER})),
    Operation("pop", lambda _, stash: _digest(stash.pop("gone large"))),
    Operation("set for a while", lambda _, stash: stash.put("new", SMALL, ttl=1e6)),
    Operation("list", lambda _, stash: sorted(stash.keys()) + [len(stash)]),
    Operation("clear", _do("clear")),
    Operation("compact", _do("compact")),
    Operation("check", _do("check"), answers=False),
    Operation("repair", _do("repair"), answers=False),
    Operation("export", lambda work, stash: stash.export_to(work.archive + ".new")),
    Operation("import", lambda work, stash: stash.import_from(work.archive)),
    Operation("run anew", _run(3), never_fails=True),
    Operation("run again", _run(2), never_fails=True),
    Operation("open and run anew", _run(3), never_fails=True, is_cold=True),
    Operation("first use of a home", _first_home, is_first=True),
    Operation("first code", _set("new", squared), is_first=True),
    Operation("first run", _run(3), never_fails=True, is_first=True),
)


def with_name(name: str) -> Operation:
    return next(operation for operation in OPERATIONS if operation.name == name)
