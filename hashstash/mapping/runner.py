"""Computes the missing items of a map: in this thread, or by handing chunks to workers and taking what comes back.

The parent alone writes to the stash, in batches, unless the workers were told to. An item whose worker dies is tried once
more, alone; everything else goes on.
"""

from __future__ import annotations

import functools
import logging
import math
import pickle
import queue
import warnings
from collections import deque
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hashstash.errors import CannotTravel, WorkerDied
from hashstash.mapping.executors import Threads
from hashstash.mapping.learned import note_lost_worker
from hashstash.mapping.outcome import FINAL, Outcome, State
from hashstash.mapping.parcels import Parcels, culprit, short_name, unpacked
from hashstash.mapping.results import Results
from hashstash.mapping.worker import DIFFERS, NEEDS_JOB, Computed, compute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hashstash.functions.function_stash import Memo
    from hashstash.mapping.executors import Backend

logger = logging.getLogger(__name__)

_TELL_EVERY = 0.01
_MOST_UNTOLD = 256
_MOST_GROWTH = 4
_LEAST_SECONDS = 5e-6
"""What an item costs at least, its way to the worker and back included."""
_MOST_ATTEMPTS = 2
_POLL = 0.5


@dataclass(frozen=True)
class RunOptions:
    """What a map says about how its items are computed."""

    chunksize: int | None = None
    """Items in a task; ``None``: as many as make a task worth its way."""
    stores: bool = True
    workers_write: bool = False


class Runner:
    """Computes outcomes; *report* is called with those that are finished, from the thread that runs."""

    def __init__(
        self,
        memo: Memo,
        pending: Iterable[Outcome],
        backend: Backend | None,
        report: Callable[[list[Outcome]], None],
        options: RunOptions,
    ) -> None:
        self.memo = memo
        self.is_cancelled = False
        self.seconds_each: float | None = None
        self._pending = deque(pending)
        self._backend = backend
        self._report = report
        self._options = options
        self._running: dict[int, tuple[Any, list[Outcome]]] = {}
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._size = 1
        self._sent = 0
        self._results = Results(memo, stores=options.stores)
        self._left: list[Backend] = []
        """Those that the rest of the work was taken from."""
        self._parcels: Parcels | None = None
        if backend is not None and not backend.shares_memory:
            self._parcels = Parcels(memo, self._results, backend, workers_write=options.workers_write)

    @property
    def running(self) -> int:
        """How many items are with the workers."""
        return sum(len(chunk) for _, chunk in self._running.values())

    def cancel(self) -> None:
        """Stop as soon as may be; called from any thread."""
        self.is_cancelled = True
        self._answers.put(None)

    # ---- here, one after the other -------------------------------------------------------------------------------

    def run_here(self) -> None:
        """Compute in this thread; an interrupt is passed on once everything finished has been stored."""
        answered: list[tuple[Outcome, Computed]] = []
        spent = 0.0
        try:
            for answer in compute(self.memo.function, self._calls_here()):
                answered.append((self._pending[0], answer))
                self._pending.popleft()
                spent += answer.seconds
                if spent > _TELL_EVERY or len(answered) >= _MOST_UNTOLD:
                    told, answered, spent = answered, [], 0.0
                    self._finish(told)
        finally:
            self._finish(answered)
            self._results.flush()
            self._give_up()

    def _calls_here(self) -> Iterable[Any]:
        while self._pending and not self.is_cancelled:
            self._pending[0].state = State.RUNNING
            self._results.note_key(self._pending[0])
            yield self._pending[0].call

    # ---- by workers ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Keep the workers busy until nothing is left."""
        assert self._backend is not None
        try:
            while (self._pending or self._running) and not self.is_cancelled:
                self._hand_out(self._backend)
                self._take_in()
        finally:
            for future, _ in list(self._running.values()):
                future.cancel()
            for backend in (*self._left, self._backend) if self._running else ():
                backend.stop(self)
            self._results.flush()
            self._give_up()
            for backend in (*self._left, self._backend):
                backend.close()

    def _hand_out(self, backend: Backend) -> None:
        before = self._sent
        while self._pending and len(self._running) < backend.in_flight:
            chunk = self._next_chunk(backend)
            if not chunk:
                break
            for outcome in chunk:
                outcome.state = State.RUNNING
            self._submit(backend, chunk, with_job=self._sent < backend.workers)
            self._sent += 1
        if self._sent > before:
            self._report([])  # that more of them are running

    def _next_chunk(self, backend: Backend) -> list[Outcome]:
        """The items of the next task; one that is tried again is alone in its task."""
        first = self._pending[0]
        if first.attempts:
            if self._running and backend.breaks_together:
                return []  # whoever breaks this executor takes the others with it: not before they are back
            if backend.is_remote and any(chunk[0].attempts for _, chunk in self._running.values()):
                return []  # on a cluster, what waits at a worker that dies is lost with what has killed it
            return [self._pending.popleft()]
        if any(chunk[0].attempts for _, chunk in self._running.values()) and backend.breaks_together:
            return []
        size = self._options.chunksize or self._chunk_size(backend)
        chunk: list[Outcome] = []
        while self._pending and len(chunk) < size and not self._pending[0].attempts:
            chunk.append(self._pending.popleft())
        return chunk

    def _chunk_size(self, backend: Backend) -> int:
        if self.seconds_each is None:
            return 1
        wanted = int(backend.chunk_seconds / max(self.seconds_each, _LEAST_SECONDS))
        even = math.ceil(len(self._pending) / backend.workers)
        return max(1, min(wanted, self._size * _MOST_GROWTH, even))

    def _submit(self, backend: Backend, chunk: list[Outcome], *, with_job: bool) -> None:
        try:
            task = self._task(chunk, with_job=with_job)
        except Exception as error:  # noqa: BLE001 - pickling runs the user's code
            self._part_that_cannot_travel(backend, chunk, error)
            return
        try:
            future = backend.submit(task, self)
        except (BrokenExecutor, RuntimeError) as error:
            self._lost(chunk, error)
            return
        self._running[id(future)] = (future, chunk)
        future.add_done_callback(self._answers.put)

    def _task(self, chunk: list[Outcome], *, with_job: bool) -> Any:
        if self._parcels is not None:
            return self._parcels.task(chunk, with_job=with_job)
        for outcome in chunk:
            self._results.note_key(outcome)
        return functools.partial(_compute_all, self.memo.function, [outcome.call for outcome in chunk])

    def _part_that_cannot_travel(self, backend: Backend, chunk: list[Outcome], error: Exception) -> None:
        """Fail the item whose arguments cannot be pickled; the others of its chunk are sent without it."""
        if len(chunk) > 1:
            for outcome in chunk:
                self._submit(backend, [outcome], with_job=True)
            return
        refused = CannotTravel(f"{culprit(self.memo.function, chunk[0])} cannot be sent to a worker process: {error}")
        refused.__cause__ = error
        self._finish([(chunk[0], Computed(0.0, error=refused))])

    def _take_in(self) -> None:
        """Wait for an answer, then take all that have come."""
        try:
            future = self._answers.get(timeout=_POLL)
        except queue.Empty:
            self._results.flush()
            self._notice_loss()
            return
        while True:
            if future is not None and id(future) in self._running:
                _, chunk = self._running.pop(id(future))
                self._take(future, chunk)
            try:
                future = self._answers.get_nowait()
            except queue.Empty:
                return

    def _take(self, future: Any, chunk: list[Outcome]) -> None:
        try:
            answer = future.result()
        except Exception as error:  # noqa: BLE001 - whatever an executor raises when a worker is lost
            self._lost(chunk, error)
            return
        assert self._backend is not None
        if answer == NEEDS_JOB:
            self._submit(self._backend, chunk, with_job=True)
            return
        if isinstance(answer, bytes) and answer.startswith(DIFFERS):
            self._make_equal(answer.removeprefix(DIFFERS))
            self._submit(self._backend, chunk, with_job=True)
            return
        found = pickle.loads(answer) if isinstance(answer, (bytes, bytearray, memoryview)) else answer
        if type(found) is not list:  # one failure for the whole task
            self._refused(chunk, found.error())
            return
        codec = self.memo.store.codec
        self._finish([(outcome, unpacked(each, codec)) for outcome, each in zip(chunk, found, strict=True)])

    def _make_equal(self, digest: bytes) -> None:
        """The function or an argument is not the same in the workers: send it whole; failing that, compute it here.

        A cluster may have been chosen for what only it has: there it is computed all the same, but not stored as ours.
        """
        backend, parcels = self._backend, self._parcels
        if backend is None or parcels is None or not parcels.are_of(digest) or parcels.send_whole():
            return  # something is done about it, or was since that task was sent
        why = (
            f"{short_name(self.memo.function)}, with all that it uses, is not the same in the workers, whose modules or packages"
            " are other versions"
        )
        if backend.is_remote:
            parcels.take_theirs()
            warnings.warn(f"{why}: the results are theirs, and are not stored", RuntimeWarning, stacklevel=2)
        else:
            self._left.append(backend)
            self._backend, self._parcels = Threads(backend.workers), None
            warnings.warn(f"{why}: it is called by threads of this process", RuntimeWarning, stacklevel=2)

    def _learn(self, answers: Sequence[Computed]) -> None:
        each = sum(answer.seconds for answer in answers) / len(answers)
        self.seconds_each = each if self.seconds_each is None else 0.5 * self.seconds_each + 0.5 * each
        self._size = max(self._size, len(answers))

    def _lost(self, chunk: list[Outcome], error: Exception) -> None:
        """A task came to nothing: each of its items is tried once more, alone."""
        logger.debug("a task of %d items was lost: %s", len(chunk), error)
        note_lost_worker(self.memo.function)
        again = []
        for outcome in chunk:
            outcome.attempts += 1
            if outcome.attempts < _MOST_ATTEMPTS:
                outcome.state = State.PENDING
                again.append(outcome)
                continue
            died = error if isinstance(error, WorkerDied) else WorkerDied(f"its worker was lost: {error}")
            if died is not error:
                died.__cause__ = error
            self._finish([(outcome, Computed(0.0, error=died))])
        if self._backend is not None and self._backend.is_remote:
            self._pending.extend(again)  # one by one, after all others
        else:
            self._pending.extendleft(reversed(again))

    def _notice_loss(self) -> None:
        """Nobody is left who could answer: what is not finished fails, and may be resumed."""
        reason = self._backend.lost() if self._backend is not None else None
        if reason is None:
            return
        lost = [*(outcome for _, chunk in self._running.values() for outcome in chunk), *self._pending]
        for future, _ in list(self._running.values()):
            future.cancel()
        self._running.clear()
        self._pending.clear()
        self._finish([(outcome, Computed(0.0, error=WorkerDied(reason))) for outcome in lost])

    def _refused(self, chunk: list[Outcome], error: BaseException) -> None:
        """A worker could not unpack the task: item by item, so that the one to blame is known."""
        if len(chunk) == 1:
            self._finish([(chunk[0], Computed(0.0, error=error))])
            return
        assert self._backend is not None
        for outcome in chunk:
            self._submit(self._backend, [outcome], with_job=True)

    # ---- what is finished ----------------------------------------------------------------------------------------

    def _finish(self, answered: Sequence[tuple[Outcome, Computed]]) -> None:
        if not answered:
            return
        self._learn([answer for _, answer in answered])
        finished, computed = [], []
        for outcome, answer in answered:
            outcome.seconds = answer.seconds
            error = answer.error if answer.failure is None else answer.failure.error()
            if error is None:
                try:
                    self._results.keep(outcome, answer)
                    computed.append(outcome)
                except Exception as trouble:  # noqa: BLE001 - the user's if_, or what brings back the user's own objects
                    error = trouble
            if error is not None:
                self._results.fail(outcome, error)
            finished.append(outcome)
        if self._results.is_due or not (self._pending or self._running):
            self._results.flush()  # before anybody hears that all is done, or reads the last value
        for outcome in computed:
            outcome.state = State.COMPUTED
        self._report(finished)

    def _give_up(self) -> None:
        """What was not computed will not be, by this runner."""
        left = [*self._pending, *(outcome for _, chunk in self._running.values() for outcome in chunk)]
        left = [outcome for outcome in left if outcome.state not in FINAL]
        self._pending.clear()
        self._running.clear()
        for outcome in left:
            outcome.state = State.CANCELLED
        if left:
            self._report(left)


def _compute_all(function: Callable[..., Any], calls: list[Any]) -> list[Computed]:
    return list(compute(function, calls))
