"""One at a time computes what is to be stored; who waits long for another is told for whom."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from hashstash.errors import StashError
from hashstash.locks import LONG_WAIT, Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

    from hashstash.engine import Engine

logger = logging.getLogger(__name__)

NO_LOCK = (StashError, OSError)
"""A stash that is read-only or full, no server, too many open files in a deep recursion."""


def alone(engine: Engine, address: bytes, tell: Callable[[str], None] | None = None) -> AbstractContextManager[object]:
    """Hold the lock of this result; where none can be had, computing twice is better than not at all.

    *tell*: called once when that takes long, with the name of who is waited for.
    """
    lock = engine.lock(address.hex())
    if not isinstance(lock, Lock):
        return _if_it_can_be_had(lock)
    lock.may_fail = NO_LOCK  # itself, and nothing around it: the lock is given back wherever an interrupt comes
    lock.tell = tell
    return lock


@contextmanager
def _if_it_can_be_had(lock: AbstractContextManager[object]) -> Iterator[None]:
    """*lock*, of an engine that has locks of its own kind."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except NO_LOCK as error:
            logger.debug("no lock: %s", error)
        yield


def warn_of_wait(what: str, holder: str) -> None:
    """Say that *what* waits for a result, where it was asked for: a notebook that stands still must not seem to be hung."""
    warn_user(f"{what} waits for a result that {holder} has been computing for more than {LONG_WAIT:.0f} s")


def warn_user(text: str) -> None:
    """Warn of *text* at the line of the user's that led here."""
    warnings.warn(text, RuntimeWarning, stacklevel=1 + _frames_of_ours())


def _frames_of_ours() -> int:
    """How many frames, the caller's included, lie below the user's."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - what warnings.warn walks along
    level = 0
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == __name__.partition(".")[0]:
        frame, level = frame.f_back, level + 1
    return level
