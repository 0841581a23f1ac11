"""The benchmark of cells runs and prints what it should, and finds out who serves stale results or computes too often."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

for needed in ("jupyter_client", "ipykernel", "lmdb", "pandas", "xxhash"):
    pytest.importorskip(needed)

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(PROJECT)  # for whoever calls pytest itself; "python -m pytest" has it there already

from benchmarks import cells  # noqa: E402
from benchmarks.cell_systems import SMALL, SYSTEMS, CellSystem, Ours, Work  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.once]


@pytest.fixture(scope="module")
def table():
    command = ["benchmarks.cells", "--quick", "--rounds", "1", "--only", "C1", "--systems", "hashstash", "plain cell"]
    done = subprocess.run([sys.executable, "-m", *command], cwd=PROJECT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.heavy  # half a minute in kernels, which sees nothing but the benchmark itself
@pytest.mark.parametrize(("operation", "systems"), [("miss ", 3), ("hit ", 2), ("hit, all is there ", 2)])
def test_each_operation_has_a_time_of_each_system_that_can_do_it(table, operation, systems):
    (row,) = [line for line in table if line.startswith(f"C1   small cell: {operation}")]
    assert row.count("±") == systems


@pytest.mark.heavy  # half a minute in kernels, which sees nothing but the benchmark itself
@pytest.mark.parametrize(("operation", "limit"), [("miss", "10 ms"), ("hit", "5 ms"), ("hit, all is there", "5 ms")])
def test_what_ours_adds_is_judged(table, operation, limit):
    (verdict,) = [line for line in table if line.startswith(f"C1 {operation}: ")]
    assert f", <= {limit} " in verdict
    (summary,) = [line for line in table if line.startswith("targets missed: ")]
    named = summary.removeprefix("targets missed: ").split("C1 ")
    assert (operation in [name.rstrip(", ") for name in named]) == verdict.endswith("MISSED")


class Stale(CellSystem):
    """Computes once."""

    name = "stale"
    restores = False

    def cell(self, work: Work) -> str:
        return f"if 'means' not in globals():\n    {work.body.replace(chr(10), chr(10) + '    ')}"


class Careless(CellSystem):
    """Computes each time."""

    name = "careless"

    def cell(self, work: Work) -> str:
        return work.body


class Broken(CellSystem):
    """Cannot do anything."""

    name = "broken"

    def setup(self, work: Work) -> str:
        return "1 / 0"


@pytest.mark.heavy  # half a minute in kernels, which sees nothing but the benchmark itself
def test_who_cheats_is_named_instead_of_timed(tmp_path):
    measured = cells._Measured(SMALL, [SYSTEMS["by hand"], Ours(), Stale(), Careless(), Broken()], str(tmp_path))
    measured.measure(1)
    assert measured.excuses == [
        "C1, stale: miss: a stale result: its inputs had changed, and the body ran 0 times",
        "C1, careless: hit: the body ran 1 times",
        "C1, broken: cannot be set up: ZeroDivisionError: division by zero",
    ]
    assert all(set(row.rounds) == {"by hand", "hashstash"} for row in measured.rows.values())


def test_a_package_that_is_missing_is_named(monkeypatch, capsys):
    monkeypatch.setattr(cells, "find_spec", lambda name: None if name == "xxhash" else True)
    assert cells.main([]) == 1
    assert "needs xxhash" in capsys.readouterr().err
