"""What is typed to find entries: words, and conditions such as ``size > 1 MB`` or ``age < 1d``, in any order.

A word is looked for in the key, the arguments of a call, the tags and the notes, upper or lower case. A condition is a name,
one of ``= != < <= > >= :`` and what to compare with; ``:`` asks whether that is a part of it. Names are the fields of entries,
``kind`` (``data``, ``code`` or ``foreign``), arguments of the function, and names in the entries' notes. Quotes make a word of
anything. All that is said must hold.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from hashstash.conditions import matches
from hashstash.entries.info import FIELDS, META, OPERANDS
from hashstash.errors import StashError
from hashstash.policies.time_to_live import parse_duration
from hashstash.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hashstash.entries import EntryInfo

ARGUMENT = "arg."
"""What begins the name of an argument where it could be mistaken for a field's."""
_OTHER_NAMES = {"raw": "raw_size", "took": "seconds", "tag": "tags", "left": "left", "kind": "kind"}
_KNOWN = frozenset({*FIELDS, *_OTHER_NAMES})
_OPERATORS = {"=": "eq", "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", ":": "contains"}
_LENGTHS = {"ms": 0.001, "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_LENGTHS |= {"d": 86400, "day": 86400, "w": 604800, "week": 604800}
_SIZES = r"[kmgt]i?b|b"
_TIMES = "|".join(sorted((f"{unit}s?" if len(unit) > 2 else unit for unit in _LENGTHS), key=len, reverse=True))
_QUOTED = r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'"
_TOKEN = re.compile(
    rf"""
    (?P<name>[^\W\d][\w.]*)\s*(?P<operator>[<>!=]=|[<>=:])\s*
        (?P<value>{_QUOTED}|\d{{4}}-\d\d-\d\d\ \d\d:\d\d(?::\d\d)?|(?:\d+\.?\d*|\.\d+)\s*(?:{_SIZES}|{_TIMES})\b|[^\s<>=!:]\S*)
    | (?P<unfinished>[^\W\d][\w.]*\s*(?:[<>!=]=|[<>=:])\s*)$
    | (?P<quoted>{_QUOTED})(?=\s|$)
    | (?P<word>\S+)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LONGEST = 1000
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
_BOOLEAN = frozenset({"is_code", "trusted", "foreign", "expired"})
_SEARCHED = 10_000
"""Characters of a key that are looked at."""


class BadSearch(StashError, ValueError):
    """What was typed has no meaning; the message says which part."""


@dataclass(frozen=True)
class Found:
    """What there is to look at in one entry, while it is decided whether it was meant."""

    info: EntryInfo
    arguments: Mapping[str, Any]

    def value_of(self, name: str) -> Any:
        """A field, an argument or a note of that name, in this order; ``None`` if there is none."""
        if name == "kind":
            return "foreign" if self.info.foreign else "code" if self.info.is_code else "data"
        if name == "left":
            return None if self.info.expires_at is None else self.info.expires_at - self.info.created_at - self.info.age
        if name in FIELDS or name.startswith(META):
            return self.info.value_of(name)
        if name.startswith(ARGUMENT):
            return self.arguments.get(name.removeprefix(ARGUMENT))
        return self.arguments[name] if name in self.arguments else self.info.meta.get(name)

    def text(self) -> str:
        """All in which words are looked for."""
        key = self.info.key
        parts = [f"{name}={_text(value)}" for name, value in self.arguments.items()] or [_text(key)]
        parts += self.info.tags
        parts += [f"{name}={_text(value)}" for name, value in self.info.meta.items()]
        return "\n".join(parts).casefold()


def _text(value: Any) -> str:
    return value[:_SEARCHED] if type(value) is str else shortened(value, _SEARCHED)


class Search:
    """Says of each entry whether it was meant; BadSearch for what cannot be understood."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise BadSearch(f"at most {_LONGEST} characters can be searched for")
        self.text = text.strip()
        self.names: dict[str, None] = {}
        """What conditions are about that is no field: arguments and notes, if there are any of that name."""
        self.with_expired = False
        self._words: list[str] = []
        self._tests: list[Callable[[Found], bool]] = []
        for token in _TOKEN.finditer(self.text):
            self._read(token)

    def __bool__(self) -> bool:
        return bool(self._words or self._tests)

    def holds(self, found: Found) -> bool:
        """Whether all that was typed is true of it."""
        if self._words:
            text = found.text()
            if not all(word in text for word in self._words):
                return False
        return all(test(found) for test in self._tests)

    def advice(self, seen: set[str]) -> str:
        """What to say when no entry had some of the names; *seen* are those that any had."""
        missing = [name for name in self.names if name not in seen]
        if not missing:
            return ""
        close = get_close_matches(missing[0], [*_KNOWN, *seen], 1)
        return f"No entry has {missing[0]!r}" + (f"; did you mean {close[0]!r}?" if close else ".")

    def _read(self, token: re.Match[str]) -> None:
        if token["unfinished"]:
            return  # somebody is typing
        if token["name"] is None:
            self._words.append((_unquoted(token["quoted"]) if token["quoted"] else token["word"]).casefold())
            return
        name = _OTHER_NAMES.get(token["name"].lower(), token["name"])
        name = name.lower() if name.lower() in _KNOWN else name
        is_known = name in _KNOWN or name.startswith((META, ARGUMENT))
        self.with_expired |= name == "expired"
        test = _test(name, token["operator"], token["value"])
        if name in _KNOWN:
            self._tests.append(test)
            return
        if is_known or token["operator"] != ":":
            self.names[name] = None
        literal = token[0].casefold()
        may_be_text = token["operator"] in "=:" and not is_known  # such as user:1, an address, or lr=0.1
        self._tests.append(lambda found: test(found) or (may_be_text and literal in found.text()))


def _test(name: str, operator: str, written: str) -> Callable[[Found], bool]:
    if name in ("expires", "expires_at") and _length(written) is not None:
        name = "left"
    if operator == ":" and name not in _BOOLEAN:
        part = _unquoted(written).casefold()
        return lambda found: part in _parts(found.value_of(name))
    if name == "tags":
        tag, is_wanted = _unquoted(written), operator != "!="
        return lambda found: (tag in found.info.tags) is is_wanted
    operands = _operands(name, written)
    kind = _OPERATORS[operator] if operator != ":" else "eq"
    try:
        tests = [matches({f"{name}__{kind}": operand}, convert=OPERANDS) for operand in operands]
    except (ValueError, TypeError) as error:
        raise BadSearch(str(error)) from error
    every = all if kind == "ne" else any  # 3 is the number or the text
    return lambda found: every(test(found.value_of) for test in tests)


def _parts(value: Any) -> str:
    if type(value) is tuple and all(type(part) is str for part in value):
        return "\n".join(value).casefold()
    return "" if value is None else _text(value).casefold()


def _operands(name: str, written: str) -> list[Any]:
    """What *written* may mean."""
    text = _unquoted(written)
    if name in ("age", "seconds", "left"):
        return [_seconds(text)]
    if name in OPERANDS:
        return [text]
    if name in _BOOLEAN:
        return [_truth(name, text)]
    if text != written or name in ("kind", "codec", "signer"):
        return [text]
    try:
        literal = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        words = {"true": True, "false": False, "none": None}
        return [words[text.lower()], text] if text.lower() in words else [text]
    return [literal, text] if type(literal) is not str else [literal]


def _truth(name: str, text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise BadSearch(f"{name} is yes or no, not {text!r}")
    return text.lower() in _YES


def _seconds(text: str) -> float:
    length = _length(text)
    if length is not None:
        return length
    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadSearch(str(error)) from error


def _length(text: str) -> float | None:
    """Seconds in ``90``, ``5 min`` or ``1.5 hours``; ``None`` for anything else."""
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-z]*)", text.lower())
    if match is None:
        return None
    unit = match[2] or "s"
    length = _LENGTHS.get(unit) or _LENGTHS.get(unit.removesuffix("s"))
    return None if length is None else float(match[1]) * length


def _unquoted(text: str) -> str:
    is_quoted = len(text) >= 2 and text[0] in "\"'" and text[-1] == text[0]
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if is_quoted else text
