"""What makes two calls the same call: equal bound arguments, and a function that has not changed."""

from __future__ import annotations

import inspect
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from hashstash.codec import Buffer, Serializer, unpack_key
from hashstash.errors import VolatileKey
from hashstash.fingerprint.functions import is_memoized
from hashstash.foreign import refuse_placeholder
from hashstash.functions.kinds import code_state
from hashstash.functions.listed import listed
from hashstash.key_codec import EncodedKey, PlainKeyCodec
from hashstash.keys import ADDRESS_SIZE, address_of, address_within
from hashstash.registry import SERIALIZERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_AS_CALLED = "as called"


class CallBinder:
    """Arguments in the order of the signature with defaults applied: ``f(1, 2)``, ``f(a=1, b=2)``, ``f(b=2, a=1)`` are one.

    Where a decorator shows another signature than it has, its function may treat arguments in ways of its own: there, no
    default is applied, and what does not fit the signature that it shows is taken as it is called.
    """

    def __init__(
        self, function: Callable[..., Any], *, ignore: Iterable[str] = (), key: Callable[..., Any] | None = None
    ) -> None:
        while is_memoized(function):  # it takes what the function in it takes
            function = function.__wrapped__  # type: ignore[attr-defined]
        self._function = function
        self._ignored = frozenset([ignore] if isinstance(ignore, str) else ignore)
        self._key = key
        self._read_signature()
        self._check_ignored()

    def _read_signature(self) -> None:
        self._state = code_state(self._function)
        self._signature, self._is_shown_only = _signature_of(self._function)
        parameters = list(self._signature.parameters.values()) if self._signature else []
        is_simple = self._signature is not None and all(parameter.kind in _POSITIONAL for parameter in parameters)
        is_plain = is_simple and not self._is_shown_only and not self._ignored and self._key is None
        self.plain_count = len(parameters) if is_plain else -1
        """How many positional arguments make a call whose arguments are bound as they stand; -1: none do."""
        self._free_keywords = next((one.name for one in parameters if one.kind is one.VAR_KEYWORD), None)

    def _check_ignored(self) -> None:
        names = set(self._signature.parameters) if self._signature else set()
        unknown = self._ignored - names
        if unknown and self._free_keywords is None:
            known = ", ".join(names) or "none that Python knows of"
            raise TypeError(f"ignore={sorted(unknown)} names no parameter of {self._function!r}; it has: {known}")

    def __getstate__(self) -> dict[str, Any]:
        """Without the function: a stash in another process binds calls as they were bound when it left."""
        bare = None if self._signature is None else _without_annotations(self._signature)
        return {**vars(self), "_function": None, "_state": (), "_signature": bare}

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The bound arguments; raises the TypeError that the call itself would raise."""
        if not kwargs and len(args) == self.plain_count:
            return args
        if self._key is not None:
            return ("key", self._key(*args, **kwargs))
        named = self.named(args, kwargs)
        if named is None:
            return (_AS_CALLED, args, kwargs) if self._is_shown_only else (args, kwargs)
        if self._is_shown_only:
            return tuple(named.items())
        return tuple(named.values())

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """The arguments that count by their parameters; ``None`` where no signature tells them."""
        if not all(map(_is, self._state, code_state(self._function))):
            self._read_signature()
        if self._signature is None:
            return None
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:
            if self._is_shown_only:
                return None
            raise
        if not self._is_shown_only:
            bound.apply_defaults()
        found = {name: value for name, value in bound.arguments.items() if name not in self._ignored}
        free = self._free_keywords
        if free is not None and free in found and self._ignored:
            found[free] = {name: value for name, value in found[free].items() if name not in self._ignored}
        return found

    def labelled(self, bound: tuple[Any, ...]) -> list[tuple[str, Any]]:
        """*bound* arguments with the names of their parameters, where these are known."""
        if self._key is not None:
            return [("key", bound[1])]
        names = (
            []
            if self._signature is None
            else [name for name in self._signature.parameters if name not in self._ignored]
        )
        if self._is_shown_only or len(names) != len(bound):
            return [("arguments", bound)]
        return list(zip(names, bound, strict=True))

    def accepts(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the arguments fit the signature."""
        try:
            self.named(args, kwargs)
        except TypeError:
            return False
        return True


def _is(one: Any, other: Any) -> bool:
    return one is other


def _signature_of(function: Callable[..., Any]) -> tuple[inspect.Signature | None, bool]:
    """The signature that *function* shows, and whether it shows another one than it has."""
    try:
        shown = inspect.signature(function)
        own = inspect.signature(function, follow_wrapped=False)
    except (ValueError, TypeError):
        return None, False  # some builtins have none: their arguments are taken as they stand
    is_replaced = "__signature__" in getattr(function, "__dict__", {})
    return shown, is_replaced or list(own.parameters.values()) != list(shown.parameters.values())


def _without_annotations(signature: inspect.Signature) -> inspect.Signature:
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return inspect.Signature(bare)


class Live(Protocol):
    """What says how the function is now."""

    def digest(self) -> bytes:
        """The digest of the function as it is now."""


class AsItWas:
    """The digest of a function that stays behind, when its stash travels to another process."""

    def __init__(self, live: Live) -> None:
        self._digest: bytes | None = None
        self._why_none = ""
        try:
            self._digest = live.digest()
        except VolatileKey as error:
            self._why_none = str(error)

    def digest(self) -> bytes:
        """The digest that the function had when its stash left; raises VolatileKey if it had none."""
        if self._digest is None:
            raise VolatileKey(self._why_none)
        return self._digest


class CallKeyCodec:
    """Keys of a function stash: ``((args), {kwargs})`` as first called, found by bound arguments and fingerprint."""

    def __init__(
        self,
        binder: CallBinder,
        live: Live,
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
        self._buffer_hash = buffer_hash
        self._paths = paths
        self._token = address_of(version, self._plain.fingerprint) if version is not None else b""

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.binder, AsItWas(self._live), self._token, self._buffer_hash(), self._paths)
        return _travelled, state

    def __deepcopy__(self, _: dict[int, Any]) -> CallKeyCodec:
        return self  # it says how calls are found, and a copy of a stash finds them alike

    def context(self) -> bytes:
        """The digest of the function as it is now, and of the user's own version of it."""
        digest = self._live.digest()
        return blake2b(digest + self._token, digest_size=ADDRESS_SIZE).digest() if self._token else digest

    def address_of_call(self, bound: tuple[Any, ...]) -> bytes:
        """The address of the result of a call with *bound* arguments."""
        return self.address_in(self.context(), bound)

    def address_in(self, context: bytes, bound: tuple[Any, ...]) -> bytes:
        """Like :meth:`address_of_call` for the function as it was in another *context*."""
        try:
            return address_within(context, bound, self._plain.fingerprint)
        except VolatileKey:
            self._plain.name_volatile(self.binder.labelled(bound))
            raise

    def fingerprint(self, value: Any) -> bytes:
        """The digest of an argument, as calls are found by it."""
        return address_of(value, self._plain.fingerprint)

    def address(self, key: Any) -> bytes:
        args, kwargs = _as_call(key)
        return self.address_of_call(self.binder.bind(args, kwargs))

    def encode(self, key: Any) -> EncodedKey:
        args, kwargs = _as_call(key)
        data, is_code = self.listed(args, kwargs)
        return EncodedKey(self.address(key), data, is_code)

    def listed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, bool]:
        """The stored form of a call, large or unstorable arguments as short text; and whether it needs code."""
        return listed(args, kwargs, self._serializer)

    def decode(self, data: Buffer) -> Any:
        return self._serializer.loads(unpack_key(data))


def _travelled(binder: CallBinder, live: Live, token: bytes, buffer_hash: str, paths: str) -> CallKeyCodec:
    """The call keys of a function stash in the process where it has arrived."""
    keys = CallKeyCodec(binder, live, None, SERIALIZERS.load("hashstash"), lambda: buffer_hash, paths=paths)
    keys._token = token  # noqa: SLF001
    return keys


def _as_call(key: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], tuple) and isinstance(key[1], dict):
        return key
    refuse_placeholder(key)
    raise VolatileKey(
        f"a function's results are found by ((args), {{kwargs}}), not by {key!r}; or use get_func(*args, **kwargs)"
    )
