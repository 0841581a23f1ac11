"""Which folder the rows of a stash lie in: one for each engine, whatever the codec that its name tells of.

The name says how the first one who opened the stash wrote. Others may write in another way, and all of them share that folder:
entries describe themselves.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, TypeVar

from hashstash.paths import is_there, make_folder, open_file
from hashstash.refusals import forbidden

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import fcntl
except ImportError:  # no flock on this system: folders are made without turns
    fcntl = None  # type: ignore[assignment]

Result = TypeVar("Result")

FILENAME = "data.db"
_PATIENCE = 5.0
"""Seconds to wait for whoever is making a folder, or only pretends to: others may be able to lock what they can read."""
_NAP = 0.002


def folder_in(parent: str, engine: str, label: str) -> str:
    """The folder in *parent* where rows of that engine lie: the one that is there, else the one called *label*."""
    try:
        siblings = [name for name in os.listdir(parent) if name.startswith(engine + ".")]
    except (FileNotFoundError, NotADirectoryError):
        siblings = []
    except PermissionError as error:
        raise forbidden(parent) from error
    found = sorted(name for name in siblings if _is_there(os.path.join(parent, name)))
    return os.path.join(parent, found[0] if found else label, FILENAME)


def _is_there(labelled: str) -> bool:
    try:
        return is_there(os.path.join(labelled, FILENAME))
    except PermissionError as error:
        raise forbidden(labelled) from error


def engines_in(parent: str) -> list[str]:
    """The names of the engines of which anything is stored in *parent*; folders that were only opened do not count."""
    try:
        names = sorted(name for name in os.listdir(parent) if "." in name)
    except OSError:  # there is nothing, or nothing that this user may see: whoever reads or writes will be told
        return []
    return list(dict.fromkeys(name.partition(".")[0] for name in names if _holds_files(os.path.join(parent, name))))


def _holds_files(folder: str) -> bool:
    return any(files for _, _, files in os.walk(os.path.join(folder, FILENAME)))


def made_folder_in(parent: str, engine: str, label: str) -> str:
    """The same, made where it is missing and may be made.

    Processes that open a new stash at once, each with settings of its own, take turns: two folders would be two stashes, of
    which each is blind for the other's rows.
    """
    folder = folder_in(parent, engine, label)
    if os.path.isdir(folder):
        return folder
    try:
        make_folder(parent)
        folder = _made_in_turn(parent, engine, label)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise  # else nothing is stored there, and whoever writes will be told
    return folder


def _made_in_turn(parent: str, engine: str, label: str) -> str:
    """The same, made by the only one, of all who ask, that makes something in *parent*; no file is left there by that."""

    def made(_: object = None) -> str:
        folder = folder_in(parent, engine, label)
        make_folder(folder)
        return folder

    try:
        return made() if fcntl is None else while_locked(os.path.realpath(parent), _wait, made)
    except FileNotFoundError:  # another process has removed the parent, since it was empty
        return made()


def while_locked(folder: str, take: Callable[[int], bool], work: Callable[[bool], Result]) -> Result:
    """What *work* gives, called with what *take* says of a descriptor of *folder*, which it may lock by ``flock``.

    The lock is given back whatever interrupts it. *folder* is no link.
    """
    descriptor = open_file(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return work(take(descriptor))
    finally:  # here calls of C code only: before the first step of a Python function an interrupt could leave others waiting
        try:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process that was forked meanwhile has the descriptor too
        except OSError:
            pass
        finally:
            os.close(descriptor)


def _wait(descriptor: int) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while not _is_locked(descriptor):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_NAP)
    return True


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that locks no folders: as good as it gets
        return True
    return True
