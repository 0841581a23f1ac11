"""What a decorator, or ``stash.options(...)``, says about a function."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from hashstash.policies.time_to_live import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class MemoOptions:
    """What a decorator says about its function.

    *ttl*: seconds until a result is over. *ignore*: parameters that do not matter. *key*: a function of the arguments whose
    result stands for them. *version*: a token of yours; another one computes anew. *if_*: results it is false for are not
    stored. *force*: compute and store even where there is a result.

    *on_error*: called with the exception when the function raises one; what it returns is given to the caller and never
    stored, and what it raises is raised. It sees stored exceptions too, and never KeyboardInterrupt and the like.

    *cache_exceptions*: seconds for which an exception is kept and raised again instead of calling the function; infinity
    (``True`` in the decorator): as long as a result. A stored result always comes before a stored exception, results and
    listings never show exceptions, and ``force`` calls the function whatever is stored. Neither KeyboardInterrupt and the
    like nor MemoryError and RecursionError, which say nothing about the arguments, are ever kept.
    """

    ttl: float | None = None
    ignore: tuple[str, ...] = ()
    key: Callable[..., Any] | None = None
    version: object = None
    if_: Callable[[Any], Any] | None = None
    force: bool = False
    on_error: Callable[[Exception], Any] | None = None
    cache_exceptions: float | None = None


NAMES = tuple(field.name for field in fields(MemoOptions))
DEFAULTS = MemoOptions()


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """*options* as :class:`MemoOptions` keeps them; every mistake in them raises here."""
    unknown = set(options) - set(NAMES)
    if unknown:
        raise TypeError(f"no option named {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    values = dict(options)
    if values.get("ttl") is not None:
        values["ttl"] = parse_duration(values["ttl"])
    if "ignore" in values:
        ignored = values["ignore"]
        values["ignore"] = (ignored,) if isinstance(ignored, str) else tuple(ignored or ())
    if "cache_exceptions" in values:
        values["cache_exceptions"] = _kept_for(values["cache_exceptions"])
    for name in ("key", "if_", "on_error"):
        if values.get(name) is not None and not callable(values[name]):
            raise TypeError(f"{name}={values[name]!r}; it is a function, or None")
    return values


def _kept_for(duration: Any) -> float | None:
    if duration is None or duration is False:
        return None
    return math.inf if duration is True or duration == math.inf else parse_duration(duration)


def with_options(options: MemoOptions, **changes: Any) -> MemoOptions:
    """*options* with some changed; TypeError names what is no option."""
    return replace(options, **checked(changes))
