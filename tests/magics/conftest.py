"""A shell in this process, with a home folder of its own."""

from __future__ import annotations

import atexit

import pytest

pytest.importorskip("IPython")

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


class Session:
    """A shell with the extension loaded, and what its cells showed."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.displays: list[tuple[dict, dict]] = []
        publish = shell.display_pub.publish

        def listen(data, metadata=None, *arguments, **keywords):
            self.displays.append((data, metadata or {}))

        assert callable(publish)
        shell.display_pub.publish = listen

    def run(self, code: str):
        """Run one cell and return its result; errors of the cell are raised."""
        self.displays.clear()
        result = self.shell.run_cell(code, store_history=True)
        result.raise_error()
        return result.result

    def fail(self, code: str) -> BaseException:
        """Run one cell that is expected to fail, and return its error."""
        self.displays.clear()
        result = self.shell.run_cell(code, store_history=True)
        error = result.error_in_exec or result.error_before_exec
        assert error is not None, "the cell did not fail"
        return error

    def status(self) -> str:
        return "\n".join(data["text/plain"] for data, metadata in self.displays if "hashstash" in metadata)

    def outputs(self) -> list[dict]:
        return [data for data, metadata in self.displays if "hashstash" not in metadata]

    def __getitem__(self, name: str):
        return self.shell.user_ns[name]


@pytest.fixture
def home(tmp_path, monkeypatch, private_home):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new_shell() -> InteractiveShell:
    config = Config()
    config.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    return InteractiveShell.instance(config=config)


@pytest.fixture
def session(home):
    shell = new_shell()
    shell.run_line_magic("load_ext", "hashstash")
    yield Session(shell)
    shell.run_line_magic("unload_ext", "hashstash")
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()
    atexit.unregister(shell.atexit_operations)  # else hundreds of shells look for garbage when all tests are done


DEFINE = """
calls = []
def f(x, b=1):
    calls.append(x)
    return x + b
xs = [1, 2, 3]
"""
WAIT = """
import os, time
def until_there(path):
    end = time.monotonic() + 60
    while not os.path.exists(path):
        assert time.monotonic() < end
        time.sleep(0.01)
"""


@pytest.fixture
def defined(session):
    """A session with a function ``f`` that notes its ``calls``, and a list ``xs``."""
    session.run(DEFINE)
    return session


@pytest.fixture
def waiting(session):
    """A session with a function ``until_there`` that waits for a file."""
    session.run(WAIT)
    return session
