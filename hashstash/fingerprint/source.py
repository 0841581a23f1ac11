"""From a live code object to the syntax tree it was compiled from, and to bytes that only a change of meaning changes.

Source text counts only if compiling it gives the live code. Where it does not (an edited file that was not reloaded,
code from ``exec``), the code object itself is digested; such a digest belongs to one version of Python.
"""

from __future__ import annotations
import __future__

import ast
import linecache
import struct
import threading
import warnings
import weakref
from collections import Counter, defaultdict
from hashlib import blake2b
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_IGNORED_FIELDS: Final = frozenset({"ctx", "kind", "type_comment", "type_ignores", "show_empty"})
_EVALUATED_AT_DEFINITION: Final = frozenset({"decorator_list", "defaults", "kw_defaults"})
_FUTURE_FLAGS: Final = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_FUNCTION_NODES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_INDEXES_KEPT: Final = 256
_PACK_LENGTH: Final = struct.Struct("<cI").pack
_PACK_COUNT: Final = struct.Struct("<I").pack

Result = TypeVar("Result")


def canonical_ast(node: ast.AST) -> bytes:
    """Bytes that are equal for equal programs, whatever their formatting, comments, quotes and redundant parentheses.

    Docstrings and annotations count; positions do not, nor do fields that newer versions of Python add and leave empty.
    """
    return _canonical(node, frozenset())


def _canonical(root: ast.AST, left_out: frozenset[str]) -> bytes:
    """Walk with a stack, since a long sum nests as deep as it is long; *left_out* are fields of the root."""
    out = bytearray()
    stack: list[Any] = [root]
    arguments = getattr(root, "args", None)
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is bytes:  # written already
            out += item
        elif kind is list:
            out += _PACK_LENGTH(b"[", len(item))
            stack.extend([part if isinstance(part, ast.AST) else _part(part) for part in reversed(item)])
        else:
            is_root = left_out and (item is root or item is arguments)
            fields = _fields(item, left_out) if is_root else _fields(item)
            out += _heads[kind] + _PACK_COUNT(len(fields))
            for name, value in reversed(fields):
                stack.append(value if isinstance(value, (ast.AST, list)) else _constant(value))
                stack.append(name)
    return bytes(out)


def _part(value: Any) -> Any:
    """A part of a list in a tree: a list as it is, or anything plain as it is written."""
    return value if type(value) is list else _constant(value)


class _Heads(dict[type, bytes]):
    """By kind of node, how its name is written."""

    def __missing__(self, kind: type) -> bytes:
        self[kind] = head = _text(b"<", kind.__name__)
        return head


class _FieldNames(dict[type, tuple[tuple[str, bytes], ...]]):
    """By kind of node, the fields that may count, each with its name as it is written."""

    def __missing__(self, kind: type) -> tuple[tuple[str, bytes], ...]:
        names: tuple[str, ...] = getattr(kind, "_fields", ())
        self[kind] = found = tuple((name, _text(b".", name)) for name in names if name not in _IGNORED_FIELDS)
        return found


_heads: Final = _Heads()
_field_names: Final = _FieldNames()


def _fields(node: ast.AST, left_out: frozenset[str] = frozenset()) -> list[tuple[bytes, Any]]:
    if isinstance(node, (ast.Constant, ast.MatchSingleton)):
        return [(_VALUE, node.value)]
    if isinstance(node, ast.JoinedStr):
        return [(_VALUES, _joined(node.values))]
    found = [(name, written, getattr(node, name, None)) for name, written in _field_names[type(node)]]
    return [(written, value) for name, written, value in found if value not in (None, []) and name not in left_out]


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string with literal neighbours as one; some Pythons leave empty or split literals."""
    parts: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant) and parts and isinstance(parts[-1], ast.Constant):
            parts[-1] = ast.Constant(str(parts[-1].value) + str(value.value))
        else:
            parts.append(value)
    return [part for part in parts if not (isinstance(part, ast.Constant) and part.value == "")]


def _text(tag: bytes, text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return _PACK_LENGTH(tag, len(data)) + data


_VALUE: Final = _text(b".", "value")
_VALUES: Final = _text(b".", "values")


def _constant(value: Any) -> bytes:
    """A constant with its type: floats by repr, so that ``-0.0`` differs; frozensets sorted."""
    kind = type(value)
    if kind is str:
        return _text(b"u", value)
    if kind is bytes:
        return struct.pack("<cI", b"b", len(value)) + bytes(value)
    if kind is int:
        return _text(b"i", f"{value:x}")
    if kind in (float, complex, bool, type(None), type(...)):
        return _text(b"c", f"{kind.__name__} {value!r}")
    if kind is tuple:
        return struct.pack("<cI", b"(", len(value)) + b"".join(map(_constant, value))
    if kind is frozenset:
        return struct.pack("<cI", b"{", len(value)) + b"".join(sorted(map(_constant, value)))
    if kind is slice:
        return b":" + _constant((value.start, value.stop, value.step))
    if kind is CodeType:
        return b"C" + code_form(value)
    raise TypeError(f"a constant of type {kind.__name__} in a syntax tree; the tree was not made by Python's parser")


class PerCode(Generic[Result]):
    """Results by the identity of a code object, which never changes; dropped together with it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[CodeType], Result]] = {}

    def get(self, code: CodeType) -> Result | None:
        known = self._known.get(id(code))
        return known[1] if known is not None and known[0]() is code else None

    def put(self, code: CodeType, result: Result) -> Result:
        key = id(code)
        self._known[key] = (weakref.ref(code, lambda ref: self._drop(key, ref)), result)
        return result

    def _drop(self, key: int, ref: weakref.ref[CodeType]) -> None:
        known = self._known.get(key)
        if known is not None and known[0] is ref:
            del self._known[key]


_forms = PerCode[bytes]()
_digests = PerCode[bytes]()


def code_form(code: CodeType) -> bytes:
    """The digest of what a code object does, without its file and lines. It belongs to one version of Python."""
    known = _forms.get(code)
    if known is not None:
        return known
    parts = (
        *(code.co_name, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
        *(code.co_code, code.co_exceptiontable, code.co_consts),
        *(code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
    )
    return _forms.put(code, blake2b(_constant(parts), digest_size=16, person=b"code object").digest())


class SourceIndex:
    """The functions in one source text: their syntax trees, found by the code that they compile to."""

    def __init__(self, text: str, filename: str, flags: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, filename)
            nodes = _functions_by_place(tree, text.count("\n") + 2)
            code = compile(tree, filename, "exec", flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        self._by_form: dict[bytes, list[tuple[int, ast.AST]]] = defaultdict(list)
        for inner in _inner_codes(code):
            if found := nodes.get((inner.co_name, inner.co_firstlineno)):
                self._by_form[code_form(inner)].append(found)

    def node_of(self, code: CodeType) -> ast.AST | None:
        """The function that compiles to *code*, or ``None``. Of several, one at its line; all do the same."""
        found = self._by_form.get(code_form(code), ())
        here = [node for line, node in found if line == code.co_firstlineno] or [node for _, node in found]
        return min(here, key=function_form, default=None)


def _functions_by_place(tree: ast.AST, first_free_line: int) -> dict[tuple[str, int], tuple[int, ast.AST]]:
    """``{(name, line in the compiled code): (line in the text, node)}``.

    Lambdas that share a line are moved to lines of their own before compiling, since nothing else tells them apart when
    their code has no positions; with all that is in them, since some Pythons compile it differently on another line.
    """
    nodes = [node for node in ast.walk(tree) if isinstance(node, _FUNCTION_NODES)]
    lines = [node.lineno for node in nodes]
    crowd = Counter(line for node, line in zip(nodes, lines, strict=True) if isinstance(node, ast.Lambda))
    places: dict[tuple[str, int], tuple[int, ast.AST]] = {}
    for number, (node, line) in enumerate(zip(nodes, lines, strict=True), 1):
        if isinstance(node, ast.Lambda):
            if crowd[line] > 1:
                ast.increment_lineno(node, line + number * first_free_line - node.lineno)
            places["<lambda>", node.lineno] = (line, node)
        else:
            line = min((decorator.lineno for decorator in node.decorator_list), default=node.lineno)
            places[node.name, line] = (line, node)
    return places


def _inner_codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inner_codes(constant)


def function_form(node: ast.AST) -> bytes:
    """The digest of a function's tree, without decorators and defaults: what they made is hashed by value."""
    return blake2b(_canonical(node, _EVALUATED_AT_DEFINITION), digest_size=16, person=b"function tree").digest()


_indexes: dict[tuple[str, str, int], SourceIndex | None] = {}
_indexes_lock = threading.Lock()


def source_index(filename: str, text: str, flags: int = 0) -> SourceIndex | None:
    """The index of *text*, or ``None`` if it does not compile; a few are kept."""
    key = (filename, text, flags)
    with _indexes_lock:
        if key not in _indexes:
            while len(_indexes) >= _INDEXES_KEPT:
                del _indexes[next(iter(_indexes))]
            try:
                _indexes[key] = SourceIndex(text, filename, flags)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                _indexes[key] = None
        return _indexes[key]


def node_of_code(code: CodeType, module_globals: dict[str, Any] | None = None) -> ast.AST | None:
    """The syntax tree of the function with this *code*, or ``None`` if no known text compiles to it."""
    flags = code.co_flags & _FUTURE_FLAGS
    seen = None
    for attempt in range(2):
        text = "".join(linecache.getlines(code.co_filename, module_globals))
        if not text or text == seen:
            return None
        index = source_index(code.co_filename, text, flags)
        node = index.node_of(code) if index is not None else None
        if node is not None:
            return node
        if attempt == 0:
            # The text may have been read before an edit and a reload.
            linecache.checkcache(code.co_filename)
            seen = text
    return None


def code_digest(code: CodeType, module_globals: dict[str, Any] | None = None) -> bytes:
    """The digest of a function's code: of its syntax tree where that is known, else of the code object.

    It is kept for the life of the code object: a later edit of the file cannot change what is loaded.
    """
    known = _digests.get(code)
    if known is not None:
        return known
    node = node_of_code(code, module_globals)
    if node is None:
        return _digests.put(code, b"code" + code_form(code))
    return _digests.put(code, b"tree" + function_form(node) + _constant(code.co_freevars))
