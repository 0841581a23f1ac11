"""Errors, debuggers, magics and history in a stashed cell: as in the same cell without ``%%stash``.

Two kernels go through the same cells, one with ``%%stash`` above those that are marked; what they show must not differ.
"""

from __future__ import annotations

import difflib
import json
import os
import queue
import re
import time

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

import driver  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kernels are forked"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]


PYTHONS = driver.PYTHONS
SECONDS = 60.0
PLAIN = "# plain\n"
"""What a plain kernel's cells have in place of ``%%stash``, so that their lines have the same numbers."""
WRAPPER = r"get_ipython\(\)\.run_cell_magic"
SHOWN = ("display_data", "execute_result", "update_display_data")
CHANGING = [
    (r"\x1b\[[0-9;]*m", ""),
    (r"0x[0-9a-f]+", "0x"),
    (r"ipykernel_\d+[/\w.]*", "CELL"),
    (r"(ipython-input-\d+)-[0-9a-f]+", r"\1"),
    (r"(CPU times|Wall time).*", r"\1"),
    (r"\d+\.\d+ seconds", "SECONDS"),
    (r"# plain", ""),
    (r"(?m)^ +1 \n", ""),
    (r"skipping \d+ hidden", "skipping hidden"),
    (r"skipped \d+ frame\(s\): \d+ hidden", "skipped hidden"),
]
"""What differs from run to run, and what takes its place."""


class Kernel(driver.Kernel):
    """A kernel that can be answered when it asks."""

    def __init__(self, python, folder, nursery, *, line):
        super().__init__(str(python), folder, {}, nursery)
        self.line = line
        """What ``§`` stands for in a cell."""
        self.ask("%load_ext hashstash")

    def ask(self, code, inputs=()):
        """What the cell showed, as pairs of a kind and a text; *inputs* are the answers to its questions."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True,
                   "stop_on_error": False}  # fmt: skip
        message = self.client.session.msg("execute_request", content)
        self.client.shell_channel.send(message)
        request, answers, shown, end = message["header"]["msg_id"], list(inputs), [], time.monotonic() + SECONDS
        while True:
            assert time.monotonic() < end, f"no answer to {code}: {shown}"
            if self.client.stdin_channel.msg_ready():
                self.client.stdin_channel.get_msg(timeout=1)
                self.client.input(answers.pop(0))
            try:
                found = self.client.get_iopub_msg(timeout=0.05)
            except queue.Empty:
                continue
            if found["parent_header"].get("msg_id") != request:
                continue
            kind, content = found["msg_type"], found["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return [*_joined(shown), ("reply", self._reply(request, end)["status"])]
            shown += _events(kind, content)

    def play(self, cells):
        return [self._play(cell) for cell in cells]

    def _play(self, cell):
        code, inputs = (cell, ()) if isinstance(cell, str) else cell
        if self.line == PLAIN and "§%%" in code:  # only a cell's first line may hold the next magic
            shown = self.ask(code.replace("§", ""), inputs)
            return [(kind, re.sub(rf"(line |> )1\b(?=.*\n*.*{WRAPPER})", r"\g<1>2", text)) for kind, text in shown]
        return self.ask(code.replace("§", self.line), inputs)


def _events(kind, content):
    if kind == "stream":
        return [(content["name"], content["text"])]
    if kind in SHOWN and "hashstash" not in content.get("metadata", {}):
        return [(kind, json.dumps(content["data"], sort_keys=True))]
    return [("error", "\n".join(content["traceback"]))] if kind == "error" else []


def _joined(shown):
    """Each stream as one text, behind everything else: a question and a text may overtake one another."""
    streams = {name: "".join(text for kind, text in shown if kind == name) for name in ("stdout", "stderr")}
    parts = [(kind, text) for kind, text in shown if kind not in streams] + list(streams.items())
    for pattern, replacement in CHANGING:
        parts = [(kind, re.sub(pattern, replacement, text)) for kind, text in parts]
    return parts


@pytest.fixture(scope="module", params=PYTHONS)
def kernels(request, tmp_path_factory, nurseries):
    """One without and one with ``%%stash``."""
    python = PYTHONS[request.param]
    if not python.exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    folders = [tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("stash")]
    _, nursery = nurseries(python)
    both = [
        Kernel(python, folder, nursery, line=line) for folder, line in zip(folders, (PLAIN, "%%stash t\n"), strict=True)
    ]
    yield both
    for kernel in both:
        kernel.stop()


F = "def f(x):\n    y = x + 1\n    return y / 0"
G = "import asyncio\nasync def g(x):\n    await asyncio.sleep(0)\n    return x / 0"
MODULE = """
import os, sys, time
sys.path.insert(0, ".")
def write(text):
    with open("NAME.py", "w") as file:
        file.write(text)
    os.utime("NAME.py", (time.time() + OLDER, time.time() + OLDER))
    sys.path_importer_cache.clear()
"""


def module(name, switch, how, use):
    """A module is edited between two runs of a cell."""
    write = MODULE.replace("NAME", name)
    return [
        write.replace("OLDER", "-100") + "write('V = 1\\ndef g(): return V\\n')",
        f"%load_ext autoreload\n%autoreload {switch}\n{how}",
        f"§{use}",
        write.replace("OLDER", "100") + "write('V = 22\\ndef g(): return V + 1\\n')",
        f"§{use}",
        f"§{use}",
        "%autoreload 0",
    ]


CASES = {
    "an error": ["§x = 1\n1 / 0", "x"],
    "an error in a function": [F, "§z = 1\nf(2)"],
    "a function of a stashed cell": ["§" + F, "f(2)", "§q = 1\nf(2)"],
    "an error in a library": ["import json", "§json.loads('{')"],
    "an absent variable of the environment": ["import os", "§os.environ['NO_SUCH']", "§os.getenv(1)"],
    "an absent file": ["import os, pathlib", "§os.stat('absent')", "§pathlib.Path('absent').stat()", "§os.stat()"],
    "a cause": ["§try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e"],
    "a context": ["§try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k')"],
    "slots": ["§class E(Exception):\n    __slots__ = ('a',)\nraise E('x')"],
    "frozen": ["§import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass E(Exception):\n    a: int\nraise E(1)"],
    "a group": ["§raise ExceptionGroup('g', [ValueError(1), TypeError('t')])"],
    "a group with tracebacks": [
        F,
        "§found = []\nfor i in range(2):\n    try:\n        f(i)\n    except Exception as e:\n        found.append(e)",
        "§raise ExceptionGroup('g', found)",
    ],
    "a syntax error at run time": ["§compile('x = = 1', 'a', 'exec')"],
    "a syntax error in eval": ["§eval('1 +')"],
    "top-level await": ["import asyncio", "§await asyncio.sleep(0)\n1 / 0"],
    "an awaited function": [G, "§await g(1)"],
    "gathered tasks": [G, "§await asyncio.gather(g(1), g(2))"],
    "an interrupt of its own": ["§raise KeyboardInterrupt('mine')"],
    "an assertion": ["§a = 1\nassert a == 2, 'no'"],
    "%tb": [F, "§f(1)", "%tb"],
    "notes": ["§e = ValueError('x')\ne.add_note('note')\nraise e"],
    "raised again": ["import sys", "§1 / 0", "raise sys.last_value", "§raise sys.last_value  # again"],
    "caught before": ["try:\n    1 / 0\nexcept Exception as e:\n    kept = e", "§raise kept"],
    "print_last": ["import sys, traceback", "§1 / 0", "traceback.print_last(file=sys.stdout)"],
    "print_exc": [
        F,
        "§import sys, traceback\ntry:\n    f(1)\nexcept Exception:\n    traceback.print_exc(file=sys.stdout)",
    ],
    "warnings": ["def w():\n    import warnings\n    warnings.warn('w', stacklevel=2)", "§w()"],
    "line magics": ["§%time 1 / 0", "§%timeit -n1 -r1 1 / 0", "§%nosuch", "§%timeit -z 1"],
    "cell magics below": ["§%%time\n1 / 0", "§%%capture c\n1 / 0", "§%%nosuch\n1", "§%%bash\nexit 3"],
    "names": ["§undefined_name", "import math", "§math.sqroot", "§import nosuchmodule"],
    "a repr that fails": ["class B:\n    def __repr__(self):\n        raise ValueError('no repr')", "§B()"],
    "scopes": ["§(lambda x: x / 0)(1)", "§[1 / i for i in range(2)]", "§exec('1 / 0')", "§class A:\n    x = 1 / 0"],
    **{
        f"%xmode {mode}": [
            F,
            f"%xmode {mode}",
            "§v = 5\nf(v)",
            "§v = 5\ntry:\n    f(v)\nexcept ZeroDivisionError as e:\n    raise KeyError from e",
            "%tb",
            "%xmode Context",
        ]
        for mode in ("Plain", "Context", "Verbose", "Minimal")
    },
    "%debug": [F, "§v = 3\nf(v)", ("%debug", ["p y", "up", "p v", "w", "up", "w", "q"])],
    "%debug of an awaited function": [G, "§v = 1\nawait g(v)", ("%debug", ["p x", "up", "p v", "w", "q"])],
    "%pdb": [F, "%pdb on", ("§v = 3\nf(v)", ["p y", "up", "p v", "w", "q"]), "%pdb off"],
    "set_trace of IPython": [
        "from IPython.core.debugger import set_trace",
        ("§a = 1\nset_trace()\nb = 2", ["p a", "c"]),
        "b",
    ],
    "no frames of the shell": [
        "from IPython.core.debugger import set_trace",
        ("§up = 1\nset_trace()\ndown = 2", ["w", "u", "u", "bt", "d", "c"]),
        ("§import pdb\na = 1\npdb.set_trace()\nb = 2", ["w", "u", "u", "u", "bt", "n", "n", "c"]),
        ("§a = 1\n%debug a / 0", ["s", "w", "u", "bt", "q"]),
        ("§%%debug\nx = 1\ny = 2", ["w", "n", "w", "u", "c"]),
    ],
    "no frames of the shell where it awaits": [
        "import asyncio\nfrom IPython.core.debugger import set_trace",
        ("§await asyncio.sleep(0)\nset_trace()\nc = 1", ["w", "u", "u", "bt", "n", "c"]),
    ],
    "no frames of the shell after an error": [
        F,
        "%pdb on",
        ("§v = 3\nf(v)", ["w", "u", "u", "u", "bt", "d", "d", "q"]),
        "%pdb off",
        ("%debug", ["w", "u", "u", "u", "bt", "d", "d", "q"]),
    ],
    "syntax errors": [
        "§x = 1\ny = = 2",
        "§def f(:\n    pass",
        "§return 5",
        "§if True:\nx = 1",
        "§'open",
        "§(1,\n2",
        "§x = 1\n  y = 2",
        "§nonlocal z",
        "§%time y = = 2",
        "§x = 1\nawait = 3",
        "§x = 1\n\n\ndef f():\n    break",
    ],
    "lines of functions": [
        "§x = 1\n\ndef of_this_cell():\n    return 1 / 0",
        "of_this_cell()",
        "import inspect\nprint(inspect.getsource(of_this_cell))\nof_this_cell.__code__.co_firstlineno",
        "of_this_cell??",
    ],
    "set_trace in a function": [
        "def h(a):\n    b = a * 2\n    from IPython.core.debugger import set_trace\n    set_trace()\n    return b",
        ("§z = h(4)\nprint(z)", ["p b", "up", "p h", "c"]),
        "z",
    ],
    "breakpoint": [
        "def h(a):\n    b = a * 2\n    breakpoint()\n    return b",
        ("§z = h(4)\nprint(z)", ["p b", "u", "w", "c"]),
    ],
    "input": [("§n = input('name? ')\nprint('hello', n)", ["bob"]), "n"],
    "%prun": [
        "def w():\n    return sum(range(10))",
        "§%prun -q w()\nr = 1",
        "r",
        "§%%prun -q\ns = sum(range(10))",
        "s",
    ],
    "%run": [
        "open('script.py', 'w').write('val = 7\\nprint(val)\\n')",
        "§%run script.py\nr = val + 1",
        "r, val",
        "§%run script.py\nr = val + 1",
        "open('bad.py', 'w').write('val = 8\\n1 / 0\\n')",
        "§%run bad.py",
        "val",
        "base = 1\nopen('more.py', 'w').write('val2 = base + 1\\n')",
        "§%run -i more.py",
        "val2",
    ],
    "%time": ["§%time x = 5\nx", "x", "_", "§%%time\ny = 5\ny", "y", "§%%time\ny = 5\ny;", "y"],
    "%%capture": [
        "§%%capture captured\nprint('in')\ny = 1",
        "captured.stdout, y",
        "§%%capture captured\nprint('in')\ny = 1",
    ],
    "%%time above": ["%%time\n§x = 5\nprint('p')\nx", "%%time\n§x = 5\nprint('p')\nx", "x", "%%prun -q\n§x = 6", "x"],
    "%%capture above": [
        "%%capture c\n§x = 7\nprint('p')\nx",
        "c.stdout, x",
        "%%capture c\n§x = 7\nprint('p')\nx",
        "c.stdout, x",
    ],
    "stashed twice": ["§§x = 8\nx", "§§x = 8\nx", "x"],
    "results": ["§a = 1\na + 1", "_", "__", "Out[max(Out)]", "§a = 1\na + 1", "_", "§a;", "_", "§display(1)\n2", "_"],
    "shell lines": ["§!echo hi", "§!exit 3", "_exit_code", "§%sx echo x"],
    "help": ["aa = 1", "§aa?", "§len?", "§%lsmagic\n1;"],
    "effects on the shell": [
        "import os\nos.makedirs('sub', exist_ok=True)",
        "§%cd -q sub",
        "os.path.basename(os.getcwd())",
        "%cd -q ..",
        "§%env CHOSEN=3",
        "os.environ['CHOSEN']",
        "§%%writefile ff.txt\nhello",
        "open('ff.txt').read()",
    ],
    "nested run_cell": ["§get_ipython().run_cell('inner = 5')\nouter = inner + 1", "inner, outer"],
    "%autoreload 1": module("modx1", 1, "%aimport modx1", "r = modx1.g()\nr"),
    "%autoreload 2": module("modx2", 2, "import modx2", "r = modx2.g()\nr"),
    "%autoreload 2, from": module("modx3", 2, "from modx3 import g", "r = g()\nr"),
    "%autoreload 3": module("modx4", 3, "from modx4 import *", "r = g()\nr"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_stashed_cell_shows_what_a_plain_cell_shows(kernels, name):
    plain, stashed = (kernel.play(CASES[name]) for kernel in kernels)
    assert stashed == plain, "\n".join(
        difflib.unified_diff(*(_lines(CASES[name], shown) for shown in (plain, stashed)))
    )


def _lines(cells, shown):
    return [
        f"{cell!r:.60} {kind}: {line}"
        for cell, parts in zip(cells, shown, strict=True)
        for kind, text in parts
        for line in text.split("\n")
    ]


@pytest.mark.parametrize("where", PYTHONS)
def test_errors_in_restored_functions_show_their_lines(where, tmp_path, nurseries):
    """After a restart there is no cell with that text any more, but what was restored."""
    if not PYTHONS[where].exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    cell = "§def f(x):\n    y = x + 1\n    return y / 0  # never"
    for nursery in nurseries(PYTHONS[where]):
        kernel = Kernel(PYTHONS[where], tmp_path, nursery, line="%%stash t\n")
        (shown,) = kernel.play([cell])
        parts = dict(kernel.ask("f(2)"))
        kernel.stop()
        assert "return y / 0" in parts["error"]
        assert "hashstash" not in parts["error"]
        assert shown[-1] == ("reply", "ok")


@pytest.mark.parametrize("where", PYTHONS)
def test_a_nested_cell_shows_its_own_line_and_the_one_that_called_it(where, tmp_path, nurseries):
    if not PYTHONS[where].exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    _, nursery = nurseries(PYTHONS[where])
    kernel = Kernel(PYTHONS[where], tmp_path, nursery, line="%%stash t\n")
    (shown,) = kernel.play(["§z = 1\nget_ipython().run_cell_magic('stash', 'inner', '1 / 0')"])
    kernel.stop()
    text = dict(shown)["error"]
    assert re.findall(r"-+> (\d) (.*)", text) == [
        ("3", "get_ipython().run_cell_magic('stash', 'inner', '1 / 0')"),
        ("1", "1 / 0"),
    ]
    assert "hashstash" not in text
    assert "interactiveshell" not in text
