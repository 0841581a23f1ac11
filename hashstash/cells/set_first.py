"""Whether a cell sets settings before it does anything else: then it does not depend on what they were."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from hashstash.cells import scopes

if TYPE_CHECKING:
    from collections.abc import Iterable

SETTERS = frozenset({
    "use", "rc", "rcdefaults", "rc_file", "rc_file_defaults", "set_theme", "set_style", "set_context", "set_palette", "set",
    "set_option", "reset_option", "set_printoptions", "seterr", "setcontext", "set_matplotlib_formats", "set_default_style",
})  # fmt: skip
"""Functions that set what libraries do, and nothing else."""
_HOLDERS = frozenset({"rcParams", "options", "getcontext", "InlineBackend"})
"""What holds settings that can be assigned."""


def sets_first(tree: ast.Module, calls: Iterable[str]) -> bool:
    """Whether the cell begins with what sets settings to constants, and nothing in it sets any later on.

    *calls*: what the functions call that it reaches.
    """
    start = next((place for place, node in enumerate(tree.body) if not _is_beginning(node)), len(tree.body))
    names = {name for node in tree.body[start:] for name in _names_in(node)} | set(calls)
    return any(map(_is_setter, tree.body[:start])) and names.isdisjoint(SETTERS | _HOLDERS)


def _is_beginning(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom) or scopes.is_bare_string(node):
        return True
    return _is_setter(node)


def _is_setter(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        return all(isinstance(target, ast.Name) for target in node.targets) and _is_call(node.value)
    if isinstance(node, ast.Assign):
        held = all(isinstance(target, ast.Subscript | ast.Attribute) and _is_held(target) for target in node.targets)
        return held and _is_constant(node.value)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _is_call(node.value)


def _is_call(call: ast.Call) -> bool:
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    name = scopes.final_name(call.func)
    is_magic = name == "run_line_magic" and bool(call.args) and scopes.constant_text(call.args[0]) == "config"
    is_held = isinstance(call.func, ast.Attribute) and name == "update" and _is_held(call.func)
    return (is_magic or is_held or name in SETTERS) and all(map(_is_constant, arguments))


def _is_held(target: ast.expr) -> bool:
    """Whether something is set within what holds settings, by a constant name."""
    if isinstance(target, ast.Subscript) and not _is_constant(target.slice):
        return False
    return not _HOLDERS.isdisjoint(_names_in(target))


def _is_constant(node: ast.expr) -> bool:
    inner = (
        ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set | ast.UnaryOp | ast.operator | ast.unaryop | ast.Load
    )
    return all(isinstance(part, inner) for part in ast.walk(node))


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
