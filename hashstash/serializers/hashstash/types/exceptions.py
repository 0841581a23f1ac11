"""Built-in exceptions, with their arguments, notes, causes and contexts; tracebacks stay behind."""

from __future__ import annotations

import builtins
from typing import Any

from hashstash.errors import CorruptEntry, NewerFormat
from hashstash.serializers.hashstash.types import NeedsGraph
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook

CLASS_BY_NAME: dict[str, type[BaseException]] = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException) and kind.__name__ == name
}
NOTES = "__notes__"


def _pack_exception(value: BaseException) -> list[Any]:
    reduced: Any = value.__reduce__()
    _, arguments, *state = reduced
    attributes = dict(state[0]) if state and state[0] else {}
    if any(name.startswith("__") and name != NOTES for name in attributes):
        raise NeedsGraph(value, "is an exception with special attributes of its own")
    chain = [value.__cause__, value.__context__, value.__suppress_context__]
    return [type(value).__name__, list(arguments), attributes, chain]


def _unpack_exception(meta: Any) -> BaseException:
    name, arguments, attributes, chain = items(meta, 4)
    kind = CLASS_BY_NAME.get(expect(str, name))
    if kind is None:
        raise NewerFormat(f"the stored value holds a {name!r}, an exception that this version of Python does not have")
    exception = kind(*expect(list, arguments))
    if type(exception) is not kind:
        raise CorruptEntry(f"a stored {name} became a {type(exception).__name__}; delete the entry")
    _set_attributes(exception, expect(dict, attributes))
    exception.__cause__, exception.__context__, suppress = items(chain, 3)
    exception.__suppress_context__ = expect(bool, suppress)
    return exception


def _set_attributes(exception: BaseException, attributes: dict[Any, Any]) -> None:
    for name, value in attributes.items():
        if type(name) is not str or (name.startswith("__") and name != NOTES):
            raise CorruptEntry("a stored exception has special attributes of its own; delete the entry")
        setattr(exception, name, value)


EXCEPTIONS = [
    plain_hook("exception", lambda kind: CLASS_BY_NAME.get(kind.__name__) is kind, _pack_exception, _unpack_exception)
]
