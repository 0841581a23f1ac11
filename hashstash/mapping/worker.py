"""What runs in a worker: unpack a task, call the function for each of its items, encode the results.

A task and its answer are bytes, so that any executor can carry them. The function travels once for each worker: a worker that
does not know it yet says so, and the task is sent again with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from hashlib import blake2b
from pickle import HIGHEST_PROTOCOL
from pickle import dumps as pickle_dumps
from pickle import loads as pickle_loads
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash import credentials
from hashstash.blobs import BlobStore
from hashstash.codec import Codec, Payload
from hashstash.decoding import needs_signature
from hashstash.entry import Flag
from hashstash.errors import CannotTravel
from hashstash.mapping import cargo, failure
from hashstash.mapping.arrival import Differs, NeedsFreshProcess, function_of
from hashstash.mapping.writer import WriteOrder, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hashstash.key_codec import EncodedKey
    from hashstash.mapping.calls import Call
    from hashstash.mapping.modules import Modules

_MOST_JOBS = 16
_LARGE = 256 * 1024
_NEVER_AWAITED = frozenset({int, float, bool, str, bytes, list, tuple, dict, type(None)})
"""Most results are one of these, and to ask takes longer than a small function does."""
NEEDS_JOB = b"?"
"""The answer of a worker that has not got the job of a task."""
DIFFERS = b"#"
"""Begins the answer of a worker where the function is not what the parent has; the digest of the job follows."""
NEEDS_FRESH_PROCESS = b"!"
"""The answer of a worker of ours that has loaded older modules: a new process is to take the task."""


@dataclass(frozen=True)
class Surroundings:
    """What a function may see of its process and what a notebook changes after the workers have started."""

    folder: str
    path: tuple[str, ...]
    environment: dict[str, str]

    @classmethod
    def here(cls) -> Surroundings:
        """Those of this process."""
        try:
            folder = os.getcwd()
        except FileNotFoundError:
            folder = ""
        return cls(folder, tuple(sys.path), dict(os.environ))

    def enter(self) -> None:
        """Make this process see the same."""
        if self.folder:
            with contextlib.suppress(OSError):
                os.chdir(self.folder)
        sys.path[:] = self.path
        if os.environ != self.environment:
            for name in set(os.environ) - set(self.environment):
                del os.environ[name]
            os.environ.update(self.environment)


@dataclass(frozen=True)
class Job:
    """All that is the same for every item of a map."""

    function: bytes
    sources: dict[str, list[str]]
    surroundings: Surroundings | None
    """``None`` for workers on other machines, which have their own."""
    serializer: str
    compress: str
    b64: bool
    is_mapped: bool
    is_encoded: bool = True
    """Whether results come home encoded; else as objects, for a stash that has to look at them first."""
    blobs: str | None = None
    """Where large results are written by the worker, so that no more than a reference travels back."""
    is_durable: bool = False
    order: WriteOrder | None = None
    """Where the workers are to write the results themselves, if they are."""
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    """Those of the parent's servers; empty where tasks take other ways than our own pipes."""
    modules: Modules | None = None
    """The versions of the user's modules in the parent."""
    fingerprint: bytes | None = None
    """What the function's fingerprint must be where it arrives; ``None``: that is not asked."""
    is_by_value: bool = False
    """Whether functions and classes of the user's modules come whole and not by name."""
    is_final: bool = False
    """Whether nothing else is left to try: what cannot be unpacked is an error."""

    def pack(self) -> tuple[bytes, bytes]:
        """The job as bytes, and their digest."""
        data = pickle_dumps(self, HIGHEST_PROTOCOL)
        return blake2b(data, digest_size=16).digest(), data


class Task(NamedTuple):
    """Some items of a map for one worker."""

    digest: bytes
    job: bytes | None
    calls: bytes
    """A pickled list of calls."""
    keys: list[EncodedKey | None] | None = None
    """Where the results belong, if the worker writes them; ``None`` for those that it sends home."""


class Computed(NamedTuple):
    """What came of one call: exactly one of the four, or none of them if the worker has stored the result."""

    seconds: float
    payload: Payload | None = None
    value: Any = None
    has_value: bool = False
    pickled: bytes | None = None
    """A value that only code brings back: whoever reads it encodes it, since the stash's keys are there."""
    failure: failure.Failure | None = None
    error: BaseException | None = None
    trouble: str = ""
    """Why the worker could not store the result, if it was to."""


class _Running(NamedTuple):
    """A job, ready to run."""

    function: Callable[..., Any]
    codec: Codec | None
    """``None``: results are sent as objects."""
    is_mapped: bool
    blobs: BlobStore | None
    is_durable: bool
    writer: Writer | None
    surroundings: Surroundings | None
    must_unpack: bool
    """Whether arguments that cannot be unpacked are an error, and not to be sent in another way."""


_jobs: dict[bytes, _Running] = {}


def is_worker() -> bool:
    """Whether items of a map are computed here, be it by workers of others, so that a map within it starts no processes."""
    return _state.is_worker or _working.is_on


class _Working(threading.local):
    is_on = False


_working = _Working()
_unpacking = threading.RLock()


class _State:
    is_worker = False
    surroundings: Surroundings | None = None


_state = _State()


def become_worker() -> None:
    """Called in the processes of our own pools."""
    _state.is_worker = True


def work(packed: bytes) -> bytes:
    """The answer to a packed task, pickled: a list of :class:`Computed`, or one Failure if the task cannot be unpacked here.

    ``NEEDS_JOB`` asks for the task to be sent again with its job.
    """
    task = Task(*pickle_loads(packed))
    was_on, _working.is_on = _working.is_on, True
    try:
        return _worked(task)
    finally:
        _working.is_on = was_on


def _worked(task: Task) -> bytes:
    try:
        with _unpacking:  # the workers of others may have several threads
            if task.job is None and task.digest not in _jobs:
                return NEEDS_JOB
            running = _running(task)
        calls: list[Call] = _calls_of(task, running)
    except NeedsFreshProcess:
        return NEEDS_FRESH_PROCESS
    except Differs:
        return DIFFERS + task.digest
    except Exception as error:  # noqa: BLE001 - what unpickling a user's objects raises is the user's
        refused = CannotTravel(f"cannot be unpacked in its worker: {type(error).__name__}: {error}")
        refused.__cause__ = error
        return pickle_dumps(failure.pack(refused), HIGHEST_PROTOCOL)
    answers = compute(running.function, calls)
    keys: Iterable[EncodedKey | None] = task.keys or [None] * len(calls)
    return pickle_dumps(
        [_shipped(running, answer, key) for answer, key in zip(answers, keys, strict=True)], HIGHEST_PROTOCOL
    )


def _calls_of(task: Task, running: _Running) -> list[Call]:
    try:
        calls: list[Call] = cargo.loads(task.calls)
    except (ImportError, AttributeError) as error:
        if running.must_unpack:
            raise
        raise Differs from error
    return calls


def _running(task: Task) -> _Running:
    running = _jobs.get(task.digest)
    if running is None:
        running = _jobs[task.digest] = _unpacked(pickle_loads(task.job or b""))
        while len(_jobs) > _MOST_JOBS:
            del _jobs[next(iter(_jobs))]
    if running.surroundings is not None and running.surroundings is not _state.surroundings:
        running.surroundings.enter()
        _state.surroundings = running.surroundings
    return running


def _unpacked(job: Job) -> _Running:
    if job.surroundings is not None:
        job.surroundings.enter()
    cargo.add_sources(job.sources)
    function = function_of(job, is_own=_state.is_worker, is_fresh=not _jobs)
    for url, password in job.passwords.items():
        credentials.remember(url, password)
    writer = None if job.order is None else Writer(job.order)
    codec = Codec(job.serializer, job.compress, b64=job.b64) if job.is_encoded else None
    blobs = None if job.blobs is None else BlobStore(job.blobs)
    return _Running(
        function, codec, job.is_mapped, blobs, job.is_durable, writer, job.surroundings, job.is_by_value or job.is_final
    )


def compute(function: Callable[..., Any], calls: Iterable[Call]) -> Iterator[Computed]:
    """The value or the error of each call, as it comes."""
    for args, kwargs in calls:
        started = time.perf_counter()
        try:
            value = function(*args, **kwargs)
            if type(value) not in _NEVER_AWAITED and inspect.isawaitable(value):
                value = awaited(value)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and _may_be_interrupted():
                raise
            where = error.__traceback__
            if where is not None and where.tb_next is not None:
                error = error.with_traceback(where.tb_next)  # it begins in the user's function
            yield Computed(time.perf_counter() - started, error=error)
        else:
            yield Computed(time.perf_counter() - started, value=value, has_value=True)


def _may_be_interrupted() -> bool:
    """Whether a KeyboardInterrupt comes from the user; elsewhere it can only be one that the function has raised itself."""
    return not _state.is_worker and threading.current_thread() is threading.main_thread()


def awaited(awaitable: Any) -> Any:
    """The result of an async function; in a thread of its own where an event loop runs in this one."""

    async def result() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(result())
    found: list[Any] = []

    def run() -> None:
        try:
            found.append((True, asyncio.run(result())))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            found.append((False, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    is_value, outcome = found[0]
    if is_value:
        return outcome
    raise outcome


def _shipped(running: _Running, answer: Computed, key: EncodedKey | None) -> tuple[Any, ...]:
    """*answer* as a tuple; small data, which nearly all results are, as no more than the seconds and the document."""
    whole = _encoded(running, answer, key)
    payload, label = whole.payload, running.codec.raw_label if running.codec is not None else None
    if payload is not None and payload.label == label and not (whole.trouble or payload.flags):
        return whole.seconds, payload.join()
    return tuple(whole)


def _encoded(running: _Running, answer: Computed, key: EncodedKey | None) -> Computed:
    """*answer* as it can be sent, or no more than its seconds if it is stored where *key* says."""
    if answer.error is not None:
        return Computed(answer.seconds, failure=failure.pack(answer.error))
    if running.writer is None or key is None:
        return _sent_home(running, answer)
    trouble = running.writer.write(key, answer.value, answer.seconds)
    return Computed(answer.seconds) if trouble is None else _sent_home(running, answer)._replace(trouble=trouble)


def _sent_home(running: _Running, answer: Computed) -> Computed:
    if running.codec is None:
        return _as_value(answer, None)
    try:
        payload = running.codec.encode(answer.value, mapped=running.is_mapped)
    except Exception as error:  # noqa: BLE001 - encoding runs the value's own methods
        return _as_value(answer, error)
    if payload.flags & Flag.CODE:
        return _as_value(answer, None)
    return Computed(answer.seconds, payload=_placed(running, payload))


def _placed(running: _Running, payload: Payload) -> Payload:
    """A large payload as a blob file of the stash, which the parent's row will point at; else in one piece."""
    if running.blobs is not None and payload.size >= _LARGE and not needs_signature(payload):
        with contextlib.suppress(OSError):  # no room, for one: then the parent says so when it stores the result
            reference = running.blobs.write(payload.pieces, durable=running.is_durable)
            return payload._replace(pieces=[reference.pack()], flags=payload.flags | Flag.BLOB)
    return payload._replace(pieces=[bytes(payload.join())])


def _as_value(answer: Computed, reason: Exception | None) -> Computed:
    try:
        return Computed(answer.seconds, pickled=cargo.dumps(answer.value))
    except Exception as error:  # noqa: BLE001 - pickle raises whatever the value's own methods raise
        kind = type(answer.value).__name__
        cause = reason or error
        refused = CannotTravel(f"the result, a {kind}, cannot leave its worker: {cause}; return what can be stored")
        refused.__cause__ = error
        return Computed(answer.seconds, failure=failure.pack(refused))
