"""Rows in a dict of this process. Stashes of the same name share it; a forked child sees a snapshot."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from hashstash.engine import WRITE_ID, Capability, Engine, SectionTable, WriteId

if TYPE_CHECKING:
    from collections.abc import Iterator

_stores: dict[str, dict[bytes, bytes]] = {}
_swap_lock = threading.Lock()


class MemoryEngine(Engine):
    """A dict of blobs under *folder*, which is only a name here and is never created."""

    name = "memory"
    title = "Memory"
    capabilities = Capability.SWAP
    keeps_files = False

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._rows = _stores.setdefault(folder, {})
        self._sections = SectionTable(lambda name: MemoryEngine(f"{folder}@{name}"))

    def get(self, address: bytes) -> bytes | None:
        return self._rows.get(address)

    def put(self, address: bytes, blob: bytes) -> None:
        self._rows[address] = bytes(blob)

    def delete(self, address: bytes) -> bool:
        return self._rows.pop(address, None) is not None

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        return iter([address for address in list(self._rows) if address.startswith(prefix)])

    def section(self, name: str) -> Engine:
        return self._sections[name]

    def location(self) -> str:
        return self._folder

    @classmethod
    def names_below(cls, folder: str) -> list[str]:
        prefix = folder + os.sep
        return sorted({name[len(prefix) :].split(os.sep)[0] for name in list(_stores) if name.startswith(prefix)})

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        with _swap_lock:
            current = self._rows.get(address)
            if (None if current is None else current[WRITE_ID]) != expected:
                return False
            self._rows[address] = bytes(blob)
            return True

    def clear(self) -> None:
        self._rows.clear()
        for name in [name for name in list(_stores) if name.startswith(f"{self._folder}@")]:
            _stores[name].clear()  # whichever object has made it

    def count(self) -> int:
        return len(self._rows)

    def size_bytes(self) -> int:
        return sum(len(address) + len(blob) for address, blob in list(self._rows.items()))


PLUGIN = MemoryEngine
