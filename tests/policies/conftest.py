import json

import pytest

from hashstash.engine import Capability
from hashstash.testing.engine.base import run_together

ENGINES = ["lmdb", "pairtree", "memory", "redis"]


@pytest.fixture(params=ENGINES)
def opened(request, open_on):
    """Open the one stash of this test on each engine, with whatever settings."""
    stashes = []

    def open_it(**options):
        stashes.append(open_on(request.param, **options))
        return stashes[-1]

    yield open_it
    if stashes:
        stashes[0].clear()


@pytest.fixture
def in_processes():
    """Let four processes run code on a stash at the same moment; each has its own ``who``, and ``stash``."""

    def run(stash, code, number=4):
        if Capability.CROSS_PROCESS not in stash.store.engine.capabilities:
            pytest.skip("other processes do not see the rows")
        settings = json.dumps(stash.to_dict())
        source = f"import json\nfrom hashstash import HashStash\nstash = HashStash.from_dict(json.loads({settings!r}))"
        return run_together(source, f"who = int(sys.argv[1])\n{code}", number)

    return run
