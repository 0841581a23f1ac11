"""A few words' worth of each input, kept beside a record: enough to say later what differs in it, and not its content.

A stash may be given away, so that of texts and data only short digests are kept; in plain are names, types, shapes, single
numbers, and the source of functions, which is code as the cell's own is. Whether an input changed is never decided here: its
fingerprint does that. Summaries are made by the clock, and what there was no time for is left out.
"""

from __future__ import annotations

import inspect
import linecache
import time
from hashlib import blake2b
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from hashstash.fingerprint import Fingerprinter
from hashstash.fingerprint.packages import Origin, origin_of_module
from hashstash.fingerprint.source import PerCode
from hashstash.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_SECONDS = 0.001
"""Of this thread's work, for one value, more or less."""
_SECONDS_FOR_ALL = 0.004
_MOST_NAMES = 40
_MOST_PARTS = 24
_LONGEST_NAME = 40
LONGEST_SOURCE = 1400
_LONGEST_NUMBER = 40
_ALONE = 8
"""So many elements have digests of their own; behind them each digest covers twice as many as the one before."""
_PART_ELEMENTS = 1 << 10
WHOLE_ELEMENTS = 2 * _PART_ELEMENTS
"""So many elements at the beginning are covered by digests, of an array and of a list."""
_LARGEST_ELEMENT = 16
BLOCK = 64
"""Characters that one digest of a text covers at least."""
_LONG_TEXT = 512
_SMALL_ITEMS = 2 * WHOLE_ELEMENTS
_SMALL_BYTES = 1 << 18
_SAMPLED = 500
"""Of a long column the first, the last, and as many between."""
_MOST_KNOWN = 256
_known: dict[bytes, dict[str, Any]] = {}
_hurried: set[bytes] = set()
_sources = PerCode[str]()
_NUMBERS = (bool, int, float, complex, type(None))


class _OutOfTime(Exception):
    """There is no more time for this value."""


def summarise_all(values: Mapping[str, tuple[Any, bytes]]) -> dict[str, dict[str, Any]]:
    """A summary of each value, as plain data, as long as time allows; beside each value its fingerprint.

    Those of the last arrays, frames and texts are kept: of several inputs, few change from one run to the next.
    """
    deadline = time.thread_time() + _SECONDS_FOR_ALL
    found: dict[str, dict[str, Any]] = {}
    for name, (value, digest) in values.items():
        started = time.thread_time()
        if len(found) == _MOST_NAMES or started > deadline:
            break
        found[name] = _known.get(digest) or summarise(value)
        if _is_told_by_digest(type(value)):
            _keep(digest, found[name], is_whole=time.thread_time() < started + _SECONDS)
    return found


def _is_told_by_digest(kind: type) -> bool:
    """Whether values of one fingerprint have one summary; of others it may hold the text of code, or what code reads."""
    return kind in (str, bytes) or kind.__module__.partition(".")[0] in ("numpy", "pandas")


def _keep(digest: bytes, summary: dict[str, Any], *, is_whole: bool) -> None:
    """Remember a summary; one that may lack something for want of time only if a second attempt has no more of it."""
    if not is_whole and digest not in _hurried:
        _hurried.add(digest)
        return
    _hurried.discard(digest)
    _known.pop(digest, None)
    _known[digest] = summary
    while len(_known) > _MOST_KNOWN:
        del _known[next(iter(_known))]
    if len(_hurried) > _MOST_KNOWN:
        _hurried.clear()


def summarise_now(value: Any) -> dict[str, Any]:
    """The same as :func:`summarise`, with the keys of a dict as texts: to be put beside another one, and not to be kept."""
    summary = summarise(value)
    if "keys" in summary:
        texts = [shortened(key, _LONGEST_NAME) for key in _first(value)]
        summary["names"] = {key: text for (key, _), text in zip(summary["keys"], texts, strict=False)}
    return summary


def summarise(value: Any) -> dict[str, Any]:
    """What is kept of one value: its type, and what else can be told quickly."""
    kind = type(value)
    summary: dict[str, Any] = {"type": _type_name(kind)}
    try:
        summary |= _summary_of(value, kind, _Digests())
    except Exception:  # noqa: BLE001  frames and arrays are foreign code, and a type alone is a summary too
        return summary
    return summary


def _type_name(kind: type) -> str:
    module = kind.__module__.partition(".")[0]
    name = kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"
    return name[:_LONGEST_NAME]


def _summary_of(value: Any, kind: type, digests: _Digests) -> dict[str, Any]:
    module = kind.__module__.partition(".")[0]
    if kind in _NUMBERS:
        return {"value": repr(value)} if kind is not int or value.bit_length() < _LONGEST_NUMBER * 3 else {}
    if kind in (str, bytes, bytearray):
        return {"length": len(value), "blocks": _blocks(value, digests)}
    if kind in (list, tuple):
        return {"length": len(value), "parts": _parts(len(value), lambda a, b: digests.of(value[a:b]))}
    if kind in (set, frozenset):
        return {"length": len(value)}
    if kind is dict:
        return {"length": len(value), "keys": [[digests.of(k), digests.of(value[k])] for k in _first(value)]}
    if kind is FunctionType:
        return {"source": _source(value)}
    if module == "numpy" and kind.__name__ == "ndarray":
        return {"shape": list(value.shape), "dtype": str(value.dtype), "parts": _array_parts(value)}
    if module == "pandas" and kind.__name__ == "DataFrame":
        return {
            "shape": list(value.shape),
            "index": digests.of_column(value.index),
            "columns": [_column(value, at, digests) for at in range(min(value.shape[1], _MOST_PARTS))],
        }
    if module == "pandas" and kind.__name__ == "Series":
        return {
            "shape": list(value.shape),
            "dtype": str(value.dtype),
            "index": digests.of_column(value.index),
            "parts": _array_parts(value.to_numpy()) if type(value.dtype).__module__.startswith("numpy") else [],
        }
    if kind is ModuleType:
        return {"attributes": _attributes(_own_variables(value), digests)}
    if isinstance(value, type):
        own = {k: v for k, v in vars(value).items() if not k.startswith("__") or callable(v)}
        return {"attributes": _attributes(own, digests)}
    attributes = getattr(value, "__dict__", None) if module == "__main__" else None
    return {"attributes": _attributes(attributes, digests)} if type(attributes) is dict else {}


class _Digests:
    """Short digests of parts of one value, as long as there is time: then empty ones."""

    def __init__(self) -> None:
        self._deadline = time.thread_time() + _SECONDS
        self._fingerprinter = Fingerprinter(check=self._check)

    def _check(self) -> None:
        if time.thread_time() > self._deadline:
            raise _OutOfTime

    def of(self, value: Any) -> bytes:
        """The digest of any value; empty if it has none, or is too large for the time that there is."""
        if time.thread_time() > self._deadline or not _is_small(value):
            return b""
        try:
            walk = self._fingerprinter.walk(value)
        except _OutOfTime:
            return b""
        return b"" if walk.volatile else walk.digest[:4]

    def of_column(self, column: Any) -> bytes:
        """The digest of a column or an index; of a long one, a sample."""
        if len(column) <= 3 * _SAMPLED:
            return self.of(column)
        step = len(column) // _SAMPLED
        samples = [self.of(column[part]) for part in (slice(_SAMPLED), slice(-_SAMPLED, None), slice(None, None, step))]
        return blake2b(b"".join(samples), digest_size=4).digest() if all(samples) else b""


def _is_small(value: Any) -> bool:
    """Whether a walk is over soon: some of its steps over plain data take all items at once and cannot be stopped."""
    rest, count = [value], 0
    while rest:
        count += 1
        if count > _SMALL_ITEMS:
            return False
        item = rest.pop()
        if isinstance(item, list | tuple | set | frozenset):
            count += len(item)
            rest += item if count <= _SMALL_ITEMS else ()
        elif isinstance(item, dict):
            count += 2 * len(item)
            rest += [*item, *item.values()] if count <= _SMALL_ITEMS else ()
        elif isinstance(item, str | bytes | bytearray) and len(item) > _SMALL_BYTES:
            return False
        elif type(getattr(item, "__dict__", None)) is dict and not isinstance(item, type):
            rest += vars(item).values()
    return count <= _SMALL_ITEMS


def _first(items: Iterable[Any]) -> list[Any]:
    return [item for _, item in zip(range(_MOST_PARTS), items, strict=False)]


def part_bounds(number: int) -> tuple[int, int]:
    """The first element of a part, and the one after its last."""
    if number < _ALONE:
        return number, number + 1
    start = _ALONE << (number - _ALONE)
    return start, 2 * start


def _parts(length: int, digest: Callable[[int, int], bytes], most: int = WHOLE_ELEMENTS) -> list[bytes]:
    """A digest of each part of a sequence of that length."""
    found = []
    start, end = part_bounds(0)
    while start < min(length, most):
        found.append(digest(start, min(end, length)))
        start, end = part_bounds(len(found))
    return found


def _blocks(text: Any, digests: _Digests) -> list[bytes]:
    """Digests of parts of a long text, in blocks; none of a short one: few characters, as of a password, are guessed."""
    if len(text) < _LONG_TEXT:
        return []
    return _parts(len(text) // BLOCK, lambda a, b: digests.of(text[a * BLOCK : b * BLOCK]))


def _array_parts(array: Any) -> list[bytes]:
    """Digests of the elements in C order; of a long part, of its beginning. None of objects, and of what would be copied."""
    is_copied = not array.flags.c_contiguous and array.size > _PART_ELEMENTS
    if array.dtype.hasobject or array.itemsize > _LARGEST_ELEMENT or is_copied:
        return []
    flat = array.reshape(-1)
    return _parts(
        array.size,
        lambda a, b: blake2b(flat[a : min(b, a + _PART_ELEMENTS)].tobytes(), digest_size=4).digest(),
        most=array.size,
    )


def _column(frame: Any, at: int, digests: _Digests) -> list[Any]:
    array = frame._get_column_array(at)  # noqa: SLF001  frame.iloc would leave its result in the frame's cache
    return [str(frame.columns[at])[:_LONGEST_NAME], str(array.dtype)[:_LONGEST_NAME], digests.of_column(array)]


def _attributes(attributes: Mapping[str, Any], digests: _Digests) -> list[list[Any]]:
    return [[name[:_LONGEST_NAME], digests.of(attributes[name])] for name in _first(attributes)]


def _own_variables(module: ModuleType) -> dict[str, Any]:
    """What a module of the user's binds, but for other modules; of the others nothing."""
    if origin_of_module(module) is not Origin.USER:
        return {}
    return {k: v for k, v in vars(module).items() if not k.startswith("__") and not isinstance(v, ModuleType)}


def _source(function: FunctionType) -> str:
    known = _sources.get(function.__code__)
    return _sources.put(function.__code__, _read_source(function.__code__)) if known is None else known


def _read_source(code: CodeType) -> str:
    # inspect.getsource looks for the module first, and asks all that are loaded for their files.
    lines = linecache.getlines(code.co_filename)
    try:
        return "".join(inspect.getblock(lines[code.co_firstlineno - 1 :]))[:LONGEST_SOURCE]
    except (SyntaxError, IndentationError):
        return ""
