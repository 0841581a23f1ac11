"""Annotations of plain names (``x: int = 3``), which Python notes in ``__annotations__`` beside the variables.

They are not stored: on a hit the cell's own annotations are evaluated again, among the variables as the cell left them. That is
only done where it gives what the run gave.
"""

from __future__ import annotations
import __future__

import ast
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hashstash.cells.shell import Shell

NAME: Final = "__annotations__"
_ARE_KEPT: Final = sys.version_info < (3, 14)
"""From then on they are evaluated when somebody asks for them."""
_BLOCKS: Final = (
    *(ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar),
    *(ast.Match, ast.match_case, ast.ExceptHandler),
)
"""What holds statements of the same scope."""
_QUIET_NODES: Final = (
    *(ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.BinOp, ast.BitOr, ast.Tuple, ast.List),
    *(ast.UnaryOp, ast.USub, ast.Load),
)
"""What does nothing when it is evaluated once more."""


def annotations_of(tree: ast.Module) -> list[ast.AnnAssign]:
    """The annotations of plain names that running the code notes, in their order, some of them perhaps not each time."""
    return [node for statement in tree.body for node in _found_in(statement)] if _ARE_KEPT else []


def _found_in(node: ast.AST) -> Iterator[ast.AnnAssign]:
    if isinstance(node, ast.AnnAssign):
        if node.simple:
            yield node
    elif isinstance(node, _BLOCKS):
        for child in ast.iter_child_nodes(node):
            yield from _found_in(child)


def given(
    shell: Shell, tree: ast.Module, namespace: dict[str, Any], names: Collection[str] | None = None
) -> dict[str, Any]:
    """What the annotations of the code give among these variables, or those of *names*; errors are those of the annotations."""
    nodes = [node for node in annotations_of(tree) if names is None or _name(node) in names]
    if not nodes:
        return {}
    bare = [ast.copy_location(ast.AnnAssign(node.target, node.annotation, None, 1), node) for node in nodes]
    code = shell.compile(ast.Module(list(bare), []), "<annotations>", "exec")
    noted: dict[str, Any] = {}
    exec(code, namespace, noted)  # noqa: S102 - the user's own cell, which has done this before
    return dict(noted[NAME])


def _name(node: ast.AnnAssign) -> str:
    return node.target.id if isinstance(node.target, ast.Name) else ""


def after_run(shell: Shell, tree: ast.Module) -> list[str] | None:
    """The names whose annotations a run has noted, of code that does not always note all of them; else ``None``.

    A ``ValueError`` with a name is of one that cannot be evaluated once more, or not to the same.
    """
    nodes = annotations_of(tree)
    if not nodes:
        return None
    known = shell.user_ns.get(NAME)
    known = known if isinstance(known, dict) else {}
    names = {_name(node) for node in nodes} & known.keys()
    are_texts = shell.compile.flags & __future__.annotations.compiler_flag
    for node in () if are_texts else nodes:
        if _name(node) in names and not all(isinstance(part, _QUIET_NODES) for part in ast.walk(node.annotation)):
            raise ValueError(_name(node))
    try:
        now = given(shell, tree, shell.user_ns, names)
        changed = [name for name, value in now.items() if not _is_same(known[name], value)]
    except Exception as error:
        raise ValueError(_name(nodes[0])) from error
    if changed:
        raise ValueError(changed[0])
    return None if len(names) == len({_name(node) for node in nodes}) else sorted(names)


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


def note(namespace: dict[str, Any], found: dict[str, Any]) -> None:
    """Note annotations, as running the code does."""
    if found:
        namespace.setdefault(NAME, {}).update(found)
