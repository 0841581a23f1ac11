"""Handlers for xarray: datasets and arrays by their variables, coordinates and attributes, not by what they remember of being
asked.

xarray is never imported here: a value can only be one of its own if it already was.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashstash.fingerprint.walker import Handler, Walker


def find_handler(kind: type) -> Handler | None:
    """The handler for a type of xarray, or derived from one; else ``None``."""
    xarray: Any = sys.modules.get("xarray")
    if xarray is None or not any(base.__module__.partition(".")[0] == "xarray" for base in kind.__mro__):
        return None
    if not hasattr(xarray, "Variable"):
        return None  # it is being imported
    if issubclass(kind, xarray.Dataset):
        return walk_dataset
    if issubclass(kind, xarray.DataArray):
        return walk_data_array
    return walk_variable if issubclass(kind, xarray.Variable) else None


def walk_dataset(walker: Walker, value: Any) -> None:
    _begin(walker, value)
    walker.all([str(name) for name in sorted(map(repr, value._coord_names))])  # noqa: SLF001  asking for coordinates makes them
    _write_variables(walker, value._variables)  # noqa: SLF001  the same
    _write_notes(walker, value)
    _write_indexes(walker, value)


def walk_data_array(walker: Walker, value: Any) -> None:
    _begin(walker, value)
    walker.walk(value.name)
    walker.step(".variable", value.variable)
    _write_variables(walker, value._coords)  # noqa: SLF001  asking for coordinates makes them
    _write_indexes(walker, value)


def walk_variable(walker: Walker, value: Any) -> None:
    _begin(walker, value)
    walker.all(list(value.dims))
    data = value._data  # noqa: SLF001  asking for data may load it
    if type(data).__name__ == "PandasIndexingAdapter":
        walker.mark("index", str(data.dtype))
        walker.step(".index", data.array)
    else:
        walker.step(".data", data)
    _write_notes(walker, value)


def _begin(walker: Walker, value: Any) -> None:
    walker.register(value)
    walker.mark("xarray", type(value).__name__)
    walker.walk(type(value))


def _write_variables(walker: Walker, variables: dict[Any, Any]) -> None:
    walker.mark("variables", len(variables))
    for name, variable in variables.items():
        walker.walk(name)
        walker.step((name,), variable)


def _write_notes(walker: Walker, value: Any) -> None:
    """Write attributes and encoding; to be asked for them makes nothing an empty dict."""
    for name in ("_attrs", "_encoding"):
        notes = getattr(value, name, None)
        if notes:
            walker.step(name.replace("_", "."), notes)
        else:
            walker.mark("nothing")


def _write_indexes(walker: Walker, value: Any) -> None:
    indexes = value._indexes  # noqa: SLF001  asking for indexes makes them
    walker.mark("indexes", len(indexes))
    for name, index in indexes.items():
        walker.walk(name)
        walker.mark("index", type(index).__name__)
