"""What the system says when it refuses to read or write, with what a user needs to know: where, how much, how much there is.

Calls on descriptors raise errors without a path, and libraries in C tell less than the system told them.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from hashstash.errors import StashFull
from hashstash.paths import create_file

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk, the quota, or how large one file may be."""
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_PROBE = 64 * 1024
_PAGE = 4096


def locate(error: OSError, path: str) -> None:
    """Let *error* name the path of what was read or written, if it names none."""
    if error.filename is None:
        error.filename = path


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Within, errors of the system that name no path name this one."""
    try:
        yield
    except OSError as error:
        locate(error, path)
        raise


def explain(error: OSError, path: str, folder: str, needed: int | None = None) -> None:
    """Raise what *error* means for a write of *needed* bytes into *folder*: that there is no room, or that it is read-only.

    Any other error is left to the caller, and names *path*.
    """
    if error.errno in NO_ROOM and not isinstance(error, StashFull):
        raise no_room(error.errno, folder, needed) from error
    if needed is not None:
        refuse_if_read_only(error, folder)
    locate(error, path)


def refuse_if_read_only(error: OSError, folder: str) -> None:
    """Say so if *error*, of a write into *folder*, means that this user may only read there."""
    if error.errno in _FORBIDDEN and os.path.isdir(folder) and not os.access(folder, os.W_OK):
        raise read_only(folder) from error


def read_only(folder: str) -> PermissionError:
    """The error for a write into *folder*, in which this user may only read."""
    text = "the folder of this stash is read-only; to change it, copy it to a place of your own, and open that"
    return PermissionError(errno.EACCES, text, folder)


def forbidden(path: str) -> PermissionError:
    """The error for a stash at *path*, into which this user may not even look."""
    text = f"you may not look into this stash, which {_owner(path)}; ask for the right to read it, or open another one"
    return PermissionError(errno.EACCES, text, path)


def _owner(path: str) -> str:
    try:
        number = os.stat(path).st_uid
    except OSError:  # nor into the folder that it lies in
        return "somebody else keeps to himself"
    try:
        import pwd

        return f"belongs to {pwd.getpwuid(number).pw_name}"
    except (ImportError, KeyError):
        return f"belongs to the user {number}"


def no_room(number: int | None, folder: str, needed: int | None = None) -> StashFull:
    """The error for a write of *needed* bytes into *folder* that found no room, for the reason *number*."""
    what = "to write" if needed is None else f"for {needed:,} bytes"
    where = "to" if needed is None else "in"
    return StashFull(
        number or errno.ENOSPC,
        f"no room {what} {where} {folder} ({_room(number, folder)}); free some, or clear a stash",
    )


def _room(number: int | None, folder: str) -> str:
    if number == errno.EFBIG:
        return "a file may not be larger"
    free = free_bytes(folder)
    return f"{'the quota is used up; ' * (number == errno.EDQUOT)}{'?' if free is None else f'{free:,}'} bytes are free"


def free_bytes(folder: str) -> int | None:
    """Bytes that this user may still write into *folder*, or what exists above it; ``None`` where nobody can tell."""
    while not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    try:
        status = os.statvfs(folder)
    except (OSError, AttributeError):
        return None
    return status.f_bavail * status.f_frsize


def why_not(folder: str, said: object, needed: int | None = None) -> OSError:
    """What the system has against writing into *folder*, where a library has only *said* that it failed.

    If it has nothing against that any more, an input or output error with the library's words.
    """
    error = _refusal(folder)
    if error is None:
        return OSError(errno.EIO, str(said), folder)
    if error.errno in NO_ROOM:
        return no_room(error.errno, folder, needed)
    locate(error, folder)
    return error


def _refusal(folder: str) -> OSError | None:
    """What the system says against one more file in *folder* that ends behind the largest one there."""
    try:
        descriptor = _unnamed_file(folder)
        try:
            start = max(map(_size, os.scandir(folder)), default=0)
            for offset in range(0, _PROBE, _PAGE):  # a larger write would store what fits, and say nothing
                os.pwrite(descriptor, bytes(_PAGE), start + offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error
    return None


def _size(entry: os.DirEntry[str]) -> int:
    with contextlib.suppress(FileNotFoundError):
        return entry.stat(follow_symlinks=False).st_size
    return 0


def _unnamed_file(folder: str) -> int:
    if hasattr(os, "O_TMPFILE"):
        with contextlib.suppress(OSError):  # not every file system has them
            return os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
    path = os.path.join(folder, f"probe.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = create_file(path)
    os.unlink(path)
    return descriptor
