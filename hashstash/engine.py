"""An engine keeps opaque blobs by address, and knows nothing else: no keys, no values, no time.

Four methods make an engine; everything else has a default over those four, which an engine overrides when its storage does
better. What an engine promises beyond that is a :class:`Capability`, a value that wrappers forward or take away.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from enum import Flag, auto
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias
from urllib.parse import unquote, urlsplit

from hashstash.locks import KeyLock
from hashstash.paths import refuse_links

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

WriteId: TypeAlias = bytes
"""Eight bytes that no two writes share: the etag of a stored row."""

Change: TypeAlias = tuple[bytes, WriteId | None, bytes]
"""The address, the expected write id and the new blob of one ``swap``."""

WRITE_ID = slice(8, 16)
"""Where every stored row carries its write id: the one thing that engines know about a blob."""

SECTIONS = ("history", "meta")
"""The sections that stashes use: older versions of entries, and facts about the stash itself."""


class Capability(Flag):
    """What an engine promises beyond get, put, delete and scan; the contract suite tests each promise that is made."""

    NONE = 0
    CROSS_PROCESS = auto()
    """Rows written by one process are seen by others at once."""
    SWAP = auto()
    """``swap`` and ``delete_if`` are atomic among all threads, and with CROSS_PROCESS among all processes: neither undoes or
    loses what anybody puts or removes meanwhile."""
    PREFIX_SCAN = auto()
    """``scan(prefix)`` costs in proportion to the matches, not to the whole store."""
    REMOTE = auto()
    """Rows live behind a network; a round trip is what costs."""
    LOCAL_FILES = auto()
    """``blob_folder`` is a local directory in which large payloads may lie as files."""
    SHARED_WRITERS = auto()
    """Worker processes may write by themselves."""


class Engine(ABC):
    """Bytes by address. Thread-safe; a closed engine opens again when it is used."""

    name: ClassVar[str]
    """The plug-in's name, equal to its file's name."""
    title: str
    """The name in ``str(stash)``, such as ``LMDB``."""
    capabilities: Capability = Capability.NONE
    options: ClassVar[tuple[str, ...]] = ()
    """The keywords of the constructor that users may give to HashStash."""
    settings: ClassVar[tuple[str, ...]] = ()
    """The keywords of the constructor that follow from the stash's own settings, such as ``durable``."""
    keeps_files: bool = True
    """Whether the place that the constructor gets is a local folder; else it is only a name in some other storage."""
    knows_size: bool = False
    """Whether ``size_bytes`` is told without a look at the rows."""
    needs_local_disk: ClassVar[bool] = False
    """Whether a folder on a network, FUSE or drive mount must be warned of: it needs memory maps or exact file locks."""
    reads_for_free: ClassVar[bool] = False
    """Whether ``get`` takes next to nothing beside ``put``, so that whatever is replaced is looked at: it may be damaged."""

    @abstractmethod
    def get(self, address: bytes) -> bytes | None:
        """The blob stored at *address*, or ``None``."""

    @abstractmethod
    def put(self, address: bytes, blob: bytes) -> None:
        """Store *blob*, replacing what was there. Readers see the old blob or the new one, never a part of one."""

    @abstractmethod
    def delete(self, address: bytes) -> bool:
        """Remove the row; return whether there was one."""

    @abstractmethod
    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        """Every address that starts with *prefix*, in any order, each once; rows written meanwhile may or may not show."""

    @abstractmethod
    def section(self, name: str) -> Engine:
        """A second, separate set of rows in the same storage, such as ``history``; it shares this engine's life."""

    def section_names(self) -> list[str]:
        """The sections that may hold rows."""
        return list(SECTIONS)

    @abstractmethod
    def location(self) -> str:
        """Where the rows live, as text for people and for comparing stashes. Never holds a password."""

    @classmethod
    def from_url(cls, url: str) -> tuple[str, dict[str, Any]]:
        """What a URL of this engine means: the name or folder of the stash (empty: the default one), and options."""
        parts = urlsplit(url)
        return unquote(parts.netloc + parts.path), {}

    @classmethod
    def names_below(cls, folder: str) -> list[str]:
        """The names under which stashes of this engine may lie directly below *folder*."""
        try:
            return [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    @classmethod
    def stashes_below(cls, folder: str, options: Mapping[str, Any]) -> list[str]:  # noqa: ARG003
        """Like :meth:`names_below`, in the storage that *options* choose."""
        return cls.names_below(folder)

    @classmethod
    def settle(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """*options* as a configuration may keep and show them: what is secret is remembered by this process instead."""
        return dict(options)

    def has(self, address: bytes) -> bool:
        """Whether there is a row."""
        return self.get(address) is not None

    def peek(self, address: bytes, size: int) -> bytes | None:
        """At least the first *size* bytes of the blob where reading less is cheaper, or ``None``."""
        return self.get(address)

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        """The blobs at *addresses*, in their order."""
        return map(self.get, addresses)

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Store all *rows*; each row is atomic, the batch need not be."""
        for address, blob in rows:
            self.put(address, blob)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every ``(address, blob)``; rows deleted meanwhile are left out."""
        for address in self.scan():
            blob = self.get(address)
            if blob is not None:
                yield address, blob

    def heads(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        """Like :meth:`rows`, but only at least the first *size* bytes of each blob where reading less is cheaper."""
        return self.rows()

    def ensure_writable(self) -> None:  # noqa: B027
        """Raise ReadOnlyStash if every write would be refused, before anything is made ready for one."""

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        """Store *blob* only if the row still carries the write id *expected*; return whether it was stored.

        ``expected=None`` means "only if there is no row". Here, each ``swap`` and ``delete_if`` of a row excludes every other
        one, but no ``put``: an engine that promises SWAP does better.
        """
        with self.lock("swap:" + address.hex()):
            current = self.get(address)
            if expected is None if current is None else current[WRITE_ID] == expected:
                self.put(address, blob)
                return True
            return False

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        """:meth:`swap` for each of *changes*, which are of different rows; each is atomic, the batch need not be."""
        return [self.swap(*change) for change in changes]

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        """Remove the row only if it still carries the write id *expected*; return whether it did. As atomic as ``swap``."""
        with self.lock("swap:" + address.hex()):
            current = self.get(address)
            return current is not None and current[WRITE_ID] == expected and self.delete(address)

    def clear(self) -> None:
        """Remove every row of this engine and of its sections; other engines on the same storage are untouched."""
        for address in list(self.scan()):
            self.delete(address)

    def count(self) -> int:
        """How many rows there are."""
        return sum(1 for _ in self.scan())

    def size_bytes(self) -> int:
        """Bytes that the rows occupy in the storage."""
        return sum(len(address) + len(blob) for address, blob in self.rows())

    def lock(self, name: str) -> AbstractContextManager[Any]:
        """A lock of that name, held by one thread of one process at a time as far as the rows are shared."""
        return KeyLock(self.lock_folder(), name)

    def lock_folder(self) -> str | None:
        """The directory for lock files; ``None`` where locks need not reach beyond this process."""
        return None

    def blob_folder(self) -> str | None:
        """The directory for blob files, with the capability LOCAL_FILES; else ``None``."""
        return None

    def expire(self, address: bytes, moment: int, expected: WriteId | None = None) -> None:  # noqa: B027
        """Let the storage itself remove the row at *moment* (ns since the epoch), if it can; another put revokes that.

        With *expected*, only if the row still carries that write id, so that nobody else's row goes. It only saves room: whether
        an entry is over is decided by its header.
        """

    def compact(self) -> None:  # noqa: B027
        """Give room that deleted rows have left back to the system, if the storage needs to be asked."""

    def check(self) -> list[str]:
        """What is wrong with the storage as a whole, one sentence each; rows are not looked into."""
        return []

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        """Write a storage that is damaged anew, with the rows that can be found in it, and keep the damaged files beside it.

        *place_of* gives the address at which a blob belongs if it is sound, else ``None``. Nobody else should have the storage
        open. ``False`` if nothing was done, as where rows are files or lie on a server.
        """
        return False

    def sync(self) -> None:  # noqa: B027
        """Make what was written so far survive a power loss, as far as the storage can."""

    def close(self) -> None:  # noqa: B027
        """Release handles. Closing twice is fine, and using the engine again opens it again."""


class FolderEngine(Engine):
    """An engine whose rows, sections, locks and blob files lie in one local folder."""

    def __init__(self, folder: str) -> None:
        refuse_links(folder)
        self._folder = folder
        self._sections = SectionTable(lambda name: self._make_section(section_folder(folder, name)))

    @abstractmethod
    def _make_section(self, folder: str) -> Engine:
        """An engine like this one in another folder."""

    def section(self, name: str) -> Engine:
        return self._sections[name]

    def section_names(self) -> list[str]:
        return sections_in(self._folder)

    def location(self) -> str:
        return self._folder

    def lock_folder(self) -> str:
        return os.path.join(self._folder, "locks")

    def blob_folder(self) -> str:
        return os.path.join(self._folder, "blobs")

    def clear_sections(self) -> None:
        """Remove every row of every section that anybody has made."""
        for name in self.section_names():
            self.section(name).clear()

    def close(self) -> None:
        for section in self._sections:
            section.close()


class EngineWrapper(Engine):
    """Forwards everything to another engine; a wrapper overrides the few methods that it changes.

    Its sections are wrapped as it is; ``section`` always gives the same object for a name, so that it may keep state.
    """

    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self.title = inner.title
        self.capabilities = inner.capabilities
        self.keeps_files = inner.keeps_files
        self.knows_size = inner.knows_size
        self._sections = SectionTable(self._wrap)

    @abstractmethod
    def _wrap(self, name: str) -> Engine:
        """A wrapper like this one around the section of that name."""

    def section(self, name: str) -> Engine:
        return self._sections[name]

    def section_names(self) -> list[str]:
        return self.inner.section_names()

    def get(self, address: bytes) -> bytes | None:
        return self.inner.get(address)

    def put(self, address: bytes, blob: bytes) -> None:
        self.inner.put(address, blob)

    def delete(self, address: bytes) -> bool:
        return self.inner.delete(address)

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        return self.inner.scan(prefix)

    def location(self) -> str:
        return self.inner.location()

    def has(self, address: bytes) -> bool:
        return self.inner.has(address)

    def peek(self, address: bytes, size: int) -> bytes | None:
        return self.inner.peek(address, size)

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        return self.inner.get_many(addresses)

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self.inner.put_many(rows)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        return self.inner.rows()

    def heads(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        return self.inner.heads(size)

    def ensure_writable(self) -> None:
        self.inner.ensure_writable()

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        return self.inner.swap(address, expected, blob)

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        return self.inner.swap_many(changes)

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        return self.inner.delete_if(address, expected)

    def clear(self) -> None:
        self.inner.clear()

    def count(self) -> int:
        return self.inner.count()

    def size_bytes(self) -> int:
        return self.inner.size_bytes()

    def lock(self, name: str) -> AbstractContextManager[Any]:
        return self.inner.lock(name)

    def lock_folder(self) -> str | None:
        return self.inner.lock_folder()

    def blob_folder(self) -> str | None:
        return self.inner.blob_folder()

    def expire(self, address: bytes, moment: int, expected: WriteId | None = None) -> None:
        self.inner.expire(address, moment, expected)

    def compact(self) -> None:
        self.inner.compact()

    def check(self) -> list[str]:
        return self.inner.check()

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        return self.inner.rebuild(place_of)

    def sync(self) -> None:
        self.inner.sync()

    def close(self) -> None:
        self.inner.close()


class SectionTable:
    """The sections that one engine has handed out, so that a name always gives the same one."""

    def __init__(self, make: Callable[[str], Engine]) -> None:
        self._make = make
        self._made: dict[str, Engine] = {}

    def __getitem__(self, name: str) -> Engine:
        found = self._made.get(name)
        if found is None:
            # No lock, which a fork could copy while it is held: of two that are made at once, the first one is kept.
            found = self._made.setdefault(name, self._make(name))
        return found

    def __iter__(self) -> Iterator[Engine]:
        return iter(list(self._made.values()))


def section_folder(folder: str, name: str) -> str:
    """Where an engine in *folder* keeps the section called *name*."""
    return os.path.join(folder, "@" + name)


def sections_in(folder: str) -> list[str]:
    """The sections that were ever made by an engine in *folder*."""
    try:
        return [entry.name[1:] for entry in os.scandir(folder) if entry.name.startswith("@")]
    except FileNotFoundError:
        return []
