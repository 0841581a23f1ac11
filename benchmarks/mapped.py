"""The functions that are mapped: workers import them from here, so this module imports next to nothing."""

from __future__ import annotations

import time

BUSY = 0.02
"""Seconds of processor time that a call of :func:`work` takes."""


def increment(number: int) -> int:
    """An item that costs nothing, so that all of the time is the system's."""
    return number + 1


def work(number: int) -> int:
    """An item that keeps a core busy."""
    until = time.thread_time() + BUSY
    while time.thread_time() < until:
        pass
    return number + 1


def noted(number: int, path: str) -> int:
    """An item that leaves a byte in a file, which tells how often it was called."""
    with open(path, "ab") as file:
        file.write(b".")
    return number + 1
