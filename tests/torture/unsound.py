"""The product, broken by hand in one way at a time: what races, kills and interrupts must find. Named like what they start."""

from __future__ import annotations

import itertools
import time
from contextlib import nullcontext
from typing import Any

from hashstash.engine import WRITE_ID
from hashstash.engines.memory import MemoryEngine
from hashstash.engines.pairtree import PairtreeEngine
from hashstash.functions import memo
from hashstash.locks import Lock
from torture import interrupting, interrupts, kills, overtaken, races, single


def race(*arguments: Any) -> None:
    """Now and then a row is not replaced."""
    put, count = MemoryEngine.put, itertools.count()

    def forgetful(engine: Any, address: bytes, blob: bytes) -> None:
        if engine.get(address) is None or next(count) % 3:
            put(engine, address, blob)

    MemoryEngine.put = forgetful  # type: ignore[method-assign]
    races.race(*arguments)


def serve(*arguments: Any) -> None:
    """Rows are stored a few at a time, later than is said."""
    put = PairtreeEngine.put
    waiting: list[tuple[Any, bytes, bytes]] = []

    def lazy(*row: Any) -> None:
        waiting.append(row)
        if len(waiting) > 4:
            for late in waiting:
                put(*late)
            waiting.clear()

    PairtreeEngine.put = lazy  # type: ignore[method-assign]
    kills.serve(*arguments)


def write(*arguments: Any) -> None:
    """A sound writer."""
    overtaken.write(*arguments)


def meddle(*arguments: Any) -> None:
    """Rows are changed and removed some time after a look at them, whatever has come in between."""

    def is_expected(engine: Any, address: bytes, expected: bytes | None) -> bool:
        current = engine.get(address)
        time.sleep(0.001)
        return (None if current is None else current[WRITE_ID]) == expected

    def swap(engine: Any, address: bytes, expected: bytes | None, blob: bytes) -> bool:
        return is_expected(engine, address, expected) and engine.put(address, blob) is None

    def delete_if(engine: Any, address: bytes, expected: bytes) -> bool:
        return is_expected(engine, address, expected) and engine.delete(address)

    PairtreeEngine.swap = swap  # type: ignore[method-assign]
    PairtreeEngine.delete_if = delete_if  # type: ignore[method-assign]
    overtaken.meddle(*arguments)


def everywhere(*arguments: Any) -> None:
    """Locks are left by a function in Python, which an interrupt may end before its first line."""
    interrupts.PATIENCE = 2.0
    interrupting.WHERE = (*interrupting.WHERE, __file__)

    def leave(lock: Any, *_: object) -> None:
        lock._closing.__exit__(None, None, None)

    Lock.__exit__ = leave  # type: ignore[method-assign, assignment]
    interrupts.everywhere(*arguments)


def fly(*arguments: Any) -> None:
    """Results are computed by all who ask for them."""
    memo.alone = lambda *_: nullcontext()  # type: ignore[assignment]
    single.fly(*arguments)
