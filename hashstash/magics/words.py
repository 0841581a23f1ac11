"""The words of a magic's line: quotes hold words together and are taken away, nothing else means anything.

Backslashes stay, as in paths of Windows; ``$x`` and ``{x}`` stay, as in names. A ``#`` at the start of a word begins a comment.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from IPython.core.error import UsageError

_PART = re.compile(r"""'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<open>["'].*)|(?P<plain>[^\s'"]+)""", re.DOTALL)


class Unfinished(NamedTuple):
    """The word at the end of a line that is being written."""

    text: str
    """Without its quotes."""
    quote: str
    """The quote that is open, if one is."""


def words_of(line: str) -> list[str]:
    """The words of *line*; a quote without its other half is a ``UsageError``."""
    words, unfinished = _split(line)
    if unfinished is not None and unfinished.quote:
        raise UsageError(f"the quote at {unfinished.quote}{unfinished.text} is not closed")
    return words if unfinished is None else [*words, unfinished.text]


def begun_words(text: str) -> tuple[list[str], Unfinished]:
    """The complete words of *text*, the beginning of a line, and the one that is being written, empty behind a space."""
    words, unfinished = _split(text)
    return words, unfinished or Unfinished("", "")


def quoted(word: str) -> str:
    """*word* as it has to be written in a line."""
    if word and not re.search(r"""[\s'"]|^#""", word):
        return word
    return f'"{word}"' if '"' not in word else f"'{word}'"


def _split(text: str) -> tuple[list[str], Unfinished | None]:
    """The words that are followed by a space, and the one at the end that is not."""
    words: list[str] = []
    at, word, begun = 0, "", False
    while at < len(text):
        if text[at].isspace():
            words += [word] if begun else []
            word, begun, at = "", False, at + 1
            continue
        if text[at] == "#" and not begun:
            return words, None
        part = _PART.match(text, at)
        assert part is not None, "whatever is no space begins a part"
        if part["open"]:
            return words, Unfinished(word + part["open"][1:], part["open"][0])
        word, begun = word + (part["single"] or part["double"] or part["plain"] or ""), True
        at = part.end()
    return words, Unfinished(word, "") if begun else None
