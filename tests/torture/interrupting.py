"""Two ways to interrupt what runs in the main thread: by a timer, and at each place where the interpreter looks for signals."""

from __future__ import annotations

import dis
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import hashstash

WHERE = (os.path.dirname(hashstash.__file__) + os.sep, f"{os.sep}contextlib.py")
"""The code in which an interrupt is tried everywhere: the package's, and what runs between it."""
_RESUME = dis.opmap["RESUME"]


def by_timer(work: Callable[[], None], delay: float) -> tuple[bool, bool]:
    """Whether an interrupt came during *work*, begun so many seconds before it, and whether it came out.

    One that Python drops never came: what is raised in a finalizer, or as something is told that a weak reference has died, it
    hands to ``sys.unraisablehook``, and no library can help. As when a client of pymongo is given up, whose threads hear of it so.
    """
    came: list[bool] = []
    usual_hook = sys.unraisablehook

    def drop(dropped: Any) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            came.clear()
        else:
            usual_hook(dropped)

    def interrupt(_: int, frame: FrameType | None) -> None:
        if _is_lost(frame):
            signal.setitimer(signal.ITIMER_REAL, 1e-4)
            return
        came.append(True)
        handler = signal.getsignal(signal.SIGINT)
        handler(signal.SIGINT, frame)  # whoever has taken the place of Python's own handler is asked, too

    signal.signal(signal.SIGALRM, interrupt)
    sys.unraisablehook = drop
    try:
        signal.setitimer(signal.ITIMER_REAL, max(delay, 1e-6))
        work()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        return True, True
    finally:
        sys.unraisablehook = usual_hook
    return bool(came), False


def _is_lost(frame: FrameType | None) -> bool:
    """Whether Python drops what is raised there: in a finalizer, which no library can help."""
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code.co_filename.endswith("weakref.py"):
            return True
        frame = frame.f_back
    return False


class _Steps:
    """Raises an interrupt at the n-th place where the interpreter would: as a function begins or goes on, and after a call.

    The second is told to a profiler while the call is not over yet, so that the same ``finally`` is in charge as with a signal.
    """

    def __init__(self, left: int) -> None:
        self.left = left
        self.place = ""

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "c_return" and (event != "call" or frame.f_code.co_code[max(frame.f_lasti, 0)] != _RESUME):
            return  # a generator into which something is thrown does not look
        if not any(part in frame.f_code.co_filename for part in WHERE) or _is_lost(frame):
            return
        self.left -= 1
        if self.left == 0:
            self.place = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
            sys.setprofile(None)
            raise KeyboardInterrupt


def at_step(work: Callable[[], None], number: int, kept: list[BaseException] | None = None) -> tuple[str, bool]:
    """Where *work* was interrupted at that step, empty if it has fewer of them, and whether the interrupt came out.

    *kept*: takes what came out, as a notebook does, which so keeps all frames that it came through.
    """
    steps = _Steps(number)
    sys.setprofile(steps)
    try:
        work()
    except KeyboardInterrupt as interrupt:
        if kept is not None:
            kept.append(interrupt)
        return steps.place, True
    finally:
        sys.setprofile(None)
    return steps.place, False
