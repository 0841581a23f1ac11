"""The table of what engines promise: as rows, as Markdown, and at the end of a test run."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from hashstash import testing
from hashstash.engine import Capability
from hashstash.engines.memory import MemoryEngine
from hashstash.errors import MissingDependency
from hashstash.registry import ENGINES
from hashstash.testing.capabilities import PROMISES

HERE = os.path.dirname(os.path.abspath(__file__))
SUITE = """
import time
import pytest
from hashstash.engine import Capability
from hashstash.engines.memory import MemoryEngine
from hashstash.testing.engine import EngineContract

class Lying(MemoryEngine):
    name = "lying"
    capabilities = Capability.SWAP | Capability.PREFIX_SCAN
    def swap(self, address, expected, blob):
        self.put(address, blob)
        return True
    def scan(self, prefix=b""):
        time.sleep(0.3 if prefix else 0)  # as if it looked at a million rows
        return super().scan(prefix)

class TestHonest(EngineContract):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: MemoryEngine(str(tmp_path))
    def raw_get(self, engine, address):
        return engine._rows.get(address)

class TestLying(TestHonest):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: Lying(str(tmp_path))
"""


def test_every_engine_has_a_row():
    rows = [row for row in testing.capabilities() if not row.is_wrapper]
    assert [row.name for row in rows] == ENGINES.names()


def test_a_row_says_what_the_engine_declares():
    (row,) = [row for row in testing.capabilities() if row.name == "memory"]
    assert (row.title, row.capabilities, row.missing) == ("Memory", MemoryEngine.capabilities, "")


def test_wrappers_say_what_they_take_away():
    rows = {row.name: row.capabilities for row in testing.capabilities() if row.is_wrapper}
    everything = Capability(sum(capability.value for capability in Capability))
    assert rows["prefix"] == rows["front_cache"] == rows["retry"] == rows["counters"] == everything
    assert everything & ~rows["read_only"] == Capability.SWAP | Capability.SHARED_WRITERS
    assert everything & ~rows["front_cache with max_age"] == Capability.CROSS_PROCESS | Capability.SHARED_WRITERS


def test_every_capability_has_a_column():
    assert set(PROMISES) == set(Capability)


def test_the_table_is_markdown_with_a_line_per_row():
    lines = testing.capability_table().splitlines()
    assert len(lines) == 2 + len(testing.capabilities())
    assert {line.count("|") for line in lines} == {len(PROMISES) + 2}
    (pairtree,) = [line for line in lines if "`pairtree`" in line]
    assert pairtree.split(" | ")[1:3] == ["yes", "yes"]


def test_an_engine_whose_package_is_missing_is_in_the_table_with_its_pip_line(monkeypatch):
    def load(name):
        if name == "lmdb":
            raise MissingDependency("the lmdb engine needs the package 'lmdb': pip install 'hashstash[lmdb]'")
        return MemoryEngine

    monkeypatch.setattr(ENGINES, "load", load)
    (line,) = [line for line in testing.capability_table().splitlines() if "`lmdb`" in line]
    assert "pip install 'hashstash[lmdb]'" in line


def run_pytest(folder, *options):
    """A run on *folder* with our plug-in, and without those that happen to be installed: they take seconds to import."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "hashstash.testing.report", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *options, "--rootdir", str(folder), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_test_run_ends_with_the_table(tmp_path, workers):
    """It says what was kept, what was broken, and which engines were not tested."""
    if workers and find_spec("xdist") is None:
        pytest.skip("pytest-xdist is not installed")
    (tmp_path / "test_suite.py").write_text(SUITE)
    parallel = ["-p", "xdist", "-n", str(workers)] if workers else []
    done = run_pytest(tmp_path, *parallel, "-k", "swap_only or costs_what")
    table = done.stdout[done.stdout.index("what engines promise") :].splitlines()
    cells = {line.split("  ")[0]: [cell.strip() for cell in line.split("  ") if cell] for line in table}
    assert cells["memory"][1:6] == ["-", "yes", "-", "-", "-"]
    assert cells["lying"][1:4] == ["-", "FAILED", "FAILED"]
    assert "pairtree  not tested: its tests were not selected" in [
        line.replace("    ", "  ").replace("   ", "  ") for line in table
    ]


def test_a_run_without_engines_has_no_table(tmp_path):
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass")
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "what engines promise" not in done.stdout
