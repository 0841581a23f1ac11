"""A stash that is used in the midst of an operation of the same thread on it, by a signal handler or a finalizer.

It cannot wait for that operation, which goes on only afterwards. So it works beside it, or is refused at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hashstash.errors import StashLocked

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection
    from types import FrameType


def holds(lock: threading.RLock) -> bool:
    """Whether this very thread holds the lock."""
    return lock._is_owned()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001 - nothing else tells


def comes_from(module: str, name: str, among: Collection[object]) -> bool:
    """Whether this thread is in a call of a function of *module* of which the local variable *name* is *among* those.

    By its frames: where each operation says which thread it is in, that costs all of them.
    """
    frame: FrameType | None = sys._getframe()  # noqa: SLF001
    while frame is not None:
        if frame.f_globals.get("__name__") == module and frame.f_locals.get(name) in among:
            return True
        frame = frame.f_back
    return False


def in_the_midst(path: str) -> StashLocked:
    """The error for whoever comes in the middle of a change at *path* that the same thread is making."""
    return StashLocked(
        f"a signal handler or a finalizer came in the middle of a write to {path} by the same thread;"
        " do it again when that write is over"
    )
