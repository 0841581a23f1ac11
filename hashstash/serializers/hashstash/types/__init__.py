"""Which types are data, and how each is taken apart: a table of type hooks, one file per family.

A hook matches exact types (or a closed family such as numpy's dtypes) and never their subclasses, so that nothing
comes back as its own base class. Its tag is part of the stored format: ``decimal`` belongs to the standard library,
``np.*`` to numpy, ``pd.*`` to pandas, ``pa.*`` to pyarrow, ``pl.*`` to polars, ``sp.*`` to scipy. A family's package is
imported only when a stored value needs it, never to find out whether it matches: a value of that package can only exist
once the package is loaded.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, NewerFormat, UnsupportedValue
from hashstash.imports import installed_only

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hashstash.codec import Buffer


class NeedsGraph(UnsupportedValue):
    """A value that is more than data, or whose parts refer to each other: the graph writer takes over.

    ``culprit`` is the part in question, ``reason`` what is special about it, and ``path`` where it was found.
    """

    def __init__(self, culprit: Any, reason: str) -> None:
        super().__init__(reason)
        self.culprit = culprit
        self.reason = reason
        self.locate: Callable[[Any], str] | None = None

    @property
    def path(self) -> str:
        """The way to the part, such as ``value['a'][3]``: looked for only when somebody reads it."""
        return self.locate(self.culprit) if self.locate else "the value"

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


class TypeHook(NamedTuple):
    """How values of one type become plain data and come back.

    ``pack`` returns a *meta* made of serializable values, which may need hooks themselves, and raw buffers beside it.
    ``unpack`` checks both, since they may come from a stranger, and calls nothing but constructors of data.
    """

    tag: str
    matches: Callable[[type], bool]
    pack: Callable[[Any], tuple[Any, list[Buffer]]]
    unpack: Callable[[Any, list[Buffer]], Any]


class Family(NamedTuple):
    """A module of hooks and the package that its types live in."""

    module: str
    package: str
    install: str


STDLIB = "hashstash.serializers.hashstash.types.stdlib"
FAMILIES: dict[str, Family] = {
    "np": Family("hashstash.serializers.hashstash.types.numpy", "numpy", "numpy"),
    "pd": Family("hashstash.serializers.hashstash.types.pandas", "pandas", "'hashstash[dataframe]'"),
    "pa": Family("hashstash.serializers.hashstash.types.pyarrow", "pyarrow", "'hashstash[dataframe]'"),
    "pl": Family("hashstash.serializers.hashstash.types.polars", "polars", "'hashstash[polars]'"),
    "sp": Family("hashstash.serializers.hashstash.types.scipy", "scipy", "'hashstash[scipy]'"),
    "pytz": Family("hashstash.serializers.hashstash.types.pytz_zones", "pytz", "pytz"),
    "dateutil": Family("hashstash.serializers.hashstash.types.dateutil_zones", "dateutil", "python-dateutil"),
}
PREFIX_OF_PACKAGE = {family.package: prefix for prefix, family in FAMILIES.items()}

_found_by_tag: dict[str, TypeHook] = {}
_found: dict[type, TypeHook] = {}
"""Only types that have a hook are remembered: a user's class must be collectable."""


def find_hook(type_: type) -> TypeHook | None:
    """The hook for values whose exact type is *type_*, or ``None`` where storing them needs more than data."""
    try:
        hook = _found.get(type_)
    except TypeError:  # a metaclass may make its classes unhashable; none of ours does
        return None
    if hook is None:
        hook = _search(type_)
        if hook is not None:
            _found[type_] = hook
    return hook


def hook_for_tag(tag: object) -> TypeHook:
    """The hook that wrote *tag*; imports the package that its values need."""
    if type(tag) is not str:
        raise CorruptEntry(f"a stored value names its type by {tag!r}, which is not a tag; delete the entry")
    hook = _found_by_tag.get(tag)
    if hook is None:
        prefix, dot, _ = tag.partition(".")
        hook = (_family_hooks(prefix, tag) if dot else _hooks(STDLIB)).get(tag)
        if hook is None:
            raise _unknown(tag)
        _found_by_tag[tag] = hook
    return hook


def restore(tag: object, meta: Any, buffers: list[Buffer]) -> Any:
    """The value that the hook of *tag* packed as *meta* and *buffers*; anything malformed is a ``CorruptEntry``."""
    hook = hook_for_tag(tag)
    try:
        return hook.unpack(meta, buffers)
    except (BadEntry, MissingDependency, MemoryError):
        raise
    except Exception as error:  # the constructors of many packages, fed by a stranger, fail in every way
        raise CorruptEntry(f"a stored {tag!r} is malformed ({error!s:.200}); delete the entry") from error


def _search(type_: type) -> TypeHook | None:
    module = type_.__module__
    if type(module) is not str:
        return None
    package = module.partition(".")[0]
    prefix = PREFIX_OF_PACKAGE.get(package)
    if prefix is None:
        hooks = _hooks(STDLIB)
    elif package in sys.modules:
        hooks = _hooks(FAMILIES[prefix].module)
    else:
        return None
    return next((hook for hook in hooks.values() if hook.matches(type_)), None)


def _family_hooks(prefix: str, tag: str) -> Mapping[str, TypeHook]:
    family = FAMILIES.get(prefix)
    if family is None:
        raise _unknown(tag)
    try:
        with installed_only():
            importlib.import_module(family.package)
            return _hooks(family.module)  # which may need another package, such as numpy
    except ImportError as error:
        raise MissingDependency(
            f"the stored value holds a {tag!r}, which needs the package {family.package!r} ({error}): "
            f"pip install {family.install}"
        ) from error


def _hooks(module: str) -> Mapping[str, TypeHook]:
    hooks: Mapping[str, TypeHook] = importlib.import_module(module).HOOKS
    return hooks


def _unknown(tag: str) -> NewerFormat:
    return NewerFormat(f"the stored value holds a {tag!r}, a type this version does not know: pip install -U hashstash")
