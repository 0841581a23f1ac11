"""Run the notebooks through nbval, twice on one cache: their outputs are true for a first run and for a restored one."""

from __future__ import annotations

import subprocess
import sys

from run_notebook import ROOT, notebooks, own_cache


def main() -> int:
    """Both passes; stops at the first that fails."""
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--nbval", *map(str, notebooks()), "--nbval-cell-timeout", "600"),
        *("--sanitize-with", "tests/nbval_sanitize.cfg", "-p", "no:cacheprovider", "-p", "no:timeout"),
        *("-o", "filterwarnings=", "-o", "addopts=", "-o", "timeout=", "-W", "ignore"),
    ]
    with own_cache():
        for title in ("from an empty cache", "from what the first pass stored"):
            print(f"README.ipynb and notebooks/ through nbval, {title}", flush=True)
            code = subprocess.run(command, cwd=ROOT, check=False).returncode
            if code:
                return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
