"""Instances: taken apart by their own ``__reduce_ex__``, as pickle does; revive.py puts them together again.

What differs from pickle: attributes are restored without running a class's own ``__setattr__``, so that frozen classes
work; exceptions are restored without running the ``__init__`` of the user's class, which rarely accepts ``args``, and
keep their slots, their cause and their context; members of an enum, and sentinels of a module, are found by name; what
reduces to a name that no module has is one object for as long as somebody holds it.
"""

from __future__ import annotations

import collections
import copyreg
import os
import types
import typing
import weakref
from collections.abc import Callable, Generator
from typing import Any

from hashstash.errors import StashError
from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.kinds import never_stored
from hashstash.serializers.hashstash.names import MAIN, locate, locate_sentinel, walk_name
from hashstash.serializers.hashstash.nodes import Child, Step, Walk, attribute, item, walk_each
from hashstash.serializers.hashstash.unfinished import has_own_hash

if typing.TYPE_CHECKING:
    from hashstash.serializers.hashstash.walk import Writer

PROTOCOL = 5
Started = Generator[tuple[Any, Step | None], Child, Child | None]
"""A walk that ends with ``None`` if a walk inside it has written the object and all that follows."""
MAKES_NAMED_TUPLES = collections.namedtuple.__code__.co_filename  # noqa: PYI024, where its source lies


# Writing


def walk_object(writer: Writer, value: Any) -> Walk:
    """Write an instance of any class."""
    if value is os.environ:  # a copy would change nothing, and hold everybody's secrets
        return (yield from walk_name(writer, value, "os", "environ"))
    recipe = _recipe(writer, value)
    if isinstance(recipe, str):
        return (yield from _walk_by_name(writer, value, recipe))
    function, arguments, state, items, pairs, setter = recipe
    if state is items is pairs is None and len(arguments) == 1:
        place = locate_sentinel(writer, value)
        if place is not None:
            return (yield from walk_name(writer, value, *place))
    if isinstance(value, set) and type(value).__reduce__ is set.__reduce__:  # made empty, so that it may contain itself
        function, arguments, items = copyreg.__newobj__, (type(value),), arguments[0]  # type: ignore[attr-defined]
    elif type(value) is collections.Counter:
        arguments, pairs = (), list(value.items())
    number, target, arguments, keywords = _construction(value, function, arguments)
    made = yield from walk_call(writer, value, number, target, arguments, keywords)
    if made is None:
        return writer.emit(value)
    if has_own_hash(value):
        writer.begin_state(value, _early_state(writer, value, made, state))
    if state is not None:
        yield from _walk_state(writer, value, made, state, setter)
    if number == nodes.EXCEPTION:
        yield from _walk_slots(writer, value, made)
    if items is not None:
        yield from walk_items(writer, value, made, items)
    if pairs is not None:
        yield from walk_pairs(writer, made, pairs)
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
    writer.fill_now((*arguments, *keywords.values()))
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
    from hashstash.fingerprint.instances import registered_reducer  # only data is written by most processes

    reduce = registered_reducer(value)
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
        if isinstance(value, tuple) and _is_named_tuple_with_new(arguments[0]):
            return nodes.CALL, tuple.__new__, (arguments[0], tuple(arguments[1:])), {}
        return nodes.NEW, arguments[0], tuple(arguments[1:]), {}
    if name == "__newobj_ex__":
        return nodes.NEW, arguments[0], tuple(arguments[1]), dict(arguments[2])
    if isinstance(value, BaseException) and function is type(value) and _reduces_as_builtin(type(value)):
        return nodes.EXCEPTION, function, arguments, {}
    return nodes.CALL, function, arguments, {}


def _is_named_tuple_with_new(kind: type) -> bool:
    """Whether *kind* reduces as a named tuple, to its fields, but has a ``__new__`` that may want something else."""
    code = getattr(getattr(kind, "__getnewargs__", None), "__code__", None)
    if code is None or code.co_filename != MAKES_NAMED_TUPLES:
        return False
    return kind.__new__ is not next(base for base in kind.__mro__ if "_field_defaults" in vars(base)).__new__


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


def _early_state(writer: Writer, value: Any, made: Child, state: Any) -> Callable[[], None] | None:
    """Writes the attributes of *value* that need no walk, for an object inside it that wants its hash."""
    parts = None if hasattr(value, "__setstate__") else _attributes(value, state)
    if parts is None:
        return None

    def write() -> None:
        operation = [nodes.ATTRIBUTES, made[0]]
        for part in parts:
            ready = {name: writer.known(one) for name, one in part.items() if writer.is_ready(one)}
            operation += [list(ready), list(ready.values())]
        writer.add(*operation)

    return write


def _walk_slots(writer: Writer, value: BaseException, made: Child) -> Walk:
    """The slots of an exception, which its ``__reduce__`` leaves out."""
    names = copyreg._slotnames(type(value))  # type: ignore[attr-defined]  # noqa: SLF001, as pickle finds them
    slots = {name: getattr(value, name) for name in names if hasattr(value, name)}
    return (yield from walk_attributes(writer, made, {}, slots)) if slots else made


def walk_items(writer: Writer, value: Any, made: Child, items: list[Any]) -> Walk:
    """Write what is appended or added to *value*, which is *made*."""
    children = yield from walk_each((child, item(index)) for index, child in enumerate(items))
    if children:
        is_hashed = isinstance(value, (set, weakref.WeakSet))
        writer.add_later(items if is_hashed else (), nodes.EXTEND, made[0], children)
    return made


def walk_pairs(writer: Writer, made: Child, pairs: list[Any]) -> Walk:
    """Write the items of the mapping *made*."""
    keys, values = [], []
    for key, child in pairs:
        keys.append((yield key, Step("key", nodes.describe_key(key))))
        values.append((yield child, item(key)))
    if keys:
        writer.add_later([key for key, _ in pairs], nodes.UPDATE, made[0], keys, values)
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
    if getattr(value, "__module__", None) not in MAIN:
        raise writer.refuse(value, f"no module has it under its name {name!r}")
    kind = yield type(value), Step("class", type(value).__qualname__)
    if writer.is_made(value):
        return writer.emit(value)
    made = writer.emit(value, nodes.NAMED_OBJECT, name, kind)
    state = value.__getstate__()
    return made if state is None else (yield from _walk_state(writer, value, made, state, None))
