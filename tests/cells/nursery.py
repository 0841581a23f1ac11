"""Kernels by fork: a process that has imported what every kernel imports, and a child of it is a kernel in a tenth of a second.

Most of the work of starting a kernel is importing ipykernel and IPython; hundreds of scenarios start one or two each. What a
notebook imports is not imported before the fork; hashstash is where a nursery was asked for it, since that takes as long as all
else together. All kernels of one nursery share the seed of ``hash``, which is why a driver has two of them.

    python tests/cells/nursery.py [MODULE ...]     reads a request per line, a JSON object, and prints the id of the new kernel
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Self

_PATIENCE = 60.0
MODULES = ("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.debugger", "IPython.core.completer", "sqlite3")


class Nursery:
    """A process of *python* of which kernels are forked, and that has imported *modules* before; a context."""

    def __init__(self, python: str, environment: dict[str, str], *modules: str) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [python, str(Path(__file__).resolve()), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def kernel(self, connection_file: str, folder: Path, environment: dict[str, str]) -> Child:
        """A new kernel that works in *folder* and is reached as *connection_file* says."""
        request: dict[str, Any] = {"file": connection_file, "folder": str(folder), "environment": environment}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return Child(int(self._process.stdout.readline()))


class Child:
    """A kernel that a nursery has forked; it leads a process group of its own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def kill(self) -> None:
        """End it and what it has started, and wait until it is gone."""
        deadline = time.monotonic() + _PATIENCE
        try:
            os.killpg(self.pid, signal.SIGKILL)
            while time.monotonic() < deadline:
                os.kill(self.pid, 0)
                time.sleep(0.005)
        except ProcessLookupError:
            return
        raise TimeoutError(f"kernel {self.pid} does not end")


def serve() -> None:
    """Fork a kernel for each request on standard input; nothing of the driver's is left open in it."""
    del sys.path[0]  # the folder of this file
    for name in (*MODULES, *sys.argv[1:]):
        __import__(name)
    gc.collect()
    gc.freeze()  # else each kernel copies all pages as soon as it looks for garbage
    signal.signal(signal.SIGCHLD, bury)
    for line in sys.stdin:
        if os.fork() == 0:
            become_kernel(json.loads(line))


def bury(*_: object) -> None:
    """Ask for the state of kernels that have ended, so that they are gone."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def become_kernel(request: dict[str, Any]) -> None:
    """What ``python -m ipykernel_launcher -f FILE`` does after its imports, in a process that was started otherwise."""
    os.setsid()
    print(os.getpid(), flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["folder"] + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for own, standard in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(own, standard)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    # The kernel ends by itself when its parent has gone.
    sys.argv = ["ipykernel_launcher.py", "-f", request["file"], f"--IPKernelApp.parent_handle={os.getppid()}"]
    from ipykernel import kernelapp

    try:
        kernelapp.launch_new_instance()
    except BaseException:
        traceback.print_exc()
    os._exit(0)


if __name__ == "__main__":
    serve()
