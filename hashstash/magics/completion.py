"""What the shell offers after ``%%stash``, ``%stash`` and ``%stash_map``: names of stashes, flags, commands, variables."""

from __future__ import annotations

import builtins
import re
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hashstash.cells.shell import is_users_own
from hashstash.magics import arguments, manage, stash_map_line
from hashstash.magics.split_line import begun_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.magics.stash_cell import StashMagics

HOOK = "complete_command"
KEYS = ("%%stash", "stash", "%stash")
MAP_LINE = re.compile(r"(?:.*[=\s])?%stash_map\s(.*)", re.DOTALL)
"""In an assignment too, which is why it is matched against the text up to the cursor and not against the first word."""
_MAKES_COLLECTIONS = ("dict", "enumerate", "filter", "list", "map", "open", "range", "reversed", "sorted", "zip")


class Completer:
    """Completions for one shell; an object of its own, so that it can be found again when the extension is unloaded."""

    def __init__(self, magics: StashMagics) -> None:
        self.magics = magics

    def __call__(self, _shell: Any, event: Any) -> list[str]:
        symbol, line = str(event.symbol), str(event.line)
        map_line = MAP_LINE.match(event.text_until_cursor)
        if map_line is not None:
            chosen = self._of_map(map_line[1], symbol)
        elif line.lstrip().startswith("%%"):
            chosen = [*manage.stash_names(self.magics), *arguments.flags()]
        else:
            chosen = [*sorted(manage.COMMANDS), *manage.stash_names(self.magics)]
        return [word for word in chosen if word.startswith(symbol)]

    def _of_map(self, text: str, symbol: str) -> list[str]:
        """What may stand where the cursor is, behind *text*."""
        before = begun_line(text.removesuffix(symbol), stash_map_line.FLAGS)
        if before.open_flag in ("-n", "--name"):
            return manage.stash_names(self.magics)
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
        own = [(name, value) for name, value in list(shell.user_ns.items()) if is_users_own(shell, name)]
        return sorted(name for name, value in own if not name.startswith("_") and is_wanted(value))


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
    shell.set_hook(HOOK, completer, re_key=MAP_LINE.pattern)


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
