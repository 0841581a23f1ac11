"""What a run left behind that is in no record: settings of libraries, open figures, threads, live widgets.

Looked at before and after a plain cell that may be recorded without anybody having said so. The settings are those of the
libraries that notebooks use; what they look like is nobody's business here, only whether they are the same.
"""

from __future__ import annotations

import asyncio
import builtins
import decimal
import gc
import locale
import logging
import os
import subprocess
import sys
import threading
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hashstash.cells.automatic import SETTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Stat = tuple[int, int]

_MOST_FILES = 1000
_RESOLVED_LATER = frozenset({"backend", "backend_fallback", "interactive"})
"""Settings of matplotlib that are settled when the first figure is made."""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """How things were before a run."""

    namespace: Mapping[str, Any]
    settings: dict[str, Any]
    figures: list[int]
    threads: set[threading.Thread] = field(default_factory=lambda: set(threading.enumerate()))
    children: int = field(default_factory=lambda: _running_children())  # noqa: PLW0108 - it is defined below
    modules: int = field(default_factory=lambda: len(sys.modules))

    @classmethod
    def look(cls, namespace: Mapping[str, Any]) -> Aftermath:
        """How things are now."""
        return cls(namespace, dict(_settings()), _figures())

    def what_stays(self, calls: frozenset[str]) -> str | None:
        """What no record would bring back, completing "the cell ..."; ``None`` if there is nothing.

        *calls*: names of what the user's functions, which the cell reaches, call.
        """
        setters = sorted(SETTERS & calls)
        if setters:
            return f"may change settings or ask (`{setters[0]}`, in a function that it calls)"
        now = dict(_settings())
        fresh_imports = len(sys.modules) != self.modules
        for name, then in self.settings.items():
            if name in now and now[name] != then and not (fresh_imports and name in _BY_IMPORTS):
                return f"changed the {name}"
        if _figures() != self.figures:
            return "left a figure open for the next cells"
        if any(map(self._is_users, set(threading.enumerate()) - self.threads)):
            return "left a thread running"
        if _running_children() > self.children:
            return "left a process running"
        return "left a task running" if any(self._is_users_task(task) for task in _tasks()) else None

    def _is_users(self, thread: threading.Thread) -> bool:
        target = getattr(thread, "_target", None) or getattr(thread, "function", None) or type(thread).run
        target = getattr(target, "__func__", target)
        return getattr(target, "__globals__", None) is self.namespace

    def _is_users_task(self, task: asyncio.Task[Any]) -> bool:
        frame = getattr(task.get_coro(), "cr_frame", None)
        return (
            task is not _current_task()
            and frame is not None
            and frame.f_globals is self.namespace
            and frame.f_code.co_name != "<module>"
        )


def listing(folder: str) -> dict[str, Stat] | None:
    """The files in a folder with size and time, without notebooks and hidden ones; ``None`` if they are too many."""
    found: dict[str, Stat] = {}
    folder = os.path.abspath(folder)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.endswith(".ipynb") or not entry.is_file():
                    continue
                status = entry.stat()
                found[os.path.join(folder, entry.name)] = (status.st_size, status.st_mtime_ns)
                if len(found) > _MOST_FILES:
                    return None
    except OSError:
        return None
    return found


def is_live_widget(value: Any) -> bool:
    """Whether the value is a widget, which lives in the page."""
    widgets = sys.modules.get("ipywidgets.widgets.widget")
    return widgets is not None and isinstance(value, widgets.Widget)


def _figures() -> list[int]:
    numbers = getattr(sys.modules.get("matplotlib.pyplot"), "get_fignums", None)
    return [] if numbers is None else list(numbers())


def _running_children() -> int:
    """Processes that nobody holds any more, and that still run."""
    return sum(process.poll() is None for process in list(getattr(subprocess, "_active", None) or ()))


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _tasks() -> set[asyncio.Task[Any]]:
    try:
        return asyncio.all_tasks()
    except RuntimeError:  # no event loop runs in this thread
        return set()


# -- settings


def _settings() -> Iterator[tuple[str, Any]]:
    """The settings of everything that is loaded, as values that can be compared."""
    yield "warning filters", list(warnings.filters)
    yield "log levels and handlers", _logging()
    yield "number context of decimal", repr(decimal.getcontext())
    yield "locale", locale.setlocale(locale.LC_ALL)
    yield "recursion limit", sys.getrecursionlimit()
    yield "hooks of sys", (sys.excepthook, sys.unraisablehook, sys.gettrace(), sys.getprofile(), threading.excepthook)
    yield "builtins", vars(builtins).keys() - {"_"}
    yield "garbage collector", (gc.isenabled(), gc.get_threshold(), len(gc.callbacks))
    for name, read in _READERS.items():
        module = sys.modules.get(name.split(" ")[-1])
        if module is not None:
            try:
                yield name, read(module)
            except Exception:  # noqa: BLE001 - half-loaded modules, other versions: then there is nothing to compare
                continue


_BY_IMPORTS = frozenset({"warning filters", "log levels and handlers", "builtins", "garbage collector"})
"""Settings that libraries touch when they are first imported; a restored cell imports them, too."""


def _logging() -> list[Any]:
    manager = logging.root.manager
    loggers = {name: one for name, one in list(manager.loggerDict.items()) if isinstance(one, logging.Logger)}
    own = {
        name: (one.level, list(map(id, one.handlers)), one.disabled)
        for name, one in loggers.items()
        if one.level or one.handlers or one.disabled
    }
    return [logging.root.level, list(map(id, logging.root.handlers)), manager.disable, own]


def _matplotlib(module: Any) -> dict[str, Any]:
    values = dict(dict.items(module.rcParams))
    return {name: repr(value) for name, value in values.items() if name not in _RESOLVED_LATER}


def _pandas(module: Any) -> str:
    config = sys.modules.get("pandas._config.config")
    return repr(getattr(config, "_global_config", None)) + str("progress_apply" in vars(module.DataFrame))


def _torch(module: Any) -> tuple[Any, ...]:
    return module.get_default_dtype(), module.is_grad_enabled(), module.get_num_threads()


def _start_method(module: Any) -> str:
    """It is settled when it is first asked for; until then it is the first that there is."""
    return str(module.get_start_method(allow_none=True) or module.get_all_start_methods()[0])


def _plotly(module: Any) -> tuple[Any, ...]:
    return module.templates.default, module.renderers.default


_READERS: dict[str, Callable[[Any], Any]] = {
    "settings of numpy": lambda module: (module.geterr(), module.geterrcall(), repr(module.get_printoptions())),
    "settings of pandas": _pandas,
    "settings of matplotlib": _matplotlib,
    "settings of torch": _torch,
    "settings of sklearn": lambda module: module.get_config(),
    "settings of polars": lambda module: module.Config.state(if_set=True),
    "settings of xarray": lambda module: repr(module.get_options()),
    "settings of plotly.io": _plotly,
    "way to start processes of multiprocessing": _start_method,
    "timeout of socket": lambda module: module.getdefaulttimeout(),
}
