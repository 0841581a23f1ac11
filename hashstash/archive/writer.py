"""Writing an archive: rows go in as they are stored, signatures and all, each with the content of its blob file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import warnings
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from hashstash.archive.layout import (
    CONTEXT_PREFIX,
    CONTEXTS,
    FORMAT,
    FORMAT_VERSION,
    HISTORY,
    KINDS,
    LARGEST_CONTEXT,
    LONGEST_CONTEXT_ADDRESS,
    MANIFEST,
    PIECE,
    RECORD,
    ROWS,
    checked_name,
    member_name,
)
from hashstash.blobs import BlobMissing, Reference
from hashstash.entry import Flag, unpack
from hashstash.errors import BadEntry
from hashstash.key_codec import recorded_hash
from hashstash.open import function_stashes, open_store
from hashstash.paths import create_file, remove_abandoned, shown
from hashstash.policies import versions
from hashstash.refusals import naming

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hashstash.codec import Buffer
    from hashstash.engine import Engine
    from hashstash.stash import HashStash
    from hashstash.store import Store

_CHUNK = 4 << 20
_LARGE = 1 << 20
"""From this size on, a row is a member of its own, stored as it is: whether packing pays was decided when it was written."""
_SAMPLE = 16 << 10
_LEAST_GAIN = 0.9
_MOST_GAIN = 0.02
"""Content that would shrink further than this is not packed, since readers refuse what could be a bomb."""
_ABANDONED = 86_400.0
_FIRST_YEAR = (1980, 1, 1, 0, 0, 0)


def export_stashes(file: str | os.PathLike[str], stashes: Mapping[str, HashStash]) -> int:
    """Write *stashes*, by the names that they get there, to the new archive *file*; return how many entries it holds.

    Entries go with their versions, notes, times and signatures, and with what functions and maps keep below each stash.
    Exceptions that are kept for a while, statistics, and what is over stay behind, and with one warning what cannot be read. A
    file of that name is replaced once the whole is written. It is readable by this user only, until you say otherwise.
    """
    named = {checked_name(name): stash for name, stash in stashes.items()}
    with _new_file(os.path.expanduser(os.fspath(file))) as handle:
        writer = _Writer(handle)
        try:
            described = [_export(writer, number, name, stash) for number, (name, stash) in enumerate(named.items())]
            writer.finish({"format": FORMAT, "version": FORMAT_VERSION, "stashes": described})
        finally:
            writer.close()
    if writer.bad:
        what = "1 row that cannot be read is" if writer.bad == 1 else f"{writer.bad} rows that cannot be read are"
        warnings.warn(
            f"{what} not in {shown(os.path.abspath(file))}; stash.check() names them", RuntimeWarning, stacklevel=3
        )
    return sum(part["entries"] for stash in described for part in stash["parts"])


@contextlib.contextmanager
def _new_file(path: str) -> Iterator[IO[bytes]]:
    """A file that takes the place of *path* at the end, if nothing is raised before; a link stays, and leads to it."""
    target = _target_of(path)
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder; make it first", folder)
    _remove_drafts(folder, name)
    draft = os.path.join(folder, f".{name[:100]}.{os.urandom(6).hex()}")
    try:
        descriptor = create_file(draft)
    except OSError as error:
        error.filename = path  # which is what the caller knows of
        raise
    try:
        with naming(path), os.fdopen(descriptor, "w+b") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(draft, target)
    except BaseException:
        with contextlib.suppress(OSError):  # what cannot be removed now is removed by a later export
            os.unlink(draft)
        raise


def _target_of(path: str) -> str:
    """The file that *path* stands for, there or not; what is no file, such as a device, would be replaced by one."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "an archive is a file, and this is a folder", path)
    if os.path.islink(path) and os.lstat(path).st_uid not in {0, os.getuid()}:
        raise PermissionError(errno.EPERM, "this is a link of another user's, and may lead anywhere; remove it", path)
    target = os.path.realpath(path)
    if os.path.islink(target):
        raise OSError(errno.ELOOP, "this link leads to itself; remove it", path)
    if os.path.exists(path) and not os.path.isfile(path):  # *path*, as /dev/stdout names a pipe that has no path
        raise OSError(errno.EINVAL, "an archive is a file, and this is a device, a pipe or the like", path)
    return target


def _remove_drafts(folder: str, name: str) -> None:
    """Remove what is left of exports to the same file that were broken off: no other has not written to its own for a day."""
    draft = re.compile(re.escape(f".{name[:100]}.") + "[0-9a-f]{12}")
    remove_abandoned(folder, lambda entry: draft.fullmatch(entry) is not None, older_than=_ABANDONED)


def _export(writer: _Writer, number: int, name: str, stash: HashStash) -> dict[str, Any]:
    base = stash.config.dbname or ""
    parts = [_export_part(writer, f"{number}/0", "", stash.store)]
    for config in function_stashes(stash.config):
        store = open_store(config)
        try:
            below = (config.dbname or "").removeprefix(f"{base}/")
            part = _export_part(writer, f"{number}/{len(parts)}", below, store)
        finally:
            store.engine.close()
        if any(part["members"].values()):  # what holds nothing only makes the manifest long, which readers limit
            parts.append(part)
    return {"name": name, "namespace": base, "label": stash.config.label, "parts": parts}


def _export_part(writer: _Writer, place: str, below: str, store: Store) -> dict[str, Any]:
    # Older versions after the heads, so that none is missing that a head speaks of.
    written = {kind: writer.add_all(place, kind, _records(writer, store, kind)) for kind in KINDS}
    return {
        "below": below,
        "entries": written[ROWS].records,
        "bytes": sum(one.bytes for one in written.values()),
        "buffer_hash": recorded_hash(store.engine),
        "members": {kind: one.members for kind, one in written.items()},
    }


def _records(writer: _Writer, store: Store, kind: str) -> Iterator[tuple[bytes, Buffer]]:
    """``(row, content)`` of everything of one kind in a store."""
    if kind == CONTEXTS:
        section = store.engine.section("meta")
        for address in section.scan(CONTEXT_PREFIX):
            context = section.get(address) or b""
            if len(address) <= LONGEST_CONTEXT_ADDRESS and len(context) <= LARGEST_CONTEXT:
                yield address, context
        return
    if kind == HISTORY and versions.HISTORY not in store.engine.section_names():
        return
    engine = store.engine.section(versions.HISTORY) if kind == HISTORY else store.engine
    for address, row in engine.rows():
        try:
            record = _record(store, engine, address, row)
        except BadEntry:
            writer.bad += engine.get(address) == row  # else it was replaced or removed while we were reading it
            continue
        if record is not None:
            yield record


def _record(store: Store, engine: Engine, address: bytes, row: bytes | None) -> tuple[bytes, Buffer] | None:
    """The row and the content of its blob file; ``None`` if its time is over or it is gone."""
    if row is None:
        return None
    entry = unpack(row)
    at_home = entry.digest if engine is store.engine else versions.history_address(entry.digest, entry.version)
    if at_home != address:
        unpack(row, address)  # which says what is wrong
    if entry.is_expired():
        return None
    if not entry.flags & Flag.BLOB:
        return row, b""
    if store.blobs is None:
        raise BlobMissing("the entry points at a blob file, but its engine has none")
    try:
        return row, store.blobs.map(Reference.unpack(entry.payload), is_signed=bool(entry.flags & Flag.SIGNED))
    except BlobMissing:
        newer = engine.get(address)
        if newer == row:
            raise
        return _record(store, engine, address, newer)


class _Written(NamedTuple):
    records: int
    bytes: int
    members: int


class _Writer:
    """The zip file that is being written."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(handle, "w", allowZip64=True)
        self.bad = 0

    def add_all(self, place: str, kind: str, records: Iterable[tuple[bytes, Buffer]]) -> _Written:
        """Write *records* to as many members as they need; small ones together."""
        stash, part = map(int, place.split("/"))
        count = size = members = waiting = 0
        chunk: list[Buffer] = []
        for row, content in records:
            count, size = count + 1, size + len(row) + len(content)
            pieces = [RECORD.pack(len(row), len(content)), row, content]
            if len(row) + len(content) >= _LARGE:
                self._store(member_name(stash, part, kind, members), pieces)
                members += 1
                continue
            chunk += [*pieces[:2], bytes(content)]
            waiting += len(row) + len(content)
            if waiting >= _CHUNK:
                self._pack(member_name(stash, part, kind, members), b"".join(chunk))
                chunk, waiting, members = [], 0, members + 1
        if chunk:
            self._pack(member_name(stash, part, kind, members), b"".join(chunk))
            members += 1
        return _Written(count, size, members)

    def _store(self, name: str, pieces: list[Buffer]) -> None:
        with self._zip.open(zipfile.ZipInfo(name, _FIRST_YEAR), "w", force_zip64=True) as member:
            for piece in pieces:
                view = memoryview(piece)
                for start in range(0, len(view), PIECE):
                    member.write(view[start : start + PIECE])

    def _pack(self, name: str, data: bytes) -> None:
        kind = zipfile.ZIP_DEFLATED if _pays(data) else zipfile.ZIP_STORED
        self._zip.writestr(zipfile.ZipInfo(name, _FIRST_YEAR), data, kind, compresslevel=1)

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write the manifest and the directory."""
        self._pack(MANIFEST, json.dumps(manifest, indent=1).encode())
        self._zip.close()

    def close(self) -> None:
        """Let go of the file, be it whole or not; an error that has led here is not hidden by another one."""
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()


def _pays(data: bytes) -> bool:
    middle, last = len(data) // 2, max(0, len(data) - _SAMPLE)
    samples = b"".join(data[start : start + _SAMPLE] for start in dict.fromkeys((0, middle, last)))
    gain = len(zlib.compress(samples, 1)) / max(1, len(samples))
    return _MOST_GAIN < gain < _LEAST_GAIN
