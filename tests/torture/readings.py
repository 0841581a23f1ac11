"""Folders that can only be read: on a mount, without the right to write, somebody else's; left by writers that ended or were killed."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

from hashstash.errors import StashFull
from torture import mounts
from torture.children import Child
from torture.disks import SIZES, Wrong, doubled, found, live
from torture.places import FILES, Place
from torture.report import Budget, Check, Finding
from torture.values import LARGE, made, verified


def only_reads(place: str, count: int, has_home: bool) -> None:
    """In a child that must not write there: everything can be read, nothing stored, and computing goes on."""
    where, wrong = Place.loads(place), Wrong()
    os.environ["HOME"] = tempfile.mkdtemp() if has_home else os.path.join(where.root, "home")
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    before = _listing(where.root)
    stash = where.open()
    try:
        for number in range(count):
            verified(f"key {number}", stash[f"key {number}"])
            wrong.count("read")
        found = (
            len(stash),
            len(list(stash.keys())),
            len(list(stash.items())),
            len(list(stash.entries())),
            "key 1" in stash,
        )
        if found != (count, count, count, count, True):
            wrong(f"listings say {found} of {count}")
        if stash.get("absent") is not None or stash.run(doubled, 1) != 2:
            wrong("a miss or a hit is no such")
        if problems := list(stash.check()):
            wrong(f"check() says {problems[:3]}")
        repr(stash), stash.stats, stash.size_bytes(), stash.get_all("key 1")
    except Exception as error:  # noqa: BLE001
        wrong(f"reading raises {error!r}")
    for name, write in _WRITES.items():
        try:
            write(stash)
            wrong(f"{name} says nothing")
        except (StashFull, Exception) as error:  # noqa: BLE001
            is_clear = isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM)
            if not is_clear or where.root not in str(error):
                wrong(f"{name} raises {error!r}")
            wrong.count("refused")
    for _ in range(2):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            if [stash.run(doubled, number) for number in range(10, 20)] != list(range(20, 40, 2)):
                wrong("a computation was refused")
    if len(warned) > 1:
        wrong(f"{len(warned)} warnings that results are not kept: {warned[0].message}")
    stash.close()
    if new := sorted(set(_listing(where.root)) ^ set(before)):
        wrong(f"reading made or removed {new[:5]}")
    wrong.tell()


_WRITES: dict[str, Callable[[Any], Any]] = {
    "set": lambda stash: stash.__setitem__("new", 1),
    "overwrite": lambda stash: stash.__setitem__("key 1", 1),
    "set large": lambda stash: stash.__setitem__("new", bytes(LARGE)),
    "set code": lambda stash: stash.__setitem__("new", doubled),
    "delete": lambda stash: stash.__delitem__("key 1"),
    "update": lambda stash: stash.update({"new": 1, "key 2": 2}),
    "clear": lambda stash: stash.clear(),
}


def prepares(place: str, count: int, ends: bool) -> None:
    """In a child: what is to be read later; it is killed with everything open unless it *ends*."""
    where = Place.loads(place)
    live(where)
    stash = where.open()
    for number in range(count):
        stash[f"key {number}"] = made(f"key {number}", 0, number, SIZES[number % len(SIZES)])
    stash.run(doubled, 1)
    if ends:
        stash.close()
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def _listing(folder: str) -> list[str]:
    return [os.path.join(path, name) for path, folders, files in os.walk(folder) for name in (*folders, *files)]


# ---- checks ----------------------------------------------------------------------------------------------------------


def read_only_mount(where: Place, budget: Budget) -> Finding:
    if reason := mounts.why_no_mounts():
        return Finding(notes=[f"skipped: {reason}"])
    return _reads(where, budget, lambda folder: mounts.read_only(folder))


def read_only_folder(where: Place, budget: Budget) -> Finding:
    """Folders of another user's, and own ones without the right to write."""
    if not mounts.as_nobody():
        return Finding(notes=["skipped: only root can become another user"])
    finding = _reads(where, budget, lambda folder: _without_rights(folder, owner=mounts.NOBODY))
    other = _reads(where.fresh("other"), budget, lambda folder: _without_rights(folder, owner=0))
    finding.failures += [f"a folder of somebody else's: {failure}" for failure in other.failures]
    finding.counts.update(other.counts)
    finding.seconds += other.seconds
    return finding


def _without_rights(folder: str, *, owner: int) -> list[str]:
    others = 0 if owner else 0o055
    for path, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            if os.path.lexists(target := os.path.join(path, name)):
                os.chown(target, owner, owner)
                os.chmod(
                    target,
                    (0o500 if os.path.isdir(target) else 0o400) | (others if os.path.isdir(target) else others & 0o044),
                )
    os.chmod(os.path.dirname(folder), 0o755)
    os.chmod(os.path.dirname(os.path.dirname(folder)), 0o755)
    return mounts.as_nobody()


def _reads(where: Place, budget: Budget, under: Callable[[str], list[str]]) -> Finding:
    count, finding = budget(full=60, short=12), Finding()
    for ends in (True, False):
        place = where.fresh(f"ended-{ends}")
        child = Child("torture.readings", "prepares", place.dumps(), count, ends)
        child.end(), child.errors()
        for has_home in (True, False):
            one = found(
                "only_reads", place.dumps(), count, has_home, under=under(place.root), module="torture.readings"
            )
            what = f"{'closed' if ends else 'killed'} writer, {'a' if has_home else 'no'} home: "
            finding.failures += [what + failure for failure in one.failures]
            finding.counts.update(one.counts)
            finding.seconds += one.seconds
    return finding


READINGS = (
    Check(
        "read_only_mount",
        read_only_mount,
        FILES,
        "on a read-only mount everything can be read, and computing goes on",
        ("sqlite",),
    ),
    Check("read_only_folder", read_only_folder, FILES, "so it is in a folder without the right to write", ("lmdb",)),
)
