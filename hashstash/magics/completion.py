"""What the shell offers after ``%%stash``, ``%stash`` and ``%stash_map``: commands, names, flags and their values, files."""

from __future__ import annotations

import builtins
import logging
import os
import re
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hashstash import archive
from hashstash.cells.shell import own_variables
from hashstash.errors import StashError
from hashstash.magics import arguments, manage, stash_map_line
from hashstash.magics.split_line import begun_line
from hashstash.magics.words import Unfinished, begun_words
from hashstash.registry import COMPRESSORS, ENGINES, SERIALIZERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashstash.magics.stash_cell import StashMagics

logger = logging.getLogger(__name__)

HOOK = "complete_command"
KEYS = ("%%stash", "stash", "%stash")
MAP_LINE = re.compile(r"(?:.*[=\s])?%stash_map\s(.*)", re.DOTALL)
"""In an assignment too, which is why it is matched against the text up to the cursor and not against the first word."""
LINE = re.compile(r"(?:.*[=\s])?%?stash\s(.*)", re.DOTALL)
ASSIGNED = re.compile(r".*[=\s]%stash\s(.*)", re.DOTALL)
CELL_LINE = re.compile(r"\s*%%stash\s(.*)", re.DOTALL)
_MAKES_COLLECTIONS = ("dict", "enumerate", "filter", "list", "map", "open", "range", "reversed", "sorted", "zip")
_PLUGINS = {"--engine": ENGINES, "--serializer": SERIALIZERS, "--compress": COMPRESSORS}


class Completer:
    """Completions for one shell; an object of its own, so that it can be found again when the extension is unloaded."""

    def __init__(self, magics: StashMagics) -> None:
        self.magics = magics

    def __call__(self, _shell: Any, event: Any) -> list[str]:
        symbol, text = str(event.symbol), str(event.text_until_cursor)
        try:
            map_line = MAP_LINE.match(text)
            if map_line is not None:
                return [word for word in self._of_map(map_line[1], symbol) if word.startswith(symbol)]
            cell_line = CELL_LINE.match(text)
            if cell_line is not None:
                return self._of_words(cell_line[1], symbol, self._of_cell)
            line = LINE.match(text)
            return self._of_words(line[1], symbol, self._of_line) if line is not None else []
        except (StashError, OSError, ValueError) as error:  # a store that is locked or broken: typing must go on
            logger.debug("no completions: %s", error)
            return []

    def _of_words(self, text: str, symbol: str, offered: Callable[[list[str], Unfinished], Iterable[str]]) -> list[str]:
        """What may stand in place of *symbol*, which is the word that is being written, or the end of it."""
        words, begun = begun_words(text)
        typed = begun.text
        # What cannot be printed is no name that somebody types, and might steer the terminal in which it is offered.
        found = [word for word in dict.fromkeys(offered(words, begun)) if word.startswith(typed) and word.isprintable()]
        kept = len(typed) - len(symbol)
        if kept >= 0 and typed.endswith(symbol):
            return [_written(word, begun.quote)[kept:] for word in found if begun.quote or _is_plain(word, typed)]
        return []

    # ---- %%stash and %stash --------------------------------------------------------------------------------------

    def _of_cell(self, words: list[str], begun: Unfinished) -> Iterable[str]:
        values = self._of_flag(words, begun.text, set(arguments.flags_with_values()))
        if values is not None:
            return values
        return [*self.magics.stashes().names(), *arguments.flags()]

    def _of_line(self, words: list[str], begun: Unfinished) -> Iterable[str]:
        if not words:
            return sorted(manage.COMMANDS)
        command = manage.COMMANDS.get(words[0])
        if command is None:
            return []
        with_values = {flag for flag in command.flags() if command.takes_value(flag)} - {"--yes"}
        values = self._of_flag(words, begun.text, with_values)
        if values is not None:
            return values
        given = _without_flags(words[1:], with_values)
        places = command.places()
        place = places[min(len(given), len(places) - 1)] if places else ""
        if len(given) >= len(places) and not place.endswith("..."):
            return command.flags()
        if words[0] == "import" and place == "name":
            return [one.name for one in archive.contents(given[0])]
        found = self._of_place(place.removesuffix("..."), given, begun.text)
        return [*found, *(command.flags() if begun.text.startswith("-") or not begun.text else ())]

    def _of_place(self, place: str, given: list[str], typed: str) -> Iterable[str]:
        if place == "name":
            return self.magics.stashes().names()
        if place == "variable":
            return self.magics.stashes().variables(given[0])
        if place == "record":
            return [str(number) for number in range(1, len(self.magics.stashes().records(given[0])) + 1)]
        if place == "file":
            return _files(typed)
        if place == "setting":
            return sorted(self.magics.traits(config=True))
        return self._values_of("--" + given[0], typed) if place == "value" else []

    def _of_flag(self, words: list[str], typed: str, with_values: set[str]) -> Iterable[str] | None:
        """What may be the value of a flag, if one is being written."""
        if words and words[-1] in with_values:
            return self._values_of(words[-1], typed)
        flag, equals, begun = typed.partition("=")
        if equals and flag in with_values:
            return [f"{flag}={value}" for value in self._values_of(flag, begun)]
        return None

    def _values_of(self, flag: str, typed: str) -> Iterable[str]:
        """What may stand behind a flag, or be the value of the setting of that name."""
        if flag in _PLUGINS:
            return _PLUGINS[flag].names()
        if flag == "--root":
            return _files(typed, folders_only=True)
        if flag in ("--as", "--default_name"):
            return self.magics.stashes().names()
        trait = self.magics.traits(config=True).get(flag.removeprefix("--"))
        return list(map(str, getattr(trait, "values", None) or ()))

    # ---- %stash_map ----------------------------------------------------------------------------------------------

    def _of_map(self, text: str, symbol: str) -> list[str]:
        """What may stand where the cursor is, behind *text*."""
        before = begun_line(text.removesuffix(symbol), stash_map_line.FLAGS)
        if before.open_flag in ("-n", "--name"):
            return self.magics.stashes().names()
        if before.open_flag == "--errors":
            return list(stash_map_line.ERRORS)
        if before.open_flag == "--executor":
            return [*self._variables(_is_executor), *sorted(stash_map_line.EXECUTORS)]
        if before.open_flag is not None:
            return []
        if "." in symbol:
            return list(self.magics.shell.Completer.attr_matches(symbol))
        flags = list(stash_map_line.FLAGS)
        if before.has_function:
            return [*(flags if symbol else ()), *self._variables(_is_collection), *_MAKES_COLLECTIONS]
        return [*flags, *self._variables(_leads_to_functions), *(_functions() if symbol else ())]

    def _variables(self, is_wanted: Callable[[Any], bool]) -> list[str]:
        """The names of the user's variables of that kind."""
        shell = self.magics.shell
        own = list(own_variables(shell).items())
        return sorted(name for name, value in own if not name.startswith("_") and is_wanted(value))


def _without_flags(words: list[str], with_values: set[str]) -> list[str]:
    """The words that are no flags and no values of flags."""
    return [
        word for at, word in enumerate(words) if not word.startswith("-") and not (at and words[at - 1] in with_values)
    ]


def _written(word: str, quote: str) -> str:
    return word + quote if quote else word


def _is_plain(word: str, typed: str) -> bool:
    """Whether the rest of *word* can stand without quotes."""
    return not re.search(r"[\s'\"]", word[len(typed) :])


def _files(typed: str, *, folders_only: bool = False) -> list[str]:
    """The files and folders whose paths begin like that."""
    folder, _, start = typed.rpartition("/")
    above = folder + "/" if "/" in typed else ""
    try:
        with os.scandir(os.path.expanduser(above) or ".") as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries if entry.name.startswith(start)]
    except OSError:
        return []
    shown = [(name, is_folder) for name, is_folder in found if start.startswith(".") or not name.startswith(".")]
    return sorted(
        above + name + ("/" if is_folder else "") for name, is_folder in shown if is_folder or not folders_only
    )


def _is_executor(value: Any) -> bool:
    return any(hasattr(type(value), name) for name in ("submit", "get_executor"))


def _is_collection(value: Any) -> bool:
    return hasattr(type(value), "__iter__")


def _leads_to_functions(value: Any) -> bool:
    return callable(value) or isinstance(value, ModuleType)


def _functions() -> list[str]:
    return [name for name, value in vars(builtins).items() if callable(value) and not name.startswith("_")]


def hook(shell: Any, completer: Completer) -> None:
    """Offer completions."""
    for key in KEYS:
        shell.set_hook(HOOK, completer, str_key=key)
    for pattern in (MAP_LINE, ASSIGNED):
        shell.set_hook(HOOK, completer, re_key=pattern.pattern)


def unhook(shell: Any, completer: Completer) -> None:
    """Stop offering them."""
    table = shell.strdispatchers.get(HOOK)
    for chains in (table.strs, table.regexs) if table is not None else ():
        for key, dispatcher in list(chains.items()):
            # The shell has made a method of it.
            kept = [entry for entry in dispatcher.chain if getattr(entry[1], "__func__", entry[1]) is not completer]
            dispatcher.chain[:] = kept
            if not kept:
                del chains[key]
