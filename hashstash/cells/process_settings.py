"""Settings of Python's own library and of scikit-learn: how they are read, and set again.

What libraries set while they are imported is noise among them, so most are looked at only if a cell calls what sets them.
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from typing import Any

Values = dict[str, Any]

WARNING_CALLS = frozenset(
    {"simplefilter", "filterwarnings", "resetwarnings", "catch_warnings", "warn", "warn_explicit"}
)
LOGGING_SETTERS = frozenset(
    {"basicConfig", "addHandler", "removeHandler", "setLevel", "dictConfig", "fileConfig", "disable"}
)
LOGGING_CALLS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log", "isEnabledFor"})
BASIC = "basicConfig"
LOGGER = "logger "
"""Begins the name of a setting that is how one logger is set up."""
ZONE_CALLS = frozenset({
    "localtime", "mktime", "strftime", "ctime", "asctime", "tzset", "tzname", "timezone", "fromtimestamp", "astimezone",
    "timestamp",
})  # fmt: skip
LOCALE_CALLS = frozenset(
    {"setlocale", "localeconv", "getlocale", "format_string", "currency", "atof", "str", "strxfrm"}
)
RECURSION_CALLS = frozenset({"setrecursionlimit", "getrecursionlimit"})
_ROOT_LEVEL = 30
_RECURSION_LIMIT = sys.getrecursionlimit()


class _Nothing(Warning):
    """Nobody warns of this."""


def read_warnings(module: Any) -> Values:
    return {"filters": tuple(module.filters)}


def get_warnings(module: Any, _key: str) -> list[list[Any]]:
    return [
        [action, _pattern(text), f"{kind.__module__}:{kind.__qualname__}", _pattern(place), line]
        for action, text, kind, place, line in module.filters
    ]


def _pattern(pattern: Any) -> Any:
    return [pattern.pattern, pattern.flags] if isinstance(pattern, re.Pattern) else pattern


def set_warnings(module: Any, _key: str, filters: list[list[Any]]) -> None:
    """Put these filters before all others, in their order."""
    wanted = [
        (action, _compiled(text), _category(kind), _compiled(place), line)
        for action, text, kind, place, line in filters
    ]
    module.filters[:] = [*wanted, *(one for one in module.filters if one not in wanted)]
    module.simplefilter("default", category=_Nothing, append=True)  # so that what was decided before is forgotten
    module.filters.pop()


def _compiled(pattern: Any) -> Any:
    return re.compile(*pattern) if isinstance(pattern, list) else pattern


def _category(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def read_logging(module: Any) -> Values:
    root, manager = module.getLogger(), module.getLogger().manager
    named = {name: one for name, one in list(manager.loggerDict.items()) if isinstance(one, module.Logger)}
    basic = _basic(module)
    handlers = {
        name: _handlers(module, one)
        for name, one in {**named, "": root}.items()
        if one.handlers and (one is not root or basic is None)
    }
    found: Values = {
        BASIC: basic,
        "level": root.level if root.level != _ROOT_LEVEL else None,
        "disable": manager.disable or None,
        "levels": {name: one.level for name, one in named.items() if one.level},
        "handlers": {name: ids for name, ids in handlers.items() if ids},
    }
    return {key: value for key, value in found.items() if value}


def _basic(module: Any) -> list[Any] | None:
    """What ``basicConfig`` has to be told to add the only handler of the first logger, if that is one of its making."""
    root = module.getLogger()
    handler: Any = root.handlers[0] if len(root.handlers) == 1 else None
    formatter: Any = getattr(handler, "formatter", None)
    if type(handler) is not module.StreamHandler or type(formatter) is not module.Formatter or handler.filters:
        return None
    stream = next((name for name in ("stderr", "stdout") if handler.stream is getattr(sys, name)), None)
    if stream is None or type(formatter._style) is not module.PercentStyle:  # noqa: SLF001 - nothing public tells
        return None
    return [stream, formatter._fmt, formatter.datefmt, handler.level]  # noqa: SLF001


def _set_basic(module: Any, told: list[Any] | None) -> None:
    """Exchange the handler of ``basicConfig``; others are the user's, and with them it does nothing either."""
    root = module.getLogger()
    if _basic(module) is not None:
        root.removeHandler(root.handlers[0])
    if told is not None and not root.handlers:
        stream, layout, dates, level = told
        module.basicConfig(stream=getattr(sys, stream), format=layout, datefmt=dates)
        root.handlers[0].setLevel(level)


def _handlers(module: Any, logger: Any) -> list[int]:
    return [id(handler) for handler in logger.handlers if type(handler) is not module.NullHandler]


def loggers_asked(module: Any, settings: Values, texts: set[str]) -> Values:
    """How the loggers are set up that are named in the texts, those above them, and the first of all.

    Without those that are set up otherwise than the *settings* that :func:`read_logging` found before.
    """
    now, known = read_logging(module), module.getLogger().manager.loggerDict
    parts = [text.split(".") for text in texts if text in known]
    names = {".".join(part[:count]) for part in parts for count in range(len(part) + 1)} | {""}
    return {
        LOGGER + name: get_logging(module, LOGGER + name)
        for name in sorted(names)
        if all(now.get(key, {}).get(name) == settings.get(key, {}).get(name) for key in ("levels", "handlers"))
    }


def _set_up(module: Any, name: str) -> str:
    """What a logger lets through and to whom, in words."""
    logger = module.getLogger().manager.loggerDict.get(name) if name else module.getLogger()
    if not isinstance(logger, module.Logger):
        return "as it comes"
    handlers = [] if not name and _basic(module) else logger.handlers  # for the first there are settings of the rest
    words = [
        *([f"level {module.getLevelName(logger.level)}"] if name and logger.level else []),
        *(["disabled"] if logger.disabled else []),
        *(["does not propagate"] if not logger.propagate else []),
        *(_in_words(module, one) for one in handlers if type(one) is not module.NullHandler),
    ]
    return ", ".join(words) or "as it comes"


def _in_words(module: Any, handler: Any) -> str:
    layout, dates = (getattr(handler.formatter, part, None) for part in ("_fmt", "datefmt"))
    level = f" from {module.getLevelName(handler.level)}" if handler.level else ""
    return f"{type(handler).__qualname__}{level}" + "".join(f" {text!r}" for text in (layout, dates) if text)


def get_logging(module: Any, key: str) -> Any:
    if key.startswith(LOGGER):
        return _set_up(module, key.removeprefix(LOGGER))
    if key == "handlers":
        return object()  # they hold streams, and cannot be set again
    if key == "level":
        return module.getLogger().level
    if key == BASIC:
        return _basic(module)
    return read_logging(module).get(key, 0 if key == "disable" else {})


def set_logging(module: Any, key: str, value: Any) -> None:
    if key == BASIC:
        _set_basic(module, value)
        return
    if key == "disable":
        module.disable(value)
    for name, level in ({"": value} if key == "level" else value if key == "levels" else {}).items():
        module.getLogger(name or None).setLevel(level)


def read_locale(module: Any) -> Values:
    return {"LC_ALL": module.setlocale(module.LC_ALL)}


def set_locale(module: Any, _key: str, value: str) -> None:
    module.setlocale(module.LC_ALL, value)


def read_zone(_module: Any) -> Values:
    return {"zone": [*time.tzname, time.timezone]}


def set_zone(module: Any, _key: str, _value: Any) -> None:
    """Take the zone from the environment, where it has been set."""
    if hasattr(module, "tzset"):
        module.tzset()


def read_limit(_module: Any) -> Values:
    limit = sys.getrecursionlimit()
    return {} if limit == _RECURSION_LIMIT else {"recursion limit": limit}


def set_limit(_module: Any, _key: str, value: int) -> None:
    sys.setrecursionlimit(value)


def read_sklearn(module: Any) -> Values:
    defaults = vars(sys.modules["sklearn._config"]).get("_global_config", {})
    return {key: value for key, value in module.get_config().items() if value != defaults.get(key, value)}
