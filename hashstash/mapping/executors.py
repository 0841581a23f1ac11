"""Where the items of a map are computed: here, in threads, in processes of ours, or in whatever has a ``submit``."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import time
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from hashstash.errors import MissingDependency, WorkerDied
from hashstash.mapping.pool import ProcessPool, pool_of
from hashstash.mapping.worker import is_worker, work

if TYPE_CHECKING:
    from collections.abc import Callable

_NEAR = 0.015
_FAR = 0.1
_FREE_CPUS = 2
_PATIENCE = 20.0
"""Seconds that a cluster may be without any worker, as one whose workers are being started again is."""


class Backend(Protocol):
    """Runs tasks. Its futures need no more than ``add_done_callback``, ``result`` and ``cancel``."""

    workers: int
    shares_memory: bool
    """Whether functions, arguments and results are the objects themselves rather than bytes."""
    is_remote: bool
    """Whether workers may be on other machines, with folders and variables of their own."""
    chunk_seconds: float
    """How much work makes a task worth its way."""
    in_flight: int
    """How many tasks are kept with the workers, so that none has to wait for its next."""

    def submit(self, task: Any, owner: object) -> Any:
        """A future of what *task* gives: bytes for bytes, or the result of a callable where memory is shared."""

    def stop(self, owner: object) -> None:
        """Give up what is running for *owner*, as far as that can be done."""

    def lost(self) -> str | None:
        """Why nothing will be answered any more; asked now and then while nothing is. ``None``: no such reason is known."""

    def close(self) -> None:
        """Give back what was made for this map alone."""

    breaks_together: bool
    """Whether a worker that dies takes the tasks of the others with it."""
    is_ours: bool
    """Whether tasks take no other way than our own pipes, so that a password may go with them."""


class Threads:
    """Threads of this process, for functions that wait or release the interpreter's lock."""

    shares_memory = True
    is_remote = False
    is_ours = False
    breaks_together = False
    chunk_seconds = _NEAR

    def __init__(self, workers: int, executor: Any = None) -> None:
        self.workers = workers
        self.in_flight = workers + 1
        self._is_own = executor is None
        self._executor = executor or ThreadPoolExecutor(workers, thread_name_prefix="hashstash-map")

    def submit(self, task: Callable[[], Any], owner: object) -> Future[Any]:
        future: Future[Any] = self._executor.submit(task)
        return future

    def stop(self, owner: object) -> None:
        """Threads cannot be stopped: what runs, runs to its end."""

    def lost(self) -> str | None:
        return None

    def close(self) -> None:
        if self._is_own:
            self._executor.shutdown(wait=False, cancel_futures=True)


class Processes:
    """Processes of our own, kept between maps."""

    shares_memory = False
    is_remote = False
    is_ours = True
    breaks_together = False
    chunk_seconds = _NEAR

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.in_flight = 2 * workers
        self._pool: ProcessPool = pool_of(workers)

    def submit(self, task: bytes, owner: object) -> Future[bytes]:
        return self._pool.submit(task, owner)

    def stop(self, owner: object) -> None:
        self._pool.stop_tasks_of(owner)

    def lost(self) -> str | None:
        return None

    def close(self) -> None:
        """The pool stays for the next map."""


class Submitter:
    """Anything that has ``submit(function, argument)``: executors of other libraries, clusters."""

    shares_memory = False
    is_ours = False

    def __init__(
        self,
        executor: Any,
        workers: int,
        *,
        is_remote: bool,
        renew: Callable[[], Any] | None = None,
        count: Callable[[], int | None] | None = None,
    ) -> None:
        self.workers = workers
        self.breaks_together = not is_remote
        self._renew = renew
        self._count = count
        self._empty_since: float | None = None
        self._numbers = itertools.count()
        self.is_remote = is_remote
        self.chunk_seconds = _FAR if is_remote else _NEAR
        self.in_flight = (3 if is_remote else 2) * workers
        self._executor = executor

    def submit(self, task: bytes, owner: object) -> Any:
        # A library that takes equal calls for one, as Dask does, must see each task as its own: pickle ends where it ends.
        task += next(self._numbers).to_bytes(8, "big")
        if _is_closed(self._executor) and self._renew is None:
            raise WorkerDied(f"{self._executor!r:.80} was closed")
        try:
            future = self._executor.submit(work, task)
        except BrokenExecutor:
            if self._renew is None:
                raise
            self._executor = self._renew()
            future = self._executor.submit(work, task)
        if not all(callable(getattr(future, name, None)) for name in ("add_done_callback", "result", "cancel")):
            raise TypeError(
                f"executor={self._executor!r:.100}: its submit returned {future!r:.80}, which is no Future with "
                "add_done_callback, result and cancel"
            )
        return future

    def lost(self) -> str | None:
        if _is_closed(self._executor):
            return f"{self._executor!r:.80} was closed"
        if self._count is None:
            return None
        try:
            is_empty = self._count() == 0
        except Exception as error:  # noqa: BLE001 - of another library; its cluster or client is gone
            return f"its workers cannot be reached any more: {error}"
        if not is_empty:
            self._empty_since = None
            return None
        if self._empty_since is None:
            self._empty_since = time.monotonic()
        if time.monotonic() - self._empty_since < _PATIENCE:
            return None
        return f"no worker of {self._executor!r:.80} has been there for {_PATIENCE:.0f} s"

    def stop(self, owner: object) -> None:
        """Its own library decides what happens to what is running."""

    def close(self) -> None:
        """It is the user's."""


def backend_of(executor: Any, num_proc: int | None) -> Backend | None:
    """What ``executor=`` and ``num_proc=`` ask for; ``None`` if the items are to be computed one after the other, here."""
    check(executor, num_proc)
    if isinstance(executor, int):
        return _processes(executor)
    if executor is None:
        return _processes(default_workers() if num_proc is None else num_proc)
    if isinstance(executor, str):
        return _named(executor, num_proc)
    return _foreign(executor, num_proc)


def check(executor: Any, num_proc: Any) -> None:
    """Raise for what is no executor or no number, whether or not there will be anything to compute."""
    if num_proc is not None and (type(num_proc) is not int or num_proc < 1):
        raise ValueError(f"num_proc={num_proc!r}; it is a whole number from 1 on, or None for all cores but two")
    if isinstance(executor, (bool, float, bytes, list, tuple, dict)):
        raise TypeError(f"executor={executor!r:.100} has no method submit; {_KNOWN}")
    if isinstance(executor, int) and executor < 1:
        raise ValueError(f"executor={executor!r}; a number of processes is from 1 on")
    if isinstance(executor, str) and executor not in _NAMES:
        raise ValueError(f"executor={executor!r}; {_KNOWN}")


_NAMES = ("processes", "threads", "serial", "loky")
_KNOWN = (
    "it is 'processes', 'threads', 'serial', 'loky', a number, or an object with a method submit, such as an executor of "
    "concurrent.futures or a Dask or ipyparallel client"
)


def _named(name: str, num_proc: int | None) -> Backend | None:
    if name == "serial":
        return None
    if name == "processes":
        return _processes(num_proc or max(2, default_workers()))
    if name == "threads":
        return Threads(num_proc or max(2, cpus()))
    try:
        from loky import get_reusable_executor
    except ImportError as error:
        raise MissingDependency("executor='loky' needs the package 'loky': pip install loky") from error
    workers = num_proc or max(2, default_workers())

    def make() -> Any:
        return get_reusable_executor(workers)

    return Submitter(make(), workers, is_remote=False, renew=make)


def _processes(workers: int) -> Backend | None:
    """Processes of ours; none within a worker of ours, or within a process that may have no children."""
    if workers == 1 or is_worker() or multiprocessing.current_process().daemon:
        return None
    return Processes(workers)


def _foreign(executor: Any, num_proc: int | None) -> Backend:
    """The backend for an object of another library, told by what it can do and not by its type."""
    if isinstance(executor, type):
        raise TypeError(f"executor={executor!r} is a class; give an instance of it")
    if _is_closed(executor):  # the map would only say so item by item
        raise ValueError(f"executor={executor!r:.100} is closed; give one that is open")
    if isinstance(executor, ThreadPoolExecutor):
        return Threads(num_proc or _workers_of(executor) or cpus(), executor)
    owner, executor = executor, _executor_of(executor)
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor={owner!r:.100} has no method submit; {_KNOWN}")
    package = type(executor).__module__.partition(".")[0]
    client = getattr(executor, "_client", owner)  # of an executor that came from a Dask client
    return Submitter(
        executor,
        num_proc or max(_workers_of(each) or 0 for each in (client, owner, executor)) or max(2, cpus()),
        is_remote=package not in _LOCAL,
        count=functools.partial(_workers_of, client) if _workers_of(client) is not None else None,
    )


_LOCAL = ("concurrent", "loky")
"""Packages whose executors have their workers on this machine."""


def _executor_of(owner: Any) -> Any:
    """What a client or a view has that is called like an executor, or *owner* itself."""
    if getattr(owner, "asynchronous", False) is True:
        raise TypeError(
            f"executor={owner!r:.100} is asynchronous, and a map waits in threads; give a client that is not"
        )
    targets: Any = getattr(owner, "targets", None)
    client: Any = getattr(owner, "client", None)
    if targets is not None and callable(getattr(client, "load_balanced_view", None)):
        return client.load_balanced_view(targets).executor  # a view that would do each task on all of its engines
    for name in ("get_executor", "executor"):
        found = getattr(owner, name, None)
        if callable(found):
            return found()
        if callable(getattr(found, "submit", None)):
            return found
    return owner


def _is_closed(executor: Any) -> bool:
    """Whether it takes nothing any more, as far as the libraries that we know say so."""
    client = getattr(executor, "_client", executor)
    flags = ("_shutdown", "_shutdown_thread", "_closed")
    return getattr(client, "status", None) == "closed" or any(getattr(executor, flag, False) is True for flag in flags)


def _workers_of(executor: Any) -> int | None:
    """How many tasks it runs at once, as far as it says so; for a cluster, those that are there now."""
    cores = getattr(executor, "ncores", None)
    if callable(cores):  # a Dask client
        return int(sum(cores().values()))
    ids = getattr(executor, "ids", None)
    if isinstance(ids, list):  # an ipyparallel client
        return len(ids)
    workers = getattr(executor, "_max_workers", None)
    return workers if type(workers) is int and workers > 0 else None


def cpus() -> int:
    """The processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def default_workers() -> int:
    """All processors but two, which the notebook and its user need; at least one."""
    return max(1, cpus() - _FREE_CPUS)
