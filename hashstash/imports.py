"""What HashStash imports of its own accord is what was installed, never what lies in the current folder.

In a notebook the current folder comes first on ``sys.path``. A folder that somebody else has made may hold a ``blosc2.py``
beside its stash; reading an entry that says it was compressed by blosc must not run that. Whoever wants it imports it himself.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from hashstash.leaving import always_left

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec


def installed_path() -> list[str]:
    """``sys.path`` without the current folder, by whatever name it stands there."""
    try:
        here = os.stat(os.curdir)
    except OSError:  # it was removed
        return [folder for folder in sys.path if folder]
    return [folder for folder in sys.path if folder and not _is_same(folder, here)]


def _is_same(folder: str, here: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(folder), here)
    except (OSError, ValueError):
        return False


@always_left
def installed_only() -> Iterator[None]:
    """Within the block, this thread imports no module that lies in the current folder, unless it was imported before."""
    finder = _Finder()
    try:
        sys.meta_path.insert(0, finder)
        yield
    finally:
        sys.meta_path.remove(finder)


def is_installed(package: str) -> bool:
    """Whether *package* can be imported, the current folder left aside; it is not imported to find out."""
    if package in sys.modules:
        return sys.modules[package] is not None
    with installed_only():
        try:
            return importlib.util.find_spec(package) is not None
        except ModuleNotFoundError:
            return False


class _Finder:
    """Asked before all others; it answers for one thread, and for modules at the top only: the rest lie where those do."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if path is not None or threading.get_ident() != self._thread or name in sys.builtin_module_names:
            return None
        safe = installed_path()
        if PathFinder.find_spec(name, [folder for folder in sys.path if folder not in safe], target) is None:
            return None
        found = PathFinder.find_spec(name, safe, target)
        if found is not None:
            return found
        raise ModuleNotFoundError(f"No module named {name!r} is installed", name=name)
