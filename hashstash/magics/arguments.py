"""The flags of the magics, and from a parsed line to the options of a cell."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument, magic_arguments

from hashstash.cells.options import CellOptions
from hashstash.magics.words import words_of
from hashstash.policies.time_to_live import parse_duration

if TYPE_CHECKING:
    from argparse import Namespace

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_NAME = "notebook"
_SEPARATORS = re.compile(r"[,\s]+")
_HELP = frozenset({"--help", "-h"})

_CELL_ARGUMENTS = [
    argument("name", nargs="?", help="The stash that holds this cell's runs. Default: notebook, or what %%stash use chose."),
    argument("-o", "--only", metavar="NAMES", help="Store and restore only these variables (a,b)."),
    argument("-x", "--exclude", metavar="NAMES", help="Do not store or restore these variables."),
    argument("-i", "--inputs", metavar="NAMES", help="What the cell depends on, instead of what was found."),
    argument("--also", metavar="NAMES", help="Further variables the cell depends on."),
    argument("--ignore", metavar="NAMES", help="Variables whose changes do not matter."),
    argument("--env", metavar="VARS", help="Environment variables the cell depends on."),
    argument("--ttl", metavar="TIME", help="Run again after this time: 90s, 15m, 2h, 1d."),
    argument("-f", "--force", action="store_true", help="Run, and store the new results."),
    argument("-r", "--read", action="store_true", help="Only restore; an error if nothing stored fits."),
    argument("--no-wait", action="store_true", help="Run even if another kernel is running this cell with equal inputs."),
    argument("--dry-run", action="store_true", help="Say whether the cell would run, and why."),
    argument("--no-output", action="store_true", help="Restore variables without showing the outputs again."),
    argument("--files", action="store_true", help="Files that the cell reads are inputs (the default)."),
    argument("--no-files", action="store_true", help="Files that the cell reads are no inputs."),
    argument("--rng", action="store_true", help="The state of the random generators is an input."),
    argument("-q", "--quiet", action="store_true", help="No status line."),
    argument("-v", "--verbose", action="store_true", help="Say more: variables, and what changed."),
    argument("--root", metavar="FOLDER", help="The folder that holds the stashes."),
    argument("--engine", help="The storage engine, such as lmdb or pairtree."),
    argument("--serializer", help="The serializer, such as hashstash or pickle."),
    argument("--compress", help="The compressor, such as lz4, zlib or raw."),
]  # fmt: skip


def cell_arguments(function: Function) -> Function:
    """Give a magic the flags of ``%%stash``, with help in its docstring."""
    return with_arguments(function, "%stash", _CELL_ARGUMENTS)


def with_arguments(function: Function, name: str, given: Iterable[Any]) -> Function:
    """Give the magic *name* its arguments, with help in its docstring; flags cannot be abbreviated."""
    for decorate in reversed(list(given)):
        function = decorate(function)
    function = magic_arguments(name)(function)
    function.parser.allow_abbrev = False  # type: ignore[attr-defined]
    return function


def flags() -> list[str]:
    """Every flag of ``%%stash``, long and short."""
    return [name for decorate in _CELL_ARGUMENTS for name in decorate.args if name.startswith("-")]


def flags_with_values() -> list[str]:
    """Those behind which a value stands."""
    valued = [decorate for decorate in _CELL_ARGUMENTS if decorate.kwds.get("action") != "store_true"]
    return [name for decorate in valued for name in decorate.args if name.startswith("-")]


def wants_help(line: str) -> bool:
    """Whether the line asks for help."""
    return not _HELP.isdisjoint(line.split())


@functools.lru_cache(maxsize=64)  # most cells run again as they are
def parse(function: Callable[..., Any], line: str) -> Namespace:
    """The parsed line, which nobody may change; a wrong flag is a ``UsageError``."""
    return parsed_words(function, words_of(line), "%%stash", flags())


def parsed_words(function: Callable[..., Any], words: list[str], name: str, known: Iterable[str]) -> Namespace:
    """What *words* mean to the magic *name*; a ``UsageError`` says what is wrong with them, and what lists its *known* flags."""
    try:
        parsed, rest = function.parser.parse_known_args(words)  # type: ignore[attr-defined]
        if rest:
            raise UsageError(unexpected(rest[0], known))
    except UsageError as error:
        raise UsageError(f"{name}: {error}; {name} --help lists all flags") from None
    return parsed  # type: ignore[no-any-return]


def unexpected(word: str, known: Iterable[str]) -> str:
    """What is wrong with a word that no argument takes, and the known flag that looks like it."""
    if not word.startswith("-"):
        return f"{word!r} is one too many (what has spaces stands in quotes)"
    close = difflib.get_close_matches(word.partition("=")[0], list(known), 1)
    return f"no flag {word}" + (f", did you mean {close[0]}?" if close else "")


def options_of(parsed: Namespace, default_name: str = DEFAULT_NAME) -> CellOptions:
    """The options that a parsed line means; *default_name* is the stash of a line that names none."""
    if parsed.files and parsed.no_files:
        raise UsageError("--files and --no-files exclude one another")
    if parsed.force and parsed.read:
        raise UsageError("--force and --read exclude one another")
    return CellOptions(
        name=parsed.name or default_name,
        only=_names(parsed.only, "--only") if parsed.only is not None else None,
        exclude=_names(parsed.exclude, "--exclude"),
        inputs=_names(parsed.inputs, "--inputs") if parsed.inputs is not None else None,
        also=_names(parsed.also, "--also"),
        ignore=_names(parsed.ignore, "--ignore"),
        environment=frozenset(filter(None, _SEPARATORS.split(parsed.env or ""))),
        ttl=duration(parsed.ttl, "--ttl"),
        force=parsed.force,
        read_only=parsed.read,
        dry_run=parsed.dry_run,
        replays=not parsed.no_output,
        watches_files=not parsed.no_files,
        rng=parsed.rng,
        waits=not parsed.no_wait,
        quiet=parsed.quiet,
        verbose=parsed.verbose,
    )


def duration(text: str | None, flag: str) -> float | None:
    """Seconds; a ``UsageError`` naming the flag if the text is no duration."""
    if text is None:
        return None
    try:
        return parse_duration(text.strip("'\""))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{flag}: {error}") from error


def _names(text: str | None, flag: str) -> frozenset[str]:
    if not text:
        return frozenset()
    names = frozenset(filter(None, _SEPARATORS.split(text.strip("'\""))))
    wrong = sorted(name for name in names if not name.isidentifier())
    if wrong:
        raise UsageError(f"{flag}: {wrong[0]!r} is not a variable name; write {flag} a,b")
    return names
