import pytest

from hashstash import HashStash


@pytest.fixture(params=["pairtree", "lmdb", "sqlite", "memory"])
def engine(request):
    return request.param


@pytest.fixture(params=["pairtree", "lmdb", "sqlite"])
def shared_engine(request):
    """An engine whose rows other processes see."""
    return request.param


@pytest.fixture
def opened(engine, tmp_path):
    """Open the one stash of this test, with whatever settings."""
    return lambda **options: HashStash(tmp_path / "stash", **{"engine": engine, **options})


@pytest.fixture
def stash(opened):
    return opened()
