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
    handlers = {name: _handlers(module, one) for name, one in {**named, "": root}.items() if one.handlers}
    found: Values = {
        "level": root.level if root.level != _ROOT_LEVEL else None,
        "disable": manager.disable or None,
        "levels": {name: one.level for name, one in named.items() if one.level},
        "handlers": {name: ids for name, ids in handlers.items() if ids},
    }
    return {key: value for key, value in found.items() if value}


def _handlers(module: Any, logger: Any) -> list[int]:
    return [id(handler) for handler in logger.handlers if type(handler) is not module.NullHandler]


def get_logging(module: Any, key: str) -> Any:
    if key == "handlers":
        return object()  # they hold streams, and cannot be set again
    if key == "level":
        return module.getLogger().level
    return read_logging(module).get(key, 0 if key == "disable" else {})


def set_logging(module: Any, key: str, value: Any) -> None:
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
