"""Arrays, tables, frames and zones that a stranger changed: only our errors come out, and no compiled code ends the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SHORT, LONG = 1500, 5000


def run(script, *arguments):
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parent.parent),
        "OPENBLAS_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
    }
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-3000:]


@pytest.fixture(params=["pyarrow", "polars", "scipy", "pandas", "dateutil"])
def family(request):
    pytest.importorskip("numpy")
    pytest.importorskip(request.param)
    return request.param


def test_changed_values_raise_our_errors_only(family):
    run("families.py", family, 0, SHORT)


@pytest.mark.slow
@pytest.mark.heavy
def test_many_changed_values_raise_our_errors_only(family):
    run("families.py", family, SHORT, LONG)


def test_values_that_claim_to_be_long_cost_little():
    pytest.importorskip("numpy")
    run("greedy.py")
