"""Beside a user's cells VS Code runs code of its own in the kernel: nothing of it is recorded, or makes a cell run again."""

from __future__ import annotations

import itertools
import json
import time

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

import driver  # noqa: E402

PYTHONS = driver.PYTHONS
PATIENCE = 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

START = """
import os as _VSCODE_os
import sys as _VSCODE_sys
%cd "FOLDER"
if _VSCODE_os.getcwd() not in _VSCODE_sys.path:
    _VSCODE_sys.path.insert(0, _VSCODE_os.getcwd())

del _VSCODE_sys
del _VSCODE_os
__vsc_ipynb_file__ = "FOLDER/analysis.ipynb"
%config Completer.use_jedi = False
%load_ext hashstash
"""
"""What runs before the first cell; the last line is one of the user's startup commands."""
VARIABLES = """
def _VSCODE_getVariables():
    import json as _VSCODE_json
    try:
        import pandas as _VSCODE_PD
        width = _VSCODE_PD.options.display.width
        _VSCODE_PD.options.display.width = 1000
        _VSCODE_PD.options.display.width = width
    except ImportError:
        pass
    return print(_VSCODE_json.dumps({name: repr(value)[:50] for name, value in globals().items() if name[0] != "_"}))
"""
BACKGROUND = """
def __jupyter_exec_background__():
    import sys
    from IPython.display import display
    from threading import Thread
    output = display({"application/vnd.vscode.bg.execution.1": ""}, raw=True, display_id=True)

    def is_awaited():
        for frame in sys._current_frames().values():
            while frame is not None:
                if frame.f_code.co_name == "wait_for_answer":
                    return True
                frame = frame.f_back

    def do_implementation():
        while not is_awaited():
            pass
        return get_ipython().kernel.do_complete("st", 2)

    def bg_main():
        output.update({"application/vnd.vscode.bg.execution.1.result": str(do_implementation())}, raw=True)

    Thread(target=bg_main, daemon=True, name="answer").start()


__jupyter_exec_background__()
del __jupyter_exec_background__
"""
HOOK = """
import types as _VSCODE_types
def __VSCODE_wrap_run_cell(wrapped_func):
    old_func = wrapped_func.__func__
    def wrapper(*args, **kwargs):
        store_history = args[2] if len(args) > 2 else kwargs["store_history"]
        if store_history:
            os.environ["IPYKERNEL_CELL_NAME"] = f"<ipython-input-{args[0].execution_count}-0123456789ab>"
        result = old_func(*args, **kwargs)
        if store_history:
            del os.environ["IPYKERNEL_CELL_NAME"]
        return result
    return _VSCODE_types.MethodType(wrapper, wrapped_func.__self__)
get_ipython().run_cell = __VSCODE_wrap_run_cell(get_ipython().run_cell)
"""
"""Of versions that predict the name of a cell's file."""


class Shown:
    """What one request showed: events of the front end, and our lines."""

    def __init__(self, kernel, request):
        self.events, self.ours = [], []
        for kind, content in kernel._messages(request, time.monotonic() + PATIENCE):
            if content.get("metadata", {}).get("hashstash"):
                self.ours.append(content["data"]["text/plain"])
            elif kind != "status" and kind != "execute_input":
                self.events.append((kind, content))
        self.reply = kernel._reply(request, time.monotonic() + PATIENCE)

    @property
    def kinds(self):
        """What kinds of things came, one after the other; a text may come in pieces."""
        return [kind for kind, _pieces in itertools.groupby(self.events, key=lambda event: event[0])]

    @property
    def stdout(self):
        return "".join(content["text"] for kind, content in self.events if kind == "stream")


class Kernel(driver.Kernel):
    """A kernel that is used as the extension does."""

    def send(self, code, *, is_typed=True):
        content = {
            "code": code,
            "silent": False,
            "stop_on_error": False,
            "allow_stdin": True,
            "store_history": is_typed,
        }
        metadata = {"cellId": "vscode-notebook-cell:/analysis.ipynb#W0sZmlsZQ%3D%3D"} if is_typed else {}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def cell(self, code):
        return Shown(self, self.send(code))

    def helper(self, code):
        return Shown(self, self.send(code, is_typed=False))

    def explore(self):
        """What the pane of variables asks after each cell."""
        self.helper(VARIABLES)
        shown = self.helper("_VSCODE_getVariables()")
        self.helper("del _VSCODE_getVariables")
        return shown


@pytest.fixture(scope="module", params=PYTHONS)
def kernel(request, tmp_path_factory):
    if not PYTHONS[request.param].exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    folder = tmp_path_factory.mktemp("vscode")
    opened = Kernel(str(PYTHONS[request.param]), folder, {"HASHSTASH_STATUS": "line", "VSCODE_PID": "1"})
    opened.folder = folder
    assert opened.helper(START.replace("FOLDER", str(folder))).reply["status"] == "ok"
    opened.cell("import os, sys, time\nstart = [1, 2]")
    yield opened
    opened.stop()


@pytest.fixture(params=["%%stash", "auto"])
def above(request, kernel):
    """What stands above a cell that is remembered: the magic, or nothing while recording is on."""
    kernel.helper("%stash auto --off" if request.param != "auto" else "%stash auto --min 0")
    yield "" if request.param == "auto" else "%%stash seen\n"
    kernel.helper("%stash auto --off")


@pytest.mark.parametrize(
    "code",
    [
        "doubled = [2 * n for n in start]\nprint('ran')\ndoubled",
        "import os.path\nnotebook = os.path.basename(__vsc_ipynb_file__)\nnotebook",
        "below = sorted(name for name in globals() if name in ('start', 'below_all'))\nprint(below)",
    ],
)
def test_what_the_extension_runs_between_two_runs_changes_nothing(kernel, above, code):
    first = kernel.cell(above + code)
    assert "stored" in first.ours[0]
    kernel.explore()
    kernel.cell(above + code)  # a cell that reads all variables finds its own ones new
    kernel.explore()
    again = kernel.cell(above + code)
    assert " hit, " in again.ours[0]
    assert again.kinds == first.kinds
    assert again.stdout == first.stdout


def test_code_of_the_extension_is_answered_with_nothing_but_its_own_output(kernel):
    kernel.helper("%stash auto --min 0")
    for _ in range(2):
        shown = kernel.explore()
        assert shown.kinds == ["stream"]
        assert "start" in json.loads(shown.stdout)
        assert shown.ours == []
    listed = kernel.cell("%stash ls --df").events
    assert "VSCODE" not in str(listed)
    kernel.helper("%stash auto --off")


WAIT = """
import threading
def wait_for_answer():
    for thread in threading.enumerate():
        if thread.name == "answer":
            thread.join()
"""


def test_an_answer_that_comes_from_a_thread_while_a_cell_runs_is_not_part_of_it(kernel, above):
    kernel.cell(WAIT)
    kernel.helper(BACKGROUND)
    code = f"{above}wait_for_answer()\nprint('over')"
    first = kernel.cell(code)
    assert "update_display_data" in first.kinds  # it came while the cell ran
    assert "stored" in first.ours[0]
    again = kernel.cell(code)
    assert " hit, " in again.ours[0]
    assert again.kinds == ["stream"]


@pytest.mark.parametrize("copy", ["{**os.environ, 'MINE': '1'}", "sorted(os.environ.items())"])
def test_variables_of_a_session_are_no_inputs_of_a_cell_that_copies_the_environment(kernel, above, copy):
    code = f"{above}environment = {copy}\nlen(environment) > 3"
    assert "stored" in kernel.cell(code).ours[0]
    kernel.helper("os.environ['VSCODE_PID'] = str(int(os.environ['VSCODE_PID']) + 1)")
    assert " hit, " in kernel.cell(code).ours[0]
    kernel.helper("os.environ['MY_OWN_ONE'] = str(len(os.environ.get('MY_OWN_ONE', '')) * 'x' + 'y')")
    assert "stored" in kernel.cell(code).ours[0]


def test_a_cell_that_names_a_variable_of_the_session_depends_on_it(kernel, above):
    code = f"{above}parent = os.environ['VSCODE_PID']\nall_of_it = dict(os.environ)\nlen(parent)"
    assert "stored" in kernel.cell(code).ours[0]
    assert " hit, " in kernel.cell(code).ours[0]
    kernel.helper("os.environ['VSCODE_PID'] += '0'")
    assert "stored" in kernel.cell(code).ours[0]


def test_an_interrupt_that_comes_as_a_message(kernel, above):
    kernel.cell("from pathlib import Path")
    started = kernel.folder / "started.txt"
    started.unlink(missing_ok=True)
    request = kernel.send(f"{above}Path('started.txt').touch()\nwhile True:\n    time.sleep(0.01)")
    end = time.monotonic() + PATIENCE
    while not started.exists():
        assert time.monotonic() < end, "the cell did not start"
        time.sleep(0.01)
    client = kernel.client
    client.control_channel.send(client.session.msg("interrupt_request", {}))
    shown = Shown(kernel, request)
    assert shown.reply["ename"] == "KeyboardInterrupt"
    assert shown.ours == []
    assert "hashstash" not in "".join(shown.reply["traceback"])


def test_a_cell_whose_file_the_extension_has_named(kernel, above):
    kernel.helper(f"import os\n{HOOK}")
    try:
        code = f"{above}named = {{**os.environ}}\nprint('ran', len(named) > 3)"
        assert "stored" in kernel.cell(code).ours[0]
        again = kernel.cell(code)
        assert " hit, " in again.ours[0]
        assert again.stdout == "ran True\n"
        assert kernel.cell(f"{above}1 / 0").reply["ename"] == "ZeroDivisionError"
    finally:
        kernel.helper("del get_ipython().run_cell")
