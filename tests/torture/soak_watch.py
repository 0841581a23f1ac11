"""What a long run may not let grow: memory, descriptors, threads and processes, files of every kind, and the storage itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from torture.places import Place

MARK = "HASHSTASH_TORTURE_SOAK"
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MB = 1_000_000
_SHM = "/dev/shm"
_OF_THE_LIBRARY = re.compile(r"/pymp-|/[a-z0-9_]{8}$")
"""What multiprocessing and tempfile of the standard library leave where their process is killed."""
_LOG = "largest write-ahead log, MB"


@dataclass
class Trend:
    """One figure over time. It grows if its median in the last quarter is above *factor* times that of the second, and *slack*."""

    factor: float
    slack: float
    per_kill: float = 0.0
    """What each killed process may leave until somebody sweeps up, within the hour."""
    samples: list[tuple[float, float]] = field(default_factory=list)

    def quarters(self) -> tuple[float, float]:
        """The medians in the second quarter of the time, and in the last."""
        end = self.samples[-1][0]
        second = [value for moment, value in self.samples if end / 4 <= moment < end / 2]
        last = [value for moment, value in self.samples if moment >= 3 * end / 4]
        return median(second), median(last)

    def grows(self, kills: int) -> bool:
        second, last = self.quarters()
        return last > self.factor * second + self.slack + self.per_kill * kills / 2

    def shown(self, name: str) -> str:
        second, last = self.quarters()
        minutes = self.samples[-1][0] / 2 / 60
        most = max(value for _, value in self.samples)
        return f"{name}: {second:,.6g} -> {last:,.6g} ({(last - second) / minutes:+,.3g} a minute, at most {most:,.6g})"


def _trends() -> dict[str, Trend]:
    return {
        "memory of a process, MB": Trend(1.15, 24),
        "descriptors": Trend(1.2, 20),
        "threads": Trend(1.0, 4),
        "processes of pools": Trend(1.0, 3),
        "files": Trend(1.3, 60, per_kill=2),
        "lock files": Trend(1.0, 8, per_kill=1),
        "temporary files": Trend(
            1.0, 4, per_kill=1
        ),  # the socket of a killed process's pool, which is multiprocessing's own
        "drafts": Trend(1.0, 4, per_kill=1),
        "shared memory": Trend(1.0, 2),
        "storage, MB": Trend(1.25, 8),
        _LOG: Trend(1.0, 17),  # each database of sqlite lets its own grow to 16 MB
        "server, MB": Trend(1.25, 8),
    }


class Watch:
    """Samples of all figures."""

    def __init__(self, where: Place, temporary: str) -> None:
        self._where = where
        self._temporary = temporary
        self._trends = _trends()

    def sample(self, moment: float, processes: list[int]) -> None:
        """Take the figures now; *processes* have been there from the beginning."""
        figures = {**_of_processes(processes), **_of_files(self._where.root)}
        figures["temporary files"] = sum(1 for _ in _below(self._temporary))
        figures["shared memory"] = len(_shared(self._where.root))
        figures["server, MB"] = _of_server(self._where)
        for name, value in figures.items():
            self._trends[name].samples.append((moment, value))

    def latest(self) -> str:
        """All figures in a line."""
        return ", ".join(f"{name} {trend.samples[-1][1]:,.4g}" for name, trend in self.trends().items())

    def trends(self) -> dict[str, Trend]:
        """What was ever more than nothing."""
        return {name: trend for name, trend in self._trends.items() if any(value for _, value in trend.samples)}

    def left_after_clearing(self, kills: int) -> Iterator[str]:
        """What is still there once all processes have ended and all stashes were cleared."""
        temporary = [path for path, _ in _below(self._temporary)]
        ours = [path for path in temporary if not _OF_THE_LIBRARY.search(path)]
        if ours or len(temporary) > kills:
            yield f"temporary files: {(ours or temporary)[:5]}"
        if left := _shared(self._where.root):
            yield f"shared memory: {left[:5]}"
        files = _of_files(self._where.root)
        if files["lock files"] + files["drafts"] > 2 * kills + 8:
            yield f"{files['lock files']:.0f} lock files and {files['drafts']:.0f} drafts after {kills} kills"


def was_left(stash: Any, kills: int) -> Iterator[str]:
    """Files that no row points at, beyond what was about to be published when a process was killed."""
    left = _files_left(stash)
    if len(left) > kills:
        yield f"{len(left)} blob files that no row points at, after {kills} kills"


def bytes_left(stash: Any) -> int:
    """The bytes of the blob files that no row points at."""
    return sum(os.path.getsize(stash.store.blobs.path(name)) for name in _files_left(stash))


def _files_left(stash: Any) -> set[str]:
    from hashstash.upkeep import orphans

    return set() if stash.store.blobs is None else orphans(stash.store, stash.store.blobs)


def processes_of(mark: str) -> dict[int, str]:
    """The processes that have inherited the mark, with their command lines."""
    found = {}
    wanted = f"{MARK}={mark}".encode()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if wanted not in file.read().split(b"\0"):
                    continue
            with open(f"/proc/{name}/cmdline", "rb") as file:
                found[int(name)] = file.read().replace(b"\0", b" ").decode(errors="replace")[:200]
        except OSError:
            continue  # it has ended, or is another user's
    return found


def _of_processes(processes: list[int]) -> dict[str, float]:
    """Means over those that are watched."""
    memory = descriptors = threads = 0
    for process in processes:
        with open(f"/proc/{process}/statm", encoding="ascii") as file:
            _, resident, shared, *_ = map(int, file.read().split())
        memory += (resident - shared) * _PAGE  # mapped files are not this process's own
        descriptors += len(os.listdir(f"/proc/{process}/fd"))
        threads += len(os.listdir(f"/proc/{process}/task"))
    count = len(processes)
    return {
        "memory of a process, MB": memory / count / _MB,
        "descriptors": descriptors / count,
        "threads": threads / count,
        "processes of pools": sum(map(_descendants, processes)) / count,
    }


def _descendants(process: int) -> int:
    children = []
    for task in os.listdir(f"/proc/{process}/task"):
        try:
            with open(f"/proc/{process}/task/{task}/children", encoding="ascii") as file:
                children += map(int, file.read().split())
        except OSError:
            continue
    total = 0
    for child in children:
        try:
            total += 1 + _descendants(child)
        except OSError:
            continue
    return total


def _of_files(root: str) -> dict[str, float]:
    found = dict.fromkeys(("files", "lock files", "drafts", "storage, MB", _LOG), 0.0)
    for path, size in _below(root):
        found["files"] += 1
        found["lock files"] += path.endswith(".lock")
        found["drafts"] += f"{os.sep}tmp{os.sep}" in path[len(root) :]
        if path.endswith("-wal"):
            found[_LOG] = max(found[_LOG], size / _MB)
        else:
            found["storage, MB"] += size / _MB
    return found


def _below(folder: str) -> Iterator[tuple[str, int]]:
    """Every file with the room that it takes; what goes meanwhile is left out."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)
            else:
                yield entry.path, 512 * entry.stat(follow_symlinks=False).st_blocks
        except OSError:
            continue


def _shared(root: str) -> list[str]:
    """What lies in the system's memory for the stashes below *root*, folders included."""
    base = os.path.join(_SHM, f"hashstash-{os.getuid()}", root.lstrip(os.sep))
    return [os.path.join(path, name) for path, folders, names in os.walk(base) for name in (*folders, *names)]


def _of_server(where: Place) -> float:
    if where.engine != "redis":
        return 0.0
    import redis

    with redis.Redis.from_url(where.options["url"]) as client:
        return float(client.info("memory")["used_memory"]) / _MB
