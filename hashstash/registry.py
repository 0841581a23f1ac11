"""Plug-ins by file name: ``hashstash/engines/lmdb.py`` is the engine ``lmdb``, and nothing else needs to name it.

A plug-in module ends with ``PLUGIN = ...``. Other packages add plug-ins through entry points of the group with the package's
name, such as ``hashstash.engines``. A plug-in is imported when it is first asked for, never before.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import re
from typing import TYPE_CHECKING, Any

from hashstash.errors import UnknownPlugin
from hashstash.imports import installed_only, installed_path

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAFE_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Registry:
    """The plug-ins of one kind, such as all engines."""

    def __init__(
        self,
        kind: str,
        package: str,
        aliases: Mapping[str, str] | None = None,
        schemes: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.package = package
        self.aliases = dict(aliases or {})
        self.schemes = dict(schemes or {})
        """The schemes of URLs that are not called like their plug-in."""
        self._loaded: dict[str, Any] = {}

    def names(self) -> list[str]:
        """The names of all plug-ins that exist, whether or not the packages that they need are installed."""
        folder = os.path.join(os.path.dirname(__file__), *self.package.split(".")[1:])
        names = {entry.name.removesuffix(".py") for entry in os.scandir(folder) if _is_plugin(entry)}
        return sorted(names | set(self._entry_points()))

    def load(self, name: str) -> Any:
        """The plug-in called *name* or by an alias of it; raises UnknownPlugin, or MissingDependency with a pip line."""
        if not isinstance(name, str):
            raise UnknownPlugin(self._unknown(name))
        found = self._loaded.get(name)
        if found is None:
            found = self._loaded[name] = self._import(self.aliases.get(name, name))
        return found

    def _import(self, name: str) -> Any:
        if _SAFE_NAME.fullmatch(name):
            # The name may come from a stored entry, and what it needs from the folder in which that lies.
            with installed_only():
                if importlib.util.find_spec(f"{self.package}.{name}") is not None:
                    return importlib.import_module(f"{self.package}.{name}").PLUGIN
                entry_point = self._entry_points().get(name)
                if entry_point is not None:
                    return entry_point.load()
        raise UnknownPlugin(self._unknown(name))

    def _unknown(self, name: object) -> str:
        known = [*self.names(), *self.aliases]
        close = difflib.get_close_matches(str(name), known, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"no {self.kind} named {name!r:.100}; {hint}known: {', '.join(sorted(known))}"

    def _entry_points(self) -> dict[str, Any]:
        from importlib.metadata import distributions

        points: dict[str, Any] = {}
        for distribution in distributions(path=installed_path()):
            for point in distribution.entry_points:
                if point.group == self.package:
                    points.setdefault(point.name, point)  # of one that is installed twice, the first is the one in use
        return points


def _is_plugin(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(("_", ".")):
        return False
    return entry.name.endswith(".py") or os.path.exists(os.path.join(entry.path, "__init__.py"))


ENGINES = Registry(
    "engine",
    "hashstash.engines",
    {"file": "pairtree"},
    {
        **dict.fromkeys(("rediss", "redis+cluster", "rediss+cluster", "redis+unix"), "redis"),
        **dict.fromkeys(("mongodb", "mongodb+srv"), "mongo"),
    },
)
SERIALIZERS = Registry("serializer", "hashstash.serializers")
COMPRESSORS = Registry("compressor", "hashstash.compressors")
FILTERS = Registry("filter", "hashstash.filters")
