"""A real JupyterLab in headless Chromium, driven through Lab's own application object.

    def test_something(notebook):
        cell = notebook.run("display('hello')")          # a new cell at the end, run to its end
        assert "hello" in cell.text                      # what a reader sees
        notebook.save(); notebook.reload()
        notebook.screenshot("hello")                     # a file in the folder of the fixture ``screenshots``

One JupyterLab and one Chromium serve all tests; those of a module share a loaded page, and each has a notebook and a kernel of
its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 120
"""Seconds to wait for anything, on a machine that does much else."""
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_SETTINGS = {
    "apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension:tracker": {"autoStartDefaultKernel": True, "windowingMode": "none"},
    "docmanager-extension:plugin": {"autosave": False},
}
_OPTIONS = [
    "--no-browser",
    "--allow-root",
    "--ip=127.0.0.1",
    "--expose-app-in-browser",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--LanguageServerManager.autodetect=False",
    "--ServerApp.terminals_enabled=False",
]
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


def missing_parts() -> list[str]:
    """What would have to be installed before a browser can be driven."""
    parts = [package for package in ("jupyterlab", "ipykernel", "selenium") if find_spec(package) is None]
    if not any(map(shutil.which, _CHROMIUM)):
        parts.append("chromium")
    if not shutil.which("chromedriver"):
        parts.append("chromedriver")
    return parts


class Server:
    """JupyterLab on loopback, with folders, settings and a token of its own."""

    def __init__(self, folder: Path) -> None:
        self.notebooks = folder / "notebooks"
        self.token = secrets.token_hex(16)
        self._state = folder / "state"
        self._log = folder / "lab.log"
        self.notebooks.mkdir()
        for plugin, values in _SETTINGS.items():
            file = self._state / "settings" / "@jupyterlab" / f"{plugin.replace(':', '/')}.jupyterlab-settings"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(values))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "jupyterlab", *_OPTIONS, f"--port={self.port}", "--ServerApp.port_retries=0",
                   f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.notebooks}"]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=self._environment(), stdout=log, stderr=log)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _environment(self) -> dict[str, str]:
        strange = ("JUPYTER", "HASHSTASH", "PYTEST", "COV", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(strange) and name != "CI"}
        own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime", "HOME": "home",
               "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython",
               "XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "xdg-state", "XDG_CONFIG_HOME": "xdg-config"}  # fmt: skip
        (self._state / "home").mkdir()
        kept |= {name: str(self._state / folder) for name, folder in own.items()}
        return kept | {"PYTHONPATH": str(PROJECT), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}

    def url(self, path: str) -> str:
        """The address of *path*, with the token."""
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(self.url("api"), timeout=5).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"JupyterLab did not start:\n{self._log.read_text()[-3000:]}") from None
                time.sleep(0.1)

    def stop(self) -> None:
        """End the server, which ends its kernels."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Lab:
    """JupyterLab and the browser that shows it."""

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
        file = self.screenshots / f"{name}.png"
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

    def stop(self) -> None:
        """End the browser."""
        self.driver.quit()


class Notebook:
    """A notebook that is open in Lab."""

    def __init__(self, lab: Lab, file: Path) -> None:
        self.lab = lab
        self.file = file
        self.js, self.wait, self.screenshot, self.theme = lab.js, lab.wait, lab.screenshot, lab.theme

    def show(self) -> None:
        """Open only this notebook, in the page that is there if one is, and wait for its kernel."""
        if self.lab.has_page():
            self.js(_ALONE, self.file.name)  # loading Lab takes longer than most tests
        else:
            self._load()
        self._wait()

    def _load(self) -> None:
        self.lab.driver.get(f"{self.lab.server.url(f'lab/tree/{self.file.name}')}&reset")

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


@pytest.fixture(scope="module")
def lab(shared_lab):
    """JupyterLab in a browser, with a page that only the tests of this module use."""
    yield shared_lab
    shared_lab.leave()


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory, screenshots):
    """The one that all modules share, without a page; skips where something is missing for that."""
    missing = missing_parts()
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    folder = tmp_path_factory.mktemp("lab")
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, _CHROMIUM)))
    for option in [*_BROWSER_OPTIONS, f"--user-data-dir={folder / 'chromium'}"]:
        options.add_argument(option)
    server = Server(folder)
    try:
        driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        driver.set_script_timeout(PATIENCE)
        lab = Lab(server, driver, screenshots)
        try:
            yield lab
        finally:
            lab.stop()
    finally:
        server.stop()


@pytest.fixture
def notebook(lab, request):
    """A new notebook with a kernel of its own."""
    notebook = lab.open(re.sub(r"\W+", "-", request.node.name).strip("-"))
    yield notebook
    notebook.close()
