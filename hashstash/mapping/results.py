"""The results of a map as they come in: kept with their outcomes, and stored in batches by the process that made the map."""

from __future__ import annotations

import contextlib
import time
import warnings
from typing import TYPE_CHECKING

from hashstash.errors import StashError, VolatileKey
from hashstash.key_codec import EncodedKey
from hashstash.mapping import cargo
from hashstash.mapping.outcome import Outcome, is_raised_by_function
from hashstash.store import WriteOptions

if TYPE_CHECKING:
    from hashstash.functions.function_stash import Memo
    from hashstash.mapping.worker import Computed

_FLUSH_EVERY = 0.1
_FLUSH_BYTES = 4 << 20


class Results:
    """What is finished, on its way into the stash of *memo*; with *stores* false it goes nowhere."""

    def __init__(self, memo: Memo, *, stores: bool) -> None:
        self.memo = memo
        self.stores = stores
        self.context = _context_of(memo) if stores else b""
        """What is noted beside stored results."""
        self._to_write: list[tuple[Outcome, EncodedKey, WriteOptions]] = []
        self._bytes_to_write = 0
        self._flushed_at = time.monotonic()
        self._has_warned = False

    @property
    def is_due(self) -> bool:
        """Whether what is finished should be stored now."""
        return self._bytes_to_write > _FLUSH_BYTES or time.monotonic() - self._flushed_at > _FLUSH_EVERY

    def key_for_worker(self, outcome: Outcome) -> EncodedKey | None:
        """Where a worker is to store a result; ``None`` if it is this process that decides whether it is stored."""
        if not self.stores or outcome.address is None or outcome.keeps_out or self.memo.options.if_ is not None:
            return None
        try:
            return self._key(outcome)
        except StashError:
            return None  # which is said when it comes back

    def keep(self, outcome: Outcome, answer: Computed) -> None:
        """The result of a call, as it came and as it will be stored."""
        if answer.trouble:
            self.warn(answer.trouble, "could not be stored by the workers, so that this process stores them")
        if answer.payload is not None:
            outcome.payload = answer.payload
        elif answer.has_value:
            outcome.value = answer.value
        elif answer.pickled is not None:
            outcome.value = cargo.loads_back(answer.pickled)
        else:
            outcome.is_stored = True
            self.memo.note_context(self.context)
            return
        if not self.stores or outcome.address is None or outcome.keeps_out:
            return
        try:
            if self.memo.options.if_ is not None and not self.memo.options.if_(outcome.result(self.memo)):
                return
            store = self.memo.store
            if outcome.payload is None:
                outcome.payload = store.codec.encode(outcome.value, mapped=store.blobs is not None)
            key = self._key(outcome)
        except (StashError, OSError) as error:
            self.warn(error)
            return
        options = WriteOptions(answer.seconds, self.memo.options.ttl, metadata=self.context)
        self._to_write.append((outcome, key, options))
        self._bytes_to_write += outcome.payload.size

    def fail(self, outcome: Outcome, error: BaseException) -> None:
        """Keep the exception, if the function was decorated so, and let its handler have it."""
        keeps = self.memo.options.cache_exceptions is not None and self.stores and outcome.address is not None
        if keeps and is_raised_by_function(error):
            try:
                key = self._key(outcome)
            except StashError as reason:
                self.warn(reason)
            else:
                self.memo.keep_error(key, error, seconds=outcome.seconds or 0.0, context=self.context)
        outcome.fail(error, self.memo)

    def note_key(self, outcome: Outcome) -> None:
        """Note what the call is before it runs in this process, where the function may change its arguments."""
        if self.stores and outcome.address is not None and outcome.may_change:
            with contextlib.suppress(StashError):  # which is said when it is stored
                outcome.key = self._key(outcome)

    def _key(self, outcome: Outcome) -> EncodedKey:
        if outcome.key is not None:
            return outcome.key
        data, is_code = self.memo.keys.listed(*outcome.call)
        assert outcome.address is not None
        return EncodedKey(outcome.address, data, is_code)

    def flush(self) -> None:
        """Store what is finished; whatever goes wrong, the results stay with the map."""
        batch, self._to_write, self._bytes_to_write = self._to_write, [], 0
        self._flushed_at = time.monotonic()
        if not batch:
            return
        try:
            self.memo.store.write_many((key, outcome.payload, options) for outcome, key, options in batch)  # type: ignore[misc]
        except (StashError, OSError) as error:
            self.warn(error)
            return
        for outcome, _, _ in batch:
            outcome.stored()
        self.memo.note_context(self.context)

    def warn(self, error: Exception | str, what: str = "could not be stored") -> None:
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(f"results of a map {what}: {error}", RuntimeWarning, stacklevel=2)


def _context_of(memo: Memo) -> bytes:
    """What is noted beside stored results; empty where the function cannot be hashed, so that nothing is stored."""
    try:
        return memo.keys.context()
    except VolatileKey:
        return b""
