"""The front ends of Jupyter that are driven in a browser, and their servers."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 120
"""Seconds to wait for anything, on a machine that does much else."""
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
    "--LanguageServerManager.autodetect=False",
    "--ServerApp.terminals_enabled=False",
]


@dataclass(frozen=True)
class FrontEnd:
    """A program that shows notebooks in a browser."""

    package: str
    """The package, which is also the module that starts its server."""
    page: str
    """Where it shows a notebook: the path before its name."""
    options: tuple[str, ...] = ()
    has_tabs: bool = False
    """Whether another notebook can be opened in a page that is there."""


JUPYTERLAB = FrontEnd(
    "jupyterlab",
    page="lab/tree",
    options=(
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ),
    has_tabs=True,
)
NOTEBOOK_7 = FrontEnd("notebook", page="notebooks")


class Server:
    """A front end on loopback, with folders, settings and a token of its own."""

    def __init__(self, front_end: FrontEnd, folder: Path) -> None:
        self.front_end = front_end
        self.notebooks = folder / "notebooks"
        self.token = secrets.token_hex(16)
        self._state = folder / "state"
        self._log = folder / "server.log"
        self.notebooks.mkdir(parents=True)
        for plugin, values in _SETTINGS.items():
            file = self._state / "settings" / "@jupyterlab" / f"{plugin.replace(':', '/')}.jupyterlab-settings"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(values))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", front_end.package, *_OPTIONS, *front_end.options,
                   f"--port={self.port}", "--ServerApp.port_retries=0",
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
                    raise RuntimeError(
                        f"{self.front_end.package} did not start:\n{self._log.read_text()[-3000:]}"
                    ) from None
                time.sleep(0.1)

    def stop(self) -> None:
        """End the server, which ends its kernels."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
