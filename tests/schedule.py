"""Which tests a worker of pytest-xdist gets together, and in which order: what takes longest begins first.

A unit is a file, so that what its tests share is made once; the files of contracts are divided by class, as nothing is shared
there, and those of the browser stay together. Without this a worker would idle for a minute at the end, while the other one
begins the longest file.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

DIVIDED = ("tests/wrappers/test_contract.py", "tests/engines/test_memory.py", "tests/engines/test_shelve.py")
UNITED = ("tests/browser/",)
"""Folders whose files share something that takes long to start."""
COSTS = {"slow": 100, "browser": 300, "server": 30}
"""How many ordinary tests a marked one is worth, roughly; servers are waited for."""
COSTS_OF_FILES = {
    "tests/zoo/": 30,
    "tests/portable/": 50,
    "tests/fuzz/": 60,
    "tests/serializers/test_graph_processes.py": 20,
    "tests/serializers/test_graph_bounds.py": 30,
    "tests/stash/test_append.py": 5,
    "tests/engines/": 5,
    "tests/wrappers/test_contract.py": 5,
    "tests/test_leases.py": 50,
}
"""The same for a test of theirs: they start processes, or work for long."""


def unit_of(nodeid: str) -> str:
    """The unit that the test belongs to."""
    file, _, rest = nodeid.partition("::")
    for folder in UNITED:
        if file.startswith(folder):
            return folder
    return f"{file}::{rest.partition('::')[0]}" if file.endswith(DIVIDED) else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by the cost of the units; every worker comes to the same order."""
    costs: Counter[str] = Counter()
    units = {}
    for item in items:
        nodeid = item.nodeid  # made anew each time
        units[id(item)] = unit = unit_of(nodeid)
        costs[unit] += max(_costs(item, nodeid))
    items.sort(key=lambda item: -costs[units[id(item)]])


def _costs(item: pytest.Item, nodeid: str) -> Iterator[int]:
    yield 1
    yield from (COSTS.get(mark.name, 1) for mark in item.iter_markers())
    yield from (cost for start, cost in COSTS_OF_FILES.items() if nodeid.startswith(start))


def number_of_workers() -> int | None:
    """One more than there are processors: servers, kernels and other processes are waited for; ``None``: as it is wished."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """The scheduler for ``--dist loadfile``; the others are left alone."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class UnitScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    config.option.loadscopereorder = False  # they are in order already
    return UnitScheduling(config, log)
