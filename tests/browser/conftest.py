"""A real JupyterLab or Notebook 7 in headless Chromium, driven through its own application object.

    def test_something(notebook):
        cell = notebook.run("display('hello')")          # a new cell at the end, run to its end
        assert "hello" in cell.text                      # what a reader sees
        notebook.save(); notebook.reload()
        notebook.screenshot("hello")                     # a file in the folder of the fixture ``screenshots``

One server of each and one Chromium serve all tests; those of a module share JupyterLab's loaded page, and each has a notebook
and a kernel of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.append(os.path.dirname(__file__))

from front_ends import JUPYTERLAB, NOTEBOOK_7, PATIENCE, FrontEnd, Server

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_BROWSER_OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--window-size=1100,800",
]

_NAMES = """
const app = window.jupyterapp;
const panel = app && [...app.shell.widgets('main')].find(widget => widget.context && widget.content.widgets);
"""
_ALONE = """
[...app.shell.widgets('main')].forEach(widget => widget.dispose());
await app.commands.execute('docmanager:open', {path: args[0], factory: 'Notebook'});
"""


def missing_parts(package: str) -> list[str]:
    """What would have to be installed before the front end of that package can be driven."""
    parts = [name for name in (package, "ipykernel", "selenium") if find_spec(name) is None]
    if not any(map(shutil.which, _CHROMIUM)):
        parts.append("chromium")
    if not shutil.which("chromedriver"):
        parts.append("chromedriver")
    return parts


class Lab:
    """JupyterLab, or Notebook 7, and the browser that shows it."""

    def __init__(self, server: Server, driver, screenshots: Path) -> None:
        self.server = server
        self.driver = driver
        self.screenshots = screenshots

    def js(self, code: str, *arguments):
        """What *code* returns in the page; a promise is waited for. ``app`` is Lab's application, ``panel`` the notebook."""
        return self.driver.execute_script(f"return (async (...args) => {{{_NAMES} {code}}})(...arguments)", *arguments)

    def wait(self, condition, what: str, *, seconds: float = PATIENCE):
        """The first true answer of *condition*; fails with a screenshot if there is none in time."""
        from selenium.common.exceptions import WebDriverException

        end, error = time.monotonic() + seconds, None
        while time.monotonic() < end:
            try:
                answer = condition()
                if answer:
                    return answer
            except WebDriverException as failure:  # the page is being built
                error = failure
            time.sleep(0.05)
        file = self.screenshot("timeout")
        pytest.fail(f"waited {seconds} s in vain for: {what} (see {file}){f': {error.msg}' if error else ''}")

    def screenshot(self, name: str) -> Path:
        """A picture of the whole page as it is now."""
        start = "" if self.server.front_end is JUPYTERLAB else f"{self.server.front_end.package}_"
        file = self.screenshots / f"{start}{name}.png"
        self.driver.save_screenshot(str(file))
        return file

    def theme(self, name: str) -> None:
        """Change colours: ``Light`` or ``Dark``."""
        self.js("await app.commands.execute('apputils:change-theme', {theme: args[0]})", f"JupyterLab {name}")
        wanted = "true" if name == "Light" else "false"
        self.wait(lambda: self.js("return document.body.dataset.jpThemeLight") == wanted, f"the theme {name}")

    def has_page(self) -> bool:
        """Whether Lab is loaded."""
        return self.js("return Boolean(app)")

    def leave(self) -> None:
        """Leave the page: what runs in it ends."""
        self.driver.get("about:blank")

    def open(self, name: str, document: dict | None = None) -> Notebook:
        """Open a new notebook, or this *document* in the notebook format, with a kernel."""
        file = self.server.notebooks / f"{name}.ipynb"
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        empty = {"cells": [], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        file.write_text(json.dumps(document or empty))
        notebook = Notebook(self, file)
        notebook.show()
        return notebook


class Notebook:
    """A notebook that is open in Lab."""

    def __init__(self, lab: Lab, file: Path) -> None:
        self.lab = lab
        self.file = file
        self.js, self.wait, self.screenshot, self.theme = lab.js, lab.wait, lab.screenshot, lab.theme

    def show(self) -> None:
        """Open only this notebook, in the page that is there if one is, and wait for its kernel."""
        if self.lab.server.front_end.has_tabs and self.lab.has_page():
            self.js(_ALONE, self.file.name)  # loading Lab takes longer than most tests
        else:
            self._load()
        self._wait()

    def _load(self) -> None:
        server = self.lab.server
        self.lab.driver.get(f"{server.url(f'{server.front_end.page}/{self.file.name}')}&reset")

    def _wait(self, states: tuple[str, ...] = ("idle", "busy")) -> None:
        self.wait(lambda: self.js("return panel && panel.context.path") == self.file.name, "the notebook")
        self.wait(lambda: self._is_ready(states), "the kernel")
        self.js("app.shell.collapseLeft()")

    def _is_ready(self, states: tuple[str, ...]) -> bool:
        """Whether the document and a kernel in one of these states are there; dialogs are accepted."""
        self.js("document.querySelectorAll('.jp-Dialog .jp-mod-accept').forEach(button => button.click())")
        return self.js(
            "return panel.context.isReady && args[0].includes(panel.sessionContext.session?.kernel?.status)", states
        )

    def is_idle(self) -> bool:
        """Whether the kernel has nothing to do."""
        return self.js("return panel.sessionContext.session?.kernel?.status") == "idle"

    def start(self, code: str) -> Cell:
        """Run *code* in a new cell at the end, and do not wait for it."""
        index = self.js(
            """
            const notebook = panel.content, model = notebook.model.sharedModel;
            const last = model.cells.length - 1;
            if (last < 0 || model.cells[last].cell_type !== 'code' || model.cells[last].getSource())
                model.insertCell(last + 1, {cell_type: 'code', source: args[0]});
            else model.cells[last].setSource(args[0]);
            notebook.activeCellIndex = model.cells.length - 1;
            app.commands.execute('notebook:run-cell');
            return notebook.activeCellIndex;
            """,
            code,
        )
        return Cell(self, index)

    def run(self, code: str) -> Cell:
        """Run *code* in a new cell at the end, to its end."""
        cell = self.start(code)
        self.wait(lambda: cell.is_done, f"the end of {code!r}")
        return cell

    def cell(self, index: int) -> Cell:
        """The cell at a position."""
        return Cell(self, index)

    def save(self) -> dict:
        """Save, and return what is now in the file."""
        self.js("await panel.context.save()")
        return json.loads(self.file.read_text())

    def reload(self) -> None:
        """Load the page again, as with F5; the kernel goes on, and tells a page nothing while a cell runs."""
        self._load()
        self._wait(("idle", "busy", "unknown"))

    def interrupt(self) -> None:
        """Interrupt the kernel, as the stop button does."""
        self.js("await panel.sessionContext.session.kernel.interrupt()")

    def restart(self) -> None:
        """Restart the kernel, as the button does; outputs stay."""
        self.js("await panel.sessionContext.session.kernel.restart()")
        self.wait(self.is_idle, "the restarted kernel")

    def close(self) -> None:
        """End the kernel."""
        with contextlib.suppress(Exception):  # the page or the kernel is gone, and a failed test is reported already
            self.js("await panel.sessionContext.shutdown()")


class Cell:
    """A code cell; its properties look anew each time."""

    def __init__(self, notebook: Notebook, index: int) -> None:
        self.notebook = notebook
        self.index = index

    def js(self, code: str):
        """What *code* returns in the page; ``cell`` is this cell there."""
        return self.notebook.js(f"const cell = panel.content.widgets[args[0]]; {code}", self.index)

    @property
    def is_done(self) -> bool:
        """Whether it ran to its end, well or not."""
        return self.js("return (cell.model.executionState ?? 'idle') === 'idle' && cell.model.executionCount !== null")

    @property
    def outputs(self) -> list[dict]:
        """Its outputs as they would be saved now."""
        return self.js("return cell.model.outputs.toJSON()")

    @property
    def text(self) -> str:
        """What a reader sees below it."""
        return self.js("return cell.outputArea.node.innerText")

    @property
    def html(self) -> str:
        """The elements below it."""
        return self.js("return cell.outputArea.node.innerHTML")


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory) -> Path:
    """The folder of all screenshots: that which HASHSTASH_SCREENSHOTS names, else one among the temporary ones."""
    chosen = _SCREENSHOTS or tmp_path_factory.mktemp("screenshots")
    Path(chosen).mkdir(parents=True, exist_ok=True)
    return Path(chosen)


_SCREENSHOTS = os.environ.get("HASHSTASH_SCREENSHOTS")


@pytest.fixture(
    scope="module", params=[JUPYTERLAB, pytest.param(NOTEBOOK_7, marks=pytest.mark.heavy)], ids="{0.package}".format
)
def front_end(request) -> FrontEnd:
    """Which one is driven."""
    return request.param


@pytest.fixture(scope="module")
def lab(front_end, request):
    """The front end in a browser, with a page that only the tests of this module use; skips where something is missing."""
    missing = missing_parts(front_end.package)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    lab = request.getfixturevalue("labs")(front_end)
    yield lab
    lab.leave()


@pytest.fixture(scope="session")
def labs(driver, screenshots, tmp_path_factory):
    """Gives the front ends that all modules share, each with a server that is started when it is first asked for."""
    started: dict[FrontEnd, Lab] = {}

    def lab_of(front_end: FrontEnd) -> Lab:
        if front_end not in started:
            server = Server(front_end, tmp_path_factory.mktemp(front_end.package))
            started[front_end] = Lab(server, driver, screenshots)
        return started[front_end]

    yield lab_of
    for lab in started.values():
        lab.server.stop()


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """What drives the one browser."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, _CHROMIUM)))
    for option in [*_BROWSER_OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(option)
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    driver.set_script_timeout(PATIENCE)
    yield driver
    driver.quit()


@pytest.fixture
def notebook(lab, request):
    """A new notebook with a kernel of its own."""
    notebook = lab.open(re.sub(r"\W+", "-", request.node.name).strip("-"))
    yield notebook
    notebook.close()
