"""Which modules of the user's a cell depends on: those it names or loads, and those that they reach in turn."""

from __future__ import annotations

import ast
import importlib.util
import sys
import tokenize
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

from hashstash.fingerprint.packages import Origin, origin_of_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def user_modules(names: Iterable[str]) -> dict[str, ModuleType]:
    """The user's own loaded modules that come from a file, among *names* and everything that these reach."""
    found: dict[str, ModuleType] = {}
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])
        module = sys.modules.get(name)
        if not isinstance(module, ModuleType) or name == "__main__" or origin_of_module(module) is not Origin.USER:
            continue
        waiting += _reached(module)
        if getattr(module, "__file__", None):
            found[name] = module
    return found


def _reached(module: ModuleType) -> Iterator[str]:
    """The modules that this one holds, that made what it holds, and that its source imports, even inside functions."""
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str):
            yield name
    yield from _imports(module)


def _imports(module: ModuleType) -> Iterator[str]:
    file = getattr(module, "__file__", None)
    package = getattr(module, "__package__", None) or ""
    for name in _imported_in(file) if isinstance(file, str) and file.endswith(".py") else ():
        try:
            yield importlib.util.resolve_name(name, package)
        except ImportError:  # a relative import that leads out of the package: it was never carried out
            continue


def _imported_in(file: str) -> tuple[str, ...]:
    try:
        with tokenize.open(file) as source:
            return _imported_by(source.read())
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ()  # what the module holds is looked at all the same


@lru_cache(maxsize=1024)
def _imported_by(text: str) -> tuple[str, ...]:
    """The dotted names in the import statements of a source text, relative ones with their dots."""
    try:
        tree = ast.parse(text)
    except ValueError:
        return ()
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            separator = "." if node.module else ""
            names += (base, *(base + separator + alias.name for alias in node.names))
    return tuple(names)
