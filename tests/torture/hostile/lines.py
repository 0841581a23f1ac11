"""Names that are no names, where a shell or a notebook passes them on: words of the command line, of magics, of what Tab offers."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hashstash.command_line import main
from torture.hostile.archives import notebook
from torture.hostile.folders import NAMES
from torture.hostile.notebooks import shell
from torture.hostile.trials import Trials

WORDS = (
    *(
        "-rf",
        "--help-me",
        "--",
        "-",
        "--json=1",
        "--code",
        "-o/etc/zq_evil",
        "--output=/etc/zq_evil",
        "$(touch zq)",
        "`touch zq`",
    ),
    *(
        "*",
        "?",
        "[a]",
        "{a,b}",
        "",
        " ",
        ".",
        "..",
        "../..",
        "a/../..",
        "/etc",
        "/proc/self/mem",
        "/dev/stdin",
        "~nobody/x",
    ),
    *(
        "\x1b]0;t\x07",
        "\x1b[2J",
        "\u202eevil",
        "\ud800",
        "\udcff",
        "\0",
        "a\0b",
        "a\nb",
        "\r",
        "<img src=x onerror=zq()>",
    ),
    *(
        "x" * 5000,
        "x/" * 200,
        "a" * 300 + "/b",
        "CON",
        "C:\\x",
        "\\\\host\\share",
        "%2e%2e%2f",
        "a%00b",
        "@meta",
        "mine/@meta",
    ),
    *(
        "mine/stashed_result",
        "stashed_result/..",
        "file:///etc",
        "file://",
        "http://x",
        "x://y",
        "://",
        "redis://[::1/x",
    ),
    *(
        "redis://h:99999999/x",
        "lmdb:///etc",
        "pairtree://../../etc",
        "null://x",
        "memory://\x1b]0;t\x07",
        "os",
        "helpers",
    ),
    *(
        "{0.__class__}",
        "%s%n",
        "' OR 1=1; --",
        "__import__('os').system('touch zq')",
        "[" * 5000,
        "9" * 5000,
        "(" * 300 + ")" * 300,
    ),
)
_LINES: tuple[tuple[str, ...], ...] = (
    *(("ls", "@"), ("ls", "-e", "@"), ("info", "@"), ("check", "@"), ("get", "@", "k"), ("rm", "@", "k", "--dry-run")),
    *(
        ("rm", "--all", "@", "--dry-run"),
        ("prune", "@", "--older-than", "1d", "--dry-run"),
        ("repair", "@", "--dry-run"),
    ),
    *(
        ("trust", "@", "--dry-run"),
        ("get", "mine", "@"),
        ("get", "mine", "--literal", "@"),
        ("get", "mine", "--key-json", "@"),
    ),
    *(
        ("get", "mine", "--address", "@"),
        ("get", "mine", "a", "--number", "@"),
        ("info", "mine", "@"),
        ("ls", "mine", "--dbname", "@"),
    ),
    *(
        ("info", "mine", "--dbname", "@"),
        ("ls", "mine", "--engine", "@"),
        ("ls", "--limit", "@"),
        ("ls", "--@"),
        ("@",),
        ("@", "ls"),
    ),
    *(
        ("import", "@"),
        ("import", "@", "--dry-run"),
        ("import", "mine.stash", "--name", "@"),
        ("import", "mine.stash", "x", "--overwrite", "@"),
    ),
    *(
        ("export", "new.stash", "@", "--force"),
        ("prune", "mine", "--older-than", "@", "--dry-run"),
        ("repair", "mine", "@"),
    ),
    *(
        ("prune", "mine", "--larger-than", "@", "--dry-run"),
        ("prune", "mine", "--tag", "@", "--dry-run"),
        ("rm", "mine", "@", "--dry-run"),
    ),
    *(("prune", "mine", "--max-size", "@", "--dry-run"), ("prune", "mine", "--max-entries", "@", "--dry-run")),
)
_MAGICS = (
    *(
        "ls @",
        "info @",
        "info t @",
        "get @ x",
        "get t @",
        "get t x @",
        "why @",
        "check @",
        "rm @ 1",
        "rm t @",
        "clear @ --older 99d",
    ),
    *(
        "clear t --older @",
        "trust @",
        "export x.stash @",
        "import @",
        "import @ --as copy",
        "import y.stash @",
        "import y.stash --as @",
    ),
    *("use @", "use --engine @", "use --serializer @", "use --compress @", "config @", "config engine @", "@", "--@"),
)
_CELLS = ("%%stash @\n1 + 1", "%%stash --engine @\n1 + 1", "%%stash --ttl @\n1 + 1", "%%stash t --@\n1 + 1")


def meet(trials: Trials, sound: bytes, folder: Path, stride: int, seed: int, *, with_magics: bool) -> None:
    """Every *stride*-th of them, in the folder in which the user is."""
    folder.mkdir()
    before = os.getcwd()
    os.chdir(folder)
    try:
        (folder / "mine.stash").write_bytes(sound)
        main(["import", "mine.stash", "mine", "--name", "data"])
        number = seed
        for make in (_by_shell, _by_magics) if with_magics else (_by_shell,):
            for family, name, meeting in make(folder):
                number += 1
                if number % stride == 0:
                    trials.count(family, name)
                    meeting(trials)
    finally:
        os.chdir(before)


def _by_shell(folder: Path) -> Iterator[tuple[str, str, Callable[[Trials], None]]]:
    for word in WORDS:
        for line in _LINES:
            words = [part.replace("@", word) for part in line]
            yield "command lines", repr(words)[:100], lambda trials, words=words: _line(trials, words)


def _line(trials: Trials, words: list[str]) -> None:
    allowed = (ValueError,) if any("\0" in word for word in words) else ()  # which no shell can pass on
    code = trials.met(f"hashstash {words[0]:.10}", lambda: main(words), errors=allowed)
    if code not in (0, 1, 2) and not allowed:
        trials.fail(f"it ends with {code!r}")


def _by_magics(folder: Path) -> Iterator[tuple[str, str, Callable[[Trials], None]]]:
    notebook_shell = shell()
    for name in ("nbformat", "jedi"):  # which IPython imports at first use
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.redirect_stderr(io.StringIO()):
        notebook_shell.run_line_magic("colors", "NoColor")  # tracebacks are IPython's, and so are their colours
    (folder / "y.stash").write_bytes((folder / "mine.stash").read_bytes())
    _plant(folder)
    for word in WORDS:
        if "\n" in word or "\r" in word or "\ud800" in word:
            continue  # which ends a line, or is no text that a front end sends
        for line in (*("%stash " + magic for magic in _MAGICS), *_CELLS):
            cell = line.replace("@", word)
            yield "magics", repr(cell)[:100], lambda trials, cell=cell: _cell(trials, notebook_shell, cell)
            quoted = line.replace("@", json.dumps(word))
            yield "magics", repr(quoted)[:100], lambda trials, cell=quoted: _cell(trials, notebook_shell, cell)
    for begun in (
        "%stash ls ",
        "%stash get ",
        "%stash import ",
        "%%stash ",
        "%stash import evil.stash ",
        "%stash get honest ",
    ):
        yield "completions", begun, lambda trials, begun=begun: _completed(trials, notebook_shell, begun)
    for name, content in _notebooks().items():
        for line in ("%run @", "%run -i @", "%%stash ran\n%run @", "%stash import @", "%load @"):
            cell = line.replace("@", f"{name}.ipynb")
            yield (
                "notebooks",
                cell,
                lambda trials, cell=cell, c=content: _with_notebook(trials, notebook_shell, cell, c),
            )


def _plant(folder: Path) -> None:
    """Stashes of cells that are called like that."""
    import shutil

    cells = Path(os.environ["XDG_CACHE_HOME"]) / "hashstash" / "cells"
    mine = Path(os.environ["XDG_CACHE_HOME"]) / "hashstash" / "mine"
    for name in (*NAMES, "honest"):
        shutil.copytree(mine, cells / name, dirs_exist_ok=True)
    for name in ("\x1b]0;t\x07.stash", "$(touch x).stash", "-rf.stash", "a b.stash", "evil.stash"):
        (folder / name).write_bytes((folder / "mine.stash").read_bytes())


def _cell(trials: Trials, notebook_shell: Any, cell: str) -> None:
    """The front end shows what is written and what is displayed."""
    shown: list[Any] = []
    notebook_shell.display_pub.publish = lambda data, *_, **__: shown.append(data)
    trials.met("the cell", lambda: _run(notebook_shell, cell))
    for data in shown:
        trials.look("what is shown", str(data.get("text/plain", "")))
        trials.look_at_html("what is shown", str(data.get("text/html", "")))


def _run(notebook_shell: Any, cell: str) -> None:
    ran = notebook_shell.run_cell(cell, store_history=True)
    error = ran.error_in_exec or ran.error_before_exec
    notebook_shell.payload_manager.clear_payload()
    if error is not None and type(error).__name__ not in ("UsageError", "SyntaxError"):
        raise error


def _completed(trials: Trials, notebook_shell: Any, begun: str) -> None:
    found = trials.met("completions", lambda: notebook_shell.complete("", begun, len(begun))[1])
    for word in found:
        trials.look("completions", str(word))


def _notebooks() -> dict[str, bytes]:
    def with_(change: Callable[[dict[str, Any]], Any]) -> bytes:
        made = notebook()
        made["cells"] = [
            {
                "cell_type": "code",
                "metadata": made["metadata"],
                "outputs": [],
                "source": "ran = 1",
                "id": "a",
                "execution_count": 1,
            }
        ]
        return json.dumps(change(made) or made).encode()

    return {
        "metadata": with_(lambda made: None),
        "no_cells": with_(lambda made: made.pop("cells") and None),
        "cells_of_another_kind": with_(lambda made: made.update(cells=[5])),
        "another_format": with_(lambda made: made.update(nbformat="x")),
        "a_list": b"[]",
        "deep": b"[" * 100_000,
        "nothing": b"",
        "no_text": b"\xff\xfe",
        "large_number": b'{"nbformat": ' + b"9" * 9000 + b"}",
    }


def _with_notebook(trials: Trials, notebook_shell: Any, cell: str, content: bytes) -> None:
    """What IPython raises of it is IPython's; HashStash opens it only where it is told to."""
    name = cell.rsplit(maxsplit=1)[-1]
    Path(name).write_bytes(content)
    with contextlib.suppress(FileNotFoundError):
        try:
            _cell(trials, _Ipython(notebook_shell), cell)
        finally:
            os.unlink(name)


class _Ipython:
    """The shell, whose own errors are not looked at."""

    def __init__(self, notebook_shell: Any) -> None:
        self._shell = notebook_shell
        self.display_pub = notebook_shell.display_pub
        self.payload_manager = notebook_shell.payload_manager

    def run_cell(self, cell: str, **options: Any) -> Any:
        ran = self._shell.run_cell(cell, **options)
        frames = []
        trace = ran.error_in_exec.__traceback__ if ran.error_in_exec is not None else None
        while trace is not None:
            frames.append(trace.tb_frame.f_globals.get("__name__", ""))
            trace = trace.tb_next
        if frames and not frames[-1].startswith("hashstash"):
            ran.error_in_exec = None
        return ran
