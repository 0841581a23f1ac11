"""Run the notebooks through nbval, twice on one cache: their outputs are true for a first run and for a restored one.

Each notebook has a cache of its own, and two run at a time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from run_notebook import ROOT, notebooks, private_environment

_AT_A_TIME = 2


def main() -> int:
    """All notebooks; what those say that fail."""
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        failures = sum(pool.map(_check, notebooks()))
    return 1 if failures else 0


def _check(notebook: Path) -> int:
    """Both passes, the second on what the first one stored; returns whether one has failed."""
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--nbval", str(notebook), "--nbval-cell-timeout", "600"),
        *("--sanitize-with", "tests/nbval_sanitize.cfg", "-p", "no:cacheprovider", "-p", "no:timeout"),
        *("-o", "filterwarnings=", "-o", "addopts=", "-o", "timeout=", "-W", "ignore"),
    ]
    with TemporaryDirectory(prefix="hashstash-run-") as folder:
        environment = {**os.environ, **private_environment(folder)}
        for title in ("from an empty cache", "from what the first pass stored"):
            done = subprocess.run(command, cwd=ROOT, check=False, env=environment, capture_output=True, text=True)
            last = (done.stdout.strip().splitlines() or ["nothing was said"])[-1]
            print(f"{notebook.name} through nbval, {title}: {last}", flush=True)
            if done.returncode:
                print(done.stdout, done.stderr, sep="\n", flush=True)
                return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
