"""run_tests.py NAME [pytest's arguments]: the tests, side by side; the few that fail so are run once more, alone.

Many tests start kernels, servers and processes that they kill, and wait for them; on a machine with two processors that does
much else at once one of them may wait in vain. What fails alone too has failed, and so has everything if many tests fail. What
was needed twice is printed at the end, since a test that is not steady wants mending.

The tests' folders lie in memory where there is room: they write a hundred thousand small files, for which a disk takes three
times the processor time, and nothing that they look at outlives the machine. With ``ON_DISK`` set, as `make test-bare` and
`make test-all` set it, they lie where temporary files do.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

FAILED = 1
"""What pytest returns if tests have failed, and nothing else went wrong."""
MOST = 5
WORKERS = ["-n", os.environ.get("WORKERS", "auto"), "--dist", "loadfile"]


COMPILED = ("hashstash", "benchmarks", "tests/torture", "tests/cells")
"""What the processes that tests start import, by the hundred."""
MEMORY = "/dev/shm"
ROOM = 6 << 30
"""Bytes that have to be free there, and in memory at all: the tests need a part of it, side by side."""


def main(name: str, chosen: list[str]) -> int:
    compile_for({sys.executable, *glob.glob(".venv*/bin/python")})
    folder = os.path.join(".pytest_cache", name)
    shutil.rmtree(folder, ignore_errors=True)
    with folder_in_memory() as place:
        return run(name, [sys.executable, "-m", "pytest", "-o", f"cache_dir={folder}", *place, *chosen], folder)


def run(name: str, command: list[str], folder: str) -> int:
    """Run *command*, and once more what has failed by the notes in *folder*; the code to end with."""
    code = subprocess.run([*command, *WORKERS], check=False).returncode
    failed = failed_tests(folder) if code == FAILED else []
    if not 0 < len(failed) <= MOST:
        return code
    again = subprocess.run([*command, "--last-failed"], check=False).returncode
    if again == 0:
        print(f"\nNOT STEADY ({name}): failed beside other tests, and passed alone:")
        print("".join(f"    {test}\n" for test in failed))
    return again


@contextlib.contextmanager
def folder_in_memory() -> Iterator[list[str]]:
    """The option for pytest by which the tests' folders lie in memory, until the end; none where there is little of it."""
    if os.environ.get("ON_DISK") or not is_roomy():
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="tests-of-hashstash-", dir=MEMORY, ignore_cleanup_errors=True) as place:
        yield ["--basetemp", os.path.join(place, "tests")]


def is_roomy() -> bool:
    """Whether there is a file system in memory with enough room, and as much memory that nobody uses."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:"))
        return min(free, shutil.disk_usage(MEMORY).free) >= ROOM
    except (OSError, StopIteration):
        return False  # another system


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
