"""What a cell used up and left behind under a name: closed files, finished threads, executors that were shut down.

``with open(...) as file`` leaves ``file`` bound to a closed file. None of these can be stored, but an equal one, just as used
up, can be made again. So can the notebook's own module: whoever restores the cell has one.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.cells import used_up

if TYPE_CHECKING:
    from collections.abc import Callable

_NOTEBOOK = ["module", "__main__", ""]
_FOR_TRUSTED = frozenset({*used_up.ARCHIVES, "HTTPResponse"})
"""What opens a file that its description names, or takes all of its state from there."""
_MODES = {"TextIOWrapper": "r", "BufferedReader": "rb", "BufferedWriter": "wb", "BufferedRandom": "r+b", "FileIO": "rb"}


class CannotMake(Exception):
    """A leftover that cannot be made; the text says why."""


class _Kind(NamedTuple):
    module: str
    """Where the class is, if that is loaded."""
    describe: Callable[[Any], tuple[Any, Any] | None]
    """What :attr:`make` takes, as plain data; ``None`` for one that is in use."""
    make: Callable[[Any, Any], Any]


def is_notebook(description: list[Any]) -> bool:
    """Whether it is the description of the notebook's own module."""
    return description == _NOTEBOOK


def describe(value: Any) -> list[Any] | None:
    """What :func:`make` needs to make an equal leftover, as plain data; ``None`` if *value* is none, or still in use."""
    if isinstance(value, ModuleType):
        return _NOTEBOOK if value is sys.modules.get("__main__") else None
    described = used_up.describe(value, describe)
    if described is not None:
        return described
    name = type(value).__name__
    kind = _KINDS.get(name)
    if kind is None or type(value) is not getattr(sys.modules.get(kind.module), name, None):
        return None
    told = kind.describe(value)
    return None if told is None else [name, *told]


def make(description: list[Any], *, is_trusted: bool = True) -> Any:
    """A leftover equal to the one that was described; what a stranger has described opens no file of his choice.

    Raises :class:`CannotMake`.
    """
    try:
        return _make(description, is_trusted=is_trusted)
    except Exception as error:  # whatever an archive that has changed meanwhile, or a stranger's description, leads to
        raise CannotMake(f"what was used up cannot be made again: {type(error).__name__}: {error}") from error


def _make(description: list[Any], *, is_trusted: bool) -> Any:
    kind, name, detail = description
    if is_notebook(description):
        return sys.modules[name]
    if kind in _FOR_TRUSTED and not is_trusted:
        raise ValueError(f"a {kind} is made for records only that you or somebody you trust signed")
    if kind in used_up.KINDS:
        return used_up.make(description, partial(_make, is_trusted=is_trusted))
    return _KINDS[kind].make(name, detail)


def _describe_thread(value: threading.Thread) -> tuple[str, bool] | None:
    return (value.name, value.daemon) if value.ident is not None and not value.is_alive() else None


def _finished_thread(name: str, is_daemon: Any) -> threading.Thread:
    thread = threading.Thread(name=name, daemon=is_daemon)
    thread.start()
    thread.join()
    return thread


def _describe_file(value: Any) -> tuple[str, str] | None:
    try:
        return (os.fsdecode(os.fspath(value.name)), str(value.mode)) if value.closed else None
    except (AttributeError, TypeError, ValueError):  # opened by a number, or detached
        return None


def _closed_file(kind: str, path: str, mode: str) -> Any:
    file: Any = open(os.devnull, _MODES[kind], buffering=0 if kind == "FileIO" else -1)  # noqa: SIM115 - closed below
    raw = file.buffer.raw if kind == "TextIOWrapper" else getattr(file, "raw", file)
    raw.name = path
    if kind == "TextIOWrapper":
        file.mode = mode
    file.close()
    return file


def _describe_thread_pool(value: Any) -> tuple[int, str] | None:
    if not value._shutdown:  # noqa: SLF001 - nothing public tells
        return None
    return value._max_workers, value._thread_name_prefix  # noqa: SLF001


def _thread_pool(workers: int, prefix: str) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(workers, prefix)
    executor.shutdown()
    return executor


def _describe_process_pool(value: Any) -> tuple[int, str] | None:
    if not value._shutdown_thread:  # noqa: SLF001 - nothing public tells
        return None
    return value._max_workers, value._mp_context.get_start_method()  # noqa: SLF001


def _process_pool(workers: int, method: str) -> Any:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    executor = ProcessPoolExecutor(workers, multiprocessing.get_context(method))  # starts none before it is used
    executor.shutdown()
    return executor


def _describe_connection(value: Any) -> tuple[str, str] | None:
    import sqlite3

    try:
        value.in_transaction  # noqa: B018 - it raises if the connection is closed
        value.total_changes  # noqa: B018
    except sqlite3.ProgrammingError as error:
        return ("", "") if "closed" in str(error) else None
    return None


def _connection(_name: str, _detail: str) -> Any:
    import sqlite3

    connection = sqlite3.connect(":memory:")
    connection.close()
    return connection


def _describe_map(value: Any) -> tuple[str, str] | None:
    return ("", "") if value.closed else None


def _map(_name: str, _detail: str) -> Any:
    import mmap

    closed = mmap.mmap(-1, 1)
    closed.close()
    return closed


def _describe_response(value: Any) -> tuple[list[list[str]], dict[str, Any]] | None:
    state = dict(vars(value))
    headers = state.pop("headers", None)
    if not value.closed or state.pop("fp", None) is not None or headers is None:
        return None
    if state.get("msg") is headers:
        del state["msg"]
    plain = {name: part for name, part in state.items() if part is None or type(part) in (bool, int, float, str)}
    if plain.keys() != state.keys():
        return None
    return [[str(name), str(text)] for name, text in headers.items()], plain


def _response(headers: list[list[str]], state: dict[str, Any]) -> Any:
    from http.client import HTTPMessage, HTTPResponse

    response: Any = HTTPResponse.__new__(HTTPResponse)
    message = HTTPMessage()
    for name, text in headers:
        message.add_header(name, text)
    vars(response).update({"fp": None, "headers": message, "msg": message, **state})
    response.close()
    return response


_KINDS: dict[str, _Kind] = {
    **{kind: _Kind("io", _describe_file, partial(_closed_file, kind)) for kind in _MODES},
    "Thread": _Kind("threading", _describe_thread, _finished_thread),
    "ThreadPoolExecutor": _Kind("concurrent.futures.thread", _describe_thread_pool, _thread_pool),
    "ProcessPoolExecutor": _Kind("concurrent.futures.process", _describe_process_pool, _process_pool),
    "Connection": _Kind("sqlite3", _describe_connection, _connection),
    "mmap": _Kind("mmap", _describe_map, _map),
    "HTTPResponse": _Kind("http.client", _describe_response, _response),
}
"""By the name of the class, which begins a description."""
