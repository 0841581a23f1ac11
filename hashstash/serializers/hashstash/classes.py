"""Classes: by name where another process or the notebook has them under it, else by value.

A class by value is made with its metaclass, name, bases and slots only, and gets its attributes afterwards, so that
they may refer to it. No ``__new__`` or ``__init__`` of the user's metaclass runs, since all that it did is among the
attributes. Four kinds are not taken apart so far, because Python makes their methods: enums, named tuples, dataclasses
and protocols (families.py).

Reading gives the live class back, where it still exists in this process or has been defined again in ``__main__``
exactly as it was, so that ``type(stash["p"]) is Point``.
"""

from __future__ import annotations

import _abc  # type: ignore[import-not-found]
import abc
import enum
import hashlib
import secrets
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any

from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.families import (
    dataclass_attributes,
    is_named_tuple,
    is_of_protocol,
    make_enum,
    make_named_tuple,
    named_tuple_attributes,
    protocol_attributes,
    restore_dataclass,
    restore_protocol,
    user_attributes_of_enum,
    walk_dataclass,
    walk_enum,
    walk_enum_members,
    walk_named_tuple,
)
from hashstash.serializers.hashstash.names import MAIN, locate, lookup, lookup_in, walk_name
from hashstash.serializers.hashstash.nodes import ATOMS, Child, Step, Walk, attribute, walk_each
from hashstash.serializers.hashstash.revive import call
from hashstash.serializers.hashstash.source import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.serializers.hashstash.build import Action, Reader
    from hashstash.serializers.hashstash.walk import Writer

MADE_BY_PYTHON = frozenset(
    {"__dict__", "__weakref__", "__module__", "__slots__", "__orig_bases__", "__slotnames__", "_abc_impl"}
)
PLACE_OF_SOURCE = frozenset({"__firstlineno__", "__static_attributes__"})
"""Attributes that Python 3.13 brought; an older one would take them for members of a protocol."""
UNKNOWN_HERE = frozenset() if sys.version_info >= (3, 13) else PLACE_OF_SOURCE


# Writing


def walk_class(writer: Writer, value: type) -> Walk:
    """Write a class by name, else by value."""
    place = locate(value)
    if place is not None:
        return (yield from walk_name(writer, value, *place))
    if _is_named(writer, value):
        return writer.emit(value, nodes.NAMED, value.__qualname__)
    if isinstance(value, enum.EnumMeta):
        return (yield from _walk_enum_class(writer, value))
    if is_named_tuple(value):
        made = yield from walk_named_tuple(writer, value, _identity(writer, value))
        return (
            writer.emit(value)
            if made is None
            else (yield from _walk_parts(writer, made, named_tuple_attributes(value)))
        )
    return (yield from _walk_plain_class(writer, value))


def _is_named(writer: Writer, value: type) -> bool:
    """Whether the reader's namespace will have *value*, which this document does not define."""
    if writer.namespace is None or lookup_in(writer.namespace, value.__qualname__) is not value:
        return False
    outermost = writer.namespace[value.__qualname__.partition(".")[0]]
    return id(value) not in writer.by_value and id(outermost) not in writer.by_value


def _walk_plain_class(writer: Writer, value: type) -> Walk:
    metaclass = yield type(value), Step("metaclass", type(value).__name__)
    bases = yield from walk_each((base, Step("base", base.__name__)) for base in value.__bases__)
    own = vars(value)
    slots = _slot_names(value) if "__slots__" in own else None
    generic = yield own.get("__orig_bases__"), attribute("__orig_bases__")
    if writer.is_made(value):
        return writer.emit(value)
    names = [value.__name__, value.__qualname__, value.__module__]
    made = writer.emit(value, nodes.CLASS, metaclass, names, bases, slots, generic, _identity(writer, value))
    attributes = class_attributes(value)
    if "__dataclass_params__" in own:
        attributes = dataclass_attributes(attributes)
    if is_of_protocol(value):
        attributes = protocol_attributes(attributes)
    yield from _walk_parts(writer, made, attributes)
    if "__dataclass_params__" in own:
        yield from walk_dataclass(writer, value, made)
    if is_of_protocol(value):
        is_runtime = own.get("_is_protocol", False) and own.get("_is_runtime_protocol", False)
        writer.add(nodes.PROTOCOL, made[0], is_runtime)
    return (yield from _walk_registered(writer, value, made))


def _walk_enum_class(writer: Writer, value: enum.EnumMeta) -> Walk:
    made = yield from walk_enum(writer, value, _identity(writer, value))
    if made is None:
        return writer.emit(value)
    yield from _walk_parts(writer, made, user_attributes_of_enum(value, class_attributes(value)))
    return (yield from walk_enum_members(writer, value, made))


def class_attributes(value: type) -> dict[str, Any]:
    """The attributes that the body of a class, its decorators and its metaclass gave it."""
    return {
        name: part
        for name, part in vars(value).items()
        if name not in MADE_BY_PYTHON
        and not (
            isinstance(part, (types.MemberDescriptorType, types.GetSetDescriptorType)) and part.__objclass__ is value
        )
    }


def _slot_names(value: type) -> list[str]:
    named = vars(value)["__slots__"]
    if isinstance(named, str):
        return [named]
    if isinstance(named, (tuple, list, dict)):
        return list(named)
    return [name for name, part in vars(value).items() if isinstance(part, types.MemberDescriptorType)]


def _walk_parts(writer: Writer, made: Child, attributes: dict[str, Any]) -> Walk:
    names, children = [], []
    for name, part in attributes.items():
        child = yield part, attribute(name)
        if name == "__init_subclass__":  # would run for the subclasses in this document, which are not complete yet
            writer.late.append([nodes.CLASS_STATE, made[0], [name], [child]])
        else:
            names.append(name)
            children.append(child)
    if names:
        writer.add(nodes.CLASS_STATE, made[0], names, children)
    return made


def _walk_registered(writer: Writer, value: type, made: Child) -> Walk:
    """The classes that were registered with an abstract base class."""
    if not isinstance(value, abc.ABCMeta):
        return made
    for reference in _abc._get_dump(value)[0]:  # noqa: SLF001, the registry has no other access
        registered = reference()
        if registered is not None:
            child = yield registered, Step("registered", registered.__name__)
            writer.add(nodes.REGISTER, made[0], child)
    return made


def _identity(writer: Writer, value: type) -> list[bytes] | None:
    """What tells whether the reader has the class alive; none for a class that the document is there to define."""
    return None if id(value) in writer.by_value else [_token_of(value), _digest(value)]


_tokens: dict[int, tuple[weakref.ref[type], bytes]] = {}
_classes: weakref.WeakValueDictionary[bytes, type] = weakref.WeakValueDictionary()


def _token_of(value: type) -> bytes:
    known = _tokens.get(id(value))
    if known is not None and known[0]() is value:
        return known[1]
    return _remember(value, secrets.token_bytes(12))


def _remember(value: type, token: bytes) -> bytes:
    number = id(value)
    _tokens[number] = weakref.ref(value, lambda _: _tokens.pop(number, None)), token
    _classes[token] = value
    return token


def _digest(value: type) -> bytes:
    return hashlib.blake2b(repr(_describe_class(value)).encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _describe_class(value: type) -> tuple[Any, ...]:
    attributes = sorted(
        (name, tuple(_describe_part(part)))
        for name, part in class_attributes(value).items()
        if name not in PLACE_OF_SOURCE
    )
    bases = [base.__qualname__ if locate(base) else _describe_class(base) for base in value.__bases__]
    return type(value).__name__, value.__qualname__, bases, attributes


def _describe_part(part: Any) -> Iterator[Any]:
    yield type(part).__name__
    if isinstance(part, types.FunctionType):
        yield shape(part.__code__)
        for default in (*(part.__defaults__ or ()), *(part.__kwdefaults__ or {}).values()):
            yield from _describe_part(default)
    elif isinstance(part, (staticmethod, classmethod)):
        yield from _describe_part(part.__func__)
    elif isinstance(part, property):
        for accessor in (part.fget, part.fset, part.fdel):
            yield from _describe_part(accessor)
    elif isinstance(part, enum.Enum):
        yield part.name
    elif isinstance(part, (tuple, list)):
        yield [repr(item) if type(item) in ATOMS else type(item).__name__ for item in part]
    elif type(part) in ATOMS:
        yield repr(part)


# Reading


def _live(identity: Any, names: list[str]) -> type | None:
    """The class that this process already has: the one that was written, or one in ``__main__`` that equals it."""
    if identity is None:
        return None
    token, digest = identity
    known = _classes.get(token)
    if known is not None:
        return known
    _, qualified_name, module = names
    if module not in MAIN or "__main__" not in sys.modules:
        return None
    found = lookup(sys.modules["__main__"], qualified_name)
    return found if isinstance(found, type) and _digest(found) == digest else None


def _place(reader: Reader, names: list[str], identity: Any, make: Callable[[], type]) -> None:
    """Make a class, unless it is alive: then what the document says about it is passed over."""
    live = _live(identity, names)
    if live is not None:
        reader.notes.setdefault("live", {})[len(reader.slots)] = live
        reader.make(live)
        return
    made = make()
    type.__setattr__(made, "__qualname__", names[1])
    if identity is not None:
        _remember(made, identity[0])
    reader.make(made)


def _is_live(reader: Reader, slot: int) -> bool:
    return slot in reader.notes.get("live", {})


def _class(  # noqa: PLR0917
    reader: Reader, metaclass: Child, names: list[str], bases: Any, slots: Any, generic: Child, identity: Any
) -> None:
    name, _, module = names

    def make() -> type:
        kind = reader.get(metaclass)
        body: dict[str, Any] = {"__module__": module}
        if slots is not None:
            body["__slots__"] = tuple(slots)
        if generic is not None:
            body["__orig_bases__"] = reader.get(generic)
        new: Any = abc.ABCMeta.__new__ if issubclass(kind, abc.ABCMeta) else type.__new__
        made: type = call(name, new, kind, name, tuple(reader.get_all(bases)), body)
        return made

    _place(reader, names, identity, make)


def _class_state(reader: Reader, slot: Any, names: list[str], values: Any) -> None:
    target = reader.slot(slot)
    if not _is_live(reader, slot):
        for name, value in zip(names, reader.get_all(values), strict=True):
            if name not in UNKNOWN_HERE:
                type.__setattr__(target, name, value)


def _register(reader: Reader, slot: Any, registered: Child) -> None:
    target = reader.slot(slot)
    if not _is_live(reader, slot):
        call(target, abc.ABCMeta.register, target, reader.get(registered))


def _named_tuple(  # noqa: PLR0917
    reader: Reader, names: list[str], fields: list[str], defaults: Any, identity: Any, is_generic: Any = False
) -> None:
    def make() -> type:
        return make_named_tuple(names, fields, reader.get_all(defaults), is_generic=bool(is_generic))

    _place(reader, names, identity, make)


def _enum(  # noqa: PLR0917
    reader: Reader, metaclass: Child, names: list[str], bases: Any, members: Any, boundary: Any, identity: Any
) -> None:
    def make() -> type:
        parts = [(name, tuple(reader.get_all(content)), reader.get(value)) for name, content, value in members]
        return make_enum(reader.get(metaclass), names, tuple(reader.get_all(bases)), parts, boundary)

    _place(reader, names, identity, make)


def _data_class(reader: Reader, slot: Any, parameters: list[list[Any]], fields: Any) -> None:
    if not _is_live(reader, slot):
        own = [
            (name, kind, dict(zip(keys, reader.get_all(values), strict=True))) for name, kind, keys, values in fields
        ]
        restore_dataclass(reader.slot(slot), dict(parameters), own)


def _protocol(reader: Reader, slot: Any, is_runtime: Any) -> None:
    if not _is_live(reader, slot):
        restore_protocol(reader.slot(slot), is_runtime=bool(is_runtime))


ACTIONS: dict[int, Action] = {
    nodes.CLASS: _class,
    nodes.CLASS_STATE: _class_state,
    nodes.REGISTER: _register,
    nodes.NAMED_TUPLE: _named_tuple,
    nodes.ENUM: _enum,
    nodes.DATA_CLASS: _data_class,
    nodes.PROTOCOL: _protocol,
}
