"""Which folder shared memory belongs to, so that what belongs to folders that are gone can go, too.

The name of the memory does not tell. A small file beside it does, where shared memory is files that can be listed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import TYPE_CHECKING

from hashstash.paths import create_file, open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHARED = "/dev/shm"  # noqa: S108
_SUFFIX = "_place"
_NOTE = re.compile(r"(hs-[0-9a-f]{16})" + _SUFFIX)
_LONGEST = 1 << 16


def note(name: str, folder: str) -> None:
    """Say that the memory of that name belongs to *folder*."""
    if os.path.isdir(_SHARED):
        # Whoever sees other folders at the same paths must not judge by them; nor anybody, while a disk is not mounted.
        place = [_view(), os.stat(folder).st_dev, os.path.realpath(folder)]
        with contextlib.suppress(OSError):  # there is a note, or no room for one
            descriptor = create_file(_path(name))
            try:
                os.write(descriptor, json.dumps(place).encode())
            finally:
                os.close(descriptor)


def forget(name: str) -> None:
    """Remove the note of that memory."""
    with contextlib.suppress(OSError):
        os.unlink(_path(name))


def abandoned(name_of: Callable[[str], str | None]) -> Iterator[str]:
    """The names of this user's memory whose folder was removed, or belongs to other memory now, as *name_of* a folder says."""
    try:
        notes = [found[1] for found in map(_NOTE.fullmatch, os.listdir(_SHARED)) if found]
    except OSError:
        return
    for name in notes:
        with contextlib.suppress(OSError, ValueError):  # others remove it too, or it is none of ours
            view, device, folder = _read(_path(name))
            if view == _view() and device == _device_of(folder) and name_of(folder) != name:
                yield name


def _path(name: str) -> str:
    return os.path.join(_SHARED, name + _SUFFIX)


def _view() -> str:
    try:
        return os.readlink("/proc/self/ns/mnt")
    except OSError:
        return ""


def _read(path: str) -> tuple[str, int, str]:
    descriptor = open_file(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(path)
        view, device, folder = json.loads(os.read(descriptor, _LONGEST))
    except TypeError as error:
        raise ValueError(f"{path} is no note") from error
    finally:
        os.close(descriptor)
    if not (isinstance(folder, str) and os.path.isabs(folder)):
        raise ValueError(f"{path} is no note")
    return view, device, folder


def _device_of(folder: str) -> int:
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return os.stat(folder).st_dev
