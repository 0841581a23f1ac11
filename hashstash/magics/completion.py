"""What the shell offers after ``%%stash`` and ``%stash``: names of stashes, flags, commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.magics import arguments, manage

if TYPE_CHECKING:
    from hashstash.magics.stash_cell import StashMagics

HOOK = "complete_command"
KEYS = ("%%stash", "stash", "%stash")


class Completer:
    """Completions for one shell; an object of its own, so that it can be found again when the extension is unloaded."""

    def __init__(self, magics: StashMagics) -> None:
        self.magics = magics

    def __call__(self, _shell: Any, event: Any) -> list[str]:
        line = str(event.line)
        is_cell = line.lstrip().startswith("%%")
        words = [] if is_cell else sorted(manage.COMMANDS)
        chosen = (
            [*words, *manage.stash_names(self.magics), *arguments.flags()]
            if is_cell
            else [*words, *manage.stash_names(self.magics)]
        )
        return [word for word in chosen if word.startswith(event.symbol)]


def hook(shell: Any, completer: Completer) -> None:
    """Offer completions."""
    for key in KEYS:
        shell.set_hook(HOOK, completer, str_key=key)


def unhook(shell: Any, completer: Completer) -> None:
    """Stop offering them."""
    table = shell.strdispatchers.get(HOOK)
    for key in KEYS:
        chain = table.strs.get(key).chain if table is not None and key in table.strs else []
        chain[:] = [entry for entry in chain if entry[1] is not completer]
