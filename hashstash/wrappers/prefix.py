"""Many stashes in one engine: each sees only the addresses under its own prefix."""

from __future__ import annotations

import itertools
import os
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hashstash.engine import Change, Engine, EngineWrapper, WriteId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

_PREFIX_SIZE = 8
_BATCH = 256


class PrefixWrapper(EngineWrapper):
    """The rows of *inner* whose addresses begin with the digest of *namespace*, under addresses without it.

    Counting and clearing look at every row of the namespace; without PREFIX_SCAN, at every row of *inner*.
    """

    name = "prefix"

    def __init__(self, inner: Engine, namespace: str) -> None:
        super().__init__(inner)
        self.knows_size = False
        self.namespace = namespace
        self._prefix = blake2b(namespace.encode("utf-8", "surrogatepass"), digest_size=_PREFIX_SIZE).digest()

    def _wrap(self, name: str) -> Engine:
        return PrefixWrapper(self.inner.section(name), self.namespace)

    def get(self, address: bytes) -> bytes | None:
        return self.inner.get(self._prefix + address)

    def put(self, address: bytes, blob: bytes) -> None:
        self.inner.put(self._prefix + address, blob)

    def delete(self, address: bytes) -> bool:
        return self.inner.delete(self._prefix + address)

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        for address in self.inner.scan(self._prefix + prefix):
            yield address[_PREFIX_SIZE:]

    def location(self) -> str:
        return f"{self.inner.location()}#{self.namespace}"

    def has(self, address: bytes) -> bool:
        return self.inner.has(self._prefix + address)

    def peek(self, address: bytes, size: int) -> bytes | None:
        return self.inner.peek(self._prefix + address, size)

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        return self.inner.get_many(self._prefix + address for address in addresses)

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self.inner.put_many((self._prefix + address, blob) for address, blob in rows)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        addresses = self.inner.scan(self._prefix)
        while batch := list(itertools.islice(addresses, _BATCH)):
            for address, blob in zip(batch, self.inner.get_many(batch), strict=True):
                if blob is not None:
                    yield address[_PREFIX_SIZE:], blob

    def heads(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        return self.rows()  # those of others would be read, too

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        return self.inner.swap(self._prefix + address, expected, blob)

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        return self.inner.swap_many((self._prefix + address, expected, blob) for address, expected, blob in changes)

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        return self.inner.delete_if(self._prefix + address, expected)

    def clear(self) -> None:
        for engine in [self, *(self.section(name) for name in self.section_names())]:
            for address in list(engine.scan()):
                engine.delete(address)

    def count(self) -> int:
        return sum(1 for _ in self.scan())

    def size_bytes(self) -> int:
        return sum(_PREFIX_SIZE + len(address) + len(blob) for address, blob in self.rows())

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        # The storage is that of others too, and nobody here knows where their rows belong.
        return self.inner.rebuild(lambda _: None)

    def lock(self, name: str) -> AbstractContextManager[Any]:
        return self.inner.lock(f"{self.namespace}:{name}")

    def blob_folder(self) -> str | None:
        # Of its own: whoever sweeps a folder of blob files removes those that no row of its own points at.
        folder = self.inner.blob_folder()
        return None if folder is None else os.path.join(folder, self._prefix.hex())

    def expire(self, address: bytes, moment: int, expected: WriteId | None = None) -> None:
        self.inner.expire(self._prefix + address, moment, expected)
