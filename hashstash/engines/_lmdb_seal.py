"""Whether the file of an LMDB environment is as the last one of us left it, so that its pages need not be looked at again.

A file beside it says which inode had which size and time of change when it was closed. Where that differs, somebody has written
since: a process that still works on it, one that was killed, or none of ours.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct

from hashstash.paths import create_file, remove_abandoned

_SEAL = struct.Struct("<QQQQ")
_DRAFT = re.compile(r"\.\d+\.[0-9a-f]{8}")
"""What stands behind the name of the seal in that of its draft."""
_ABANDONED = 3600.0


def is_sealed(path: str) -> bool:
    """Whether the file at *path* was not changed since :func:`seal`."""
    try:
        descriptor = os.open(_beside(path), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        return os.read(descriptor, _SEAL.size + 1) == _stamp(path)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def was_sealed(path: str) -> bool:
    """Whether there was something in the file at *path* when it was closed."""
    return os.path.exists(_beside(path))


def seal(path: str) -> None:
    """Note how the file at *path* looks now, as far as that can be noted.

    Drafts of those who could neither finish nor remove them, since the disk failed, are removed.
    """
    with contextlib.suppress(OSError):
        stamp = _stamp(path)
        draft = f"{_beside(path)}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            descriptor = create_file(draft)
            try:
                os.write(descriptor, stamp)
            finally:
                os.close(descriptor)
            os.replace(draft, _beside(path))
        except BaseException:
            with contextlib.suppress(OSError):  # it was not even begun, or is removed later
                os.unlink(draft)
            raise
    folder, name = os.path.split(_beside(path))
    remove_abandoned(folder, lambda other: _is_draft(other, name), older_than=_ABANDONED)


def _is_draft(other: str, name: str) -> bool:
    return other.startswith(name) and _DRAFT.fullmatch(other, len(name)) is not None


def _beside(path: str) -> str:
    return os.path.splitext(path)[0] + ".seal"


def _stamp(path: str) -> bytes:
    status = os.stat(path)
    return _SEAL.pack(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
