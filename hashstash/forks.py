"""What is done before and after a fork, whatever interrupts it.

Python tells what a fork's hook raises and goes on, an interrupt too: a lock that the hook was about to give back would be held
for ever. So locks are taken and given back by C code, in which no interrupt is raised; and what has to be done afterwards is
done twice, so that the second time makes up for what an interrupt has left undone.

What is registered later is called earlier before a fork, and, as everywhere, later after it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

_CAN_FORK = hasattr(os, "register_at_fork")


def hold(lock: threading.RLock) -> None:
    """Have *lock* held while the process is copied; both sides give it back.

    Who waits for it may be interrupted as well, and waits a second time then.
    """
    for _ in range(2 if _CAN_FORK else 0):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


def before(function: Callable[[], object]) -> None:
    """Call *function* before a fork. It must be no harm if that ends before its first step, or at any other."""
    if _CAN_FORK:
        os.register_at_fork(before=function)


def in_parent(function: Callable[[], object]) -> None:
    """Call *function* after a fork in the process that has forked; again, where it has done all of it or a part."""
    for _ in range(2 if _CAN_FORK else 0):
        os.register_at_fork(after_in_parent=function)


def in_child(function: Callable[[], object]) -> None:
    """Call *function* after a fork in the new process; again, where it has done all of it or a part."""
    for _ in range(2 if _CAN_FORK else 0):
        os.register_at_fork(after_in_child=function)
