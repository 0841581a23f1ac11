"""What each kind of expression reads and binds, and what can be told about strings, namespaces and the shell's own
calls.
"""

# ruff: noqa: N802, N815 - visitors are named after the grammar

from __future__ import annotations

import ast
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hashstash.cells import run_lines, scopes
from hashstash.cells.flow import Flow, Read
from hashstash.cells.scopes import Scope
from hashstash.fingerprint.reads import NAMESPACES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.cells.scopes import FunctionNode

NAMESPACE_CALLS = frozenset({"globals", "locals", "vars", "dir"})
TEXT_CALLS = frozenset({"eval", "exec"})
DYNAMIC = frozenset({"eval", "exec", "globals", "get_ipython", "__import__"})
CODE_MAGICS = frozenset({"time", "capture", "stash"})
NAMESPACE_MAGICS = frozenset(
    {
        "who",
        "whos",
        "who_ls",
        "reset",
        "reset_selective",
        "store",
        "macro",
        "xdel",
        "history",
        "hist",
        "recall",
        "rerun",
    }
)
"""Magics that read or remove variables which they do not name."""
SHELL_METHODS = frozenset({"run_line_magic", "run_cell_magic", "system", "getoutput"})


class Expressions(Flow):
    """The walk over expressions."""

    def visit_signature(self, node: FunctionNode) -> None:
        self.visit_all((*node.args.defaults, *node.args.kw_defaults))
        with self.inside(Scope("function", scopes.type_parameters(node))):
            self.visit_type_parameters(node)
            self.visit_all(parameter.annotation for parameter in scopes.parameters(node.args))
            self.visit_all([getattr(node, "returns", None)])

    def visit_type_parameters(self, node: ast.AST) -> None:
        """The bounds and defaults of ``[T: bound = default]``, which are evaluated when somebody asks for them."""
        with self.guarded():
            for parameter in getattr(node, "type_params", ()):
                self.visit_all([getattr(parameter, "bound", None), getattr(parameter, "default_value", None)])

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_signature(node)
        with self.aside(), self.guarded(), self.inside(scopes.function_scope(node)):
            self.visit(node.body)

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
        self.names.reads_everything |= node.attr in NAMESPACES
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
            if name in TEXT_CALLS:
                self.names.runs_texts = True
            elif name in DYNAMIC and name != "__import__":
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
        self.names.attributes.update(constants[:1] if method.startswith("run_") else ())
        self.names.reads_everything |= (
            method.startswith("run_") and constants[:1] != [] and constants[0] in NAMESPACE_MAGICS
        )
        runs_last = method.startswith("run_") and constants[:1] and constants[0] in CODE_MAGICS
        if constants[:1] == ["run"]:
            self.run_script(constants[1:])
        for text in constants[:-1] if runs_last else constants:
            self.read_text(text)
        if runs_last:
            self.run_text(constants[-1])

    def run_script(self, line: list[str]) -> None:
        """``%run``: what it reads is known once the file is read, except where the line is filled in."""
        told = run_lines.read(line[0] if line else "")
        if told.script is None:
            self.names.reads_everything |= told.is_inside
        else:
            self.names.scripts.add((told.script, told.is_inside))

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
