"""Which process of which system left something behind, and whether it may still come back for it."""

from __future__ import annotations

import functools
import os
from hashlib import blake2b


@functools.cache
def system() -> str:
    """What only processes share whose numbers mean the same: one boot of one kernel, and one space of process numbers.

    Empty where that cannot be told: there, nobody is known to be gone.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""  # a system that does not say it


def started(process: int) -> str:
    """When a process of this system was started, in ticks since the boot; empty if there is none, or if it is dead."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
    except (OSError, IndexError):
        return ""


def named(process: int) -> str:
    """How people are told of a process of this system."""
    return "another thread of this process" if process == os.getpid() else f"process {process}"


def lock_holder(path: str) -> str:
    """Who holds the ``flock`` on the file at *path*, as people are told; ``another process`` where the system does not say."""
    try:
        status = os.stat(path)
        place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        with open("/proc/locks", encoding="ascii") as file:
            held = [line.split() for line in file]
    except (OSError, ValueError):
        return "another process"
    holders = [int(words[4]) for words in held if words[1:2] == ["FLOCK"] and words[5:6] == [place]]
    return named(holders[0]) if len(holders) == 1 and holders[0] > 0 else "another process"


def mark() -> str:
    """What this process begins the names of its temporary files with; safe in a file's name, and without a dot."""
    return _mark(os.getpid())


@functools.lru_cache(maxsize=1)
def _mark(process: int) -> str:
    return f"{process}-{started(process)}-{_digest(system())}"


def is_gone(marked: str) -> bool:
    """Whether the process that has made that :func:`mark` is one of this very system, and has ended."""
    process, _, rest = marked.partition("-")
    began, _, place = rest.partition("-")
    if not system() or place != _digest(system()) or not process.isdecimal() or not began:
        return False
    return began != started(int(process))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=4).hexdigest()
