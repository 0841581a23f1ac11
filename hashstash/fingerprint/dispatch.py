"""Which handler writes a value of which type."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING

from hashstash.fingerprint import (
    arrays,
    classes,
    derived,
    frames,
    functions,
    instances,
    labelled,
    modules,
    tensors,
    values,
    wrapping,
)

if TYPE_CHECKING:
    from hashstash.fingerprint.walker import Handler

_HANDLERS: dict[type, Handler] = {**values.HANDLERS, **functions.HANDLERS, **wrapping.HANDLERS, **modules.HANDLERS}
_PACKAGES = frozenset({"numpy", "pandas", "pyarrow", "polars"})


def handler_for(kind: type) -> Handler:
    """The handler for exactly the type *kind*: its own, that of a package it derives from, or the one for instances."""
    return _HANDLERS.get(kind) or _find(kind)


def _find(kind: type) -> Handler:
    if issubclass(kind, type):
        return classes.walk_class
    if issubclass(kind, types.ModuleType):
        return modules.walk_module
    for finder in (
        arrays.find_handler,
        frames.find_handler,
        tensors.find_handler,
        labelled.find_handler,
        derived.find_handler,
    ):
        handler = finder(kind)
        if handler is not None:
            if kind.__module__.partition(".")[0] in _PACKAGES:  # where types stay for good
                _HANDLERS[kind] = handler
            return handler
    return instances.walk_instance
