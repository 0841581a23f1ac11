"""The user's own modules in workers that stay: none of them is older there than its file.

A function of an imported module travels by its name, and a worker that has imported the module before would go on with what
it has. Each job therefore says which versions of the user's files there are; a worker that has loaded another one starts
anew, or forgets the modules where the process is not ours. What the parent itself has loaded, and perhaps changed since, is
told by the function's fingerprint, which :mod:`hashstash.mapping.worker` compares.
"""

from __future__ import annotations

import importlib.machinery
import linecache
import os
import platform
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hashstash.fingerprint.packages import Origin, origin_of_module
from hashstash.leaving import always_left

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_Version = tuple[float, int]
"""Time of the last change in seconds, and size in bytes."""
_OURSELVES = __name__.partition(".")[0]
_NOT_IMPORTED = frozenset({"__main__", "__mp_main__", _OURSELVES})


@dataclass(frozen=True)
class Modules:
    """The versions of the files that the user's modules come from, in the process that has made a job."""

    host: str
    process: int
    files: dict[str, _Version] = field(default_factory=dict)

    @classmethod
    def here(cls) -> Modules:
        """Those that are loaded in this process, as their files are now."""
        files = {}
        for module in _of_the_user():
            version = _version_of(_file_of(module))
            if version is not None:
                files[_file_of(module)] = version
        return cls(platform.node(), os.getpid(), files)

    @property
    def are_here(self) -> bool:
        """Whether this is the process itself, whose modules are its user's business."""
        return self.process == os.getpid() and self.host == platform.node()

    def are_newer(self) -> bool:
        """Whether this process has loaded another version of any of them; of files of other machines nothing is known."""
        if self.host != platform.node():
            return False
        return any(_loaded.get(file, version) != version for file, version in self.files.items())


_judged: dict[str, tuple[int, bool]] = {}
"""For the names of modules, which object was asked about and whether it is the user's: there are thousands of them."""


def _of_the_user() -> list[ModuleType]:
    """The loaded modules that are neither installed nor part of Python."""
    found = []
    for name, module in list(sys.modules.items()):
        known = _judged.get(name)
        if known is None or known[0] != id(module):
            known = _judged[name] = id(module), _is_the_users(name, module)
        if known[1]:
            found.append(module)
    return found


def _is_the_users(name: str, module: ModuleType) -> bool:
    if name.partition(".")[0] in _NOT_IMPORTED or not _file_of(module).endswith(".py"):
        return False
    return origin_of_module(module) is Origin.USER


def _file_of(module: ModuleType) -> str:
    """The file of a module, or ``""``; there may be anything in ``sys.modules``, some of it with attributes of its own."""
    file = getattr(module, "__dict__", {}).get("__file__")
    return file if isinstance(file, str) else ""


def _version_of(file: str) -> _Version | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime, status.st_size


# ---- in a worker -----------------------------------------------------------------------------------------------------

_loaded: dict[str, _Version] = {}
"""The versions that this process has loaded, noted as they were read: later the file may be another."""
_is_watching = False
_lock = threading.Lock()


def watch() -> None:
    """From now on, note the version of each module that is imported in this process."""
    global _is_watching
    with _lock:
        if _is_watching:
            return
        _is_watching = True
        for module in _of_the_user():
            version = _version_of(_file_of(module))
            if version is not None:
                _loaded[_file_of(module)] = version
        loader: Any = importlib.machinery.SourceFileLoader
        stats_of = loader.path_stats

        def path_stats(self: Any, path: str) -> Any:
            stats = stats_of(self, path)
            _loaded[path] = stats["mtime"], stats["size"]
            return stats

        loader.path_stats = path_stats


def forget() -> None:
    """Let the user's modules be imported anew when they are next needed; all of them, as they hold parts of each other."""
    with _lock:
        for module in _of_the_user():
            sys.modules.pop(module.__name__, None)
            linecache.checkcache(_file_of(module))
        _loaded.clear()
        importlib.invalidate_caches()


# ---- in the parent ---------------------------------------------------------------------------------------------------


@always_left
def by_value() -> Iterator[None]:
    """Meanwhile, functions and classes of the user's modules are pickled whole and not by their names."""
    import cloudpickle

    with _lock:
        names = {module.__name__ for module in _of_the_user()}
        own = [name for name in names - set(cloudpickle.list_registry_pickle_by_value()) if name in sys.modules]
        for name in own:
            cloudpickle.register_pickle_by_value(sys.modules[name])
        try:
            yield
        finally:
            for name in own:
                if name in sys.modules:
                    cloudpickle.unregister_pickle_by_value(sys.modules[name])
