"""One computation at a time for each result, among the tasks of event loops too.

Each result has a lock of its own, so that functions which call each other cannot deadlock unless they recurse for ever.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from hashstash.locks import LONG_WAIT, Lock
from hashstash.single_flight import NO_LOCK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hashstash.engine import Engine

logger = logging.getLogger(__name__)

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05

_Place = tuple[int, str, bytes]
_running: dict[_Place, tuple[asyncio.Future[Any], ...]] = {}
"""What tasks are computing, by event loop, storage and address: the tasks of a loop share a thread, and thus its locks.

What is kept ends with the computation, or with the task if an interrupt left it behind: a notebook's loop goes on after it.
"""
_own: ContextVar[frozenset[_Place]] = ContextVar("hashstash_own_computations", default=frozenset())


@asynccontextmanager
async def alone_among_tasks(
    engine: Engine, address: bytes, tell: Callable[[str], None] | None = None
) -> AsyncIterator[None]:
    """Like :func:`~hashstash.single_flight.alone` for a task: whoever waits lets its event loop go on.

    A task that asks for what it is itself computing, in a recursion without end, does not wait for itself.
    """
    place = (id(asyncio.get_running_loop()), engine.location(), address)
    own = _own.get()
    if place in own:
        yield
        return
    while (running := _running.get(place)) is not None and not any(one.done() for one in running):
        limit = None if tell is None else LONG_WAIT
        finished, _ = await asyncio.wait(running, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if tell is not None and not finished:
            tell("another task of this process")
            tell = None
    done = asyncio.get_running_loop().create_future()
    task = asyncio.current_task()
    mine = (done,) if task is None else (done, task)
    lock = token = None
    try:
        _running[place] = mine
        token = _own.set(own | {place})
        lock = await _acquired(engine, address, tell)
        yield
    finally:
        try:
            if lock is not None:
                lock.release()
        finally:  # an interrupt may have come in between
            if lock is not None:
                lock.release()
            if _running.get(place) is mine:
                del _running[place]
            if not done.done():
                done.set_result(None)
            if token is not None:
                _own.reset(token)


async def _acquired(engine: Engine, address: bytes, tell: Callable[[str], None] | None) -> Any:
    """The lock of a result, held by this thread; ``None`` where there is none to be had."""
    pause, began = _FIRST_PAUSE, time.monotonic()
    lock: Any = None
    try:
        lock = engine.lock(address.hex())
        while not lock.acquire(0):
            if tell is not None and time.monotonic() - began >= LONG_WAIT:
                tell(lock.holder() if isinstance(lock, Lock) else "another process")
                tell = None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    except NO_LOCK as error:
        logger.debug("no lock for %s: %s", address.hex(), error)
        return None
    except BaseException:  # as the lock was had, but not yet handed over
        if lock is not None:
            lock.release()
        raise
    return lock
