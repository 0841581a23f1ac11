"""The folder of a trial: laid out anew from memory each time, and known again by its bytes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from hashlib import blake2b

_OLD = 2 * 86_400
_SMALL, _LARGE = 64, 1 << 17
_PATIENCE, _NAP = 30.0, 0.02


class Template:
    """What a folder holds, kept in memory: laying it out costs a few calls per file."""

    def __init__(self, folder: str) -> None:
        self._folders: list[tuple[str, int]] = []
        self._files: list[tuple[str, int, bytes]] = []
        for path, _, files in os.walk(folder):
            self._folders.append((path[len(folder) :], os.stat(path).st_mode))
            for name in files:
                file = os.path.join(path, name)
                with open(file, "rb") as opened:
                    self._files.append((file[len(folder) :], os.stat(file).st_mode, opened.read()))

    def lay_out(self, folder: str) -> None:
        """Have *folder* hold this, and nothing else."""
        shutil.rmtree(folder, ignore_errors=True)
        for name, mode in self._folders:
            os.mkdir(folder + name, mode & 0o7777)
        for name, mode, content in self._files:
            descriptor = os.open(folder + name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode & 0o7777)
            try:
                os.write(descriptor, content)
            finally:
                os.close(descriptor)


def digest(folder: str, process: int) -> bytes:
    """The same for folders that hold the same names, rights and bytes, but for the number of the *process* that wrote them.

    Also but for the moment at which that began, which stands behind the number in the names of drafts, and for numbers and times
    of files, which a small file may hold to know another one again: days later they are others anyway. Workers of a map that
    failed may be about to end, and close what they have open.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _digest(folder, process)
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_NAP)


def _digest(folder: str, process: int) -> bytes:
    places = sorted(
        (os.path.join(path, name), name in files)
        for path, folders, files in os.walk(folder)
        for name in folders + files
    )
    statuses = {place: os.lstat(place) for place, _ in places}
    numbers = {number for status in statuses.values() for number in _numbers(status)}
    state = blake2b(digest_size=16)
    for place, is_file in places:
        state.update(_without(process, os.fsencode(f"{place[len(folder) :]}\n{statuses[place].st_mode}\n")))
        if is_file:
            with open(place, "rb") as opened:
                content = opened.read()
            if len(content) <= _LARGE:  # what is reserved, or in a file of its own, is the same for everybody
                content = _without(process, content)
            if len(content) <= _SMALL:
                pieces = (content[start : start + 8] for start in range(0, len(content), 8))
                content = b"".join(b"#" if piece in numbers else piece for piece in pieces)
            state.update(b"%d\n" % len(content))
            state.update(content)
    return state.digest()


def _without(process: int, content: bytes) -> bytes:
    decimal, binary = b"%d" % process, process.to_bytes(4, "little")
    if decimal in content:  # which is seldom so, and what follows reads slowly
        content = re.sub(rb"\b%s(?:-\d+)?\b" % decimal, b"#", content)
    return content.replace(binary, b"#") if binary in content else content


def _numbers(status: os.stat_result) -> list[bytes]:
    return [number.to_bytes(8, "little") for number in (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)]


def make_old(folder: str) -> None:
    """As it is days later."""
    moment = time.time() - _OLD
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):
                os.utime(os.path.join(path, name), (moment, moment))


def names(folder: str) -> list[str]:
    """The files below *folder*, without what is chosen by chance in their names.

    Not the journal that SQLite has left beside a file which is still empty: it is SQLite's own, and goes with the first write.
    """
    found = []
    for path, _, files in os.walk(folder):
        place = os.path.relpath(path, folder)
        kept = [name for name in files if not _is_journal_of_nothing(os.path.join(path, name))]
        found += [re.sub(r"[0-9a-f]{4,}|\b[0-9a-f]{2}\b|\d+", "#", os.path.join(place, name)) for name in kept]
    return found


def _is_journal_of_nothing(path: str) -> bool:
    database = path.removesuffix("-journal")
    return path != database and os.path.exists(database) and not os.path.getsize(database)
