"""Kernels that come to the same cell with the same inputs take turns: one runs it, the others wait for what it stores.

A turn is a lock of the stash's engine, which ends with the process that holds it. Nobody waits who could be waited for: not
within the process that holds a turn, nor in a process that was started by it. Readers never ask for a turn.
"""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hashstash.cells.interrupts import HeldBack
from hashstash.cells.notice import Notice
from hashstash.errors import StashError
from hashstash.small_json import read_object
from hashstash.wording import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.cells.before import Before
    from hashstash.cells.shell import Shell
    from hashstash.engine import Engine

logger = logging.getLogger(__name__)

_PAUSE = 0.05
_FIRST_TEXT = 0.2
_BETWEEN_TEXTS = 1.0
_held: set[tuple[str, str]] = set()
"""The turns of this process. A forked child inherits them on purpose: whoever has forked it may be waiting for it."""


def name_of(before: Before) -> str:
    """What only runs have in common that would do the same: the code, and the inputs that are known before the run.

    Without the files: those that the first kernel is just writing look other to the second. Whoever has waited looks at
    everything again.
    """
    parts = (
        before.cell.digest,
        sorted(before.facts.items()),
        sorted(before.environment.items()),
        sorted(before.module_digests.items()),
        before.surroundings.working_directory,
        sorted(before.surroundings.random_digests.items()) if before.options.rng else None,
    )
    return blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Turn:
    """The right to run one cell with certain inputs."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._place = engine.location(), name
        self._lock: Any = engine.lock(f"cell:{name}")
        self._is_ours = False

    def take(self) -> bool:
        """Whether the turn is ours now; nobody is waited for."""
        with HeldBack():
            if self._place not in _held and self._lock.acquire(0):
                self._is_ours = True
                _held.add(self._place)
                self._leave_note()
        return self._is_ours

    def give_back(self) -> None:
        """Let the next one have it. Whoever is interrupted here calls again."""
        with HeldBack():
            if self._is_ours:
                self._is_ours = False
                _held.discard(self._place)
                try:
                    self._lock.release()
                except (StashError, OSError) as error:  # it ends with this process at the latest
                    logger.warning("%s: a turn could not be given back: %s", self._place[0], error)

    @property
    def may_be_waited_for(self) -> bool:
        """Whether its holder surely does not wait for this process."""
        return not _held and self._holder().get("process") not in list(_ancestors())

    def since(self) -> float | None:
        """When its holder began, in seconds since the epoch; ``None`` where it does not say so."""
        began = self._holder().get("began")
        return began if isinstance(began, float) and math.isfinite(began) else None

    def _holder(self) -> dict[str, Any]:
        try:
            note = read_object(self._lock.note() or b"{}")
        except ValueError:
            return {}
        return note if note.get("machine") == socket.gethostname() else {}

    def _leave_note(self) -> None:
        """For those who wait."""
        note = {"process": os.getpid(), "machine": socket.gethostname(), "began": time.time()}
        try:
            self._lock.leave_note(json.dumps(note).encode())
        except OSError as error:
            logger.debug("no note with a turn: %s", error)


def turn_for(engine: Engine, before: Before) -> Turn | None:
    """The turn for a run; ``None`` where there are no locks to be had: running twice is better than not at all."""
    try:
        return Turn(engine, name_of(before))
    except (StashError, OSError) as error:
        logger.debug("no turns: %s", error)
        return None


def until_ours(turn: Turn, shell: Shell, name: str, *, is_quiet: bool) -> Iterator[float]:
    """Seconds to pause, each before the next try, until the turn is ours; the wait is shown unless *is_quiet*."""
    began = time.time()
    due = time.monotonic() + _FIRST_TEXT
    notice = Notice(shell, name=name, waits=True)
    try:
        while not _is_over(turn):
            if not is_quiet and time.monotonic() >= due and (notice.can_change or not notice.is_shown):
                notice.show(_waiting(name, time.time() - (turn.since() or began)))
                due = time.monotonic() + _BETWEEN_TEXTS
            yield _PAUSE
    finally:
        if notice.is_shown:
            notice.show(f"stash {name}: waited {duration(time.time() - began)} for another kernel with this cell")


def _is_over(turn: Turn) -> bool:
    """Whether nobody is to be waited for any more: the turn is ours, or cannot be asked for."""
    try:
        return turn.take()
    except (StashError, OSError) as error:
        logger.debug("the turn was lost: %s", error)
        return True


def _waiting(name: str, seconds: float) -> str:
    since = f"{int(seconds)} s" if seconds < 100 else duration(seconds)
    return (
        f"stash {name}: another kernel runs this cell, since {since}; waiting for its results (--no-wait runs it here)"
    )


def _ancestors() -> Iterator[int]:
    """The processes by which this one was started, the nearest first."""
    process = os.getpid()
    while process > 1:
        try:
            with open(f"/proc/{process}/stat", "rb") as file:
                process = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            yield os.getppid()  # a system that does not say more
            return
        yield process
