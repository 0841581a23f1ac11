"""Names that a function only writes to: counters, logs, lists of calls. What is never read cannot change a result.

``calls.append(x)``, ``count += 1`` and ``seen[key] = x`` as statements of their own leave the function's answer alone,
so a memoized function that keeps such a record is the same function after a call as before it.
"""

from __future__ import annotations

import ast
from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any

from hashstash.fingerprint.source import PerCode, node_of_code

if TYPE_CHECKING:
    from types import CodeType

_WRITING_METHODS = frozenset(
    {"append", "appendleft", "extend", "extendleft", "insert", "add", "update", "discard", "clear"}
)
_RECORDS = frozenset({list, dict, set, deque, Counter, OrderedDict, defaultdict, bytearray, int, float})
"""Types whose writing methods are known to do nothing else."""

_known = PerCode[frozenset[str]]()


def is_record(code: CodeType, module_globals: dict[str, Any], name: str, value: Any) -> bool:
    """Whether *code* only writes to *name*, and *value* is of a type where that cannot matter."""
    return type(value) in _RECORDS and name in written_only(code, module_globals)


def written_only(code: CodeType, module_globals: dict[str, Any] | None = None) -> frozenset[str]:
    """The names that the function with this *code* mentions only where it writes; none if its source is not known."""
    known = _known.get(code)
    if known is not None:
        return known
    node = node_of_code(code, module_globals)
    return _known.put(code, frozenset() if node is None else _written_only(node))


def _written_only(function: ast.AST) -> frozenset[str]:
    written: set[ast.Name] = set()
    read: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Expr):
            written.update(_by_method(node.value))
        elif isinstance(node, ast.AugAssign):
            written.update(_by_target(node.target))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                written.update(_by_target(target))
    allowed = {id(name) for name in written}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and id(node) not in allowed:
            read.add(node.id)
    return frozenset(name.id for name in written) - read


def _by_method(value: ast.expr) -> list[ast.Name]:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _WRITING_METHODS:
        return [value.func.value] if isinstance(value.func.value, ast.Name) else []
    return []


def _by_target(target: ast.expr) -> list[ast.Name]:
    owner = target.value if isinstance(target, ast.Subscript) else target
    return [owner] if isinstance(owner, ast.Name) else []
