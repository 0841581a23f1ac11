"""The text of the user's functions that a value leads to, packed small: beside a record it tells later which lines were edited.

Code is kept as the cell's own is. What stands between functions in a file is kept as far as it holds no texts: they may be
secrets, and only digests of data are kept.
"""

from __future__ import annotations

import ast
import linecache
import tokenize
import zlib
from functools import lru_cache
from itertools import islice
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

from hashstash.fingerprint.source import PerCode, node_of_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LONGEST_SOURCE: Final = 1400
_MOST_FUNCTIONS: Final = 32
_MOST_CHARACTERS: Final = 10_000
_MOST_PACKED: Final = 2000
_MOST_LOOKED_AT: Final = 2000
_LONGEST_STATEMENT: Final = 160
_LARGEST_FILE: Final = 200_000
_BETWEEN, _AFTER_NAME = "\0", "\1"

_sources = PerCode[str]()


def source_of(function: FunctionType) -> str:
    """The text that the function was compiled from, cut to a length; empty if no known text compiles to it."""
    known = _sources.get(function.__code__)
    return _sources.put(function.__code__, _read(function.__code__)) if known is None else known


def _read(code: CodeType) -> str:
    node: Any = node_of_code(code)
    if node is None:
        return ""
    height = node.end_lineno - node.lineno
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
    if isinstance(node, ast.Lambda):  # several in one line have been told apart by moving them
        first = code.co_firstlineno
    else:
        height += node.lineno - first
    lines = linecache.getlines(code.co_filename)[first - 1 : first + height]
    return "".join(lines)[:LONGEST_SOURCE]


def packed_sources(values: Iterable[Any], but: Any, wanted: frozenset[str]) -> bytes:
    """The texts of the functions among *values*, without *but*; those whose names are *wanted* first, as many as have room."""
    functions = [one for one in islice(values, _MOST_LOOKED_AT) if type(one) is FunctionType and one is not but]
    if not functions:
        return b""
    functions.sort(key=lambda one: one.__name__ not in wanted)
    return _pack(_packable({_name_of(one): source_of(one) for one in functions[:_MOST_FUNCTIONS]}))


def _name_of(function: FunctionType) -> str:
    module = function.__module__
    return function.__qualname__ if module in (None, "__main__") else f"{module}.{function.__qualname__}"


def _packable(texts: Mapping[str, str]) -> str:
    parts = [f"{name}{_AFTER_NAME}{text}" for name, text in texts.items() if text and _BETWEEN not in text]
    while sum(map(len, parts)) > _MOST_CHARACTERS:
        parts.pop()
    return _BETWEEN.join(parts)


@lru_cache(maxsize=64)
def _pack(text: str) -> bytes:
    """Compressed; what has no room is left out, from the end."""
    while text:
        data = zlib.compress(text.encode("utf-8", "surrogatepass"))
        if len(data) <= _MOST_PACKED:
            return data
        text = text[: max(0, text.rfind(_BETWEEN, 0, len(text) * 3 // 4 + 1))]
    return b""


def unpacked(data: Any) -> dict[str, str]:
    """The texts by name. Whoever wrote the record made them up; of what is no such thing, nothing."""
    if not isinstance(data, bytes) or not data:
        return {}
    try:
        text = zlib.decompressobj().decompress(data, 4 * _MOST_CHARACTERS).decode("utf-8", "surrogatepass")
    except (zlib.error, UnicodeDecodeError):
        return {}
    parts = (part.partition(_AFTER_NAME) for part in text.split(_BETWEEN))
    return {name: source for name, _, source in parts if source}


# ---- files -----------------------------------------------------------------------------------------------------------


def summary_of_file(module: str, path: str) -> dict[str, Any]:
    """A summary of a module of the user's, whether it is loaded or not: its text, as far as it is kept."""
    try:
        with tokenize.open(path) as file:
            text = file.read(_LARGEST_FILE)
    except (OSError, SyntaxError, UnicodeDecodeError):
        return {}
    return {"type": "module", "code": _packed_file(module, text)}


@lru_cache(maxsize=64)
def _packed_file(module: str, text: str) -> bytes:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return b""
    return _pack(_packable(dict(_texts(module, tree, text.splitlines(keepends=True)))))


def _texts(module: str, tree: ast.Module, lines: list[str]) -> Iterator[tuple[str, str]]:
    between: list[str] = []
    for node in tree.body:
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
        source = "".join(lines[first - 1 : node.end_lineno])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield f"{module}.{node.name}", source[:LONGEST_SOURCE]
        elif len(source) <= _LONGEST_STATEMENT and not any(map(_is_text, ast.walk(node))):
            between.append(source)
    yield module, "".join(between)[:LONGEST_SOURCE]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
