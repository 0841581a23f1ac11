"""Servers on loopback for the time of a benchmark."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

_PATIENCE = 10.0


@contextlib.contextmanager
def running_servers(folder: str) -> Iterator[dict[str, dict[str, Any] | None]]:
    """The options that reach a redis and a mongo server, as environment variables name them or started here; else ``None``."""
    with contextlib.ExitStack() as stack:
        redis = os.environ.get("HASHSTASH_BENCH_REDIS_URL") or _start_redis(stack, folder)
        mongo = os.environ.get("HASHSTASH_BENCH_MONGO_URI") or _start_mongo(stack, folder)
        found: dict[str, dict[str, Any] | None] = {"redis": None, "mongo": None}
        if redis:
            os.environ["HASHSTASH_BENCH_REDIS_URL"] = redis
            found["redis"] = {"url": redis}
        if mongo:
            os.environ["HASHSTASH_BENCH_MONGO_URI"] = mongo
            found["mongo"] = {"url": mongo}
        yield found


def _start_redis(stack: contextlib.ExitStack, folder: str) -> str | None:
    program = shutil.which("redis-server")
    if program is None:
        return None
    port = _free_port()
    _start(stack, [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder], port)
    return f"redis://127.0.0.1:{port}/0"


def _start_mongo(stack: contextlib.ExitStack, folder: str) -> str | None:
    program = shutil.which("nx-27017", path=os.path.dirname(sys.executable))
    if program is None:
        return None
    port = _free_port()
    _start(stack, [program, "--port", str(port), "--data-dir", folder], port)
    return f"mongodb://127.0.0.1:{port}"


def _start(stack: contextlib.ExitStack, command: list[str], port: int) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{command[0]} did not answer on port {port} within {_PATIENCE:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
