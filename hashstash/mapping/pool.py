"""Worker processes that stay: each has a thread here that hands it one task at a time over a pipe of its own.

A worker that dies therefore takes one task with it and nothing else, and a single worker can be stopped. Workers come from a
fork server, never from a fork of this process, whose threads and open databases a child must not inherit; they do not import
the program's ``__main__``, so that a script needs no guard against being run again by its own workers.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import multiprocessing.spawn
import os
import signal
import sys
import threading
import weakref
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any

from hashstash import forks
from hashstash.errors import WorkerDied
from hashstash.mapping import worker

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

IDLE = 300.0
"""Seconds without a task after which a worker ends by itself."""
_FORKSERVER = "forkserver"
_NAME = "hashstash-worker"
_LEFT = b"!"
"""The last word of a worker: it has ended by itself, and has not taken any task that was sent meanwhile."""
_MOST_TRIES = 3
_LOOK_AFTER_PARENT = 1.0


# ---- in the worker ---------------------------------------------------------------------------------------------------


def serve(connection: Connection, idle: float) -> None:
    """The life of a worker process: one task after the other, until the parent closes the pipe or dies."""
    worker.become_worker()
    # An interrupt of the notebook reaches the whole process group; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="hashstash-parent", daemon=True).start()
    _differ_from_siblings()
    _print_whole_lines()
    outputs = _outputs()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while connection.poll(idle):
            answer = worker.work(connection.recv_bytes())
            if answer == worker.NEEDS_FRESH_PROCESS:
                break
            can_print = _flush() and _outputs() == outputs
            connection.send_bytes(answer)
            if not can_print:
                break
        connection.send_bytes(_LEFT)
    connection.close()


def _end_with_parent() -> None:
    """End this process when its parent is gone, even in the middle of a task.

    The pipe to the parent does not tell while a child that was forked from it holds the other end.
    """
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive() and _exists(parent.pid):
        parent.join(_LOOK_AFTER_PARENT)
    os._exit(1)


def _exists(pid: int | None) -> bool:
    if pid is None or sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _differ_from_siblings() -> None:
    """Seed what numpy draws from; a fork server that has imported it would give all workers the same numbers."""
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()


def _print_whole_lines() -> None:
    """Let what several workers print come line by line and as it is printed, and not mixed within lines."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]


def _outputs() -> list[tuple[int, int] | None]:
    """What the descriptors 1 and 2 stand for; a function may close them, and a socket may then get their numbers."""
    found: list[tuple[int, int] | None] = []
    for number in (1, 2):
        try:
            status = os.fstat(number)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return found


def _flush() -> bool:
    """Show what the functions have printed; return whether the streams are still open."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except ValueError:
            return False
        except (AttributeError, OSError):
            pass  # a stream of the user's own, or nobody reads any more
    return True


# ---- in the parent ---------------------------------------------------------------------------------------------------


class _Worker:
    """One process and our end of its pipe."""

    def __init__(self, idle: float) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        try:
            self.process = _start(theirs, idle)
        except BaseException:
            self.connection.close()
            raise
        finally:
            theirs.close()
        self.owner: object = None

    def ask(self, task: bytes) -> bytes | None:
        """The answer to *task*; ``None`` if the worker has not taken it; WorkerDied if it ends before it answers."""
        try:
            if self.connection.poll():  # nothing was asked: it has left or died
                return None
            self.connection.send_bytes(task)
        except OSError:
            return None
        try:
            # Its end of the pipe may outlive it in a child that the function has forked.
            multiprocessing.connection.wait([self.connection, self.process.sentinel])
            if not self.connection.poll():
                raise EOFError
            answer = self.connection.recv_bytes()
        except (EOFError, OSError) as error:
            self.process.join(5)
            raise WorkerDied(f"its worker process {_how_it_ended(self.process.exitcode)}") from error
        return None if answer == _LEFT else answer

    def leave(self) -> None:
        """Let the process end, now if it is computing; :meth:`join` waits for it."""
        with contextlib.suppress(OSError):
            self.connection.close()
        if self.owner is not None:
            self.process.kill()

    def join(self) -> None:
        """Wait until the process has ended; one that hangs in what the user's functions have left is killed."""
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(5)


def _how_it_ended(exitcode: int | None) -> str:
    if exitcode is None:
        return "closed its pipe"
    if exitcode >= 0:
        return f"ended with exit code {exitcode}"
    try:
        return f"was killed by {signal.Signals(-exitcode).name}"
    except ValueError:
        return f"was killed by signal {-exitcode}"


class ProcessPool:
    """*workers* processes, started when they are first needed and kept for the maps that come."""

    def __init__(self, workers: int, *, idle: float = IDLE) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="hashstash-pool")
        self._idle = idle
        self._own = threading.local()
        self._workers: set[_Worker] = set()
        self._stopped: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()

    def submit(self, task: bytes, owner: object) -> Future[bytes]:
        """The answer to *task* to come; *owner* names the map it belongs to."""
        return self._threads.submit(self._run, task, owner)

    def _run(self, task: bytes, owner: object) -> bytes:
        for _ in range(_MOST_TRIES):
            mine = self._mine()
            with self._lock:
                if owner in self._stopped:
                    raise CancelledError
                mine.owner = owner
            answer = None
            try:
                answer = mine.ask(task)
            finally:
                mine.owner = None
                if answer is None:
                    self._drop(mine)
            if answer is not None:
                return answer
        raise WorkerDied(f"no worker process took it, {_MOST_TRIES} times")

    def _mine(self) -> _Worker:
        """The worker of this thread, a new one where there is none."""
        mine: _Worker | None = getattr(self._own, "worker", None)
        if mine is None:
            mine = self._own.worker = _Worker(self._idle)
            with self._lock:
                self._workers.add(mine)
        return mine

    def _drop(self, mine: _Worker) -> None:
        self._own.worker = None
        with self._lock:
            self._workers.discard(mine)
        mine.leave()
        mine.join()

    def stop_tasks_of(self, owner: object) -> None:
        """Kill the workers that compute for *owner*, now and when they would begin to; the others go on."""
        with self._lock:
            self._stopped.add(owner)
            for one in self._workers:
                if one.owner is owner:
                    one.process.kill()

    def close(self) -> None:
        """End all workers."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            workers, self._workers = self._workers, set()
        for one in workers:
            one.leave()
        for one in workers:
            one.join()


# ---- starting a process ----------------------------------------------------------------------------------------------


def _context() -> Any:
    if _FORKSERVER not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context(_FORKSERVER)
    server = _server()
    if server is not None and server._forkserver_pid is None and server._preload_modules == ["__main__"]:  # noqa: SLF001
        context.set_forkserver_preload(["hashstash.mapping.pool"])
    return context


def _server() -> Any:
    """The fork server of this process, if this Python's keeps its state where we know it."""
    from multiprocessing import forkserver

    server = getattr(forkserver, "_forkserver", None)
    return server if hasattr(server, "_forkserver_pid") and hasattr(server, "_preload_modules") else None


class _Preparing(threading.local):
    """Whether this thread is starting a process of ours."""

    is_on = False


_preparing = _Preparing()


@functools.cache
def _teach_multiprocessing() -> None:
    """Let the threads that start our workers prepare them in our own way."""
    usual = multiprocessing.spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        return _preparation(name) if _preparing.is_on else usual(name)

    multiprocessing.spawn.get_preparation_data = get_preparation_data


def _preparation(name: str) -> dict[str, Any]:
    """What a worker is to know of its parent, without what would import the program.

    Without the working folder, which may be gone (each task brings its own), and without the start method: asking for it
    would fix it, and the program may still want to choose one.
    """
    start = getattr(multiprocessing.process, "ORIGINAL_DIR", None) or ""
    return {
        "name": name,
        "authkey": multiprocessing.current_process().authkey,
        "sys_path": [path or start for path in sys.path],
        "sys_argv": sys.argv,
    }


def _start(connection: Connection, idle: float) -> Any:
    _teach_multiprocessing()
    process = _context().Process(target=serve, args=(connection, idle), name=_NAME)
    _preparing.is_on = True
    try:
        process.start()
    finally:
        _preparing.is_on = False
    return process


# ---- the pools of this process ---------------------------------------------------------------------------------------

_pools: dict[int, ProcessPool] = {}
_pools_lock = threading.Lock()


def pool_of(workers: int) -> ProcessPool:
    """The pool of that size, the same for all maps."""
    with _pools_lock:
        pool = _pools.get(workers)
        if pool is None:
            if not _pools:
                # Before multiprocessing waits at exit for all child processes to end.
                Finalize(None, close_pools, exitpriority=100)
            pool = _pools[workers] = ProcessPool(workers)
        return pool


def close_pools() -> None:
    """End all workers; the next map starts new ones."""
    with _pools_lock:
        pools = list(_pools.values())
        _pools.clear()
    for pool in pools:
        pool.close()


def _forget_in_child() -> None:
    """A forked child starts anew: the workers and the fork server belong to its parent."""
    global _pools, _pools_lock
    # multiprocessing waits at exit for what it takes for children of this process, and fails.
    children: set[Any] = getattr(multiprocessing.process, "_children", set())
    children -= {child for child in children if child.name == _NAME}
    _pools, _pools_lock = {}, threading.Lock()
    server = _server() if "multiprocessing.forkserver" in sys.modules else None
    if server is not None and server._forkserver_pid is not None:  # noqa: SLF001
        _give_up_server(server)


def _give_up_server(server: Any) -> None:
    # multiprocessing would wait for a process that is no child of this one, and fail.
    with contextlib.suppress(OSError, TypeError):
        os.close(server._forkserver_alive_fd)  # noqa: SLF001
    server._lock = threading.Lock()  # noqa: SLF001
    server._forkserver_address = server._forkserver_alive_fd = server._forkserver_pid = None  # noqa: SLF001


forks.in_child(_forget_in_child)
