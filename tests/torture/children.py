"""Processes that a check starts, listens to, interrupts and kills: ``python -m torture.children module function arguments``.

A child acknowledges with :func:`say`: one write of one line, which is in the pipe as soon as it returns, so that what was said
before a SIGKILL is known.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torture.report import Finding

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATIENCE = 60.0


class Hangs(Exception):
    """A child said nothing, or did not end, within its time; its stacks follow."""


def say(*words: Any) -> None:
    """Tell the parent, in one line of JSON that no kill divides."""
    os.write(1, (json.dumps(words) + "\n").encode())


class Child:
    """``module.function(*arguments)`` in a process of its own; what it says is read line by line, what it writes to stderr kept.

    *under*: a command that runs the one that follows it, such as ``unshare --mount``.
    """

    def __init__(
        self,
        module: str,
        function: str,
        *arguments: Any,
        cwd: str | None = None,
        under: Sequence[str] = (),
        **environment: str,
    ) -> None:
        command = [*under, sys.executable, "-X", "faulthandler", "-m", "torture.children", module, function]
        path = os.pathsep.join([TESTS, os.path.dirname(TESTS), os.environ.get("PYTHONPATH", "")])
        # A pipe that nobody empties would stop a child that has much to complain of, which looks as if it hung.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [*command, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        self._rest = b""
        self._errors = ""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)

    def hear(self, patience: float = PATIENCE) -> list[Any] | None:
        """The next thing said; ``None`` once the child has ended and everything is heard."""
        deadline = time.monotonic() + patience
        while b"\n" not in self._rest:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise Hangs(f"nothing was said for {patience:g} s\n{self._stacks()}")
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            if not piece:
                return None
            self._rest += piece
        first, _, self._rest = self._rest.partition(b"\n")
        return json.loads(first)

    def hear_all(self, patience: float = PATIENCE) -> list[list[Any]]:
        """Everything that is still to be said, until the child ends."""
        heard = []
        while (said := self.hear(patience)) is not None:
            heard.append(said)
        return heard

    def tell(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> list[list[Any]]:
        """SIGKILL; what had been said until then and was not heard yet."""
        self.process.kill()
        heard = self.hear_all()
        self.end()
        return heard

    def end(self, patience: float = PATIENCE) -> int:
        """Wait for the end; the exit code."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired as error:
            raise Hangs(f"it does not end within {patience:g} s\n{self._stacks()}") from error
        self.errors()
        self._complaints.close()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):  # of what it was told and has not read
                pipe.close()
        self._selector.close()
        return code

    def end_well(self, finding: Finding, who: str = "the process") -> None:
        """Wait for the end; another exit code than 0 is a failure, told with what stands on stderr."""
        if self.end():
            finding.wrong(f"{who} ended: {self.errors()[-1500:]}")

    def drop(self) -> None:
        """Be done with it, whatever has become of it."""
        self.process.kill()
        self.process.wait()
        self._selector.close()
        self.errors()
        for pipe in (self.process.stdin, self.process.stdout, self._complaints):
            with contextlib.suppress(BrokenPipeError):  # of what it was told and has not read
                pipe.close()

    def errors(self) -> str:
        """What stands on stderr."""
        if not self._complaints.closed:
            size = os.fstat(self._complaints.fileno()).st_size
            # Without moving: the child writes at the same place of the file that it shares with this process.
            self._errors = os.pread(self._complaints.fileno(), size, 0).decode(errors="replace")
        return self._errors

    def _stacks(self) -> str:
        self.process.send_signal(signal.SIGABRT)  # faulthandler writes the stacks of all threads
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "and shows no stacks"
        return self.errors()[-3000:]


if __name__ == "__main__":
    _, _module, _function, _arguments = sys.argv
    getattr(importlib.import_module(_module), _function)(*json.loads(_arguments))
