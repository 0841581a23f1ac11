"""Sizes, durations and keys as people read and write them."""

from __future__ import annotations

import math
import re
import reprlib
import time
from itertools import islice
from typing import Any

from hashstash.unfolded import parts_of

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZES |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_SHORT_TIMES = ((0.0000995, "\u00b5s", 0.000001), (0.0995, "ms", 0.001), (59.95, "s", 1.0))
_LONG_TIMES = (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))
_WHOLE_DAYS = 10
_MANY_DAYS = 1e6
_KEPT = "mKA"
"""Colours, and the two that progress bars need: clear the rest of the line, one line up."""
_COMMANDS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b"
    r"|[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
)
_MANY = 50
_VECTOR = 8
_MOST_PIECES = 2000
"""Elements, of whatever is nested in a value, that are written out at most."""


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
    """A length of time, as in ``20 ms``, ``1.5 s``, ``5 min 20 s`` or ``3 d``."""
    if seconds == 0:
        return "0 s"
    for most, unit, length in _SHORT_TIMES:
        if abs(seconds) < most:
            return f"{seconds / length:.3g} {unit}"
    return "-" + long_duration(-seconds) if seconds < 0 else long_duration(seconds)


def long_duration(seconds: float) -> str:
    """A length of time in whole seconds, or in the two units that say most: ``42 s``, ``5 min 20 s``, ``3 d 4 h``."""
    days = seconds / 86400
    if not math.isfinite(days):  # what others have stored may say anything
        return "for ever" if days > 0 else "?"
    if days >= _WHOLE_DAYS:
        return f"{days:.0f} d" if days < _MANY_DAYS else f"{days:.3g} d"
    for unit, length, smaller, part in _LONG_TIMES:
        whole, rest = divmod(round(seconds / part), length // part)
        if whole:
            return f"{whole} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds:.0f} s"


def ago(moment: float) -> str:
    """How long ago a moment was, in seconds since the epoch, as in ``2 h ago``."""
    passed = max(0.0, time.time() - moment)
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if passed >= length:
            return f"{int(passed / length)} {unit} ago"
    return "just now"


def counted(count: int, noun: str) -> str:
    """A number of things, as in ``1 record`` and ``1,200 records``."""
    if count == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}es" if noun.endswith("sh") else f"{noun}s"
    return f"{count:,} {plural}"


def printable(text: str) -> str:
    """*text* as it may be printed, whoever has written it: but for ends of lines and tabs, what steers a terminal is escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def shortened(value: Any, most: int) -> str:
    """The ``repr`` of *value* on one line of at most *most* characters, whatever its class does.

    Of an array or a frame that does not fit, the kind and the shape: ``<DataFrame 1000 x 3>``.
    """
    try:
        form = _by_shape(value)
        text = form if form and not _is_vector(value) else _in_one_line(_repr(value, 4 * most)[: 4 * most])
        text = form if form and len(text) > most else text
    except Exception:  # noqa: BLE001  the class is the user's
        text = f"<{_in_one_line(type(value).__name__)}>"
    return text if len(text) <= most else text[: most - 1] + "…"


def _in_one_line(text: str) -> str:
    """*text* with one blank for each piece of it that cannot be printed, such as the end of a line and what it is indented by."""
    if text.isprintable():
        return text
    return re.sub(" *\n[\n ]*", " ", "".join(char if char.isprintable() else "\n" for char in text)).strip()


def _by_shape(value: Any) -> str:
    """The kind and the shape of an array or a frame; empty for anything else, and for a scalar."""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not shape or type(value).__module__ == "builtins":
        return ""
    return f"<{_in_one_line(type(value).__name__)} {' x '.join(map(str, shape))}>"


def _is_vector(value: Any) -> bool:
    """Whether it is a row of a few numbers, which are soon said."""
    return hasattr(type(value), "strides") and len(value.shape) == 1 and len(value) <= _VECTOR


def _repr(value: Any, most: int) -> str:
    """``repr(value)``, or its beginning without a look at all that a large value holds."""
    if type(value) in (str, bytes, bytearray):
        return repr(value[:most])
    if type(value) in (list, tuple, dict, set, frozenset) and (len(value) > _MANY or any(map(_is_large, value))):
        return _Brief().repr(value)
    if type(value) is dict and any(map(_is_large, value.values())):
        return _Brief().repr(value)
    return _Brief().repr(value) if is_endless(value) else repr(value)


class _Brief(reprlib.Repr):
    """The beginning of a ``repr``, for one use: whatever is nested in the value, so many pieces are written and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 200
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 20
        self._left = _MOST_PIECES

    def repr1(self, x: Any, level: int) -> str:
        self._left -= 1
        return super().repr1(x, level) if self._left >= 0 else self.fillvalue

    def repr_instance(self, x: Any, level: int) -> str:
        return f"<{type(x).__name__}>" if is_endless(x) else super().repr_instance(x, level)


def is_endless(value: Any) -> bool:
    """Whether to write *value* out would take more than some thousands of pieces.

    A list that holds one list twice, and so on for sixty levels, is stored in a few bytes, and its ``repr`` never ends.
    """
    left, pending = _MOST_PIECES, [value]
    while pending and left >= 0:
        parts = list(islice(parts_of(pending.pop()), _MOST_PIECES + 1))
        left -= len(parts)
        if left >= 0:
            pending += parts
    return left < 0


def _is_large(value: Any) -> bool:
    return type(value) in (list, tuple, dict, set, frozenset, str, bytes) and len(value) > _MANY


def without_commands(text: str) -> str:
    """*text* of a stranger as a terminal may get it: colours stay, commands to the terminal do not.

    Terminals take orders from text: to set the clipboard or a title, to clear what was written, to answer as if typed.
    """
    return _COMMANDS.sub(lambda found: found[0] if found[0][:2] == "\x1b[" and found[0][-1] in _KEPT else "", text)
