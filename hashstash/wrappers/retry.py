"""A second try for what a network has lost: only for operations that may be done twice."""

from __future__ import annotations

import itertools
import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

from hashstash.engine import Engine, EngineWrapper, WriteId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
_BATCH = 1000


class RetryWrapper(EngineWrapper):
    """Tries up to *attempts* times what fails with one of the *transient* errors, with pauses that double from *pause* seconds.

    Reading, ``put``, ``put_many``, ``clear`` and ``expire`` may be repeated: the row is the same afterwards. ``swap``,
    ``swap_many``, ``delete`` and ``delete_if`` are tried once, since whether a lost answer was a yes cannot be known; so are
    locks. A scan or a listing is begun again as long as nothing of it was handed out.
    """

    name = "retry"

    def __init__(
        self,
        inner: Engine,
        *,
        attempts: int = 3,
        pause: float = 0.05,
        transient: tuple[type[Exception], ...] = (ConnectionError, TimeoutError),
    ) -> None:
        if attempts < 1:
            raise ValueError(f"attempts={attempts!r}; it is at least 1")
        super().__init__(inner)
        self.attempts = attempts
        self.pause = pause
        self.transient = transient

    def _wrap(self, name: str) -> Engine:
        section = self.inner.section(name)
        return RetryWrapper(section, attempts=self.attempts, pause=self.pause, transient=self.transient)

    def _try(self, operation: Callable[[], Result]) -> Result:
        for attempt in itertools.count(1):
            try:
                return operation()
            except self.transient as error:
                if attempt >= self.attempts:
                    raise
                logger.debug("%s: attempt %d of %d failed: %s", self.location(), attempt, self.attempts, error)
            # Not all at the same moment: those who wait have been thrown out together.
            time.sleep(self.pause * 2 ** (attempt - 1) * random.uniform(0.5, 1))
        raise AssertionError("unreachable")

    def get(self, address: bytes) -> bytes | None:
        return self._try(lambda: self.inner.get(address))

    def put(self, address: bytes, blob: bytes) -> None:
        self._try(lambda: self.inner.put(address, blob))

    def has(self, address: bytes) -> bool:
        return self._try(lambda: self.inner.has(address))

    def peek(self, address: bytes, size: int) -> bytes | None:
        return self._try(lambda: self.inner.peek(address, size))

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        source = iter(addresses)
        while batch := list(itertools.islice(source, _BATCH)):
            yield from self._try(lambda batch=batch: list(self.inner.get_many(batch)))  # type: ignore[misc]

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        source = iter(rows)
        while batch := list(itertools.islice(source, _BATCH)):
            self._try(lambda batch=batch: self.inner.put_many(batch))  # type: ignore[misc]

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        return self._begun(lambda: self.inner.scan(prefix))

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        return self._begun(self.inner.rows)

    def heads(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        return self._begun(lambda: self.inner.heads(size))

    def _begun(self, begin: Callable[[], Iterator[Result]]) -> Iterator[Result]:
        def first() -> tuple[list[Result], Iterator[Result]]:
            items = begin()
            return list(itertools.islice(items, 1)), items

        head, rest = self._try(first)
        yield from head
        yield from rest

    def ensure_writable(self) -> None:
        self._try(self.inner.ensure_writable)

    def clear(self) -> None:
        self._try(self.inner.clear)

    def count(self) -> int:
        return self._try(self.inner.count)

    def size_bytes(self) -> int:
        return self._try(self.inner.size_bytes)

    def section_names(self) -> list[str]:
        return self._try(self.inner.section_names)

    def expire(self, address: bytes, moment: int, expected: WriteId | None = None) -> None:
        self._try(lambda: self.inner.expire(address, moment, expected))

    def compact(self) -> None:
        self._try(self.inner.compact)

    def check(self) -> list[str]:
        return self._try(self.inner.check)

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        return self._try(lambda: self.inner.rebuild(place_of))

    def sync(self) -> None:
        self._try(self.inner.sync)
