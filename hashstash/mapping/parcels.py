"""What goes to workers with a memory of their own, and what comes back: the function as a job, calls as tasks, answers."""

from __future__ import annotations

import contextlib
import logging
import pickle
from typing import TYPE_CHECKING, Any

from hashstash import credentials
from hashstash.codec import Payload
from hashstash.entry import NO_FLAGS
from hashstash.errors import CannotTravel, MissingDependency
from hashstash.mapping import cargo
from hashstash.mapping.arrival import fingerprint_of
from hashstash.mapping.calls import named_arguments, parameters_of
from hashstash.mapping.modules import Modules, by_value
from hashstash.mapping.worker import Computed, Job, Surroundings, Task
from hashstash.mapping.writer import write_order
from hashstash.store import WriteOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashstash.codec import Codec
    from hashstash.functions.function_stash import Memo
    from hashstash.mapping.executors import Backend
    from hashstash.mapping.outcome import Outcome
    from hashstash.mapping.results import Results

logger = logging.getLogger(__name__)

_SHORT_ANSWER = 2


class Parcels:
    """Packs the function of *memo* and its calls for the workers of *backend*; CannotTravel at once if the function cannot be."""

    def __init__(self, memo: Memo, results: Results, backend: Backend, *, workers_write: bool) -> None:
        self._memo = memo
        self._results = results
        self._backend = backend
        self._workers_write = workers_write
        self._is_by_value = False
        """Whether the user's modules travel whole, since the workers' are other versions."""
        self._is_checked = True
        """Whether workers compare the function's fingerprint with ours."""
        self._digest, self._job = self._packed_job()

    def task(self, chunk: Sequence[Outcome], *, with_job: bool) -> bytes:
        """The calls of *chunk* for one worker; whatever their pickling raises."""
        keys = [self._results.key_for_worker(outcome) for outcome in chunk] if self._workers_write else None
        with self._by_name_or_value():
            data = cargo.dumps([tuple(outcome.call) for outcome in chunk])
        packed = Task(self._digest, self._job if with_job else None, data, keys)
        return pickle.dumps(tuple(packed), pickle.HIGHEST_PROTOCOL)

    def are_of(self, digest: bytes) -> bool:
        """Whether it is the present job that has this digest, and not one from before something was done about it."""
        return self._digest == digest

    def send_whole(self) -> bool:
        """Let the user's modules travel whole from now on; ``False`` if they do already, or cannot."""
        if self._is_by_value:
            return False
        self._is_by_value = True
        try:
            self._digest, self._job = self._packed_job()
        except (CannotTravel, MissingDependency) as error:
            logger.debug("%s", error)
            self._is_by_value = False
        return self._is_by_value

    def take_theirs(self) -> None:
        """Let workers call what they have under the function's name, be it what we have or not; nothing of it is stored."""
        self._is_checked = self._results.stores = False
        self._digest, self._job = self._packed_job()

    def _packed_job(self) -> tuple[bytes, bytes]:
        """The digest of the function and its surroundings, and they themselves, as bytes."""
        memo, backend = self._memo, self._backend
        config = memo.stash.config
        data, sources = self._packed_function()
        options = WriteOptions(ttl=memo.options.ttl, metadata=self._results.context)
        return Job(
            function=data,
            sources=sources,
            surroundings=None if backend.is_remote else Surroundings.here(),
            serializer=config.serializer,
            compress=config.compress,
            b64=config.b64,
            is_mapped=memo.store.blobs is not None,
            is_encoded=config.value_type is None,
            blobs=self._blob_folder(),
            is_durable=memo.store.durable,
            order=write_order(memo.stash, options) if self._workers_write else None,
            passwords=credentials.remembered() if backend.is_ours else {},
            modules=Modules.here(),
            fingerprint=fingerprint_of(memo) if self._is_checked else None,
            is_by_value=self._is_by_value,
            is_final=not self._is_checked,
        ).pack()

    def _packed_function(self) -> tuple[bytes, dict[str, list[str]]]:
        function = self._memo.function
        try:
            with self._by_name_or_value():
                return cargo.dumps_with_sources(function)
        except MissingDependency:
            raise
        except Exception as error:
            part = cargo.what_stays(function)
            why = f"it uses {part}, which cannot be pickled ({error})" if part else str(error)
            raise CannotTravel(
                f"{short_name(function)} cannot be sent to worker processes: {why}; make it inside of the function, or give "
                "executor='threads'"
            ) from error

    def _by_name_or_value(self) -> contextlib.AbstractContextManager[None]:
        return by_value() if self._is_by_value else contextlib.nullcontext()

    def _blob_folder(self) -> str | None:
        """Where workers may write large results, unless a result may yet turn out not to be stored."""
        blobs, is_sure = self._memo.store.blobs, self._results.stores and self._memo.options.if_ is None
        return blobs.folder if blobs is not None and is_sure and not self._backend.is_remote else None


def short_name(function: Callable[..., Any]) -> str:
    """What a function is called in what the user is told."""
    return getattr(function, "__qualname__", None) or type(function).__name__


def culprit(function: Callable[..., Any], outcome: Outcome) -> str:
    """The argument of a call that cannot be pickled."""
    arguments = named_arguments(*outcome.call, parameters_of(function))
    for name, value in arguments.items():
        if not cargo.can_travel(value):
            return f"the argument {name!r}, a {type(value).__name__},"
    return "the call"


def unpacked(each: Any, codec: Codec) -> Computed:
    """An answer as the worker sent it: whole, or only the seconds and a document of small data."""
    if len(each) != _SHORT_ANSWER:
        return Computed(*each)
    seconds, document = each
    size = len(document)
    return Computed(seconds, Payload(codec.raw_label, [document], size, size, NO_FLAGS))
