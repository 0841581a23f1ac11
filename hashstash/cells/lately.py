"""Copies of the last inputs of cells, of small ones, in this process's memory only: with both values at hand, what differs can
be told exactly.

A copy counts only as long as it has the fingerprint that it was kept under.
"""

from __future__ import annotations

import sys
from operator import attrgetter
from typing import Any, Final, NamedTuple

from hashstash.fingerprint import Fingerprinter

_LARGEST: Final = 1 << 19
"""Bytes of an array or a frame, more or less."""
_MOST_ITEMS: Final = 300
"""Of containers in one another."""
_MOST_PLAIN: Final = 8000
"""Of one list of numbers and texts."""
_LONGEST_TEXT: Final = 100_000
_MOST_BYTES: Final = 16 << 20
_MOST_KEPT: Final = 256
_PLAIN: Final = frozenset({type(None), bool, int, float, complex, str, bytes})
IMMUTABLE: Final = frozenset({
    *("datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta", "decimal.Decimal", "fractions.Fraction"),
    *("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "uuid.UUID", "builtins.range"),
})  # fmt: skip
"""Types, by the first part of their module and their name, whose values never change and are told by their text."""
_ROUGHLY: Final = 64
"""Bytes that an item of a container takes, more or less."""


class Both(NamedTuple):
    """One variable, then and now."""

    then: Any
    now: Any


class _TooLarge(Exception):
    """It would take too long to copy, or is of a type that cannot be copied."""


class _Kept(NamedTuple):
    value: Any
    size: int


_kept: dict[bytes, _Kept] = {}
_size_of = attrgetter("size")


def keep(value: Any, digest: bytes) -> None:
    """Keep a copy, if the value is small and of a kind that can be copied; its fingerprint is *digest*."""
    known = _kept.pop(digest, None)
    if known is not None:
        _kept[digest] = known  # the last to go
        return
    try:
        _kept[digest] = _Kept(*_copied(value))
    except Exception:  # noqa: BLE001  frames and arrays are foreign code, and nothing depends on a copy
        return
    while len(_kept) > _MOST_KEPT or sum(map(_size_of, _kept.values())) > _MOST_BYTES:
        _kept.pop(next(iter(_kept)), None)  # which another thread may have just forgotten


def both(then: bytes | None, now: bytes | None) -> Both | None:
    """The two values with these fingerprints, if both were kept and still are what they were."""
    one, other = (_kept.get(digest) if digest else None for digest in (then, now))
    if one is None or other is None:
        return None
    walks = (Fingerprinter().walk(kept.value) for kept in (one, other))
    return Both(one.value, other.value) if [walk.digest for walk in walks] == [then, now] else None


def _copied(value: Any) -> tuple[Any, int]:
    kind = type(value)
    if kind in (str, bytes) and len(value) > _LONGEST_TEXT:
        raise _TooLarge
    if kind in _PLAIN:
        return value, _ROUGHLY + (len(value) if kind in (str, bytes) else 0)
    if kind in (list, tuple) and len(value) <= _MOST_PLAIN and _PLAIN.issuperset(map(type, value)):
        return kind(value), _size_of_plain(value)
    copier = _Copier()
    return copier.copy(value), copier.size


def _size_of_plain(values: Any) -> int:
    size = _ROUGHLY * len(values) + sum(len(value) for value in values if type(value) in (str, bytes))
    if size > _LARGEST * 2:
        raise _TooLarge
    return size


class _Copier:
    """Copies containers in one another, item by item."""

    def __init__(self) -> None:
        self.size = 0
        self._items = 0

    def copy(self, value: Any) -> Any:
        kind = type(value)
        self._items += 1
        self.size += _ROUGHLY + (len(value) if kind in (str, bytes) else 0)
        if self._items > _MOST_ITEMS or self.size > 2 * _LARGEST:
            raise _TooLarge
        if kind in _PLAIN:
            return value
        if kind in (list, tuple, set, frozenset):
            return kind([self.copy(item) for item in value])
        if kind is dict:
            return {self.copy(key): self.copy(item) for key, item in value.items()}
        copy, size = _copied_data(value, kind)
        self.size += size
        return copy


def _copied_data(value: Any, kind: type) -> tuple[Any, int]:
    """A copy of an array or a frame, and its bytes."""
    module, name = kind.__module__.partition(".")[0], kind.__name__
    if f"{module}.{name}" in IMMUTABLE:
        return value, _ROUGHLY
    if module == "numpy" and name == "ndarray" and not value.dtype.hasobject:
        size, copy = value.nbytes, value.copy
    elif module == "pandas" and name in ("DataFrame", "Series"):
        size, copy = 8 * value.size, value.copy
    elif module == "polars" and name in ("DataFrame", "Series"):
        cells = value.shape[0] * value.shape[1] if name == "DataFrame" else len(value)
        size, copy = 8 * cells, value.clone
    elif module == "torch" and name == "Tensor" and value.device.type == "cpu" and not value.requires_grad:
        size, copy = value.numel() * value.element_size(), value.clone
    elif module == "xarray" and name in ("DataArray", "Dataset") and _is_in_memory(value):
        size, copy = value.nbytes, value.copy
    else:
        raise _TooLarge
    if size > _LARGEST:
        raise _TooLarge
    return copy(), size


def _is_in_memory(value: Any) -> bool:
    """Whether an object of xarray holds its data, and not a way to read or to compute it."""
    array: Any = sys.modules["numpy"].ndarray
    variables = value.variables.values() if hasattr(value, "data_vars") else [value.variable]
    return all(isinstance(variable._data, array) for variable in variables)  # noqa: SLF001  asking for it would load it
