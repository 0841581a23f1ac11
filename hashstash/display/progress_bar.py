"""A bar: it takes tallies as they come and has one thread paint the newest, ten times a second at most.

Who does the work only ever leaves a tally behind. A front end that is slow, gone or broken holds up nothing.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from hashstash import forks
from hashstash.display.progress_view import State, View, tidy_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.mapping.progress import Tally

logger = logging.getLogger(__name__)

INTERVAL = 0.1
"""Seconds between two paintings, at least."""
_IDLE_INTERVAL = 1.0
"""Seconds after which the time goes on, though nothing else does."""
_PATIENCE = 2.0
"""Seconds to wait for a front end before a bar is closed without it."""


class Painter(Protocol):
    """Puts views where somebody sees them. It may raise: then the next painter takes over."""

    def open(self, view: View) -> None:
        """Show the first view."""

    def paint(self, view: View) -> None:
        """Show this view instead of the last."""

    def finish(self, view: View) -> None:
        """Show the last view, which stays."""


class Ticker:
    """A thread that lets every open bar paint; it runs while there are some."""

    def __init__(self) -> None:
        self._bars: WeakSet[Showing] = WeakSet()
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._bars.clear()

    def add(self, bar: Showing) -> None:
        """Have *bar* painted from now on."""
        with self._lock:
            self._bars.add(bar)
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._run, name="hashstash-progress", daemon=True)
                self._thread.start()

    def remove(self, bar: Showing) -> None:
        """Leave *bar* alone."""
        with self._lock:
            self._bars.discard(bar)

    def end(self) -> None:
        """Stop before the interpreter does: a daemon thread that holds a stream then would abort the process."""
        self._ended.set()
        thread = self._thread
        if thread is not None:
            thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            with self._lock:
                bars = list(self._bars)
                if not bars:
                    self._thread = None
                    return
            for bar in bars:
                bar.tick()
            del bars[:]
            bar = None  # type: ignore[assignment]  # or the thread would keep alive what nobody else does


TICKER = Ticker()
atexit.register(TICKER.end)
forks.in_child(TICKER._renew)  # noqa: SLF001 - the thread and who held the lock stay behind


class Bar:
    """A :class:`~hashstash.mapping.progress.Progress` shown by the first of *painters* that can.

    After it was closed it may be started again, which shows a new bar.
    """

    def __init__(
        self,
        *painters: Callable[[], Painter],
        clock: Callable[[], float] = time.monotonic,
        ticker: Ticker = TICKER,
    ) -> None:
        self._painters = painters
        self._clock = clock
        self._ticker = ticker
        self._showing: Showing | None = None

    def start(self, label: str, tally: Tally) -> None:
        """Show the bar. While it is there, a second start does nothing."""
        if self._showing is not None:
            return
        painters = [painter() for painter in self._painters]
        self._showing = Showing(painters, tidy_label(label), tally, self._clock)
        self._showing.paint()
        try:
            self._ticker.add(self._showing)
        except RuntimeError:  # the interpreter is about to end and starts no thread
            logger.debug("a progress bar will not move", exc_info=True)

    def update(self, tally: Tally) -> None:
        """Have *tally* painted when it is time for that."""
        showing = self._showing
        if showing is not None:
            showing.newest = tally

    def close(self, tally: Tally, *, interrupted: bool = False) -> None:
        """Paint *tally* for good. Nothing happens where there is no bar, or none any more."""
        showing, self._showing = self._showing, None
        if showing is not None:
            self._ticker.remove(showing)
            showing.close(tally, "interrupted" if interrupted else "finished")


class Showing:
    """One bar from its start to its end."""

    def __init__(self, painters: list[Painter], label: str, tally: Tally, clock: Callable[[], float]) -> None:
        self.newest = tally
        self._painters = painters
        self._label = label
        self._clock = clock
        self._state: State = "running"
        self._is_open = False
        self._painted: Tally | None = None
        self._painting = threading.Lock()
        self._started = self._looked = self._latest = clock()
        self._ended: float | None = None
        self._work_started = self._started
        self._cached = tally.cached
        self._worked_before = tally.computed + tally.failed

    def paint(self) -> None:
        """Paint the newest tally now, unless somebody is painting."""
        if not self._painting.acquire(blocking=False):
            return
        try:
            self._show()
            if self._state != "running":  # it was closed meanwhile
                self._show()
        finally:
            self._painting.release()

    def tick(self) -> None:
        """Paint the newest tally if it is new and time for it, or the time alone once a second."""
        wait = _IDLE_INTERVAL if self.newest is self._painted else INTERVAL
        if self._now() - self._looked >= wait:
            self.paint()

    def close(self, tally: Tally, state: State) -> None:
        """Paint *tally* as the last."""
        self.newest = tally
        self._ended = self._now()
        self._state = state
        if self._painting.acquire(timeout=_PATIENCE):  # if not, the one who is painting will see that this is the end
            try:
                self._show()
            finally:
                self._painting.release()

    def _now(self) -> float:
        """The clock, which does not go back here even if it does."""
        self._latest = max(self._latest, self._clock())
        return self._latest

    def _show(self) -> None:
        """Have the first painter show the newest view; one that fails gives way to the next. After the last there is none."""
        try:
            view = self._view(self.newest)
        except Exception:  # whatever somebody's code reports must not end the thread that serves all bars
            logger.debug("%r is no tally", self.newest, exc_info=True)
            return
        while self._painters:
            painter = self._painters[0]
            try:
                if not self._is_open:
                    painter.open(view)
                    self._is_open = True
                elif view.state == "running":
                    painter.paint(view)
                if view.state != "running":
                    painter.finish(view)
                    self._painters.clear()
                return
            except Exception:  # a front end is foreign code, and must not break the work
                logger.debug("progress cannot be shown by %s", type(painter).__name__, exc_info=True)
                self._is_open = False
                self._painters.remove(painter)

    def _view(self, tally: Tally) -> View:
        now = self._now() if self._ended is None else self._ended
        worked = tally.computed + tally.failed - self._worked_before
        if tally.cached > self._cached and not worked and not tally.running:
            self._work_started = now  # all the time so far went into looking up what is stored
        self._looked, self._painted, self._cached = now, tally, tally.cached
        rate = worked / (now - self._work_started) if worked > 0 and now > self._work_started else None
        return View(self._label, tally, self._state, now - self._started, rate)
