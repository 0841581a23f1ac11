"""run_tests.py NAME [pytest's arguments]: the tests, side by side; the few that fail so are run once more, alone.

Many tests start kernels, servers and processes that they kill, and wait for them; on a machine with two processors that does
much else at once one of them may wait in vain. What fails alone too has failed, and so has everything if many tests fail. What
was needed twice is printed at the end, since a test that is not steady wants mending.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys

FAILED = 1
"""What pytest returns if tests have failed, and nothing else went wrong."""
MOST = 5
WORKERS = ["-n", os.environ.get("WORKERS", "auto"), "--dist", "loadfile"]


COMPILED = ("hashstash", "benchmarks", "tests/torture", "tests/cells")
"""What the processes that tests start import, by the hundred."""


def main(name: str, chosen: list[str]) -> int:
    compile_for({sys.executable, *glob.glob(".venv*/bin/python")})
    folder = os.path.join(".pytest_cache", name)
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={folder}", *chosen]
    code = subprocess.run([*command, *WORKERS], check=False).returncode
    failed = failed_tests(folder) if code == FAILED else []
    if not 0 < len(failed) <= MOST:
        return code
    again = subprocess.run([*command, "--last-failed"], check=False).returncode
    if again == 0:
        print(f"\nNOT STEADY ({name}): failed beside other tests, and passed alone:")
        print("".join(f"    {test}\n" for test in failed))
    return again


def compile_for(pythons: set[str]) -> None:
    """Compile for these interpreters: where Python is asked to keep no bytecode, each process would compile all it imports."""
    for python in pythons:
        subprocess.run([python, "-m", "compileall", "-qq", *COMPILED], check=False)


def failed_tests(folder: str) -> list[str]:
    """What the last run has noted as failed."""
    try:
        with open(os.path.join(folder, "v", "cache", "lastfailed"), encoding="utf-8") as file:
            return list(json.load(file))
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
