"""What a stashed cell shows, when it runs and when it comes back after a restart: the same as a plain cell.

Each case is played in three kernels: one without ``%%stash``, one in which the marked cells run, and one in which they come back.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import queue
import re
import time

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")
for module in ("ipywidgets", "matplotlib", "pandas", "tqdm"):
    pytest.importorskip(module)

import driver  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kernels are forked"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]


PYTHONS = driver.PYTHONS
SECONDS = 60.0
VIEW = "application/vnd.jupyter.widget-view+json"
CHANGING = [
    (r"\x1b\[[0-9;]*m", ""),
    (r"0x[0-9a-f]+", "0x"),
    (r"\b([0-9a-f]{32}|[0-9a-f]{16})\b|\bT_[0-9a-f]{5}", "ID"),
    (r"\r\n", "\n"),
    (r"[/\w.-]*ipykernel_\d+[/\w.]*|<ipython-input-[^>]*>|/tmp/[/\w.-]*\.py(?=:)", "CELL"),
    (r"CELL:\d+(?=: \w*Warning)", "CELL"),
    (r"(CPU times|Wall time).*", r"\1"),
    (r"\d\d:\d\d<\S+ *\S*?(it/s|s/it)", "RATE"),
]
"""What differs from run to run, and what takes its place."""


class Kernel(driver.Kernel):
    """A kernel that tells in which order a cell showed what."""

    def __init__(self, python, folder, nursery, *, line):
        super().__init__(str(python), folder, {}, nursery)
        self.line = line
        """What ``§`` stands for in a cell."""
        self.outcomes = []
        """What the status lines said."""
        self.show("%load_ext hashstash")

    def show(self, code):
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False,
                   "stop_on_error": False}  # fmt: skip
        message = self.client.session.msg("execute_request", content)
        self.client.shell_channel.send(message)
        request, shown, end = message["header"]["msg_id"], [], time.monotonic() + SECONDS
        while True:
            assert time.monotonic() < end, f"no answer to {code}: {shown}"
            try:
                found = self.client.get_iopub_msg(timeout=0.05)
            except queue.Empty:
                continue
            if found["parent_header"].get("msg_id") != request:
                continue
            kind, content = found["msg_type"], found["content"]
            if kind == "status" and content["execution_state"] == "idle":
                reply = self._reply(request, end)
                return _steady([*shown, ("payload", reply.get("payload", [])), ("reply", reply["status"])])
            self._hear(kind, content, shown)

    def _hear(self, kind, content, shown):
        metadata = content.get("metadata")
        ours = metadata.get("hashstash") if isinstance(metadata, dict) else None
        if ours:
            self.outcomes.append(ours["outcome"])
        elif kind == "stream":
            shown.append((content["name"], content["text"]))
        elif kind in ("display_data", "execute_result", "update_display_data"):
            shown.append((kind, [_mimes(content["data"]), content["metadata"], content.get("transient", {})]))
        elif kind == "clear_output":
            shown.append((kind, content["wait"]))
        elif kind == "error":
            shown.append((kind, content["ename"]))

    def play(self, cells):
        self.outcomes.clear()
        shown = [self.show(cell.replace("§", self.line)) for cell in cells]
        return shown, list(self.outcomes)


def _mimes(data):
    """Images by their digests; of a live widget what is left when its kernel is gone: its text."""
    return {
        mime: hashlib.md5(str(content).encode()).hexdigest()[:8] if mime.startswith("image/png") else content
        for mime, content in data.items()
        if mime != VIEW or not isinstance(content, dict)
    }


def _steady(shown):
    """Between two displays each stream is one text: in a plain cell the two are buffered apart."""
    parts = []
    for kind, content in shown:
        if kind not in ("stdout", "stderr"):
            parts.append([kind, content])
            continue
        last = next((part for part in _run_of_streams(parts) if part[0] == kind), None)
        if last is None:
            parts.append([kind, content])
        else:
            last[1] += content
    parts = [
        (kind, content if isinstance(content, str) else json.dumps(content, sort_keys=True)) for kind, content in parts
    ]
    for pattern, replacement in CHANGING:
        parts = [(kind, re.sub(pattern, replacement, content)) for kind, content in parts]
    return _sorted_streams(parts)


def _run_of_streams(parts):
    for part in reversed(parts):
        if part[0] not in ("stdout", "stderr"):
            return
        yield part


def _sorted_streams(parts):
    """Of two streams that stand side by side, stdout first."""
    for place in range(len(parts) - 1):
        if parts[place][0] == "stderr" and parts[place + 1][0] == "stdout":
            parts[place : place + 2] = parts[place + 1], parts[place]
    return parts


IMPORTS = "import sys, os, time, warnings, logging, threading, subprocess\nfrom IPython.display import *"
PLOT = "%matplotlib inline\nimport matplotlib.pyplot as plt"
CASES = {
    "print": [IMPORTS, "§print('a', end='')\nprint('b', flush=True)\nsys.stdout.write('c')\nsys.stderr.write('d\\n');"],
    "print in parts": [IMPORTS, "§for i in range(5):\n    print(i, end=' ')\n    sys.stdout.flush()"],
    "carriage returns": ["§for i in range(3):\n    print(f'\\r{i} of 3', end='', flush=True)\nprint('\\rdone  \\x1b[31mred\\x1b[0m')"],
    "windows line ends": ["§print('a\\r\\nb\\r\\n\\r\\n', end='')"],
    "writelines": [IMPORTS, "§sys.stdout.writelines(['a\\n', 'b\\n'])\nsys.stderr.writelines(['c\\n'])"],
    "unicode": ["§print('\\u00e9\\u4e2d\\U0001f600', '\\x00\\x07', '\\u2028', end='|')"],
    "print to a stream kept before": [IMPORTS + "\nearly = sys.stdout", "§print('kept', file=early)"],
    "stdout.buffer": [IMPORTS, "§b = getattr(sys.stdout, 'buffer', None)\nif b is not None:\n    b.write(b'bytes\\n')\n    b.flush()\ndel b\nprint('text')"],
    "shell lines": ["§!printf 'a\\nb\\n'; echo err >&2", "§print('x', flush=True)\n!echo y\nprint('z')", "§lines = !echo one\nlines"],
    "%%bash": ["§%%bash\necho out\necho err >&2"],
    "%%script": ["§%%script sh\necho out"],
    "%sx": ["§%sx echo a"],
    "handlers": [
        IMPORTS + "\nlog = logging.getLogger('early')\nlog.addHandler(logging.StreamHandler())\nlog.setLevel(10)",
        "§log.info('to a handler made before')\nlogging.getLogger('other').warning('by the last resort')",
    ],
    "handlers of its own": [
        IMPORTS,
        "§mine = logging.getLogger('mine')\nh = logging.StreamHandler(sys.stdout)\nh.setFormatter(logging.Formatter('%(name)s %(message)s'))\nmine.addHandler(h)\nmine.error('hear')\nmine.removeHandler(h)\ndel h, mine",
    ],
    "warnings": [IMPORTS, "§warnings.warn('careful')", "§for i in range(2):\n    warnings.warn('often')", "§warnings.warn('old', DeprecationWarning)"],
    "a warning once": [IMPORTS, "def w():\n    warnings.warn('only once')", "§w()\nw()", "w()"],
    "warnings filtered": [IMPORTS, "§with warnings.catch_warnings():\n    warnings.simplefilter('ignore')\n    warnings.warn('no')\nprint('yes')"],
    "caught traceback": ["§import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc(limit=0)"],
    "display": [IMPORTS, "§print('a')\ndisplay(1, 'two')\nprint('b')\ndisplay(HTML('<b>h</b>'), metadata={'m': 1})"],
    "rich displays": [
        IMPORTS,
        "§for thing in (HTML('<i>'), SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'), Latex('$x$'), Math('y'), Markdown('*m*'), JSON({'a': [1]}), Javascript('1'), Pretty('p')):\n    display(thing)",
    ],
    "raw": [IMPORTS, "§display({'text/plain': 'p', 'application/x-own+json': {'a': [1, None, 2.5]}}, raw=True)",
            "§publish_display_data({'text/plain': 'q'}, {'text/plain': {'k': 1}})"],
    "malformed bundles": [
        IMPORTS + "\nVIEW = 'application/vnd.jupyter.widget-view+json'",
        "§display({VIEW: 'x'}, raw=True)\n1", "§display({VIEW: None, 'text/plain': 't'}, raw=True)", "§display({VIEW: ['x'], 'text/html': 3}, raw=True)",
        "§publish_display_data({VIEW: 3.5, 'text/plain': ['a', 'b'], 'image/png': None}, {'a': (1, 2)})",
        "§display({1: 'x', 'text/plain': None}, raw=True)",
        "§for bad in (None, 'abc', ['x'], 5):\n    try:\n        display(bad, raw=True)\n    except Exception as error:\n        print(type(error).__name__, error)",
        "§for bad in ('m', [1]):\n    try:\n        display({'text/plain': 'x'}, raw=True, metadata=bad)\n    except Exception as error:\n        print(type(error).__name__)",
        "§for bad in ({'application/json': print}, {'text/plain': {1: object}}):\n    try:\n        display(bad, raw=True)\n    except Exception as error:\n        print(type(error).__name__)\n'after'",
        "§class M2:\n    def _repr_mimebundle_(self, **_):\n        return {VIEW: 'x', 'text/plain': 4}, 'metadata'\nM2()",
    ],
    "a bundle that is changed when it was shown": ["§shown = {'application/json': {'a': [1]}, 'text/plain': 'p'}\ndisplay(shown, raw=True)\nshown['application/json']['a'].append(2)\nshown['text/plain'] = 'q'"],
    "images": [IMPORTS + "\nPNG = bytes.fromhex('89504e470d0a1a0a0000000d4948445200000001000000010806000000" "1f15c4890000000d49444154789c6360606060000000050001" "a5f645400000000049454e44ae426082')",
               "§display(Image(PNG, width=3))", "§Image(PNG)"],
    "a result": ["§a1 = 20\na1 + 1", "_", "Out[max(Out)]", "_ + 1"],
    "a result of its own": ["§class R:\n    def _repr_html_(self):\n        return '<u>r</u>'\n    def __repr__(self):\n        return 'r'\nR()", "§R()"],
    "a bundle": [
        "class M:\n    def _repr_mimebundle_(self, include=None, exclude=None):\n        return {'text/plain': 'm', 'text/html': '<m>'}, {'text/html': {'k': 1}}",
        "§m1 = M()\nm1", "§display(M())", "§M()",
    ],
    "what displays itself": ["class D:\n    def _ipython_display_(self):\n        print('self-made')\n        display('x')", "§D()", "§d = D()\nd", "§display(D())"],
    "a repr that prints": ["class P:\n    def __repr__(self):\n        print('printing')\n        return 'P'", "§P()", "§pp = P()\npp"],
    "a frame": ["import pandas as pd", "§df = pd.DataFrame({'a': [1, 2]})\ndf", "§df.style", "§display(df)\ndf.head(1)"],
    "no result": ["§5;", "§None", "§x5 = 5", "_"],
    "a result in between": [
        "from IPython.core.interactiveshell import InteractiveShell\nInteractiveShell.ast_node_interactivity = 'all'",
        "§a2 = 1\na2\nprint('p')\na2 + 1", "InteractiveShell.ast_node_interactivity = 'last_expr'", "_",
    ],
    "display ids": [
        IMPORTS,
        "§h = display('first', display_id='fixed')\nh.update('second')\nupdate_display('third', display_id='fixed')\ndel h",
        "§hh = display('x', display_id=True)\nhh.update('y')",
        "hh.update('later')",
        "§update_display('from another', display_id='fixed')",
    ],
    "display handle": [IMPORTS, "§h3 = DisplayHandle('mine')\nh3.display('a')\nprint('between')\nh3.update(HTML('<b>b</b>'))"],
    "clear": [IMPORTS, "§print('gone')\nclear_output()\nprint('stays')", "§for i in range(3):\n    clear_output(wait=True)\n    print(i)",
              "§display(1)\nclear_output(wait=True)\ndisplay(2)\nclear_output()"],
    "%%capture": ["§%%capture kept\nprint('o')\n3", "kept.stdout, len(kept.outputs)", "kept.show()"],
    "capture_output": ["from IPython.utils.capture import capture_output", "§with capture_output() as co:\n    print('in')\n    display(3)\nprint('out', len(co.outputs))\ndel co"],
    "redirected": ["import io, contextlib", "§buf = io.StringIO()\nwith contextlib.redirect_stdout(buf):\n    print('in')\nprint('out', buf.getvalue())\ndel buf"],
    "%%time": ["§%%time\nprint('t')\n7", "§%time y7 = 8", "%%time\n§print('above')\n9"],
    "threads": [IMPORTS, "§def work(i):\n    print('thread', i)\nfor i in range(3):\n    t = threading.Thread(target=work, args=(i,))\n    t.start()\n    t.join()\ndel t"],
    "a pool": [IMPORTS, "§from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as pool:\n    rs = list(pool.map(print, 'ab'))\ndel pool\nrs"],
    "figures": [PLOT, "§plt.plot([1, 2]);", "§plt.plot([1, 2]);\nplt.show()\nprint('after')", "§for i in range(2):\n    plt.figure()\n    plt.plot([i, 2])\n    print(i)",
                "§fig, ax = plt.subplots()\nax.plot([3])\nplt.close(fig)\nfig", "§fig2, ax2 = plt.subplots()\nax2.set_title('t');"],
    "a figure and a value": [PLOT, "§plt.plot([1, 2])\n7", "_", "§fig4, ax4 = plt.subplots()\nax4.plot([3])\nax4", "§fig5 = plt.figure()\nplt.plot([5])\nfig5",
                            "§plt.plot([6]);\nprint('p')\n'v'", "§plt.plot([7])", "§import asyncio\nawait asyncio.sleep(0)\nplt.plot([8])\n(8,)"],
    "figures and values in between": [
        PLOT + "\nfrom IPython.core.interactiveshell import InteractiveShell\nInteractiveShell.ast_node_interactivity = 'all'",
        "§plt.plot([9]);\n'first'\n'second'", "InteractiveShell.ast_node_interactivity = 'last_expr'",
    ],
    "%%time above a figure and a value": [PLOT, "%%time\n§plt.plot([1, 2])\nprint('p')\n7", "_", "%%time\n§lines1 = plt.plot([1])", "%%time\n§plt.plot([2]);\nplt.show()\n'v'",
                                          "%%time\n§10", "%%capture c1\n§plt.plot([1, 2])\n8", "[sorted(shown.data) for shown in c1.outputs if 'hashstash' not in shown.metadata]"],
    "figure formats": [PLOT + "\n%config InlineBackend.figure_formats = ['png', 'retina']", "§plt.plot([7, 2]);", "%config InlineBackend.figure_formats = ['png']"],
    "a figure by display": [PLOT, "§f3 = plt.figure()\nplt.plot([1])\ndisplay(f3)\nplt.close(f3)\nprint('end')"],
    "%matplotlib inside": ["§%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([4, 2]);"],
    "tqdm": ["from tqdm import tqdm", "§for i in tqdm(range(3), mininterval=99):\n    pass", "§for i in tqdm(range(2), desc='d', leave=False, mininterval=99):\n    pass\nprint('end')"],
    "help": ["§len?", "§print('p')\n?len", "§%pinfo min", "§%page len", "§%psource os.path.join"],
    "magics that print": ["§%lsmagic\nprint('w');", "§%precision"],
    "%%html": ["§%%html\n<b>x</b>", "§%%latex\n$x$", "§%%markdown\n*a*", "§%%javascript\n1", "§%%svg\n<svg xmlns='http://www.w3.org/2000/svg'/>"],
    "awaited": ["import asyncio", "§print('a')\nawait asyncio.sleep(0)\nprint('b')\nasync def co():\n    print('task')\n    return 3\nawait asyncio.gather(co(), co())"],
    "code objects": [IMPORTS, "§Code('x = 1')", "§Video('https://example.org/v.mp4')", "§IFrame('https://example.org', 3, 4)", "§display(Audio([0, 1], rate=8000))"],
    "progress bar of IPython": [IMPORTS, "§for i in ProgressBar(2):\n    pass"],
    "a widget": ["from ipywidgets import IntSlider, HBox", "§display(IntSlider(value=3))\nprint('below')"],
    "an unstorable value that displays itself": [
        "import threading\nclass L:\n    def __init__(self):\n        self.lock = threading.Lock()\n    def _ipython_display_(self):\n        display({'text/plain': 'locked', 'text/html': '<b>'}, raw=True)",
        "§L()",
    ],
    "rich": ["try:\n    from rich import print as rich_print\nexcept ImportError:\n    rich_print = print", "§rich_print('[bold]b[/bold]', {'a': 1})"],
    "much": ["%config StashMagics.max_output = '1 MB'", "§for i in range(3000):\n    print(i, end=' ')", "%config StashMagics.max_output = '64 MB'"],
    "a page of its own": ["from IPython.core import page", "§page.page('paged text')\nprint('p')"],
    "the next input": ["§get_ipython().set_next_input('x = 1')"],
}  # fmt: skip

RUNS_AGAIN = {"the next input"}
"""The shell is nothing that could be compared."""

BACK_AS_RESULTS = {"an unstorable value that displays itself"}
"""What is there instead of the value is shown as a result, in the same form."""

DESCRIPTORS = {
    "print(file=sys.__stderr__)": (
        "import sys\nprint('first', file=sys.__stdout__, flush=True)\nprint('e', file=sys.__stderr__, flush=True)",
        {"stdout": "first\n", "stderr": "e\n"},
    ),
    "os.write": ("import os\nos.write(1, b'raw\\n' * 500)\nos.write(2, b'err\\n')\nlast = 1", {"stdout": "raw\n" * 500, "stderr": "err\n"}),
    "os.system": ("import os\nstatus = os.system('echo a; echo b >&2; printf c')", {"stdout": "a\nc", "stderr": "b\n"}),
    "subprocess.run": ("import subprocess\nsubprocess.run(['sh', '-c', 'seq 2000']);", {"stdout": "".join(f"{i + 1}\n" for i in range(2000)), "stderr": ""}),
    "check_call": ("import subprocess\nstatus = subprocess.check_call('echo e >&2', shell=True)\nprint('p')", {"stdout": "p\n", "stderr": "e\n"}),
    "nothing": ("x = 1", {"stdout": "", "stderr": ""}),
}  # fmt: skip
"""What arrives late through a pipe, so that a plain cell may lose it to the next one: its text, whichever way it went."""


@pytest.fixture(scope="module", params=PYTHONS)
def shown(request, tmp_path_factory, nurseries):
    """What each case showed in each of the three kernels, one kernel after the other."""
    python = PYTHONS[request.param]
    if not python.exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    plain, stashed = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("stash")
    found = {}
    for place, (folder, line) in enumerate([(plain, ""), (stashed, "%%stash t\n"), (stashed, "%%stash t\n")]):
        kernel = Kernel(python, folder, nurseries(python)[place % 2], line=line)
        for name, cells in CASES.items():
            found[place, name] = kernel.play(cells)
        for name, (code, _wanted) in DESCRIPTORS.items() if line else ():
            found[place, name] = kernel.play(["§" + code])
        kernel.stop()
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_cell_that_runs_shows_what_a_plain_cell_shows(shown, name):
    _compare(name, shown[0, name], shown[1, name])


@pytest.mark.parametrize("name", CASES)
def test_a_cell_that_comes_back_shows_what_a_plain_cell_shows(shown, name):
    wanted, found = shown[0, name], shown[2, name]
    if name in BACK_AS_RESULTS:
        wanted, found = _without_kinds(wanted), _without_kinds(found)
    _compare(name, wanted, found)


@pytest.mark.parametrize("name", CASES)
def test_a_cell_comes_back(shown, name):
    outcomes = shown[2, name][1]
    assert outcomes == ["not stored" if name in RUNS_AGAIN else "hit"] * len(outcomes), outcomes


@pytest.mark.parametrize("where", PYTHONS)
def test_the_browser_of_a_stash_is_live_when_its_cell_runs_and_a_card_when_it_comes_back(where, tmp_path, nurseries):
    if not PYTHONS[where].exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    shown, outcomes = [], []
    for nursery in nurseries(PYTHONS[where]):
        kernel = Views(PYTHONS[where], tmp_path, nursery, line="%%stash t\n")
        kernel.play(["import hashstash\nstash = hashstash.HashStash(root_dir='./searched')\nstash['wanted'] = 1"])
        kernel.play(["§stash.browse()"])
        outcomes += kernel.outcomes
        shown.append(kernel.bundles)
        kernel.play([LIVE_WIDGETS])
        shown.append(kernel.bundles)
        kernel.stop()
    live, there, still, none = shown
    assert outcomes == ["stored", "hit"]
    assert [isinstance(bundle[VIEW].get("model_id"), str) for bundle in live if VIEW in bundle] == [True]
    assert int(there[-1]["text/plain"]) > 0
    assert still, "nothing came back"
    assert not any(VIEW in bundle for bundle in still)
    assert any("Browser of" in bundle["text/plain"] and "1 entry" in bundle["text/html"] for bundle in still)
    assert int(none[-1]["text/plain"]) == 0


LIVE_WIDGETS = """import ipywidgets
known = ipywidgets.widgets.widget
len(known._instances if hasattr(known, '_instances') else ipywidgets.Widget.widgets)"""


class Views(Kernel):
    """A kernel whose displays are kept whole."""

    def play(self, cells):
        self.bundles = []
        return super().play(cells)

    def _hear(self, kind, content, shown):
        if kind in ("display_data", "execute_result") and "hashstash" not in content["metadata"]:
            self.bundles.append(content["data"])
        super()._hear(kind, content, shown)


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_what_goes_to_descriptors_is_shown_with_its_cell_and_comes_back(shown, name):
    for place, outcome in ((1, "stored"), (2, "hit")):
        (events,), outcomes = shown[place, name]
        texts = {stream: "".join(text for kind, text in events if kind == stream) for stream in ("stdout", "stderr")}
        assert texts == DESCRIPTORS[name][1]
        assert outcomes == [outcome]


def _without_kinds(played):
    shown, outcomes = played
    same = {"execute_result": "display_data"}
    return [[(same.get(kind, kind), content) for kind, content in parts] for parts in shown], outcomes


def _compare(name, wanted, found):
    assert found[0] == wanted[0], "\n".join(
        difflib.unified_diff(*(_lines(CASES[name], shown) for shown in (wanted[0], found[0])), n=1)
    )


def _lines(cells, shown):
    return [
        f"{cell!r:.60} {kind}: {content}" for cell, parts in zip(cells, shown, strict=True) for kind, content in parts
    ]
