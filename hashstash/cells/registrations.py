"""What users register with the shell: magics, formatters of types, callbacks of events, transformers. No record holds these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.cells.patches import is_users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.cells.shell import Shell

Registrations = dict[str, Any]
_FORMATTERS = ("singleton_printers", "type_printers", "deferred_printers")
_LISTS = ("input_transformers_cleanup", "input_transformers_post", "ast_transformers")


def registrations(shell: Shell) -> Registrations:
    """What is registered now, to be compared."""
    return dict(_registered(shell))


def _registered(shell: Any) -> Iterator[tuple[str, Any]]:
    for kind, magics in shell.magics_manager.magics.items():
        yield f"the {kind} magic", dict(magics)
    for mime, formatter in shell.display_formatter.formatters.items():
        for part in _FORMATTERS:
            yield f"a formatter of {mime} among the {part},", dict(getattr(formatter, part, ()))
    for event, callbacks in shell.events.callbacks.items():
        yield f"a callback of {event}", {id(callback): callback for callback in callbacks}
    for name in _LISTS:
        yield f"one of the {name}", {id(one): one for one in getattr(shell, name, ())}


def newly_registered(shell: Shell, before: Registrations) -> str | None:
    """What the user has registered since, in words; ``None`` if nothing."""
    for what, now in _registered(shell):
        then = before.get(what, {})
        for key, value in now.items() if now != then else ():
            if then.get(key) is not value and is_users(value):
                return f"{what} {getattr(value, '__name__', type(value).__name__)}"
    return None
