"""Work in a fork of a process that has opened nothing: done in milliseconds, and nothing of it is left."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

LONGEST_TRIAL = 60.0


def forked(work: Callable[[], Any]) -> Any:
    """What *work* gives in a fork of this process; why there is nothing, if it died or hangs."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        try:
            with open(writing, "w") as pipe:
                try:
                    text = json.dumps(work())
                except Exception:  # noqa: BLE001
                    text = json.dumps({"died": traceback.format_exc()[-1500:]})
                pipe.write(text)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        return _heard(reading, process)
    finally:
        os.close(reading)
        os.waitpid(process, 0)


def _heard(reading: int, process: int) -> Any:
    deadline, content = time.monotonic() + LONGEST_TRIAL, b""
    while True:
        if not select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
            os.kill(process, signal.SIGABRT)
            return {"hangs": f"longer than {LONGEST_TRIAL:g} s"}
        piece = os.read(reading, 1 << 16)
        if not piece:
            return json.loads(content) if content else {"died": "the process ended without a word"}
        content += piece


def imported(names: list[str]) -> None:
    """Import what a fork of this process has imported, which else every other one would have to."""
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(ImportError):  # a module that is made by another one
                importlib.import_module(name)
