"""What kind of callable it is: how it is called, how its folder is named, whether its result can be kept at all."""

from __future__ import annotations

import functools
import inspect
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from hashstash.fingerprint.functions import is_memoized

if TYPE_CHECKING:
    from collections.abc import Callable

MEMO = "__hashstash_memo__"
"""The attribute of a decorated function that holds its memory."""


def name_of(function: Callable[..., Any]) -> str:
    """``module.qualname`` of a function, of the function in a partial, or of the class of a callable."""
    plain = _inside_partials(function)
    owner = plain if isinstance(getattr(plain, "__qualname__", None), str) else type(plain)
    module = getattr(owner, "__module__", None) or "builtins"
    # The processes that multiprocessing spawns call the script __mp_main__; what they store is for the script, too.
    return f"{'__main__' if module == '__mp_main__' else module}.{owner.__qualname__}"


def _inside_partials(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _called(function: Any) -> Any:
    """The function that a call ends up in, as far as the type of a callable tells."""
    plain = _inside_partials(function)
    if isinstance(plain, (FunctionType, MethodType, BuiltinFunctionType, type)):
        return plain
    method = getattr(type(plain), "__call__", None)  # noqa: B004 - the method is wanted
    return plain if method is None or inspect.iscoroutinefunction(plain) else method


def is_async(function: Any) -> bool:
    """Whether calling *function* gives a coroutine: also partials and instances whose ``__call__`` is async."""
    called = _called(function)
    return inspect.iscoroutinefunction(called) or (isinstance(called, MethodType) and is_async(called.__func__))


def refuse_generators(function: Callable[..., Any]) -> None:
    """Raise TypeError for a generator function: its result can be consumed once, so it cannot be kept."""
    called = _called(function)
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise TypeError(
            f"{name_of(function)} is a generator function, whose result can be read only once; return a list instead"
        )


def code_state(function: Any) -> tuple[Any, ...]:
    """What decides how arguments are bound, to be compared by identity: it changes where a function is edited in place."""
    called = _called(function)
    plain = getattr(called, "__func__", called)
    if type(plain) is not FunctionType:
        return ()
    keyword_defaults = plain.__kwdefaults__
    return (plain.__code__, plain.__defaults__, *(keyword_defaults.values() if keyword_defaults else ()))


def memo_in(function: Any) -> Any:
    """The memory of a function that is itself decorated; ``None`` for others, such as one wrapped around a decorated one."""
    return getattr(function, MEMO, None) if is_memoized(function) else None
