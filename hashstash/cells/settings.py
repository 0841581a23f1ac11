"""Settings of libraries: inputs that are no names, and changes that no variable holds.

What a figure or a frame looks like, and what a sum of floats does when it overflows, depends on settings that a cell before may
have changed. Those of the libraries that a cell uses are facts of its record: only what is not as the library has it by
default, so that a library which is not yet loaded is one with nothing changed. What a cell sets is set again on a hit.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.cells import polars_settings
from hashstash.cells import process_settings as process
from hashstash.errors import StashError
from hashstash.fingerprint import Fingerprinter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

Values = dict[str, Any]
Then = str | list[str] | None
"""How a setting was, as a text; or those that it may be, in the order in which they were seen; ``None``: any."""
DEFAULT = "default"
Settings = dict[str, Values]
"""Library -> setting -> value, of what is not as it is by default."""

_LONGEST = 60
_RESOLVED_LATER = frozenset({"backend", "backend_fallback", "interactive"})
"""Settings of matplotlib that are settled when the first figure is made."""
_NUMPY_DEFAULTS: Values = {
    "errstate.divide": "warn", "errstate.over": "warn", "errstate.under": "ignore", "errstate.invalid": "warn",
    "edgeitems": 3, "threshold": 1000, "floatmode": "maxprec", "precision": 8, "suppress": False, "linewidth": 75,
    "nanstr": "nan", "infstr": "inf", "sign": "-", "formatter": None, "legacy": False, "override_repr": None,
}  # fmt: skip
_INLINE_DEFAULTS: Values = {
    "figure_formats": ["png"], "print_figure_kwargs": {"bbox_inches": "tight"}, "close_figures": True, "rc": {},
}  # fmt: skip
OF_IMPORTS = frozenset({("logging", "levels"), ("logging", "handlers")})
"""What libraries set when they are imported: no inputs."""
_CONTEXT = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


class Unsettable(StashError):
    """A value that is no plain data, so that no record can hold it."""


class _Library(NamedTuple):
    title: str
    module: str
    """It has settings as soon as this module is loaded."""
    read: Callable[[Any], Values]
    get: Callable[[Any, str], Any]
    set: Callable[[Any, str, Any], object]
    calls: frozenset[str] = frozenset()
    """It is looked at only for cells that call one of these, if there are any."""


def look(calls: Collection[str] = ()) -> Settings:
    """What is set now, of all libraries that are loaded and matter to who makes these *calls*."""
    found: Settings = {}
    for name, library in _LIBRARIES.items():
        module = sys.modules.get(library.module)
        if module is not None and not (library.calls and library.calls.isdisjoint(calls)):
            try:
                found[name] = library.read(module)
            except Exception:  # noqa: BLE001 - half-loaded modules, other versions: then there is nothing to compare
                continue
    return found


def differences(name: str, then: Mapping[str, Then]) -> Iterator[str]:
    """What is set otherwise than *then*, in words."""
    library = _LIBRARIES.get(name)
    if library is None:
        return
    module = sys.modules.get(library.module)
    now = {key: text_of(value) for key, value in (look_at(name) if module is not None else {}).items()}
    now |= {
        key: text_of(library.get(module, key)) for key in then if module is not None and key.startswith(process.LOGGER)
    }
    for key in sorted(then.keys() | now.keys()):
        known, text = then.get(key, DEFAULT), now.get(key, DEFAULT)
        any_of = known if isinstance(known, list) else [known]
        if known is not None and text not in any_of:
            before, after = (
                shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "..." for shown in (str(any_of[0]), text)
            )
            yield f"{library.title}'s `{key}` changed: {before} -> {after}"


def look_at(name: str) -> Values:
    """What is set now of one library, as far as it can be an input."""
    found = _LIBRARIES[name].read(sys.modules[_LIBRARIES[name].module])
    return {key: value for key, value in found.items() if (name, key) not in OF_IMPORTS}


def changes(before: Settings, now: Settings) -> Settings:
    """What was set in between, as plain data that :func:`repeat` takes; raises :class:`Unsettable`, naming the setting."""
    found: Settings = {}
    for name, values in now.items():
        then = before.get(name, {})
        if values == then:
            continue
        library = _LIBRARIES[name]
        moved = [
            key for key in sorted(values.keys() | then.keys()) if text_of(values.get(key)) != text_of(then.get(key))
        ]
        for key in moved:
            try:
                value = _plain(library.get(sys.modules[library.module], key))
            except Unsettable:
                raise Unsettable(f"{library.title}'s `{key}`") from None
            found.setdefault(name, {})[key] = value
    return found


def current(settings: Settings) -> Settings:
    """The same settings with the values that they have now, where their libraries are loaded."""
    return {
        name: {key: library.get(module, key) for key in values}
        for name, values in settings.items()
        if (library := _LIBRARIES.get(name)) is not None and (module := sys.modules.get(library.module)) is not None
    }


def repeat(settings: Settings) -> None:
    """Set what :func:`changes` gave."""
    for name, values in settings.items():
        library = _LIBRARIES.get(name)
        if library is None:  # from a later version
            raise Unsettable(f"settings of {name}, which this version does not know")
        module = importlib.import_module(library.module)
        for key, value in values.items():
            library.set(module, key, value)


# -- values


def _plain(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if type(value) is dict:
        return {_plain(key): _plain(part) for key, part in value.items()}
    if type(value).__name__ == "Cycler":
        return repr(value)  # matplotlib reads it
    raise Unsettable


def text_of(value: Any) -> str:
    try:
        return repr(_plain(value))
    except Unsettable:
        return f"<{type(value).__name__} {Fingerprinter().walk(value).digest.hex()[:12]}>"


# -- libraries


def _is_other(value: Any, default: Any) -> bool:
    return value is not default and bool(value != default)


def _read_matplotlib(module: Any) -> Values:
    defaults = module.rcParamsOrig  # as its file says, where there is one
    get = dict.get
    return {
        key: value
        for key, value in dict.items(module.rcParams)
        if value is not (default := get(defaults, key)) and value != default and key not in _RESOLVED_LATER
    }


def _read_figures(module: Any) -> Values:
    if not module.InlineBackend.initialized():
        return {}
    values = {key: _get_figures(module, key) for key in _INLINE_DEFAULTS}
    return {key: value for key, value in values.items() if value != _INLINE_DEFAULTS[key]}


def _get_figures(module: Any, key: str) -> Any:
    value = getattr(module.InlineBackend.instance(), key)
    return sorted(value) if isinstance(value, set) else dict(value) if isinstance(value, dict) else value


def _set_figures(module: Any, key: str, value: Any) -> None:
    setattr(module.InlineBackend.instance(), key, set(value) if isinstance(value, list) else value)


def _read_pandas(_module: Any) -> Values:
    config = sys.modules["pandas._config.config"]
    if config._global_config == _pandas_defaults(len(config._registered_options)):  # noqa: SLF001 - in C, for most cells
        return {}
    found = {}
    for key, option in config._registered_options.items():  # noqa: SLF001 - asking by name takes ten times as long
        value = config._global_config  # noqa: SLF001
        for part in key.split("."):
            value = value[part]
        if _is_other(value, option.defval):
            found[key] = value
    return found


@functools.lru_cache(maxsize=1)
def _pandas_defaults(_count: int) -> Values:
    """What is set where nothing was, nested as pandas keeps it; options are registered once, and never taken back."""
    defaults: Values = {}
    for key, option in sys.modules["pandas._config.config"]._registered_options.items():  # noqa: SLF001
        *path, name = key.split(".")
        place = defaults
        for part in path:
            place = place.setdefault(part, {})
        place[name] = option.defval
    return defaults


def _read_numpy(module: Any) -> Values:
    values = {f"errstate.{key}": value for key, value in module.geterr().items()} | module.get_printoptions()
    if values.items() <= _NUMPY_DEFAULTS.items():  # in C, for most cells
        return {}
    return {key: value for key, value in values.items() if _is_other(value, _NUMPY_DEFAULTS.get(key, value))}


def _get_numpy(module: Any, key: str) -> Any:
    kind, _, name = key.rpartition(".")
    return module.geterr()[name] if kind else module.get_printoptions()[name]


def _set_numpy(module: Any, key: str, value: Any) -> None:
    kind, _, name = key.rpartition(".")
    (module.seterr if kind else module.set_printoptions)(**{name: value})


def _read_decimal(module: Any) -> Values:
    context, default = module.getcontext(), module.DefaultContext
    found = {key: getattr(context, key) for key in _CONTEXT if getattr(context, key) != getattr(default, key)}
    return found if context.traps == default.traps else {**found, "traps": _traps(context)}


def _traps(context: Any) -> list[str]:
    return sorted(signal.__name__ for signal, is_on in context.traps.items() if is_on)


def _get_decimal(module: Any, key: str) -> Any:
    context = module.getcontext()
    return _traps(context) if key == "traps" else getattr(context, key)


def _set_decimal(module: Any, key: str, value: Any) -> None:
    context = module.getcontext()
    if key != "traps":
        setattr(context, key, value)
        return
    for signal in context.traps:
        context.traps[signal] = signal.__name__ in value


_LIBRARIES = {
    "matplotlib": _Library(
        "matplotlib", "matplotlib", _read_matplotlib, lambda module, key: dict.get(module.rcParams, key),
        lambda module, key, value: module.rcParams.update({key: value}),
    ),
    "figures": _Library("InlineBackend", "matplotlib_inline.config", _read_figures, _get_figures, _set_figures),
    "pandas": _Library(
        "pandas", "pandas", _read_pandas, lambda module, key: module.get_option(key),
        lambda module, key, value: module.set_option(key, value),
    ),
    "polars": _Library("polars", "polars", polars_settings.read, polars_settings.get, polars_settings.set),
    "numpy": _Library("numpy", "numpy", _read_numpy, _get_numpy, _set_numpy),
    "decimal": _Library("decimal", "decimal", _read_decimal, _get_decimal, _set_decimal),
    "sklearn": _Library(
        "scikit-learn", "sklearn", process.read_sklearn, lambda module, key: module.get_config()[key],
        lambda module, key, value: module.set_config(**{key: value}),
    ),
    "warnings": _Library(
        "warnings", "warnings", process.read_warnings, process.get_warnings, process.set_warnings, process.WARNING_CALLS,
    ),
    "logging": _Library(
        "logging", "logging", process.read_logging, process.get_logging, process.set_logging,
        process.LOGGING_CALLS | process.LOGGING_SETTERS,
    ),
    "locale": _Library(
        "locale", "locale", process.read_locale, lambda module, key: process.read_locale(module)[key], process.set_locale,
        process.LOCALE_CALLS,
    ),
    "time": _Library(
        "time", "time", process.read_zone, lambda module, key: process.read_zone(module)[key], process.set_zone,
        process.ZONE_CALLS,
    ),
    "sys": _Library(
        "sys", "sys", process.read_limit, lambda _module, _key: sys.getrecursionlimit(), process.set_limit,
        process.RECURSION_CALLS,
    ),
}  # fmt: skip
