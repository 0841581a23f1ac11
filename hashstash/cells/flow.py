"""The state of a walk over a cell: what is surely bound so far, and what a load, a binding, a branch does to it.

:mod:`~hashstash.cells.expressions` and :mod:`~hashstash.cells.names` say which parts of the grammar do what.
"""

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

    ``by_value`` is false if only the name's existence matters. ``is_guarded`` says that the read may have failed and
    the cell gone on, so that the name's absence is something the cell can see.
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
    runs_texts: bool = False
    """It calls ``eval`` or ``exec`` on what is no constant: what that reads is heard when it runs."""
    named: frozenset[str] | None = None
    """The names that are read without that, if every variable is taken for an input for no other reason."""
    surely_bound: frozenset[str] = frozenset()
    """Names that every complete run of the cell binds, and that it does not delete afterwards."""
    surely_unbound: frozenset[str] = frozenset()
    """Names that every complete run of the cell deletes, or binds and deletes."""
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
    scripts: set[tuple[str, bool]] = field(default_factory=set)
    """Scripts that ``%run`` runs, and whether it does so among the notebook's variables (``-i``)."""


UNBOUND = "@unbound"
"""Marks, among the sure names, one that was surely deleted."""
State = tuple["frozenset[str] | None", Bodies]


class Flow(ast.NodeVisitor):
    """A walk. ``sure`` is ``None`` behind a statement that never completes; what follows is not visited."""

    def __init__(self, existing: Collection[str], reached: Callable[[str], Collection[str]]) -> None:
        self.names = CellNames()
        self.sure: frozenset[str] | None = frozenset()
        self.bodies: Bodies = {}
        self.existing = existing
        self.reached = reached
        self.scopes: list[Scope] = []
        self.guards = 0
        self.loops: list[tuple[list[State], list[State]]] = []  # states at each break, at each continue
        self.seen: dict[object, list[frozenset[str]]] = {}
        self.deferred: list[FunctionNode] | None = None  # methods of the class whose body is being visited

    # -- the state, and how paths meet

    def state(self) -> State:
        return self.sure, self.bodies

    def go_to(self, state: State) -> None:
        self.sure, self.bodies = state[0], dict(state[1])

    def meet(self, states: Iterable[State]) -> None:
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
        waiting = [(name, read, is_called)]
        while waiting:  # no recursion: functions may lead from one to the next for long
            name, read, is_called = waiting.pop()
            sure = self.sure or frozenset()
            read = read.joined(Read(by_value=False, is_guarded=self.guards > 0))
            if not self.is_news((name, read, is_called), sure):
                continue
            if name not in sure:
                self.names.reads[name] = read.joined(self.names.reads.get(name, read))
            for node in self.bodies.get(name, ()):
                self.run_body(node, is_guarded=read.is_guarded or not is_called)
            if name not in sure and read.by_value:
                waiting += ((further, Read(is_guarded=True), False) for further in self.reached(name))

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
            self.sure = (self.sure or frozenset()) - {name + UNBOUND} | {name}
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
            if scope is None and self.sure is not None:
                self.sure |= {name + UNBOUND}
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
