"""Run the notebooks through nbval, twice on one cache: their outputs are true for a first run and for a restored one.

Those that empty their stashes before they use them run once. Each notebook has a cache of its own, and two run at a time. That
about Colab runs in a kernel with Colab's versions as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from run_notebook import ROOT, notebooks, private_environment

_AT_A_TIME = 2
_COLAB = ROOT / ".venv-colab/bin/python"
_COLABS = "hashstash-colab"
"""The name of the kernel with Colab's versions."""
_FOR_COLAB = ("colab.ipynb",)
_SMALLER = {
    "analysis.ipynb": {"HASHSTASH_ANALYSIS_SCALE": "0.05", "HASHSTASH_STATUS": "none", "OMP_NUM_THREADS": "1"},
}
"""Notebooks that take a minute, and what makes them smaller; of these, only the outputs that do not depend on that are compared.

nbval asks for its cells to be kept out of the history, as editors do for code of their own, which ``%stash auto`` leaves alone:
one pass says all. `make demo` runs these notebooks as they are, twice.
"""


_CLEARED = ("beyond_one_machine.ipynb", "engines.ipynb", "looking_inside.ipynb", "profiling.ipynb")
"""Notebooks that use stashes only when they have emptied them: nothing of a first run would come back in a second one."""


def main() -> int:
    """All notebooks; what those say that fail."""
    chosen: list[tuple[Path, Path | None]] = [(notebook, None) for notebook in notebooks()]
    if _COLAB.exists():
        chosen += [(notebook, _COLAB) for notebook in notebooks() if notebook.name in _FOR_COLAB]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        failures = sum(pool.map(_check, *zip(*chosen, strict=True)))
    return 1 if failures else 0


def _check(notebook: Path, python: Path | None = None) -> int:
    """Both passes, the second on what the first one stored; returns whether one has failed.

    The kernels are those of *python*, if it is given.
    """
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--nbval-lax" if notebook.name in _SMALLER else "--nbval"),
        *(str(notebook), "--nbval-cell-timeout", "600"),
        *("--sanitize-with", "tests/nbval_sanitize.cfg", "-p", "no:cacheprovider", "-p", "no:timeout"),
        *("-o", "filterwarnings=", "-o", "addopts=", "-o", "timeout=", "-W", "ignore"),
    ]
    where = "" if python is None else " with Colab's versions"
    with TemporaryDirectory(prefix="hashstash-run-") as folder:
        figures = {"HASHSTASH_FIGURES": str(Path(folder, "figures"))}  # those in the repository are drawn on request
        smaller = _SMALLER.get(notebook.name, {})
        environment = {**os.environ, **private_environment(folder), **figures, **smaller}
        if python is not None:
            environment["JUPYTER_PATH"] = _kernel_of(python, folder)
            command += ["--nbval-kernel-name", _COLABS]
        titles = ("from an empty cache", "from what the first pass stored")
        for title in titles[:1] if notebook.name in (*_SMALLER, *_CLEARED) else titles:
            done = subprocess.run(command, cwd=ROOT, check=False, env=environment, capture_output=True, text=True)
            last = (done.stdout.strip().splitlines() or ["nothing was said"])[-1]
            print(f"{notebook.name} through nbval{where}, {title}: {last}", flush=True)
            if done.returncode:
                print(done.stdout, done.stderr, sep="\n", flush=True)
                return 1
    return 0


def _kernel_of(python: Path, folder: str) -> str:
    """A folder below *folder* in which Jupyter finds a kernel of that interpreter, named as Colab's."""
    place = Path(folder, "jupyter")
    specification = {"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"}
    kernel = place / "kernels" / _COLABS / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({**specification, "display_name": _COLABS}), encoding="utf-8")
    return str(place)


if __name__ == "__main__":
    raise SystemExit(main())
