"""What a path leads to, as part of a key: the bytes of a file, or the files of a folder by their names within it.

The path itself does not count, so that a copy elsewhere is the same key, and all empty folders are one. A file is not
read again while its inode, size and times are those it was read with, unless it had changed just before: within one
tick of the clock of its file system it may change again without a trace.
"""

from __future__ import annotations

import os
import pathlib
import stat
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from hashstash.errors import VolatileKey
from hashstash.fingerprint.buffers import delimited
from hashstash.fingerprint.dispatch import handler_for
from hashstash.fingerprint.files import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.fingerprint.walker import Handler, Walker

CONCRETE = type(pathlib.Path())
_SETTLED_NS = 2_000_000_000
_MOST_REMEMBERED = 10_000


class _Seen(NamedTuple):
    """What of a file's status changes whenever its content does."""

    inode: tuple[int, int]
    size: int
    mtime_ns: int
    ctime_ns: int


_digests: dict[tuple[str, str], tuple[_Seen, bytes]] = {}


def content_handlers(buffer_hash: str) -> Callable[[type], Handler]:
    """Like ``handler_for``, but a ``Path`` counts by what it leads to; pure paths lead nowhere and count as they are."""

    def walk_content(walker: Walker, value: pathlib.Path) -> None:
        walker.mark("content", content_digest(value, buffer_hash).hex())

    return lambda kind: walk_content if kind is CONCRETE else handler_for(kind)


def content_digest(path: str | os.PathLike[str], buffer_hash: str) -> bytes:
    """The digest of the file or folder at *path*; VolatileKey where there is none that can be read to its end."""
    name = os.path.abspath(path)
    try:
        status = os.stat(name)
        if stat.S_ISDIR(status.st_mode):
            return _folder_digest(name, buffer_hash)
        if stat.S_ISREG(status.st_mode):
            return blake2b(b"file" + _file_digest(name, status, buffer_hash), digest_size=16).digest()
    except (OSError, ValueError) as error:  # a nul in the path is a ValueError
        why = getattr(error, "strerror", error)
        raise VolatileKey(
            f"the content of {os.fspath(path)!r} cannot be read ({why}); give a path that exists, or open the"
            " stash with paths='path'"
        ) from error
    raise VolatileKey(f"{os.fspath(path)!r} is neither a file nor a folder, so it has no content to be found by")


def _folder_digest(folder: str, buffer_hash: str) -> bytes:
    parts = (part for name, digest in _files_below(folder, buffer_hash) for part in (os.fsencode(name), digest))
    return blake2b(b"folder" + delimited(*parts), digest_size=16).digest()


def _files_below(folder: str, buffer_hash: str) -> Iterator[tuple[str, bytes]]:
    """The names within *folder* of all files below it, in order, with their digests. Links to folders are not followed."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_symlink() and not entry.is_file():
            yield entry.name, b"link" + os.fsencode(os.readlink(entry.path))
        elif entry.is_dir():
            for name, digest in _files_below(entry.path, buffer_hash):
                yield f"{entry.name}/{name}", digest
        elif entry.is_file():
            yield entry.name, _file_digest(entry.path, os.stat(entry.path), buffer_hash)
        else:
            raise VolatileKey(
                f"{entry.path!r} is neither a file nor a folder, so its folder has no content to be found by"
            )


def _file_digest(path: str, status: os.stat_result, buffer_hash: str) -> bytes:
    seen = _Seen((status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    known = _digests.get((path, buffer_hash))
    if known is not None and known[0] == seen:
        return known[1]
    now = time.time_ns()
    digest = file_digest(path, buffer_hash)
    # The times are from before reading: after a write meanwhile, the file is read again the next time.
    if now - max(seen.mtime_ns, seen.ctime_ns) > _SETTLED_NS:
        if len(_digests) >= _MOST_REMEMBERED:
            _digests.clear()
        _digests[path, buffer_hash] = (seen, digest)
    return digest
