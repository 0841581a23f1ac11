"""The grammar of the command line, and its help."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from hashstash.credentials import without_secrets
from hashstash.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ABOUT = """\
Look into the stashes of HashStash, and keep them.

PLACE is the name of a stash as `hashstash ls` shows it, such as experiments/first, the path of a folder that begins with
/ or ~ or ./, or a URL such as redis://localhost/experiments. Looking never makes a stash."""
_MORE = """\
exit codes: 0 done; 1 not found, something is wrong with a stash, or it could not be done; 2 the line makes no sense.

  hashstash ls                                  all your stashes
  hashstash ls --entries experiments            what one of them holds
  hashstash get experiments accuracy            a value
  hashstash get experiments --literal "('f', 1)" --json
  hashstash prune experiments --older-than 30d --dry-run
  hashstash export results.stash experiments    one file to send to somebody
  hashstash import results.stash"""


def _version() -> str:
    return str(importlib.import_module("hashstash").__version__)


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


class _Parser(argparse.ArgumentParser):
    """What it does not understand may be the name of a stranger's file, where a shell has put that for a ``*``."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(without_secrets(message)))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The line as a namespace, whose ``run`` carries it out; SystemExit, after a word to the user, if it makes no sense."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser, commands = make_parser()
    if words and words[0] in commands:
        return commands[words[0]].parse_intermixed_args(words[1:])  # so that flags may stand between PLACE and KEY
    return parser.parse_args(words)


def make_parser() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The parser of everything, and those of the commands by their names."""
    parser = _Parser(prog="hashstash", description=_ABOUT, epilog=_MORE, formatter_class=_Help)
    parser.add_argument("--version", action="version", version=f"hashstash {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_looking(commands)
    _add_changing(commands)
    _add_moving(commands)
    return parser, commands.choices


def _command(commands: Any, home: str, name: str, about: str, more: str = "") -> argparse.ArgumentParser:
    text = f"{about[0].upper()}{about[1:]}." + (f"\n\n{more}" if more else "")
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=text, formatter_class=_Help)
    parser.set_defaults(run=_lazily(home, name))
    return parser


def _lazily(home: str, name: str) -> Callable[[argparse.Namespace], int]:
    """The function that carries out a command: its module is imported when it is called."""

    def run(arguments: argparse.Namespace) -> int:
        module = importlib.import_module(f"hashstash.command_line.{home}")
        return int(module.COMMANDS[name](arguments))

    return run


def _add_looking(commands: Any) -> None:
    ls = _command(
        commands, "looking", "ls", "list stashes, or with --entries what one holds", "Without PLACE: all your stashes."
    )
    _place(ls, optional=True)
    ls.add_argument("-e", "--entries", action="store_true", help="the entries of the stash at PLACE")
    ls.add_argument("-n", "--limit", type=_count, metavar="N", help="at most so many entries")
    ls.add_argument("-a", "--all", action="store_true", help="stashes that are empty, too")
    _json(ls)

    info = _command(commands, "looking", "info", "describe a stash, or one of its entries")
    _place(info)
    info.add_argument("key", nargs="?", metavar="KEY", help="the key of an entry")
    _keys(info)
    _json(info)

    get = _command(
        commands,
        "looking",
        "get",
        "print the value of an entry",
        "Text is printed as it is, but for what could steer the terminal; anything else as Python shows it.\n"
        "What needs code to be decoded is left alone without --code, and always if nobody you trust has signed it.",
    )
    _place(get)
    get.add_argument("key", metavar="KEY", help="the key of the entry")
    _keys(get)
    form = get.add_mutually_exclusive_group()
    form.add_argument("--raw", action="store_true", help="the bytes of a value that is bytes or text, unchanged")
    _json(form)
    get.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of the terminal")
    get.add_argument("--number", type=_count, metavar="N", help="version N of the value, in append mode")
    get.add_argument(
        "--code",
        action="store_true",
        help="decode what you have signed, too, which imports and calls what it was made with, from the current folder as well",
    )

    check = _command(
        commands,
        "looking",
        "check",
        "look for damage, and change nothing",
        "Every row and every blob file is held against its checksums. Without PLACE: all your stashes.\n"
        "Exits with 1 if anything is wrong.",
    )
    _place(check, optional=True)
    _json(check)


def _add_changing(commands: Any) -> None:
    rm = _command(commands, "changing", "rm", "remove entries, or with --all everything in a stash")
    _place(rm)
    rm.add_argument("keys", nargs="*", metavar="KEY", help="the key of an entry")
    rm.add_argument("--all", action="store_true", help="all entries, and the results of functions and maps below them")
    _keys(rm)
    _careful(rm)
    _json(rm)

    prune = _command(
        commands,
        "changing",
        "prune",
        "remove entries that are over, old or large",
        "Entries whose time is over always go, and those for which all that you say holds. With --max-size or\n"
        "--max-entries only as many of those go, the ones used longest ago first, as it takes for the stash to fit.",
    )
    _place(prune)
    prune.add_argument("--older-than", metavar="TIME", help="written longer ago than this: 90s, 5m, 12h, 7d, 2w")
    prune.add_argument("--larger-than", metavar="SIZE", help='larger than this: "1 MB", 500KB, or bytes')
    prune.add_argument("--tag", metavar="TAG", help="with this tag")
    prune.add_argument("--max-size", metavar="SIZE", help="until the stash is not larger than this")
    prune.add_argument("--max-entries", type=_count, metavar="N", help="until the stash has not more entries than this")
    prune.add_argument("--functions", action="store_true", help="the same for the results of each function and map")
    prune.add_argument("--dry-run", action="store_true", help="say what would go, and do nothing")
    _json(prune)

    repair = _command(
        commands,
        "changing",
        "repair",
        "move damaged entries aside, so that they do not raise any more",
        "In append mode the newest sound version takes the place of a damaged one. A database that is damaged as a\n"
        "whole is written anew, with what can be read. Nothing is deleted but files that nothing has pointed at for\n"
        "an hour; `hashstash aside` shows what was moved.",
    )
    _place(repair)
    repair.add_argument("--tampered", action="store_true", help="also what has your signature and was changed or moved")
    repair.add_argument("--dry-run", action="store_true", help="say what is wrong, and do nothing")
    _json(repair)

    aside = _command(
        commands,
        "changing",
        "aside",
        "list what was damaged and is kept aside, or delete it",
        "Rows that could not be read are kept when they are overwritten or repaired, at most 100 of them and 64 MB,\n"
        "and so are the files of a database that was written anew.",
    )
    _place(aside)
    aside.add_argument("--remove", action="store_true", help="delete all of it, for good")
    _careful(aside)
    _json(aside)

    trust = _command(
        commands,
        "changing",
        "trust",
        "sign what others have stored, so that it may run code here",
        "Lists what would be signed before it asks. Data needs no trust: only what needs code to be decoded is\n"
        "signed, and the records of notebook cells.",
    )
    _place(trust)
    _careful(trust)
    _json(trust)


def _add_moving(commands: Any) -> None:
    export = _command(
        commands,
        "moving",
        "export",
        "write stashes to one file",
        "Versions, notes, times, signatures and the results of functions go along. Without PLACE: all your stashes.",
    )
    export.add_argument("file", metavar="FILE", help="the file to be written")
    export.add_argument("places", nargs="*", metavar="PLACE", help="a stash, or a folder with stashes below it")
    _where(export)
    export.add_argument("--force", action="store_true", help="replace FILE if it is there")
    _json(export)

    import_ = _command(
        commands,
        "moving",
        "import",
        "read stashes from a file that export has written",
        "The file is checked as a whole first. Without PLACE each stash gets the name that it has in the file; with\n"
        "PLACE the only one goes there, and several go below it. Nothing is decoded or trusted by that.",
    )
    import_.add_argument("file", metavar="FILE", help="the file to be read")
    import_.add_argument("place", nargs="?", metavar="PLACE", help="where to; made if it is not there")
    _where(import_)
    import_.add_argument("--name", metavar="NAME", help="only the stash of this name in the file")
    import_.add_argument(
        "--overwrite",
        choices=("never", "newer", "always"),
        default="never",
        help="which entries replace those that are there under the same key (default: never)",
    )
    import_.add_argument("--dry-run", action="store_true", help="say what the file holds, and do nothing")
    _json(import_)


# ---- what several commands have ------------------------------------------------------------------------------------------


def _place(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument("place", nargs="?" if optional else None, metavar="PLACE", help="a name, a path or a URL")
    _where(parser)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", metavar="NAME", help="the engine, where several stashes lie in one place")
    parser.add_argument("--dbname", metavar="NAME", help="the namespace below PLACE, as given to HashStash(dbname=)")


def _keys(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--literal", action="store_true", help="KEY is a Python literal: 42, ('a', 1), None")
    how.add_argument("--key-json", action="store_true", help="KEY is JSON")
    how.add_argument(
        "--address", action="store_true", help="KEY is the beginning of an address, as ls --entries shows it"
    )


def _json(parser: Any) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _careful(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)
