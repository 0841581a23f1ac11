"""The fingerprint of a memoized function, exact at every call and in less than a microsecond when nothing changed.

The first walk notes what it rests on: which object each global name, default, closure cell and attribute stood for.
Objects that cannot change in place are then told by identity; those that can (a list, an array, an instance) are
hashed at each call.
"""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import functools
import pathlib
import re
import types
import uuid
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from hashstash.errors import VolatileKey
from hashstash.fingerprint.buffers import buffer_hasher, default_buffer_hash
from hashstash.fingerprint.dispatch import handler_for
from hashstash.fingerprint.fingerprinter import Fingerprinter, finished, stable_digest
from hashstash.fingerprint.functions import cell_contents
from hashstash.fingerprint.walker import ATOMS, MISSING, Walker
from hashstash.fingerprint.writes import is_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hashstash.fingerprint.packages import Pin
    from hashstash.fingerprint.parts import Account

_UNCHANGING: Final = frozenset(
    {
        *ATOMS,
        *(
            range,
            slice,
            types.CodeType,
            types.BuiltinFunctionType,
            types.GetSetDescriptorType,
            types.MemberDescriptorType,
        ),
        *(types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType),
        *(dt.date, dt.time, dt.datetime, dt.timedelta, decimal.Decimal, fractions.Fraction),
        *(
            uuid.UUID,
            re.Pattern,
            pathlib.PosixPath,
            pathlib.WindowsPath,
            pathlib.PurePosixPath,
            pathlib.PureWindowsPath,
        ),
    }
)
_GUARDED: Final = (
    *(types.FunctionType, type, types.ModuleType, functools.partial, functools.partialmethod, property, staticmethod),
    *(classmethod, types.MethodType, type(functools.lru_cache(len))),
)
"""Types whose handlers tell the guards all that can change."""


class Guards:
    """What a walk over live code rests on."""

    def __init__(self) -> None:
        self.lookups: list[tuple[Mapping[Any, Any], str, Any]] = []
        self.functions: list[tuple[types.FunctionType, types.CodeType, Any, Any]] = []
        self.cells: list[tuple[types.CellType, Any]] = []
        self.sizes: list[tuple[Mapping[Any, Any], int]] = []
        self.deferred: list[tuple[str, Any]] = []
        self.is_complete = True
        """Whether the guards see every change; a function that imports the user's modules is walked at each call."""

    def lookup(self, mapping: Mapping[Any, Any], name: Any, value: Any) -> None:
        """*name* stands for *value* in *mapping*, or for nothing."""
        self.lookups.append((mapping, name, value))

    def mapping(self, mapping: Mapping[Any, Any]) -> None:
        """*mapping* holds these values under these names, and no others."""
        self.sizes.append((mapping, len(mapping)))
        self.lookups.extend((mapping, name, value) for name, value in mapping.items())

    def function(self, function: types.FunctionType) -> None:
        """*function* has this code, these defaults, this closure and these attributes."""
        self.functions.append((function, function.__code__, function.__defaults__, function.__kwdefaults__))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            value = cell_contents(cell)
            if not is_record(function.__code__, function.__globals__, name, value):
                self.cells.append((cell, value))
        self.mapping(function.__dict__)
        if function.__kwdefaults__:
            self.mapping(function.__kwdefaults__)

    def defer(self, value: Any, label: str) -> bool:
        """Whether *value* can change in place, and is therefore left to be hashed at each call."""
        if _is_told_by_identity(value):
            return False
        if self.number_of(value) is None:
            self.deferred.append((label, value))
        return True

    def number_of(self, value: Any) -> int | None:
        """The place of a deferred value among all of them."""
        return next((number for number, (_, other) in enumerate(self.deferred) if other is value), None)

    def hold(self) -> bool:
        """Whether everything still stands for what it stood for."""
        for mapping, name, value in self.lookups:
            if mapping.get(name, MISSING) is not value:
                return False
        for function, code, defaults, keyword_defaults in self.functions:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not keyword_defaults
            ):
                return False
        for mapping, size in self.sizes:
            if len(mapping) != size:
                return False
        for cell, value in self.cells:  # no generator, which would cost as much as all of the above  # noqa: SIM110
            if cell_contents(cell) is not value:
                return False
        return True


def _is_told_by_identity(value: Any) -> bool:
    kind = type(value)
    if kind in _UNCHANGING or isinstance(value, _GUARDED):
        return True
    return kind in (tuple, frozenset) and all(map(_is_told_by_identity, value))


class LiveFingerprint:
    """The fingerprint of one function, asked for at every call."""

    def __init__(self, function: Any, *, pin: Pin = "minor", buffer_hash: str | None = None) -> None:
        self._function = function
        self._pin: Pin = pin
        self._buffer_hash = buffer_hash or default_buffer_hash()
        self._hasher = buffer_hasher(self._buffer_hash)
        self._state: tuple[Callable[[], bool], tuple[tuple[str, Any], ...], bytes] | None = None

    def digest(self) -> bytes:
        """The digest of the function as it is now; raises :class:`~hashstash.errors.VolatileKey` if it has none."""
        state = self._state
        if state is None or not state[0]():
            state = self._walk()
        if state[1]:
            return self._with_deferred(state[2], state[1])
        return state[2]

    def parts(self) -> dict[str, bytes]:
        """The digests of all that the fingerprint is made of, by name."""
        return self._fingerprinter().parts(self._function)

    def account(self) -> Account:
        """What the function is made of now, in words and with the versions of the packages that it uses."""
        return self._fingerprinter().account(self._function)

    def _fingerprinter(self) -> Fingerprinter:
        return Fingerprinter(pin=self._pin, buffer_hash=self._buffer_hash)

    def _label(self) -> str:
        return str(getattr(self._function, "__name__", type(self._function).__name__))

    def _walk(self) -> tuple[Callable[[], bool], tuple[tuple[str, Any], ...], bytes]:
        walker = finished(self._walker, [(self._label(), self._function)])
        guards: Guards = walker.guards  # type: ignore[assignment]
        state = (guards.hold, tuple(guards.deferred), stable_digest(walker))
        self._state = state if guards.is_complete else None
        return state

    def _walker(self) -> Walker:
        return Walker(handler_for, pin=self._pin, namespace=None, hasher=self._hasher, leaves=None, guards=Guards())

    def _with_deferred(self, digest: bytes, deferred: tuple[tuple[str, Any], ...]) -> bytes:
        """All deferred values in one walk, so that what they share counts."""
        walk = self._fingerprinter().walk_all(deferred)
        if walk.volatile:
            raise VolatileKey(f"{walk.volatile[0]}, so its state cannot be hashed; use a part of it that can")
        return blake2b(digest + walk.digest, digest_size=16).digest()
