"""Work in a fork of a process that has opened nothing: done in milliseconds, and nothing of it is left."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import json
import os
import secrets
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

LONGEST_TRIAL = 60.0
_LOOK = 0.05
"""Seconds between two looks at whether a process that says nothing has ended."""
_HASTE = 10
_monotonic, _sleep = time.monotonic, time.sleep
_turns: Counter[tuple[str, int]] = Counter()
_seed = ""


def forked(work: Callable[[], Any], *, seed: str = "") -> Any:
    """What *work* gives in a fork of this process; why there is nothing, if it died or hangs.

    With *seed*, in a process of :func:`be_steady`: whatever is drawn by chance is drawn the same whenever the seed is.
    """
    global _seed, _turns
    _seed, _turns = seed or secrets.token_hex(8), Counter()
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.setpgid(0, 0)  # so that whatever it starts can be ended with it
        os.close(reading)
        try:
            with open(writing, "w") as pipe:
                try:
                    text = json.dumps(work())
                except Exception:  # noqa: BLE001
                    text = json.dumps({"died": traceback.format_exc()[-1500:]})
                pipe.write(text)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        told = _heard(reading, process)
    finally:
        os.close(reading)
        _end(process)
    return {**told, "process": process} if isinstance(told, dict) else told


def _heard(reading: int, process: int) -> Any:
    """What *process* says until it ends; others that it has started may go on, and have its end of the pipe too."""
    deadline, content = _monotonic() + LONGEST_TRIAL, b""
    while True:
        has_ended = _has_ended(process)  # asked first: what it has said by then is in the pipe
        if select.select([reading], [], [], 0 if has_ended else _LOOK)[0]:
            piece = os.read(reading, 1 << 16)
            content += piece
            if piece:
                continue
            has_ended = True
        if has_ended:
            return json.loads(content) if content else {"died": "the process ended without a word"}
        if _monotonic() > deadline:
            os.kill(process, signal.SIGABRT)
            return {"hangs": f"longer than {LONGEST_TRIAL:g} s"}


def _has_ended(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: int) -> None:
    """Wait for the end of *process*, which is near, and end what it has left behind."""
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended before it had a group of its own
        os.killpg(process, signal.SIGKILL)  # before its number is given to another one
    os.waitpid(process, 0)


def be_steady() -> None:
    """In this process and its forks the clock stands still, and chance repeats itself: the same work leaves the same bytes.

    Only what is stored depends on it. Whoever waits looks at the monotonic clock, which goes on, and much quicker: for a lock that
    the system has failed to give back seconds are waited, in thousands of trials.
    """
    now = time.time_ns()
    time.monotonic = lambda: _HASTE * _monotonic()
    time.sleep = lambda seconds: _sleep(seconds / _HASTE)
    time.time_ns = lambda: now
    time.time = lambda: now / 1e9
    os.urandom = _drawn


def _drawn(size: int) -> bytes:
    """Bytes that depend on who asks, and how often he has asked: not on what others have drawn."""
    frame = sys._getframe(1)  # noqa: SLF001
    place = (os.path.basename(frame.f_code.co_filename), frame.f_lineno)
    _turns[place] += 1
    return hashlib.shake_128(repr((_seed, place, _turns[place])).encode()).digest(size)


def be_light() -> None:
    """Have forks share the memory of what is imported, instead of copying it where the garbage collector touches it."""
    gc.collect()
    gc.freeze()


def imported(names: list[str]) -> None:
    """Import what a fork of this process has imported, which else every other one would have to."""
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(ImportError):  # a module that is made by another one
                importlib.import_module(name)
