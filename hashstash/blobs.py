"""Large payloads as immutable files, mapped into memory where that is faster than to read them.

A blob file is written under a name that no other ever has, published by the row that points at it, and never rewritten.
Mappings are copy-on-write: an array on top of one is writable, and what is written stays private to the process, as with what was
read.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import functools
import os
import stat
import struct
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from hashstash import forks
from hashstash.checksum import crc32
from hashstash.errors import CorruptEntry, UnsafeName
from hashstash.mapped import content_of, read_all
from hashstash.paths import create_file, is_shared_mount, make_folder
from hashstash.refusals import explain, locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashstash.codec import Buffer

SMALLEST_BLOB = 32 * 1024
YOUNGEST_ORPHAN = 3600.0
"""Seconds that a blob file without a row is left alone: its row may be about to be written."""

_LARGE = 1 << 20
_BETWEEN_INTERRUPTS = 32 << 20
"""Bytes that are looked at in one go, during which no Ctrl-C is heard."""
# A link could show any file of this user's, and opening a pipe would wait for ever.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_NOT_A_FILE = (errno.ELOOP, errno.ENXIO)
_REFERENCE = struct.Struct("<16sQI16s")
REFERENCE_SIZE = _REFERENCE.size
_IOV_MAX = 512
_SWEPT = "swept"
_SWEEP_EVERY = 86_400.0


class Reference(NamedTuple):
    """What a row says of its blob file."""

    name: str
    size: int
    checksum: int
    digest: bytes
    """BLAKE2b of the content if the row is signed, so that the tag covers it; else zeros."""

    def pack(self) -> bytes:
        """The reference as the payload of a row."""
        return _REFERENCE.pack(bytes.fromhex(self.name), self.size, self.checksum, self.digest)

    @classmethod
    def unpack(cls, payload: Buffer) -> Reference:
        """The reference in a row's payload."""
        if len(payload) != _REFERENCE.size:
            raise CorruptEntry("the row's reference to its blob file has the wrong size")
        name, size, checksum, digest = _REFERENCE.unpack(payload)
        return cls(name.hex(), size, checksum, digest)


class BlobStore:
    """The blob files of one stash's folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def exists(self) -> bool:
        """Whether any blob was ever written here."""
        return os.path.isdir(self.folder)

    @functools.cached_property
    def _may_map(self) -> bool:
        """Not where another machine may remove a file that is mapped here: looking at it would end this process."""
        return not is_shared_mount(self.folder)

    def path(self, name: str) -> str:
        """Where the blob called *name* lies."""
        return os.path.join(self.folder, name[:2], name)

    def _own_path(self, name: str) -> str:
        """The path of the blob called *name* for whoever writes or removes it: UnsafeName where its folder is a link."""
        path = self.path(name)
        if os.path.islink(os.path.dirname(path)):
            raise UnsafeName(f"{os.path.dirname(path)} is a symbolic link, and may lead anywhere; remove it")
        return path

    def write(self, pieces: Sequence[Buffer], *, durable: bool = False, digest: bool = False) -> Reference:
        """A new file with *pieces* in order; nobody sees it until a row points at it."""
        name = os.urandom(16).hex()
        path = self._own_path(name)
        views = [memoryview(piece).cast("B") for piece in pieces]
        descriptor = -1
        try:
            descriptor = _new_file(path)
            size = _write_all(descriptor, views)
            if durable:
                os.fsync(descriptor)
        except BaseException as error:
            self._give_up(path, error, sum(map(len, views)))
            raise
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return Reference(name, size, _checksum(views), _digest(views) if digest else bytes(16))

    def receive(self, reference: Reference, pieces: Iterable[Buffer], *, durable: bool = False) -> Reference:
        """A new file with the content of which *reference* speaks, under its name unless that is taken here already.

        CorruptEntry, and nothing is left, if *pieces* are something else.
        """
        name = reference.name
        make_folder(os.path.dirname(self._own_path(name)))
        try:
            descriptor = create_file(self.path(name))
        except FileExistsError:  # the file of another row, which is removed with that
            name = os.urandom(16).hex()
            make_folder(os.path.dirname(self._own_path(name)))
            descriptor = create_file(self.path(name))
        size, checksum, state = 0, 0, blake2b(digest_size=16)
        is_signed = any(reference.digest)
        try:
            for piece in pieces:
                view = memoryview(piece)
                size, checksum = size + len(view), crc32(view, checksum)
                if is_signed:
                    state.update(view)
                while view:
                    view = view[os.write(descriptor, view) :]
            if (size, checksum) != (reference.size, reference.checksum):
                raise CorruptEntry("the content of a blob file is not the one of which its row speaks")
            if is_signed and state.digest() != reference.digest:
                raise CorruptEntry("the content of a blob file is not the one that was signed")
            if durable:
                os.fsync(descriptor)
        except BaseException as error:
            self._give_up(self.path(name), error, reference.size)
            raise
        finally:
            os.close(descriptor)
        return reference._replace(name=name)

    def _give_up(self, path: str, error: BaseException, size: int) -> None:
        """Remove what was begun, and let *error* say what a user needs to know."""
        with contextlib.suppress(OSError):  # it was not even begun, or is swept later
            os.unlink(path)
        if isinstance(error, OSError):
            explain(error, path, self.folder, size)

    def with_digest(self, reference: Reference, *, is_needed: bool) -> Reference:
        """*reference* as the row of a file needs it that another process has written: with a digest if it is to be signed."""
        if not is_needed or any(reference.digest):
            return reference
        return reference._replace(digest=_digest([self.map(reference, is_signed=False)]))

    def opened(self, name: str) -> BinaryIO:
        """The blob called *name* as a file to read; CorruptEntry where there is none."""
        return os.fdopen(self._open(name), "rb")

    def _open(self, name: str) -> int:
        path = self.path(name)
        try:
            descriptor = os.open(path, _READ)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BlobMissing(f"the entry's blob file {name} is gone") from error
        except OSError as error:
            if error.errno not in _NOT_A_FILE:
                raise
            raise CorruptEntry(f"{path} is not a file, but a link or a socket; delete the entry") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise CorruptEntry(f"{path} is not a file; delete the entry")
        return descriptor

    def map(self, reference: Reference, *, is_signed: bool) -> memoryview:
        """The blob's bytes, the large ones mapped copy-on-write; verified once per process, CorruptEntry where they differ."""
        path = self.path(reference.name)
        descriptor = self._open(reference.name)
        try:
            status = os.fstat(descriptor)
            if status.st_size != reference.size:
                raise CorruptEntry(f"the blob file {path} has {status.st_size} bytes instead of {reference.size}")
            if not reference.size:
                return memoryview(b"")
            if (is_signed and _others_may_write(status)) or not self._may_map:
                # A mapping shows what they write into the file later on: what is verified has to be a copy.
                view = read_all(descriptor, reference.size)
                _verify(view, reference, path, is_signed=is_signed)
                return view
            view = content_of(descriptor, reference.size)
        except OSError as error:
            locate(error, path)
            raise
        finally:
            os.close(descriptor)
        # The time of the last change of the inode, since everybody may set back the one of the content.
        proof = (path, status.st_ino, status.st_ctime_ns, reference.checksum, reference.digest if is_signed else b"")
        if proof not in _verified:
            _verify(view, reference, path, is_signed=is_signed)
            _remember(proof)
        return view

    def remove(self, name: str) -> None:
        """Delete the blob; processes that have it mapped keep their view."""
        path = self._own_path(name)
        try:
            descriptor = os.open(path, _READ)
        except OSError:
            descriptor = -1
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError:
            if not os.path.isdir(path):
                raise  # else it is none of ours, and no blob file
        finally:
            if descriptor >= 0:
                _close_aside(descriptor)

    def is_sweep_due(self) -> bool:
        """Whether a day has passed since this was last asked; the answer yes is given to one caller, who may write here."""
        mark = os.path.join(self.folder, _SWEPT)
        try:
            if time.time() - os.stat(mark).st_mtime < _SWEEP_EVERY:
                return False
            os.utime(mark)
        except FileNotFoundError:
            return _could_create(mark)
        except OSError:
            return False
        return True

    def names(self, *, older_than: float = 0.0) -> Iterator[str]:
        """The names of all blob files that were written at least *older_than* seconds ago."""
        limit = time.time() - older_than
        try:
            folders = [entry.path for entry in os.scandir(self.folder) if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return
        for folder in folders:
            for entry in os.scandir(folder):
                try:
                    if entry.stat(follow_symlinks=False).st_mtime <= limit:
                        yield entry.name
                except FileNotFoundError:
                    continue

    def size_bytes(self) -> int:
        """Bytes of all blob files."""
        total = 0
        for name in self.names():
            with contextlib.suppress(FileNotFoundError):
                total += os.path.getsize(self.path(name))
        return total


def _could_create(path: str) -> bool:
    try:
        os.close(create_file(path))
    except OSError:
        return False
    return True


def _new_file(path: str) -> int:
    try:
        return create_file(path)
    except FileNotFoundError:
        make_folder(os.path.dirname(path))
        return create_file(path)


_closing: list[None] = []
_MOST_CLOSING = 2


def _close_aside(descriptor: int) -> None:
    """Close a removed file on another thread if it is large.

    Its last descriptor takes the pages with it, and waits for those that are on their way to the disk: as long as writing it.
    """
    if os.fstat(descriptor).st_size < _LARGE or len(_closing) >= _MOST_CLOSING:
        os.close(descriptor)
        return
    _closing.append(None)
    try:
        _thread.start_new_thread(_close, (descriptor,))
    except RuntimeError:  # no more threads, or the interpreter is about to end
        _close(descriptor)


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    finally:
        _closing.pop()


forks.in_child(_closing.clear)


class BlobMissing(CorruptEntry):
    """The blob file of a row is gone: the row was replaced meanwhile, or somebody removed the file."""


_verified: dict[tuple[object, ...], None] = {}
_MOST_VERIFIED = 10_000


def _remember(proof: tuple[object, ...]) -> None:
    if len(_verified) >= _MOST_VERIFIED:
        _verified.clear()
    _verified[proof] = None


def _others_may_write(status: os.stat_result) -> bool:
    return status.st_uid != os.getuid() or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _verify(view: memoryview, reference: Reference, path: str, *, is_signed: bool) -> None:
    pieces = [view[start : start + _BETWEEN_INTERRUPTS] for start in range(0, len(view), _BETWEEN_INTERRUPTS)]
    if _checksum(pieces) != reference.checksum or (is_signed and _digest(pieces) != reference.digest):
        raise CorruptEntry(f"the blob file {path} was changed after it was written")


def _checksum(views: Sequence[memoryview]) -> int:
    total = 0
    for view in views:
        total = crc32(view, total)
    return total


def _digest(views: Sequence[memoryview]) -> bytes:
    state = blake2b(digest_size=16)
    for view in views:
        state.update(view)
    return state.digest()


def _write_all(descriptor: int, views: Sequence[memoryview]) -> int:
    total = sum(map(len, views))
    if total >= SMALLEST_BLOB and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, total)  # one extent, and a full disk is known before the first byte
    rest = [view for view in views if len(view)]
    while rest:
        written = os.writev(descriptor, rest[:_IOV_MAX])
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if written:
            rest[0] = rest[0][written:]
    return total
