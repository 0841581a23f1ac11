"""Handlers for functions and for what wraps them.

A user's function is its code, its defaults, its closure, its own attributes, and everything that its global names
stand for. A function of an installed package is its name and version, with the closure if it was made by another
function.
"""

from __future__ import annotations

import builtins
import sys
import types
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.fingerprint import modules
from hashstash.fingerprint.environment import walk_environment
from hashstash.fingerprint.packages import Origin, origin_of_globals, origin_of_name
from hashstash.fingerprint.reads import Import, code_reads, modules_named
from hashstash.fingerprint.source import code_digest
from hashstash.fingerprint.walker import MISSING, Handler, Walker
from hashstash.fingerprint.writes import is_record

if TYPE_CHECKING:
    import functools
    from collections.abc import Iterator

_OURSELVES = __name__.partition(".")[0] + "."


class Binding(NamedTuple):
    """Something that a function's result depends on besides its code."""

    kind: str
    name: str
    value: Any


def own_bindings(function: types.FunctionType) -> Iterator[Binding]:
    """Defaults, closure and attributes of *function*, in this order."""
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    for name, value in zip(positional[len(positional) - len(defaults) :], defaults, strict=False):
        yield Binding("default", name, value)
    for name, value in sorted((function.__kwdefaults__ or {}).items()):
        yield Binding("default", name, value)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        yield Binding("closure", name, cell_contents(cell))
    for name, value in own_attributes(function).items():
        yield Binding("attribute", name, value)


def own_attributes(function: types.FunctionType | functools.partial[Any]) -> dict[str, Any]:
    """What the user has put on *function*; not the ``stash`` that ``stash.run`` leaves there, whichever ran it last."""
    attributes = function.__dict__
    stash = attributes.get("stash")
    if stash is None or not type(stash).__module__.startswith(_OURSELVES):
        return attributes
    return {name: value for name, value in attributes.items() if name != "stash"}


def cell_contents(cell: types.CellType) -> Any:
    """What a closure cell holds, or :data:`MISSING` before its variable is assigned."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def global_names(function: types.FunctionType) -> list[str]:
    """The global names that *function* reads, sorted; names inside strings only if they stand for something."""
    reads = code_reads(function.__code__)
    namespace = function.__globals__
    evaluated = [token for token in reads.tokens if token in namespace]
    return sorted({*reads.names, *evaluated}) if evaluated else list(reads.names)


def imports_of(function: types.FunctionType) -> list[Import]:
    """What *function* imports while it runs, by statement or by a name in its text or in a constant that it reads."""
    reads = code_reads(function.__code__)
    if not reads.finds_modules:
        return sorted(reads.imports, key=repr)
    values = [binding.value for binding in own_bindings(function)]
    values += [function.__globals__.get(name) for name in reads.names if not name.startswith("__")]
    named = modules_named(value for value in values if isinstance(value, str))
    return sorted({*reads.imports, *named}, key=repr)


def walk_function(walker: Walker, function: types.FunctionType) -> None:
    origin = origin_of_globals(function.__globals__)
    if origin is not Origin.USER:
        _walk_foreign_function(walker, function, origin)
        return
    walker.register(function)
    if walker.guards is not None:
        walker.guards.function(function)
    attributes = own_attributes(function)
    walker.mark("function", len(function.__defaults__ or ()), len(function.__kwdefaults__ or ()), len(attributes))
    walker.raw(code_digest(function.__code__, function.__globals__))
    if attributes or function.__defaults__ or function.__kwdefaults__ or function.__closure__:
        _walk_own_bindings(walker, function)
    reads = code_reads(function.__code__)
    if reads.names or reads.tokens:
        _walk_globals(walker, function)
    for statement in imports_of(function):
        modules.walk_import(walker, statement, function.__globals__)
    for name in sorted(reads.environment):
        walk_environment(walker, name)


def _walk_own_bindings(walker: Walker, function: types.FunctionType) -> None:
    for kind, name, value in own_bindings(function):
        walker.mark(kind, name)
        if value is MISSING:
            walker.mark("empty")
        elif kind == "closure" and walker.namespace is None and _is_record(function, name, value):
            walker.mark("record")
        else:
            walker.bound(f"({name}=)" if kind == "default" else f".{name}", value)


def _walk_globals(walker: Walker, function: types.FunctionType) -> None:
    namespace = function.__globals__
    reads = code_reads(function.__code__)
    names = global_names(function)
    if namespace is walker.namespace:
        walker.names.update(names)
        walker.is_dynamic |= reads.is_dynamic
        return
    if reads.is_dynamic:
        if walker.guards is not None:
            walker.guards.sizes.append((namespace, len(namespace)))
        names = sorted({*names, *readable_names(namespace)})
    for name in names:
        value = namespace.get(name, MISSING)
        if walker.namespace is None and _is_record(function, name, value):
            walker.mark("record", name)
            continue
        if walker.guards is not None:
            walker.guards.lookup(namespace, name, value)
        if value is MISSING:
            walker.mark("builtin" if hasattr(builtins, name) else "absent", name)
        elif modules.is_user_module(value):
            modules.walk_chains(walker, value, [chain[1:] for chain in sorted(reads.chains) if chain[0] == name])
        else:
            walker.mark("global", name)
            walker.bound(f" -> {name}", value)


def readable_names(namespace: dict[str, Any]) -> list[str]:
    """What a function that computes names while it runs may read: every global of the user's own."""
    return [name for name in list(namespace) if not name.startswith("_") and name not in _SHELL_NAMES]


_SHELL_NAMES = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


def _is_record(function: types.FunctionType, name: str, value: Any) -> bool:
    """Whether *value* is only written to, so that it says nothing of what the function answers."""
    return is_record(function.__code__, function.__globals__, name, value)


def _walk_foreign_function(walker: Walker, function: types.FunctionType, origin: Origin) -> None:
    module, name = str(function.__globals__.get("__name__")), function.__code__.co_qualname
    if is_memoized(function):
        walker.mark("memoized")
        walker.bound("", function.__dict__["__wrapped__"])
        return
    if "<locals>" not in name and not function.__closure__ and "<lambda>" not in name:
        walker.installed("function", module, name, is_stdlib=origin is Origin.STDLIB)
        return
    walker.register(function)
    if walker.guards is not None:
        walker.guards.function(function)
    walker.installed("function", module, name, is_stdlib=origin is Origin.STDLIB)
    if "<lambda>" in name:
        walker.mark("line", function.__code__.co_firstlineno)
    if is_single_dispatch(function):
        _walk_single_dispatch(walker, function)
    else:
        _walk_own_bindings(walker, function)


def is_memoized(value: Any) -> bool:
    """Whether *value* is a function that HashStash memoized: it stands for the function that it wraps."""
    kind = type(value)
    if kind is types.FunctionType:
        module = str(value.__globals__.get("__name__"))
    else:
        module = str(getattr(kind, "__module__", ""))
    return module.partition(".")[0] == __name__.partition(".")[0] and "__wrapped__" in getattr(value, "__dict__", {})


def is_single_dispatch(value: Any) -> bool:
    """Whether *value* is a function that ``functools.singledispatch`` has made."""
    return (
        type(value) is types.FunctionType
        and value.__globals__.get("__name__") == "functools"
        and value.__code__.co_qualname.startswith("singledispatch.")
    )


def _walk_single_dispatch(walker: Walker, function: Any) -> None:
    """The registry only: the cache of a dispatcher changes at every call."""
    registry = dict(function.registry)
    if walker.guards is not None:
        walker.guards.mapping(function.registry)
    walker.mark("registry", len(registry))
    for kind, implementation in registry.items():
        walker.walk(kind)
        walker.bound(f"[{kind.__name__}]", implementation)


def walk_method(walker: Walker, value: types.MethodType) -> None:
    if _is_module_function(value):
        _walk_module_function(walker, value)
        return
    walker.mark("method")
    if _is_shell(value.__self__):
        walker.mark("shell", value.__func__.__name__)
        return
    walker.bound("", value.__func__ if walker.guards is not None else _as_in_class(walker, value))
    walker.bound(".__self__", value.__self__)


def _as_in_class(walker: Walker, method: types.MethodType) -> Any:
    """The function of *method*, or the one that its class has instead if they are alike.

    A method that was stored comes back with a function of its own, where its class is found to be there already.
    """
    function, owner = method.__func__, method.__self__
    name = str(getattr(function, "__name__", ""))
    classes = (owner if isinstance(owner, type) else type(owner)).__mro__
    found = next((vars(one)[name] for one in classes if name in vars(one)), None)
    found = getattr(found, "__func__", found)
    if found is function or type(found) is not types.FunctionType or type(function) is not types.FunctionType:
        return function
    digests = []
    for one in (function, found):
        with walker.rehearsal() as written:
            walker.walk(one)
            digests.append(written())
    return found if digests[0] == digests[1] else function


def _is_module_function(value: Any) -> bool:
    """Whether a bound method is what its package offers as a function, such as ``random.random``.

    The hidden object behind it is the package's own state, and counts no more than if the module itself were named.
    """
    module = type(value.__self__).__module__
    found = getattr(sys.modules.get(module), "__dict__", {}).get(value.__name__)
    return type(found) is type(value) and bool(found == value) and origin_of_name(module) is not Origin.USER


def _walk_module_function(walker: Walker, value: Any) -> None:
    module = type(value.__self__).__module__
    walker.installed("function", module, value.__name__, is_stdlib=origin_of_name(module) is Origin.STDLIB)


def _is_shell(value: Any) -> bool:
    """The running IPython has no content; ``get_ipython`` is a method of it."""
    return any(base.__name__ == "InteractiveShell" for base in type(value).__mro__)


def walk_builtin(walker: Walker, value: Any) -> None:
    """A function in C, or a method in C bound to a value."""
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        module = value.__module__ or getattr(owner, "__name__", "builtins")
        is_stdlib = origin_of_name(module) is not Origin.INSTALLED
        walker.installed("builtin function", module, value.__qualname__, is_stdlib=is_stdlib)
    elif _is_module_function(value):
        _walk_module_function(walker, value)
    else:
        walker.mark("builtin method", value.__name__)
        walker.bound(".__self__", owner)


def walk_method_wrapper(walker: Walker, value: types.MethodWrapperType) -> None:
    walker.mark("method wrapper", value.__name__)
    walker.bound(".__self__", value.__self__)


def walk_slot(walker: Walker, value: Any) -> None:
    """A method or attribute that a class in C defines."""
    walker.mark(type(value).__name__, value.__name__)
    walker.walk(value.__objclass__)


def walk_cell(walker: Walker, value: types.CellType) -> None:
    walker.register(value)
    contents = cell_contents(value)
    walker.mark("cell", "empty" if contents is MISSING else "full")
    if contents is not MISSING:
        walker.step(".cell_contents", contents)


def walk_code(walker: Walker, value: types.CodeType) -> None:
    walker.mark("code")
    walker.raw(code_digest(value))


HANDLERS: dict[type, Handler] = {
    types.FunctionType: walk_function,
    types.MethodType: walk_method,
    types.BuiltinFunctionType: walk_builtin,
    types.MethodWrapperType: walk_method_wrapper,
    types.WrapperDescriptorType: walk_slot,
    types.MethodDescriptorType: walk_slot,
    types.ClassMethodDescriptorType: walk_slot,
    types.GetSetDescriptorType: walk_slot,
    types.MemberDescriptorType: walk_slot,
    types.CellType: walk_cell,
    types.CodeType: walk_code,
}
