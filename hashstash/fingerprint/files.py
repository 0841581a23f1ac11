"""What a file holds, as a fact that can be checked again cheaply."""

from __future__ import annotations

import glob
import os
import stat
import time
from dataclasses import dataclass
from hashlib import blake2b

from hashstash.fingerprint.buffers import buffer_hasher, default_buffer_hash, delimited

LOG = "-wal"
"""Ends the name of the log that sqlite keeps beside a database."""
_CHUNK = 1 << 20
_SETTLED_SECONDS = 2.0
"""A file changed more recently than this may change again within one tick of the clock of its file system."""


def file_digest(path: str | os.PathLike[str], buffer_hash: str | None = None) -> bytes:
    """The digest of the bytes in the file at *path*."""
    hasher = buffer_hasher(buffer_hash or default_buffer_hash())()
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.digest()


def folder_digest(path: str | os.PathLike[str], pattern: str = "*") -> bytes:
    """The digest of the sorted names that match *pattern* in a folder, hidden ones too; no file is read."""
    names = sorted(glob.glob(pattern, root_dir=path, recursive=True, include_hidden=True))
    return blake2b(delimited(*map(os.fsencode, names)), digest_size=16).digest()


def is_empty_log(path: str, found: os.stat_result) -> bool:
    """Whether it is a log of sqlite without anything in it, which a mere reader makes and takes away: as good as none."""
    return found.st_size == 0 and path.endswith(LOG) and os.path.isfile(path.removesuffix(LOG))


@dataclass(frozen=True, slots=True)
class FileFact:
    """What was found at a path: a file's content, a folder's names, or nothing (an empty digest)."""

    path: str
    size: int
    mtime_ns: int
    digest: bytes
    settled: bool = False
    """Whether the file was old enough when it was recorded that an equal size and time mean equal content."""
    buffer_hash: str = "sha256"

    @classmethod
    def record(cls, path: str | os.PathLike[str], buffer_hash: str | None = None) -> FileFact:
        """The fact that holds now. What is missing is a fact too; what cannot be read raises ``OSError``."""
        name = os.fspath(path)
        hash_name = buffer_hash or default_buffer_hash()
        before: os.stat_result | None
        try:
            before = os.stat(name)
        except (FileNotFoundError, NotADirectoryError):
            before = None
        if before is None or is_empty_log(name, before):
            return cls(name, -1, 0, b"", False, hash_name)
        digest = folder_digest(name) if stat.S_ISDIR(before.st_mode) else file_digest(name, hash_name)
        # The time is from before reading: after a write meanwhile it is old, so that the content is compared.
        settled = stat.S_ISREG(before.st_mode) and time.time_ns() - before.st_mtime_ns > _SETTLED_SECONDS * 1e9
        return cls(name, before.st_size, before.st_mtime_ns, digest, settled, hash_name)

    def still_holds(self) -> bool:
        """Whether the path holds the same content now; equal size and time are trusted where that is safe."""
        now: os.stat_result | None
        try:
            now = os.stat(self.path)
        except OSError:
            now = None
        if now is None or is_empty_log(self.path, now):
            return self.digest == b"" and self.size == -1
        if self.settled and stat.S_ISREG(now.st_mode) and (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns):
            return True
        if stat.S_ISREG(now.st_mode) and now.st_size != self.size:
            return False
        try:
            return FileFact.record(self.path, self.buffer_hash).digest == self.digest
        except OSError:
            return False
