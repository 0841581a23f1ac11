"""``@stashed_result`` in all its forms."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from hashstash.functions.function_stash import memo_for, memo_of, memoized
from hashstash.functions.kinds import MEMO, is_async, memo_in, name_of, refuse_generators
from hashstash.functions.options import DEFAULTS, NAMES, MemoOptions, checked, with_options
from hashstash.stash import HashStash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hashstash.functions.explain import Explanation
    from hashstash.functions.memo import Memo
    from hashstash.mapping.stash_map import StashMap


def stashed_result(target: Any = None, /, **options: Any) -> Any:
    """A decorator that computes a function once for equal arguments, until the function or what it uses changes.

    ``@stashed_result`` uses the default stash, ``@stashed_result("name")`` the one of that name, and the other arguments of
    HashStash choose another. *ttl*, *ignore*, *key*, *version*, *if_*, *on_error*, *cache_exceptions* are about the function,
    see :class:`MemoOptions`; durations may be text such as ``"1h"``. Works on functions, methods, classmethods, staticmethods,
    async functions, partials and callables.

    The decorated function has ``.stash``, ``.invalidate(*args)``, ``.key(*args)``, ``.explain(*args)``, ``.uncached`` and
    ``.cache_info()``. A method is asked through its class: ``Model.predict.explain(model, x)``.
    """
    memo_options = with_options(DEFAULTS, **{name: options.pop(name) for name in NAMES if name in options})
    if target is None or isinstance(target, str):
        place = () if target is None else (target,)
        return functools.partial(_decorate_in, lambda: HashStash(*place, **options), memo_options)
    return _decorate_in(lambda: HashStash(**options), memo_options, target)


def decorate(function: Any, stash: HashStash, options: Mapping[str, Any]) -> Any:
    """What ``stash.stashed_result`` does, with or without a function to decorate yet."""
    chosen = with_options(DEFAULTS, **options)
    if function is None:
        return functools.partial(_decorate_in, lambda: stash, chosen)
    return _decorate_in(lambda: stash, chosen, function)


def _decorate_in(stash: Callable[[], HashStash], options: MemoOptions, function: Any) -> Any:
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_wrap(function.__func__, stash(), options))
    if isinstance(function, (property, functools.cached_property)):
        kind = type(function).__name__
        raise TypeError(f"decorate the function below @{kind}, not the {kind}")
    if not callable(function):
        raise TypeError(
            f"{function!r} is not callable; write @stashed_result above a function, or @stashed_result('name')"
        )
    return _wrap(function, stash(), options)


def _wrap(function: Callable[..., Any], stash: HashStash, options: MemoOptions) -> Callable[..., Any]:
    refuse_generators(function)
    memo = memo_of(function, stash, options)
    if is_async(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await memo.call_async(args, kwargs)
    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
            return memo.call(args, kwargs)

    return _dressed(wrapper, function, memo)


def _dressed(wrapper: Any, function: Callable[..., Any], memo: Memo) -> Callable[..., Any]:
    """*wrapper* with the name, the documentation and the attributes of the memoized *function*."""
    if not hasattr(function, "__name__"):
        wrapper.__qualname__ = name_of(function).removeprefix(f"{function.__module__}.")
        wrapper.__name__ = wrapper.__qualname__.rpartition(".")[2]
    # What an instance holds is its own business; what stands on a function belongs to it.
    functools.update_wrapper(wrapper, function, updated=("__dict__",) if isinstance(function, FunctionType) else ())
    setattr(wrapper, MEMO, memo)
    wrapper.stash = memo.stash
    wrapper.uncached = function
    wrapper.key = memo.key
    wrapper.invalidate = memo.invalidate
    wrapper.explain = memo.explain
    wrapper.cache_info = memo.cache_info
    return wrapper  # type: ignore[no-any-return]


class CallOptions:
    """A stash with options for the calls made through it: ``stash.options(force=True).run(f, 1)``.

    A decorated function keeps the options of its decorator, except for those that are given here.
    """

    def __init__(self, stash: HashStash, options: Mapping[str, Any]) -> None:
        self._stash = stash
        self._options = checked(options)

    def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like ``stash.run`` with the options."""
        return memoized(function, self._stash, self._options)(*args, **kwargs)

    async def arun(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like ``stash.arun`` with the options."""
        import asyncio  # whoever runs an event loop has it already

        result = await asyncio.to_thread(self.run, function, *args, **kwargs)
        return await result if isinstance(result, Awaitable) else result

    def map(
        self,
        function: Callable[..., Any],
        /,
        objects: Iterable[Any] | None = None,
        options: Iterable[Mapping[str, Any]] | None = None,
        **given: Any,
    ) -> StashMap:
        """Like ``stash.map`` with the options."""
        return self._stash.map(self._with_options(function), objects, options, **given)

    def _with_options(self, function: Any) -> Any:
        if inspect.ismethod(function):
            return MethodType(self._with_options(function.__func__), function.__self__)
        own = memo_in(function)
        plain, chosen = (function, DEFAULTS) if own is None else (own.function, own.options)
        return _wrap(plain, self._stash, with_options(chosen, **self._options))

    def explain(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Explanation:
        """What ``run`` with these arguments would do, and why; nothing is called or stored."""
        memo, bound = memo_for(function, self._stash, self._options)
        return memo.explain(*bound, *args, **kwargs)
