"""What a user does with a store, of which all that lies below the frame may be a stranger's."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

from hashstash import HashStash
from hashstash.errors import StashError
from torture.children import say
from torture.hostile.plain import f
from torture.hostile.stranger import store_by_the_front_door
from torture.places import Place

SECONDS = 20
DATA = "data.db"


class Hang(BaseException):
    """An operation took longer than anything should."""


def folder_of(root: str) -> Path:
    """Where the engine's files lie."""
    return next(path for path in sorted(Path(root).glob(f"*/{DATA}")) if path.is_dir())


def fill(place: str) -> None:
    """In a child with the stranger's home: a small store of all kinds."""
    stash = Place.loads(place).open(append_mode=True)
    store_by_the_front_door(stash)
    stash["data"] = {"a": 2}
    stash["blob"] = bytes(range(256)) * 400
    stash.check()
    stash.close()
    say("filled")


def used(place: Place, number: int) -> list[str]:
    """What a user does with a store, each within its time; what went wrong."""
    wrong = []
    held: list[HashStash] = []

    def opened() -> HashStash:
        if not held:
            held.append(place.open(append_mode=bool(number % 2)))
        return held[0]

    for name, action in {
        "open": opened,
        "get": lambda: [opened().get(key) for key in ("data", "large", "blob", "function", "absent")],
        "items": lambda: list(opened().items()),
        "len": lambda: len(opened()),
        "entries": lambda: repr(opened().entries()),
        "html": lambda: opened()._repr_html_(),
        "check": lambda: repr(opened().check()),
        "set": lambda: opened().update({"data": 3, "new": "x" * 100_000, "more": b"y" * 2_000_000}),
        "overwrite": lambda: opened().update({"blob": b"z" * 100_000, "data": 4}),
        "run": lambda: opened().run(f, 5),
        "lock": lambda: opened().lock("data").__enter__().release(),
        "delete": lambda: opened().discard("large"),
        "prune": lambda: opened().prune(older_than=0.001),
        "repair": lambda: opened().repair(),
        "compact": lambda: opened().compact(),
        "stats": lambda: repr(opened().stats.total),
        "close": lambda: opened().close(),
        "clear": lambda: place.open().clear(),
    }.items():
        try:
            with in_time(SECONDS):
                action()
        except (StashError, KeyError):
            pass
        except OSError as error:
            if error.errno is None:
                wrong.append(f"{name} raises {error!r:.200}")
        except Hang:
            wrong.append(f"{name} hangs")
            held.clear()
        except Exception as error:
            wrong.append(f"{name} raises {error!r:.200}")
    return wrong


@contextlib.contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """Raise :class:`Hang` in a block that takes longer."""

    def late(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
