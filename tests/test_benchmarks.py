"""The benchmarks run and print their table; what they measure is not tested, since times are no promise of a machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("lmdb")
pytest.importorskip("pandas")

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPERATIONS = ["get", "miss", "set again", "set new"]


@pytest.fixture(scope="module")
def table():
    arguments = ["--quick", "--rounds", "1", "--only", "W1", "--systems", "raw lmdb", "hashstash"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_quick_run_prints_a_row_with_times_ratio_and_verdict(table, operation):
    (row,) = [line for line in table.splitlines() if line.startswith(f"W1   small dict, str key: {operation} ")]
    assert " us" in row or " ns" in row or " ms" in row
    assert "x" in row
    assert "reached" in row or "MISSED" in row


@pytest.mark.slow
def test_summary_names_exactly_the_missed_operations(table):
    missed = {
        line.removeprefix("W1   small dict, str key: ").partition("  ")[0]
        for line in table.splitlines()
        if "MISSED" in line
    }
    (summary,) = [line for line in table.splitlines() if line.startswith("targets missed: ")]
    named = summary.removeprefix("targets missed: ").replace("W1 ", "").split(", ")
    assert set(named) == (missed or {"none"})


@pytest.mark.slow
def test_unknown_workload_is_refused_with_the_known_ones():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "W99"], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "W1" in done.stderr
