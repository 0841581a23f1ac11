"""Whose code a module is: Python's own, an installed package's, or the user's; and which version an installed one has.

User code is fingerprinted by content. Installed packages count by name and version, Python's library by name.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import sysconfig
from enum import Enum
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Pin = Literal["none", "minor", "exact"]

_OURSELVES = __name__.split(".", 1)[0]
_LEADING_NUMBERS = re.compile(r"(\d+!)?\d+(\.\d+)?")
_INSTALLED_FOLDERS = frozenset({"site-packages", "dist-packages"})


class Origin(Enum):
    """Where a module's code comes from."""

    STDLIB = "stdlib"
    INSTALLED = "installed"
    USER = "user"


def origin_of(name: str, file: str | None = None) -> Origin:
    """The origin of the module called *name*; *file* is where it was loaded from, if from a file."""
    root = name.partition(".")[0]
    if root == _OURSELVES:
        return Origin.STDLIB
    if root in {"__main__", "__mp_main__", ""}:
        return Origin.USER
    return _origin(root, file)


@functools.lru_cache(maxsize=4096)
def _origin(root: str, file: str | None) -> Origin:
    if file is None or file.startswith("<"):
        return Origin.STDLIB if root in sys.stdlib_module_names else Origin.USER
    path = os.path.realpath(file)
    if not _INSTALLED_FOLDERS.isdisjoint(path.split(os.sep)):
        return Origin.INSTALLED
    if any(_lies_in(path, folder) for folder in _folders("purelib", "platlib")):
        return Origin.INSTALLED
    if root in sys.stdlib_module_names and any(_lies_in(path, folder) for folder in _folders("stdlib", "platstdlib")):
        return Origin.STDLIB
    return Origin.USER


@functools.cache
def _folders(*names: str) -> tuple[str, ...]:
    return tuple(os.path.realpath(path) for path in map(sysconfig.get_path, names) if path)


def _lies_in(path: str, folder: str) -> bool:
    return path.startswith(folder + os.sep)


def origin_of_module(module: ModuleType) -> Origin:
    """The origin of a loaded module."""
    return origin_of_globals(vars(module))


def origin_of_globals(namespace: Mapping[str, Any]) -> Origin:
    """The origin of code by the globals that it runs in; without a module name it is the user's."""
    name = namespace.get("__name__")
    return origin_of(name, _place(name, namespace)) if isinstance(name, str) else Origin.USER


def _place(name: str, namespace: Mapping[str, Any]) -> str | None:
    """Where a module lies: its file, the folder of a package without one, or the place of the package above it."""
    file = namespace.get("__file__")
    if isinstance(file, str):
        return file
    for folder in namespace.get("__path__") or ():
        return str(folder)
    above = sys.modules.get(name.rpartition(".")[0])
    return _place(above.__name__, vars(above)) if isinstance(above, ModuleType) else None


def origin_of_name(name: object) -> Origin:
    """The origin of what says ``__module__ = name``, by the loaded module of that name; unknown ones are the user's."""
    if not isinstance(name, str):
        return Origin.USER
    module = sys.modules.get(name)
    if module is not None:
        return origin_of_globals(vars(module)) if isinstance(module, ModuleType) else Origin.USER
    root = sys.modules.get(name.partition(".")[0])
    if isinstance(root, ModuleType):
        return origin_of_globals(vars(root))
    return Origin.STDLIB if name.partition(".")[0] in sys.stdlib_module_names else Origin.USER


def public_module(name: str) -> str:
    """*name* without private parts: ``pathlib._local`` is ``pathlib`` on older Pythons."""
    root, *rest = name.split(".")
    return ".".join([root, *(part for part in rest if not part.startswith("_"))])


def package_version(root: str) -> str:
    """The full version of an installed package as the loaded module or its metadata say, or ``""``."""
    module = sys.modules.get(root)
    loaded = vars(module).get("__version__") if isinstance(module, ModuleType) else None
    return loaded if isinstance(loaded, str) else _recorded_version(root)


@functools.lru_cache(maxsize=1024)
def _recorded_version(root: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(root)
    except (metadata.PackageNotFoundError, ValueError):
        distributions = metadata.packages_distributions().get(root)
        return metadata.version(distributions[0]) if distributions else ""


def pinned(version: str, pin: Pin) -> str:
    """The part of *version* that counts: nothing, ``major.minor``, or all of it."""
    if pin == "exact":
        return version
    if pin == "none":
        return ""
    match = _LEADING_NUMBERS.match(version)
    return match[0] if match else version
