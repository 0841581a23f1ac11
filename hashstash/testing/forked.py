"""Processes for the contracts, by the thousand: forks of one that has imported hashstash, which take a tenth of a new one's time.

Nothing else has happened in that process before: no stash was open, no thread ran, and it has a seed of ``hash`` of its own.
Nothing here needs pytest.

    python -m hashstash.testing.forked SOCKET     forks for each request that comes through the socket of that number
"""

from __future__ import annotations

import array
import atexit
import functools
import gc
import importlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import types

_LENGTH = struct.Struct("!I")
_MODULES = (
    "hashstash.stash",
    "hashstash.upkeep",
    "hashstash.serializers.hashstash.document",
    "hashstash.engines.pairtree",
    "hashstash.testing.rows",
)
"""What nearly every process of the contracts imports."""
_QUIET = {"PYTHONWARNINGS": "ignore"}
_RUNS = -1000
"""Instead of a code: there is none yet."""
_ENDING = 60
"""Seconds that the first process gets to end."""


class Forker:
    """The process that is forked; threads may share it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_QUIET},
            )

    def start(self, script: str, arguments: list[str], imports: list[str], standard: tuple[int, int, int]) -> int:
        """The id of a new process that runs *script* with our environment, here, and with *standard* input, output and errors.

        *imports* are modules of hashstash that are imported before the fork, and so once.
        """
        here = {"environment": {**os.environ, **_QUIET}, "folder": os.getcwd()}
        return self._ask({"script": script, "arguments": arguments, "imports": imports, **here}, standard)

    def status(self, process: int, *, wait: bool) -> int | None:
        """The code that a process has ended with, negative for a signal; ``None`` if it runs. Told once."""
        code = self._ask({"process": process, "wait": wait})
        return None if code == _RUNS else code

    def close(self) -> None:
        """End it; the processes that were forked are left alone."""
        self._socket.close()
        self._process.wait(_ENDING)

    def _ask(self, request: dict[str, object], files: tuple[int, ...] = ()) -> int:
        text = json.dumps(request).encode()
        with self._lock:
            _send(self._socket, text, files)
            answer = _receive(self._socket)[0]
        if not answer:
            raise EOFError("the process that is forked has ended")
        found = json.loads(answer)
        if "problem" in found:
            raise ImportError(found["problem"])
        return int(found["number"])


@functools.cache
def forker() -> Forker:
    """That of this process, started when it is first needed."""
    found = Forker()
    atexit.register(found.close)
    return found


def _send(connection: socket.socket, text: bytes, files: tuple[int, ...] = ()) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
    connection.sendmsg([_LENGTH.pack(len(text))], rights)
    connection.sendall(text)


def _receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """A text and the files that came with it; without text if the other side is gone."""
    head, files, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
    text = b""
    if head:
        (length,) = _LENGTH.unpack(head)
        while len(text) < length:
            part = connection.recv(length - len(text))
            if not part:
                raise EOFError("the other side has gone in the middle of a message")
            text += part
    return text, files


def _serve(connection: socket.socket) -> str | None:
    """Answer requests until there are no more; in each forked process, the script that it has to run."""
    while True:
        text, files = _receive(connection)
        if not text:
            return None
        request = json.loads(text)
        if "process" in request:
            found, status = os.waitpid(request["process"], 0 if request["wait"] else os.WNOHANG)
            _answer(connection, number=os.waitstatus_to_exitcode(status) if found else _RUNS)
            continue
        problem = _import(request["imports"])
        child = os.fork() if problem is None else None
        if child == 0:
            connection.close()
            _become(request, files)
            return str(request["script"])
        for file in files:
            os.close(file)
        _answer(connection, **({"problem": problem} if child is None else {"number": child}))


def _answer(connection: socket.socket, **found: object) -> None:
    _send(connection, json.dumps(found).encode())


def _import(names: list[str]) -> str | None:
    """Import modules; what is wrong with one of them, which must not end the process that all tests share."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - any module's code runs there
            return f"{name} cannot be imported: {type(error).__name__}: {error}"
    return None


def _become(request: dict[str, object], files: list[int]) -> None:
    """What a new interpreter would find."""
    for standard, file in enumerate(files):
        os.dup2(file, standard)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.chdir(str(request["folder"]))
    sys.argv = ["-c", *request["arguments"]]  # type: ignore[misc]
    sys.path[0] = ""


def _main() -> None:
    for name in _MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else each process copies all pages as soon as it looks for garbage
    try:
        script = _serve(socket.socket(fileno=int(sys.argv[1])))
    except (KeyboardInterrupt, ConnectionError):
        return
    if script is None:
        return
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(compile(script, "<string>", "exec"), vars(main))


if __name__ == "__main__":
    _main()
