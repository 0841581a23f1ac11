"""Whether a cell sets settings before it does anything else: then it does not depend on what they were."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, NamedTuple

from hashstash.cells import scopes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

SETTERS = frozenset({
    "use", "rc", "rcdefaults", "rc_file", "rc_file_defaults", "set_theme", "set_style", "set_context", "set_palette", "set",
    "set_option", "reset_option", "set_printoptions", "seterr", "setcontext", "set_matplotlib_formats", "set_default_style",
})  # fmt: skip
"""Functions that set what libraries do, and nothing else."""
ADDERS = frozenset({
    "basicConfig", "simplefilter", "filterwarnings", "setlocale", "set_config", "setLevel", "disable",
})  # fmt: skip
"""Functions that set something on top of what is set, or unless it is: the second time they change nothing."""
_HOLDERS = frozenset({"rcParams", "options", "getcontext", "InlineBackend"})
"""What holds settings that can be assigned."""
_PLAIN_MODULES = frozenset({
    "collections", "functools", "glob", "io", "itertools", "json", "math", "operator", "os", "pathlib", "random", "re", "shutil",
    "string", "sys", "uuid",
})  # fmt: skip
_PLAIN_FUNCTIONS = frozenset(
    {"__import__", "open", "len", "range", "list", "dict", "set", "tuple", "str", "int", "float", "print"}
)
_PLAIN_NEVER = (ast.Lambda, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.comprehension)


class First(NamedTuple):
    """What a cell begins with."""

    sets: bool
    """Settings, to constants: whatever they were before is nothing to the rest of the cell."""
    adds: bool
    """Settings on top of those that there are: run again where they have been set, it does the same again."""


def first(tree: ast.Module, calls: Iterable[str]) -> First:
    """Whether the cell sets settings to constants before it uses any, and sets none later on.

    *calls*: what the functions call that it reaches.
    """
    plain = set(_PLAIN_FUNCTIONS)
    start = next((place for place, node in enumerate(tree.body) if not _is_beginning(node, plain)), len(tree.body))
    names = {name for node in tree.body[start:] for name in _names_in(node)} | set(calls)
    if not names.isdisjoint(SETTERS | ADDERS | _HOLDERS):
        return First(sets=False, adds=False)
    begun = tree.body[:start]
    adds = any(not _is_setter(node) and _is_setter(node, ADDERS) for node in begun)
    return First(sets=not adds and any(map(_is_setter, begun)), adds=adds)


def _is_beginning(node: ast.stmt, plain: set[str]) -> bool:
    """*plain*: names of what no setting has to do with; those that the statement binds are added."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        is_plain = all(name.partition(".")[0] in _PLAIN_MODULES for name in _modules_of(node))
        plain.update(scopes.imported_as(alias) for alias in node.names if is_plain)
        return True
    if scopes.is_bare_string(node) or _is_setter(node) or _is_setter(node, ADDERS) or _is_setter(node, {"seed"}):
        return True
    if not isinstance(node, ast.Expr | ast.Assign) or not _is_plain(node.value, plain):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else []
    plain.update(target.id for target in targets if isinstance(target, ast.Name))
    return all(isinstance(target, ast.Name) for target in targets)


def _modules_of(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or "."]


def _is_plain(value: ast.expr, plain: set[str]) -> bool:
    parts = list(ast.walk(value))
    if any(isinstance(part, _PLAIN_NEVER) or (isinstance(part, ast.Name) and part.id not in plain) for part in parts):
        return False
    imports = [part for part in parts if isinstance(part, ast.Call) and scopes.final_name(part.func) == "__import__"]
    return all(call.args and scopes.constant_text(call.args[0]) in _PLAIN_MODULES for call in imports)


def _is_setter(node: ast.stmt, functions: Collection[str] = SETTERS) -> bool:
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        return all(isinstance(target, ast.Name) for target in node.targets) and _is_call(node.value, functions)
    if isinstance(node, ast.Assign):
        held = all(isinstance(target, ast.Subscript | ast.Attribute) and _is_held(target) for target in node.targets)
        return held and _is_constant(node.value)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _is_call(node.value, functions)


def _is_call(call: ast.Call, functions: Collection[str]) -> bool:
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    name = scopes.final_name(call.func)
    is_magic = name == "run_line_magic" and bool(call.args) and scopes.constant_text(call.args[0]) == "config"
    is_held = isinstance(call.func, ast.Attribute) and name == "update" and _is_held(call.func)
    return (is_magic or is_held or name in functions) and all(map(_is_constant, arguments))


def _is_held(target: ast.expr) -> bool:
    """Whether something is set within what holds settings, by a constant name."""
    if isinstance(target, ast.Subscript) and not _is_constant(target.slice):
        return False
    return not _HOLDERS.isdisjoint(_names_in(target))


def _is_constant(node: ast.AST) -> bool:
    """Whether it is written out, or named as constants of modules and classes of exceptions are."""
    inner = (
        ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set | ast.UnaryOp | ast.operator | ast.unaryop | ast.Load
    )
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr.isupper() or node.attr in ("stdout", "stderr")
    if isinstance(node, ast.Name):
        return isinstance(getattr(builtins, node.id, None), type)
    return isinstance(node, inner) and all(map(_is_constant, ast.iter_child_nodes(node)))


def _names_in(node: ast.AST) -> set[str]:
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            found.add(part.attr)
        elif isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.alias):
            found.add(part.name)
    return found
