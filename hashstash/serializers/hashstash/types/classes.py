"""Classes that are data by name, from a fixed table: the built-in types, and numpy's scalar types."""

from __future__ import annotations

import sys
import types
from typing import Any

from hashstash.errors import NewerFormat
from hashstash.serializers.hashstash.types import NeedsGraph, hook_for_tag
from hashstash.serializers.hashstash.types.build import expect, named, plain_hook
from hashstash.serializers.hashstash.types.exceptions import CLASS_BY_NAME as EXCEPTION_BY_NAME

BUILT_IN = {
    kind.__name__: kind
    for kind in (
        *(
            bool,
            int,
            float,
            complex,
            str,
            bytes,
            bytearray,
            memoryview,
            list,
            tuple,
            dict,
            set,
            frozenset,
            range,
            slice,
        ),
        *(object, type, types.NoneType, types.EllipsisType, types.NotImplementedType),
    )
}
CLASS_BY_NAME: dict[str, type] = {**EXCEPTION_BY_NAME, **BUILT_IN}
NUMPY = "numpy."


def _pack_class(value: type) -> str:
    name = value.__name__
    if CLASS_BY_NAME.get(name) is value:
        return name
    if value.__module__ == "numpy" and sys.modules["numpy"].sctypeDict.get(name) is value:
        return NUMPY + name
    raise NeedsGraph(value, "is a class, which is more than data")


def _unpack_class(meta: Any) -> type:
    name = expect(str, meta)
    if name.startswith(NUMPY):
        hook_for_tag("np.dtype")  # numpy is there, or the error says how to get it
        found = sys.modules["numpy"].sctypeDict.get(name.removeprefix(NUMPY))
    else:
        found = CLASS_BY_NAME.get(name)
    if found is None:
        raise NewerFormat(f"the stored value holds the class {name!r}, which this Python or numpy does not have")
    class_: type = found
    return class_


CLASSES = [
    plain_hook("type", named("builtins.type"), _pack_class, _unpack_class),
    plain_hook("ellipsis", lambda kind: kind is types.EllipsisType, lambda _: None, lambda _: ...),
    plain_hook(
        "notimplemented", lambda kind: kind is types.NotImplementedType, lambda _: None, lambda _: NotImplemented
    ),
]
