"""What a cell used up and left behind under a name: closed files, finished threads, executors that were shut down.

``with open(...) as file`` leaves ``file`` bound to a closed file. None of these can be stored, but an equal one, just as used
up, can be made again.
"""

from __future__ import annotations

import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_FILES: dict[str, type[io.IOBase]] = {
    kind.__name__: kind
    for kind in (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO)
}
_MODES = {"TextIOWrapper": "r", "BufferedReader": "rb", "BufferedWriter": "wb", "BufferedRandom": "r+b", "FileIO": "rb"}


def describe(value: Any) -> list[Any] | None:
    """What :func:`make` needs to make an equal leftover, as plain data; ``None`` if *value* is none, or still in use."""
    if type(value) is threading.Thread and value.ident is not None and not value.is_alive():
        return ["Thread", value.name, value.daemon]
    if type(value) is ThreadPoolExecutor and value._shutdown:  # noqa: SLF001 - nothing public tells
        return ["ThreadPoolExecutor", value._max_workers, value._thread_name_prefix]  # noqa: SLF001
    kind = _FILES.get(type(value).__name__)
    if kind is None or type(value) is not kind or not value.closed:
        return None
    try:
        path = os.fspath(value.name)  # type: ignore[attr-defined]
        return [kind.__name__, os.fsdecode(path), str(value.mode)]  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError):  # opened by a number, or detached
        return None


def make(description: list[Any]) -> Any:
    """A leftover equal to the one that was described."""
    kind, name, detail = description
    if kind == "Thread":
        return _finished_thread(name, is_daemon=detail)
    if kind == "ThreadPoolExecutor":
        executor = ThreadPoolExecutor(name, detail)
        executor.shutdown()
        return executor
    return _closed_file(kind, name, detail)


def _finished_thread(name: str, *, is_daemon: bool) -> threading.Thread:
    thread = threading.Thread(name=name, daemon=is_daemon)
    thread.start()
    thread.join()
    return thread


def _closed_file(kind: str, path: str, mode: str) -> Any:
    file: Any = open(os.devnull, _MODES[kind], buffering=0 if kind == "FileIO" else -1)  # noqa: SIM115 - closed below
    raw = file.buffer.raw if kind == "TextIOWrapper" else getattr(file, "raw", file)
    raw.name = path
    if kind == "TextIOWrapper":
        file.mode = mode
    file.close()
    return file
