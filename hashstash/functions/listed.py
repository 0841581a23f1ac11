"""How the arguments of a call stand in its row: as they are, or as short text where they are large or cannot be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.codec import Encoded, Serializer, pack_key, plain_writer
from hashstash.errors import UnsupportedValue
from hashstash.fingerprint.walker import ATOMS
from hashstash.keys import address_of
from hashstash.unfolded import is_folded

if TYPE_CHECKING:
    from collections.abc import Callable

_BIG = 64 * 1024
_MOST_LISTED = 1 << 20
"""Bytes that the arguments of a call may take in its row, which is read whole at every hit."""
_DEEPEST = 20


def listed(args: tuple[Any, ...], kwargs: dict[str, Any], serializer: Serializer) -> tuple[bytes, bool]:
    """The stored form of a call, large or unstorable arguments as short text; and whether it needs code."""
    if ATOMS.issuperset(map(type, args)) and ATOMS.issuperset(map(type, kwargs.values())):
        document = plain_writer(serializer)((args, kwargs))
        if document is not None and len(document) < _BIG:
            return b"\0" + document, False
    try:
        encoded = serializer.dumps(_each(shown, args, kwargs))
    except UnsupportedValue:
        encoded = None
    if encoded is None or _size_of(encoded) > _MOST_LISTED:
        encoded = serializer.dumps(_each(described, args, kwargs))
    return pack_key(encoded), encoded.is_code


def _each(show: Callable[[Any], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return tuple(map(show, args)), {name: show(value) for name, value in kwargs.items()}


def _size_of(encoded: Encoded) -> int:
    return len(encoded.document) + sum(memoryview(buffer).nbytes for buffer in encoded.buffers)


def shown(argument: Any) -> Any:
    """*argument* with what is large in it, at any depth of built-in containers, as short text."""
    return described(argument) if is_folded(argument) else _shown(argument, 0)


def _shown(argument: Any, depth: int) -> Any:
    kind = type(argument)
    if kind in (list, tuple) and depth < _DEEPEST:
        parts = [_shown(part, depth + 1) for part in argument]
        is_same = all(part is old for part, old in zip(parts, argument, strict=True))
        return argument if is_same else kind(parts)
    if kind is dict and depth < _DEEPEST:
        values = {name: _shown(part, depth + 1) for name, part in argument.items()}
        return argument if all(values[name] is part for name, part in argument.items()) else values
    return described(argument) if _bytes_in(argument) >= _BIG else argument


def _bytes_in(argument: Any) -> int:
    """The size of an array or a frame; 0 for everything else, their classes included."""
    if type(argument) in ATOMS:
        return 0
    packages = {str(base.__module__).partition(".")[0] for base in type(argument).__mro__}
    if "pandas" in packages and hasattr(argument, "memory_usage"):
        usage = argument.memory_usage()
        return int(usage.sum() if hasattr(usage, "sum") else usage)
    if "polars" in packages and hasattr(argument, "estimated_size"):
        return int(argument.estimated_size())
    try:
        size = getattr(argument, "nbytes", 0)
    except RuntimeError:  # torch refuses to say it of a sparse tensor
        return 0
    return size if isinstance(size, int) else 0


def described(argument: Any) -> Any:
    """A scalar as it is; anything else as ``<type shape dtype digest>``."""
    kind = type(argument)
    if kind in (int, float, bool, type(None)) or (kind in (str, bytes) and len(argument) < _BIG):
        return argument
    words = [kind.__name__, *_form_of(argument), address_of_value(argument).hex()[:12]]
    return f"<{' '.join(words)}>"


def _form_of(argument: Any) -> list[str]:
    if type(argument) in (str, bytes, list, tuple, dict, set, frozenset):
        return [f"of {len(argument)}"]
    shape, dtype = getattr(argument, "shape", None), getattr(argument, "dtype", None)
    return [str(part).replace("torch.Size", "") for part in (shape, dtype) if part is not None]


def address_of_value(argument: Any) -> bytes:
    """A digest that tells an argument apart in listings."""
    from hashstash.fingerprint import Fingerprinter

    return address_of(argument, Fingerprinter().digest)
