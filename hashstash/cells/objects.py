"""Looking at one object's own state, without what lies below it, and putting a recorded state back into the same
object.

A cell that appends to a list changed one object; whoever else holds that list must see the change after a hit as
well. So the objects which a cell can reach are looked at before and after it ran, one level deep, and what changed is
stored as a :class:`Change` of that very object.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

from hashstash.cells.containers import CONTENTS, EXACT_CONTENTS, WITHOUT_ATTRIBUTES, Content

_CELL = "closure "
_KEYWORD_DEFAULT = "default "
_WRITEABLE = "flags.writeable"
_REMEMBERED = frozenset({"_cache", "_close"})
"""Slots of xarray that hold nothing of what an object is."""
_POLARS_CONTENT = frozenset({"_df", "_s"})
_FUNCTION_ATTRIBUTES = ("__code__", "__defaults__", "__name__", "__qualname__", "__doc__")
_INTERNAL = frozenset({
    "__dict__", "__weakref__", "__module__", "__doc__", "__annotations__", "__annotations_cache__", "__annotate__",
    "__annotate_func__", "__slotnames__", "__firstlineno__", "__static_attributes__", "__abstractmethods__",
    "_abc_impl", "__builtins__", "__cached__", "__spec__", "__loader__", "__file__", "__warningregistry__",
})  # fmt: skip
"""Attributes that the interpreter, pickle or warnings write for themselves."""


WRAPPERS = (type, FunctionType, MethodType, ModuleType, property, staticmethod, classmethod, functools.partial)
"""What cannot change in place, or only in ways that looking shows; what they wrap is looked at by itself."""
_STATELESS = frozenset({object, int, float, complex, str, bytes, tuple, frozenset, SimpleNamespace})


class CannotRestore(Exception):
    """The object changed in a way that cannot be put back into the same object; the text completes "`x` ..."."""


@dataclass(frozen=True, slots=True)
class State:
    """One object's own state: the items of a container, and its attributes."""

    content: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)


def look(value: Any) -> State:
    """The object's own state now."""
    content = _content_of_type(type(value))
    if content is None:
        return State((value.size, value.dtype.str) if _is_array(value) else None, _attributes(value))
    return State(content.read(value), {} if type(value) in WITHOUT_ATTRIBUTES else _attributes(value))


def content_of(value: Any) -> Content | None:
    """How to handle the items of *value*, if it is a container that can be refilled."""
    return _content_of_type(type(value))


def _content_of_type(kind: type) -> Content | None:
    if kind is FunctionType:
        return None  # as most that are looked at
    exact = EXACT_CONTENTS.get(kind)
    return exact or next((content for base, content in CONTENTS if issubclass(kind, base)), None)


def is_opaque(value: Any) -> bool:
    """Whether looking at the object does not show all of its state: it has state of its own in C."""
    if isinstance(value, WRAPPERS) or content_of(value) is not None:
        return False
    if _is_data_frame(value) or is_labelled(value) or is_polars(value):
        return True
    if not hasattr(value, "__dict__"):
        return not _slots(type(value))
    return any(_has_state_in_c(base) for base in type(value).__mro__)


def _has_state_in_c(kind: type) -> bool:
    return kind not in _STATELESS and isinstance(vars(kind).get("__new__"), BuiltinFunctionType)


def change(value: Any, before: State) -> dict[str, Any] | None:
    """What :func:`apply` needs to bring an equal object from *before* to the state of *value* now; ``None`` if
    nothing changed.
    """
    now, content = look(value), content_of(value)
    changed: dict[str, Any] = {}
    if content is None and now.content != before.content:
        raise CannotRestore("is an array whose size or type was changed in place")
    if content is not None and not content.is_same(before.content, now.content):
        changed["content"] = now.content
    if not now.attributes and not before.attributes:
        return changed or None
    new = {name: part for name, part in now.attributes.items() if before.attributes.get(name, _MISSING) is not part}
    gone = sorted(set(before.attributes) - set(now.attributes))
    if new:
        changed["set"] = new
    if gone:
        changed["delete"] = gone
    return changed or None


def whole(value: Any) -> dict[str, Any]:
    """The full state of an object that changed where looking does not show it: an array, a frame, an object written
    in C.
    """
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and isinstance(value, numpy.ma.MaskedArray):
        return {"array": value.copy()}
    if numpy is not None and isinstance(value, numpy.ndarray):
        return {"array": numpy.array(value)}
    if pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series):
        attributes = {"attrs": value.attrs} if value.attrs else {}  # with what they share; a copy has copies of them
        return {"frame": value.copy(deep=False), **attributes}
    if is_polars(value):
        return {"polars": value.clone()}
    if is_labelled(value):
        parts = {name: getattr(value, name, _MISSING) for name in _slots(type(value)) if name not in _REMEMBERED}
        return {"set": {name: part for name, part in parts.items() if part is not _MISSING}}
    if numpy is not None and isinstance(value, numpy.random.Generator):
        return {"generator": value.bit_generator.state}
    reduced = value.__reduce_ex__(4)
    if isinstance(reduced, tuple) and len(reduced) > 2 and reduced[2] is not None and hasattr(value, "__setstate__"):
        return {"state": reduced[2]}
    raise CannotRestore(f"is a {type(value).__name__} that was changed in place, which cannot be repeated on a hit")


def check(value: Any, changed: dict[str, Any]) -> None:
    """Raise :class:`CannotRestore` if :func:`apply` would fail."""
    stored = changed.get("array")
    if stored is not None and (stored.size, stored.dtype) != (value.size, value.dtype):
        raise CannotRestore("is an array whose size or type was changed in place")
    if stored is not None and not (value.flags.writeable or changed.get("set", {}).get(_WRITEABLE)):
        raise CannotRestore("is an array that cannot be written to now")
    if "content" in changed and content_of(value) is None:
        raise CannotRestore(f"is a {type(value).__name__}, not the container that was recorded")


def apply(value: Any, changed: dict[str, Any]) -> None:
    """Bring *value* to the recorded state, in place."""
    content = content_of(value)
    if "content" in changed and content is not None:
        content.write(value, changed["content"])
    last = {name: part for name, part in changed.get("set", {}).items() if name == _WRITEABLE and not part}
    for name, part in changed.get("set", {}).items():
        if name not in last:
            _set_attribute(value, name, part)
    for name in changed.get("delete", ()):
        _delete_attribute(value, name)
    if "array" in changed:
        if value.shape != changed["array"].shape:
            value.resize(changed["array"].shape, refcheck=False)  # of the same size: nothing moves
        _fill_array(value, changed["array"])
    if "frame" in changed:
        value._update_inplace(changed["frame"])  # noqa: SLF001 - what pandas' own inplace= methods call
        value.attrs = dict(changed.get("attrs", changed["frame"].attrs))
        if value.ndim == 1:
            value.name = changed["frame"].name
    if "polars" in changed:
        _take_content(value, changed["polars"])
    if "generator" in changed:
        value.bit_generator.state = changed["generator"]
    if "state" in changed:
        value.__setstate__(changed["state"])
    for name, part in last.items():
        _set_attribute(value, name, part)


def _take_content(value: Any, content: Any) -> None:
    for name in _POLARS_CONTENT & vars(content).keys():
        setattr(value, name, getattr(content, name))


def _fill_array(value: Any, content: Any) -> None:
    masked = sys.modules["numpy"].ma
    if not isinstance(content, masked.MaskedArray):
        value[...] = content
        return
    value.data[...] = content.data
    value.soften_mask()
    value.mask = masked.getmask(content)
    if content.hardmask:
        value.harden_mask()
    value.fill_value = content.fill_value


def merged(change: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Both as one, of which the whole state counts where they speak of the same."""
    attributes = {**change.get("set", {}), **whole.get("set", {})}
    return {**change, **whole, **({"set": attributes} if attributes else {})}


_MISSING = object()


def _attributes(value: Any) -> dict[str, Any]:
    if isinstance(value, FunctionType):
        return _function_attributes(value)
    if isinstance(value, type | ModuleType):
        return {name: part for name, part in vars(value).items() if name not in _INTERNAL}
    if isinstance(value, MethodType) or _is_data_frame(value) or is_labelled(value):
        return {}
    own = getattr(value, "__dict__", None)
    attributes = dict(own) if isinstance(own, dict) else {}
    if _is_array(value):
        attributes[_WRITEABLE] = value.flags.writeable
    elif type(value).__module__.partition(".")[0] == "pandas":
        attributes.pop("_cache", None)
    elif is_polars(value):
        attributes = {name: part for name, part in attributes.items() if name not in _POLARS_CONTENT}
    for name in _slots(type(value)):
        part = getattr(value, name, _MISSING)
        if part is not _MISSING:
            attributes[name] = part
    return attributes


def _is_data_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series | pandas.Index)


def is_polars(value: Any) -> bool:
    """Whether it is a frame or a series of polars: an object around one of Rust's, which its methods exchange."""
    polars: Any = sys.modules.get("polars")
    return hasattr(polars, "LazyFrame") and isinstance(value, polars.DataFrame | polars.Series)


def is_labelled(value: Any) -> bool:
    """Whether it is an object of xarray, which remembers in its slots what it was asked."""
    xarray: Any = sys.modules.get("xarray")
    return hasattr(xarray, "Variable") and isinstance(value, xarray.Dataset | xarray.DataArray | xarray.Variable)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and hasattr(numpy, "ndarray") and isinstance(value, numpy.ndarray)


def _slots(kind: type) -> list[str]:
    names: list[str] = []
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        own = (slots,) if isinstance(slots, str) else slots
        names += [_mangled(base, name) for name in own if name not in ("__dict__", "__weakref__")]
    return names


def _mangled(kind: type, name: str) -> str:
    """The attribute behind a slot: private names carry their class."""
    is_private = name.startswith("__") and not name.endswith("__")
    return f"_{kind.__name__.lstrip('_')}{name}" if is_private else name


def _function_attributes(function: FunctionType) -> dict[str, Any]:
    attributes = {name: getattr(function, name) for name in _FUNCTION_ATTRIBUTES}
    attributes.update((_KEYWORD_DEFAULT + name, part) for name, part in (function.__kwdefaults__ or {}).items())
    for position, cell in enumerate(function.__closure__ or ()):
        try:
            attributes[_CELL + str(position)] = cell.cell_contents
        except ValueError:  # the enclosing function has not bound it yet
            continue
    return attributes | vars(function)


def _set_attribute(value: Any, name: str, part: Any) -> None:
    if name == _WRITEABLE:
        value.flags.writeable = part
    elif isinstance(value, FunctionType) and name.startswith(_CELL):
        (value.__closure__ or ())[int(name.removeprefix(_CELL))].cell_contents = part
    elif isinstance(value, FunctionType) and name.startswith(_KEYWORD_DEFAULT):
        value.__kwdefaults__ = {**(value.__kwdefaults__ or {}), name.removeprefix(_KEYWORD_DEFAULT): part}
    elif isinstance(value, type):
        type.__setattr__(value, name, part)
    elif isinstance(value, FunctionType | ModuleType):
        setattr(value, name, part)
    elif isinstance(getattr(value, "__dict__", None), dict) and name not in _slots(type(value)):
        vars(value)[name] = part
    else:
        object.__setattr__(value, name, part)


def _delete_attribute(value: Any, name: str) -> None:
    if isinstance(value, FunctionType) and name.startswith(_CELL):
        del (value.__closure__ or ())[int(name.removeprefix(_CELL))].cell_contents
    elif isinstance(value, FunctionType) and name.startswith(_KEYWORD_DEFAULT):
        (value.__kwdefaults__ or {}).pop(name.removeprefix(_KEYWORD_DEFAULT), None)
    elif isinstance(value, type):
        type.__delattr__(value, name)
    elif isinstance(getattr(value, "__dict__", None), dict) and name in vars(value):
        del vars(value)[name]
    else:
        object.__delattr__(value, name)
