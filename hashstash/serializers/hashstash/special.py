"""Values that do not reduce, or whose reduction belongs to one Python version: written as the call that makes them."""

from __future__ import annotations

import enum
import functools
import gc
import pickle
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.names import locate, walk_name
from hashstash.serializers.hashstash.nodes import Walk, attribute
from hashstash.serializers.hashstash.objects import walk_attributes, walk_call, walk_items, walk_object, walk_pairs
from hashstash.serializers.hashstash.storages import is_storage, walk_storage

if typing.TYPE_CHECKING:
    from hashstash.serializers.hashstash.walk import Walker, Writer

Recipe = tuple[Any, tuple[Any, ...], dict[str, Any]]
Rebuild = Callable[[Any], Recipe]


def find_object_walker(value: Any) -> Walker:
    """The walker for *value*, which is neither a function nor a class."""
    if isinstance(value, enum.Enum):
        return _walk_member
    walker = _WALKERS.get(type(value))
    if walker is None and isinstance(value, _INITIALIZED):
        return _walk_initialized
    if is_storage(value):
        return walk_storage
    return walker or walk_object


def _walk_member(writer: Writer, value: enum.Enum) -> Walk:
    kind = yield type(value), nodes.Step("class", type(value).__qualname__)
    if writer.is_made(value):
        return writer.emit(value)
    if type(value).__members__.get(value.name or "") is value:
        return writer.emit(value, nodes.MEMBER, kind, value.name)
    child = yield value.value, attribute("value")
    return writer.emit(value, nodes.CALL, kind, [child], [], [])


def _rebuilt(rebuild: Rebuild) -> Walker:
    """A walker for a type that does not reduce, from the call that makes its values."""

    def walk(writer: Writer, value: Any) -> Walk:
        yield from walk_call(writer, value, nodes.CALL, *_recipe(writer, value, rebuild))
        return writer.emit(value)

    return walk


def _recipe(writer: Writer, value: Any, rebuild: Rebuild) -> Recipe:
    """The call that makes *value*; the same answer for as long as it is being written."""
    recipes = writer.note("recipes")
    if id(value) not in recipes:
        try:
            recipes[id(value)] = rebuild(value)
        except Exception as error:  # the bound of a type variable is code of the user, run when it is asked for
            raise writer.refuse(value, f"it raised {error!r}") from error
        writer.keep(recipes[id(value)])
    recipe: Recipe = recipes[id(value)]
    return recipe


# Type variables and their like


def _named_in_module(rebuild: Rebuild) -> Walker:
    """A walker for what is found by name in its module, and otherwise made by a call that does not know the module."""

    def walk(writer: Writer, value: Any) -> Walk:
        place = locate(value)
        if place is not None:
            return (yield from walk_name(writer, value, *place))
        made = yield from walk_call(writer, value, nodes.CALL, *_recipe(writer, value, rebuild))
        if made is not None:
            yield from walk_attributes(writer, made, {"__module__": value.__module__}, {})
        return writer.emit(value)

    return walk


def _default(value: Any) -> dict[str, Any]:
    """The default of a type variable, which Python 3.13 brought."""
    return {"default": value.__default__} if getattr(value, "has_default", bool)() else {}


def _variance(value: Any) -> dict[str, Any]:
    named = {"covariant": "__covariant__", "contravariant": "__contravariant__", "infer_variance": "__infer_variance__"}
    options = {name: True for name, attribute in named.items() if getattr(value, attribute, False)}
    if value.__bound__ is not None:
        options["bound"] = value.__bound__
    return options


def _alias(value: Any) -> Recipe:
    options = {"type_params": value.__type_params__} if value.__type_params__ else {}
    return type(value), (value.__name__, value.__value__), options


def _forward_reference(value: Any) -> Recipe:
    options = {"module": value.__forward_module__, "is_class": value.__forward_is_class__}
    return typing.ForwardRef, (value.__forward_arg__, value.__forward_is_argument__), options


# Descriptors


_INITIALIZED = (property, staticmethod, classmethod)
"""What subclasses of these hold is given by their ``__init__``, and cannot be set otherwise."""


def _arguments_of(value: Any) -> tuple[Any, ...]:
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel, value.__doc__
    return (value.__func__,)


def _walk_initialized(writer: Writer, value: Any) -> Walk:
    kind = next(base for base in _INITIALIZED if isinstance(value, base))
    made = yield from walk_call(writer, value, nodes.NEW, type(value), (), {})
    if made is None:
        return writer.emit(value)
    parts = _recipe(writer, value, lambda value: (kind.__init__, (value, *_arguments_of(value)), {}))
    done = object()
    yield from walk_call(writer, done, nodes.CALL, *parts)
    return (yield from walk_attributes(writer, made, dict(vars(value)), {}))


def _walk_cached_property(writer: Writer, value: Any) -> Walk:
    made = yield from walk_call(writer, value, nodes.CALL, type(value), (value.func,), {})
    if made is not None:
        yield from walk_attributes(writer, made, {"attrname": value.attrname}, {})
    return writer.emit(value)


def walk_dispatch(writer: Writer, value: Any, kind: Callable[..., Any], registry: typing.Mapping[type, Any]) -> Walk:
    """Write what ``singledispatch`` or its like made: the function that it began with, and each one registered."""
    first = getattr(value, "func", registry[object])
    made = yield from walk_call(writer, value, nodes.CALL, kind, (first,), {})
    if made is None:
        return writer.emit(value)
    register = writer.note("registers").setdefault(id(value), object())
    yield from walk_call(writer, register, nodes.CALL, getattr, (value, "register"), {})
    function = writer.emit(register)
    for registered, implementation in registry.items():
        if registered is not object:
            kind_child = yield registered, nodes.Step("registered", registered.__name__)
            child = yield implementation, nodes.Step("registered", registered.__name__)
            done = object()
            writer.emit(done, nodes.CALL, function, [kind_child, child], [], [])
    return made


def _walk_dispatch_method(writer: Writer, value: Any) -> Walk:
    return (yield from walk_dispatch(writer, value, type(value), value.dispatcher.registry))


# Views and weak containers


def _proxied(value: Any) -> Any:
    (inside, *_) = (*gc.get_referents(value), {})
    return inside if isinstance(inside, dict) else dict(value)


def _walk_weak(writer: Writer, value: Any) -> Walk:
    """A weak container holds what else is alive when it is written, and, when it is read, what something else holds."""
    made = yield from walk_call(writer, value, nodes.CALL, type(value), (), {})
    if made is None:
        return writer.emit(value)
    if isinstance(value, weakref.WeakSet):
        return (yield from walk_items(writer, value, made, list(value)))
    return (yield from walk_pairs(writer, made, list(value.items())))


def _walk_buffer(writer: Writer, value: pickle.PickleBuffer) -> Walk:
    try:
        raw = value.raw()
    except BufferError as error:
        raise writer.refuse(value, "its memory is not contiguous") from error
    return (yield from writer.leaf(value, nodes.BUFFER, writer.buffer(raw), raw.readonly))


_WALKERS: dict[type, Walker] = {
    property: _rebuilt(lambda value: (property, _arguments_of(value), {})),
    staticmethod: _rebuilt(lambda value: (staticmethod, _arguments_of(value), {})),
    classmethod: _rebuilt(lambda value: (classmethod, _arguments_of(value), {})),
    types.MappingProxyType: _rebuilt(lambda value: (types.MappingProxyType, (_proxied(value),), {})),
    typing.ForwardRef: _rebuilt(_forward_reference),
    typing.TypeVar: _named_in_module(
        lambda value: (typing.TypeVar, (value.__name__, *value.__constraints__), _variance(value) | _default(value))
    ),
    typing.ParamSpec: _named_in_module(
        lambda value: (typing.ParamSpec, (value.__name__,), _variance(value) | _default(value))
    ),
    typing.TypeVarTuple: _named_in_module(lambda value: (typing.TypeVarTuple, (value.__name__,), _default(value))),
    typing.NewType: _named_in_module(lambda value: (typing.NewType, (value.__qualname__, value.__supertype__), {})),
    weakref.WeakKeyDictionary: _walk_weak,
    weakref.WeakValueDictionary: _walk_weak,
    weakref.WeakSet: _walk_weak,
    functools.cached_property: _walk_cached_property,
    functools.singledispatchmethod: _walk_dispatch_method,
    pickle.PickleBuffer: _walk_buffer,
}
if hasattr(typing, "TypeAliasType"):
    _WALKERS[typing.TypeAliasType] = _rebuilt(_alias)
