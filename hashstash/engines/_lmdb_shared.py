"""The LMDB environments that this process has open: one per file, shared by all stashes on it, each opened anew after a fork.

The library opens no folder twice in a process, and an environment must be neither used nor closed by a forked child as its parent
does. A background thread syncs what a power loss would cost.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from operator import attrgetter

import lmdb

from hashstash import forks
from hashstash.engines._lmdb_environment import QUIET, Environment, file_in
from hashstash.engines._nested import in_the_midst
from hashstash.refusals import naming

logger = logging.getLogger(__name__)

_SYNC_EVERY = 3.0
_LONGEST_PAUSE = 2.0
_MOST_IDLE = 32
_MOST_OPEN = 48
"""Each takes three or four files, of which some systems give a process no more than 256."""
_FORK_SAFE_SINCE = 3

environments: dict[str, Environment] = {}
table_lock = threading.RLock()
generation = 0
"""How many forks lie between this process and the one that began; what was opened in an earlier one is not to be used."""
syncer: threading.Thread | None = None
_abandoned: list[Environment] = []
_opening: set[str] = set()
"""Folders on which one is being looked for or opened, by the thread that has the lock."""
_paused: list[tuple[Environment, bool]] = []
"""Those whose gates are held by a thread that forks."""


def acquire(folder: str, map_size: int, *, durable: bool, tidies: bool = True) -> Environment:
    """The environment on *folder* for one user more, opened if it is not; *map_size* is its first size in bytes.

    *tidies*: whether that user wants files beside it that make opening it, or a full disk, easier.
    """
    real = os.path.realpath(folder)
    with table_lock:
        if real in _opening:
            raise in_the_midst(real)
        try:
            # Before anybody looks: what a signal handler or a finalizer opens after that would be opened twice.
            _opening.add(real)
            environment = _found_or_opened(real, map_size, durable=durable)
        finally:
            _opening.discard(real)
        if tidies:
            environment.tidy()
        environment.users += 1
        return environment


def _found_or_opened(real: str, map_size: int, *, durable: bool) -> Environment:
    environment = environments.get(real)
    if environment is not None and not environment.is_in_place():
        give_up(environment)
        environment = None
    if environment is None:
        environment = _by_another_path(real)
    if environment is None:
        _make_room()
        _let_go_of_parents(real)
        with naming(real):
            environment = environments[real] = Environment(real, map_size, durable=durable)
    return environment


def _by_another_path(folder: str) -> Environment | None:
    """The environment that is open on the very file in *folder*, if another path leads there too, as bind mounts do.

    The library opens no file twice, and closing it once would give up the locks of both. Where that path leads there no longer,
    as after the folder was renamed, it is closed, so that those who know the folder by that path begin anew there.
    """
    identity = file_in(folder)
    known = next(
        (known for known in list(environments.values()) if identity is not None and known.identity == identity), None
    )
    if known is None:
        return None
    if known.is_in_place() and not (known.read_only and os.access(folder, os.W_OK)):
        return known
    del environments[known.folder]
    known.close()
    return None


def may_only_read(environment: Environment, folder: str) -> bool:
    """Whether nothing may be written to *environment* by the path *folder*, whoever may do so by the one it was opened by."""
    return environment.read_only or (os.path.realpath(folder) != environment.folder and not os.access(folder, os.W_OK))


def _let_go_of_parents(folder: str) -> None:
    """In a forked child, make the library forget what the parent has open on *folder*.

    Since version 3 it refuses to open a folder twice and closes an environment of another process without touching that
    process's locks and readers; older versions do neither, and there the environment must stay as it is.
    """
    if int(lmdb.__version__.split(".")[0]) >= _FORK_SAFE_SINCE:
        identity = file_in(folder)
        for environment in [
            known for known in _abandoned if known.folder == folder or (identity and known.identity == identity)
        ]:
            environment.leave()
            _abandoned.remove(environment)


def _make_room() -> None:
    """Close what nobody has any more, and what was not used for longest. Who has that opens it again."""
    idle = [environment for environment in list(environments.values()) if environment.users <= 0]
    for environment in idle if len(idle) > _MOST_IDLE else ():
        del environments[environment.folder]
        environment.close()
    too_many = len(environments) - _MOST_OPEN + 1
    for environment in sorted(environments.values(), key=attrgetter("used_at"))[: max(0, too_many)]:
        if environment.close_if_quiet():
            del environments[environment.folder]


def release(environment: Environment) -> None:
    """Say that one user less has it; the last one closes it."""
    with table_lock:
        environment.users -= 1
        is_last = environment.users <= 0 and environments.get(environment.folder) is environment
        if is_last and not environment.is_running_here():
            del environments[environment.folder]
            environment.close()


def give_up(environment: Environment) -> None:
    """Close what is worth nothing any more: a write of the library's own has failed, or its file was removed."""
    with table_lock:
        if environments.get(environment.folder) is environment:
            del environments[environment.folder]
            environment.give_up()


def close_on(folder: str) -> None:
    """Close what is open on *folder*, whoever uses it."""
    with table_lock:
        real = os.path.realpath(folder)
        environment = environments.get(real) or _by_another_path(real)
        if environment is not None:
            del environments[environment.folder]
            environment.close()


def start_syncer() -> None:
    """Have a thread sync what is written from now on, unless there is one."""
    global syncer
    with table_lock:
        if syncer is None:
            syncer = threading.Thread(target=_sync_for_ever, name="hashstash-sync", daemon=True)
            syncer.start()


def _sync_for_ever() -> None:
    while True:
        time.sleep(_SYNC_EVERY)
        for environment in list(environments.values()):
            if environment.is_dirty:
                with table_lock:
                    if environments.get(environment.folder) is environment:
                        try:
                            environment.sync()
                        except (lmdb.Error, OSError) as error:  # tried again, and raised where it is closed
                            logger.debug("%s is not synced: %s", environment.folder, error)


def _close_all() -> None:
    with table_lock:
        for environment in list(environments.values()):
            environment.close()
        environments.clear()


def _forget_in_child() -> None:
    """A forked child must neither use nor close what its parent has open."""
    global generation, syncer
    generation += 1
    syncer = None
    for environment in environments.values():
        environment.begin = None
        if environment not in _abandoned:
            _abandoned.append(environment)
    environments.clear()
    _opening.clear()
    _paused.clear()


def _pause_for_fork() -> None:
    """Let no transaction run while the process is copied: the child could never close what its parent was writing to."""
    for environment in environments.values():
        # In one step: no interrupt comes between the two, after which the gate would stay shut.
        _paused.extend(zip((environment,), map(environment.gate.acquire, (True,)), strict=False))
        environment.begin, environment.is_due = None, True
    deadline = time.monotonic() + _LONGEST_PAUSE
    while any(known.running for known in environments.values()) and time.monotonic() < deadline:
        time.sleep(QUIET)


def _go_on_after_fork() -> None:
    while _paused:
        environment, _ = _paused[-1]
        del _paused[-1]  # no call, which an interrupt could follow
        environment.gate.release()


forks.before(_pause_for_fork)
forks.in_parent(_go_on_after_fork)
forks.in_child(_forget_in_child)
forks.hold(table_lock)
atexit.register(_close_all)
