"""``stash.browse()`` in real kernels, this interpreter's and that of the Colab set, spoken to as a page of a notebook does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from queue import Empty

import pytest

pytest.importorskip("ipykernel")
pytest.importorskip("ipywidgets")
KernelManager = pytest.importorskip("jupyter_client.manager").KernelManager

pytestmark = pytest.mark.slow

PATIENCE = 120
PROJECT = Path(__file__).resolve().parents[2]
COLAB = Path(os.environ.get("HASHSTASH_COLAB_PYTHON", PROJECT / ".venv-colab" / "bin" / "python"))
PYTHONS = {"here": Path(sys.executable), "colab": COLAB}
WIDGET = "application/vnd.jupyter.widget-view+json"
OPEN = "from hashstash import HashStash\nstash = HashStash('browsed', engine='pairtree')\n"


class Page:
    """What a page of a notebook says to a kernel, and hears from it."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python = python
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv[0] = str(python)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HASHSTASH", "XDG_", "CI"))}
        own = {
            "HOME": folder,
            "IPYTHONDIR": folder / "ipython",
            "PYTHONPATH": PROJECT,
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        self.env = kept | {name: str(value) for name, value in own.items()}
        with (folder / "kernel.log").open("wb") as log:
            self.manager.start_kernel(env=self.env, cwd=str(folder), stdout=log, stderr=log)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def hear(self, of_interest, what: str):
        """The first true answer of *of_interest* to a message."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                answer = of_interest(self.client.get_iopub_msg(timeout=1))
            except Empty:
                continue
            if answer:
                return answer
        return pytest.fail(f"waited in vain for {what}")

    def run(self, code: str) -> list[dict]:
        """Run a cell; the outputs that it would have."""
        sent, outputs = self.client.execute(code), []

        def is_over(message):
            if message["parent_header"].get("msg_id") != sent:
                return False
            if message["msg_type"] in ("display_data", "execute_result", "stream", "error"):
                outputs.append(message["content"])
            return message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"

        self.hear(is_over, "the end of a cell")
        assert not any("traceback" in output for output in outputs), outputs
        return outputs

    def printed(self, code: str) -> str:
        return self.run(f"print({code})")[-1]["text"].strip()

    def set(self, model: str, **state) -> None:
        """Change a widget, as its view does."""
        data = {"method": "update", "state": state, "buffer_paths": []}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", {"comm_id": model, "data": data}))

    def hear_of(self, model: str, text: str) -> None:
        """Wait until the value of a widget has that *text* in it."""

        def has_it(message):
            content = message["content"]
            is_it = message["msg_type"] == "comm_msg" and content["comm_id"] == model
            return is_it and text in str(content["data"].get("state", {}).get("value", ""))

        self.hear(has_it, text)

    def elsewhere(self, code: str) -> None:
        """Run code in another process."""
        subprocess.run([str(self.python), "-c", code], env=self.env, check=True, timeout=PATIENCE)

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(params=list(PYTHONS))
def page(request, tmp_path):
    python = PYTHONS[request.param]
    if not python.exists():
        pytest.skip(f"there is no {python.name} of the Colab set: make colab")
    page = Page(python, tmp_path)
    yield page
    page.stop()


def test_a_page_searches_chooses_and_sees_what_others_write(page):
    page.run(OPEN + "stash.update({f'key {number}': number for number in range(50)})")
    card, widget = page.run("browser = stash.browse()\nbrowser")
    assert WIDGET not in card["data"]
    assert WIDGET in widget["data"]
    search, summary, entries, value = (
        page.printed(f"browser.parts.{name}.model_id") for name in ("search", "summary", "entries", "value")
    )
    page.set(search, value='"key 4"')
    page.hear_of(summary, "11 of 50 entries")
    page.set(entries, index=0)
    page.hear_of(value, "<b>Value</b>")
    page.elsewhere(OPEN + "stash['key 4444'] = 1")
    page.hear_of(summary, "12 of 51 entries")
    assert page.printed("browser.parts.entries.options[0][0]").split("\u00a0")[0] == "'key"
