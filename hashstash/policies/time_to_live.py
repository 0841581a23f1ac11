"""Entries that are over after a while. They are missing from then on, and removed when they are overwritten or pruned."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import TYPE_CHECKING

from hashstash.policy import Policy

if TYPE_CHECKING:
    from hashstash.entry import Entry

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class TimeToLive(Policy):
    """Entries without a time of their own expire *seconds* after they were written."""

    may_hide = True

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_write(self, entry: Entry, head: Entry | None) -> Entry:
        if not entry.expires_at:
            entry.expires_at = expiry(entry.created_at, self.seconds)
        return entry


def expiry(created_at: int, seconds: float) -> int:
    """When an entry of that age is over, in ns since the epoch."""
    return created_at + max(1, round(seconds * 1e9))


def parse_duration(duration: float | str | dt.timedelta) -> float:
    """Seconds in a number of seconds, a timedelta, or text such as ``"90s"``, ``"5m"``, ``"12h"``, ``"7d"``, ``"2w"``."""
    if isinstance(duration, dt.timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smhdw]?)\s*", duration.lower())
        if match is None:
            raise ValueError(
                f"{duration!r} is no duration; write seconds, or a number with s, m, h, d or w, such as '7d'"
            )
        seconds = float(match[1]) * _UNITS[match[2] or "s"]
    elif isinstance(duration, bool) or not isinstance(duration, (int, float)):
        raise TypeError(f"a duration is a number of seconds, a timedelta or text such as '7d', not {duration!r}")
    else:
        seconds = float(duration) if abs(duration) < 1e10 else math.inf  # an int may be too long for a float
    if not 0 < seconds < 1e10:
        raise ValueError(f"{duration!r:.100} is no duration; it must be positive and finite")
    return seconds
