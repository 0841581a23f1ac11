"""Run notebooks in a fresh kernel with a cache of their own, cell by cell, and time each cell."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
_PRIVATE = ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")


@dataclass
class CellTime:
    """One code cell of a run."""

    number: int
    source: str
    seconds: float
    status: str
    """What the status line of the cell said; empty for cells that are not stashed."""
    shown: list[Any] = field(default_factory=list)
    """Everything else that the cell showed."""


def private_environment(folder: str) -> dict[str, str]:
    """Variables by which a kernel finds its cache and its key in *folder*, and nothing of this user."""
    return {
        **{name: str(Path(folder, name.split("_")[1].lower())) for name in _PRIVATE},
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


@contextmanager
def own_cache(folder: str | None = None) -> Iterator[str]:
    """An empty cache and key for the kernels started inside, so that nothing of this user is read or written."""
    before = {name: os.environ.get(name) for name in _PRIVATE}
    with tempfile.TemporaryDirectory(prefix="hashstash-run-") as temporary:
        base = folder or temporary
        os.environ.update(private_environment(base))
        try:
            yield base
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def run(notebook: Any, folder: Path = ROOT) -> list[CellTime]:
    """Execute *notebook* in place in a new kernel and return what each code cell took."""
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns of its own loopback connection
    )
    times = []
    with client.setup_kernel():
        number = 0
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            number += 1
            started = time.perf_counter()
            client.execute_cell(cell, index, execution_count=number)
            times.append(CellTime(number, cell.source, time.perf_counter() - started, _status(cell), _shown(cell)))
    return times


def _status(cell: Any) -> str:
    for output in cell.outputs:
        if output.get("metadata", {}).get("hashstash"):
            return str(output.data.get("text/plain", ""))
    return ""


def _shown(cell: Any) -> list[Any]:
    return [output for output in cell.outputs if not output.get("metadata", {}).get("hashstash")]


def notebooks() -> list[Path]:
    """README.ipynb, and the others in order."""
    return [ROOT / "README.ipynb", *sorted((ROOT / "notebooks").glob("*.ipynb"))]


def read(path: Path) -> Any:
    """The notebook at *path*."""
    return nbformat.read(path, as_version=4)
