"""Classes whose methods Python itself makes: enums, named tuples, dataclasses and protocols.

They are written as what the user said (members, fields, parameters), and Python makes the rest again, since the code
that it makes differs between its versions.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import inspect
import types
import typing
from typing import Any

from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.nodes import Child, Step, Walk, attribute, walk_each
from hashstash.serializers.hashstash.objects import Started, walk_attributes
from hashstash.serializers.hashstash.revive import call
from hashstash.serializers.hashstash.source import GENERATED_BY_DATACLASSES

if typing.TYPE_CHECKING:
    from collections.abc import Generator

    from hashstash.serializers.hashstash.walk import Writer


# Named tuples

NAMED_TUPLE: Any = collections.namedtuple  # noqa: PYI024 (the fields are known at run time only)


GENERIC_BASES = (tuple, typing.Generic)


def is_named_tuple(value: type) -> bool:
    """Whether ``namedtuple`` or ``NamedTuple`` made *value* itself, rather than a base of it."""
    own = vars(value)
    return (
        value.__bases__ in {(tuple,), GENERIC_BASES}
        and {"_fields", "_make", "_field_defaults", "__new__"} <= own.keys()
    )


def named_tuple_attributes(value: Any) -> dict[str, Any]:
    """What the user added to a named tuple."""
    made = vars(NAMED_TUPLE("Made", value._fields)).keys() - {"__doc__"}
    if value.__bases__ == GENERIC_BASES:
        made |= {"__class_getitem__"}
    return {name: part for name, part in vars(value).items() if name not in made}


def walk_named_tuple(writer: Writer, value: Any, identity: Any) -> Started:
    """Write the fields of a named tuple and their defaults."""
    children = yield from walk_each((part, attribute(name)) for name, part in value._field_defaults.items())
    if writer.is_made(value):
        return None
    names = [value.__name__, value.__qualname__, value.__module__]
    options = [identity, True] if value.__bases__ == GENERIC_BASES else [identity]
    return writer.emit(value, nodes.NAMED_TUPLE, names, list(value._fields), children, *options)


def make_named_tuple(names: list[str], fields: list[str], defaults: list[Any], *, is_generic: bool) -> type:
    """The named tuple of that name."""
    made: type = call(names[0], NAMED_TUPLE, names[0], fields, defaults=defaults, module=names[2])
    if is_generic:  # as typing.NamedTuple does
        made.__bases__ = GENERIC_BASES
        get_item = getattr(typing, "_generic_class_getitem", None)
        get_item = get_item or typing.Generic.__class_getitem__.__func__  # type: ignore[attr-defined]
        type.__setattr__(made, "__class_getitem__", classmethod(get_item))
    return made


# Enums

STANDARD_OF_MEMBERS = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_"})
KEPT_OF_ENUMS = frozenset({"_missing_", "_generate_next_value_", "_new_member_", "__new_member__", "_use_args_"})


def walk_enum(writer: Writer, value: enum.EnumMeta, identity: Any) -> Started:
    """Write the members of an enum: the content of each, where it is a number or text as well, and its value."""
    metaclass = yield type(value), Step("metaclass", type(value).__name__)
    bases = yield from walk_each((base, Step("base", base.__name__)) for base in value.__bases__)
    members = []
    member: Any
    for name, member in value.__members__.items():
        content = yield from walk_each((part, attribute(name)) for part in _content(value, member))
        members.append([name, content, (yield member.value, attribute(name))])
    if writer.is_made(value):
        return None
    boundary = getattr(value, "_boundary_", None)
    names = [value.__name__, value.__qualname__, value.__module__]
    return writer.emit(value, nodes.ENUM, metaclass, names, bases, members, boundary and boundary.name, identity)


def _content(value: Any, member: Any) -> tuple[Any, ...]:
    kind = value._member_type_
    get = getattr(kind, "__getnewargs__", None)
    if get is not None:
        return tuple(get(member))
    return () if kind.__new__ is object.__new__ else (member.value,)


def user_attributes_of_enum(value: Any, attributes: dict[str, Any]) -> dict[str, Any]:
    """What the user wrote into an enum beside its members."""
    return {
        name: part
        for name, part in attributes.items()
        if name not in value._member_map_
        and name != "__new__"
        and (name in KEPT_OF_ENUMS or not (name.startswith("_") and name.endswith("_") and not name.startswith("__")))
        and getattr(getattr(part, "__func__", part), "__module__", None) != "enum"
    }


def walk_enum_members(writer: Writer, value: enum.EnumMeta, made: Child) -> Walk:
    """Write the attributes that members have beside their value."""
    for name, member in value._member_map_.items():
        extra = {key: part for key, part in vars(member).items() if key not in STANDARD_OF_MEMBERS}
        if extra and name == member.name:
            child = writer.emit(member, nodes.MEMBER, made, name)
            yield from walk_attributes(writer, child, extra, {})
    return made


def make_enum(
    metaclass: Any,
    names: list[str],
    bases: tuple[type, ...],
    members: list[tuple[str, tuple[Any, ...], Any]],
    boundary: Any,
) -> type:
    """The enum with these members. The user's ``__new__`` and ``__init__`` have done their work when it was defined."""
    name, _, module = names

    def new(cls: Any, *parts: Any) -> Any:
        content, value = parts if len(parts) == 2 else parts[0]  # one part: for an enum of tuples
        made = cls._member_type_.__new__(cls, *content)
        made._value_ = value
        return made

    def init(self: Any, *parts: Any) -> None:
        """Leave the member as it is."""

    body = metaclass.__prepare__(name, bases)
    body["__module__"], body["__new__"], body["__init__"] = module, new, init
    for member, content, value in members:
        body[member] = (content, value)
    options = {} if boundary is None else {"boundary": enum.FlagBoundary[boundary]}
    made: Any = call(name, enum.EnumMeta.__new__, metaclass, name, bases, body, **options)
    for shim in ("__init__", "__new_member__"):
        if shim in vars(made):
            type.__delattr__(made, shim)
    return typing.cast("type", made)


# Dataclasses

PARAMETERS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen", "match_args", "kw_only", "slots", "weakref_slot")
FIELD_PARAMETERS = ("default", "default_factory", "init", "repr", "hash", "compare", "kw_only")
REMADE = frozenset({"__dataclass_params__", "__dataclass_fields__", "__match_args__"})
ADDED_BY_PYTHON_3_13 = "__replace__"
NOT_REPEATED = frozenset({"slots", "weakref_slot"})
"""What was done when the class was made; the class that is restored has its slots."""


def dataclass_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a dataclass without those that ``@dataclass`` made."""
    return {name: part for name, part in attributes.items() if name not in REMADE and not _is_generated(name, part)}


def _is_generated(name: str, part: Any) -> bool:
    if name == "__hash__" and part is None:
        return True
    if name == ADDED_BY_PYTHON_3_13 and part.__module__ == "dataclasses":
        return True
    function = getattr(part, "__wrapped__", part)
    return isinstance(function, types.FunctionType) and function.__code__.co_qualname.startswith(
        GENERATED_BY_DATACLASSES
    )


def walk_dataclass(writer: Writer, value: Any, made: Child) -> Walk:
    """Write the parameters of ``@dataclass`` and the fields that the class itself has."""
    held = value.__dataclass_params__
    parameters = [[name, getattr(held, name)] for name in PARAMETERS if hasattr(held, name)]
    if not hasattr(held, "match_args"):
        parameters.append(["match_args", "__match_args__" in vars(value)])
    parameters.append(["unhashable", vars(value).get("__hash__", False) is None])
    fields = []
    for name in vars(value).get("__annotations__", {}):
        field = value.__dataclass_fields__.get(name)
        if field is not None:
            fields.append((yield from _walk_field(field)))
    writer.add(nodes.DATA_CLASS, made[0], parameters, fields)
    return made


def _walk_field(field: dataclasses.Field[Any]) -> Generator[tuple[Any, Step | None], Child, list[Any]]:
    names, children = [], []
    for name in FIELD_PARAMETERS:
        part = getattr(field, name, dataclasses.MISSING)
        if part is not dataclasses.MISSING:
            names.append(name)
            children.append((yield part, attribute(field.name)))
    if field.metadata:
        names.append("metadata")
        children.append((yield dict(field.metadata), attribute(field.name)))
    return [field.name, field._field_type.name, names, children]  # type: ignore[attr-defined]  # noqa: SLF001


def restore_dataclass(target: Any, parameters: dict[str, Any], fields: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Let ``@dataclass`` make its methods again for a class that has all else."""
    kept = {name: value for name, value in parameters.items() if name in NOT_REPEATED}
    is_unhashable = parameters.pop("unhashable")
    annotations = inspect.get_annotations(target)
    slots = {name: part for name, part in vars(target).items() if isinstance(part, types.MemberDescriptorType)}
    target.__annotations__ = {**annotations, **_plain_annotations(fields)}
    for name, kind, options in fields:
        if kind != "_FIELD_CLASSVAR":
            type.__setattr__(target, name, dataclasses.field(**options))
    repeated = {name: value for name, value in parameters.items() if name not in NOT_REPEATED}
    call(target, dataclasses.dataclass(**repeated), target)
    for name, part in slots.items():
        type.__setattr__(target, name, part)
    target.__annotations__ = annotations
    for name, value in kept.items():
        if hasattr(target.__dataclass_params__, name):
            setattr(target.__dataclass_params__, name, value)
    for name, _, _ in fields:
        target.__dataclass_fields__[name].type = annotations[name]
    if is_unhashable:
        type.__setattr__(target, "__hash__", None)


def _plain_annotations(fields: list[tuple[str, str, dict[str, Any]]]) -> dict[str, Any]:
    """Annotations that ``@dataclass`` understands without the module in which the user's names mean something."""
    meanings: dict[str, Any] = {"_FIELD_CLASSVAR": typing.ClassVar[Any], "_FIELD_INITVAR": dataclasses.InitVar[Any]}
    return {name: meanings[kind] for name, kind, _ in fields if kind in meanings}


# Protocols

MADE_FOR_PROTOCOLS = frozenset(
    {"__protocol_attrs__", "__non_callable_proto_members__", "__callable_proto_members_only__"}
)


def is_of_protocol(value: type) -> bool:
    """Whether *value* is a protocol, or a class that inherits from one."""
    return typing.Protocol in value.__mro__


def protocol_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes of such a class without those that ``typing`` made, which belong to one version of it."""
    return {
        name: part
        for name, part in attributes.items()
        if name not in MADE_FOR_PROTOCOLS
        and not (name in {"__init__", "__subclasshook__"} and getattr(part, "__module__", None) == "typing")
    }


def restore_protocol(target: Any, *, is_runtime: bool) -> None:
    """Let ``typing`` prepare a class that inherits from ``Protocol`` and has all else."""
    prepare: Any = type(typing.Protocol).__init__  # type: ignore[misc]
    call(target, prepare, target, target.__name__, target.__bases__, {})
    call(target, typing.Protocol.__init_subclass__.__func__, target)  # type: ignore[attr-defined]
    if is_runtime:
        call(target, typing.runtime_checkable, target)
