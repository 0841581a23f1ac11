"""A few words' worth of each input, kept beside a record: enough to say later what differs in it, and not its content.

A stash may be given away, so that of texts and data only short digests are kept; in plain are names, types, shapes, single
numbers, and the source of functions, which is code as the cell's own is. Whether an input changed is never decided here: its
fingerprint does that. Summaries are made by the clock, and what there was no time for is left out.
"""

from __future__ import annotations

import time
from hashlib import blake2b
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.cells.parts import LONGEST_NAME, MOST_COLUMNS, WHOLE_ELEMENTS, is_plain, parts_of, summary_of_data
from hashstash.cells.source_texts import packed_sources, source_of
from hashstash.fingerprint import Fingerprinter, address_of
from hashstash.fingerprint.packages import Origin, origin_of_module
from hashstash.keys import write
from hashstash.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SECONDS = 0.001
"""Of this thread's work, for one value, more or less."""
_SECONDS_FOR_ALL = 0.004
_MOST_NAMES = 40
_LONGEST_NUMBER = 40
BLOCK = 64
"""Characters that one digest of a text covers at least."""
_LONG_TEXT = 512
_SMALL_ITEMS = 2 * WHOLE_ELEMENTS
_SMALL_BYTES = 1 << 18
_SMALL_TEXT = 1 << 10
_SMALL_COLUMN = 1 << 14
_SHORT, _KNOWN = 3, 5
"""Bytes of digests. Only those of one length are compared: four bytes are of records that were made in another way."""
_SAMPLED = 500
"""Of a long column the first, the last, and as many between."""
_MOST_KNOWN = 256
_known: dict[bytes, dict[str, Any]] = {}
_hurried: set[bytes] = set()
_NUMBERS = (bool, int, float, complex, type(None))
_LIBRARIES = frozenset({"numpy", "pandas", "polars", "pyarrow", "torch", "xarray", "scipy"})


class _OutOfTime(Exception):
    """There is no more time for this value."""


class Looked(NamedTuple):
    """A value that was looked at."""

    value: Any
    digest: bytes
    """Its fingerprint."""
    reached: Iterable[Any] = ()
    """What the walk over it has met, functions among it."""


def summarise_all(
    values: Mapping[str, Looked], fingerprinter: Fingerprinter | None = None, wanted: frozenset[str] = frozenset()
) -> dict[str, dict[str, Any]]:
    """A summary of each value, as plain data, as long as time allows. *fingerprinter*: what has looked at the values.

    Those of the last arrays, frames and texts are kept: of several inputs, few change from one run to the next. *wanted*: names
    of functions whose text is kept rather than that of others.
    """
    deadline = time.thread_time() + _SECONDS_FOR_ALL
    found: dict[str, dict[str, Any]] = {}
    for name, looked in values.items():
        started = time.thread_time()
        if len(found) == _MOST_NAMES or started > deadline:
            break
        found[name] = _known.get(looked.digest) or summarise(looked.value, fingerprinter, looked.reached, wanted)
        if _is_told_by_digest(type(looked.value)):
            _keep(looked.digest, found[name], is_whole=time.thread_time() < started + _SECONDS)
    return found


def _is_told_by_digest(kind: type) -> bool:
    """Whether values of one fingerprint have one summary; of others it may hold the text of code, or what code reads."""
    return kind in (str, bytes) or kind.__module__.partition(".")[0] in _LIBRARIES


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


def summarise_now(
    value: Any, fingerprinter: Fingerprinter | None = None, reached: Iterable[Any] = ()
) -> dict[str, Any]:
    """The same as :func:`summarise`, with the keys of a dict as texts: to be put beside another one, and not to be kept."""
    summary = summarise(value, fingerprinter, reached)
    if "keys" in summary:
        texts = [shortened(key, LONGEST_NAME) for key in _first(value)]
        summary["names"] = {key: text for (key, _), text in zip(summary["keys"], texts, strict=False)}
    return summary


def summarise(
    value: Any,
    fingerprinter: Fingerprinter | None = None,
    reached: Iterable[Any] = (),
    wanted: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """What is kept of one value: its type, and what else can be told quickly."""
    kind = type(value)
    summary: dict[str, Any] = {"type": _type_name(kind)}
    try:
        summary |= _summary_of(value, kind, _Digests(fingerprinter))
        code = packed_sources(reached, value, wanted)
        summary |= {"code": code} if code else {}
    except Exception:  # noqa: BLE001  frames and arrays are foreign code, and a type alone is a summary too
        return summary
    return summary


def _type_name(kind: type) -> str:
    module = kind.__module__.partition(".")[0]
    name = kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"
    return name[:LONGEST_NAME]


def _summary_of(value: Any, kind: type, digests: _Digests) -> dict[str, Any]:
    module = kind.__module__.partition(".")[0]
    if kind in _NUMBERS:
        return {"value": repr(value)} if kind is not int or value.bit_length() < _LONGEST_NUMBER * 3 else {}
    if kind in (str, bytes, bytearray):
        return {"length": len(value), "blocks": _blocks(value, digests)}
    if kind in (list, tuple):
        return {"length": len(value), "parts": parts_of(len(value), lambda a, b: digests.of(value[a:b]))}
    if kind in (set, frozenset):
        return {"length": len(value)}
    if kind is dict:
        return {"length": len(value), "keys": [[digests.of(k), digests.of(value[k])] for k in _first(value)]}
    if kind is FunctionType:
        return {"source": source_of(value)}
    if module in _LIBRARIES:
        return summary_of_data(value, module, kind.__name__, digests) or {}
    if kind is ModuleType:
        return {"attributes": _attributes(_own_variables(value), digests)}
    if isinstance(value, type):
        own = {k: v for k, v in vars(value).items() if not k.startswith("__") or callable(v)}
        return {"attributes": _attributes(own, digests)}
    attributes = getattr(value, "__dict__", None) if module == "__main__" else None
    return {"attributes": _attributes(attributes, digests)} if type(attributes) is dict else {}


class _Digests:
    """Short digests of parts of one value, as long as there is time: then empty ones."""

    def __init__(self, known: Fingerprinter | None) -> None:
        self._deadline = time.thread_time() + _SECONDS
        self._fingerprinter = Fingerprinter(check=self._check)
        self._known = known
        self._hashed: dict[tuple[Any, ...], bytes] | None = None

    def _check(self) -> None:
        if time.thread_time() > self._deadline:
            raise _OutOfTime

    def of(self, value: Any) -> bytes:
        """The digest of any value; empty if it has none, or is too large for the time that there is."""
        if _is_plain(value):
            return blake2b(write([type(value).__name__, value]), digest_size=_SHORT).digest()
        if time.thread_time() > self._deadline or not _is_small(value):
            return b""
        try:
            walk = self._fingerprinter.walk(value)
        except _OutOfTime:
            return b""
        return b"" if walk.volatile else walk.digest[:_SHORT]

    def of_column(self, column: Any) -> bytes:
        """The digest of a column or an index; of a long one the one that is known, else that of a sample."""
        address = address_of(column) if len(column) > _SAMPLED else None
        hashed = self._hashed_arrays().get(address) if address is not None else None
        if hashed is not None:
            return hashed[:_KNOWN]
        if is_plain(column) and column.nbytes <= _SMALL_COLUMN:
            return blake2b(column.tobytes(), digest_size=_SHORT).digest()
        if len(column) <= 3 * _SAMPLED:
            return self.of(column)
        step = len(column) // _SAMPLED
        samples = [self.of(column[part]) for part in (slice(_SAMPLED), slice(-_SAMPLED, None), slice(None, None, step))]
        return blake2b(b"".join(samples), digest_size=_SHORT).digest() if all(samples) else b""

    def _hashed_arrays(self) -> dict[tuple[Any, ...], bytes]:
        if self._hashed is None:
            self._hashed = {} if self._known is None else self._known.hashed_arrays()
        return self._hashed


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind in (list, tuple):
        return len(value) <= _SMALL_ITEMS and all(map(_is_plain_atom, value))
    return _is_plain_atom(value)


def _is_plain_atom(value: Any) -> bool:
    kind = type(value)
    return kind in _NUMBERS or (kind in (str, bytes) and len(value) <= _SMALL_TEXT)


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
            rest.extend(item if count <= _SMALL_ITEMS else ())  # += would ask the class of the item how to add
        elif isinstance(item, dict):
            count += 2 * len(item)
            rest.extend([*item, *item.values()] if count <= _SMALL_ITEMS else ())
        elif isinstance(item, str | bytes | bytearray) and len(item) > _SMALL_BYTES:
            return False
        elif type(getattr(item, "__dict__", None)) is dict and not isinstance(item, type):
            rest.extend(vars(item).values())
    return count <= _SMALL_ITEMS


def _first(items: Iterable[Any]) -> list[Any]:
    return [item for _, item in zip(range(MOST_COLUMNS), items, strict=False)]


def _blocks(text: Any, digests: _Digests) -> list[bytes]:
    """Digests of parts of a long text, in blocks; none of a short one: few characters, as of a password, are guessed."""
    if len(text) < _LONG_TEXT:
        return []
    return parts_of(len(text) // BLOCK, lambda a, b: digests.of(text[a * BLOCK : b * BLOCK]))


def _attributes(attributes: Mapping[str, Any], digests: _Digests) -> list[list[Any]]:
    """Names with digests, and of numbers what they are."""
    found: list[list[Any]] = []
    for name in _first(attributes):
        value = attributes[name]
        number = [repr(value)] if type(value) in _NUMBERS and len(repr(value)) <= _LONGEST_NUMBER else []
        found.append([name[:LONGEST_NAME], digests.of(value), *number])
    return found


def _own_variables(module: ModuleType) -> dict[str, Any]:
    """What a module of the user's binds, but for other modules; of the others nothing."""
    if origin_of_module(module) is not Origin.USER:
        return {}
    return {k: v for k, v in vars(module).items() if not k.startswith("__") and not isinstance(v, ModuleType)}
