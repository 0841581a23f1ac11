"""What makes two calls the same call: equal bound arguments, and a function that has not changed."""

from __future__ import annotations

import inspect
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hashstash.codec import Buffer, Encoded, Serializer, pack_key, unpack_key
from hashstash.errors import UnsupportedValue, VolatileKey
from hashstash.key_codec import EncodedKey, PlainKeyCodec
from hashstash.keys import ADDRESS_SIZE, address_of, address_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashstash.fingerprint import LiveFingerprint

_BIG = 64 * 1024
_MOST_LISTED = 1 << 20
"""Bytes that the arguments of a call may take in its row, which is read whole at every hit."""
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class CallBinder:
    """Arguments in the order of the signature with defaults applied: ``f(1, 2)``, ``f(a=1, b=2)``, ``f(b=2, a=1)`` are one."""

    def __init__(
        self, function: Callable[..., Any], *, ignore: Iterable[str] = (), key: Callable[..., Any] | None = None
    ) -> None:
        self._signature = _signature_of(function)
        self._ignored = frozenset([ignore] if isinstance(ignore, str) else ignore)
        self._key = key
        parameters = list(self._signature.parameters.values()) if self._signature else []
        unknown = self._ignored - {parameter.name for parameter in parameters}
        if unknown:
            known = ", ".join(parameter.name for parameter in parameters)
            raise TypeError(f"ignore={sorted(unknown)} names no parameter of {function!r}; it has: {known}")
        is_simple = self._signature is not None and all(parameter.kind in _POSITIONAL for parameter in parameters)
        self.plain_count = len(parameters) if is_simple and not self._ignored and key is None else -1
        """How many positional arguments make a call whose arguments are bound as they stand; -1: none do."""

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The bound arguments; raises the TypeError that the call itself would raise."""
        if not kwargs and len(args) == self.plain_count:
            return args
        if self._key is not None:
            return ("key", self._key(*args, **kwargs))
        if self._signature is None:
            return (args, kwargs)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return tuple(value for name, value in bound.arguments.items() if name not in self._ignored)


def _signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None  # some builtins have none: their arguments are taken as they stand


class CallKeyCodec:
    """Keys of a function stash: ``((args), {kwargs})`` as first called, found by bound arguments and fingerprint."""

    def __init__(
        self,
        binder: CallBinder,
        live: LiveFingerprint,
        version: object,
        serializer: Serializer,
        buffer_hash: Callable[[], str],
        *,
        paths: str = "path",
    ) -> None:
        self.binder = binder
        self._live = live
        self._plain = PlainKeyCodec(serializer, buffer_hash, paths=paths)
        self._serializer = serializer
        self._token = address_of(version, self._plain.fingerprint) if version is not None else b""

    def context(self) -> bytes:
        """The digest of the function as it is now, and of the user's own version of it."""
        digest = self._live.digest()
        return blake2b(digest + self._token, digest_size=ADDRESS_SIZE).digest() if self._token else digest

    def address_of_call(self, bound: tuple[Any, ...]) -> bytes:
        """The address of the result of a call with *bound* arguments."""
        return address_within(self.context(), bound, self._plain.fingerprint)

    def address(self, key: Any) -> bytes:
        args, kwargs = _as_call(key)
        return self.address_of_call(self.binder.bind(args, kwargs))

    def encode(self, key: Any) -> EncodedKey:
        args, kwargs = _as_call(key)
        data, is_code = self.listed(args, kwargs)
        return EncodedKey(self.address(key), data, is_code)

    def listed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, bool]:
        """The stored form of a call, large or unstorable arguments as short text; and whether it needs code."""
        try:
            encoded = self._serializer.dumps(_each(_shown, args, kwargs))
        except UnsupportedValue:
            encoded = None
        if encoded is None or _size_of(encoded) > _MOST_LISTED:
            encoded = self._serializer.dumps(_each(_described, args, kwargs))
        return pack_key(encoded), encoded.is_code

    def decode(self, data: Buffer) -> Any:
        return self._serializer.loads(unpack_key(data))


def _as_call(key: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], tuple) and isinstance(key[1], dict):
        return key
    raise VolatileKey(
        f"a function's results are found by ((args), {{kwargs}}), not by {key!r}; or use get_func(*args, **kwargs)"
    )


def _each(show: Callable[[Any], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return tuple(map(show, args)), {name: show(value) for name, value in kwargs.items()}


def _size_of(encoded: Encoded) -> int:
    return len(encoded.document) + sum(memoryview(buffer).nbytes for buffer in encoded.buffers)


def _shown(argument: Any) -> Any:
    return _described(argument) if _bytes_in(argument) >= _BIG else argument


def _bytes_in(argument: Any) -> int:
    """The size of an array or a frame; 0 for everything else, their classes included."""
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


def _described(argument: Any) -> Any:
    kind = type(argument)
    if kind in (int, float, bool, type(None)) or (kind in (str, bytes) and len(argument) < _BIG):
        return argument
    shape = getattr(argument, "shape", None) if kind not in (str, bytes) else f"of {len(argument)}"
    return f"<{kind.__name__}{f' {shape}' if shape is not None else ''} {address_of_value(argument).hex()[:12]}>"


def address_of_value(argument: Any) -> bytes:
    """A digest that tells an argument apart in listings."""
    from hashstash.fingerprint import Fingerprinter

    return address_of(argument, Fingerprinter().digest)
