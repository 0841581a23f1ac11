"""Libraries that open files in C or C++, unheard by Python's audit events: their entry points tell the watch which paths
they are given, while a cell is recorded.

What is replaced is looked up at call time by whoever calls. A library that is loaded meanwhile gets its turn at the end
of its import. Afterwards everything is as it was, in the variables too: ``from pyarrow.csv import read_csv`` in the cell
must not leave our function behind.
"""

from __future__ import annotations

import functools
import glob
import importlib.util
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hashstash.cells.watch import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType

READERS: dict[str, tuple[str, ...]] = {
    "pyarrow": ("memory_map",),
    "pyarrow.parquet": (
        "read_table",
        "read_metadata",
        "read_schema",
        "ParquetFile.__init__",
        "ParquetDataset.__init__",
    ),
    "pyarrow.dataset": ("dataset",),
    "pyarrow.feather": ("read_table", "read_feather"),
    "pyarrow.orc": ("read_table", "ORCFile.__init__"),
    "pyarrow.csv": ("read_csv", "open_csv"),
    "pyarrow.json": ("read_json", "open_json"),
    "pyarrow.ipc": ("open_file", "open_stream"),
    "polars": ("read_*", "scan_*", "collect_all*", "LazyFrame.collect*", "LazyFrame.sink_*"),
    "duckdb": ("read_csv", "read_parquet", "read_json"),
    "h5py": ("File.__init__",),
    "cv2": ("imread", "imreadmulti"),
}
"""Module -> what in it takes a path first, or is a method of a lazy frame; ``*`` stands for any ending."""
WRITERS: dict[str, tuple[str, ...]] = {"pyarrow.parquet": ("ParquetWriter.__init__",)}
_PATH_ARGUMENTS = frozenset(
    {"source", "path", "where", "name", "filename", "file", "path_or_paths", "path_or_dataset", "input_file"}
)
_MODES = {"w": os.O_WRONLY, "w-": os.O_WRONLY, "x": os.O_WRONLY, "a": os.O_RDWR, "r+": os.O_RDWR}
_MOST_FILES = 10_000
_LAZY = "LazyFrame"
_PLANNED_PATHS, _INNER = b"\xa5Paths", b"\x81\xa5inner"
"""Before the paths of a scan in the MessagePack of a lazy frame's plan, and before each of them in later versions."""

_replaced: list[tuple[Any, str, Any, Any]] = []
"""Owner, name, original, replacement."""
_listeners = 0


@contextmanager
def hearing_readers(variables: dict[str, Any]) -> Iterator[None]:
    """Within: paths that are given to these libraries are told to the watch; *variables* are cleaned of us at the end."""
    global _listeners
    _listeners += 1
    finder = _Finder()
    if _listeners == 1:
        for name in sorted(READERS):
            _replace_in(sys.modules.get(name))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _listeners -= 1
        if not _listeners:
            _put_back(variables)


def _put_back(variables: dict[str, Any]) -> None:
    originals = {id(replacement): original for _owner, _name, original, replacement in _replaced}
    while _replaced:
        owner, name, original, replacement = _replaced.pop()
        if getattr(owner, name, None) is replacement:
            setattr(owner, name, original)
    for name, value in list(variables.items()):
        if id(value) in originals:
            variables[name] = originals[id(value)]


def _replace_in(module: ModuleType | None) -> None:
    if module is None:
        return
    for table, flags in ((READERS, os.O_RDONLY), (WRITERS, os.O_WRONLY)):
        for pattern in table.get(module.__name__, ()):
            for owner, name in _places(module, pattern):
                original = vars(owner)[name]
                replacement = _telling(original, flags, skip=int(owner is not module and owner.__name__ != _LAZY))
                _replaced.append((owner, name, original, replacement))
                setattr(owner, name, replacement)


def _places(module: ModuleType, pattern: str) -> list[tuple[Any, str]]:
    """Where what the pattern means is kept; nothing for what this version of the library does not have."""
    owner_name, _, name = pattern.rpartition(".")
    owner = getattr(module, owner_name, None) if owner_name else module
    if owner is None:
        return []
    if name.endswith("*"):
        return [(owner, found) for found in list(vars(owner)) if found.startswith(name[:-1])]
    return [(owner, name)] if name in vars(owner) else []


def _telling(original: Callable[..., Any], flags: int, *, skip: int) -> Callable[..., Any]:
    @functools.wraps(original)
    def reader(*arguments: Any, **keywords: Any) -> Any:
        given = [*arguments[skip : skip + 1], *(keywords[name] for name in _PATH_ARGUMENTS & keywords.keys())]
        mode = keywords.get("mode", arguments[skip + 1] if len(arguments) > skip + 1 else None)
        for path in _paths(given):
            tell(path, _MODES.get(mode, flags) if isinstance(mode, str) else flags)
        return original(*arguments, **keywords)

    return reader


def _paths(given: Any) -> Iterator[str]:
    """The local paths in what a reader was given: one, several, with wildcards; a folder with all that is in it."""
    if isinstance(given, list | tuple | set):
        for part in given:
            yield from _paths(part)
    elif type(given).__name__ == _LAZY:
        yield from _paths(_planned_paths(given))
    elif isinstance(given, str | os.PathLike):
        text = os.fsdecode(given)
        if "\0" in text or "://" in text:
            return
        matches = glob.glob(text, recursive=True) if glob.has_magic(text) and not os.path.exists(text) else []
        if matches:
            yield from {os.path.dirname(path) or "." for path in matches}  # where another file may match
        for path in matches or [text]:
            yield path
            yield from _below(path)


def _planned_paths(frame: Any) -> list[str]:
    """The paths that a lazy frame of polars will read; none if its plan cannot be written, as with a user's function in it."""
    try:
        plan = frame.serialize()
    except Exception:  # noqa: BLE001 - polars has an error of its own, or panics
        return []
    found: list[str] = []
    place = plan.find(_PLANNED_PATHS)
    while place >= 0:
        place += len(_PLANNED_PATHS)
        count, place = _length_at(plan, place, short=0x90, wide=0xDC, sizes=(2, 4))
        for _ in range(count):
            if place >= len(plan):
                break  # a plan from elsewhere may claim any number
            place += len(_INNER) * plan.startswith(_INNER, place)
            size, place = _length_at(plan, place, short=0xA0, wide=0xD9, sizes=(1, 2, 4))
            found.append(os.fsdecode(plan[place : place + size]))
            place += size
        place = plan.find(_PLANNED_PATHS, place)
    return found


def _length_at(data: bytes, place: int, *, short: int, wide: int, sizes: tuple[int, ...]) -> tuple[int, int]:
    """The length that a MessagePack list or text begins with, and where its content starts; 0 if something else is there."""
    first = data[place] if place < len(data) else 0
    if short <= first < short + (16 if short == 0x90 else 32):
        return first - short, place + 1
    if wide <= first < wide + len(sizes):
        size = sizes[first - wide]
        return int.from_bytes(data[place + 1 : place + 1 + size], "big"), place + 1 + size
    return 0, place


def _below(folder: str) -> Iterator[str]:
    for count, (place, folders, files) in enumerate(os.walk(folder)):
        if count >= _MOST_FILES:
            return
        yield from (os.path.join(place, name) for name in (*folders, *files))


class _Finder:
    """Lets the other finders find a library of ours, and replaces its entry points when it has been loaded."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if name not in READERS or name in self._asked:
            return None
        self._asked.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._asked.discard(name)
        if spec is not None and spec.loader is not None:
            _replace_after(spec.loader)
        return spec


def _replace_after(loader: Any) -> None:
    load = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        load(module)
        if "exec_module" in vars(loader):
            del loader.exec_module
        if _listeners:
            _replace_in(module)

    loader.exec_module = exec_module
