"""What an engine was asked to do: how often, with how many bytes, for how long."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from hashstash.engine import Change, Engine, EngineWrapper, WriteId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

_Sums: TypeAlias = "dict[tuple[int, str], Operation]"


@dataclass(slots=True)
class Operation:
    """All calls of one method so far."""

    calls: int = 0
    rows: int = 0
    """Rows that were read, written or listed."""
    size: int = 0
    """Bytes of the blobs among them."""
    seconds: float = 0.0
    """Time spent inside of the engine; what the caller does between two rows of a listing does not count."""

    def note(self, blob: bytes | None) -> None:
        """Count a row and its blob, if there is one."""
        if blob is not None:
            self.rows += 1
            self.size += len(blob)


class CountersWrapper(EngineWrapper):
    """Counts what goes through it; the sections' operations count too, under names such as ``history.put``.

    Counts are exact under threads. A forked child goes on counting by itself.
    """

    name = "counters"

    def __init__(self, inner: Engine) -> None:
        super().__init__(inner)
        self._prefix = ""
        # By thread: each changes its own sums only, which needs no lock that a fork could copy while it is held.
        self._sums: _Sums = {}

    def _wrap(self, name: str) -> Engine:
        section = CountersWrapper(self.inner.section(name))
        section._prefix, section._sums = f"{self._prefix}{name}.", self._sums
        return section

    def operations(self) -> dict[str, Operation]:
        """By name, what was done since the beginning or the last :meth:`reset`."""
        totals: dict[str, Operation] = {}
        for (_, name), part in list(self._sums.items()):
            total = totals.setdefault(name, Operation())
            total.calls += part.calls
            total.rows += part.rows
            total.size += part.size
            total.seconds += part.seconds
        return totals

    def reset(self) -> None:
        """Begin again at zero."""
        self._sums.clear()

    def _sum(self, name: str) -> Operation:
        key = (threading.get_ident(), self._prefix + name)
        found = self._sums.get(key)
        return self._sums.setdefault(key, Operation()) if found is None else found

    @contextlib.contextmanager
    def _counted(self, name: str, calls: int = 1) -> Iterator[Operation]:
        operation = self._sum(name)
        operation.calls += calls
        start = time.perf_counter()
        try:
            yield operation
        finally:
            operation.seconds += time.perf_counter() - start

    def get(self, address: bytes) -> bytes | None:
        with self._counted("get") as operation:
            blob = self.inner.get(address)
            operation.note(blob)
        return blob

    def put(self, address: bytes, blob: bytes) -> None:
        with self._counted("put") as operation:
            self.inner.put(address, blob)
            operation.note(blob)

    def delete(self, address: bytes) -> bool:
        with self._counted("delete") as operation:
            was_there = self.inner.delete(address)
            operation.rows += was_there
        return was_there

    def has(self, address: bytes) -> bool:
        with self._counted("has"):
            return self.inner.has(address)

    def peek(self, address: bytes, size: int) -> bytes | None:
        with self._counted("peek") as operation:
            head = self.inner.peek(address, size)
            operation.note(head)
        return head

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        with self._counted("swap") as operation:
            is_stored = self.inner.swap(address, expected, blob)
            operation.note(blob if is_stored else None)
        return is_stored

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        given = list(changes)
        with self._counted("swap_many") as operation:
            are_stored = self.inner.swap_many(given)
            for (_, _, blob), is_stored in zip(given, are_stored, strict=True):
                operation.note(blob if is_stored else None)
        return are_stored

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        with self._counted("delete") as operation:
            was_there = self.inner.delete_if(address, expected)
            operation.rows += was_there
        return was_there

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        with self._counted("put_many") as operation:
            self.inner.put_many(_noting(rows, operation))

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        for blob in self._listed("get_many", self.inner.get_many(addresses)):
            self._sum("get_many").note(blob)
            yield blob

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        for address in self._listed("scan", self.inner.scan(prefix)):
            self._sum("scan").rows += 1
            yield address

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        for address, blob in self._listed("rows", self.inner.rows()):
            self._sum("rows").note(blob)
            yield address, blob

    def heads(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        for address, head in self._listed("heads", self.inner.heads(size)):
            self._sum("heads").note(head)
            yield address, head

    def _listed(self, name: str, items: Iterator[Any]) -> Iterator[Any]:
        calls = 1
        while True:
            with self._counted(name, calls):
                try:
                    item = next(items)
                except StopIteration:
                    return
            calls = 0
            yield item

    def clear(self) -> None:
        with self._counted("clear"):
            self.inner.clear()

    def count(self) -> int:
        with self._counted("count"):
            return self.inner.count()

    def size_bytes(self) -> int:
        with self._counted("size_bytes"):
            return self.inner.size_bytes()

    def expire(self, address: bytes, moment: int, expected: WriteId | None = None) -> None:
        with self._counted("expire"):
            self.inner.expire(address, moment, expected)

    def compact(self) -> None:
        with self._counted("compact"):
            self.inner.compact()

    def sync(self) -> None:
        with self._counted("sync"):
            self.inner.sync()

    def lock(self, name: str) -> AbstractContextManager[Any]:
        self._sum("lock").calls += 1
        return self.inner.lock(name)


def _noting(rows: Iterable[tuple[bytes, bytes]], operation: Operation) -> Iterator[tuple[bytes, bytes]]:
    for address, blob in rows:
        operation.note(blob)
        yield address, blob
