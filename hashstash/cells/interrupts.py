"""Steps that an interrupt must not leave half done: it waits until they are over, and is then passed on."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import FrameType

_PATIENCE = 2
"""So many interrupts are held back; the next one gets through, should the step never end."""


class HeldBack:
    """A context for a short step: an interrupt (SIGINT) that comes meanwhile takes effect at its end.

    In other threads than the main one it does nothing: no interrupt reaches them.
    """

    __slots__ = ("_count", "_earlier", "_frame", "_is_ours")

    def __init__(self) -> None:
        self._count = 0
        self._frame: FrameType | None = None
        self._earlier: Any = None
        self._is_ours = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._earlier = signal.getsignal(signal.SIGINT)
            if self._earlier is not None:  # else a handler that is not Python's, which could not be put back
                self._is_ours = True
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_exception: object) -> None:
        if not self._is_ours:
            return
        signal.signal(signal.SIGINT, self._earlier)
        if self._count and callable(self._earlier):
            self._earlier(signal.SIGINT, self._frame)
        elif self._count and self._earlier == signal.SIG_DFL:
            signal.raise_signal(signal.SIGINT)

    def _note(self, _number: int, frame: FrameType | None) -> None:
        self._count += 1
        self._frame = frame
        if self._count > _PATIENCE and callable(self._earlier):
            self._earlier(signal.SIGINT, frame)
