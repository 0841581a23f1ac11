"""What engines over a library's files have in common: threads take turns, a fork finds everything closed, exits are clean.

A library's handle is never carried through a fork: it is closed before, and both sides open their own when they go on.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from abc import abstractmethod
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakSet

from hashstash import forks
from hashstash.engine import FolderEngine
from hashstash.engines._nested import holds
from hashstash.engines._reserve import make_reserve, reserve_in, shrink_reserve
from hashstash.errors import StashFull
from hashstash.refusals import read_only

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

_STEP = 8 * 1024
_MOST_OPEN = 48
"""Engines that have files open, up to four each: a process may have no more than 256 in all on some systems."""
_LONGEST_WAIT = 5.0
"""Seconds that a fork or an exit waits for a thread that is in the middle of an operation."""


class EmbeddedEngine(FolderEngine):
    """Rows in files of *folder* that a library reads and writes through one handle."""

    settings: ClassVar[tuple[str, ...]] = ("durable",)
    _reserve_size: ClassVar[int] = 128 * 1024

    def __init__(self, folder: str, *, durable: bool = False) -> None:
        super().__init__(folder)
        self._durable = durable
        self._turn = threading.RLock()
        self._handle: Any = None
        self._reserve = reserve_in(folder)
        self._has_reserve = False
        self._is_open = False
        self._used = 0.0
        """When it was used, as far as anybody has noted it: at each opening, and now and then."""
        _engines.add(self)

    @abstractmethod
    def _release(self, handle: Any) -> None:
        """Close what this engine has opened."""

    def is_read_only(self) -> bool:
        """Whether the folder is there and nothing can be written into it."""
        return os.path.isdir(self._folder) and not os.access(self._folder, os.W_OK)

    def _refuse(self) -> None:
        raise read_only(self._folder)

    # ---- room for deleting on a full disk ------------------------------------------------------------------------

    def _make_reserve(self) -> None:
        """Put some room by, once per object and as far as there is any."""
        if not self._has_reserve:
            self._has_reserve = True
            make_reserve(self._folder, self._reserve_size)

    def _freeing(self, work: Callable[[], Result], *, keep: int) -> Result:
        """What *work* gives, which makes room and needs a little: of what was put by, all but *keep* bytes is given up for it."""
        may_make_room = True
        while True:
            try:
                return work()
            except StashFull:
                has_more = may_make_room and self._has_made_room()
                may_make_room = False
                if not (has_more or self._give_up_reserve(keep)):
                    raise

    def _has_made_room(self) -> bool:
        """Whether there is more room now, without giving up what was put by."""
        return False

    def _give_up_reserve(self, keep: int) -> bool:
        """Make a little room of what was put by; whether there was more than *keep* bytes of that."""
        return shrink_reserve(self._folder, keep=keep, step=_STEP)

    # ---- life ----------------------------------------------------------------------------------------------------

    def _note_open(self) -> None:
        """Say that this engine has files open now, and have those closed that others have not used for longest."""
        self._used = time.monotonic()
        if not self._is_open:
            self._is_open = True
            _open.add(self)
            if len(_open) > _MOST_OPEN:
                _let_go_of_some()

    def _let_go(self) -> None:
        with self._turn:
            self._is_open = False
            _open.discard(self)
            handle, self._handle = self._handle, None
            if handle is not None:
                self._release(handle)

    def _abandon(self) -> None:
        """Neither use nor close what a thread of the parent has open, of which this process is a fork."""
        self._is_open = False
        _open.discard(self)
        _abandoned.append(self._handle)
        self._handle = None

    def clear(self) -> None:
        self._clear_rows()
        self.clear_sections()

    @abstractmethod
    def _clear_rows(self) -> None:
        """Remove every row of this engine, and none of its sections."""

    def close(self) -> None:
        self._let_go()
        super().close()

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle is not None:
            with contextlib.suppress(Exception):  # at the end of the interpreter anything may be gone already
                self._release(handle)


_engines: WeakSet[EmbeddedEngine] = WeakSet()
_open: WeakSet[EmbeddedEngine] = WeakSet()
_held: list[tuple[EmbeddedEngine, bool]] = []
_abandoned: list[Any] = []


def _all_engines() -> list[EmbeddedEngine]:
    return _listed(_engines)


def _listed(engines: WeakSet[EmbeddedEngine]) -> list[EmbeddedEngine]:
    while True:
        try:
            return list(engines)
        except RuntimeError:  # another thread has made one meanwhile
            continue


def _let_go_of_some() -> None:
    """Have those engines close their files that were not used for longest and that no thread is inside of."""
    oldest = sorted(_listed(_open), key=attrgetter("_used"))
    for engine in oldest[: _MOST_OPEN // 4]:
        if not holds(engine._turn):  # noqa: SLF001 - an own turn could be taken again
            with contextlib.suppress(Exception):  # what goes wrong with one is nothing to whoever uses another
                _is_let_go(engine, 0.0)


def let_go_in(folder: str, *, patience: float = _LONGEST_WAIT) -> bool:
    """Have every engine of this process close what it has open in *folder*; whether none was in use for all of *patience*.

    It is opened again when it is used: where other files have taken the place of those, it would go on with the old ones.
    *patience*: seconds to wait for a thread that is inside of one.
    """
    real = os.path.realpath(folder)
    is_done = True
    for engine in _all_engines():
        if engine._handle is not None and os.path.realpath(engine._folder) == real:  # noqa: SLF001
            is_done &= _is_let_go(engine, patience)
    return is_done


def others_of_this_thread(engine: EmbeddedEngine, kind: type) -> list[Any]:
    """Engines on the same folder in the midst of whose operations this thread is, as a signal handler or a finalizer is."""
    folder = engine._folder  # noqa: SLF001
    return [
        other
        for other in _all_engines()
        if other is not engine and isinstance(other, kind) and other._folder == folder and holds(other._turn)  # noqa: SLF001
    ]


def _is_let_go(engine: EmbeddedEngine, patience: float) -> bool:
    """Whether the engine has closed what it has open; if not, a thread was inside of it for so many seconds."""
    taken: list[bool] = []
    try:
        # The answer is kept in the same step: no interrupt comes between the two, after which the turn would never end.
        taken += map(engine._turn.acquire, (True,), (patience,))  # noqa: SLF001
        if taken[0]:
            engine._let_go()  # noqa: SLF001
        return taken[0]
    finally:
        if True in taken:
            engine._turn.release()  # noqa: SLF001


def _close_before_fork() -> None:
    for engine in _all_engines():
        # In one step, as in _is_let_go.
        _held.extend(zip((engine,), map(engine._turn.acquire, (True,), (_LONGEST_WAIT,)), strict=False))  # noqa: SLF001
        if _held[-1][1]:
            with contextlib.suppress(Exception):  # a fork must not fail over a full disk
                engine._let_go()  # noqa: SLF001


def _go_on_in_parent() -> None:
    while _held:
        engine, is_ours = _held[-1]
        del _held[-1]  # a call of pop would be a place for an interrupt
        if is_ours:
            engine._turn.release()  # noqa: SLF001


def _go_on_in_child() -> None:
    for engine in _all_engines():
        # Where a thread is inside that does not exist here, or an interrupt has come before all was closed.
        engine._abandon()  # noqa: SLF001
        engine._turn = threading.RLock()  # noqa: SLF001
    _held.clear()


def _close_at_exit() -> None:
    for engine in _all_engines():
        _is_let_go(engine, _LONGEST_WAIT)


with contextlib.suppress(ImportError):  # a Python without SQLite has no engines on it
    # What registers later prepares earlier: a fork must have all turns before it lets nobody open connections any more.
    import_module("hashstash.engines._sqlite_connections")
forks.before(_close_before_fork)
forks.in_parent(_go_on_in_parent)
forks.in_child(_go_on_in_child)
atexit.register(_close_at_exit)
