"""Cells that a stranger has recorded: brought back in a notebook by one who does not know him, looked at by every magic."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

from hashstash import HashStash
from hashstash.errors import StashError
from hashstash.imports import installed_only
from torture.children import say
from torture.hostile.canary import Canary
from torture.hostile.pickles import Runs
from torture.hostile.rows import TEXTS

SAFE = {"text/plain", "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/x-icon"}
SETUP = "import sys\nimport pandas as pd\nfrom IPython.display import HTML, Javascript, Latex, Markdown, display"
CELLS = {
    "mimes": "for mime in {mimes!r}:\n    display({{mime: {text!r}, 'text/plain': 'plain'}}, raw=True)\ny = 1",
    "html": "display(HTML({text!r}), Javascript({text!r}), Latex({text!r}), Markdown({text!r}))\nz = 1",
    "streams": "print({terminal!r})\nsys.stderr.write({terminal!r})\nx = 1",
    "class": "class Shown:\n    def _repr_html_(self):\n        return {text!r}\n    def __repr__(self):\n        return {terminal!r}\nShown()",
    "function": "def helper():\n    return 1\nh = helper",
    "instance": "class Thing:\n    pass\nt = Thing()",
    "frame": "d = pd.DataFrame({{'a': [{text!r}]}})\nd",
    "page": "%pinfo display",
    "data": "n = [1, {{'a': (2, 3)}}]\nn",
    "payload": "get_ipython().set_next_input({text!r})\np = 1",
}
MIMES = (
    *(
        "text/html",
        "application/javascript",
        "text/markdown",
        "text/latex",
        "image/svg+xml",
        "application/pdf",
        "application/json",
    ),
    *("application/vnd.plotly.v1+json", "application/vnd.vegalite.v5+json", "video/mp4"),
    *(
        "application/vnd.bokehjs_exec.v0+json",
        "application/vnd.holoviews_exec.v0+json",
        "text/HTML",
        " text/html",
        "text/html;x=1",
    ),
    *(
        "TEXT/plain",
        "image/svg",
        "application/x-ipynb+json",
        "application/geo+json",
        "audio/wav",
        "application/vnd.dataresource+json",
    ),
)
TERMINAL = "plain \x1b]52;c;enEK\x07\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m \x1bP+q\x1b\\ \u202eevil\x07 \x9b5n"
TEXT = "<script>zq()</script>"
FORBIDDEN = ("\x1b]", "\x07", "\x1bP", "\x9b", "\x1b[2J")


def cells() -> dict[str, str]:
    """The cells, in which every text would do harm where it was believed."""
    return {
        name: "%%stash t\n" + cell.format(mimes=MIMES, text=TEXT, terminal=TERMINAL) for name, cell in CELLS.items()
    }


def shell() -> Any:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    made = InteractiveShell.instance(config=config)
    made.run_line_magic("load_ext", "hashstash")
    return made


def record(planted: bool, mark: str) -> None:
    """In a child with the stranger's home: run and store every cell; *planted*: then replace parts of the records by others."""
    warnings.simplefilter("ignore")
    notebook = shell()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for cell in (SETUP, *cells().values()):
            notebook.run_cell(cell, store_history=True)
    rows = notebook.magics_manager.registry["StashMagics"].open("t")
    count = len(list(rows.all()))
    if planted:
        for number, (key, value) in enumerate(_lies(rows.stash, mark)):
            with contextlib.suppress(StashError, TypeError):
                rows.stash["lie", number] = value
                rows.stash[key] = value
    rows.stash.close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(mark)  # his own code may run for himself
    say("recorded", count)


def _lies(stash: HashStash, mark: str) -> Iterator[tuple[Any, Any]]:
    """For the key of each row another value than a record, outputs, variables."""
    values = [
        *(None, 1, "text", [], {}, [None], [[]], [{}], [[1, 2, 3]], {"a": 1}, b"bytes", (1,), {1: 2}),
        *(
            [["display", {"text/html": TEXTS[1]}, {}, {}, False]],
            [["stream", "stdout", TERMINAL]],
            [["payload", {"source": "set_next_input"}]],
        ),
        *(
            [["stream", "__class__", 1]],
            [["result", {"text/html": "x"}, {}]],
            [["value"]],
            [["unknown", 1]],
            [["clear", 1], ["display"]],
        ),
        *(
            [{"id": "x", "code": TEXTS[8], "imports": ["zq_canary_module"], "variables": {"print": None}}],
            [{"id": 1, "facts": [[1]]}],
        ),
        *(
            [{"facts": {"files": {"/etc/passwd": "x"}}, "created_at": float("nan")}],
            [{"created_at": "x", "code": 5, "variables": [1]}],
        ),
        *(Runs(mark), [Runs(mark)], {"n": Runs(mark)}, [["result", {"text/plain": Runs(mark)}, {}]], os.system),
        *([["display", {"image/png": "not base64"}, {"hashstash": 1}, {"display_id": []}, True]], "x" * 100_000),
    ]
    keys = [key for key in stash if isinstance(key, tuple)]
    for number, key in enumerate(keys):
        yield key, values[number % len(values)]
    for value in values:
        for key in keys[:1]:
            yield ("outputs", str(value)[:10]), value
            yield (key[0], "0" * 32), value


def meet(mark: str, folder: str) -> None:
    """In a child with the victim's home: the same cells and every magic."""
    warnings.simplefilter("ignore")
    allowed = [folder, *(os.environ[f"XDG_{kind}_HOME"] for kind in ("CACHE", "STATE", "CONFIG"))]
    canary = Canary(mark, allowed)
    with contextlib.suppress(ImportError), installed_only():  # pandas itself looks for packages in the current folder
        importlib.import_module("pandas")
    notebook = shell()
    shown: list[dict[str, Any]] = []
    notebook.display_pub.publish = lambda data, metadata=None, *_, **__: shown.append(
        {"of": metadata or {}, "data": data}
    )
    own = "%%stash mine\n1 + 1", "%stash ls", "%stash ls mine", "%stash info mine", "%stash get mine", "%stash why mine"
    for cell in (SETUP, *own, *own):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            notebook.run_cell(cell, store_history=True)
    shown.clear()
    wrong: list[str] = []
    done = hits = 0
    canary.seen()
    lines = [
        "ls",
        "ls t",
        "ls t --all",
        "info t",
        "info t 1",
        "info t 2",
        "get t",
        "get t n",
        "get t helper",
        "get t t",
        "get t h",
        "why t",
    ]
    lines += [
        "check t",
        "trust t",
        "export x.stash t",
        "import x.stash --as copy",
        "ls copy",
        "use t",
        "rm t 1",
        "clear t --older 99d",
    ]
    before = set(notebook.user_ns)
    for name, cell in (*cells().items(), *((line, f"%stash {line}") for line in lines)):
        out = io.StringIO()
        is_restored = not cell.startswith("%stash ")
        with canary, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            ran = notebook.run_cell(cell, store_history=True)
        done += 1
        error = ran.error_in_exec or ran.error_before_exec
        if (
            error is not None
            and not isinstance(error, (StashError, LookupError, OSError, ImportError))
            and "Usage" not in repr(type(error))
        ):
            last = traceback.extract_tb(error.__traceback__)[-1]
            wrong.append(f"{name}: {error!r:.300} at {os.path.basename(last.filename)}:{last.lineno}")
        status = " ".join(str(one["data"].get("text/plain")) for one in shown if "hashstash" in one["of"])
        if os.environ.get("TORTURE_TIMES"):
            print(name, "::", status[:200], file=sys.stderr)
        if is_restored and "hit" in status:
            hits += 1
            for one in shown:
                if "hashstash" not in one["of"] and not set(one["data"]) <= SAFE:
                    wrong.append(f"{name} shows {sorted(set(one['data']) - SAFE)}")
            text = out.getvalue() + "".join(
                str(one["data"].get("text/plain", "")) for one in shown if "hashstash" not in one["of"]
            )
            wrong += [f"{name} writes {part!r} to the terminal" for part in FORBIDDEN if part in text]
            wrong += [f"{name} sets the next cell" for _ in notebook.payload_manager.read_payload()]
        if not is_restored:
            wrong += [
                f"{name} writes {part!r} to the terminal"
                for part in (*FORBIDDEN, "\u202e")
                if part in out.getvalue() + status
            ]
        for one in shown:
            if "<script>" in str(one["data"].get("text/html", "")) and "hashstash" in one["of"]:
                wrong.append(f"{name} shows a script in its status")
        notebook.payload_manager.clear_payload()
        shown.clear()
        for key in set(notebook.user_ns) - before:
            if is_restored:
                notebook.user_ns.pop(key, None)
    say("met", done, hits, wrong, canary.seen())
