"""Handlers for what Python's library wraps around functions: partials, properties, static and class methods, caches."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from hashstash.fingerprint.functions import own_attributes

if TYPE_CHECKING:
    from hashstash.fingerprint.walker import Handler, Walker


def walk_partial(walker: Walker, value: functools.partial[Any]) -> None:
    walker.register(value)
    walker.walk(type(value))
    _walk_call(walker, value.func, value.args, value.keywords)
    attributes = own_attributes(value)
    if attributes:
        walker.step(".__dict__", attributes)


def walk_partial_method(walker: Walker, value: functools.partialmethod[Any]) -> None:
    walker.register(value)
    walker.mark("partialmethod")
    _walk_call(walker, value.func, value.args, value.keywords)


def _walk_call(walker: Walker, function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    walker.mark("call", len(arguments), len(keywords))
    walker.bound(".func", function)
    for index, argument in enumerate(arguments):
        walker.bound(f".args[{index}]", argument)
    if walker.guards is not None:
        walker.guards.mapping(keywords)
    for name, argument in keywords.items():
        walker.atom(name)
        walker.bound(f".keywords[{name!r}]", argument)


def walk_property(walker: Walker, value: property) -> None:
    walker.register(value)
    walker.walk(type(value))
    for name in ("fget", "fset", "fdel"):
        walker.bound(f".{name}", getattr(value, name))


def walk_wrapped_method(walker: Walker, value: Any) -> None:
    """A staticmethod or classmethod is the function in it."""
    walker.mark(type(value).__name__)
    walker.bound("", value.__func__)


def walk_cached_property(walker: Walker, value: functools.cached_property[Any]) -> None:
    walker.mark("cached_property", value.attrname)
    walker.bound(".func", value.func)


def walk_single_dispatch_method(walker: Walker, value: functools.singledispatchmethod[Any]) -> None:
    walker.mark("singledispatchmethod")
    walker.bound(".func", value.func)
    walker.bound(".dispatcher", value.dispatcher)


def walk_lru_cache(walker: Walker, value: Any) -> None:
    """What is in the cache follows from the function, and does not count."""
    walker.register(value)
    limit = value.cache_parameters()
    walker.mark("lru_cache", limit["maxsize"], limit["typed"])
    if walker.guards is not None:
        walker.guards.lookup(vars(value), "__wrapped__", value.__wrapped__)
    walker.bound("", value.__wrapped__)


HANDLERS: dict[type, Handler] = {
    functools.partial: walk_partial,
    functools.partialmethod: walk_partial_method,
    functools.cached_property: walk_cached_property,
    functools.singledispatchmethod: walk_single_dispatch_method,
    type(functools.lru_cache(len)): walk_lru_cache,
    property: walk_property,
    staticmethod: walk_wrapped_method,
    classmethod: walk_wrapped_method,
}
