"""``%stash auto`` in real kernels: what front ends send beside the cell, silent code, interrupts."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

import driver  # noqa: E402

PYTHONS = driver.PYTHONS
PATIENCE = 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=PYTHONS)
def kernel(request, tmp_path_factory):
    if not PYTHONS[request.param].exists():
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    folder = tmp_path_factory.mktemp("kernel")
    opened = driver.Kernel(str(PYTHONS[request.param]), folder, {"HASHSTASH_STATUS": "line"})
    opened.folder = folder
    opened.run("%load_ext hashstash")
    opened.run("import os, time")
    yield opened
    opened.stop()


@pytest.fixture(autouse=True)
def auto(kernel):
    kernel.run("%stash auto --off")
    kernel.run("%stash auto --min 0 --skip live")


def told(answer) -> str:
    return "\n".join(text for _facts, text in answer.statuses)


def run_tagged(kernel, code: str, tags: list[str]) -> str:
    """Run the cell as a front end does that sends a cell's tags; return the status."""
    client = kernel.client
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = client.session.msg("execute_request", content, metadata={"cellId": "c1", "tags": tags})
    client.shell_channel.send(message)
    request, end, texts = message["header"]["msg_id"], time.monotonic() + PATIENCE, []
    for kind, found in kernel._messages(request, end):
        if kind == "display_data" and found["metadata"].get("hashstash"):
            texts.append(found["data"]["text/plain"])
    assert kernel._reply(request, end)["status"] == "ok"
    return "\n".join(texts)


def test_a_cell_with_the_tag_is_left_alone(kernel):
    assert run_tagged(kernel, "tagged = len('a')", ["live"]) == ""
    assert "stored" in run_tagged(kernel, "tagged = len('a')", ["other"])
    assert run_tagged(kernel, "tagged = len('a')", ["other", "live"]) == ""
    assert "hit" in run_tagged(kernel, "tagged = len('a')", [])


def test_silent_code_of_a_front_end_is_left_alone(kernel):
    for _ in range(2):
        assert told(kernel.run("silent = len('a')", expressions={"x": "silent"})) == ""
    assert "stored" in told(kernel.run("silent = len('a')"))
    assert kernel.run("silent = len('a')", expressions={"x": "silent"}).statuses == []


def run_interrupted(kernel, code: str):
    """Run the cell, and interrupt the kernel once it says that it has begun."""
    begun = kernel.folder / "begun"
    begun.unlink(missing_ok=True)
    number = int(kernel.evaluate({"x": "__import__('os').getpid()"})["x"])

    def interrupt():
        end = time.monotonic() + PATIENCE
        while not begun.exists() and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(number, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        return kernel.run(code)
    finally:
        thread.join()


@pytest.mark.parametrize(
    "wait", ["time.sleep(60)", "import asyncio\nfor _ in range(6000):\n    await asyncio.sleep(0.01)"]
)
def test_an_interrupted_cell_fails_as_a_plain_one_and_is_not_recorded(kernel, wait):
    code = f"before = 1\nopen('begun', 'w').close()\n{wait}\nafter = 1"
    kernel.run("%stash auto --off")
    plain = run_interrupted(kernel, code)
    kernel.run("%stash auto --min 0")
    answer = run_interrupted(kernel, code)
    assert answer.error == plain.error
    assert "hashstash" not in answer.traceback
    assert told(answer) == ""
    assert kernel.evaluate({"x": "before", "y": "'after' in globals()"}) == {"x": "1", "y": "False"}
    assert kernel.run("1 + 1").error is None


def test_an_interrupt_while_inputs_are_looked_at_fails_the_cell(kernel):
    kernel.run("%stash auto --min 1h")
    kernel.run(
        "class Endless:\n    def __hashstash_fingerprint__(self):\n"
        "        open('begun', 'w').close()\n        time.sleep(60)"
    )
    kernel.run("endless = Endless()")
    answer = run_interrupted(kernel, "not_run = [endless]")
    assert answer.error == "KeyboardInterrupt"
    assert "hashstash" not in answer.traceback
    assert kernel.evaluate({"x": "'not_run' in globals()"})["x"] == "False"
    kernel.run("del endless")


def test_after_an_error_the_debugger_finds_the_frame_of_the_cell(kernel):
    kernel.run("def fails(k):\n    return 1 / k")
    kernel.run("x = len('a')\nfails(0)")
    frames = "[f.filename for f in __import__('traceback').extract_tb(__import__('sys').last_traceback)]"
    assert "hashstash" not in kernel.evaluate({"x": frames})["x"]
    assert "division" in "".join(kernel.run("%tb").traceback + kernel.run("%tb").text("stdout"))


def test_what_is_typed_is_in_the_history(kernel):
    kernel.run("typed = len('a')\ntyped")
    kernel.run("typed = len('a')\ntyped")
    assert kernel.run("%history -l 2").text("stdout").strip().startswith("typed = len('a')\ntyped")
    assert kernel.evaluate({"x": "In[-2].splitlines()"})["x"] == "[\"typed = len('a')\", 'typed']"
