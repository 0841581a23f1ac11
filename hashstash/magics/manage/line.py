"""From a ``%stash`` line to the command that it names."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument

from hashstash.errors import StashError
from hashstash.magics import auto
from hashstash.magics.manage import changing, health, looking, reasons, settings, sharing
from hashstash.magics.manage.parsing import ENGINE, ROOT, Command
from hashstash.magics.words import words_of
from hashstash.wording import printable

if TYPE_CHECKING:
    from hashstash.magics.stash_cell import StashMagics

_NAME = argument("name", metavar="NAME", help="A stash.")
_SOME_NAME = argument("name", metavar="NAME", nargs="?", help="A stash.")
_RECORD = "A number, as %%stash ls shows it (1 is the newest), or the beginning of an id."
_MEANT = {"delete": "rm", "remove": "rm", "show": "ls", "on": "auto", "off": "auto --off"}
"""Words that one might try, and what carries out what they say."""
_YES = "Sign what was listed; CODE, as the list shows it, where it was not listed in this session."

COMMANDS: dict[str, Command] = {
    one.name: one
    for one in (
        Command(
            "ls",
            "All stashes, or the records of one.",
            looking.ls,
            [_SOME_NAME, argument("--df", action="store_true", help="As a pandas data frame."), ROOT, ENGINE],
        ),
        Command(
            "info",
            "What the records of a stash read and wrote, and how the cell that ran last differs; or all about one record.",
            looking.info,
            [_NAME, argument("record", metavar="RECORD", nargs="?", help=_RECORD), ROOT, ENGINE],
        ),
        Command(
            "why", "Why a cell ran, or was not stored, when it last did in this session.", reasons.why, [_SOME_NAME]
        ),
        Command(
            "get",
            "The value of one variable, of the newest record that has it or of RECORD. Nothing else is restored.",
            looking.get,
            [
                _NAME,
                argument("variable", metavar="VARIABLE", help="Its name."),
                argument("record", metavar="RECORD", nargs="?", help=_RECORD),
                ROOT,
                ENGINE,
            ],
        ),
        Command(
            "rm",
            "Remove records of a stash, or all that it holds.",
            changing.rm,
            [_NAME, argument("record", metavar="RECORD", nargs="*", default=[], help=_RECORD), ROOT, ENGINE],
        ),
        Command(
            "clear",
            "Remove what a stash holds, or all stashes hold, results of maps included.",
            changing.clear,
            [
                _SOME_NAME,
                argument("--older", metavar="TIME", help="Only what was stored longer ago: 12h, 7d, 2w."),
                argument("--all", action="store_true", help="In all stashes."),
                ROOT,
                ENGINE,
            ],
        ),
        Command(
            "check",
            "Look for damage in a stash, or in all: every row and file is held against its checksums. Nothing is changed.",
            health.check,
            [_SOME_NAME, ROOT, ENGINE],
        ),
        Command(
            "repair",
            "Move rows of a stash aside that cannot be read, and write a damaged database anew with those that can.",
            health.repair,
            [_NAME, ROOT, ENGINE],
        ),
        Command(
            "aside",
            "What was damaged in a stash and is kept aside since it was repaired or overwritten.",
            health.aside,
            [_NAME, argument("--remove", action="store_true", help="Delete all of it, for good."), ROOT, ENGINE],
        ),
        Command(
            "trust",
            "List what others have written in a stash; with --yes sign it with your key, so that it may run code and show HTML.",
            changing.trust,
            [_NAME, argument("--yes", metavar="CODE", nargs="?", const="", help=_YES), ROOT, ENGINE],
        ),
        Command(
            "auto",
            "Record plain cells that take long, and restore them when nothing they depend on changed; alone: how it stands.",
            auto.command,
            auto.ARGUMENTS,
        ),
        Command(
            "use",
            "The stash of cells and maps that name none, and how stashes are opened, for this session; alone: which it is.",
            settings.use,
            [
                _SOME_NAME,
                argument("--engine", help="The storage engine, such as lmdb or pairtree."),
                argument("--serializer", help="The serializer, such as hashstash or pickle."),
                argument("--compress", help="The compressor, such as lz4, zlib or raw."),
                argument("--root", metavar="FOLDER", help="The folder that holds the stashes."),
            ],
        ),
        Command(
            "export",
            "Write stashes into one file, to send it with a notebook. Without NAMEs: those used in this session.",
            sharing.export,
            [
                argument("file", metavar="FILE", help="The file."),
                argument("name", metavar="NAME", nargs="*", default=[], help="The stashes."),
                argument("--all", action="store_true", help="All stashes."),
                ROOT,
                ENGINE,
            ],
        ),
        Command(
            "import",
            "Add what an exported file holds to the stashes. Nothing is trusted by that: see %stash trust.",
            sharing.import_file,
            [
                argument("file", metavar="FILE", help="The file."),
                argument("name", metavar="NAME", nargs="?", help="Only this stash of those in the file."),
                argument("--as", dest="target", metavar="NAME", help="Its name here."),
                ROOT,
                ENGINE,
            ],
        ),
        Command(
            "config",
            "All settings, with their values and where each comes from; or one; or set one for this session.",
            settings.config,
            [
                argument("setting", metavar="SETTING", nargs="?", help="Its name."),
                argument("value", metavar="VALUE", nargs="?", help='What it shall be; "" for the default.'),
            ],
        ),
    )
}


def command(magics: StashMagics, line: str) -> Any:
    """Carry out one ``%stash`` line. What it says of names, which may be a stranger's, steers no terminal."""
    try:
        return _carry_out(magics, line)
    except UsageError as error:
        raise UsageError(printable(str(error))) from None


def _carry_out(magics: StashMagics, line: str) -> Any:
    words = words_of(line)
    if words and words[0] in ("--help", "-h", "help"):
        print(overview())  # noqa: T201 - the answer to --help
        return None
    if not words or (words[0].startswith("-") and words[0] in COMMANDS["ls"].flags()):
        words = ["ls", *words]
    action = COMMANDS.get(words[0])
    if action is None:
        raise UsageError(_unknown(magics, words[0]))
    if {"--help", "-h"} & {*words[1:]}:
        print(action.argument_parser().format_help())  # noqa: T201 - the answer to --help
        return None
    try:
        return action.carry_out(magics, words[1:])
    except StashError as error:
        raise UsageError(f"%stash {words[0]}: {error}") from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        raise UsageError(f"%stash {words[0]}: {where}{error.strerror or error}") from None


def overview() -> str:
    """What ``%stash --help`` shows."""
    width = max(map(len, COMMANDS))
    lines = [f"  {one.name.ljust(width)}  {one.summary}" for one in COMMANDS.values()]
    return "\n".join(["%stash COMMAND ...", "", *lines, "", "%stash COMMAND --help tells more."])


def _unknown(magics: StashMagics, word: str) -> str:
    text = f"%stash {word}: no such command; "
    close = [_MEANT[word]] if word in _MEANT else difflib.get_close_matches(word, COMMANDS, 1)
    if close:
        text += f"did you mean {close[0]}? "
    try:
        if not close and word in magics.stashes().names():
            text += f"to see that stash: %stash ls {word}; "
    except (StashError, OSError):
        pass  # it is the command that is wrong
    return text + f"known: {', '.join(sorted(COMMANDS))}"
