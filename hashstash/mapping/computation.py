"""The life of a map: what is stored is looked up, what is missing is computed here or in the background, waited for, stopped.

No lock is held while the user's code runs; whoever waits is told of every change.
"""

from __future__ import annotations

import threading
import time
import warnings
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from hashstash.errors import MissingDependency
from hashstash.mapping import closing
from hashstash.mapping.executors import Threads, backend_of, cpus
from hashstash.mapping.outcome import FINAL, Outcome, State
from hashstash.mapping.progress import NoProgress, Progress, Tally
from hashstash.mapping.runner import Runner, RunOptions
from hashstash.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.mapping.executors import Backend
    from hashstash.mapping.plan import Plan
    from hashstash.mapping.settled import SettledPlan
    from hashstash.mapping.whole import WholeMap

_INLINE = 0.05
"""A map whose items took less than this in all the last time is not worth sending anywhere."""
_MOST_WAITERS = 32
"""Threads for an async function, whose calls wait rather than compute."""
_STOPS_WITHIN = 10.0
_SETTLED = FINAL - {State.CANCELLED}
_state_of = attrgetter("state")


@dataclass(frozen=True)
class MapOptions:
    """How a map computes and what it does with failures; see :meth:`hashstash.HashStash.map`."""

    num_proc: int | None = None
    desc: str | None = None
    ordered: bool = True
    preload: bool = True
    precompute: bool = True
    stash_runs: bool = True
    stash_map: bool = True
    executor: Any = None
    chunksize: int | None = None
    errors: str = "raise"
    force: bool = False
    write: str = "parent"


class Computation:
    """What is computed of a plan, and by whom. Every method may be called from any thread."""

    def __init__(
        self,
        plan: Plan | SettledPlan,
        options: MapOptions,
        progress: Progress | None = None,
        *,
        whole: WholeMap | None = None,
        is_settled: bool = False,
    ) -> None:
        self.plan = plan
        self.options = options
        self.trouble: Exception | None = None
        """What ended the computation before all was done, if it was not an interrupt."""
        self.order: list[Outcome] = []
        """What is final, as it came."""
        self._whole = whole
        self._progress: Progress = progress or NoProgress()
        self._changed = threading.Condition()
        self._starting = threading.Lock()
        self._runner: Runner | None = None
        self._at_work = 0
        self._is_started = self._is_interrupted = False
        self._is_looked_up = is_settled
        self._computed = self._failed = self._cached = 0
        self._started_at = self._ended_at = 0.0
        if is_settled:
            self._note(plan.outcomes)

    # ---- what is so ----------------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether something is being computed."""
        return self._at_work > 0

    @property
    def done(self) -> bool:
        """Whether every item has a result or an error."""
        return _SETTLED.issuperset(map(_state_of, self.plan.distinct))

    @property
    def tally(self) -> Tally:
        """How many items are cached, computed, failed and running."""
        runner = self._runner
        running = runner.running if runner is not None and self.is_running else 0
        return Tally(len(self.plan.outcomes), self._cached, self._computed, self._failed, running)

    @property
    def seconds(self) -> float:
        """How long it has been going on, or took in all."""
        if not self._started_at:
            return 0.0
        return (time.monotonic() if self.is_running else self._ended_at) - self._started_at

    # ---- starting ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Look up what is stored and compute what is missing, in the background if there is more than one worker."""
        with self._starting:
            if self._is_started:
                return
            runner, backend = self._prepare()
            if runner is not None:
                self._begin()
        self._progress.start(self._label(1 if backend is None else backend.workers), self.tally)
        if runner is None:
            self._ended_at = time.monotonic()
            self._progress.close(self.tally)
        elif backend is None:
            self._run_here(runner)
        else:
            self._start_thread(runner)

    def _start_thread(self, runner: Runner) -> None:
        closing.add(self)
        name = f"hashstash-map {self.plan.name}"
        try:
            threading.Thread(target=self._run_in_background, args=(runner,), name=name, daemon=True).start()
        except BaseException:  # there is no room for one more thread: whoever reads must not wait for it
            self._end(runner)
            closing.remove(self)
            raise

    def look_up(self) -> None:
        """Find out which results are stored already; computes nothing."""
        with self._changed:
            was_looked_up, self._is_looked_up = self._is_looked_up, True
        if self.plan.refresh() or not was_looked_up:
            self._note(self._found())

    def _found(self) -> list[Outcome]:
        if self.options.force or self.plan.memo.options.force:
            if self.options.stash_runs:
                self.plan.spare_newer()
            return []
        if self.options.stash_runs:
            return self.plan.look_up()
        return [] if self._whole is None else self._whole.look_up()

    def _prepare(self) -> tuple[Runner | None, Backend | None]:
        self._started_at = time.monotonic()
        self.look_up()
        pending = self.plan.pending()
        if not pending:
            return None, None
        runner, backend = self._runner_by(self._backend(len(pending)), pending)
        runner.seconds_each = self.plan.seconds_each
        self._runner = runner
        return runner, backend

    def _runner_by(self, backend: Backend | None, pending: list[Outcome]) -> tuple[Runner, Backend | None]:
        try:
            return self._new_runner(pending, backend), backend
        except MissingDependency as error:
            if self.options.executor is not None:
                raise
            warnings.warn(f"{self.plan.name} is mapped by threads: {error}", RuntimeWarning, stacklevel=7)
            backend = Threads(self.options.num_proc or cpus())
            return self._new_runner(pending, backend), backend

    def _new_runner(self, pending: list[Outcome], backend: Backend | None) -> Runner:
        options = RunOptions(self.options.chunksize, self.options.stash_runs, self.options.write == "workers")
        return Runner(self.plan.memo, pending, backend, self._note, options)

    def _backend(self, missing: int) -> Backend | None:
        options = self.options
        each = None if self.plan.is_deadly else self.plan.seconds_each
        if options.executor is None and self.plan.is_async and options.num_proc != 1:
            return Threads(options.num_proc or min(missing, _MOST_WAITERS))
        if options.executor is None and each is not None and missing * each < _INLINE:
            backend_of(None, options.num_proc)  # a wrong number is an error all the same
            return None
        return backend_of(options.executor, options.num_proc)

    def _run_here(self, runner: Runner) -> None:
        try:
            runner.run_here()
        except KeyboardInterrupt:
            self._is_interrupted = True
        finally:
            self._end(runner)
        if self._is_interrupted:
            done, total = self.tally.done, len(self.plan.outcomes)
            warnings.warn(
                f"the map of {self.plan.name} was interrupted after {done} of {total} items, which are kept; "
                "resume() computes the others",
                RuntimeWarning,
                stacklevel=6,
            )

    def _run_in_background(self, runner: Runner) -> None:
        try:
            runner.run()
        except BaseException as error:  # noqa: BLE001 - nobody is there to catch it: it is raised where a value is read
            self.trouble = error if isinstance(error, Exception) else RuntimeError(repr(error))
        finally:
            self._end(runner)
            closing.remove(self)

    def _begin(self) -> None:
        with self._changed:
            self._is_started, self._is_interrupted = True, False
            self._at_work += 1

    def _end(self, runner: Runner) -> None:
        was_stopped = self._is_interrupted or runner.is_cancelled
        try:
            if not was_stopped:  # the items that it was stopped in may be the long ones
                self.plan.learn(runner)
            if self._whole is not None and self.done:
                self._whole.store()
            self._ended_at = time.monotonic()
            self._progress.close(self.tally, interrupted=was_stopped)
        finally:  # whatever happens, nobody waits for ever
            with self._changed:
                self._is_started = False
                self._at_work -= 1
                self._changed.notify_all()

    def _label(self, workers: int) -> str:
        objects = counted(len(self.plan.outcomes), "object")
        return self.options.desc or f"Mapping {self.plan.name} across {objects} [{workers}x]"

    def _note(self, finished: list[Outcome]) -> None:
        """Called by the runner, in its thread, with what is finished."""
        with self._changed:
            for outcome in finished:
                if outcome.state is State.COMPUTED:
                    self._computed += 1
                    self._cached += outcome.runs - 1
                elif outcome.state is State.FAILED:
                    self._failed += outcome.runs
                elif outcome.state is State.CACHED:
                    self._cached += outcome.runs
            self.order.extend(finished)
            self._changed.notify_all()
        if self._runner is not None and self.is_running:
            self._progress.update(self.tally)

    # ---- waiting and stopping ------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most *timeout* seconds until nothing is being computed any more; return whether all is done."""
        self.ensure_started()
        self.wait_until(lambda: not self.is_running, timeout)
        return self.done

    def ensure_started(self) -> None:
        """Start what was told to wait until somebody wants it; what was stopped stays stopped."""
        if self._runner is None and not self.done:
            self.start()

    def settle(self, outcome: Outcome) -> None:
        """Wait for one item; where nothing was to be computed before it is read, compute just that one."""
        if outcome.state in FINAL:
            return
        if self._runner is None and not self.options.precompute:
            self._compute_alone(outcome)
        else:
            self.ensure_started()
        self.wait_until(lambda: outcome.state in FINAL or not self.is_running, None)

    def _compute_alone(self, outcome: Outcome) -> None:
        with self._starting:
            self.look_up()
            if outcome.state is not State.PENDING:
                return
            outcome.state = State.RUNNING
            with self._changed:
                self._at_work += 1
        try:
            runner, backend = self._runner_by(self._backend(1) if self.plan.is_deadly else None, [outcome])
            if backend is None:
                runner.run_here()
            else:
                runner.run()
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    def wait_until(self, is_so: Callable[[], bool], timeout: float | None) -> bool:
        """Wait at most *timeout* seconds until something is so; an interrupt stops the computation."""
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            with self._changed:
                while not is_so():
                    left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
                    if left <= 0:
                        return False
                    self._changed.wait(left)  # in pieces, so that an interrupt is noticed on every system
                return True
        except KeyboardInterrupt:
            self.cancel()
            raise

    def arrived_after(self, seen: int) -> list[Outcome]:
        """What has become final since *seen* of them had, once anything has; nothing if nothing will."""
        self.wait_until(lambda: len(self.order) > seen or not self.is_running, None)
        with self._changed:
            return self.order[seen:]

    def cancel(self) -> bool:
        """Stop computing; what is finished stays. Return whether there was anything to stop."""
        runner, was_running = self._runner, self.is_running
        if runner is not None and was_running:
            runner.cancel()
            with self._changed:
                self._changed.wait_for(lambda: not self.is_running, timeout=_STOPS_WITHIN)
        return was_running

    def resume(self) -> None:
        """Compute what was not computed when this was stopped, and what failed."""
        self.wait_until(lambda: not self.is_running, None)
        with self._changed:
            self.plan.reopen()
            self._failed, self._is_looked_up, self.trouble = 0, False, None
            self.order = [outcome for outcome in self.order if outcome.state in FINAL]
        self.start()
