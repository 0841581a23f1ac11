"""One cell: its tree, the digest of its code, and running it as the shell would."""

from __future__ import annotations
import __future__

import ast
import inspect
import io
import tokenize
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

from hashstash.cells.shell import cell_number
from hashstash.fingerprint import Fingerprinter, canonical_ast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from types import CodeType

    from hashstash.cells.shell import Shell

_PERSON = b"hashstash cell 1"
_KNOWN_TRANSFORMERS = ("IPython.", "hashstash.")
_CELLS_KEPT = 32
_transformed: dict[tuple[str, tuple[Any, ...]], str] = {}
_codes: dict[tuple[str, int], tuple[ast.Module, blake2b]] = {}
_TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_FUTURE_MASK: int = sum(
    {getattr(__future__, name).compiler_flag for name in __future__.all_feature_names if name != "nested_scopes"}
)
"""The compiler's flags for imports from there, each a bit; that of nested scopes has another meaning by now."""
_IGNORED_TOKENS = frozenset({tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.ENDMARKER, tokenize.DEDENT})


@dataclass(slots=True)
class Cell:
    """A parsed cell."""

    shell: Shell
    text: str
    source: str
    """The text with magics and shell lines as Python."""
    tree: ast.Module
    is_quiet: bool
    """Whether the last value is not shown, because of a ``;``."""
    digest: bytes = field(default=b"")

    @classmethod
    def parse(cls, shell: Shell, text: str) -> Cell:
        """Parse the text below ``%%stash``; a ``SyntaxError`` is the user's."""
        source = transformed(shell, text)
        tree, hasher = _code_of(shell, source)
        cell = cls(shell, text, source, tree, ends_with_semicolon(source))
        cell.digest = cell._digest(hasher)
        return cell

    def _digest(self, hasher: blake2b) -> bytes:
        """The identity of the code: comments and formatting do not count, options of the compiler do."""
        hasher.update(repr((self.is_quiet, self.shell.ast_node_interactivity, _future_flags(self.shell))).encode())
        transformers = getattr(self.shell, "ast_transformers", None)
        if transformers:
            hasher.update(Fingerprinter().walk(list(transformers)).digest)
        return hasher.digest()

    def run(self) -> Any:
        """Run the cell in the user's namespace and return the value of its last expression."""
        __tracebackhide__ = True
        value = None
        for code, is_last in self._codes(flags=0):
            outcome = eval(code, self.shell.user_ns)  # noqa: S307 - the user's own cell
            value = outcome if is_last else None
        return value

    async def run_async(self) -> Any:
        """The same for a cell with ``await`` at its top."""
        __tracebackhide__ = True
        value = None
        for code, is_last in self._codes(flags=_TOP_LEVEL_AWAIT):
            outcome = eval(code, self.shell.user_ns)  # noqa: S307 - the user's own cell
            if code.co_flags & inspect.CO_COROUTINE:
                outcome = await _awaitable(outcome)
            value = outcome if is_last else None
        return value

    def _codes(self, *, flags: int) -> Iterator[tuple[CodeType, bool]]:
        """The compiled parts in their order; the last may be an expression whose value is the cell's.

        As the shell does it, each statement by itself: a debugger then stops where it stops in a plain cell.
        """
        tree = self.shell.transform_ast(parse(self.shell, self.source))
        filename = self.shell.compile.cache(self.source, cell_number(self.shell))
        body, shown, last = _split(tree.body, self.shell.ast_node_interactivity)
        for statement in body:
            yield self._compile(ast.Module([statement], []), filename, "exec", flags), False
        for node in shown:
            yield self._compile(ast.Interactive([node]), filename, "single", flags), False
        if last is not None:
            yield self._compile(ast.Expression(last), filename, "eval", flags), not self.is_quiet

    def _compile(self, tree: ast.AST, filename: str, mode: str, flags: int) -> CodeType:
        with self.shell.compile.extra_flags(flags):
            code: CodeType = self.shell.compile(tree, filename, mode)
        rename = getattr(self.shell, "_update_code_co_name", None)  # IPython 7.34 to 8: tracebacks name the line
        return code if rename is None else rename(code)


def transformed(shell: Shell, text: str) -> str:
    """The text with magics and shell lines as Python: ``shell.transform_cell``, not asked again about the last cells.

    Where others have a say in it, or the variables (as in a cell of one line, by automatic calls), it is asked each time.
    """
    ways = None if "%%" in text else _ways_to_transform(shell)
    known = _transformed.get((text, ways)) if ways else None
    if known is not None:
        return known
    source = shell.transform_cell(text)
    if ways and len(source.splitlines()) > 1:
        _keep(_transformed, (text, ways), source)
    return source


def _ways_to_transform(shell: Any) -> tuple[Any, ...] | None:
    """The transformers of the shell if all are its own or ours, which look at nothing but the text; else ``None``."""
    manager = getattr(shell, "input_transformer_manager", None)
    if manager is None or "transform_cell" in vars(shell):
        return None
    kinds = (manager.cleanup_transforms, manager.line_transforms, manager.token_transformers)
    ways = tuple(way for kind in kinds for way in kind)
    modules = [str(getattr(way, "__module__", "")) for way in (type(shell).transform_cell, *ways)]
    return ways if all(module.startswith(_KNOWN_TRANSFORMERS) for module in modules) else None


def _code_of(shell: Shell, source: str) -> tuple[ast.Module, blake2b]:
    """The tree, which nobody may change, and a hasher that has taken it in; kept, since most cells run again as they are."""
    key = source, int(shell.compile.flags)
    known = _codes.get(key)
    if known is None:
        tree = parse(shell, source)
        known = tree, blake2b(canonical_ast(tree), digest_size=16, person=_PERSON)
        _keep(_codes, key, known)
    return known[0], known[1].copy()


def _keep(table: dict[Any, Any], key: Any, value: Any) -> None:
    while len(table) >= _CELLS_KEPT:
        del table[next(iter(table))]
    table[key] = value


async def _awaitable(coroutine: Awaitable[Any]) -> Any:
    return await coroutine


def parse(shell: Shell, source: str) -> ast.Module:
    """The tree of Python source, with ``await`` allowed at its top."""
    with shell.compile.extra_flags(_TOP_LEVEL_AWAIT):
        tree: ast.Module = shell.compile.ast_parse(source)
    return tree


def kind_of(shell: Shell, text: str) -> Literal["plain", "awaits", "broken"]:
    """Whether the cell is no valid Python, or can only run inside an event loop, or neither."""
    try:
        tree, _ = _code_of(shell, transformed(shell, text))
        with shell.compile.extra_flags(_TOP_LEVEL_AWAIT):
            code: CodeType = shell.compile(tree, "<cell>", "exec")
    except (SyntaxError, ValueError, OverflowError):
        return "broken"
    return "awaits" if code.co_flags & inspect.CO_COROUTINE else "plain"


def ends_with_semicolon(source: str) -> bool:
    """Whether the last token of the code is ``;``."""
    if ";" not in source:
        return False  # as nearly always
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type not in _IGNORED_TOKENS:
                last = token.string
    except (tokenize.TokenError, SyntaxError):
        return False
    return last == ";"


def _split(body: list[ast.stmt], interactivity: str) -> tuple[list[ast.stmt], list[ast.stmt], ast.expr | None]:
    """What runs silently, what is shown while it runs, and the expression whose value is the cell's."""
    if interactivity == "last_expr_or_assign" and body:
        body = [*body, *_assigned(body[-1])]
    last = body[-1] if body else None
    if interactivity == "all":
        return ([], body[:-1], last.value) if isinstance(last, ast.Expr) else ([], body, None)
    if interactivity == "none" or not isinstance(last, ast.Expr):
        return body, [], None
    return body[:-1], [], last.value


def _assigned(statement: ast.stmt) -> list[ast.stmt]:
    """An expression that shows what the assignment bound, if it bound one name."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    if (
        isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign)
        and len(targets) == 1
        and isinstance(targets[0], ast.Name)
    ):
        name = ast.copy_location(ast.Name(targets[0].id, ast.Load()), statement)
        return [ast.copy_location(ast.Expr(name), statement)]
    return []


def _future_flags(shell: Shell) -> int:
    """The ``from __future__`` imports that earlier cells left in force."""
    return int(shell.compile.flags) & _FUTURE_MASK
