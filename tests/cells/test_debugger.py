"""The front end's debugger in a ``%%stash`` cell: it stops at the line at which the user has set a breakpoint."""

from __future__ import annotations

import itertools
import queue
import time

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")
pytest.importorskip("debugpy")

import driver  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SECONDS = 120.0
CELL = "%%stash t\na = 1\nb = a + 1\n\n\ndef f(x):\n    return x * b\n\n\nc = f(b)\nc\n"
AWAITS = "%%stash t\nimport asyncio\nd = 1\nawait asyncio.sleep(0)\ne = d + 1\n"


class Debugged(driver.Kernel):
    """A kernel whose debugger is on, and the part of JupyterLab that talks with it."""

    def __init__(self, python, folder):
        super().__init__(str(python), folder, {})
        self.numbers = itertools.count(1)
        self.run("%load_ext hashstash")
        self.debug("initialize", clientID="test", adapterID="", linesStartAt1=True, pathFormat="path")
        self.debug("attach")

    def debug(self, command, **arguments):
        content = {"type": "request", "seq": next(self.numbers), "command": command, "arguments": arguments}
        message = self.client.session.msg("debug_request", content)
        self.client.control_channel.send(message)
        end = time.monotonic() + SECONDS
        while True:
            reply = self.client.get_control_msg(timeout=max(0.1, end - time.monotonic()))
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                assert reply["content"].get("success"), reply["content"]
                return reply["content"].get("body", {})

    def set_breakpoints(self, cell, *lines):
        path = self.debug("dumpCell", code=cell)["sourcePath"]
        found = self.debug(
            "setBreakpoints",
            breakpoints=[{"line": line} for line in lines],
            source={"path": path},
            sourceModified=False,
        )
        assert all(point["verified"] for point in found["breakpoints"])
        self.debug("configurationDone")
        return path

    def stops(self, cell):
        """Where the cell stops, as lists of the frames' names, files and lines; after each stop it goes on."""
        content = {"code": cell, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = self.client.session.msg("execute_request", content)
        self.client.shell_channel.send(message)
        found, end = [], time.monotonic() + SECONDS
        while True:
            assert time.monotonic() < end, found
            try:
                heard = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                continue
            content = heard["content"]
            if heard["msg_type"] == "debug_event" and content["event"] == "stopped":
                thread = content["body"]["threadId"]
                frames = self.debug("stackTrace", threadId=thread)["stackFrames"]
                found.append([(frame["name"], frame["source"]["path"], frame["line"]) for frame in frames])
                self.debug("continue", threadId=thread)
            is_mine = heard["parent_header"].get("msg_id") == message["header"]["msg_id"]
            if is_mine and heard["msg_type"] == "status" and content["execution_state"] == "idle":
                reply = self._reply(message["header"]["msg_id"], end)
                assert reply["status"] == "ok", reply
                return found


@pytest.fixture(params=driver.PYTHONS)
def kernel(request, tmp_path):
    python = driver.PYTHONS[request.param]
    if not python.exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    try:
        debugged = Debugged(python, tmp_path)
    except (AssertionError, queue.Empty) as error:
        pytest.skip(f"no debugger in this kernel: {error}")
    yield debugged
    debugged.stop()


def test_it_stops_at_the_line_of_a_cell_that_runs_and_nowhere_in_one_that_comes_back(kernel):
    path = kernel.set_breakpoints(CELL, 3, 7)
    stops = kernel.stops(CELL)
    assert [frames[0][1:] for frames in stops] == [(path, 3), (path, 7)]
    assert stops[1][1][1:] == (path, 10)
    assert kernel.stops(CELL) == []
    assert kernel.evaluate({"c": "c"}) == {"c": "4"}


def test_it_stops_in_a_cell_that_awaits(kernel):
    path = kernel.set_breakpoints(AWAITS, 5)
    assert [frames[0][1:] for frames in kernel.stops(AWAITS)] == [(path, 5)]
