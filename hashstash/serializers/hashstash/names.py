"""Objects that are found by name: in the modules that any process can import, or in the notebook's namespace.

A name is only used after it was looked up and gave the very object that is being written.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from hashstash.errors import BadEntry, MissingDependency
from hashstash.serializers.hashstash import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashstash.serializers.hashstash.build import Action, Reader
    from hashstash.serializers.hashstash.nodes import Walk
    from hashstash.serializers.hashstash.walk import Writer

MAIN = frozenset({"__main__", "__mp_main__"})
_MISSING = object()
_BUILTIN_TYPE_NAMES = {id(kind): name for name, kind in vars(types).items() if isinstance(kind, type)}


def is_importable(module: object) -> bool:
    """Whether another process can import the module of that name."""
    if type(module) is not str or module in MAIN:
        return False
    loaded = sys.modules.get(module)
    if loaded is None:
        return False
    return getattr(loaded, "__spec__", None) is not None or getattr(loaded, "__file__", None) is not None


def locate(value: object, qualified_name: object = None) -> tuple[str, str] | None:
    """The module and qualified name under which any process finds *value*, or ``None``."""
    name = qualified_name or getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if type(name) is not str:
        return None
    module = getattr(value, "__module__", None)
    if isinstance(module, str) and is_importable(module) and lookup(sys.modules[module], name) is value:
        return module, name
    if id(value) in _BUILTIN_TYPE_NAMES:
        return "types", _BUILTIN_TYPE_NAMES[id(value)]
    return _search(value, name) if module is None else None


def _search(value: object, name: str) -> tuple[str, str] | None:
    for module, loaded in list(sys.modules.items()):
        has_it = isinstance(loaded, types.ModuleType) and vars(loaded).get(name) is value
        if has_it and is_importable(module):
            return module, name
    return None


def locate_sentinel(writer: Writer, value: object) -> tuple[str, str] | None:
    """Where a module has *value*, whose identity is all that it is, such as ``dataclasses.MISSING``; or ``None``."""
    kind = type(value)
    sentinels = writer.note("sentinels").setdefault(id(kind), {})
    if not sentinels:
        modules = list(sys.modules) if kind is object else [kind.__module__]
        for module in filter(is_importable, modules):
            named = list(getattr(sys.modules[module], "__dict__", {}).items())
            sentinels.update({id(one): (module, name) for name, one in named if type(one) is kind})
        sentinels[None] = None
    place: tuple[str, str] | None = sentinels.get(id(value))
    return place


def lookup(root: object, qualified_name: str) -> object:
    """What *qualified_name* means inside *root*; a private marker where it means nothing."""
    value = root
    for part in qualified_name.split("."):
        if part == "<locals>":
            return _MISSING
        try:
            value = getattr(value, part)
        except AttributeError:
            return _MISSING
    return value


def lookup_in(namespace: Mapping[str, Any], qualified_name: str) -> object:
    """What *qualified_name* means in *namespace*; a private marker where it means nothing."""
    first, _, rest = qualified_name.partition(".")
    value = namespace.get(first, _MISSING)
    return lookup(value, rest) if rest and value is not _MISSING else value


def walk_name(writer: Writer, value: Any, module: str, name: str) -> Walk:
    """Write *value* as a name."""
    return writer.leaf(value, nodes.GLOBAL, module, name)


def walk_module(writer: Writer, value: types.ModuleType) -> Walk:
    """Write a module as its name."""
    name = value.__name__
    if sys.modules.get(name) is not value or not is_importable(name):
        raise writer.refuse(value)
    return writer.leaf(value, nodes.MODULE, name)


def import_module(name: Any) -> types.ModuleType:
    """The module of that name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"the stored value needs the module {name!r}, and {error.name!r} cannot be imported here; "
            "install the package that has it, or put its folder on sys.path"
        ) from error
    except Exception as error:  # the module is code of the user
        raise BadEntry(f"the stored value needs the module {name!r}, whose import fails: {error!r}") from error


def _module(reader: Reader, name: Any) -> None:
    reader.make(import_module(name))


def _global(reader: Reader, module: Any, name: Any) -> None:
    value = lookup(import_module(module), name)
    if value is _MISSING:
        raise BadEntry(f"the stored value needs {module}.{name}, which the installed {module!r} does not have")
    reader.make(value)


def _named(reader: Reader, name: Any) -> None:
    if reader.namespace is None:
        raise BadEntry(f"the stored value needs the class {name!r} of a notebook; read it with `namespace=`")
    value = lookup_in(reader.namespace, name)
    if not isinstance(value, type):
        what = "is not defined" if value is _MISSING else "is no class"
        raise BadEntry(f"the stored value needs the class {name!r}, which {what} in this notebook; run its cell first")
    reader.make(value)


def _namespace(reader: Reader) -> None:
    if reader.namespace is None:
        raise BadEntry("the stored value refers to a notebook's variables; read it with `namespace=`")
    reader.make(reader.namespace)


ACTIONS: dict[int, Action] = {
    nodes.MODULE: _module,
    nodes.GLOBAL: _global,
    nodes.NAMED: _named,
    nodes.NAMESPACE: _namespace,
}
