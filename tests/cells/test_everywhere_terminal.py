"""IPython in a terminal: a real process under a pseudo-terminal, with plain prompts and with those of prompt_toolkit."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("IPython")
pexpect = pytest.importorskip("pexpect")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")]

PROJECT = Path(__file__).resolve().parents[2]
COLAB = PROJECT / ".venv-colab/bin/python"
PATIENCE = 120
COUNT = "__import__('pathlib').Path('count.txt').open('ab', 0).write(b'1')"
CELL = f"%%stash t\n{COUNT}\nimport sys\nx = 6 * 7\nprint('out', x)\nprint('err', file=sys.stderr)\n{{'x': x}}"
CONTROL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>()][0-9A-B]?)")


def environment(folder):
    strange = ("JUPYTER", "HASHSTASH", "PYTEST", "COV", "XDG_", "IPYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    own = {"HOME": "home", "IPYTHONDIR": "ipython", "XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "xdg"}  # fmt: skip
    (folder / "home").mkdir(exist_ok=True)
    kept |= {name: str(folder / place) for name, place in own.items()}
    return kept | {
        "PYTHONPATH": str(PROJECT),
        "TERM": "xterm",
        "PROMPT_TOOLKIT_NO_CPR": "1",
        "PYTHONIOENCODING": "utf-8",
    }


class Terminal:
    """One session of IPython; a context."""

    def __init__(self, folder, *, is_simple, python=sys.executable):
        self.folder = folder
        self.is_simple = is_simple
        self.python = str(python)
        self.number = 0

    def __enter__(self):
        flags = [
            "--no-banner",
            "--no-confirm-exit",
            f"--colors={no_colours(self.python)}",
            "--HistoryManager.enabled=False",
        ]
        flags += ["--simple-prompt"] if self.is_simple else ["--TerminalInteractiveShell.autosuggestions_provider=None"] * (ipython_version(self.python) >= (8,))  # fmt: skip
        self.process = pexpect.spawn(self.python, ["-m", "IPython", *flags], cwd=self.folder, env=environment(self.folder),
                                     encoding="utf-8", timeout=PATIENCE, dimensions=(60, 200))  # fmt: skip
        self.wait_for_prompt()
        self.run("%load_ext hashstash")
        return self

    def __exit__(self, *_):
        self.process.close(force=True)

    def wait_for_prompt(self):
        """What was shown until the next prompt."""
        self.number += 1
        self.process.expect(re.escape(f"In [{self.number}]:"))
        return CONTROL.sub("", self.process.before).replace("\r\n", "\n")

    def type(self, code):
        """Type a cell, and the empty lines that end it."""
        is_long = "\n" in code
        if self.is_simple:
            for line in [*code.splitlines(), *[""] * 2 * is_long]:
                self.process.sendline(line)
        else:
            self.process.send(f"\x1b[200~{code}\x1b[201~")  # as a paste: nothing is indented by the prompt
            self.process.send("\r" * (3 if is_long else 1))

    def run(self, code):
        """What a cell showed."""
        self.type(code)
        return self.wait_for_prompt()

    @property
    def runs(self):
        """How often the counting cell has run in this folder."""
        file = self.folder / "count.txt"
        return len(file.read_bytes()) if file.exists() else 0


@functools.cache
def ipython_version(python):
    """The version of IPython that this interpreter has."""
    code = "import IPython; print(*IPython.version_info[:2])"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    return tuple(map(int, answer.stdout.split()))


def no_colours(python):
    """The name of the colours that are none."""
    return "nocolor" if ipython_version(python) >= (9,) else "NoColor"


@pytest.fixture(params=["simple prompt", "prompt_toolkit", "Colab's versions"])
def terminal(request, tmp_path):
    """Opens sessions in one folder."""
    python = COLAB if request.param == "Colab's versions" else sys.executable
    if not os.path.exists(python):
        pytest.skip("there is no environment with Colab's versions")
    return lambda: Terminal(tmp_path, is_simple=request.param != "prompt_toolkit", python=python)


def lines_of(text):
    """The lines that a cell showed, without what was typed: prompts repeat that, once or many times."""
    typed = {line.strip() for line in CELL.splitlines()}
    lines = [re.sub(r"^( *\.\.\.: ?)+", "", line).strip() for line in text.splitlines()]
    return [line for line in lines if line and line not in typed]


def shown(text):
    """What the cell and our status line have shown, in order."""
    lines = [re.sub(r"^Out\[\d+\]: ?", "", line) for line in lines_of(text)]
    return [line for line in lines if line in ("out 42", "err", "{'x': 42}") or line.startswith("stash t:")]


def test_a_cell_is_restored_in_the_same_session_and_in_the_next_one(terminal):
    with terminal() as session:
        first, second = shown(session.run(CELL)), shown(session.run(CELL))
        assert "42" in session.run("x")
    with terminal() as session:
        third = shown(session.run(CELL))
        assert "84" in session.run("x * 2")
        assert session.runs == 1
    assert sorted(line for line in first if "stash" not in line) == ["err", "out 42", "{'x': 42}"]
    own = [[line for line in lines if not line.startswith("stash t:")] for lines in (first, second, third)]
    assert own[0] == own[1] == own[2]
    told = [[line for line in lines if line.startswith("stash t:")] for lines in (first, second, third)]
    assert [len(lines) for lines in told] == [1, 1, 1]
    assert [("ran in" in line, "hit" in line) for (line,) in told] == [(True, False), (False, True), (False, True)]


def test_an_error_shows_the_cells_own_lines_and_nothing_is_stored(terminal):
    with terminal() as session:
        for _ in range(2):
            text = session.run(f"%%stash t\n{COUNT}\ny = 1\n1 / 0")
            assert "ZeroDivisionError: division by zero" in text
            assert "hashstash/cells" not in text
        assert session.runs == 2
        assert "not cached" not in text


def test_an_interrupt_ends_the_cell_and_stores_nothing(terminal):
    with terminal() as session:
        code = f"%%stash t\n{COUNT}\nimport time\nprint('star' + 'ted', flush=True)\nfor _ in range(6000): time.sleep(0.01)\nz = 1"
        for runs in (1, 2):
            session.type(code)
            session.process.expect("started")
            session.process.sendintr()
            text = session.wait_for_prompt()
            assert "KeyboardInterrupt" in text
            assert "stash t:" not in text
            assert session.runs == runs
        assert "NameError" in session.run("z")
        assert "ran in" in session.run("%%stash t\nz = 5")


def test_a_cell_that_awaits_is_restored(terminal):
    code = f"%%stash t\n{COUNT}\nimport asyncio\ny = await asyncio.sleep(0, 'waited' + ' for')\nprint(y)\n[y]"
    with terminal() as session:
        first, second = session.run(code), session.run(code)
        assert session.runs == 1
    for text, word in ((first, "ran in"), (second, "hit")):
        assert "waited for" in lines_of(text)
        assert re.search(r"Out\[\d+\]: ?\['waited for'\]", text)
        assert f"stash t: {word}" in text


def test_a_cell_that_awaits_is_typed_to_its_end(tmp_path):
    """It is not taken for complete after its first line that awaits."""
    with Terminal(tmp_path, is_simple=True) as session:
        session.process.sendline("%%stash t")
        session.process.expect("   \\.\\.\\.: ")
        session.process.sendline("import asyncio; y = await asyncio.sleep(0, 1)")
        session.process.expect("   \\.\\.\\.: ")
        assert "ran in" in session.run("y += 1\ny")
        assert re.search(r"Out\[\d+\]: ?2", session.run("y"))


def test_the_stash_line_is_written_as_text(terminal):
    with terminal() as session:
        session.run(CELL)
        text = session.run("%stash ls t")
        assert "1 record in stash t" in text
        assert "<table" not in text


BODY = f"{COUNT}\nx = 6 * 7\nprint('out', x)\nprint('then', x)\n"
SCRIPTS = {
    "the whole file is a cell": f"%%stash t\n{BODY}",
    "a cell is run by name": f"%reload_ext hashstash\nget_ipython().run_cell_magic('stash', 't', {BODY!r})\n",
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_script_with_magics_is_restored_when_it_runs_again(tmp_path, kind):
    (tmp_path / "script.ipy").write_text(SCRIPTS[kind])
    answers = [
        subprocess.run(
            [sys.executable, "-m", "IPython", "--ext", "hashstash", f"--colors={no_colours(sys.executable)}", "script.ipy"],
            cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=PATIENCE,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [answer.returncode for answer in answers] == [0, 0], answers[0].stderr + answers[1].stderr
    texts = [CONTROL.sub("", answer.stdout).splitlines() for answer in answers]
    assert [[line for line in lines if not line.startswith("stash t:")] for lines in texts] == [
        ["out 42", "then 42"]
    ] * 2
    assert [sum("stash t: hit" in line for line in lines) for lines in texts] == [0, 1]
    assert len((tmp_path / "count.txt").read_bytes()) == 1
