"""Sizes, durations and keys as people read and write them."""

from __future__ import annotations

import re
import reprlib
from typing import Any

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZES |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_MANY = 50
_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 200
_brief.maxlist = _brief.maxtuple = _brief.maxdict = _brief.maxset = _brief.maxfrozenset = 20


def size_text(count: float) -> str:
    """Bytes, as in ``1.5 MB``."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"


def parse_size(size: float | str) -> float:
    """Bytes in a number of bytes, or in text such as ``"500 KB"``, ``"1.5GB"``, ``"64 MiB"``."""
    if isinstance(size, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", size.lower())
        if match is None or match[2] not in _SIZES:
            raise ValueError(f"{size!r} is no size; write bytes, or a number with KB, MB, GB, KiB, MiB or GiB")
        return float(match[1]) * _SIZES[match[2]]
    if isinstance(size, bool) or not isinstance(size, (int, float)):
        raise TypeError(f"a size is a number of bytes or text such as '10 MB', not {size!r}")
    return size


def duration(seconds: float) -> str:
    """A length of time, as in ``1.5 s`` or ``3 d``."""
    if seconds == 0:
        return "0 s"
    for most, unit, length in ((0.0995, "ms", 0.001), (99.5, "s", 1.0), (5970.0, "min", 60.0), (169200.0, "h", 3600.0)):
        if abs(seconds) < most:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 86400:.4g} d"


def shortened(value: Any, most: int) -> str:
    """The ``repr`` of *value* on one line of at most *most* characters, whatever its class does."""
    try:
        text = "".join(char if char.isprintable() else " " for char in _repr(value, 4 * most)[: 4 * most])
    except Exception:  # noqa: BLE001  the class is the user's
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else text[: most - 1] + "…"


def _repr(value: Any, most: int) -> str:
    """``repr(value)``, or its beginning without a look at all that a large value holds."""
    if type(value) in (str, bytes, bytearray):
        return repr(value[:most])
    if type(value) in (list, tuple, dict, set, frozenset) and (len(value) > _MANY or any(map(_is_large, value))):
        return _brief.repr(value)
    if type(value) is dict and any(map(_is_large, value.values())):
        return _brief.repr(value)
    return repr(value)


def _is_large(value: Any) -> bool:
    return type(value) in (list, tuple, dict, set, frozenset, str, bytes) and len(value) > _MANY
