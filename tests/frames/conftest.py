import pytest

from hashstash import HashStash


@pytest.fixture
def opened(tmp_path):
    """Open the stash of this test, with whatever settings."""
    return lambda **options: HashStash(tmp_path / "stash", **{"engine": "memory", **options})


@pytest.fixture
def stash(opened):
    return opened()
