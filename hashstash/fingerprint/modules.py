"""Handlers for modules: an installed one is its name and version, a user's is what it holds now.

Of a module that a function names, only the attributes count that the function takes from it.
"""

from __future__ import annotations

import ast
import importlib.machinery
import sys
import tokenize
from functools import lru_cache, partial
from hashlib import blake2b
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeGuard

from hashstash.fingerprint.buffers import delimited
from hashstash.fingerprint.packages import Origin, origin_of, origin_of_module
from hashstash.fingerprint.reads import Import
from hashstash.fingerprint.source import canonical_ast
from hashstash.fingerprint.walker import MISSING, Handler, Walker
from hashstash.fingerprint.written import content as _content
from hashstash.fingerprint.written import is_as_written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_Known = dict[tuple[str, str], Any]


def is_user_module(value: Any) -> TypeGuard[ModuleType]:
    """Whether *value* is a module whose code is the user's."""
    return isinstance(value, ModuleType) and origin_of_module(value) is Origin.USER


def walk_module(walker: Walker, module: ModuleType) -> None:
    origin = origin_of_module(module)
    if origin is not Origin.USER:
        walker.installed("module", module.__name__, "", is_stdlib=origin is Origin.STDLIB)
        return
    walker.register(module)
    if vars(module) is walker.namespace:
        walker.mark("the notebook")
        walker.is_dynamic = True  # each of its variables counts by itself
        return
    walker.mark("user module", module.__name__)
    with walker.unguarded():
        _walk_content(walker, module)


def _walk_content(walker: Walker, module: ModuleType) -> None:
    for name, value in sorted(_content(vars(module))):
        walker.mark("attribute", name)
        # What a module holds besides code may be anything (a lock, a connection); it is not refused for that.
        if not walker.attempt(partial(walker.step, f".{name}", value)):
            walker.mark("volatile", type(value).__name__, *_written_rows(value))


def _written_rows(value: Any) -> tuple[int, ...]:
    """How many rows were written through a connection of sqlite, if any were: another database in memory, for all one knows."""
    connection = getattr(sys.modules.get("sqlite3"), "Connection", None)
    if connection is None or not isinstance(value, connection):
        return ()
    try:
        return (value.total_changes,) if value.total_changes else ()
    except Exception:  # noqa: BLE001 - it was closed, or belongs to another thread
        return ()


def walk_chains(walker: Walker, module: ModuleType, chains: Iterable[tuple[str, ...]]) -> None:
    """Write what the attribute *chains* take from *module*; an empty chain takes all of it."""
    wanted = sorted(set(chains)) or [()]
    walker.mark("taken from", module.__name__)
    if () in wanted:
        walker.step(f" -> {module.__name__}", module)
        return
    for name in dict.fromkeys(chain[0] for chain in wanted):
        value = vars(module).get(name, MISSING)
        if walker.guards is not None:
            walker.guards.lookup(vars(module), name, value)
        walker.mark("attribute", name)
        if value is MISSING:
            walker.mark("absent")
            _walk_fallback(walker, module)
        elif is_user_module(value):
            walk_chains(walker, value, [chain[1:] for chain in wanted if chain[0] == name])
        else:
            walker.bound(f" -> {module.__name__}.{name}", value)


def _walk_fallback(walker: Walker, module: ModuleType) -> None:
    """Write the function that gives what *module* does not have, if it has one (PEP 562)."""
    fallback = vars(module).get("__getattr__", MISSING)
    if walker.guards is not None:
        walker.guards.lookup(vars(module), "__getattr__", fallback)
    if fallback is not MISSING:
        walker.bound(f" -> {module.__name__}.__getattr__", fallback)


def walk_import(walker: Walker, statement: Import, namespace: Mapping[str, Any]) -> None:
    """Write what an import inside a function brings in, if it is the user's: the same before and after it is loaded.

    A module that is not loaded, or is loaded as its file says, is its syntax tree with the user's modules that it
    imports; one that was edited or changed since is what it holds.
    """
    known = walker.modules
    for name in _imported_modules(known, statement, str(namespace.get("__package__") or "")):
        file = _file_of(known, name)
        if file is None or origin_of(name, file) is not Origin.USER:
            continue
        walker.mark("import", name)
        is_as_written = _once(known, "as written", name, partial(_all_as_written, known, file, name))
        if is_as_written:
            with walker.unguarded():
                walker.raw(_once(known, "written form", name, partial(_written_form, known, file, name)))
        else:
            walker.step(f" -> {name}", sys.modules[name])


def _once(known: _Known, question: str, name: str, answer: Callable[[], Any]) -> Any:
    """The answer to a question about a module; it is found once in a walk, since files may change between two."""
    if (question, name) not in known:
        known[question, name] = answer()
    return known[question, name]


def _imported_modules(known: _Known, statement: Import, package: str) -> Iterator[str]:
    """The modules that an import statement may load: itself, and each name that is a module in it."""
    base = statement.module
    if statement.level:
        above = package.split(".")
        kept = above[: len(above) - statement.level + 1]
        base = ".".join([*kept, base] if base else kept)
    if base:
        yield base
    for name in statement.names:
        if name != "*" and _file_of(known, f"{base}.{name}") is not None:
            yield f"{base}.{name}"


def _file_of(known: _Known, name: str) -> str | None:
    file: str | None = _once(known, "file", name, lambda: find_file(name))
    return file


def find_file(name: str) -> str | None:
    """The source file of a module, found without importing anything; ``None`` if there is none."""
    module = sys.modules.get(name)
    if module is not None:
        file = getattr(module, "__file__", None)
        return file if isinstance(file, str) and file.endswith(".py") else None
    folders: list[str] | None = None
    spec = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        try:
            spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:count]), folders)
        except KeyError:  # a namespace package asks its parent, which is not loaded, where it lies
            return None
        if spec is None:
            return None
        folders = spec.submodule_search_locations
    return spec.origin if spec is not None and spec.origin and spec.origin.endswith(".py") else None


def _read_source(file: str) -> str | None:
    try:
        with tokenize.open(file) as source:
            return source.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


def _all_as_written(known: _Known, file: str, name: str) -> bool:
    """Whether the module, if it is loaded, and all of the user's modules that it imports hold what their files say."""
    if not isinstance(sys.modules.get(name), ModuleType):
        return True
    for inner, inner_file in _reached(known, file, name).items():
        module = sys.modules.get(inner)
        if isinstance(module, ModuleType) and not is_as_written(module, inner_file, _read_source(inner_file)):
            return False
    return True


def _reached(known: _Known, file: str, name: str) -> dict[str, str]:
    """The module and all of the user's modules that it imports, with their files."""
    reached: dict[str, str] = {}
    waiting = [(name, file)]
    while waiting:
        name, file = waiting.pop()
        if name in reached:
            continue
        reached[name] = file
        package = name if file.endswith("__init__.py") else name.rpartition(".")[0]
        imports = _parsed(_read_source(file) or "")[1]
        for found in {found for statement in imports for found in _imported_modules(known, statement, package)}:
            place = _file_of(known, found)
            if place is not None and origin_of(found, place) is Origin.USER:
                waiting.append((found, place))
    return reached


def _written_form(known: _Known, file: str, name: str) -> bytes:
    """The digest of a module's syntax tree and of those of the user's modules that it imports."""
    forms = {inner: _parsed(_read_source(place) or "")[0] for inner, place in _reached(known, file, name).items()}
    parts = [part for key in sorted(forms) for part in (key.encode(), forms[key])]
    return blake2b(delimited(*parts), digest_size=16, person=b"module source").digest()


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[bytes, tuple[Import, ...]]:
    """The digest of a module's tree, or of its text if that is broken, and its imports."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, person=b"broken source").digest(), ()
    return blake2b(canonical_ast(tree), digest_size=16, person=b"module tree").digest(), tuple(_static_imports(tree))


def _static_imports(tree: ast.AST) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, 0, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(node.module or "", node.level, tuple(alias.name for alias in node.names))


HANDLERS: dict[type, Handler] = {ModuleType: walk_module}
