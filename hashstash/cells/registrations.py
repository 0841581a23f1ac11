"""What users register: with the shell magics, formatters, callbacks and transformers, with abstract classes subclasses.

No record holds these.
"""

from __future__ import annotations

import abc
import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from hashstash.cells.patches import is_users

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashstash.cells.shell import Shell

Registrations = dict[tuple[str, str], dict[Any, Any]]
"""What kind of thing it is, and where it is registered -> what is registered there."""
_MAGIC, _CALLBACK, _TRANSFORMER = "the {} magic", "a callback of {}", "one of the {}"
_PRINTERS = ("singleton_printers", "type_printers", "deferred_printers")
_FORMATTERS = tuple(f"a formatter of {{}} among the {part}," for part in _PRINTERS)
_printers_of = attrgetter(*_PRINTERS)
_SUBCLASSES = ("subclasses", "")
_LISTS = ("input_transformers_cleanup", "input_transformers_post", "ast_transformers")


def registrations(shell: Shell) -> Registrations:
    """What is registered now, to be compared."""
    return {_SUBCLASSES: _subclasses(), **{key: dict(found) for key, found in _registered(shell)}}


def _subclasses() -> dict[str, object]:
    """How often classes were registered with abstract ones; modules do so when they are imported."""
    return {"registered": abc.get_cache_token(), "modules": len(sys.modules)}


def _registered(shell: Any) -> Iterator[tuple[tuple[str, str], Mapping[Any, Any]]]:
    for kind, magics in shell.magics_manager.magics.items():
        yield (_MAGIC, kind), magics
    for mime, formatter in shell.display_formatter.formatters.items():
        for what, printers in zip(_FORMATTERS, _printers(formatter), strict=False):
            yield (what, mime), printers
    for event, callbacks in shell.events.callbacks.items():
        yield (_CALLBACK, event), _by_identity(callbacks)
    for name in _LISTS:
        yield (_TRANSFORMER, name), _by_identity(getattr(shell, name, ()))


def _printers(formatter: Any) -> tuple[Mapping[Any, Any], ...]:
    try:
        found: tuple[Mapping[Any, Any], ...] = _printers_of(formatter)
    except AttributeError:  # somebody's own, which lacks some of the tables
        return tuple(getattr(formatter, part, {}) for part in _PRINTERS)
    return found


def _by_identity(values: Any) -> dict[int, Any]:
    return {id(value): value for value in values}


def newly_registered(shell: Shell, before: Registrations) -> str | None:
    """What the user has registered since, in words; ``None`` if nothing."""
    for key, now in _registered(shell):
        then = before.get(key, {})
        for name, value in now.items() if now != then else ():
            if then.get(name) is not value and is_users(value):
                what, place = key
                return f"{what.format(place)} {getattr(value, '__name__', type(value).__name__)} with the shell"
    then, now = before[_SUBCLASSES], _subclasses()
    if now != then and now["modules"] == then["modules"]:
        return "a class with an abstract class"
    return None
