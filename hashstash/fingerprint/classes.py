"""Handlers for classes: a user's class is its bases and everything that its body and its users put into it.

What the interpreter, pickle or a decorator of Python's library derive from that is left out, since it differs between
versions of Python or appears only after use.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import sys
import types
from typing import TYPE_CHECKING, Any, Final

from hashstash.fingerprint.packages import Origin, origin_of_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashstash.fingerprint.walker import Walker

_HEAP_TYPE: Final = 1 << 9
_MAKERS: Final = frozenset({"builtins", "types", "abc", "enum", "dataclasses", "typing", "collections"})
"""Modules that classes are said to be of which their functions and metaclasses make for others."""
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_INTERPRETER_WRITES: Final = frozenset(
    {
        *("__module__", "__qualname__", "__dict__", "__weakref__", "__slotnames__", "__firstlineno__", "__classcell__"),
        *("__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
        *(
            "__annotate_cache__",
            "__classdictcell__",
            "__conditional_annotations__",
            "__type_params__",
            "__parameters__",
        ),
        *(
            "__orig_bases__",
            "__abstractmethods__",
            "_abc_impl",
            "_is_protocol",
            "_is_runtime_protocol",
            "__signature__",
        ),
        *("__protocol_attrs__", "__non_callable_proto_members__", "__dataclass_fields__", "__dataclass_params__"),
    }
)
_DATACLASS_FLAGS: Final = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_FIELD_FLAGS: Final = ("init", "repr", "hash", "compare", "kw_only")
_NAMED_TUPLE_PARTS: Final = frozenset(
    {
        "__new__",
        "_make",
        "_replace",
        "__replace__",
        "__repr__",
        "_asdict",
        "__getnewargs__",
        "__match_args__",
        "_field_types",
    }
)
_ENUM_PARTS: Final = frozenset(
    {"__new__", "__doc__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__", "__getstate__"}
)
_ENUM_HOOKS: Final = frozenset({"_missing_", "_generate_next_value_"})


def walk_class(walker: Walker, cls: type) -> None:
    origin = origin_of_class(cls)
    if origin is not Origin.USER:
        walker.installed("class", cls.__module__, cls.__qualname__, is_stdlib=origin is Origin.STDLIB)
        return
    walker.register(cls)
    if walker.guards is not None:
        walker.guards.mapping(vars(cls))
    walker.mark("user class", cls.__qualname__, len(cls.__bases__))
    if type(cls) is not type:
        walker.walk(type(cls))
    for base in cls.__bases__:
        walker.walk(base)
    _walk_annotations(walker, cls)
    if "__dataclass_fields__" in vars(cls):
        _walk_dataclass(walker, cls)
    if isinstance(cls, enum.EnumMeta):
        _walk_members(walker, cls)
    if _is_named_tuple(cls):
        _walk_changed_defaults(walker, cls)
    for name, value in sorted(written_attributes(cls)):
        walker.mark("attribute", name)
        walker.bound(f".{name}", value)


def origin_of_class(cls: type) -> Origin:
    """Where a class was defined. What its module does not know by name was made by a call: the user's."""
    module = cls.__module__
    if type(module) is not str:
        return Origin.USER
    origin = origin_of_name(module)
    if origin is Origin.USER or not cls.__flags__ & _HEAP_TYPE or _lookup(module, cls.__qualname__) is cls:
        return origin
    # exec() without a __name__ makes classes that say they are built in, make_dataclass() some that say they are of types.
    made_by_call = module in _MAKERS or "<locals>" in cls.__qualname__
    return Origin.USER if made_by_call else origin


def _lookup(module: str, qualified_name: str) -> Any:
    found: Any = sys.modules.get(module)
    for name in qualified_name.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found


def written_attributes(cls: type) -> Iterator[tuple[str, Any]]:
    """What is in the class because somebody wrote it there."""
    is_dataclass = "__dataclass_fields__" in vars(cls)
    is_enum = isinstance(cls, enum.EnumMeta)
    is_named_tuple = _is_named_tuple(cls)
    for name, value in list(vars(cls).items()):
        if name in _INTERPRETER_WRITES or name.startswith("__pydantic_") or (name == "__doc__" and value is None):
            continue
        if isinstance(value, types.MemberDescriptorType):
            continue
        if is_dataclass and _is_made_by_dataclass(name, value, cls):
            continue
        if is_enum and (_is_made_by_enum(name, value) or name in cls.__members__):  # type: ignore[attr-defined]
            continue
        if is_named_tuple and (_is_made_by_named_tuple(name, value) or name in vars(cls)["_fields"]):
            continue
        yield name, value


def _is_made_by_dataclass(name: str, value: Any, cls: type) -> bool:
    if name == "__match_args__":
        return bool(value == tuple(field.name for field in vars(cls)["__dataclass_fields__"].values() if field.init))
    if name == "__doc__":
        return isinstance(value, str) and value.startswith(f"{cls.__name__}(")
    if name == "__hash__" and value is None:
        return True
    if not isinstance(value, types.FunctionType):
        return False
    code = getattr(vars(value).get("__wrapped__", value), "__code__", None)
    return _is_from("dataclasses", value) or (code is not None and code.co_qualname.startswith("__create_fn__."))


def _is_made_by_enum(name: str, value: Any) -> bool:
    function = getattr(value, "__func__", value)
    if _is_from("enum", function):
        return True
    if not isinstance(function, types.FunctionType) and name in _ENUM_PARTS:
        return True
    return name.startswith("_") and name.endswith("_") and not name.startswith("__") and name not in _ENUM_HOOKS


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and "_fields" in vars(cls) and "_make" in vars(cls)


def _walk_changed_defaults(walker: Walker, cls: type) -> None:
    """The defaults that were set on ``__new__`` later: those that the class was made with are in ``_field_defaults``."""
    made = getattr(vars(cls).get("__new__"), "__func__", None)
    defaults = getattr(made, "__defaults__", None) or ()
    declared = tuple((vars(cls).get("_field_defaults") or {}).values())
    if len(defaults) != len(declared) or any(one is not other for one, other in zip(defaults, declared, strict=True)):
        walker.bound(".__new__.__defaults__", defaults)


def _is_made_by_named_tuple(name: str, value: Any) -> bool:
    if name == "__doc__":
        return isinstance(value, str) and value.endswith(")")
    if name not in _NAMED_TUPLE_PARTS:
        return False
    function = getattr(value, "__func__", value)
    return name == "__new__" or not isinstance(function, types.FunctionType) or _is_from("collections", function)


def _is_from(module: str, value: Any) -> bool:
    return isinstance(value, types.FunctionType) and value.__globals__.get("__name__") == module


def _walk_annotations(walker: Walker, cls: type) -> None:
    """By name and text: annotations hold type expressions whose inner form differs between versions of Python."""
    annotations = vars(cls).get("__annotations__") or {}
    if not isinstance(annotations, dict):
        return
    for name, value in annotations.items():
        walker.mark("annotation", name, type_text(value))


def type_text(value: Any) -> str:
    """A type expression as text without addresses."""
    if isinstance(value, str):
        return value
    return (
        value.__qualname__
        if isinstance(value, type) and not hasattr(value, "__args__")
        else _ADDRESS.sub("", repr(value))
    )


def _walk_dataclass(walker: Walker, cls: type) -> None:
    parameters = vars(cls).get("__dataclass_params__")
    walker.mark("dataclass", *(bool(getattr(parameters, flag, False)) for flag in _DATACLASS_FLAGS))
    for field in vars(cls)["__dataclass_fields__"].values():
        walker.mark("field", field.name, type_text(field.type), field._field_type.name)  # noqa: SLF001
        walker.mark("flags", *(_flag(getattr(field, flag)) for flag in _FIELD_FLAGS))
        for part in ("default", "default_factory"):
            value = getattr(field, part)
            if value is dataclasses.MISSING:
                walker.mark("none")
            else:
                walker.bound(f".{field.name}", value)
        if field.metadata:
            walker.bound(f".{field.name}.metadata", dict(field.metadata))


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _walk_members(walker: Walker, cls: enum.EnumMeta) -> None:
    members: Mapping[str, Any] = cls.__members__
    for name, member in members.items():
        walker.mark("enum member", name)
        walker.bound(f".{name}", member.value)
