"""Small parts that the files of hooks have in common."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.types import NeedsGraph, TypeHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.codec import Buffer


def named(*places: str) -> Callable[[type], bool]:
    """Matches the one type that can be imported from one of *places*, such as ``decimal.Decimal``; imports nothing."""
    split = {tuple(place.rsplit(".", 1)) for place in places}

    def matches(type_: type) -> bool:
        place = (type_.__module__, type_.__qualname__)
        return place in split and getattr(sys.modules.get(place[0]), place[1], None) is type_

    return matches


def plain_hook(
    tag: str, matches: Callable[[type], bool], pack: Callable[[Any], Any], unpack: Callable[[Any], Any]
) -> TypeHook:
    """A hook without buffers."""

    def pack_meta(value: Any) -> tuple[Any, list[Buffer]]:
        return pack(value), []

    def unpack_meta(meta: Any, buffers: list[Buffer]) -> Any:
        if buffers:
            raise CorruptEntry(f"a stored {tag!r} has buffers, which it cannot have; delete the entry")
        return unpack(meta)

    return TypeHook(tag, matches, pack_meta, unpack_meta)


def expect(kind: type | tuple[type, ...], value: Any) -> Any:
    """*value*, if its type is *kind*."""
    if not isinstance(value, kind):
        raise CorruptEntry(f"a stored value is malformed: {type(value).__name__} where {kind!r} was expected")
    return value


def items(meta: Any, count: int) -> list[Any]:
    """*meta*, if it is a list of *count* items."""
    if type(meta) is not list or len(meta) != count:
        raise CorruptEntry(f"a stored value is malformed: a list of {count} items was expected; delete the entry")
    return meta


def no_attributes(value: Any, *, but: tuple[str, ...] = ()) -> None:
    """Refuse a value that carries attributes of its own, which its type's hook would lose."""
    extra = [name for name in getattr(value, "__dict__", ()) if name not in but]
    if extra:
        raise NeedsGraph(value, f"carries attributes of its own ({', '.join(extra)})")
