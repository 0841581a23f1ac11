"""Which memory belongs to a function in a stash; and functions as ``stash.run`` calls them."""

from __future__ import annotations

import functools
import inspect
import warnings
from types import FunctionType
from typing import TYPE_CHECKING, Any

from hashstash.functions.kinds import is_async, memo_in, name_of, refuse_generators
from hashstash.functions.memo import CacheInfo, Memo
from hashstash.functions.options import DEFAULTS, MemoOptions, with_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hashstash.open import Config
    from hashstash.stash import HashStash

__all__ = ["CacheInfo", "Memo", "MemoOptions", "memo_for", "memo_of", "memoized", "refuse_generators", "with_options"]

_MOST_MEMOS = 1000
_NAMED_AFTER = (FunctionType, functools.partial)
"""What gets the attribute ``stash``: on a class or an instance it would be part of the user's own state."""


_memos: dict[tuple[Any, ...], tuple[Callable[..., Any], Memo]] = {}
"""By the function's identity: two callables that say they are equal need not compute the same."""
_places: dict[int, tuple[Config, str]] = {}
_without_memory: set[str] = set()
"""The functions of which it was said that they are computed each time."""


def memo_of(function: Callable[..., Any], parent: HashStash, options: MemoOptions) -> Memo:
    """The memory of *function* in *parent* with these options: the same one each time, as long as it is remembered."""
    place = (id(function), _place_of(parent.config), options if options is DEFAULTS else _identity(options))
    known = _memos.get(place)
    if known is not None:
        return known[1]
    memo = Memo(function, parent, options)
    if len(_memos) >= _MOST_MEMOS:
        _memos.clear()
    _memos[place] = (function, memo)  # with the function, so that no other one can get its id
    return memo


def _place_of(config: Config) -> str:
    """The configuration as text, which is made once for each stash object."""
    known = _places.get(id(config))
    if known is None or known[0] is not config:
        if len(_places) >= _MOST_MEMOS:
            _places.clear()
        known = _places[id(config)] = (config, repr(config))
    return known[1]


def _identity(options: MemoOptions) -> tuple[Any, ...]:
    """What tells options apart; callables and unusual versions by identity, as they live as long as the memo that has them."""
    version = options.version
    return (
        *(options.ttl, options.ignore, options.force, options.cache_exceptions),
        *(id(options.key), id(options.if_), id(options.on_error)),
        (type(version), version) if type(version) in (str, int, float, bool, bytes, type(None)) else id(version),
    )


def memo_for(
    function: Callable[..., Any], parent: HashStash, changes: Mapping[str, Any] | None = None
) -> tuple[Memo, tuple[Any, ...]]:
    """The memory of *function* in *parent*, and the arguments that go before those of a call: what a method is bound to.

    A function that is decorated already keeps the options of its decorator, except for the *changes*.
    """
    if inspect.ismethod(function):
        memo, bound = memo_for(function.__func__, parent, changes)
        return memo, (*bound, function.__self__)
    own = memo_in(function)
    plain = function if own is None else own.function
    options = DEFAULTS if own is None else own.options
    return memo_of(plain, parent, with_options(options, **changes) if changes else options), ()


def memoized(
    function: Callable[..., Any], parent: HashStash, changes: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """*function* as ``stash.run`` calls it; the plain function gets the attribute ``stash`` and is otherwise left alone.

    Where the place of its results cannot be opened, the function itself, with a warning: no computation is refused for that.
    """
    if not callable(function):
        raise TypeError(f"{function!r:.80} is not callable; give a function, then its arguments: stash.run(f, 1)")
    refuse_generators(function)
    try:
        memo, bound = memo_for(function, parent, changes)
    except OSError as error:
        name = name_of(function)
        if name not in _without_memory:
            _without_memory.add(name)
            warnings.warn(f"{name} returns its results, which cannot be stored: {error}", RuntimeWarning, stacklevel=4)
        return function
    target = function.__func__ if inspect.ismethod(function) else function
    if type(target) in _NAMED_AFTER and memo_in(target) is None:
        target.stash = memo.stash  # type: ignore[attr-defined]
    if is_async(memo.function):
        return lambda *args, **kwargs: memo.call_async((*bound, *args), kwargs)
    return lambda *args, **kwargs: memo.call((*bound, *args), kwargs)
