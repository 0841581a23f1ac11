"""A real kernel, as a front end sees it: how long a request takes, what processor time and what memory its process needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

PATIENCE = 300.0
"""Seconds to wait for one cell."""
_LOOK = {
    "cpu": "__import__('time').process_time()",
    "runs": "getattr(__import__('sys'), 'benchmark_runs', 0)",
}
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
NOTE = "def note():\n    import sys\n    sys.benchmark_runs = getattr(sys, 'benchmark_runs', 0) + 1\n"
"""A function by which a cell's body says that it runs, in a place that no system takes for an input or a result."""


class CellFailed(Exception):
    """A cell raised; the text is its traceback."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One execution of one cell."""

    seconds: float
    """From the request until the kernel is idle again, and all that the cell shows is there."""
    cpu: float
    """Processor time of the kernel's process since the request before."""
    runs: int
    """How often the body ran."""
    shown: list[str]


class Kernel:
    """One kernel process of this interpreter in a folder; a context."""

    def __init__(self, folder: str, environment: dict[str, str]) -> None:
        from jupyter_client.manager import KernelManager

        self._manager = KernelManager(kernel_name="python3")
        self._manager.kernel_spec.argv[0] = sys.executable
        own = {"HOME": folder, "IPYTHONDIR": os.path.join(folder, "ipython"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        self._manager.start_kernel(
            env=environment | own, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._client = self._manager.client()
        self._cpu, self._runs = 0.0, 0

    def __enter__(self) -> Self:
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=PATIENCE)
        except BaseException:
            self.__exit__()
            raise
        self.run("pass")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def run(self, code: str, *, cell_id: str = "a") -> Timing:
        """Run one cell to its end. Cells with one *cell_id* are the same cell, run again."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": _LOOK,
                   "allow_stdin": False, "stop_on_error": False}  # fmt: skip
        message = self._client.session.msg("execute_request", content, metadata={"cellId": cell_id})
        started = time.perf_counter()
        self._client.shell_channel.send(message)
        shown = self._output(message["header"]["msg_id"])
        seconds = time.perf_counter() - started
        reply = self._reply(message["header"]["msg_id"])
        if reply["status"] != "ok":
            raise CellFailed(_COLOUR.sub("", "\n".join(reply.get("traceback", [str(reply)]))))
        looked = {name: float(found["data"]["text/plain"]) for name, found in reply["user_expressions"].items()}
        cpu, self._cpu = looked["cpu"] - self._cpu, looked["cpu"]
        runs, self._runs = int(looked["runs"]) - self._runs, int(looked["runs"])
        return Timing(seconds, cpu, runs, shown)

    def _reply(self, request: str) -> dict[str, Any]:
        while True:
            message = self._client.get_shell_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == request:
                content: dict[str, Any] = message["content"]
                return content

    def _output(self, request: str) -> list[str]:
        shown = []
        while True:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != request:
                continue
            content: dict[str, Any] = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return shown
            if message["msg_type"] == "stream":
                shown.append(content["text"])
            elif message["msg_type"] in ("display_data", "execute_result"):
                shown.append(content["data"].get("text/plain", ""))

    # ---- memory, as Linux counts it -------------------------------------------------------------------------------

    def forget_peak(self) -> int:
        """From now on the peak is counted anew; return the bytes that the process has in memory now."""
        self._process("clear_refs").write_text("5")
        return self._bytes("VmRSS")

    def peak(self) -> int:
        """The most bytes that the process had in memory since :meth:`forget_peak`."""
        return self._bytes("VmHWM")

    def _bytes(self, name: str) -> int:
        lines = self._process("status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024

    def _process(self, name: str) -> Path:
        return Path("/proc", str(self._manager.provisioner.pid), name)


def counts_memory() -> bool:
    """Whether this system tells the peak of a process from outside."""
    return os.path.exists("/proc/self/clear_refs")
