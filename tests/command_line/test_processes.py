"""The command in processes of its own: pipes, interrupts, terminals, and what is imported."""

import importlib
import os
import pathlib
import pty
import signal
import subprocess
import sys
import time
import tomllib

import pytest

import hashstash
from hashstash import HashStash

COMMAND = [sys.executable, "-m", "hashstash"]
ROOT = pathlib.Path(hashstash.__file__).parents[1]
DEADLINE = 90


def start(*words, **options):
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    options["env"] = {**os.environ, "PYTHONPATH": str(ROOT), **options.get("env", {})}
    return subprocess.Popen([*COMMAND, *map(str, words)], **options)


def finished(process):
    try:
        out, err = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    return process.returncode, (out or b"").decode(), (err or b"").decode()


@pytest.fixture
def stash(private_home):
    with HashStash("exp", engine="pairtree") as made:
        made.update({"key": "välue", **{f"number {number}": "x" * 100 for number in range(2000)}})
        yield made


def test_the_command_says_its_version():
    assert finished(start("--version")) == (0, f"hashstash {hashstash.__version__}\n", "")


def test_a_value_comes_out_of_a_process_of_its_own(stash, tmp_path):
    assert finished(start("get", "exp", "key", cwd=tmp_path)) == (0, "välue\n", "")


def test_the_installed_command_is_the_same():
    """The console script that packaging makes calls the same function."""
    project = ROOT / "pyproject.toml"
    if not project.exists():
        pytest.skip("the package was installed without its project file")
    module, _, name = tomllib.loads(project.read_text())["project"]["scripts"]["hashstash"].partition(":")
    assert getattr(importlib.import_module(module), name) is hashstash.command_line.main


@pytest.mark.parametrize(
    "words", [["ls", "exp", "--entries"], ["ls", "exp", "--entries", "--json"]], ids=["text", "json"]
)
def test_nobody_has_to_read_everything(stash, words):
    """As with ``hashstash ls ... | head -1``."""
    process = start(*words)
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    code, _, err = finished(process)
    assert (code, err) == (141, "")


def test_nobody_has_to_listen_at_all(stash):
    """As with ``hashstash ls >&-``."""
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "ls", "exp", "--entries", "--json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(shell, env=env, stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_letters_that_a_terminal_cannot_show_do_not_matter(stash):
    ran = finished(start("get", "exp", "key", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}))
    assert ran[0] == 0
    ran = finished(start("ls", "mistyped ü", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}))
    assert ran[0] == 1
    assert "mistyped" in ran[2]


def test_nothing_slow_is_imported(stash):
    code = (
        "import sys; from hashstash.command_line import main; main(['ls']); main(['get', 'exp', 'key']);"
        "slow = {'pandas', 'numpy', 'IPython', 'pyarrow', 'ipywidgets', 'asyncio', 'multiprocessing'} & set(sys.modules);"
        "print(sorted(slow), file=sys.stderr)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert finished(process)[2] == "[]\n"


def test_a_package_in_the_current_folder_is_not_taken_for_ours(stash, tmp_path):
    for name in ("lz4", "msgpack", "lmdb", "json", "xxhash", "argparse"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stranger has run code')")
    assert finished(start("get", "exp", "key", cwd=tmp_path)) == (0, "välue\n", "")


def test_modules_of_ones_own_are_found_if_code_is_wanted(tmp_path, private_home):
    (tmp_path / "mine.py").write_text("class Point:\n    def __repr__(self):\n        return 'my point'\n")
    script = "from hashstash import HashStash; import mine; HashStash('own', engine='pairtree')['key'] = mine.Point()"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=env, check=True, timeout=DEADLINE)
    assert finished(start("get", "own", "key", "--code", cwd=tmp_path)) == (0, "my point\n", "")


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, *words):
        self._ours, theirs = pty.openpty()
        self.process = start(*words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        self.shown = ""

    def wait_for(self, text):
        end = time.monotonic() + DEADLINE
        while text not in self.shown and time.monotonic() < end:
            try:
                self.shown += os.read(self._ours, 4096).decode()
            except OSError:  # the other side is closed
                break
        assert text in self.shown

    def type(self, text):
        os.write(self._ours, text.encode())

    def end(self):
        try:
            return self.process.wait(timeout=DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._ours)


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 2001), ("\n", 1, 2001)])
def test_on_a_terminal_the_user_is_asked(stash, answer, code, left):
    terminal = Terminal("rm", "exp", "--all")
    terminal.wait_for("[y/N]")
    terminal.type(answer)
    assert terminal.end() == code
    assert len(stash) == left


def test_an_interrupt_is_quiet_and_nothing_is_done(stash):
    terminal = Terminal("rm", "exp", "--all")
    terminal.wait_for("[y/N]")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
    assert len(stash) == 2001
