"""What lies beside the rows of a stash, and says something of it: facts, sums, notes of locks, names of folders, settings."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hashstash import HashStash
from hashstash.cells.turns import Turn
from hashstash.command_line import main
from hashstash.locks import KeyLock
from torture.children import say
from torture.hostile.plain import f, later
from torture.hostile.trials import REFUSED, Trials
from torture.hostile.varied import VALUES, changed, paths

DEEP = b"[" * 200_000
_CONTEXT = {
    "function": "ab" * 16,
    "version": None,
    "parts": {"code of f": "ab"},
    "numbers": {"x": "1"},
    "packages": {"numpy": "1.0"},
}
_COUNTS = {
    "ones": b"HSTstat\1" + b"\xff" * 64,
    "the most": b"HSTstat\1" + bytes(8) + b"\xff\xff\xff\xff\xff\xff\xff\x7f" * 6 + b"\xff\xff\xff\xff\xff\xff\xef\x7f",
    "nan": b"HSTstat\1" + bytes(56) + b"\0\0\0\0\0\0\xf8\x7f",
    "less": b"HSTstat\1",
}


def fill(root: str) -> None:
    """In a child with the stranger's home: a stash with results of functions, to be copied and changed."""
    stash = HashStash(root, engine="pairtree")
    stash.update({"data": {"a": 1}, "more": "x" * 100, "code": os.system})
    stash.run(f, 3)
    stash.close()
    say("filled")


_later = types.FunctionType(later.__code__, later.__globals__, f.__name__)
"""The function as somebody has written it anew."""
_later.__qualname__ = f.__qualname__
Meetings = Iterator[tuple[str, str, Callable[[Trials], None]]]


# ---- rows of its own -----------------------------------------------------------------------------------------------------


def documents() -> Iterator[tuple[str, bytes]]:
    """What stands where a JSON object of a few words belongs."""
    facts: dict[str, Any] = {"buffer_hash": "sha256"}
    for document in (facts, _CONTEXT):
        for path in ((), *paths(document)):
            for value in VALUES:
                made = changed(document, path, value) if path else value
                yield f"{'.'.join(map(str, path))} = {value!r:.30}", json.dumps(made).encode()
        yield "more than there is", json.dumps({**document, "zq": 1, "more": [1]}).encode()
        yield "a name twice", json.dumps(document).encode()[:-1] + b', "buffer_hash": "md5", "function": 5}'
    yield from {
        "deep": DEEP,
        "deep dicts": b'{"buffer_hash":' * 50_000,
        "deep and whole": b'{"buffer_hash": ' + b"[" * 900 + b"]" * 900 + b"}",
        "digits": b'{"buffer_hash": ' + b"9" * 9000 + b"}",
        "nothing": b"",
        "no text": b"\xff\xfe",
        "lists": b'{"buffer_hash": [' + b"[]," * 4_000_000 + b"1]}",
        "names": b"{" + b",".join(b'"%x":"a"' % one for one in range(500_000)) + b"}",
        "a long name": b'{"buffer_hash": "' + b"x" * (8 << 20) + b'"}',
    }.items()


def rows(sound: str, folder: Path) -> Meetings:
    for name, text in documents():
        yield (
            "facts",
            name,
            lambda trials, text=text: _with_rows(trials, sound, folder, "meta", [b"stash"], bytes(16) + text),
        )
        yield (
            "facts of functions",
            name,
            lambda trials, text=text: _with_context(trials, sound, folder, bytes(16) + text),
        )
    sums = {name: b"HSTsums\1" + row[8:] for name, row in _COUNTS.items()}
    for section, rows, found in (
        ("meta", [b"stats"], _COUNTS),
        ("meta", [b"expiring"], {"nothing": b"", "much": bytes(5 << 20)}),
        ("uses", [b"sums"], {**sums, "as it should be": b"HSTsums\1" + bytes(48)}),
        (
            "uses",
            [b"merged", b"changed", b"by:12345678", b"queue"],
            {"notes": b"HSTuses\1" + b"\xff" * (8 + 24 * 9), "odd": b"HSTuses\1" + bytes(9)},
        ),
        ("uses", [b"by:%06d" % one for one in range(300)], {"notes of many": b"HSTuses\1" + bytes(8) + b"\x7f" * 24}),
    ):
        for name, row in found.items():
            yield (
                "sums",
                f"{section} {rows[0]!r} {name}",
                lambda trials, s=section, a=rows, row=row: _with_rows(trials, sound, folder, s, a, row),
            )


def _with_rows(trials: Trials, sound: str, folder: Path, section: str, addresses: list[bytes], row: bytes) -> None:
    with copied(sound, folder) as root:
        with contextlib.closing(HashStash(root, engine="pairtree")) as stash:
            rows = stash.store.engine.section(section)
            for address in addresses:
                rows.put(address, row)
        use(trials, root)


def _with_context(trials: Trials, sound: str, folder: Path, row: bytes) -> None:
    """What a function was made of is what somebody says, and a result of it is stored."""
    with copied(sound, folder) as root:
        with contextlib.closing(HashStash(root, engine="pairtree")) as stash:
            function = stash.stashed_result(f)
            function(5)
            meta = function.stash.store.engine.section("meta")
            for address in list(meta.scan(b"context ")):
                meta.put(address, row)
        stash = HashStash(root, engine="pairtree")
        other = stash.stashed_result(_later)
        said = trials.met("explain", lambda: other.explain(5))
        if said is not REFUSED:
            trials.look("explain", repr(said))
            trials.look_at_html("the card of it", said._repr_html_())
        if trials.met("the call", lambda: other(5)) != 35:
            trials.fail("a call gives something else")
        stash.close()


@contextlib.contextmanager
def copied(sound: str, folder: Path) -> Iterator[str]:
    root = folder / "copy"
    shutil.copytree(sound, root)
    try:
        yield str(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def use(trials: Trials, root: str) -> None:
    """What a user does who does not know of it."""
    held: list[HashStash] = []

    def opened() -> HashStash:
        if not held:
            held.append(HashStash(root, engine="pairtree"))
        return held[0]

    large = b"k" * 100_000
    exported = os.path.join(os.path.dirname(root), "exported.stash")
    if trials.met("get", lambda: opened()["data"]) != {"a": 1}:
        trials.fail("data do not come back")
    for name, action in {
        "code": lambda: opened()["code"],
        "large": lambda: opened().get(_array()),
        "set large": lambda: opened().__setitem__(_array(), 1),
        "set a long key": lambda: opened().__setitem__(large, 2),
        "items": lambda: (list(opened().items()), list(opened().entries())),
        "export": lambda: opened().export_to(exported),
        "import": lambda: opened().import_from(exported),
        "limits": lambda: HashStash(root, engine="pairtree", max_entries=2).update({"a": 1, "b": 2, "c": 3}),
        "repair": lambda: opened().repair(),
        "run": lambda: opened().run(f, 9),
    }.items():
        trials.met(name, action)
    for name, show in {
        "repr": lambda: repr(opened()) + str(opened()),
        "stats": lambda: repr(opened().stats) + repr(opened().stats.total),
        "check": lambda: repr(opened().check()),
        "entries": lambda: repr(opened().entries()),
    }.items():
        trials.look(name, str(trials.met(name, show)))
    for name, show in {
        "card": lambda: opened()._repr_html_(),
        "card of stats": lambda: opened().stats._repr_html_(),
        "card of check": lambda: opened().check()._repr_html_(),
    }.items():
        trials.look_at_html(name, str(trials.met(name, show)))
    trials.met("hashstash info", lambda: main(["info", root]))
    for stash in held:
        stash.close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(exported)


def _array() -> Any:
    import numpy as np

    return np.arange(20_000)


# ---- notes of locks ------------------------------------------------------------------------------------------------------


def notes(sound: str, folder: Path) -> Meetings:
    import socket

    note = {"process": 1, "machine": socket.gethostname(), "began": 1.5}
    texts = [
        (f"{path} = {value!r:.30}", json.dumps(changed(note, path, value)).encode())
        for path in paths(note)
        for value in VALUES
    ]
    for name, text in [*texts, ("deep", DEEP), ("nothing", b""), ("no text", b"\xff"), ("much", b" " * (8 << 20))]:
        yield "notes of locks", name, lambda trials, text=text: _with_note(trials, folder, text)


def _with_note(trials: Trials, folder: Path, text: bytes) -> None:
    stash = HashStash(str(folder / "turns"), engine="pairtree")
    lock = stash.store.engine.lock("cell:zq")
    assert isinstance(lock, KeyLock)
    with lock:
        lock.leave_note(text)
        turn = Turn(stash.store.engine, "zq")
        trials.met("may_be_waited_for", lambda: turn.may_be_waited_for)
        since = trials.met("since", turn.since)
        trials.met("waiting", lambda: f"{int(since or 0)}")
    stash.close()


def warm_up(trials: Trials, sound: str, folder: Path) -> None:
    """All of it once, with nothing wrong."""
    _with_rows(trials, sound, folder, "meta", [b"zq"], b"")
    _with_context(trials, sound, folder, bytes(16) + json.dumps(_CONTEXT).encode())
