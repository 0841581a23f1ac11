"""How one ``%stash`` command is written, and what a line of it means."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument

from hashstash.magics.arguments import unexpected

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from hashstash.magics.stash_cell import StashMagics

ROOT = argument("--root", metavar="FOLDER", help="The folder that holds the stashes, as for %%%%stash.")
ENGINE = argument("--engine", help="The engine that keeps it, where several keep stashes of one name.")
_HELP = ("--help", "-h")
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")


class Parser(argparse.ArgumentParser):
    """A parser that never ends the session: what is wrong with a line is a ``UsageError`` that shows how it is written."""

    def error(self, message: str) -> NoReturn:
        """Raise what *message* says."""
        usage = " ".join(self.format_usage().split()).removeprefix("usage: ")
        raise UsageError(f"{self.prog}: {message}; write: {usage}")


@dataclass(frozen=True)
class Command:
    """One ``%stash`` command."""

    name: str
    summary: str
    run: Callable[[StashMagics, Any], Any]
    """What carries out a parsed line."""
    arguments: Sequence[Any] = ()
    """As IPython's ``argument(...)`` gives them."""

    def carry_out(self, magics: StashMagics, words: Sequence[str]) -> Any:
        """Do what *words* behind the command's name say."""
        return self.run(magics, self.parse(words))

    def argument_parser(self) -> Parser:
        """What reads the words behind the command."""
        parser = Parser(prog=f"%stash {self.name}", description=self.summary, add_help=False, allow_abbrev=False)
        for one in self.arguments:
            one.add_to_parser(parser, None)
        parser.add_argument(*_HELP, action="store_true", help="Show this help.")
        return parser

    def flags(self) -> list[str]:
        """Its long flags."""
        return list(dict.fromkeys(_FLAG.findall(self.argument_parser().format_usage() + " --help")))

    def takes_value(self, flag: str) -> bool:
        """Whether a word behind *flag* belongs to it."""
        return re.search(rf"{re.escape(flag)} \[?[A-Z]", self.argument_parser().format_usage()) is not None

    def places(self) -> list[str]:
        """What its words mean that are no flags, in their order; the last one's name ends in ``...`` if it may be repeated."""
        positional = [one for one in self.arguments if not one.args[0].startswith("-")]
        return [one.args[0] + ("..." if one.kwds.get("nargs") in ("*", "+") else "") for one in positional]

    def parse(self, words: Sequence[str]) -> Namespace:
        """What *words* mean; a ``UsageError`` names what is wrong, and a flag that looks like an unknown one."""
        parser = self.argument_parser()
        parsed, rest = parser.parse_known_args(list(words))
        if rest:
            parser.error(unexpected(rest[0], self.flags()))
        return parsed
