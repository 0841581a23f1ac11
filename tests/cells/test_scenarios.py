"""The scenarios, in real kernels: this interpreter's, and those of the Colab set if its environment is there.

All kernels that the chosen tests need are run two at a time, ahead of the tests that look at them.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import util
from pathlib import Path

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

HERE = Path(__file__).parent
_spec = util.spec_from_file_location("cell_driver", HERE / "driver.py")
driver = util.module_from_spec(_spec)
sys.modules["cell_driver"] = driver
_spec.loader.exec_module(driver)

SCENARIOS = {
    scenario["id"]: scenario
    for name in ("samples", "own")
    for scenario in driver.load(HERE / "scenarios" / f"{name}.json")
}
COLAB = Path(os.environ.get("HASHSTASH_COLAB_PYTHON", HERE.parents[1] / ".venv-colab" / "bin" / "python"))
PYTHONS = {"here": Path(sys.executable), "colab": COLAB}
JOBS = 2

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def ipython_versions():
    return {name: driver.ipython_version(python) for name, python in PYTHONS.items() if python.exists()}


@pytest.fixture(scope="session")
def results(request, ipython_versions):
    """The problems of each chosen scenario, by interpreter and id, as futures."""
    chosen = [
        item.callspec.params for item in request.session.items if getattr(item, "originalname", "") == "test_scenario"
    ]
    with ThreadPoolExecutor(JOBS) as pool:
        futures: dict[tuple[str, str], Future] = {}
        for parameters in chosen:
            where, scenario = parameters["where"], SCENARIOS[parameters["scenario_id"]]
            if where in ipython_versions and not driver.reason_to_skip(scenario, ipython_versions[where]):
                futures[where, scenario["id"]] = pool.submit(driver.run, scenario, str(PYTHONS[where]))
        yield futures
        pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario_id", SCENARIOS)
@pytest.mark.parametrize("where", PYTHONS)
def test_scenario(where, scenario_id, results, ipython_versions):
    if where not in ipython_versions:
        pytest.skip(
            f"no interpreter of the {where} set at {PYTHONS[where].name}; make it, or set HASHSTASH_COLAB_PYTHON"
        )
    reason = driver.reason_to_skip(SCENARIOS[scenario_id], ipython_versions[where])
    if reason:
        pytest.skip(reason)
    problems = results[where, scenario_id].result()
    assert not problems, "\n".join([SCENARIOS[scenario_id]["why"], *problems])


def test_every_scenario_says_why():
    assert [scenario["id"] for scenario in SCENARIOS.values() if not scenario.get("why")] == []
