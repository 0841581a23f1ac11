"""Functions by value: their code and all that it refers to; by name where any process can import them.

The code travels twice: marshalled, for the Python version that wrote it, and as source text, for the others. The
globals that a function and the code inside it name are written with it, one dict for all functions of a module; a
function of an importable module uses that module, and a function of a notebook the notebook's live variables.
"""

from __future__ import annotations

import builtins
import dis
import functools
import importlib.util
import linecache
import marshal
import platform
import sys
import types
from typing import TYPE_CHECKING, Any

from hashstash.errors import BadEntry
from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.names import import_module, is_importable, locate, walk_name
from hashstash.serializers.hashstash.nodes import Child, Step, Walk, attribute, walk_each
from hashstash.serializers.hashstash.objects import walk_attributes, walk_call
from hashstash.serializers.hashstash.source import Source, SourceFiles, recompile, settle
from hashstash.serializers.hashstash.special import walk_dispatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.serializers.hashstash.build import Action, Reader
    from hashstash.serializers.hashstash.walk import Walker, Writer

GLOBAL_OPERATIONS = frozenset(
    {
        "LOAD_GLOBAL",
        "STORE_GLOBAL",
        "DELETE_GLOBAL",
        "LOAD_NAME",
        "LOAD_FROM_DICT_OR_GLOBALS",
        "LOAD_FROM_DICT_OR_DEREF",
    }
)
STATE_NAMES = (
    "__qualname__",
    "__module__",
    "__doc__",
    "__defaults__",
    "__kwdefaults__",
    "__annotations__",
    "__type_params__",
)
_DISPATCH: Any = functools.singledispatch(len)
DISPATCHING = _DISPATCH.__code__
MADE_BY_DISPATCH = frozenset(vars(_DISPATCH))
LruCacheWrapper = type(functools.lru_cache(lambda: None))


# Writing


def walk_function(writer: Writer, value: types.FunctionType) -> Walk:
    """Write a function by name, else by value."""
    place = locate(value)
    if place is not None:
        return (yield from walk_name(writer, value, *place))
    if value.__code__ is DISPATCHING:
        made = yield from walk_dispatch(writer, value, functools.singledispatch, value.registry)  # type: ignore[attr-defined]
        own = {name: part for name, part in vars(value).items() if name not in MADE_BY_DISPATCH}
        return (yield from walk_attributes(writer, made, own, {})) if own else made
    linecache.lazycache(value.__code__.co_filename, value.__globals__)
    code = yield value.__code__, Step("code of", value.__name__)
    module = _emit_globals(writer, value.__globals__)
    names = list(value.__code__.co_freevars)
    closure = zip(names, value.__closure__ or (), strict=True)
    cells = yield from walk_each((cell, Step("closure", name)) for name, cell in closure)
    if writer.is_made(value):
        return writer.emit(value)
    made = writer.emit(value, nodes.FUNCTION, code, module, value.__name__, names, cells)
    yield from _walk_function_state(writer, value, made)
    yield from _walk_globals_of(writer, value, module)
    return made


def _walk_function_state(writer: Writer, value: types.FunctionType, made: Child) -> Walk:
    names, children = [], []
    for name in STATE_NAMES:
        part = getattr(value, name, None)
        if part is not None and part not in ({}, ()):
            names.append(name)
            children.append((yield part, attribute(name)))
    if value.__dict__:
        names.append("__dict__")
        children.append((yield value.__dict__, None))
    writer.add(nodes.FUNCTION_STATE, made[0], names, children)
    return made


def _emit_globals(writer: Writer, module: dict[str, Any]) -> Child:
    if module is writer.namespace:
        return writer.emit(module, nodes.NAMESPACE)
    name = module.get("__name__")
    is_imported = is_importable(name) and vars(sys.modules[str(name)]) is module
    return writer.emit(module, nodes.GLOBALS, name if type(name) is str else None, is_imported)


def _walk_globals_of(writer: Writer, value: types.FunctionType, module: Child) -> Walk:
    """Write the globals that *value* names, unless the reader will have them."""
    held = value.__globals__
    if held is writer.namespace or (
        is_importable(held.get("__name__")) and vars(sys.modules[held["__name__"]]) is held
    ):
        return module
    written = writer.note("globals").setdefault(id(held), {"__builtins__", "__name__"})
    names = [name for name in dict.fromkeys(global_names(value.__code__)) if name in held and name not in written]
    written.update(names)
    children = []
    for name in names:
        part: Any = held[name]
        children.append((yield part, Step("global", name)))
        if isinstance(part, types.ModuleType):
            for submodule in _submodules(part, value.__code__):
                yield submodule, Step("module", submodule.__name__)
    if names:
        writer.add(nodes.FILL_DICT, module[0], names, children)
    return module


def global_names(code: types.CodeType) -> Iterator[str]:
    """The names that *code*, and the code inside it, look up outside of functions."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in GLOBAL_OPERATIONS and isinstance(instruction.argval, str):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from global_names(constant)


def _attribute_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _attribute_names(constant)


def _submodules(module: types.ModuleType, code: types.CodeType) -> Iterator[types.ModuleType]:
    """The submodules that *code* reaches as attributes: importing a package does not import them."""
    for name in dict.fromkeys(_attribute_names(code)):
        submodule = sys.modules.get(f"{module.__name__}.{name}")
        is_reached: bool = getattr(module, name, None) is submodule
        if submodule is not None and is_reached:
            yield submodule
            yield from _submodules(submodule, code)


def _walk_code(writer: Writer, value: types.CodeType) -> Walk:
    files = writer.note("sources").setdefault("files", SourceFiles())
    source = files.find(value)
    return writer.emit(
        value,
        nodes.CODE,
        importlib.util.MAGIC_NUMBER,
        writer.buffer(marshal.dumps(value)),
        value.co_name,
        value.co_qualname,
        value.co_flags,
        platform.python_version(),
        None if source is None else list(source),
    )
    yield


def _walk_cell(writer: Writer, value: types.CellType) -> Walk:
    made = writer.emit(value, nodes.CELL)
    try:
        content = value.cell_contents
    except ValueError:  # a name that was deleted, or is not bound yet
        return made
    child = yield content, None
    writer.add(nodes.FILL_CELL, made[0], child)
    return made


def _walk_method(writer: Writer, value: types.MethodType) -> Walk:
    function, owner = value.__func__, value.__self__
    if type(function) is types.FunctionType and locate(function) is None:
        name = function.__name__
        if locate(owner) is not None and getattr(owner, name, None) == value:
            yield from walk_call(writer, value, nodes.CALL, getattr, (owner, name), {})
            return writer.emit(value)
    yield from walk_call(writer, value, nodes.CALL, types.MethodType, (function, owner), {})
    return writer.emit(value)


def _walk_cached(writer: Writer, value: Any) -> Walk:
    """A function behind ``lru_cache``: the cache comes back empty, as large as it was."""
    place = locate(value)
    if place is not None:
        return (yield from walk_name(writer, value, *place))
    parameters = value.cache_parameters()
    decorator = functools.partial(functools.lru_cache, parameters["maxsize"], parameters["typed"])
    make = writer.note("decorators").setdefault(id(value), decorator)
    if not writer.is_made(make):
        function = yield functools.lru_cache, None
        writer.emit(make, nodes.CALL, function, list(make.args), [], [])
    wrapped = yield value.__wrapped__, attribute("__wrapped__")
    if writer.is_made(value):
        return writer.emit(value)
    made = writer.emit(value, nodes.CALL, writer.emit(make), [wrapped], [], [])
    own = {name: part for name, part in vars(value).items() if name not in {"__wrapped__", "cache_parameters"}}
    return (yield from walk_attributes(writer, made, own, {}))


WALKERS: dict[type, Walker] = {
    types.FunctionType: walk_function,
    types.CodeType: _walk_code,
    types.CellType: _walk_cell,
    types.MethodType: _walk_method,
    LruCacheWrapper: _walk_cached,
}


# Reading


def _code(  # noqa: PLR0917
    reader: Reader, magic: bytes, place: Any, name: str, qualified_name: str, flags: int, version: str, parts: Any
) -> None:
    source = None if parts is None else Source(*parts)
    if magic == importlib.util.MAGIC_NUMBER:
        code = marshal.loads(reader.buffer(place))
    else:
        code = recompile(source, name, qualified_name, flags, version)
    reader.make(settle(code, source))


def _cell(reader: Reader) -> None:
    reader.make(types.CellType())


def _fill_cell(reader: Reader, slot: Any, content: Child) -> None:
    reader.slot(slot, types.CellType).cell_contents = reader.get(content)


def _globals(reader: Reader, name: Any, is_imported: Any) -> None:
    if is_imported:
        reader.make(vars(import_module(name)))
    else:
        reader.make({"__name__": name or "__main__", "__builtins__": builtins})


def _function(  # noqa: PLR0917
    reader: Reader, code: Child, module: Child, name: str, names: list[str], cells: Any
) -> None:
    made = reader.get(code)
    closure = dict(zip(names, reader.get_all(cells), strict=True))
    missing = [free for free in made.co_freevars if free not in closure]
    if missing:
        raise BadEntry(f"the function {name} closes over {missing[0]!r}, which was not stored with it; store it again")
    bound = tuple(closure[free] for free in made.co_freevars)
    reader.make(types.FunctionType(made, reader.get(module), name, None, bound))


def _function_state(reader: Reader, slot: Any, names: list[str], values: Any) -> None:
    function = reader.slot(slot, types.FunctionType)
    for name, value in zip(names, reader.get_all(values), strict=True):
        if name == "__dict__":
            vars(function).update(value)
        else:
            setattr(function, name, value)


ACTIONS: dict[int, Action] = {
    nodes.CODE: _code,
    nodes.CELL: _cell,
    nodes.FILL_CELL: _fill_cell,
    nodes.GLOBALS: _globals,
    nodes.FUNCTION: _function,
    nodes.FUNCTION_STATE: _function_state,
}
