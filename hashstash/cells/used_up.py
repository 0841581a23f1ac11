"""Archives, compressed files, and readers and writers of csv that a cell has closed and left behind under a name.

A closed archive still tells what is in it, so it is opened and closed again: its file is a fact of the record. Readers and
writers of csv keep their file to themselves; they are used up as soon as that is closed.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPRESSED = {"GzipFile": "gzip", "BZ2File": "bz2", "LZMAFile": "lzma"}
ARCHIVES = {"ZipFile": "zipfile", "TarFile": "tarfile"}
_TEXT = "text of "
_OF_CSV = {"reader": "_csv", "writer": "_csv", "DictReader": "csv", "DictWriter": "csv"}
_INNER = {"DictReader": "reader", "DictWriter": "writer"}
_PARTS = {
    "DictReader": ("_fieldnames", "restkey", "restval", "line_num"),
    "DictWriter": ("fieldnames", "restval", "extrasaction"),
}
_DIALECT = (
    *("delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting", "skipinitialspace", "strict"),
)
_MOST_LINES = 1_000_000
KINDS = frozenset({*_COMPRESSED, *ARCHIVES, *_OF_CSV, *(_TEXT + kind for kind in _COMPRESSED)})


def describe(value: Any, describe_file: Callable[[Any], list[Any] | None]) -> list[Any] | None:
    """What :func:`make` needs to make an equal one, as plain data; ``None`` for anything else, and while it is in use.

    *describe_file* does the same for plain files.
    """
    kind = type(value).__name__
    if _is_of(_COMPRESSED, value):
        return [kind, _name_of(value), ""] if value.closed else None
    if type(value) is io.TextIOWrapper and value.closed and _is_of(_COMPRESSED, value.buffer):
        return [_TEXT + type(value.buffer).__name__, _name_of(value.buffer), ""]
    if _is_of(ARCHIVES, value):
        is_closed = value.fp is None if kind == "ZipFile" else value.closed
        path = value.filename if kind == "ZipFile" else value.name
        return [kind, path, [os.path.abspath(path), value.mode]] if is_closed and isinstance(path, str) else None
    if _is_of(_OF_CSV, value):
        return _describe_csv(kind, value, describe_file)
    return None


def _is_of(table: dict[str, str], value: Any) -> bool:
    kind = type(value)
    module = sys.modules.get(table.get(kind.__name__, ""))
    # The classes of readers and writers have no public name.
    return module is not None and (kind is getattr(module, kind.__name__, None) or kind.__module__ == "_csv")


def _name_of(value: Any) -> str:
    name = value.name if type(value).__name__ == "GzipFile" else ""  # the others have none, or not when they are closed
    return os.fspath(name) if isinstance(name, str | os.PathLike) else ""


def _describe_csv(kind: str, value: Any, describe_file: Callable[[Any], list[Any] | None]) -> list[Any] | None:
    if kind in _INNER:
        inner = _describe_csv(_INNER[kind], getattr(value, _INNER[kind]), describe_file)
        state = {name: getattr(value, name) for name in _PARTS[kind]}
        return None if inner is None or not _is_plain(list(state.values())) else [kind, "", [inner, state]]
    # A writer refers to the method of its file.
    parts = gc.get_referents(value)
    files = [part.file if isinstance(part, _ReadUp) else getattr(part, "__self__", part) for part in parts]
    file = next(filter(None, map(describe_file, files)), None)
    lines = value.line_num if kind == "reader" else 0
    dialect = {name: getattr(value.dialect, name) for name in _DIALECT}
    return None if file is None or lines > _MOST_LINES else [kind, "", [file, lines, dialect]]


def _is_plain(value: Any) -> bool:
    return value is None or type(value) in (str, int) or (type(value) is list and all(map(_is_plain, value)))


def make(description: list[Any], make_file: Callable[[list[Any]], Any]) -> Any:
    """The one that was described; *make_file* makes plain files. Raises ``OSError`` if an archive is gone."""
    kind, name, detail = description
    if kind in _COMPRESSED or kind.startswith(_TEXT):
        file = _compressed(kind.removeprefix(_TEXT), name)
        file = io.TextIOWrapper(file) if kind.startswith(_TEXT) else file
        file.close()
        return file
    if kind in ARCHIVES:
        return _archive(kind, name, *detail)
    if kind in _INNER:
        (_kind, _name, inner), parts = detail
        value: Any = getattr(importlib.import_module("csv"), kind)(io.StringIO(), [])
        setattr(value, _INNER[kind], _of_csv(_INNER[kind], *inner, make_file=make_file))
        vars(value).update({part: parts[part] for part in _PARTS[kind]})
        return value
    return _of_csv(kind, *detail, make_file=make_file)


def _compressed(kind: str, name: str) -> Any:
    made: Any = getattr(importlib.import_module(_COMPRESSED[kind]), kind)
    empty = io.BytesIO()
    return made(filename=name, mode="rb", fileobj=empty) if kind == "GzipFile" else made(empty)


def _archive(kind: str, name: str, path: str, mode: str) -> Any:
    if kind == "ZipFile":
        with importlib.import_module("zipfile").ZipFile(path) as archive:
            archive.filename = name
    else:
        with importlib.import_module("tarfile").open(path) as archive:
            archive.getmembers()
    archive.mode = mode
    return archive


def _of_csv(
    kind: str, file: list[Any], lines: int, dialect: dict[str, Any], *, make_file: Callable[[list[Any]], Any]
) -> Any:
    closed, csv = make_file(file), importlib.import_module("csv")
    if kind == "writer":
        return csv.writer(closed, **dialect)
    lines = min(lines, _MOST_LINES)
    reader = csv.reader(_ReadUp(closed, lines), **dialect)
    for _ in range(lines):
        next(reader)
    return reader


class _ReadUp:
    """Lines of a file that were read."""

    def __init__(self, file: Any, lines: int) -> None:
        self.file = file
        self._left = lines

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if not self._left:
            return str(next(self.file))  # which says that it is closed
        self._left -= 1
        return "\n"
