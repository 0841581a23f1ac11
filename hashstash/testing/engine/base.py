"""What the tests of an engine need: how to open it, a second route to its rows, and a record of what was tested."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import tempfile
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pytest

from hashstash.testing.forked import forker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.engine import Capability, Engine

PROPERTY = "hashstash engine"
"""The name under which a test's report carries ``label``, promises and the capability that the test was about."""
PATIENCE = 120
"""Seconds after which a process that a test has started hangs."""


class ContractBase:
    """Fixtures and helpers of the contract; a subclass defines the fixture ``make`` and the method ``raw_get``."""

    slow_count: ClassVar[str] = ""
    """Why ``count`` has to look at every row, where it does."""
    many: ClassVar[int] = 100_000
    """How many rows the tests of large stashes store."""
    race: ClassVar[float] = 0.4
    """Seconds that threads and processes get to find a gap."""
    scan_bytes: ClassVar[int] = 4 << 20
    """How much memory of Python's a scan of that many rows may take."""

    advice: ClassVar[tuple[str, ...]] = ()
    """Words of what ``check`` says about a sound storage, such as that the server of the tests keeps nothing on disk."""

    @pytest.fixture
    def make(self, tmp_path: Any) -> Any:
        """A callable that opens an engine on one place: called twice, it gives two engines on the same rows."""
        raise NotImplementedError

    def raw_get(self, engine: Engine, address: bytes) -> bytes | None:
        """The stored blob, read from the storage itself."""
        raise NotImplementedError

    def source(self, engine: Engine) -> str:
        """Python code that opens in another process, as ``engine``, what *engine* is here."""
        return f"from {type(engine).__module__} import PLUGIN\nengine = PLUGIN({engine.location()!r})\n"

    def folder(self, engine: Engine) -> str:
        """The local folder in which *engine* keeps its rows; skips the test where there is none."""
        if not engine.keeps_files:
            pytest.skip("there is no folder")
        return engine.location()

    def neighbour(self, engine: Engine) -> Engine:
        """Another engine in the same storage, whose name begins with the name of *engine*."""
        return type(engine)(engine.location() + "b")  # type: ignore[call-arg]

    def label(self, engine: Engine) -> str:
        """What the table of capabilities calls the engine under test."""
        inner = getattr(engine, "inner", None)
        return engine.name if inner is None else f"{engine.name}({inner.name})"

    @pytest.fixture(autouse=True)
    def _reports(self, record_property: Any) -> None:
        self._record = record_property

    @pytest.fixture
    def engine(self, make: Any, _reports: None) -> Iterator[Engine]:
        engine = make()
        self._record(PROPERTY, [self.label(engine), engine.capabilities.value, 0])
        yield engine
        engine.close()

    def needs(self, engine: Engine, capability: Capability) -> None:
        """Skip the test, with the reason, unless the engine promises *capability*; report that this is what it tests."""
        if capability not in engine.capabilities:
            pytest.skip(f"{capability.name} is not promised")  # by whom, says the table of hashstash.testing.report
        self._record(PROPERTY, [self.label(engine), engine.capabilities.value, capability.value])


class Worker:
    """Another process that has opened an engine and waits for ``go``; then it runs the code that it was given."""

    def __init__(self, source: str, code: str, *arguments: object) -> None:
        script = (
            f"import sys\nfrom hashstash.engine import WRITE_ID\nfrom hashstash.testing.rows import *\n{source}\n"
            f"print('ready', flush=True)\nsys.stdin.readline()\n{code}\n"
        )
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        (its_input, ours), (theirs, its_output) = os.pipe(), os.pipe()
        self._input, self._output = os.fdopen(ours, "w", encoding="utf-8"), os.fdopen(theirs, encoding="utf-8")
        try:
            standard = (its_input, its_output, self._errors.fileno())
            self._process = forker().start(script, [*map(str, arguments)], _imported(source), standard)
        finally:
            os.close(its_input)
            os.close(its_output)
        self._code: int | None = None

    def line(self) -> str:
        """The next line that it prints."""
        return self._output.readline().strip()

    def go(self) -> None:
        """Let it run."""
        self._input.write("go\n")
        self._input.flush()

    def is_running(self) -> bool:
        """Whether it is not done yet."""
        if self._code is None:
            self._code = forker().status(self._process, wait=False)
        return self._code is None

    def kill(self) -> None:
        """End it at once, as the system does when there is no memory left."""
        if self._code is None:
            os.kill(self._process, signal.SIGKILL)  # nobody else has its id before its state is asked for
        self._rest()

    def finish(self) -> str:
        """Wait until it is done; what it printed since, or a failure with what it said."""
        output = self._rest()
        if self._code:
            self._errors.seek(0)
            pytest.fail(f"a process of the test ended with {self._code}:\n{self._errors.read()}")
        return output

    def _rest(self) -> str:
        """What it prints until it ends; it is ended where that takes too long."""
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        too_long = threading.Timer(PATIENCE, os.kill, (self._process, signal.SIGKILL))
        too_long.start()
        try:
            output = self._output.read()
            if self._code is None:
                self._code = forker().status(self._process, wait=True)
        finally:
            too_long.cancel()
        return output

    def __enter__(self) -> Self:
        if self.line() != "ready":
            try:
                self.finish()
            finally:
                self.__exit__()
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_running():
            self.kill()
        for file in (self._input, self._output, self._errors):
            with contextlib.suppress(BrokenPipeError):
                file.close()


def _imported(source: str) -> list[str]:
    """The modules of hashstash that *source* imports."""
    statements = ast.parse(source).body
    names = [node.module or "" for node in statements if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names]
    return [name for name in names if name.partition(".")[0] == "hashstash"]


def run_together(source: str, code: str, number: int) -> list[str]:
    """What *number* processes print that start *code* at the same moment; ``sys.argv[1]`` is the number of each."""
    workers = [Worker(source, code, which) for which in range(number)]
    try:
        for worker in workers:
            worker.__enter__()
        for worker in workers:
            worker.go()
        return [worker.finish() for worker in workers]
    finally:
        for worker in workers:
            worker.__exit__()


def run_alone(source: str, code: str, *arguments: object) -> str:
    """What one other process prints that runs *code*."""
    with Worker(source, code, *arguments) as worker:
        worker.go()
        return worker.finish()
