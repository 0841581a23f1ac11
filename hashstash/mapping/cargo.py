"""Functions, arguments and exceptions as bytes for another process.

What belongs to ``__main__`` or to a cell travels by value through cloudpickle, together with the source it was defined in: the
worker has neither the notebook nor its line cache, and fingerprints and stored classes need the source.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import linecache
import os
import pickle
import sys
import types
from typing import TYPE_CHECKING, Any

from hashstash.errors import MissingDependency

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Sources = dict[str, list[str]]


def dumps(value: Any) -> bytes:
    """*value* pickled; by value where its classes or functions cannot be imported."""
    return _dumps(value, None)


def dumps_with_sources(value: Any) -> tuple[bytes, _Sources]:
    """*value* pickled, and the source lines of what travels by value, by file name."""
    names: set[str] = set()
    data = _dumps(value, names)
    return data, {name: lines for name in sorted(names) if (lines := linecache.getlines(name))}


loads = pickle.loads


def loads_back(data: bytes) -> Any:
    """What a worker has pickled, here where its function came from.

    Classes that were sent to the worker by value come back by value, too. They are the ones that are here, and they stay as they
    are: what the worker has of them no longer belongs to this notebook, and would not see its names change.
    """
    cloudpickle = sys.modules.get("cloudpickle.cloudpickle")
    set_state = getattr(cloudpickle, "_class_setstate", None)
    tracked = getattr(cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_CLASS", None)
    if set_state is None or tracked is None:
        return pickle.loads(data)
    known = set(tracked)

    def set_state_of_new(kind: Any, state: Any) -> Any:
        return kind if kind in known else set_state(kind, state)

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found = super().find_class(module, name)
            return set_state_of_new if found is set_state else found

    return Unpickler(io.BytesIO(data)).load()


def add_sources(sources: _Sources) -> None:
    """Make the source lines that came along known to tracebacks and to ``inspect``, unless the file itself is here."""
    for name, lines in sources.items():
        if not os.path.exists(name):  # cells of some notebooks keep their names when they are edited
            linecache.cache[name] = (sum(map(len, lines)), None, lines, name)


def _dumps(value: Any, names: set[str] | None) -> bytes:
    try:
        from cloudpickle import Pickler
    except ImportError as error:
        return _dumps_by_name(value, error)

    class Packer(Pickler):  # type: ignore[misc]
        """Sends what marks a missing value by its name, and notes where the functions that travel by value were defined."""

        def reducer_override(self, item: Any) -> Any:
            if type(item) in _MARKERS and (name := _name_of_marker(item)):
                return name
            if type(item) is _CACHED and not _is_found_by_name(item):
                return _cached_again, (item.__wrapped__, item.cache_parameters())
            reduced = super().reducer_override(item)
            if isinstance(item, type):
                _keep_qualified_name(item, reduced)
            if type(item) is types.FunctionType and names is not None and reduced is not NotImplemented:
                names.add(item.__code__.co_filename)
            return reduced

    stream = io.BytesIO()
    Packer(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return stream.getvalue()


_MARKERS = (type(dataclasses.MISSING), type(dataclasses.KW_ONLY))
"""Classes whose one instance is told by identity, but which pickle copies: a field without a default would get one."""


def _name_of_marker(item: Any) -> str | None:
    return next((name for name in ("MISSING", "KW_ONLY") if getattr(dataclasses, name) is item), None)


_CACHED = type(functools.lru_cache(len))


def _cached_again(function: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    """A function under ``lru_cache``, which pickle would send by name; its cache begins empty."""
    return functools.lru_cache(**parameters)(function)


def _is_found_by_name(item: Any) -> bool:
    from cloudpickle import list_registry_pickle_by_value

    found: Any = sys.modules.get(item.__module__)
    for name in item.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is item and item.__module__ not in {"__main__", *list_registry_pickle_by_value()}


def _keep_qualified_name(kind: type, reduced: Any) -> None:
    """Let ``Outer.Inner`` keep its name, since cloudpickle makes a class that travels by value anew as ``Inner``."""
    state = reduced[2] if type(reduced) is tuple and len(reduced) > 2 else None
    if type(state) is tuple and state and type(state[0]) is dict:
        state[0]["__qualname__"] = kind.__qualname__


def _dumps_by_name(value: Any, missing: ImportError) -> bytes:
    """*value* pickled where nothing can travel by value; refuses what a worker could not import."""

    class Refusing(pickle.Pickler):
        def reducer_override(self, item: Any) -> Any:
            if isinstance(item, (type, types.FunctionType)) and item.__module__ == "__main__":
                raise MissingDependency(_NEEDED.format(f"{item.__qualname__} belongs to __main__")) from missing
            return NotImplemented

    stream = io.BytesIO()
    try:
        Refusing(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise MissingDependency(_NEEDED.format(error)) from error
    return stream.getvalue()


_NEEDED = "{}; to send it to another process, the package 'cloudpickle' is needed: pip install 'hashstash[best]'"


# ---- what cannot travel, and why ---------------------------------------------------------------------------------------


_CALLED = (types.FunctionType, types.MethodType, functools.partial)


def can_travel(value: Any) -> bool:
    """Whether *value* can be pickled."""
    try:
        dumps(value)
    except Exception:  # noqa: BLE001 - pickling runs the user's code
        return False
    return True


def what_stays(function: Any) -> str | None:
    """The variable that keeps *function* from being pickled, its own or that of one it uses; ``None`` if that is not known."""
    seen: set[int] = set()
    todo = [(function, "")]
    for holder, where in todo:
        for name, value in _parts_of(holder):
            if id(value) in seen or can_travel(value):
                continue
            seen.add(id(value))
            if not isinstance(value, _CALLED):
                return f"{name!r}, a {type(value).__name__}{_attribute_in(value)}{where}"
            todo.append((value, f", in {getattr(value, '__qualname__', name)}"))
    return None


def _attribute_in(value: Any) -> str:
    """Which attribute of an instance cannot be pickled, where it has some."""
    for name, inner in list(getattr(value, "__dict__", {}).items()):
        if not can_travel(inner):
            return f" with the attribute {name!r}, a {type(inner).__name__}"
    return ""


def _parts_of(holder: Any) -> list[tuple[str, Any]]:
    """What is pickled with a function, a method, a partial, or an instance, by name."""
    if isinstance(holder, functools.partial):
        return [("func", holder.func), *_numbered(holder.args), *holder.keywords.items()]
    if isinstance(holder, types.MethodType):
        return [("self", holder.__self__), (holder.__name__, holder.__func__)]
    if not isinstance(holder, types.FunctionType):
        return list(getattr(holder, "__dict__", {}).items())
    code = holder.__code__
    cells = zip(code.co_freevars, holder.__closure__ or (), strict=True)
    return [
        *((name, cell.cell_contents) for name, cell in cells if _is_filled(cell)),
        *((name, holder.__globals__[name]) for name in _names_in(code) if name in holder.__globals__),
        *_numbered(holder.__defaults__ or ()),
        *(holder.__kwdefaults__ or {}).items(),
        *holder.__dict__.items(),
    ]


def _numbered(values: Any) -> list[tuple[str, Any]]:
    return [(f"argument {number + 1}", value) for number, value in enumerate(values)]


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - it raises where there is nothing yet
    except ValueError:
        return False
    return True


def _names_in(code: types.CodeType) -> list[str]:
    inner = [
        name for constant in code.co_consts if isinstance(constant, types.CodeType) for name in _names_in(constant)
    ]
    return [*code.co_names, *inner]
