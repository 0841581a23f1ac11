"""Which names a cell may read before it has bound them itself: a walk over its statements in the order of execution.

The walk keeps the set of names that are *surely* bound so far. A name that is loaded while it is not surely bound is a read,
part of what the cell depends on. Branches that meet again keep what all of them bound; the body of a function that the cell
defines counts where the function is first used. Where syntax cannot tell, the answer errs towards a read.
"""

# ruff: noqa: N815 - visitors are named after the grammar

from __future__ import annotations

import ast
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashstash.cells import scopes
from hashstash.cells.scopes import FunctionNode, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

Bodies = dict[str, frozenset[FunctionNode]]


@dataclass(frozen=True, slots=True)
class Read:
    """How a name is read.

    ``by_value`` is false if only the name's existence matters. ``is_guarded`` says that the read may have failed and the
    cell gone on, so that the name's absence is something the cell can see.
    """

    by_value: bool = True
    is_guarded: bool = False

    def joined(self, other: Read) -> Read:
        """Both reads in one."""
        return Read(self.by_value or other.by_value, self.is_guarded or other.is_guarded)


@dataclass(slots=True)
class CellNames:
    """What one cell's syntax says about names."""

    reads: dict[str, Read] = field(default_factory=dict)
    reads_everything: bool = False
    """Some name is computed while the cell runs, so that every variable may be read."""
    surely_bound: frozenset[str] = frozenset()
    """Names that every complete run of the cell binds, and that it does not delete afterwards."""
    touched: set[str] = field(default_factory=set)
    """Every name that some statement of the cell may bind or delete."""
    strings: set[str] = field(default_factory=set)
    """All string constants."""
    environment: set[str] = field(default_factory=set)
    """Constants that ask for an environment variable."""
    attributes: set[str] = field(default_factory=set)
    """All attribute names, and the names of everything called."""
    modules: set[str] = field(default_factory=set)
    """Dotted names of everything that is imported."""


def analyse(
    tree: ast.Module, *, existing: Collection[str] = (), reached: Callable[[str], Collection[str]] | None = None
) -> CellNames:
    """What the cell reads and binds.

    *existing* are the variables that exist before the cell runs: a string which contains such a name may read it.
    ``reached(name)`` gives the further names that the present value of *name* reads when it is used, for example the globals
    of a function.
    """
    flow = _Flow(existing, reached or (lambda _name: ()))
    flow.visit_all(tree.body)
    flow.names.surely_bound = frozenset(flow.sure or ())
    return flow.names


NAMESPACE_CALLS = frozenset({"globals", "locals", "vars", "dir"})
DYNAMIC = frozenset({"eval", "exec", "globals", "get_ipython", "__import__"})
CODE_MAGICS = frozenset({"time", "capture", "stash"})
SHELL_METHODS = frozenset({"run_line_magic", "run_cell_magic", "system", "getoutput"})
_State = tuple["frozenset[str] | None", Bodies]


class _Flow(ast.NodeVisitor):
    """The walk. ``sure`` is ``None`` behind a statement that never completes; what follows is not visited."""

    def __init__(self, existing: Collection[str], reached: Callable[[str], Collection[str]]) -> None:
        self.names = CellNames()
        self.sure: frozenset[str] | None = frozenset()
        self.bodies: Bodies = {}
        self.existing = existing
        self.reached = reached
        self.scopes: list[Scope] = []
        self.guards = 0
        self.loops: list[tuple[list[_State], list[_State]]] = []  # states at each break, at each continue
        self.seen: dict[object, list[frozenset[str]]] = {}
        self.deferred: list[FunctionNode] | None = None  # methods of the class whose body is being visited

    # -- the state, and how paths meet

    def state(self) -> _State:
        return self.sure, self.bodies

    def go_to(self, state: _State) -> None:
        self.sure, self.bodies = state[0], dict(state[1])

    def meet(self, states: Iterable[_State]) -> None:
        """Continue where these paths come together: bound is what all of them bound."""
        open_states = [(sure, bodies) for sure, bodies in states if sure is not None]
        if not open_states:
            self.sure = None
            return
        merged: Bodies = {}
        for _sure, bodies in open_states:
            for name, nodes in bodies.items():
                merged[name] = merged.get(name, frozenset()) | nodes
        self.sure, self.bodies = frozenset.intersection(*(sure for sure, _ in open_states)), merged

    def forget(self, names: frozenset[str]) -> None:
        if self.sure is not None:
            self.sure -= names

    @contextmanager
    def guarded(self) -> Iterator[None]:
        self.guards += 1
        try:
            yield
        finally:
            self.guards -= 1

    @contextmanager
    def inside(self, scope: Scope) -> Iterator[None]:
        self.scopes.append(scope)
        try:
            yield
        finally:
            self.scopes.pop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Visit code that binds nothing for the statements after it: a function's body, a comprehension, a branch."""
        state, loops, deferred = self.state(), self.loops, self.deferred
        self.loops, self.deferred = [], None
        try:
            yield
        finally:
            self.go_to(state)
            self.loops, self.deferred = loops, deferred

    def visit(self, node: ast.AST) -> None:
        if self.sure is not None:
            super().visit(node)

    def visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    # -- names

    def load(self, name: str, read: Read, *, is_called: bool = False) -> None:
        for depth, scope in enumerate(reversed(self.scopes)):
            if name in scope.global_names:
                break
            if name in scope.bound:
                if scope.kind != "class":
                    return
                if depth == 0 and scope.local_key(name) in (self.sure or ()):
                    return
        self.load_global(name, read, is_called=is_called)

    def load_global(self, name: str, read: Read, *, is_called: bool = False) -> None:
        sure = self.sure or frozenset()
        read = read.joined(Read(by_value=False, is_guarded=self.guards > 0))
        if not self.is_news((name, read, is_called), sure):
            return
        if name not in sure:
            self.names.reads[name] = read.joined(self.names.reads.get(name, read))
        for node in self.bodies.get(name, ()):
            self.run_body(node, is_guarded=read.is_guarded or not is_called)
        if name not in sure and read.by_value:
            for further in self.reached(name):
                self.load_global(further, Read(is_guarded=True))

    def is_news(self, what: object, sure: frozenset[str]) -> bool:
        """Whether *what* was not yet looked at with the same functions defined and as little bound."""
        earlier = self.seen.setdefault((what, frozenset(self.bodies.items())), [])
        if any(before <= sure for before in earlier):
            return False
        earlier.append(sure)
        return True

    def bind(self, name: str) -> None:
        scope = self.binding_scope()
        if scope is None:
            self.names.touched.add(name)
            self.sure = (self.sure or frozenset()) | {name}
            self.bodies.pop(name, None)
        elif name in scope.global_names:
            self.names.touched.add(name)
        elif scope.kind == "class":
            self.sure = (self.sure or frozenset()) | {scope.local_key(name)}

    def unbind(self, name: str) -> None:
        scope = self.binding_scope()
        if scope is None or name in scope.global_names:
            if name not in (self.sure or ()):
                self.load_global(name, Read(by_value=False))
            self.names.touched.add(name)
            self.forget(frozenset({name}))
            self.bodies.pop(name, None)
        elif scope.kind == "class":
            self.forget(frozenset({scope.local_key(name)}))

    def binding_scope(self) -> Scope | None:
        return next((scope for scope in reversed(self.scopes) if scope.kind != "comprehension"), None)

    def read_text(self, text: str) -> None:
        """A string may be code, a query, a command: it reads the variables that it names."""
        self.names.strings.add(text)
        for token in scopes.identifiers(text):
            if (token in self.existing and token not in (self.sure or ())) or token in self.bodies:
                self.load_global(token, Read(is_guarded=True))

    def run_text(self, text: str) -> None:
        """Visit the text as code of the cell, or as any string if it is none."""
        try:
            body = ast.parse(text).body
        except (SyntaxError, ValueError):
            self.read_text(text)
        else:
            self.names.strings.add(text)
            self.visit_all(body)

    # -- functions and classes

    def define(self, name: str, node: FunctionNode, decorators: list[ast.expr]) -> None:
        """Bind a function. Its body counts where it is first used, unless a decorator may call it at once."""
        is_plain = all(scopes.final_name(decorator) in scopes.HARMLESS_DECORATORS for decorator in decorators)
        self.bind(name)
        scope = self.binding_scope()
        if is_plain and scope is None:
            self.bodies[name] = frozenset({node})
        elif is_plain and scope is not None and scope.kind == "class" and self.deferred is not None:
            self.deferred.append(node)
        else:
            self.run_body(node, is_guarded=True)

    def run_body(self, node: FunctionNode, *, is_guarded: bool) -> None:
        if not self.is_news((node, is_guarded or self.guards > 0, len(self.scopes)), self.sure or frozenset()):
            return
        outer = [scope for scope in self.scopes if scope.kind == "function"] if node not in self.toplevel() else []
        scopes_here, self.scopes = self.scopes, outer
        self.guards += is_guarded
        try:
            with self.aside(), self.inside(scopes.function_scope(node)):
                self.visit_all([node.body] if isinstance(node, ast.Lambda) else node.body)
        finally:
            self.guards -= is_guarded
            self.scopes = scopes_here

    def toplevel(self) -> frozenset[FunctionNode]:
        return frozenset().union(*self.bodies.values()) if self.bodies else frozenset()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_all(node.decorator_list)
        self.visit_signature(node)
        self.define(node.name, node, node.decorator_list)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_signature(self, node: FunctionNode) -> None:
        self.visit_all((*node.args.defaults, *node.args.kw_defaults))
        with self.inside(Scope("function", scopes.type_parameters(node))):
            self.visit_all(parameter.annotation for parameter in scopes.parameters(node.args))
            self.visit_all([getattr(node, "returns", None)])

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_signature(node)
        with self.aside(), self.guarded(), self.inside(scopes.function_scope(node)):
            self.visit(node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        with self.inside(Scope("function", scopes.type_parameters(node))):
            self.visit_all((*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)))
        outer, methods = self.deferred, list[FunctionNode]()
        self.deferred = methods
        with self.inside(scopes.class_scope(node)):
            self.visit_all(node.body)
        self.deferred = outer
        self.bind(node.name)
        is_plain = all(scopes.final_name(decorator) in scopes.HARMLESS_DECORATORS for decorator in node.decorator_list)
        if is_plain and not node.bases and not node.keywords and not self.scopes:
            self.bodies[node.name] = frozenset(methods)
        else:
            for method in methods:
                self.run_body(method, is_guarded=True)

    # -- expressions

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.bind(node.id)
        elif isinstance(node.ctx, ast.Del):
            self.unbind(node.id)
        else:
            if node.id in DYNAMIC and node.id != "__import__":
                self.names.reads_everything = True
            self.load(node.id, Read())

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.read_text(node.value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.names.attributes.add(node.attr)
        if isinstance(node.value, ast.Name) and node.value.id in ("builtins", "__builtins__") and node.attr in DYNAMIC:
            self.names.reads_everything = True
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        text = scopes.constant_text(node.slice)
        if text is not None and scopes.final_name(node.value) == "environ":
            self.names.environment.add(text)
        if text is not None and self.is_namespace(node.value):
            visit_name = {ast.Load: self.load_item, ast.Store: self.bind_item, ast.Del: self.unbind_item}[
                type(node.ctx)
            ]
            visit_name(text)
            return
        self.visit(node.value)
        if text is None:
            self.visit(node.slice)
        else:
            self.names.strings.add(text)

    def load_item(self, name: str) -> None:
        self.load_global(name, Read(is_guarded=True))

    def bind_item(self, name: str) -> None:
        self.names.touched.add(name)
        if not self.scopes:
            self.bind(name)

    def unbind_item(self, name: str) -> None:
        self.load_global(name, Read(by_value=False, is_guarded=True))
        self.names.touched.add(name)
        self.forget(frozenset({name}))

    def is_namespace(self, node: ast.expr) -> bool:
        """Whether the expression is ``globals()``, or at the top of the cell ``locals()`` or ``vars()``."""
        if not isinstance(node, ast.Call) or node.args or node.keywords or not isinstance(node.func, ast.Name):
            return False
        in_function = any(scope.kind == "function" for scope in self.scopes)
        return node.func.id == "globals" or (node.func.id in NAMESPACE_CALLS and not in_function)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            text = scopes.constant_text(key)
            if text is not None:
                self.names.strings.add(text)
            elif key is not None:
                self.visit(key)
            self.visit(value)

    def visit_Compare(self, node: ast.Compare) -> None:
        text = scopes.constant_text(node.left)
        if text is not None and isinstance(node.ops[0], ast.In | ast.NotIn):
            if self.is_namespace(node.comparators[0]):
                self.load_global(text, Read(by_value=False, is_guarded=True))
                return
            if scopes.final_name(node.comparators[0]) == "environ":
                self.names.environment.add(text)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name, texts = scopes.final_name(node.func), [scopes.constant_text(argument) for argument in node.args]
        first = texts[0] if texts else None
        if name is not None:
            self.names.attributes.add(name)
        if first is not None and name in ("getenv", "get", "pop", "setdefault") and self.asks_environment(node.func):
            self.names.environment.add(first)
        if self.is_namespace(node):
            self.names.reads_everything = True
        elif isinstance(node.func, ast.Attribute):
            self.visit_method_call(node, node.func, texts)
        elif isinstance(node.func, ast.Name) and name in ("eval", "exec") and first is not None:
            self.run_text(first)
            self.pass_arguments(node, skip=1)
        elif isinstance(node.func, ast.Name) and name == "get_ipython":
            self.names.reads_everything = True
        elif isinstance(node.func, ast.Name):
            if name in DYNAMIC and name != "__import__":
                self.names.reads_everything = True
            self.load(node.func.id, Read(), is_called=True)
            self.pass_arguments(node)
        else:
            self.generic_visit(node)

    def asks_environment(self, function: ast.expr) -> bool:
        if scopes.final_name(function) == "getenv":
            return True
        return isinstance(function, ast.Attribute) and scopes.final_name(function.value) == "environ"

    def pass_arguments(self, node: ast.Call, skip: int = 0) -> None:
        self.visit_all((*node.args[skip:], *(keyword.value for keyword in node.keywords)))

    def visit_method_call(self, node: ast.Call, function: ast.Attribute, texts: list[str | None]) -> None:
        owner, first = function.value, texts[0] if texts else None
        if (
            self.is_namespace(owner)
            and first is not None
            and function.attr in ("get", "pop", "setdefault", "__getitem__")
        ):
            self.names.touched.update(() if function.attr in ("get", "__getitem__") else (first,))
            self.load_item(first)
            self.pass_arguments(node, skip=1)
        elif (
            scopes.final_name(owner) == "get_ipython" and isinstance(owner, ast.Call) and function.attr in SHELL_METHODS
        ):
            self.visit_shell_call(function.attr, texts)
        else:
            self.generic_visit(node)

    def visit_shell_call(self, method: str, texts: list[str | None]) -> None:
        """``!command``, ``%magic`` and ``%%magic``, as IPython has rewritten them."""
        if None in texts:
            self.names.reads_everything = True
        constants = [text for text in texts if text is not None]
        runs_last = method.startswith("run_") and constants[:1] and constants[0] in CODE_MAGICS
        for text in constants[:-1] if runs_last else constants:
            self.read_text(text)
        if runs_last:
            self.run_text(constants[-1])

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        with self.branch():
            self.visit_all(node.values[1:])

    @contextmanager
    def branch(self) -> Iterator[None]:
        """Visit an expression that may not be evaluated: what it binds is not sure afterwards."""
        before = self.state()
        yield
        self.meet([before, self.state()])

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        before = self.state()
        self.visit(node.body)
        after_body = self.state()
        self.go_to(before)
        self.visit(node.orelse)
        self.meet([after_body, self.state()])

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.bind(node.target.id)

    def visit_comprehension_of(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.visit(node.generators[0].iter)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        with self.branch(), self.inside(scopes.comprehension_scope(node.generators)):
            for position, generator in enumerate(node.generators):
                self.visit_all([*([generator.iter] if position else []), *generator.ifs])
            self.visit_all(results)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehension_of

    # -- statements

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

    def visit_loop(self, body: Iterable[ast.AST]) -> tuple[list[_State], list[_State]]:
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

    def visit_final(self, node: ast.Try | ast.TryStar, at_failure: _State) -> None:
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
