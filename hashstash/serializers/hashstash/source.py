"""The source text of one function, cut out by the position of its code, and code made from such a text again.

Marshalled code only runs on the Python that compiled it; the text runs on all. A piece of text keeps its line and its
column: blank lines stand above it, and where the function closes over names or lies in a class (whose name is part of
``__private`` names), a ``class`` and a ``def`` around it give it the same scopes. So it compiles to the same code with
the same positions, which is checked before a text is trusted, since the file may have changed after its import.
"""

from __future__ import annotations
import __future__

import ast
import hashlib
import inspect
import linecache
import types
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from hashstash.errors import BadEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FUNCTION_NODES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
FUTURE_FLAGS = 0
for _name in __future__.all_feature_names:
    FUTURE_FLAGS |= getattr(__future__, _name).compiler_flag
FACTORY = "_factory"
GENERIC = "<generic parameters of {}>"
GENERATED_BY_DATACLASSES = "__create_fn__.<locals>."


class Source(NamedTuple):
    """The text of a function, where it begins (line from 1, column from 0), and the scopes that it needs around it.

    ``margin`` is the white space before a ``def``, and ``None`` for a lambda. ``imports`` are the names in the text that
    its module imports: Python compiles ``math.sqrt(x)`` in another way where it sees that ``math`` is a module.
    """

    text: str
    line: int
    column: int
    margin: str | None
    class_name: str
    names: list[str]
    imports: Sequence[str] = ()

    def placed(self) -> str:
        """A module in which the text stands at its line and column."""
        scopes = self.scopes()
        if self.margin is None:
            start = " " * len(scopes) + "("
            body = start + " " * (self.column - len(start)) + self.text + "\n)"
            margin = start
        else:
            margin = self.margin
            body = margin + self.text
        heads = [*scopes.values()] or (["if True:"] if self.margin else [])
        lines = [margin[:depth] + head for depth, head in enumerate(heads)]
        # Below the text, since nothing need stand above it; a compiler reads the whole module first.
        imports = f"\nimport {', '.join(self.imports)}\n" if self.imports else ""
        return "\n" * (self.line - 1 - len(lines)) + "".join(line + "\n" for line in lines) + body + "\n" + imports

    def scopes(self) -> dict[str, str]:
        """The scopes around the text, outermost first: their names and the lines that open them."""
        scopes = {self.class_name: f"class {self.class_name}:"} if self.class_name else {}
        names = [name for name in self.names if name != "__class__" or not self.class_name]
        if names:
            scopes[FACTORY] = f"def {FACTORY}({', '.join(names)}):"
        return scopes


class SourceFile(NamedTuple):
    """The lines of a file, the functions that begin on each of them, and the names that the module imports."""

    lines: list[str]
    functions: dict[int, list[tuple[FunctionNode, str]]]
    imports: set[str]


class SourceFiles:
    """The functions in the files of one document, each file parsed once."""

    def __init__(self) -> None:
        self._files: dict[str, SourceFile] = {}

    def find(self, code: types.CodeType) -> Source | None:
        """The text that *code* was compiled from, or ``None`` where there is none or it has changed."""
        if code.co_filename not in self._files:
            self._files[code.co_filename] = _parse(linecache.getlines(code.co_filename))
        lines, functions, imports = self._files[code.co_filename]
        candidates = [one for one in functions.get(code.co_firstlineno, []) if _fits(code, one[0])]
        for node, class_name in sorted(candidates, key=lambda one: _extent(one[0])):
            own = {parameter.name for parameter in getattr(node, "type_params", ())}
            source = _cut(lines, node, class_name, sorted(set(code.co_freevars) - own))
            source = source._replace(imports=sorted(imports.intersection(_names_in(code))))
            if _is_source_of(source, code):
                return source
        return None


def _parse(lines: list[str]) -> SourceFile:
    functions: dict[int, list[tuple[FunctionNode, str]]] = {}
    imports: set[str] = set()
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return SourceFile(lines, functions, imports)
    pending: list[tuple[ast.AST, str, bool]] = [(tree, "", True)]
    while pending:
        node, class_name, is_module_level = pending.pop()
        if isinstance(node, FUNCTION_NODES):
            functions.setdefault(_first_line(node), []).append((node, class_name))
        elif isinstance(node, (ast.Import, ast.ImportFrom)) and is_module_level:
            imports.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        inside = node.name if isinstance(node, ast.ClassDef) else class_name
        is_module_level = is_module_level and not isinstance(node, (*FUNCTION_NODES, ast.ClassDef))
        pending.extend((child, inside, is_module_level) for child in ast.iter_child_nodes(node))
    return SourceFile(lines, functions, imports - {"*"})


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)


def _first_line(node: FunctionNode) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _extent(node: FunctionNode) -> tuple[int, int]:
    return (node.end_lineno or 0) - node.lineno, (node.end_col_offset or 0) - node.col_offset


def _fits(code: types.CodeType, node: FunctionNode) -> bool:
    """Whether *node* has the name of *code*, and a lambda all of its positions."""
    if not isinstance(node, ast.Lambda):
        return node.name == code.co_name
    if code.co_name != "<lambda>":
        return False
    body = node.body
    start, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
    return all(start <= first and last <= end for first, last in _positions(code))


def _positions(code: types.CodeType) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for line, end_line, column, end_column in code.co_positions():
        # The prologue is placed at the first line, column 0, without extent.
        if line is not None and end_line is not None and column is not None and end_column:
            yield (line, column), (end_line, end_column)


def _cut(lines: list[str], node: FunctionNode, class_name: str, names: list[str]) -> Source:
    first = _first_line(node)
    start = node.col_offset
    last = node.end_lineno or first
    pieces = [line.encode() for line in lines[first - 1 : last]]
    end = pieces[-1].rstrip()
    if isinstance(node, ast.Lambda) or not end[node.end_col_offset :].lstrip().startswith(b"#"):
        end = end[: node.end_col_offset]
    pieces[-1] = end
    prefix, pieces[0] = pieces[0][:start], pieces[0][start:]
    margin = None if isinstance(node, ast.Lambda) else prefix.decode()
    return Source(b"".join(pieces).decode(), first, len(prefix.decode()), margin, class_name, names)


def compile_source(source: Source, name: str, flags: int, filename: str) -> types.CodeType | None:
    """The code of the function that *source* defines, or ``None`` if it defines none of that *name*."""
    module = compile(source.placed(), filename, "exec", flags & FUTURE_FLAGS, dont_inherit=True)
    code: types.CodeType | None = module
    for scope in source.scopes():
        code = code and _last_code(code, scope)
    if code is None:
        return None
    generic = _last_code(code, GENERIC.format(name))
    return _last_code(generic or code, name)


def _last_code(code: types.CodeType, name: str) -> types.CodeType | None:
    # The last one: lambdas among the defaults of a lambda, or in a decorator, are compiled before it.
    found = [const for const in code.co_consts if isinstance(const, types.CodeType) and const.co_name == name]
    return found[-1] if found else None


def _is_source_of(source: Source, code: types.CodeType) -> bool:
    try:
        compiled = compile_source(source, code.co_name, code.co_flags, code.co_filename)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return compiled is not None and shape(compiled) == shape(code)


def shape(code: types.CodeType) -> tuple[Any, ...]:
    """What *code* does, without where it stands."""
    constants = tuple(shape(const) if isinstance(const, types.CodeType) else _typed(const) for const in code.co_consts)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~inspect.CO_NESTED)
    return code.co_name, code.co_code, constants, names, counts, code.co_exceptiontable


def _typed(constant: object) -> tuple[str, object]:
    if isinstance(constant, (tuple, frozenset)):
        parts = [_typed(part) for part in constant]
        return type(constant).__name__, tuple(parts if isinstance(constant, tuple) else sorted(parts, key=repr))
    return type(constant).__name__, repr(constant)


def settle(code: types.CodeType, source: Source | None) -> types.CodeType:
    """*code* with a file name under which tracebacks and ``inspect`` find its text."""
    if source is None or _stands_in(code.co_filename, source):
        return code
    text = source.placed()
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    filename = f"<stashed {code.co_name.strip('<>')} {digest}>"
    # Without a modification time, linecache never drops the entry in favour of a file that does not exist.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    return rename(code, filename)


def _stands_in(filename: str, source: Source) -> bool:
    lines = linecache.getlines(filename)
    count = source.text.count("\n") + 1
    there = "".join(lines[source.line - 1 : source.line - 1 + count])
    return there[source.column :].startswith(source.text)


def rename(code: types.CodeType, filename: str) -> types.CodeType:
    """*code* and all code within it with another file name."""
    constants = tuple(
        rename(const, filename) if isinstance(const, types.CodeType) else const for const in code.co_consts
    )
    return code.replace(co_filename=filename, co_consts=constants)


def recompile(source: Source | None, name: str, qualified_name: str, flags: int, written_by: str) -> types.CodeType:
    """The code of a function that another Python version wrote."""
    if source is None:
        raise BadEntry(
            f"the function {qualified_name} was stored by Python {written_by} without source text; "
            "read it with that version, or store it again"
        )
    try:
        code = compile_source(source, name, flags, f"<stashed {name}>")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadEntry(
            f"the source of {qualified_name}, stored by Python {written_by}, does not compile here: {error}"
        ) from error
    if code is None:
        raise BadEntry(f"the stored source of {qualified_name} does not define it; store it again")
    return code.replace(co_qualname=qualified_name)
