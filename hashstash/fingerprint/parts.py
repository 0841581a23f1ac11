"""The fingerprint of a function taken apart, so that a miss can be explained by name."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from hashstash.fingerprint.functions import Binding, global_names, own_bindings
from hashstash.fingerprint.modules import is_user_module
from hashstash.fingerprint.packages import Origin, origin_of_globals
from hashstash.fingerprint.reads import code_reads
from hashstash.fingerprint.source import code_digest
from hashstash.fingerprint.walker import MISSING
from hashstash.fingerprint.writes import is_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def function_parts(function: Any, digest: Callable[[Any], bytes]) -> dict[str, bytes]:
    """``{"code of f": ..., "helper g": ..., "global K": ..., "default v": ..., "closure n": ...}``.

    Helpers stand beside the function: a helper's part is its own code, and what it reads are parts of their own.
    """
    parts: dict[str, bytes] = {}
    waiting: list[tuple[str, Any]] = [("code of", unwrapped(function))]
    met: set[int] = set()
    while waiting:
        kind, current = waiting.pop(0)
        if id(current) in met:
            continue
        met.add(id(current))
        if not _is_user_function(current):
            parts[_free_name(parts, f"value {getattr(current, '__name__', type(current).__name__)}")] = digest(current)
            continue
        parts[_free_name(parts, f"{kind} {current.__name__}")] = code_digest(current.__code__, current.__globals__)
        for binding in _bindings(current):
            if is_record(current.__code__, current.__globals__, binding.name, binding.value):
                continue
            helper = unwrapped(binding.value)
            if _is_user_function(helper):
                waiting.append(("helper", helper))
            else:
                found = b"missing" if binding.value is MISSING else digest(binding.value)
                parts[_free_name(parts, f"{binding.kind} {binding.name}")] = found
    return parts


def unwrapped(function: Any) -> Any:
    """The function that decorators and methods stand for."""
    while not isinstance(function, FunctionType) or origin_of_globals(function.__globals__) is not Origin.USER:
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
    for name in global_names(function):
        value = function.__globals__.get(name, MISSING)
        if is_user_module(value):
            chains = sorted({chain[:2] for chain in reads.chains if chain[0] == name})
            for chain in chains:
                taken = value if len(chain) == 1 else vars(value).get(chain[1], MISSING)
                yield Binding("global", ".".join(chain), taken)
        elif value is not MISSING:
            yield Binding("global", name, value)


def _free_name(parts: dict[str, bytes], name: str) -> str:
    """*name*, numbered if another part has it."""
    number, free = 1, name
    while free in parts:
        number += 1
        free = f"{name} ({number})"
    return free
