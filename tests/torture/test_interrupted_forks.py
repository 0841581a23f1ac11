"""An interrupt at any step of what is done before and after a fork leaves no lock held, neither here nor in the child."""

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the system tells of no end of a process in time"),
]
MODULES = {
    "pairtree": "hashstash.locks",
    "sqlite": "hashstash.engines._sqlite_connections",
    "shelve": "hashstash.engines._embedded",
    "lmdb": "hashstash.engines._lmdb_shared",
}


@pytest.mark.parametrize("engine", MODULES)
def test_no_interrupt_of_a_fork_leaves_an_engine_shut(engine, tmp_path):
    if engine == "lmdb":
        pytest.importorskip("lmdb")
    tests = os.path.dirname(os.path.dirname(__file__))
    words = [sys.executable, "-m", "torture.interrupted_forks", MODULES[engine], engine, str(tmp_path / "stash")]
    done = subprocess.run(words, cwd=tests, capture_output=True, text=True, timeout=60)
    *wrong, steps = done.stdout.splitlines()
    assert wrong == [], done.stderr
    assert int(steps.split()[0]) > 3
