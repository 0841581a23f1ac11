"""Forks that an interrupt comes into, at any step of what one module does before and after them.

``python -m torture.interrupted_forks MODULE ENGINE FOLDER`` prints where something stays locked afterwards, a line each.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from hashstash import HashStash
from torture import interrupting
from torture.interrupting import at_step

_FINE, _INTERRUPTED, _WRONG = range(3)
_PATIENCE = 5.0


def interrupted_forks(work: Callable[[], Any]) -> tuple[list[str], int]:
    """Where a fork was interrupted so that *work* cannot be done by another thread afterwards, here or in the child.

    And how many steps there were.
    """
    wrong, step, more = [], 0, True
    while more:
        step += 1
        children: list[int] = []
        where, _ = at_step(lambda kept=children: kept.append(_forked(work)), step)  # type: ignore[misc]
        told = _ended(children[0])
        more = bool(where) or told != _FINE
        if told not in (_FINE, _INTERRUPTED) or not _is_done_by_a_thread(work):
            wrong.append(where or f"step {step}, in the child")
    return wrong, step


def _is_done_by_a_thread(work: Callable[[], Any]) -> bool:
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return bool(done)


def _forked(work: Callable[[], Any]) -> int:
    process = os.fork()
    if process:
        return process
    try:
        was_interrupted = sys.getprofile() is None
        sys.setprofile(None)
        os._exit((_INTERRUPTED if was_interrupted else _FINE) if _is_done_by_a_thread(work) else _WRONG)
    finally:
        os._exit(_WRONG)


def _ended(process: int) -> int:
    """The code with which it ends, or is ended before long."""
    handle = os.pidfd_open(process)
    try:
        if not select.select([handle], [], [], 2 * _PATIENCE)[0]:
            os.kill(process, signal.SIGKILL)
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main(module: str, engine: str, folder: str) -> None:
    """Print where, and then the number of steps."""
    interrupting.WHERE = (str(import_module(module).__file__),)
    sys.unraisablehook = lambda _told: None
    stash = HashStash(folder, engine=engine)

    def work() -> bool:
        stash["key"] = os.getpid()
        with stash.lock("key"):
            return bool(stash["key"] == os.getpid())

    work()
    wrong, steps = interrupted_forks(work)
    if not _is_done_by_a_thread(stash.close):
        wrong.append("it cannot be closed")
    print("\n".join([*wrong, f"{steps} steps"]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # whatever hangs
