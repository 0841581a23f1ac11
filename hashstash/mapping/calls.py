"""From what a user gives to a map to one call for each item."""

from __future__ import annotations

import inspect
import itertools
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SHOWN = 200
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Call(NamedTuple):
    """The arguments of one call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def calls_of(
    objects: Iterable[Any] | None,
    options: Iterable[Mapping[str, Any]] | None,
    common: Mapping[str, Any],
    *,
    star: bool = True,
    total: int | None = None,
) -> list[Call]:
    """One call for each of *objects*: a tuple gives the positional arguments (unless *star* is false), anything else is one.

    A named tuple is a record, and one argument. *options* are the keywords of each item and go before the *common* ones;
    where no objects are given, each of them is a call of its own. At most *total* items are taken, so that an iterator
    without an end may be given.
    """
    _check_total(total)
    if objects is None and options is None:
        raise TypeError(
            "there is nothing to map over: give a list of objects, or options=[{...}], the keywords of each call"
        )
    items = _listed(() if objects is None else objects, "objects", total)
    keywords = _listed(() if options is None else options, "options", total)
    for number, own in enumerate(keywords):
        _check_keywords(own, f"options[{number}]", "each is a dict of keyword arguments for one item")
    if objects is None or (type(objects) is tuple and not objects):
        return [Call((), {**common, **own}) for own in keywords]
    if keywords and len(keywords) != len(items):
        raise ValueError(f"{len(items)} objects, but {len(keywords)} options; give one dict of options for each object")
    arguments = [item if star and type(item) is tuple else (item,) for item in items]
    if not keywords:
        shared = dict(common)
        return [Call(args, shared) for args in arguments]
    return [Call(args, {**common, **own}) for args, own in zip(arguments, keywords, strict=True)]


def keywords_for_all(common: Mapping[str, Any], others: Mapping[str, Any] | None) -> dict[str, Any]:
    """The keywords that every item gets: those given as such, and the *others*, whose names may be those of a map's options."""
    if others is None:
        return dict(common)
    _check_keywords(others, "kwargs", "it is a dict of keyword arguments for all items")
    return {**common, **others}


def _check_keywords(keywords: Any, name: str, what: str) -> None:
    if not isinstance(keywords, Mapping) or not all(isinstance(key, str) for key in keywords):
        raise TypeError(f"{name} is {shortened(keywords, 80)}; {what}")


def _check_total(total: Any) -> None:
    if total is None:
        return
    if type(total) is bool or not hasattr(type(total), "__index__"):
        raise TypeError(f"total={shortened(total, 80)}; it is a number of items, or None for all")
    if total < 0:
        raise ValueError(f"total={total}; it is a number of items from 0 on, or None for all")


def _listed(items: Iterable[Any], name: str, total: int | None) -> list[Any]:
    shown = shortened(items, 80)
    if isinstance(items, Mapping) and name == "options":
        raise TypeError(f"options={shown} is one dict; give a list of them, or keyword arguments for all items")
    if isinstance(items, (str, bytes, bytearray)):
        raise TypeError(f"{name}={shown} is one {type(items).__name__}; give a list of inputs, such as [{shown}]")
    if hasattr(items, "itertuples") or hasattr(items, "iter_rows"):
        rows = "itertuples()" if hasattr(items, "itertuples") else "iter_rows()"
        raise TypeError(f"{name}={shown} is a frame; give its rows, frame.{rows}, or one of its columns")
    try:
        iterator = iter(items)
    except TypeError:
        raise TypeError(f"{name}={shown} cannot be iterated over; give a list of inputs") from None
    if total is None and _is_endless(items):
        raise ValueError(f"{name}={shown} has no end; say with total= how many items to take")
    return list(itertools.islice(iterator, total))


def _is_endless(items: Any) -> bool:
    """Whether *items* is known to have no end; of most iterators nobody knows."""
    if isinstance(items, itertools.repeat):
        return operator.length_hint(items, -1) < 0
    return isinstance(items, (itertools.count, itertools.cycle))


def shown_call(function_name: str, call: Call, most: int | None = None) -> str:
    """The call as one would write it, cut to *most* characters; an argument whose repr fails is named by its type."""
    if most is not None and len(function_name) > most // 2:
        function_name = "…" + function_name[1 - most // 2 :]  # of the two, the arguments tell more
    parts = [shortened(argument, _SHOWN) for argument in call.args]
    parts += [f"{name}={shortened(value, _SHOWN)}" for name, value in call.kwargs.items()]
    text = f"{function_name}({', '.join(parts)})"
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the positional parameters, as far as Python knows them."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return ()
    return tuple(parameter.name for parameter in parameters if parameter.kind in _POSITIONAL)


def named_arguments(args: Sequence[Any], kwargs: Mapping[str, Any], parameters: Sequence[str]) -> dict[str, Any]:
    """The arguments of a call by the names of their parameters; what none of them names is ``_arg1``, ``_arg2``, ..."""
    named = {
        parameters[number] if number < len(parameters) else f"_arg{number + 1}": value
        for number, value in enumerate(args)
    }
    for name, value in kwargs.items():
        named[name if name not in named else f"_kw.{name}"] = (
            value  # a keyword may be called like a positional-only one
        )
    return named
