"""What may be chosen of each parameter of a stash: whatever is wrong with a value is said before anything is opened."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from hashstash.policies.time_to_live import parse_duration
from hashstash.policies.value_type import parse_value_type
from hashstash.registry import ENGINES
from hashstash.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PARAMETERS = (
    *("root_dir", "dbname", "engine", "serializer", "compress", "b64", "append_mode", "clear"),
    *("name", "ttl", "max_size", "max_entries", "durability", "trust", "read_only", "paths", "value_type"),
)
"""Of ``HashStash()``, beside the options of its engine."""
_WORDS = {
    "durability": ("process", "power", "none"),
    "trust": tuple(trust.value for trust in Trust),
    "paths": ("path", "content"),
}


def checked(name: str, value: Any) -> Any:
    """*value* as a configuration keeps it; a ValueError or TypeError that names the parameter if it is nothing for that."""
    check = _CHECKS.get(name)
    return value if check is None else check(name, value)


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, str) or value not in (True, False, None):  # else "no" would mean yes
        raise TypeError(f"{name}={value!r}; it is True or False")
    return bool(value)


def _limit(name: str, value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{name}={value!r}; it is a positive whole number, or None for no limit")
    return value


def _word(name: str, value: Any) -> str:
    if value not in _WORDS[name]:
        raise ValueError(f"{name}={value!r}; it is one of {', '.join(map(repr, _WORDS[name]))}")
    return str(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("b64", "append_mode", "clear", "read_only", "is_function_stash", "is_tmp"), _flag),
    **dict.fromkeys(("max_size", "max_entries"), _limit),
    **dict.fromkeys(_WORDS, _word),
    "ttl": lambda _, value: None if value is None else parse_duration(value),
    "value_type": lambda _, value: parse_value_type(value),
}


def engine_options(engine: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """*options* of the engine as a configuration keeps them; a TypeError names one that the engine does not have."""
    chosen = ENGINES.load(engine)
    for name in options:
        if name not in chosen.options:
            raise TypeError(_unknown_option(name, engine, chosen.options))
    settled: dict[str, Any] = chosen.settle(options)
    return settled


def _unknown_option(name: str, engine: str, known: tuple[str, ...]) -> str:
    names = [*PARAMETERS, *known]
    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
    return f"HashStash() and its engine {engine!r} have no parameter {name!r}; {hint}"
