"""The fingerprint of a function taken apart, so that a miss can be explained by name."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Protocol

from hashstash.fingerprint.environment import environment_variables
from hashstash.fingerprint.functions import (
    Binding,
    global_names,
    imports_of,
    is_single_dispatch,
    own_bindings,
    readable_names,
)
from hashstash.fingerprint.modules import is_user_module
from hashstash.fingerprint.packages import Origin, origin_of_globals
from hashstash.fingerprint.reads import code_reads
from hashstash.fingerprint.source import code_digest
from hashstash.fingerprint.walker import MISSING
from hashstash.fingerprint.writes import is_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashstash.fingerprint.reads import Import

_NUMBERS = frozenset({int, float, complex, bool, type(None)})
_LONGEST_NUMBER = 40


@dataclass(frozen=True)
class Account:
    """What a function is made of.

    Helpers stand beside the function: a helper's part is its own code, and what it reads are parts of their own.
    """

    parts: dict[str, bytes]
    """``{"code of f": ..., "helper g": ..., "global K": ..., "default v": ..., "closure n": ..., "module m": ...}``."""
    packages: Mapping[str, str]
    numbers: dict[str, str] = field(default_factory=dict)
    """The text of those parts that are numbers."""

    def add(self, name: str, digest: bytes, value: Any = MISSING) -> None:
        """Note a part under *name*, numbered if another part has it."""
        number, free = 1, name
        while free in self.parts:
            number += 1
            free = f"{name} ({number})"
        self.parts[free] = digest
        if type(value) in _NUMBERS and len(repr(value)) <= _LONGEST_NUMBER:
            self.numbers[free] = repr(value)


class Digests(Protocol):
    """How the parts of a function are digested."""

    def of_value(self, value: Any) -> bytes:
        """The digest of any value."""

    def of_import(self, statement: Import, namespace: Mapping[str, Any]) -> bytes | None:
        """The digest of what an import statement inside a function brings in; ``None`` if it is not the user's."""


def account_of(function: Any, digests: Digests, packages: Mapping[str, str]) -> Account:
    """What *function* is made of; *packages* is filled while *digests* are made."""
    account = Account({}, packages)
    waiting: list[tuple[str, Any]] = [("code of", function)]
    met: set[int] = set()
    while waiting:
        kind, found = waiting.pop(0)
        current = unwrapped(_opened(account, found, digests))
        if id(current) in met:
            continue
        met.add(id(current))
        if not _is_user_function(current):
            account.add(f"value {getattr(current, '__name__', type(current).__name__)}", digests.of_value(current))
            continue
        account.add(f"{kind} {current.__name__}", code_digest(current.__code__, current.__globals__))
        for binding in _bindings(current):
            if is_record(current.__code__, current.__globals__, binding.name, binding.value):
                continue
            if _is_user_function(unwrapped(binding.value)):
                waiting.append(("helper", binding.value))
            else:
                digest = b"missing" if binding.value is MISSING else digests.of_value(binding.value)
                account.add(f"{binding.kind} {binding.name}", digest, binding.value)
        reads = code_reads(current.__code__)
        for name in sorted(reads.environment):
            value = environment_variables().get(os.environ.encodekey(name), MISSING)
            account.add(f"environment {name}", b"missing" if value is MISSING else digests.of_value(value))
        for statement in imports_of(current):
            imported = digests.of_import(statement, current.__globals__)
            if imported is not None:
                account.add(f"module {'.' * statement.level}{statement.module}", imported)
    return account


def _opened(account: Account, function: Any, digests: Digests) -> Any:
    """The function in partials and bound methods; what they bind are parts."""
    while isinstance(function, (functools.partial, MethodType)):
        if isinstance(function, MethodType):
            account.add("value self", digests.of_value(function.__self__))
            function = function.__func__
            continue
        for number, argument in enumerate(function.args):
            account.add(f"argument {number}", digests.of_value(argument), argument)
        for name, argument in function.keywords.items():
            account.add(f"argument {name}", digests.of_value(argument), argument)
        function = function.func
    return function


def unwrapped(function: Any) -> Any:
    """The function that decorators and methods stand for."""
    while not _is_user_function(function) and not is_single_dispatch(function):  # which stands for several functions
        inner = getattr(function, "__wrapped__", None) or getattr(function, "__func__", None)
        if inner is None:
            break
        function = inner
    return function


def _is_user_function(value: Any) -> bool:
    return isinstance(value, FunctionType) and origin_of_globals(value.__globals__) is Origin.USER


def _bindings(function: FunctionType) -> Iterator[Binding]:
    yield from own_bindings(function)
    reads = code_reads(function.__code__)
    names = global_names(function)
    if reads.is_dynamic:
        names = sorted({*names, *readable_names(function.__globals__)})
    for name in names:
        value = function.__globals__.get(name, MISSING)
        if is_user_module(value):
            taken = dict(_taken(value, chain) for chain in reads.chains if chain[0] == name)
            for place in sorted(taken):
                yield Binding("global", place, taken[place])
        elif value is not MISSING:
            yield Binding("global", name, value)


def _taken(module: Any, chain: tuple[str, ...]) -> tuple[str, Any]:
    """What the attribute *chain* takes from a user's module, and where: through packages to what is no module."""
    found, place = module, [chain[0]]
    for name in chain[1:]:
        if not is_user_module(found):
            break
        found = vars(found).get(name, MISSING)
        place.append(name)
    return ".".join(place), found
