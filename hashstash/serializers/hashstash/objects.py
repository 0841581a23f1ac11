"""Instances: taken apart by their own ``__reduce_ex__``, as pickle does, and put together again by its recipe.

What differs from pickle: attributes are restored without running a class's own ``__setattr__``, so that frozen classes
work; exceptions are restored without running the ``__init__`` of the user's class, which rarely accepts ``args``, and
keep their cause and context; members of an enum are found by name.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import gc
import pickle
import sys
import types
import typing
import weakref
from collections.abc import Callable, Generator
from typing import Any

from hashstash.errors import BadEntry, StashError
from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.kinds import describe, never_stored, type_name
from hashstash.serializers.hashstash.names import locate, walk_name
from hashstash.serializers.hashstash.nodes import Child, Step, Walk, attribute, item, walk_each

if typing.TYPE_CHECKING:
    from hashstash.serializers.hashstash.build import Action, Reader
    from hashstash.serializers.hashstash.walk import Walker, Writer

PROTOCOL = 5
Started = Generator[tuple[Any, Step | None], Child, Child | None]
"""A walk that ends with ``None`` if a walk inside it has written the object and all that follows."""
HEAP_TYPE = 1 << 9


# Writing


def walk_object(writer: Writer, value: Any) -> Walk:
    """Write an instance of any class."""
    recipe = _recipe(writer, value)
    if isinstance(recipe, str):
        return (yield from _walk_by_name(writer, value, recipe))
    function, arguments, state, items, pairs, setter = recipe
    if isinstance(value, set) and type(value).__reduce__ is set.__reduce__:  # made empty, so that it may contain itself
        function, arguments, items = copyreg.__newobj__, (type(value),), arguments[0]  # type: ignore[attr-defined]
    number, target, arguments, keywords = _construction(value, function, arguments)
    made = yield from walk_call(writer, value, number, target, arguments, keywords)
    if made is None:
        return writer.emit(value)
    if state is not None:
        yield from _walk_state(writer, value, made, state, setter)
    if items is not None:
        yield from _walk_items(writer, made, items)
    if pairs is not None:
        yield from _walk_pairs(writer, made, pairs)
    if isinstance(value, BaseException):
        yield from _walk_links(writer, value, made)
    return made


def walk_call(  # noqa: PLR0917
    writer: Writer, value: Any, number: int, target: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> Started:
    """Write the construction of *value*; return ``None`` if a walk inside this one wrote it and all that follows."""
    target_child = yield target, Step("class", getattr(target, "__qualname__", "?"))
    children = yield from walk_each((argument, Step("argument", index)) for index, argument in enumerate(arguments))
    values = yield from walk_each((argument, Step("argument", name)) for name, argument in keywords.items())
    if writer.is_made(value):
        return None
    if number == nodes.EXCEPTION:
        return writer.emit(value, number, target_child, children)
    return writer.emit(value, number, target_child, children, list(keywords), values)


def _recipe(writer: Writer, value: Any) -> Any:
    """What ``__reduce_ex__`` says, filled up to six parts; the same answer for as long as *value* is being written."""
    if never_stored(value):
        raise writer.refuse(value)
    recipes = writer.note("recipes")
    if id(value) not in recipes:
        recipes[id(value)] = _ask(writer, value)
        writer.keep(recipes[id(value)])
    return recipes[id(value)]


def _ask(writer: Writer, value: Any) -> Any:
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        answer = reduce(value) if reduce is not None else value.__reduce_ex__(PROTOCOL)
    except StashError:
        raise
    except Exception as error:  # code of the user's class
        reason = "" if isinstance(error, TypeError) else f"its __reduce_ex__ raised {error!r}"
        raise writer.refuse(value, reason) from error
    if isinstance(answer, str):
        return answer
    if not isinstance(answer, tuple) or not 2 <= len(answer) <= 6 or not isinstance(answer[1], tuple):
        raise writer.refuse(value, "its __reduce_ex__ returns no tuple of a callable, its arguments and a state")
    function, arguments, state, items, pairs, setter = answer + (None,) * (6 - len(answer))
    if not callable(function):
        raise writer.refuse(value, "its __reduce_ex__ names nothing that can be called")
    items = None if items is None else list(items)
    pairs = None if pairs is None else list(pairs)
    return function, arguments, state, items, pairs, setter


def _construction(value: Any, function: Any, arguments: Any) -> tuple[int, Any, tuple[Any, ...], dict[str, Any]]:
    name = getattr(function, "__name__", "")
    if name == "__newobj__":
        return nodes.NEW, arguments[0], tuple(arguments[1:]), {}
    if name == "__newobj_ex__":
        return nodes.NEW, arguments[0], tuple(arguments[1]), dict(arguments[2])
    if isinstance(value, BaseException) and function is type(value) and _reduces_as_builtin(type(value)):
        return nodes.EXCEPTION, function, arguments, {}
    return nodes.CALL, function, arguments, {}


def _reduces_as_builtin(kind: type) -> bool:
    return not isinstance(kind.__reduce__, types.FunctionType) and not isinstance(
        kind.__reduce_ex__, types.FunctionType
    )


def _walk_state(writer: Writer, value: Any, made: Child, state: Any, setter: Any) -> Walk:
    if setter is None:
        parts = _attributes(value, state)
        if parts is not None:
            return (yield from walk_attributes(writer, made, *parts))
    child = yield state, Step("state of", type(value).__qualname__)
    setter_child = None if setter is None else (yield setter, Step("function", getattr(setter, "__qualname__", "?")))
    writer.add(nodes.STATE, made[0], child, setter_child)
    return made


def _attributes(value: Any, state: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """*state* as attributes and slots, if that is what it is."""
    if type(state) is dict:
        parts: tuple[Any, Any] = (state, {})
    elif type(state) is tuple and len(state) == 2 and not hasattr(value, "__setstate__"):
        parts = (state[0] or {}, state[1] or {})
    else:
        return None
    return parts if all(type(part) is dict and all(type(name) is str for name in part) for part in parts) else None


def walk_attributes(writer: Writer, made: Child, attributes: dict[str, Any], slots: dict[str, Any]) -> Walk:
    """Write the attributes of the object *made*."""
    values = yield from walk_each((part, attribute(name)) for name, part in attributes.items())
    slot_values = yield from walk_each((part, attribute(name)) for name, part in slots.items())
    writer.add(nodes.ATTRIBUTES, made[0], list(attributes), values, list(slots), slot_values)
    return made


def _walk_items(writer: Writer, made: Child, items: list[Any]) -> Walk:
    children = yield from walk_each((child, item(index)) for index, child in enumerate(items))
    if children:
        writer.add(nodes.EXTEND, made[0], children)
    return made


def _walk_pairs(writer: Writer, made: Child, pairs: list[Any]) -> Walk:
    keys, values = [], []
    for key, child in pairs:
        keys.append((yield key, Step("key", nodes.describe_key(key))))
        values.append((yield child, item(key)))
    if keys:
        writer.add(nodes.UPDATE, made[0], keys, values)
    return made


def _walk_links(writer: Writer, value: BaseException, made: Child) -> Walk:
    if value.__cause__ is not None or value.__context__ is not None or value.__suppress_context__:
        cause = yield value.__cause__, attribute("__cause__")
        context = yield value.__context__, attribute("__context__")
        writer.add(nodes.LINKS, made[0], cause, context, value.__suppress_context__)
    return made


def _walk_by_name(writer: Writer, value: Any, name: str) -> Walk:
    place = locate(value, name)
    if place is not None:
        return (yield from walk_name(writer, value, *place))
    rebuild = _BY_ARGUMENTS.get(type(value))
    if rebuild is None:
        raise writer.refuse(value, f"no module has it under its name {name!r}")
    function, arguments, keywords = rebuild(value)
    for argument in (*arguments, *keywords.values()):
        writer.keep(argument)
    yield from walk_call(writer, value, nodes.CALL, function, arguments, keywords)
    return writer.emit(value)


Rebuild = Callable[[Any], tuple[Any, tuple[Any, ...], dict[str, Any]]]


def _type_variable(value: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    keywords = {"covariant": value.__covariant__, "contravariant": value.__contravariant__}
    if value.__bound__ is not None:
        keywords["bound"] = value.__bound__
    return typing.TypeVar, (value.__name__, *value.__constraints__), keywords


_BY_ARGUMENTS: dict[type, Rebuild] = {
    typing.TypeVar: _type_variable,
    typing.ParamSpec: lambda value: (typing.ParamSpec, (value.__name__,), {}),
    typing.TypeVarTuple: lambda value: (typing.TypeVarTuple, (value.__name__,), {}),
    typing.NewType: lambda value: (typing.NewType, (value.__name__, value.__supertype__), {}),
}


def _rebuilt(rebuild: Rebuild) -> Walker:
    """A walker for a type that does not reduce, from the call that makes its values."""

    def walk(writer: Writer, value: Any) -> Walk:
        recipes = writer.note("recipes")
        if id(value) not in recipes:
            recipes[id(value)] = rebuild(value)
            writer.keep(recipes[id(value)])
        yield from walk_call(writer, value, nodes.CALL, *recipes[id(value)])
        return writer.emit(value)

    return walk


def _forward_reference(value: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    options = {"module": value.__forward_module__, "is_class": value.__forward_is_class__}
    return typing.ForwardRef, (value.__forward_arg__, value.__forward_is_argument__), options


def _proxied(value: Any) -> Any:
    (inside, *_) = (*gc.get_referents(value), {})
    return inside if isinstance(inside, dict) else dict(value)


def _walk_cached_property(writer: Writer, value: Any) -> Walk:
    made = yield from walk_call(writer, value, nodes.CALL, type(value), (value.func,), {})
    if made is not None:
        yield from walk_attributes(writer, made, {"attrname": value.attrname}, {})
    return writer.emit(value)


def _walk_buffer(writer: Writer, value: pickle.PickleBuffer) -> Walk:
    try:
        raw = value.raw()
    except BufferError as error:
        raise writer.refuse(value, "its memory is not contiguous") from error
    return (yield from writer.leaf(value, nodes.BUFFER, writer.buffer(raw), raw.readonly))


def _walk_member(writer: Writer, value: enum.Enum) -> Walk:
    kind = yield type(value), Step("class", type(value).__qualname__)
    if writer.is_made(value):
        return writer.emit(value)
    if type(value).__members__.get(value.name or "") is value:
        return writer.emit(value, nodes.MEMBER, kind, value.name)
    child = yield value.value, attribute("value")
    return writer.emit(value, nodes.CALL, kind, [child], [], [])


def find_object_walker(value: Any) -> Walker:
    """The walker for *value*, which is neither a function nor a class."""
    if isinstance(value, enum.Enum):
        return _walk_member
    return _WALKERS.get(type(value), walk_object)


_WALKERS: dict[type, Walker] = {
    property: _rebuilt(lambda value: (property, (value.fget, value.fset, value.fdel, value.__doc__), {})),
    staticmethod: _rebuilt(lambda value: (staticmethod, (value.__func__,), {})),
    classmethod: _rebuilt(lambda value: (classmethod, (value.__func__,), {})),
    types.MappingProxyType: _rebuilt(lambda value: (types.MappingProxyType, (_proxied(value),), {})),
    typing.ForwardRef: _rebuilt(_forward_reference),
    weakref.WeakKeyDictionary: _rebuilt(lambda value: (weakref.WeakKeyDictionary, (dict(value),), {})),
    weakref.WeakValueDictionary: _rebuilt(lambda value: (weakref.WeakValueDictionary, (dict(value),), {})),
    functools.cached_property: _walk_cached_property,
    pickle.PickleBuffer: _walk_buffer,
}


# Reading


def call(what: Any, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call code that the stored value names; an error says which value could not be restored."""
    try:
        return function(*arguments, **keywords)
    except StashError:
        raise
    except Exception as error:  # code of the user's class
        name = type_name(what) if isinstance(what, type) else getattr(what, "__qualname__", describe(what))
        raise BadEntry(f"a stored value cannot be restored: {name} raised {error!r}") from error


def _keywords(reader: Reader, names: Any, values: Any) -> dict[str, Any]:
    return dict(zip(names, reader.get_all(values), strict=True))


def _call(reader: Reader, function: Child, arguments: Any, names: Any, values: Any) -> None:
    target = reader.get(function)
    reader.make(call(target, target, *reader.get_all(arguments), **_keywords(reader, names, values)))


def _new(reader: Reader, kind: Child, arguments: Any, names: Any, values: Any) -> None:
    target = reader.get(kind)
    reader.make(call(target, target.__new__, target, *reader.get_all(arguments), **_keywords(reader, names, values)))


def _exception(reader: Reader, kind: Child, arguments: Any) -> None:
    target = reader.get(kind)
    builtin = next(base for base in target.__mro__ if not base.__flags__ & HEAP_TYPE)
    values = reader.get_all(arguments)
    made = call(target, builtin.__new__, target, *values)
    call(target, builtin.__init__, made, *values)
    reader.make(made)


def _links(reader: Reader, slot: Any, cause: Child, context: Child, is_suppressed: Any) -> None:
    error = reader.slot(slot)
    error.__cause__, error.__context__ = reader.get(cause), reader.get(context)
    error.__suppress_context__ = bool(is_suppressed)


def _attributes_of(  # noqa: PLR0917
    reader: Reader, slot: Any, names: Any, values: Any, slot_names: Any, slot_values: Any
) -> None:
    target = reader.slot(slot)
    attributes = {sys.intern(name): value for name, value in zip(names, reader.get_all(values), strict=True)}
    slots = dict(zip(slot_names, reader.get_all(slot_values), strict=True))
    set_state(target, (attributes, slots) if slots else attributes)


def set_state(target: Any, state: Any) -> None:
    """Give *target* its state, as its class wants it."""
    setter = getattr(target, "__setstate__", None)
    if setter is not None:
        call(type(target), setter, state)
        return
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    if attributes:
        if hasattr(target, "__dict__"):
            target.__dict__.update(attributes)
        else:
            slots = {**attributes, **(slots or {})}
    for name, value in (slots or {}).items():
        call(type(target), object.__setattr__, target, name, value)


def _state(reader: Reader, slot: Any, state: Child, setter: Child) -> None:
    target, value = reader.slot(slot), reader.get(state)
    if setter is None:
        call(type(target), set_state, target, value)
    else:
        call(type(target), reader.get(setter), target, value)


def _extend(reader: Reader, slot: Any, items: Any) -> None:
    target, values = reader.slot(slot), reader.get_all(items)
    if hasattr(target, "extend"):
        call(type(target), target.extend, values)
    else:
        add = target.add if isinstance(target, set) else target.append
        for value in values:
            call(type(target), add, value)


def _update(reader: Reader, slot: Any, keys: Any, values: Any) -> None:
    target = reader.slot(slot)
    for key, value in zip(reader.get_all(keys), reader.get_all(values), strict=True):
        call(type(target), type(target).__setitem__, target, key, value)


def _buffer(reader: Reader, place: Any, is_readonly: Any) -> None:
    reader.make(bytes(reader.buffer(place)) if is_readonly else memoryview(reader.memory(place)))


def _member(reader: Reader, kind: Child, name: Any) -> None:
    target = reader.get(kind)
    if name not in target.__members__:
        raise BadEntry(f"a stored value needs {type_name(target)}.{name}, which the enum no longer has")
    reader.make(target.__members__[name])


ACTIONS: dict[int, Action] = {
    nodes.CALL: _call,
    nodes.NEW: _new,
    nodes.EXCEPTION: _exception,
    nodes.LINKS: _links,
    nodes.ATTRIBUTES: _attributes_of,
    nodes.STATE: _state,
    nodes.EXTEND: _extend,
    nodes.UPDATE: _update,
    nodes.BUFFER: _buffer,
    nodes.MEMBER: _member,
}
