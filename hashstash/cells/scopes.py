"""Small questions about syntax: which names a scope binds, and what a constant, a loop or a context manager promises.

Nothing here follows the flow of a cell; that is :mod:`hashstash.cells.names`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
ScopeNode: TypeAlias = FunctionNode | ast.ClassDef
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

IDENTIFIER = re.compile(r"[^\W\d]\w*")

TRANSPARENT_MANAGERS = frozenset(
    {
        "open", "nullcontext", "catch_warnings", "redirect_stdout", "redirect_stderr", "closing", "aclosing",
        "chdir", "TemporaryDirectory", "NamedTemporaryFile", "ZipFile", "TarFile", "ThreadPoolExecutor",
        "ProcessPoolExecutor", "Pool", "ThreadPool", "no_grad", "errstate", "option_context", "rc_context",
        "printoptions", "localcontext", "scandir", "urlopen", "Session", "connect",
    }
)  # fmt: skip
"""Context managers that never swallow an exception, so that what their block binds is bound afterwards."""

HARMLESS_DECORATORS = frozenset(
    {
        "property", "staticmethod", "classmethod", "abstractmethod", "cached_property", "lru_cache", "cache",
        "dataclass", "wraps", "setter", "getter", "deleter", "total_ordering", "contextmanager", "overload",
        "override", "final",
    }
)  # fmt: skip
"""Decorators that do not call what they decorate while they decorate it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope below the cell's own: what it binds, and what it declares to be global."""

    kind: Literal["function", "comprehension", "class"]
    bound: frozenset[str]
    global_names: frozenset[str] = field(default=frozenset())

    def local_key(self, name: str) -> str:
        """How a class body's *name* is called among the surely bound names of the cell; never a valid identifier."""
        return f"{name}@{id(self)}"


def identifiers(text: str) -> frozenset[str]:
    """Every identifier-like token of *text*."""
    return frozenset(IDENTIFIER.findall(text))


def final_name(node: ast.expr) -> str | None:
    """``c`` for ``c``, ``a.b.c``, and for a call of either."""
    if isinstance(node, ast.Call):
        return final_name(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def constant_text(node: ast.AST | None) -> str | None:
    """The text of a string constant, else ``None``."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def is_bare_string(statement: ast.stmt) -> bool:
    """Whether the statement is a docstring or another string that nobody uses."""
    return isinstance(statement, ast.Expr) and constant_text(statement.value) is not None


def surely_iterates(iterable: ast.expr) -> bool:
    """Whether a loop over this expression runs at least once, as far as literals tell."""
    if isinstance(iterable, ast.List | ast.Tuple | ast.Set):
        return any(not isinstance(item, ast.Starred) for item in iterable.elts)
    if isinstance(iterable, ast.Dict):
        return any(key is not None for key in iterable.keys)
    if isinstance(iterable, ast.Constant):
        return isinstance(iterable.value, str | bytes) and bool(iterable.value)
    if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name) and not iterable.keywords:
        if iterable.func.id == "enumerate" and len(iterable.args) == 1:
            return surely_iterates(iterable.args[0])
        numbers = [a.value for a in iterable.args if isinstance(a, ast.Constant) and type(a.value) is int]
        if iterable.func.id == "range" and len(numbers) == len(iterable.args) in (1, 2, 3):
            return numbers[2:] != [0] and len(range(*numbers)) > 0
    return False


def constant_truth(test: ast.expr) -> bool | None:
    """``True`` or ``False`` if the test is a constant, else ``None``."""
    return bool(test.value) if isinstance(test, ast.Constant) else None


def is_irrefutable(case: ast.match_case) -> bool:
    """Whether the case matches everything."""
    return case.guard is None and _matches_all(case.pattern)


def _matches_all(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchAs):
        return pattern.pattern is None or _matches_all(pattern.pattern)
    return isinstance(pattern, ast.MatchOr) and any(map(_matches_all, pattern.patterns))


def parameters(arguments: ast.arguments) -> Iterator[ast.arg]:
    """Every parameter, in no particular order."""
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    yield from filter(None, (arguments.vararg, arguments.kwarg))


def type_parameters(node: ast.AST) -> frozenset[str]:
    """The names in ``def f[T]``, ``class C[T]``, ``type X[T]``."""
    return frozenset(parameter.name for parameter in getattr(node, "type_params", ()))


def function_scope(node: FunctionNode) -> Scope:
    """The scope of a function's body."""
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    bound, global_names = bindings(body)
    bound |= {parameter.arg for parameter in parameters(node.args)} | type_parameters(node)
    return Scope("function", frozenset(bound - global_names), frozenset(global_names))


def class_scope(node: ast.ClassDef) -> Scope:
    """The scope of a class body."""
    bound, global_names = bindings(node.body)
    return Scope("class", frozenset(bound - global_names), frozenset(global_names))


def comprehension_scope(generators: Iterable[ast.comprehension]) -> Scope:
    """The scope of a comprehension: its targets."""
    targets = (name for generator in generators for name in ast.walk(generator.target) if isinstance(name, ast.Name))
    return Scope("comprehension", frozenset(name.id for name in targets))


def bindings(body: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    """The names that the statements bind in their own scope, and those which they declare ``global``."""
    bound: set[str] = set()
    global_names: set[str] = set()
    for node in walk_scope(body):
        if isinstance(node, ast.Global):
            global_names.update(node.names)
        elif isinstance(node, ast.Nonlocal):
            bound.update(node.names)  # bound in an enclosing function: not global either
        else:
            bound.update(bound_by(node))
    return bound, global_names


def bound_by(node: ast.AST) -> Iterator[str]:
    """The names that this node itself binds or deletes."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (imported_as(alias) for alias in node.names if alias.name != "*")
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def imported_as(alias: ast.alias) -> str:
    """The name that an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def unbound_in(body: Iterable[ast.AST]) -> frozenset[str]:
    """Names that some statement of the body unbinds: by ``del``, or as the end of an ``except ... as name``."""
    names = set()
    for node in walk_scope(body):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return frozenset(names)


def walk_scope(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes of the same scope: no bodies of functions and classes; of comprehensions only what binds outside."""
    todo = list(body)
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif isinstance(node, ast.ClassDef):
            todo += [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, COMPREHENSIONS):
            todo += [inner for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)]
            todo.append(node.generators[0].iter)
        elif not isinstance(node, ast.Lambda):
            todo += ast.iter_child_nodes(node)


def constant_names(constants: Iterable[object]) -> frozenset[str]:
    """The identifiers in the string constants of a code object."""
    return frozenset().union(*(identifiers(text) for text in constants if isinstance(text, str)))
