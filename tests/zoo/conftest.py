"""The zoo's machinery: each file's values are written by one process and read by another, and its tests say what was wrong.

A file has ``CASES``, and may have ``DEFINITIONS``, which are run in ``__main__`` of the writer only, and ``REFUSALS``: what
cannot be stored, and a pattern for the message.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent


class Case(NamedTuple):
    make: str
    """The value, in the names of ``DEFINITIONS``."""
    probe: str
    """What is computed from the value ``v`` in both processes, with equal results."""
    is_code: bool = True
    """Whether reading the value imports or calls something."""
    holds: str = "True"
    """What must be true of the value ``v`` that was read."""
    key: bool | str = True
    """Whether the value finds its entry again as a key and as an argument; else a pattern for the error."""
    outside: int = 0
    """How many bytes at least are kept outside of the document."""


def pytest_generate_tests(metafunc):
    for name, where in (("case", "CASES"), ("refusal", "REFUSALS")):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, sorted(getattr(metafunc.module, where)))


@pytest.fixture(scope="module")
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    settings = {"PYTHONPATH": str(HERE.parent.parent), "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
    settings |= {f"XDG_{kind}_HOME": str(folder / kind) for kind in ("CACHE", "STATE", "CONFIG")}
    sheet = {
        "definitions": getattr(request.module, "DEFINITIONS", ""),
        "cases": {name: Case(*case)._asdict() for name, case in request.module.CASES.items()},
        "refusals": getattr(request.module, "REFUSALS", {}),
    }
    (folder / "cases.json").write_text(json.dumps(sheet))

    def run(action, **others):
        done = subprocess.run(
            [sys.executable, str(HERE / "run.py"), action, str(folder)],
            env={**os.environ, **settings, **others},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="module")
def written(run):
    return run("write", HASHSTASH_KEY="5a" * 32)


@pytest.fixture(scope="module")
def zoo(run, written):
    """What was wrong with each case and each refusal."""
    read = run("read", HASHSTASH_KEY="5a" * 32)
    return {name: wrong + read.get(name, []) for name, wrong in written.items()}
