"""Which stashes lie below a folder, found by the folders of their data. Nothing is opened, and nothing is made."""

from __future__ import annotations

import functools
import os
import warnings
from typing import TYPE_CHECKING, NamedTuple

from hashstash.errors import MissingDependency, UnsafeName
from hashstash.folders import FILENAME
from hashstash.open import FUNCTIONS, MAPS, Config, compressor_name
from hashstash.paths import original_name, safe_parts, shown
from hashstash.registry import COMPRESSORS, ENGINES, SERIALIZERS, Registry
from hashstash.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_BELOW = (FUNCTIONS, MAPS)
_MOST_FOLDERS = 100_000
_DEEPEST = 32
_TEXT = "+b64"


class Found(NamedTuple):
    """One stash that lies in files."""

    name: str
    """Where it is, relative to the folder that was looked at, with ``/`` between the parts; empty for that folder itself."""
    config: Config


def stashes_below(
    folder: str | os.PathLike[str],
    *,
    dbname: str | None = None,
    most_folders: int = _MOST_FOLDERS,
    closed: list[str] | None = None,
) -> Iterator[Found]:
    """All stashes in *folder* and below it, by name; one for each engine where several lie in one place.

    What functions and maps keep belongs to the stash above it and is not listed. Below the folder of named stashes (the user's
    cache) the first part of a path is the ``root_dir`` of a stash and the rest its ``dbname``; elsewhere *folder* is the root,
    and with *dbname* only what lies in that namespace of it is listed. Folders that this user may not look into are left out, and
    added to *closed*; links are followed once, and the search ends with a warning after *most_folders*.
    """
    top = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    start = os.path.join(top, *(safe_parts(dbname) if dbname else ()))
    found = [
        Found(_name_of(place, start), config)
        for place, labels in _places(start, most_folders, [] if closed is None else closed)
        for config in _configs(place, labels, top)
    ]
    return iter(sorted(found, key=lambda one: (one.name, one.config.engine)))


def stashes_in(folder: str, root: str) -> list[Config]:
    """The stashes whose data lie directly in *folder*, of which *root* is the root; one for each engine."""
    labels, _ = _look_into(folder, _Engines(), [])
    return _configs(folder, labels, root)


def _places(start: str, most: int, closed: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Every folder that holds stashes, with the names of the data folders in it, or in what functions keep there."""
    engines = _Engines()
    seen: set[tuple[int, int]] = set()
    waiting = [(start, 0)]
    linked: list[tuple[str, int]] = []
    while waiting or linked:
        # Links last: what can be reached without one goes by that name.
        folder, depth = waiting.pop() if waiting else linked.pop()
        try:
            status = os.stat(folder)
        except PermissionError:
            closed.append(folder)
            continue
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        if len(seen) >= most:
            warnings.warn(
                f"{shown(start)}: there are more than {most:,} folders in it; only those were looked into",
                RuntimeWarning,
                stacklevel=4,
            )
            return
        seen.add((status.st_dev, status.st_ino))
        labels, inner = _look_into(folder, engines, closed)
        if labels:
            yield folder, labels
        if depth < _DEEPEST:
            for entry in inner:
                (linked if entry.is_symlink() else waiting).append((entry.path, depth + 1))


class _Engines:
    """Which engines keep files. A folder that says that it is of another one leads to a server, or to this user's memory."""

    def __init__(self) -> None:
        self._known = dict.fromkeys(ENGINES.names(), None)  # type: dict[str, bool | None]

    def __contains__(self, name: str) -> bool:
        keeps = self._known.get(name, False)
        if keeps is None:  # the engine is imported where there is a folder that is called like it
            try:
                keeps = bool(ENGINES.load(name).keeps_files)
            except MissingDependency:
                keeps = True  # who opens it is told what to install
            self._known[name] = keeps
        return keeps


def _look_into(folder: str, engines: _Engines, closed: list[str]) -> tuple[list[str], list[os.DirEntry[str]]]:
    """The names of the data folders in *folder*, and the other folders in it."""
    labels, inner = set(), []
    for entry in _folders_in(folder, closed):
        if _is_data(entry, engines):
            labels.add(entry.name)
        elif entry.name in _BELOW:
            for kept in _folders_in(entry.path, closed):
                labels.update(one.name for one in _folders_in(kept.path, closed) if _is_data(one, engines))
        else:
            inner.append(entry)
    return sorted(labels), inner


def _folders_in(folder: str, closed: list[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if _is_folder(entry)]
    except PermissionError:
        closed.append(folder)
    except OSError:  # removed meanwhile
        pass
    return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_data(entry: os.DirEntry[str], engines: _Engines) -> bool:
    engine, _, codec = entry.name.partition(".")
    return "." in codec and os.path.lexists(os.path.join(entry.path, FILENAME)) and engine in engines


def _configs(place: str, labels: list[str], root: str) -> list[Config]:
    by_engine: dict[str, str] = {}
    for label in labels:  # of several labels of one engine, the first is the one that is opened
        by_engine.setdefault(label.partition(".")[0], label)
    root_dir, dbname = _split(place, root)
    return [_config(root_dir, dbname, engine, label) for engine, label in sorted(by_engine.items())]


def _config(root_dir: str, dbname: str | None, engine: str, label: str) -> Config:
    """How new entries are written is what the folder's name says, as far as that is known and installed here.

    Entries say themselves how they were written: those that need a package which is missing say so when they are read.
    """
    _, serializer, compress = label.removesuffix(_TEXT).split(".", 2)
    serializers, compressors = _codecs()
    if serializer not in serializers or compress not in compressors:
        return Config(root_dir, dbname, engine)
    serializer = serializer if _is_installed(SERIALIZERS, serializer) else Config.serializer
    compress = compress if _is_installed(COMPRESSORS, compress) else compressor_name(None)
    return Config(root_dir, dbname, engine, serializer, compress, b64=label.endswith(_TEXT))


def _is_installed(plugins: Registry, name: str) -> bool:
    try:
        plugins.load(name)
    except MissingDependency:
        return False
    return True


@functools.cache  # asking for entry points takes longer than everything else here
def _codecs() -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(SERIALIZERS.names()), frozenset(COMPRESSORS.names())


def _split(place: str, root: str) -> tuple[str, str | None]:
    """The ``root_dir`` and the ``dbname`` of a stash in the folder *place*, looked for from *root* on."""
    base = load_settings().base
    if _is_below(place, base):
        root = os.path.join(base, os.path.relpath(place, base).split(os.sep)[0])
    if place == root:
        return root, None
    parts = os.path.relpath(place, root).split(os.sep)
    dbname = "/".join(map(original_name, parts))
    try:
        is_namespace = safe_parts(dbname) == parts
    except UnsafeName:
        is_namespace = False
    # A folder that no namespace has made cannot be reached as one, but as a root of its own.
    return (root, dbname) if is_namespace else (place, None)


def _is_below(place: str, folder: str) -> bool:
    return place.startswith(folder.rstrip(os.sep) + os.sep)


def _name_of(place: str, start: str) -> str:
    return "" if place == start else "/".join(map(original_name, os.path.relpath(place, start).split(os.sep)))
