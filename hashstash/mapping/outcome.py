"""One distinct call of a map and what came of it; runs with equal arguments share it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, TypeGuard

from hashstash.blobs import Reference
from hashstash.decoding import decoder_of, unfilter
from hashstash.entry import Flag
from hashstash.errors import BadEntry, CannotTravel, StashError, WorkerDied
from hashstash.functions.kinds import is_async
from hashstash.mapping.worker import awaited
from hashstash.store import MISSING

if TYPE_CHECKING:
    from hashstash.codec import Payload
    from hashstash.functions.function_stash import Memo
    from hashstash.key_codec import EncodedKey
    from hashstash.mapping.calls import Call

_KEPT = 64 * 1024
"""Encoded results up to this size stay in memory; larger ones are read from the stash again."""
_UNCHANGING = frozenset({int, float, bool, str, bytes, complex, type(None)})


class State(enum.StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    CACHED = "cached"
    COMPUTED = "computed"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({State.CACHED, State.COMPUTED, State.FAILED, State.CANCELLED})
WITH_VALUE = frozenset({State.CACHED, State.COMPUTED})


class Outcome:
    """A call and its result in the form in which it came: a stored row, an encoded payload, or the object itself."""

    __slots__ = (
        *("address", "attempts", "call", "error", "is_stored", "keeps_out", "key", "payload", "row", "runs"),
        *("seconds", "state", "value"),
    )

    def __init__(self, call: Call, address: bytes | None) -> None:
        self.call = call
        self.address = address
        """``None`` if the arguments cannot be hashed, so that the result is not stored."""
        self.state = State.PENDING
        self.runs = 1
        """How many runs of the map have these arguments."""
        self.attempts = 0
        self.seconds: float | None = None
        self.row: bytes | None = None
        self.key: EncodedKey | None = None
        """As the row will list the call, where the call may change its arguments."""
        self.payload: Payload | None = None
        self.value: Any = MISSING
        self.error: BaseException | None = None
        self.is_stored = False
        self.keeps_out = False
        """Whether what is stored there now must not be overwritten."""

    @property
    def may_change(self) -> bool:
        """Whether the function could change an argument."""
        for values in (self.call.args, self.call.kwargs.values()):
            for value in values:
                if type(value) not in _UNCHANGING:
                    return True
        return False

    def fail(self, error: BaseException, memo: Memo) -> None:
        """The function has raised *error*; a handler that it was decorated with may make a result of it."""
        self.error, self.state = error, State.FAILED
        if memo.options.on_error is None or not is_raised_by_function(error):
            return
        try:
            self.value = memo.options.on_error(error)
        except Exception as other:  # noqa: BLE001 - what the user's handler raises is raised
            self.error = other
        else:
            self.error, self.state = None, State.COMPUTED

    def stored(self) -> None:
        """The result is in the stash: large ones need not be kept here too."""
        self.is_stored = True
        if self.payload is not None and self.payload.size > _KEPT:
            self.payload = None

    def result(self, memo: Memo) -> Any:
        """The value, decoded anew where it can be, so that two runs do not share a list; raises the error of a failed call.

        It is computed anew if it can be read no more: removed since, by a limit of the stash or by somebody.
        """
        if self.error is not None:
            raise self.error
        if self.value is not MISSING and (self.runs == 1 or type(self.value) in _UNCHANGING):
            return self.value
        try:
            found = self._decoded(memo)
        except BadEntry:
            found = MISSING
        if found is MISSING:
            found = self.value
        return _called(memo, self.call) if found is MISSING else found

    def at_hand(self, memo: Memo) -> Any:
        """The value to be looked at, or ``MISSING`` if the stash would have to be asked for it, or the function."""
        if self.value is not MISSING or (self.payload is None and self.row is None):
            return self.value
        try:
            return self._decoded(memo)
        except BadEntry:
            return MISSING

    def _decoded(self, memo: Memo) -> Any:
        """The value from its encoded form, ``MISSING`` if there is none any more."""
        if self.payload is None and self.value is not MISSING and not self.is_stored:
            try:
                self.payload = memo.store.codec.encode(self.value)
            except StashError:
                return MISSING
        if self.payload is not None:
            label, _, _, raw_size, flags = self.payload
            stored = self.payload.join()
            if flags & Flag.BLOB and memo.store.blobs is not None:
                stored = memo.store.blobs.map(Reference.unpack(stored), is_signed=False)
            encoded = unfilter(label, stored, raw_size, flags, is_trusted=True)
            return decoder_of(label).serializer.loads(encoded)
        assert self.address is not None
        return memo.store.load_row(self.address, self.row) if self.row is not None else memo.store.load_at(self.address)


def is_raised_by_function(error: BaseException) -> TypeGuard[Exception]:
    """Whether it is an exception of the function, rather than an interrupt, or what became of a worker."""
    return isinstance(error, Exception) and not isinstance(error, (CannotTravel, WorkerDied))


def _called(memo: Memo, call: Call) -> Any:
    return awaited(memo.call_async(*call)) if is_async(memo.function) else memo.call(*call)
