"""The scenarios, in real kernels: this interpreter's, and those of the Colab set if its environment is there.

One driver process per interpreter runs all chosen scenarios, two kernels at a time, ahead of the tests that look at them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

import driver  # noqa: E402

HERE = Path(__file__).parent

SCENARIOS = {
    scenario["id"]: scenario
    for name in ("samples", "own", "asked", "settings", "probed", "auto")
    for scenario in driver.load(HERE / "scenarios" / f"{name}.json")
}
PYTHONS = driver.PYTHONS

EVERYTHING = bool(os.environ.get("HASHSTASH_ALL_SCENARIOS"))
SAMPLES = {scenario["id"] for scenario in driver.load(HERE / "scenarios" / "samples.json")}

pytestmark = pytest.mark.slow


def is_wanted(where: str, scenario: dict) -> bool:
    """Of our own, the second interpreter runs the hard ones, unless everything is asked for: each takes a kernel or two."""
    return EVERYTHING or where == "here" or scenario["id"] in SAMPLES or scenario["level"] == "hard"


class Results:
    """The problems of each scenario on one interpreter, as a driver process tells them."""

    def __init__(self, python: Path, scenarios: list[dict], folder: Path) -> None:
        chosen = folder / "chosen.json"
        chosen.write_text(json.dumps({"scenarios": scenarios}), encoding="utf-8")
        command = [sys.executable, str(HERE / "driver.py"), str(chosen), "--json", "--python", str(python)]
        command += ["--fresh"] if EVERYTHING else []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self.lines: Iterator[str] = iter(self.process.stdout)
        self.found: dict[str, list[str]] = {}
        self.where = self.version = ""

    def __getitem__(self, scenario_id: str) -> list[str]:
        while scenario_id not in self.found:
            name, problems = json.loads(next(self.lines, '["", []]'))
            assert name, f"the driver ended with {self.process.wait()} before it told about {scenario_id}"
            self.found[name] = problems
        return self.found[scenario_id]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def versions():
    return {name: driver.ipython_version(python) for name, python in PYTHONS.items() if python.exists()}


@pytest.fixture(scope="session", params=PYTHONS)
def results(request, versions, tmp_path_factory):
    """The results of the chosen scenarios on one interpreter; ``None`` if it is not there."""
    where = request.param
    if where not in versions:
        yield None
        return
    tests = [
        item.callspec.params for item in request.session.items if getattr(item, "originalname", "") == "test_scenario"
    ]
    chosen = [SCENARIOS[parameters["scenario_id"]] for parameters in tests if parameters["results"] == where]
    chosen = [scenario for scenario in chosen if is_wanted(where, scenario)]
    results = Results(PYTHONS[where], chosen, tmp_path_factory.mktemp("scenarios"))
    results.where, results.version = where, versions[where]
    yield results
    results.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario_id", SCENARIOS)
def test_scenario(results, scenario_id):
    if results is None:
        pytest.skip("no environment .venv-colab; make it, or set HASHSTASH_COLAB_PYTHON")
    if not is_wanted(results.where, SCENARIOS[scenario_id]):
        pytest.skip("runs on the other interpreter; with HASHSTASH_ALL_SCENARIOS=1 on both")
    reason = driver.reason_to_skip(SCENARIOS[scenario_id], results.version)
    if reason:
        pytest.skip(reason)
    problems = results[scenario_id]
    assert not problems, "\n".join([SCENARIOS[scenario_id]["why"], *problems])


def test_every_scenario_says_why():
    assert [scenario["id"] for scenario in SCENARIOS.values() if not scenario.get("why")] == []
