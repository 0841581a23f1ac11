"""``@stashed_result`` in all its forms."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from hashstash.functions.function_stash import Memo, MemoOptions, memo_of, memoized, refuse_generators, with_options
from hashstash.policies.time_to_live import parse_duration
from hashstash.stash import HashStash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MEMO_NAMES = ("ttl", "ignore", "key", "version", "if_", "force")


def stashed_result(target: Any = None, /, **options: Any) -> Any:
    """A decorator that computes a function once for equal arguments, until the function or what it uses changes.

    ``@stashed_result`` uses the default stash, ``@stashed_result("name")`` the one of that name, and the other arguments of
    HashStash choose another. *ttl*, *ignore*, *key*, *version*, *if_* are about the function, see :class:`MemoOptions`. Works
    on functions, methods, classmethods, staticmethods, async functions, partials and callables.

    The decorated function has ``.stash``, ``.invalidate(*args)``, ``.key(*args)``, ``.uncached`` and ``.cache_info()``.
    """
    memo_options = _memo_options({name: options.pop(name) for name in _MEMO_NAMES if name in options})
    if target is None or isinstance(target, str):
        return functools.partial(_decorate_in, lambda: HashStash(target, **options), memo_options)
    return _decorate_in(lambda: HashStash(**options), memo_options, target)


def decorate(function: Any, stash: HashStash, options: Mapping[str, Any]) -> Any:
    """What ``stash.stashed_result`` does, with or without a function to decorate yet."""
    chosen = _memo_options(options)
    if function is None:
        return functools.partial(_decorate_in, lambda: stash, chosen)
    return _decorate_in(lambda: stash, chosen, function)


def _decorate_in(stash: Callable[[], HashStash], options: MemoOptions, function: Any) -> Any:
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_wrap(function.__func__, stash(), options))
    if isinstance(function, property):
        raise TypeError("decorate the property's function below @property, not the property")
    if not callable(function):
        raise TypeError(
            f"{function!r} is not callable; write @stashed_result above a function, or @stashed_result('name')"
        )
    return _wrap(function, stash(), options)


def _memo_options(options: Mapping[str, Any]) -> MemoOptions:
    values = dict(options)
    if values.get("ttl") is not None:
        values["ttl"] = parse_duration(values["ttl"])
    if isinstance(values.get("ignore"), str):
        values["ignore"] = (values["ignore"],)
    return with_options(MemoOptions(), **values)


def _wrap(function: Callable[..., Any], stash: HashStash, options: MemoOptions) -> Callable[..., Any]:
    refuse_generators(function)
    memo = memo_of(function, stash, options)
    if inspect.iscoroutinefunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await memo.call_async(args, kwargs)
    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
            return memo.call(args, kwargs)

    return _dressed(wrapper, function, memo)


def _dressed(wrapper: Any, function: Callable[..., Any], memo: Memo) -> Callable[..., Any]:
    """*wrapper* with the name, the documentation and the attributes of the memoized *function*."""
    functools.update_wrapper(wrapper, function)
    wrapper.__hashstash_memo__ = memo
    wrapper.stash = memo.stash
    wrapper.uncached = function
    wrapper.key = memo.key
    wrapper.invalidate = memo.invalidate
    wrapper.cache_info = memo.cache_info
    return wrapper  # type: ignore[no-any-return]


class CallOptions:
    """A stash with options for the calls made through it: ``stash.options(force=True).run(f, 1)``."""

    def __init__(self, stash: HashStash, options: Mapping[str, Any]) -> None:
        self._stash = stash
        self._options = _memo_options(options)

    def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like ``stash.run`` with the options."""
        return memoized(function, self._stash, self._options)(*args, **kwargs)
