"""From the text behind ``%stash_map`` to its flags and its two expressions.

The expressions FUNC and ITERABLE have a space between them, and spaces inside them too. The first space counts at which both
sides are complete and the right one may be a collection: it is no number, and no operator stands alone at its start. So
``lambda x: x + 1 [1, 2]`` is a function of ``x + 1``, ``f -xs`` has the collection ``-xs``, and ``f (1, 2)`` is no call.
"""

from __future__ import annotations

import ast
import itertools
import re
import warnings
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PIECES = re.compile(
    r"""(?P<string>'{3}(?:\\.|[^\\])*?'{3}|"{3}(?:\\.|[^\\])*?"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")"""
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<space>\s+)|(?P<comment>\#[^\n]*)|(?P<other>.)",
    re.DOTALL,
)
_LONG_FLAG = re.compile(r"--[A-Za-z]")
_LONE_OPERATOR = re.compile(r"[-+~]\s")


class Word(NamedTuple):
    """What stands between two spaces; strings and brackets are never taken apart."""

    start: int
    end: int
    text: str


class SplitLine(NamedTuple):
    """The parts of a line; the expressions are empty where none could be found."""

    flags: list[str]
    function: str
    iterable: str


class Begun(NamedTuple):
    """How far the beginning of a line has come."""

    open_flag: str | None
    """The flag whose value comes next."""
    has_function: bool
    """Whether FUNC is complete."""


def words_of(line: str) -> list[Word]:
    """The words of *line*, without a comment at its end."""
    words: list[Word] = []
    depth, start = 0, -1
    for piece in _PIECES.finditer(line):
        kind = piece.lastgroup
        depth += (kind == "open") - (kind == "close" and depth > 0)
        is_gap = kind == "comment" or (kind == "space" and not depth)
        if is_gap and start >= 0:
            words.append(Word(start, piece.start(), line[start : piece.start()]))
            start = -1
        elif not is_gap and start < 0:
            start = piece.start()
        if kind == "comment":
            return words
    return [*words, Word(start, len(line), line[start:])] if start >= 0 else words


def split_line(line: str, flags: Mapping[str, bool]) -> SplitLine:
    """The parts of *line*; *flags* says of each flag whether a value follows it.

    Flags stand before FUNC or behind ITERABLE. A semicolon at the end belongs to nothing.
    """
    words = _without_semicolon(words_of(line))
    given, count = _take_flags(words, flags)
    rest = words[count:]
    first_long = next((at for at, word in enumerate(rest) if at and _LONG_FLAG.match(word.text)), len(rest))
    if first_long == len(rest):
        found = _expressions(line, rest)
        if found is not None:
            return SplitLine(given, *found)
    for at in range(1, first_long + 1):
        more, taken = _take_flags(rest[at:], flags)
        if at + taken == len(rest):
            found = _expressions(line, rest[:at])
            return SplitLine([*given, *more], *(found or ("", "")))
    return SplitLine(given, "", "")


def begun_line(text: str, flags: Mapping[str, bool]) -> Begun:
    """How far *text*, the beginning of a line up to a word that is being written, has come."""
    words = words_of(text)
    last = words[-1].text if words else ""
    rest = words[_take_flags(words, flags)[1] :]
    starts = [text[rest[0].start : word.end] for word in rest]
    return Begun(last if flags.get(last) else None, any(map(is_expression, starts)) and text[-1:].isspace())


def _without_semicolon(words: list[Word]) -> list[Word]:
    if not words or not words[-1].text.endswith(";"):
        return words
    last = words[-1]
    shorter = Word(last.start, last.end - 1, last.text[:-1])
    return [*words[:-1], shorter] if shorter.text else words[:-1]


def _take_flags(words: Sequence[Word], flags: Mapping[str, bool]) -> tuple[list[str], int]:
    """The flags at the start of *words*, each with its value in one piece, and how many words they are."""
    taken: list[str] = []
    at = 0
    while at < len(words) and words[at].text.startswith("-"):
        flag = words[at].text
        at += 1
        if flags.get(flag) and at < len(words):
            value = words[at].text
            at += 1
            while value.endswith(",") and at < len(words):  # --kw a=1, b=2
                value += words[at].text
                at += 1
            flag += ("=" if flag.startswith("--") else "") + value
        taken.append(flag)
    return taken, at


def _expressions(line: str, words: Sequence[Word]) -> tuple[str, str] | None:
    if not words:
        return None
    splits = []
    for left, right in itertools.pairwise(words):
        function, iterable = line[words[0].start : left.end], line[right.start : words[-1].end]
        if is_expression(function) and is_expression(iterable):
            if _may_be_collection(iterable):
                return function, iterable
            splits.append((function, iterable))
    return splits[0] if splits else None


def is_expression(text: str) -> bool:
    """Whether *text* is a complete Python expression that can be evaluated here: without ``await``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is only tried: the shell warns when it compiles what was meant
        try:
            compile(text, "<expression>", "eval", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _may_be_collection(text: str) -> bool:
    """Whether nothing in the expression itself says that it is no collection."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        node = ast.parse(text, mode="eval").body
    while isinstance(node, ast.UnaryOp | ast.Subscript | ast.BinOp):
        node = _leftmost(node)
    is_number = isinstance(node, ast.Constant) and not isinstance(node.value, str | bytes)
    return not is_number and not _LONE_OPERATOR.match(text)


def _leftmost(node: ast.UnaryOp | ast.Subscript | ast.BinOp) -> ast.expr:
    if isinstance(node, ast.UnaryOp):
        return node.operand
    return node.value if isinstance(node, ast.Subscript) else node.left
