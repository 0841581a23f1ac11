"""Reading an archive that anybody may have made: nothing is believed before it was held against sizes and checksums.

What may be claimed is limited before anything is read for it, and one piece of content is in memory at a time. Nothing is ever
decoded here.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import stat
import struct
import zipfile
import zlib
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, NamedTuple, Self

from hashstash.archive.layout import (
    CONTEXT_PREFIX,
    CONTEXTS,
    FORMAT,
    FORMAT_VERSION,
    KINDS,
    LARGEST_CONTEXT,
    LONGEST_CONTEXT_ADDRESS,
    MANIFEST,
    PIECE,
    RECORD,
    ROWS,
    Content,
    PackedStash,
    member_names,
    stash_of,
)
from hashstash.blobs import Reference
from hashstash.checksum import crc32
from hashstash.entry import Entry, Flag, unpack
from hashstash.errors import BadArchive, BadEntry, CorruptEntry, NewerFormat
from hashstash.paths import shown
from hashstash.refusals import locate, naming

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_LARGEST_DEFLATED = 16 << 20
"""Rows of a megabyte and more are stored as they are, and smaller ones are packed four megabytes at a time."""
_FEW = 64 << 20
_MOST_RATIO = 200
_LARGEST_ROW = (4096 << 20) + (64 << 20)
_LARGEST_MANIFEST = 16 << 20
_SMALL_MANIFEST = 1 << 20
_LONGEST_REASON = 300
_LARGEST_DIRECTORY = 32 << 20
_BLOB_BIT, _LOOSE_BIT = int(Flag.BLOB), int(Flag.LOOSE)  # an ``&`` of flags takes as long as reading a header
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")


def contents(file: str | os.PathLike[str]) -> list[Content]:
    """What the archive *file* says that it holds: ``(name, entries, bytes)`` of each stash. BadArchive if it is none."""
    with Archive(file) as archive:
        return [stash.content for stash in archive.stashes]


class Record(NamedTuple):
    """One row, and what is in its blob file; the *pieces* must be taken before the next record."""

    row: bytes
    content_size: int
    pieces: Iterator[bytes]


class Archive:
    """An open archive whose manifest has been checked."""

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.path = shown(os.path.abspath(os.path.expanduser(os.fspath(file))))
        self._place = os.path.expanduser(os.fspath(file))
        self._file = _open_file(self._place, self.path)
        try:
            with self._reading():
                self._zip = _open_zip(self._file)
                self._infos = self._checked_members()
            self.stashes = self._checked_manifest()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Whatever a damaged file makes the zip module raise becomes one error that names the file."""
        try:
            yield
        except (BadArchive, NewerFormat) as error:
            if str(error).startswith(self.path):
                raise
            raise type(error)(f"{self.path}: {error}") from error
        except OSError as error:
            if error.errno != errno.EINVAL:  # as for seeking to where nothing can be
                locate(error, self._place)
                raise
            raise BadArchive(f"{self.path} is damaged: {error}") from error
        # What the module says may hold a name of 64 KB.
        except (BadEntry, zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, LookupError) as error:
            raise BadArchive(f"{self.path} is damaged: {error!s:.{_LONGEST_REASON}}") from error
        except (NotImplementedError, RuntimeError, OverflowError, zipfile.LargeZipFile) as error:
            reason = f"{error!s:.{_LONGEST_REASON}}"
            raise BadArchive(f"{self.path} is damaged, or no archive of hashstash: {reason}") from error

    def _refuse(self, why: str) -> BadArchive:
        return BadArchive(f"{self.path}: {why}")

    # ---- before anything is read ---------------------------------------------------------------------------------

    def _checked_members(self) -> dict[str, zipfile.ZipInfo]:
        members = self._zip.infolist()
        infos = {member.filename: member for member in members}
        if len(infos) != len(members):
            raise self._refuse("two of its members have one name")
        size = os.fstat(self._file.fileno()).st_size
        for member in members:
            if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self._refuse("a member is encrypted, or packed in a way that archives are not")
            is_stored = member.compress_type == zipfile.ZIP_STORED
            if member.file_size > _LARGEST_DEFLATED and not is_stored:
                raise self._refuse(f"a member claims {member.file_size:,} bytes of packed content")
            if is_stored and member.file_size != member.compress_size:
                raise self._refuse("the sizes of a member do not fit")
        if sum(member.compress_size for member in members) > size:
            raise self._refuse("its members are larger than the file")
        total = sum(member.file_size for member in members)
        if total > max(_FEW, _MOST_RATIO * size):
            raise self._refuse(f"it claims to hold {total:,} bytes in {size:,}, which no archive does")
        return infos

    def _checked_manifest(self) -> tuple[PackedStash, ...]:
        info = self._infos.get(MANIFEST)
        # Parsed, a text takes fifty times its size. What it tells of takes more room in the file than the text.
        with self._reading():
            size = os.fstat(self._file.fileno()).st_size
        most = min(_LARGEST_MANIFEST, max(_SMALL_MANIFEST, size))
        if info is None or info.file_size > most:
            raise self._refuse("it is a zip file, but not an archive of hashstash")
        with self._reading(), self._zip.open(info) as member:
            try:
                manifest = json.loads(member.read())
            except RecursionError as error:
                raise BadArchive("its manifest is not one of an archive") from error
        if type(manifest) is not dict or manifest.get("format") != FORMAT or type(manifest.get("version")) is not int:
            raise self._refuse("it is a zip file, but not an archive of hashstash")
        if manifest["version"] > FORMAT_VERSION:
            raise NewerFormat(
                f"{self.path} has format {manifest['version']}, this hashstash reads up to {FORMAT_VERSION}; upgrade hashstash"
            )
        with self._reading():
            try:
                stashes = tuple(map(stash_of, manifest["stashes"]))
            except (TypeError, AttributeError) as error:
                raise BadArchive("its manifest is not one of an archive") from error
        self._check_names(stashes)
        return stashes

    def _check_names(self, stashes: tuple[PackedStash, ...]) -> None:
        if len({stash.name for stash in stashes}) != len(stashes):
            raise self._refuse("two of its stashes have one name")
        counted = sum(sum(part.members.values()) for stash in stashes for part in stash.parts)
        if counted + 1 != len(self._infos):  # before the names are listed: a manifest may claim any number
            raise self._refuse("its members are not those of which its manifest speaks")
        for number, stash in enumerate(stashes):
            for position, part in enumerate(stash.parts):
                for kind in KINDS:
                    for name in member_names(number, position, kind, part):
                        if name not in self._infos:
                            raise self._refuse(f"the member {name} is missing")

    # ---- reading -------------------------------------------------------------------------------------------------

    def records(self, stash: int, part: int, kind: str) -> Iterator[Record]:
        """The records of one kind, in order."""
        for name in member_names(stash, part, kind, self.stashes[stash].parts[part]):
            info = self._infos[name]
            with self._reading():
                member = self._zip.open(info)
            with member:
                reader = _Reader(member, info.file_size)
                while True:
                    with self._reading():
                        head = reader.head()
                        if head is None:
                            break
                        row_size, content_size = head
                        row = reader.take(row_size)
                    pieces = self._pieces(reader, content_size)
                    yield Record(row, content_size, pieces)
                    for _ in pieces:
                        pass

    def _pieces(self, reader: _Reader, size: int) -> Iterator[bytes]:
        while size:
            with self._reading():
                piece = reader.some(min(size, PIECE))
            size -= len(piece)
            yield piece

    def verify(self) -> None:
        """Read everything once and hold it against all checksums; BadArchive if anything is not as it was written."""
        for number, stash in enumerate(self.stashes):
            for position, part in enumerate(stash.parts):
                counts = dict.fromkeys(KINDS, 0)
                for kind in KINDS:
                    for record in self.records(number, position, kind):
                        counts[kind] += 1
                        with self._reading():
                            _check_context(record) if kind == CONTEXTS else _check_entry(record)
                if counts[ROWS] != part.entries:
                    raise self._refuse(f"{stash.name}: it has {counts[ROWS]} entries and claims {part.entries}")


def entry_in(row: bytes) -> Entry:
    """The entry of a record; CorruptEntry for what no stash can hold."""
    entry = unpack(row)
    if entry.flags.value & _LOOSE_BIT:
        raise CorruptEntry("a value on its own stands where an entry belongs")
    return entry


def _check_entry(record: Record) -> None:
    entry = entry_in(record.row)
    if not entry.flags.value & _BLOB_BIT:
        if record.content_size:
            raise CorruptEntry("an entry has content of a blob file that it does not speak of")
        return
    reference = Reference.unpack(entry.payload)
    if reference.size != record.content_size:
        raise CorruptEntry("an entry has less or more content than it speaks of")
    checksum, state = 0, blake2b(digest_size=16)
    for piece in record.pieces:
        checksum = crc32(piece, checksum)
        state.update(piece)
    if checksum != reference.checksum or (any(reference.digest) and state.digest() != reference.digest):
        raise CorruptEntry("the content of an entry is not the one of which it speaks")


def _check_context(record: Record) -> None:
    if (
        not record.row.startswith(CONTEXT_PREFIX)
        or len(record.row) > LONGEST_CONTEXT_ADDRESS
        or record.content_size > LARGEST_CONTEXT
    ):
        raise CorruptEntry("what stands for the state of a function is none")


class _Reader:
    """A member of whose content no more is handed out than it says that it has."""

    def __init__(self, member: IO[bytes], size: int) -> None:
        self._member = member
        self._left = size

    def head(self) -> tuple[int, int] | None:
        """The two sizes that begin a record; ``None`` at the end."""
        if not self._left:
            if self._member.read(1):
                raise BadArchive("a member is longer than it says")
            return None
        row_size, content_size = RECORD.unpack(self.take(RECORD.size))
        if row_size > _LARGEST_ROW or row_size + content_size > self._left:
            raise BadArchive("a record is longer than what holds it")
        return row_size, content_size

    def take(self, size: int) -> bytes:
        """*size* bytes, read piece by piece: how many there are is only known when they are there."""
        if size <= PIECE:
            return self.some(size, exactly=True)
        collected = io.BytesIO()
        while size:
            piece = self.some(min(size, PIECE))
            collected.write(piece)
            size -= len(piece)
        return collected.getvalue()

    def some(self, most: int, *, exactly: bool = False) -> bytes:
        """Up to *most* bytes, at least one."""
        piece = self._member.read(most)
        if (not piece and most) or (exactly and len(piece) != most):
            raise BadArchive("it is cut off")
        self._left -= len(piece)
        return piece


def _open_file(file: str, shown_path: str) -> IO[bytes]:
    """The file for reading, if it is one: a pipe would be waited for, and a device may have no end."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:
        raise BadArchive(f"{shown_path} cannot be the name of a file: {error}") from error
    with naming(file):
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
            if not stat.S_ISREG(mode):
                raise BadArchive(f"{shown_path} is not a file, and no archive of hashstash")
        except BaseException:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")


def _open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """The zip file, once its directory is known to be of a size that can be read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END.size))
    tail = file.read()
    if len(tail) < _END.size or tail[:4] != b"PK\5\6" or tail[-2:] != b"\0\0":
        file.seek(0)
        is_zip = file.read(2) == b"PK"
        raise BadArchive("it is cut off" if is_zip else "it is not an archive of hashstash")
    directory = _END.unpack(tail)[5]
    if 0xFFFFFFFF in _END.unpack(tail)[5:7] or 0xFFFF in _END.unpack(tail)[3:5]:
        file.seek(max(0, size - _END.size - _LOCATOR.size - _END_64.size))
        directory = _END_64.unpack(file.read(_END_64.size))[8]
    if directory > min(_LARGEST_DIRECTORY, size):
        raise BadArchive(f"its directory claims {directory:,} bytes")
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        # The module also says so where the system has failed to read, which is heard here if it lasts.
        file.seek(-_END.size, os.SEEK_END)
        file.read()
        return zipfile.ZipFile(file)
