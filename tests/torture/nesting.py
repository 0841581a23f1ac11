"""An engine is used in the midst of an operation of the same thread, as by a signal handler or a finalizer: at any step of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from hashstash import engines
from hashstash.engine import WRITE_ID, Engine
from hashstash.errors import StashLocked
from hashstash.testing.rows import row

Rows = dict[bytes, bytes | None]
WHERE = os.path.dirname(engines.__file__) + os.sep
KEPT, GONE, OLD, NEW, SAVED = (bytes([number]) * 16 for number in range(1, 6))
"""Addresses: the first stays, inner operations remove the second and store the last, outer ones change the other two."""
BEFORE: Rows = {address: row(f"{address[0]}", 1) for address in (KEPT, GONE, OLD)}
_OLD, _NEW, _SAVED = row("changed", 2), row("new", 2), row("saved", 3)
_EXPECTED = row("3", 1)[WRITE_ID]

OUTER: dict[str, tuple[Callable[[Engine], Any], Any, Rows]] = {
    "get": (lambda engine: engine.get(OLD), BEFORE[OLD], {}),
    "get_many": (lambda engine: list(engine.get_many([KEPT, OLD])), [BEFORE[KEPT], BEFORE[OLD]], {}),
    "count": (lambda engine: engine.count() in (2, 3, 4), True, {}),
    "put": (lambda engine: engine.put(OLD, _OLD), None, {OLD: _OLD}),
    "put_new": (lambda engine: engine.put(NEW, _NEW), None, {NEW: _NEW}),
    "put_many": (lambda engine: engine.put_many([(OLD, _OLD), (NEW, _NEW)]), None, {OLD: _OLD, NEW: _NEW}),
    "swap": (lambda engine: engine.swap(OLD, _EXPECTED, _OLD), True, {OLD: _OLD}),
    "swap_many": (
        lambda engine: engine.swap_many([(OLD, _EXPECTED, _OLD), (NEW, None, _NEW)]),
        [True, True],
        {OLD: _OLD, NEW: _NEW},
    ),
    "delete": (lambda engine: engine.delete(OLD), True, {OLD: None}),
    "delete_if": (lambda engine: engine.delete_if(OLD, _EXPECTED), True, {OLD: None}),
    "clear": (lambda engine: engine.clear(), None, dict.fromkeys((KEPT, GONE, OLD))),
}
"""Each with what it gives, and what it leaves."""


class Inner:
    """What is done in the midst: a row is stored, one is read, one is removed; what of it was acknowledged, and what refused."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.done: Rows = {}
        self.refused: list[str] = []
        self.found: list[bytes | None] = []
        self.wrong: list[str] = []
        self.place = ""

    def __call__(self, place: str) -> None:
        self.place = place
        for work in (self._put, self._get, self._delete):
            try:
                work()
            except StashLocked as error:
                self.refused.append(str(error))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is wrong
                self.wrong.append(f"{work.__name__} at {place}: {type(error).__name__}: {error}")

    def _put(self) -> None:
        self.engine.put(SAVED, _SAVED)
        self.done[SAVED] = _SAVED

    def _get(self) -> None:
        self.found.append(self.engine.get(KEPT))

    def _delete(self) -> None:
        self.engine.delete(GONE)
        self.done[GONE] = None


class Steps:
    """Calls *inner* once, before the n-th instruction of the engines' code."""

    def __init__(self, number: int, inner: Callable[[str], None]) -> None:
        self.left = number
        self.inner = inner

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if self.left <= 0 or not frame.f_code.co_filename.startswith(WHERE):
            return None
        frame.f_trace_opcodes = True
        self.left -= event == "opcode"
        if self.left == 0:
            sys.settrace(None)
            self.inner(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}")
            return None
        return self


def faults(
    make: Callable[[], tuple[Engine, Engine]], name: str, before: Rows = BEFORE, *, first: int = 1, every: int = 1
) -> Iterator[str | None]:
    """What is wrong, or ``None``, for an inner use at each *every*-th step of the outer operation *name*.

    *make*: makes two engines on the rows *before*, or the same one twice: the outer and the inner one.
    """
    work, gives, leaves = OUTER[name]
    for number in range(first, sys.maxsize, every):
        engine, inner_engine = make()
        inner = Inner(inner_engine)
        steps = Steps(number, inner)
        given: Any = None
        sys.settrace(steps)
        try:
            given = work(engine)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is wrong
            inner.wrong.append(f"{name}: {type(error).__name__}: {error}")
        finally:
            sys.settrace(None)
        if steps.left > 0:
            yield from inner.wrong
            return
        if before and not inner.wrong and given != gives:
            inner.wrong.append(f"{name} gave {given!r}")
        may_miss = {None} if name == "clear" else set()
        wrong = [
            f"row {address[0]} is {found!r}"
            for address, blob in {**before, **inner.done, **leaves}.items()
            if (found := engine.get(address)) not in {blob} | may_miss
        ]
        wrong += [f"inside there was {found!r}" for found in inner.found if found not in {before.get(KEPT)} | may_miss]
        yield "; ".join([inner.place, *inner.wrong, *wrong]) if inner.wrong or wrong else None
