"""Some room put by in a folder, for a full disk, on which even deleting needs a little."""

from __future__ import annotations

import contextlib
import os

from hashstash.paths import create_file

_STEP = 32 * 1024


def reserve_in(folder: str) -> str:
    """The path of the room put by."""
    return os.path.join(folder, "reserve")


def make_reserve(folder: str, size: int) -> None:
    """Put *size* bytes by, as far as there are so many."""
    path = reserve_in(folder)
    with contextlib.suppress(OSError):  # there is no room, or another process has just done so
        if os.path.exists(path):
            if os.path.getsize(path) == size:
                return
            os.unlink(path)
        descriptor = create_file(path)
        try:
            os.write(descriptor, bytes(size))
        finally:
            os.close(descriptor)


def shrink_reserve(folder: str, *, keep: int = 0, step: int = _STEP) -> bool:
    """Give up *step* bytes of what was put by, down to *keep* bytes; whether there was anything to give up."""
    path = reserve_in(folder)
    with contextlib.suppress(FileNotFoundError):
        size = os.path.getsize(path)
        if size > keep:
            os.truncate(path, max(keep, size - step))
            return True
    return False
