"""Instances put together again, by the recipe that objects.py has written."""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

from hashstash.errors import BadEntry, StashError
from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.kinds import describe, type_name
from hashstash.serializers.hashstash.names import lookup, lookup_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.serializers.hashstash.build import Action, Reader
    from hashstash.serializers.hashstash.nodes import Child

HEAP_TYPE = 1 << 9
FOUND = "found"
"""The topic of a reader's notes: slots that hold an object which was there before, as it is."""


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
    if slot in reader.notes.get(FOUND, ()):
        return
    if attributes:
        set_state(target, (attributes, slots) if slots else attributes)
    else:
        _set_slots(target, slots)


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
    _set_slots(target, slots or {})


def _set_slots(target: Any, slots: dict[str, Any]) -> None:
    for name, value in slots.items():
        call(type(target), object.__setattr__, target, name, value)


def _state(reader: Reader, slot: Any, state: Child, setter: Child) -> None:
    target, value = reader.slot(slot), reader.get(state)
    if slot in reader.notes.get(FOUND, ()):
        return
    if setter is None:
        call(type(target), set_state, target, value)
    else:
        call(type(target), reader.get(setter), target, value)


def _extend(reader: Reader, slot: Any, items: Any) -> None:
    target, values = reader.slot(slot), reader.get_all(items)
    if hasattr(target, "extend"):
        call(type(target), target.extend, values)
    else:
        add = target.add if isinstance(target, set) or not hasattr(target, "append") else target.append
        for value in values:
            call(type(target), add, value)


def _update(reader: Reader, slot: Any, keys: Any, values: Any) -> None:
    target = reader.slot(slot)
    for key, value in zip(reader.get_all(keys), reader.get_all(values), strict=True):
        call(type(target), type(target).__setitem__, target, key, value)


def _buffer(reader: Reader, place: Any, is_readonly: Any) -> None:
    reader.make(bytes(reader.buffer(place)) if is_readonly else memoryview(reader.memory(place)))


_named_objects: weakref.WeakKeyDictionary[type, dict[str, Any]] = weakref.WeakKeyDictionary()


def _named_object(reader: Reader, name: str, kind: Child) -> None:
    """The object of that name and class in the notebook or ``__main__``, else the same one for as long as it lives."""
    target = reader.get(kind)
    where: list[Any] = [] if reader.namespace is None else [lookup_in(reader.namespace, name)]
    where += [lookup(sys.modules.get("__main__"), name), _named_objects.get(target, {}).get(name)]
    found = next((one for one in where if type(one) is target), None)
    if found is not None:
        reader.notes.setdefault(FOUND, {})[len(reader.slots)] = True
        reader.make(found)
        return
    made = call(target, target.__new__, target)
    _named_objects.setdefault(target, {})[name] = made
    reader.make(made)


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
    nodes.NAMED_OBJECT: _named_object,
}
