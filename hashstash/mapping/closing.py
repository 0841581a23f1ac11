"""A program waits at its end for the maps that it has started; a second interrupt ends it at once."""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING

from hashstash import forks

if TYPE_CHECKING:
    from hashstash.mapping.computation import Computation

_maps: dict[int, Computation] = {}
_lock = threading.Lock()


def add(begun: Computation) -> None:
    """Wait for this map at the end of the program."""
    _register()
    with _lock:
        _maps[id(begun)] = begun


def remove(ended: Computation) -> None:
    """It has ended."""
    with _lock:
        _maps.pop(id(ended), None)


def running() -> list[Computation]:
    """Those that have not ended."""
    with _lock:
        return list(_maps.values())


@functools.cache
def _register() -> None:
    # Before the executors of the standard library refuse new work, which atexit would be too late for.
    import concurrent.futures.thread  # noqa: F401 - registers itself, and what is registered later runs earlier

    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with contextlib.suppress(RuntimeError):  # the program is ending already
            register(_wait_for_all)


def _forget_in_child() -> None:
    """The maps go on in the parent; a child that was forked while they ran has no thread that would end them."""
    global _lock
    _lock = threading.Lock()
    _maps.clear()


forks.in_child(_forget_in_child)


def _wait_for_all() -> None:
    for one in running():
        with contextlib.suppress(KeyboardInterrupt):
            one.wait()
