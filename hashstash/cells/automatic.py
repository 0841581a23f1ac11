"""Which plain cells may be recorded without anybody having said so, as far as their text tells.

A record holds variables, outputs, files, and some state around them. What a cell does to the shell or to the settings of a
library is in no record, so such a cell runs every time. When in doubt it runs: a cell that is taken for one that changes
settings costs its time, the opposite would be wrong.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hashstash.cells import scopes
from hashstash.fingerprint.packages import Origin, origin_of_module, origin_of_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hashstash.cells.cell import Cell
    from hashstash.cells.shell import Shell

CELL_MAGICS = frozenset({"time", "capture", "bash", "sh", "!", "sx", "system"})
"""Cell magics that do no more to the shell than the code below them does."""
LINE_MAGICS = frozenset({"time", "timeit", "sx", "system", "ls", "ll", "cat", "pwd", "who", "whos", "stash_map"})
_COMMANDS = frozenset({"bash", "sh", "!", "sx", "system", "ls", "ll", "cat"})
_WITH_CODE = frozenset({"time", "timeit", "capture"})
_ASKS = frozenset({"input", "getpass", "breakpoint", "set_trace", "post_mortem", "pm"})
_INSTALLERS = re.compile(
    r"(?:^|[;&|]|\bsudo|-m)\s*"
    r"(pip3?|conda|mamba|micromamba|apt|apt-get|brew|npm|yarn|uv|poetry|git|wget|curl|make|rm|mv|kill|pkill|service)\b"
)
_SETTERS = re.compile(
    r"set|set_\w+|set[A-Z]\w*|use|use_\w+|enable\w*|disable\w*|(?:un|de)?register\w*|init\w*|install\w*|patch\w*|config\w*"
    r"|login|logout|extension|monkey_?patch\w*|(?:manual_)?seed\w*|activate\w*|pandas|rc|rcdefaults|reset\w*|ion|ioff"
    r"|\w*autolog|filterwarnings|simplefilter|basicConfig|dictConfig|fileConfig|captureWarnings|seterr\w*|signal|load_dotenv"
)
_NO_SETTERS = frozenset({"set_node_attributes", "set_edge_attributes", "set_index", "set_axis", "use_inf_as_na"})
SETTERS = frozenset({
    "set_option", "set_options", "set_theme", "set_printoptions", "set_config", "filterwarnings", "simplefilter",
    "basicConfig", "dictConfig", "captureWarnings", "seterr", "manual_seed", "set_default_dtype", "setrecursionlimit",
    "register_matplotlib_converters", "set_matplotlib_formats", "autolog", "load_dotenv", "get_ipython",
}) | _ASKS  # fmt: skip
"""Calls that count wherever a function of the user's makes them."""
_CHANGES = frozenset({"update", "append", "insert", "extend", "setdefault", "pop", "clear"})
_SHELTERS = {
    "catch_warnings": frozenset({"filterwarnings", "simplefilter", "resetwarnings"}),
    "rc_context": frozenset({"rc", "rcParams", "update", "use"}),
}
"""Managers that put settings back -> what may be called or set inside."""
_SURROUNDINGS = frozenset({"os.environ", "sys.path", "random", "numpy.random"})
"""State of modules that a record does hold."""


def comment_says(source: str) -> str | None:
    """What a comment ``# stash: WORD`` says, or ``None`` if there is none."""
    if "stash" not in source:
        return None
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            found = re.match(r"#+\s*stash:\s*(\S*)", token.string) if token.type == tokenize.COMMENT else None
            if found is not None:
                return found[1].lower()
    except (tokenize.TokenError, SyntaxError):
        pass  # magics and shell lines are no Python
    return None


def runs_commands(cell: Cell) -> bool:
    """Whether the cell's text starts other programs: what those read and write cannot be heard."""
    for node in ast.walk(cell.tree):
        if isinstance(node, ast.Name | ast.Attribute) and scopes.final_name(node) in ("subprocess", "popen", "Popen"):
            return True
        if isinstance(node, ast.Call) and _shell_call(node) is not None:
            name, first = scopes.final_name(node.func), scopes.constant_text(node.args[0]) if node.args else None
            if name in ("system", "getoutput") or first in _COMMANDS:
                return True
            if first in _WITH_CODE and "!" in (scopes.constant_text(node.args[-1]) or ""):
                return True
    return any(
        isinstance(node, ast.Attribute) and node.attr == "system" and scopes.final_name(node.value) == "os"
        for node in ast.walk(cell.tree)
    )


def reason_to_run(cell: Cell, namespace: Mapping[str, Any]) -> str | None:
    """Why the cell runs every time, completing "the cell ..."; ``None`` if it may be recorded."""
    if all(map(_is_definition, cell.tree.body)):
        return "only imports and defines"
    look = _Look(cell.shell, namespace)
    look.visit(cell.tree)
    return look.reason


def _is_definition(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ClassDef):
        return all(map(_is_definition, statement.body))
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        is_named = all(isinstance(target, ast.Name) for target in targets)
        return is_named and isinstance(statement.value, ast.Constant | None)
    definitions = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.Pass
    return isinstance(statement, definitions) or scopes.is_bare_string(statement)


class _Look(ast.NodeVisitor):
    """A look at everything that a cell's text calls and sets; ``reason`` is the first that speaks against a record."""

    def __init__(self, shell: Shell, namespace: Mapping[str, Any]) -> None:
        self.shell = shell
        self.namespace = namespace
        self.imported: dict[str, str] = {}
        """Names that the cell imports -> their dotted origin."""
        self.reason: str | None = None
        self.sheltered: frozenset[str] = frozenset()

    def visit(self, node: ast.AST) -> None:
        if self.reason is None:
            super().visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imported[scopes.imported_as(alias)] = alias.name if alias.asname else alias.name.partition(".")[0]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                continue
            self.imported[scopes.imported_as(alias)] = f"{'.' * node.level}{node.module or ''}.{alias.name}"

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        outer = self.sheltered
        for item in node.items:
            self.visit(item.context_expr)
            self.sheltered |= _SHELTERS.get(scopes.final_name(item.context_expr) or "", frozenset())
        self._visit_all(node.body)
        self.sheltered = outer

    visit_AsyncWith = visit_With  # noqa: N815

    def visit_Name(self, node: ast.Name) -> None:
        if node.id == "get_ipython":
            self.reason = "speaks to the shell"

    def visit_Assign(self, node: ast.Assign) -> None:
        self._check_targets(node.targets)
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._check_targets(node.targets)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign | ast.AnnAssign) -> None:
        self._check_targets([node.target])
        self.generic_visit(node)

    visit_AnnAssign = visit_AugAssign  # noqa: N815

    def visit_Call(self, node: ast.Call) -> None:
        call = _shell_call(node)
        if call is not None:
            self._check_shell_call(call, node)
            self._visit_all(node.args[2:])
            return
        name, place = scopes.final_name(node.func), self._place(node.func)
        if name in _ASKS:
            self.reason = f"asks (`{name}`)"
        elif name in ("setattr", "delattr") and node.args and self._place(node.args[0]) is not None:
            self.reason = f"sets an attribute of {self._place(node.args[0])}"
        elif place is not None and name is not None and self._is_setter(name, place):
            self.reason = f"may change settings (`{ast.unparse(node.func)}`)"
        self.generic_visit(node)

    def _is_setter(self, name: str, place: str) -> bool:
        if place in _SURROUNDINGS or name in self.sheltered or name in _NO_SETTERS:
            return False
        return _SETTERS.fullmatch(name) is not None or (name in _CHANGES and "." in place)

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def _check_targets(self, targets: Iterable[ast.expr]) -> None:
        for target in targets:
            if isinstance(target, ast.Tuple | ast.List):
                self._check_targets(target.elts)
            elif isinstance(target, ast.Attribute | ast.Subscript):
                place = self._place(target)
                is_sheltered = place is not None and place.rpartition(".")[2] in self.sheltered
                if place is not None and place not in _SURROUNDINGS and not is_sheltered:
                    self.reason = f"sets something in {place}"

    def _place(self, node: ast.expr) -> str | None:
        """The dotted place in an installed module or a class of one by which the expression begins, else ``None``.

        Of ``numpy.random.seed`` and of ``numpy.random[0]`` it is ``numpy.random``: the last step leads to what is called or set.
        """
        if isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        names: list[str] = []
        while isinstance(node, ast.Attribute | ast.Subscript):
            names = [node.attr, *names] if isinstance(node, ast.Attribute) else []
            node = node.value
        root = self._root(node.id) if isinstance(node, ast.Name) else None
        return None if root is None else ".".join([root, *names])

    def _root(self, name: str) -> str | None:
        if name in self.imported:
            dotted = self.imported[name]
            return None if dotted.startswith(".") or _is_users(dotted.partition(".")[0]) else dotted
        value = self.namespace.get(name)
        if isinstance(value, ModuleType):
            return value.__name__ if origin_of_module(value) is not Origin.USER else None
        if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
            module = getattr(value, "__module__", None)
            return f"{module}.{name}" if module and origin_of_name(module) is not Origin.USER else None
        return None

    # -- magics and shell lines, as the shell writes them in Python

    def _check_shell_call(self, call: str, node: ast.Call) -> None:
        first = scopes.constant_text(node.args[0]) if node.args else None
        if call in ("system", "getoutput"):
            self._check_command(first)
        elif call == "run_cell_magic":
            self._check_magic(f"%%{first}", first in CELL_MAGICS, node)
        elif call == "run_line_magic":
            self._check_magic(f"%{first}", first in LINE_MAGICS, node)
        else:
            self.reason = "speaks to the shell"

    def _check_magic(self, shown: str, is_known: bool, node: ast.Call) -> None:
        name, texts = shown.strip("%"), [scopes.constant_text(argument) for argument in node.args[1:]]
        if not is_known or None in texts:
            self.reason = f"holds {shown}"
        elif name in _COMMANDS:
            self._check_command("\n".join(map(str, texts)))
        elif name in _WITH_CODE:
            self._check_code(str(texts[-1]), shown)

    def _check_command(self, command: str | None) -> None:
        if command is None or command.rstrip().endswith("&") or "--bg" in command:
            self.reason = "starts a command that is not known or goes on"
            return
        found = _INSTALLERS.search(command)
        if found is not None:
            self.reason = f"runs `{found[1]}`"

    def _check_code(self, text: str, shown: str) -> None:
        code = re.sub(r"^(\s*-{1,2}\w\S*(\s+\d+)?)+", "", text) if shown.count("%") == 1 else text
        try:
            tree = ast.parse(self.shell.transform_cell(code))
        except SyntaxError:
            self.reason = f"holds {shown} with code that cannot be looked at"
            return
        self.visit(tree)


def _shell_call(node: ast.Call) -> str | None:
    """The method, if this is a call of a method of ``get_ipython()``."""
    func = node.func
    if not isinstance(func, ast.Attribute) or not isinstance(func.value, ast.Call):
        return None
    inner = func.value.func
    return func.attr if isinstance(inner, ast.Name) and inner.id == "get_ipython" else None


def _is_users(root: str) -> bool:
    module = sys.modules.get(root)
    return isinstance(module, ModuleType) and origin_of_module(module) is Origin.USER
