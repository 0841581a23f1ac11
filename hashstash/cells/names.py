"""Which names a cell may read before it has bound them itself: a walk over its statements in the order of execution.

The walk keeps the set of names that are *surely* bound so far. A name that is loaded while it is not surely bound is
a read, part of what the cell depends on. Branches that meet again keep what all of them bound; the body of a function
that the cell defines counts where the function is first used. Where syntax cannot tell, the answer errs towards a
read.
"""

# ruff: noqa: N802, N815 - visitors are named after the grammar

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from hashstash.cells import scopes
from hashstash.cells.expressions import Expressions
from hashstash.cells.flow import UNBOUND, CellNames, Read, State
from hashstash.cells.scopes import FunctionNode, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable


__all__ = ["CellNames", "Read", "analyse"]


def analyse(
    tree: ast.Module, *, existing: Collection[str] = (), reached: Callable[[str], Collection[str]] | None = None
) -> CellNames:
    """What the cell reads and binds.

    *existing* are the variables that exist before the cell runs: a string which contains such a name may read it.
    ``reached(name)`` gives the further names that the present value of *name* reads when it is used, for example the
    globals of a function.
    """
    flow = _Statements(existing, reached or (lambda _name: ()))
    flow.visit_all(tree.body)
    sure = flow.sure or frozenset()
    flow.names.surely_bound = frozenset(name for name in sure if name.isidentifier())
    flow.names.surely_unbound = frozenset(name.removesuffix(UNBOUND) for name in sure if name.endswith(UNBOUND))
    return flow.names


class _Statements(Expressions):
    """The walk over statements."""

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_all(node.decorator_list)
        self.visit_signature(node)
        self.define(node.name, node, node.decorator_list)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        with self.inside(Scope("function", scopes.type_parameters(node))):
            self.visit_type_parameters(node)
            self.visit_all((*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)))
        outer, methods = self.deferred, list[FunctionNode]()
        self.deferred = methods
        with self.inside(Scope("function", scopes.type_parameters(node))), self.inside(scopes.class_scope(node)):
            self.visit_all(node.body)
        self.deferred = outer
        self.bind(node.name)
        is_plain = all(scopes.final_name(decorator) in scopes.HARMLESS_DECORATORS for decorator in node.decorator_list)
        if is_plain and not node.bases and not node.keywords and not self.scopes:
            self.bodies[node.name] = frozenset(methods)
        else:
            for method in methods:
                self.run_body(method, is_guarded=True)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not scopes.is_bare_string(node):
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        targets = [target for target in node.targets if isinstance(target, ast.Name)]
        if isinstance(node.value, ast.Lambda) and len(targets) == len(node.targets) and not self.scopes:
            self.visit_signature(node.value)
            for target in targets:
                self.define(target.id, node.value, [])
            return
        self.visit(node.value)
        self.visit_all(node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.load(node.target.id, Read())
        self.visit(node.value)
        self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)

    def visit_TypeAlias(self, node: Any) -> None:
        with self.inside(Scope("function", scopes.type_parameters(node))), self.guarded():
            self.visit_type_parameters(node)
            self.visit(node.value)
        self.visit(node.name)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.names.modules.add(alias.name)
            self.names.reads_everything |= alias.name == "__main__"
            self.bind(scopes.imported_as(alias))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        self.names.modules.add(module)
        for alias in node.names:
            if alias.name != "*":
                self.names.modules.add(f"{module}.{alias.name}" if node.module else module + alias.name)
                self.bind(scopes.imported_as(alias))

    def visit_Raise(self, node: ast.Raise) -> None:
        self.generic_visit(node)
        self.sure = None

    def visit_Return(self, node: ast.Return) -> None:
        self.generic_visit(node)
        self.sure = None

    def visit_Break(self, _node: ast.Break) -> None:
        if self.loops:
            self.loops[-1][0].append(self.state())
        self.sure = None

    def visit_Continue(self, _node: ast.Continue) -> None:
        if self.loops:
            self.loops[-1][1].append(self.state())
        self.sure = None

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        truth, before, ends = scopes.constant_truth(node.test), self.state(), []
        for is_taken, block in ((truth is not False, node.body), (truth is not True, node.orelse)):
            self.go_to(before)
            if is_taken:
                self.visit_all(block)
                ends.append(self.state())
        self.meet(ends)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self.forget(scopes.unbound_in(node.body))
        before = self.state()
        breaks, continues = self.visit_loop([node.target, *node.body])
        ends = [*continues, self.state()]
        self.meet(ends if scopes.surely_iterates(node.iter) else [before, *ends])
        self.visit_all(node.orelse)
        self.meet([*breaks, self.state()])

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.forget(scopes.unbound_in(node.body))
        self.visit(node.test)
        before = self.state()
        breaks, continues = self.visit_loop(node.body)
        if scopes.constant_truth(node.test):
            self.meet(breaks)
            return
        self.meet([before, *continues, self.state()])
        self.visit_all(node.orelse)
        self.meet([*breaks, self.state()])

    def visit_loop(self, body: Iterable[ast.AST]) -> tuple[list[State], list[State]]:
        self.loops.append(([], []))
        self.visit_all(body)
        return self.loops.pop()

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        is_transparent = all(scopes.final_name(item.context_expr) in scopes.TRANSPARENT_MANAGERS for item in node.items)
        for position, item in enumerate(node.items):
            self.visit_all([item.context_expr, item.optional_vars])
            if position == 0:
                first_only = self.state()
        if is_transparent:
            self.visit_all(node.body)
            return
        with self.guarded():
            self.visit_all(node.body)
        self.meet([first_only, self.state()])
        self.forget(scopes.unbound_in(node.body))

    visit_AsyncWith = visit_With

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        before = self.state()
        with self.guarded():
            self.visit_all(node.body)
        self.visit_all(node.orelse)
        ends = [self.state()]
        self.go_to(before)
        self.forget(scopes.unbound_in(node.body))
        at_failure = self.state()
        for handler in node.handlers:
            self.go_to(at_failure)
            self.visit_handler(handler)
            ends.append(self.state())
        self.meet(ends)
        if node.finalbody:
            self.visit_final(node, at_failure)

    visit_TryStar = visit_Try

    def visit_handler(self, node: ast.ExceptHandler) -> None:
        self.visit_all([node.type])
        if node.name:
            self.bind(node.name)
        self.visit_all(node.body)
        if node.name and self.sure is not None:
            self.unbind(node.name)

    def visit_final(self, node: ast.Try | ast.TryStar, at_failure: State) -> None:
        """``finally`` starts with as little bound as when ``try`` failed, and adds to what the other blocks bound."""
        met = self.state()
        self.go_to(at_failure)
        self.forget(frozenset().union(*(scopes.unbound_in(handler.body) for handler in node.handlers)))
        start = self.sure or frozenset()
        self.visit_all(node.finalbody)
        if self.sure is None or met[0] is None:
            self.sure = None
            return
        self.sure = (met[0] | (self.sure - start)) - (scopes.unbound_in(node.finalbody) - self.sure)
        self.bodies = {**met[1], **self.bodies}

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        before, ends = self.state(), []
        for case in node.cases:
            self.go_to(before)
            self.visit(case.pattern)
            for name in sorted(scopes.bindings([case.pattern])[0]):
                self.bind(name)
            self.visit_all([case.guard, *case.body])
            ends.append(self.state())
        self.meet(ends if any(map(scopes.is_irrefutable, node.cases)) else [before, *ends])
