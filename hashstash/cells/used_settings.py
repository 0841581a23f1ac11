"""Which libraries a cell uses, of those whose settings are facts of its record.

A library whose settings cannot matter to a cell is none of its inputs: a figure's resolution is nothing to a sum. When in doubt
they count, since a needless run is better than a figure that looks as another would.
"""

from __future__ import annotations

import logging
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from hashstash.cells import process_settings as process
from hashstash.cells.set_first import First, first
from hashstash.cells.settings import DEFAULT, OF_IMPORTS, look_at, text_of
from hashstash.fingerprint.modules import is_user_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashstash.cells.record import Run
    from hashstash.cells.settings import Settings, Then, Values

_ARRAYS = frozenset({"numpy", "scipy", "xarray", "pandas", "sklearn", "statsmodels", "skimage", "numba", "jax", "dask"})
_FRAMES = frozenset({"pandas", "geopandas", "dask", "modin", "seaborn", "statsmodels"})
_DRAWS_NOTHING = (_ARRAYS | sys.stdlib_module_names | {
    "builtins", "__main__", "hashstash", "IPython", "ipywidgets", "tqdm", "polars", "pyarrow", "torch", "requests", "sqlalchemy",
    "duckdb", "cloudpickle", "joblib", "pydantic", "attr", "attrs", "yaml", "bs4", "lxml", "PIL", "plotly", "altair", "bokeh",
}) - {"xarray", "statsmodels", "sklearn"}  # fmt: skip
_CLOCKS = frozenset({"time", "datetime"})
_DRAWS = frozenset(
    {"plot", "hist", "boxplot", "scatter_matrix", "background_gradient", "bar", "barh", "savefig", "imshow"}
)


def used_settings(run: Run, bound: Iterable[Any], changed: Settings) -> dict[str, dict[str, Then]]:
    """The settings of the libraries that the cell uses, through its names, its text, or what it made and showed.

    Those that it sets before anything else do not count, whatever they were.
    """
    before, calls = run.before, run.before.names.attributes | run.before.callees.calls
    reached = [root.value for root in before.roots.values()]
    for root in before.roots.values():
        functions = (value for value in root.walk.containers if isinstance(value, FunctionType))
        reached += [*functions, *{type(value): value for value in root.walk.containers}.values()]
    packages = _packages_of([*reached, *bound, run.value])
    imported = (before.names.modules | calls) & sys.modules.keys()
    packages |= {name.partition(".")[0] for name in imported}
    found = _counted(before.settings, packages, calls, draws=run.recorder.shows_images())
    if "logging" in found:
        asked = process.loggers_asked(
            logging, before.settings.get("logging", {}), before.names.strings | before.callees.strings
        )
        found["logging"] |= {key: text_of(value) for key, value in asked.items()}
    begins = first(before.cell.tree, before.callees.calls) if changed else First(sets=False, adds=False)
    facts: dict[str, dict[str, Then]] = {name: dict(texts) for name, texts in found.items()}
    for name, texts in facts.items():
        for key in changed.get(name, ()):
            if begins.sets:
                texts[key] = None
            elif begins.adds or key == process.BASIC:  # which the first message sets up, if nobody has
                texts[key] = [str(found[name].get(key, DEFAULT)), _now(name, key)]
    if "logging" not in facts and (process.BASIC in calls or process.BASIC in changed.get("logging", {})):
        facts["logging"] = _facts_of_basic_config(before.settings.get("logging", {}))
    return facts


def _facts_of_basic_config(before: Values) -> dict[str, Then]:
    """What it depends on: it does nothing where the first logger has a handler, also one of its own making.

    Other handlers than that are the same before and after the cell, or it could not be stored.
    """
    seen = {key: text_of(before[key]) if key in before else DEFAULT for key in (process.BASIC, "level")}
    texts: dict[str, Then] = {key: list(dict.fromkeys([text, _now("logging", key)])) for key, text in seen.items()}
    return {**texts, "disable": None, process.LOGGER: text_of(process.get_logging(logging, process.LOGGER))}


def _now(library: str, key: str) -> str:
    values = look_at(library)
    return text_of(values[key]) if key in values else DEFAULT


def _counted(
    settings: Settings, packages: Iterable[str], calls: Iterable[str], *, draws: bool
) -> dict[str, dict[str, str]]:
    """Those of the libraries that a cell uses, as texts: the facts of a record. *draws*: it has shown an image."""
    packages, calls = set(packages), set(calls)
    draws = draws or not packages <= _DRAWS_NOTHING or ("pandas" in packages and not _DRAWS.isdisjoint(calls))
    wanted = {
        "matplotlib": draws,
        "figures": draws,
        "pandas": not _FRAMES.isdisjoint(packages),
        "polars": "polars" in packages,
        "numpy": not _ARRAYS.isdisjoint(packages),
        "decimal": "decimal" in packages,
        "sklearn": "sklearn" in packages,
        "warnings": "warnings" in packages and "warn" in calls,
        "logging": "logging" in packages and not process.LOGGING_CALLS.isdisjoint(calls),
        "locale": "locale" in packages and not process.LOCALE_CALLS.isdisjoint(calls),
        "time": not (_CLOCKS.isdisjoint(packages) or process.ZONE_CALLS.isdisjoint(calls)),
    }
    return {
        name: {key: text_of(value) for key, value in settings.get(name, {}).items() if (name, key) not in OF_IMPORTS}
        for name, uses in wanted.items()
        if uses
    }


def _packages_of(values: Iterable[Any]) -> set[str]:
    """The packages to which modules, functions, classes and objects belong, and which the user's own modules use."""
    found: set[str] = set()
    for value in values:
        if isinstance(value, FunctionType):
            inside = value.__globals__
            found.update(_names_of(inside.get(name) for name in value.__code__.co_names))
        found.update(_names_of([value if _has_owner(value) else type(value)]))
    users = {name: sys.modules[name] for name in found - {"__main__"} if is_user_module(sys.modules.get(name))}
    for module in users.values():
        found.update(_names_of(vars(module).values()))
    return {name.partition(".")[0] for name in found - users.keys()}


def _has_owner(value: Any) -> bool:
    return isinstance(value, type | ModuleType) or (callable(value) and getattr(value, "__module__", None) is not None)


def _names_of(values: Iterable[Any]) -> Iterator[str]:
    """The modules that these are, or that they come from."""
    for value in values:
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str):
            yield name
