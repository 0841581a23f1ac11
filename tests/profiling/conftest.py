import pytest

from hashstash import HashStash, trust


@pytest.fixture
def stash(tmp_path):
    """A stash with an entry of the user's."""
    stash = HashStash(tmp_path / "mine" / "stash", engine="sqlite", compress="zlib")
    stash["mine"] = {"kept": [1, 2, 3]}
    yield stash
    stash.close()


@pytest.fixture(scope="module")
def module_home(tmp_path_factory):
    """A signing key for what is made once for a module, before any test has a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
    trust._keyrings.clear()


@pytest.fixture(scope="module")
def profile(module_home, tmp_path_factory):
    """A small grid: three engines, two serializers, two compressors with text or without, two sizes, two rounds."""
    stash = HashStash(tmp_path_factory.mktemp("profile") / "stash", engine="memory", compress="zlib")
    return stash.profile(
        engine=["memory", "pairtree", "sqlite"],
        serializer=["hashstash", "pickle"],
        compress=["raw", "zlib"],
        b64=[False, True],
        size=[200, "5 KB"],
        iterations=2,
        progress=False,
    )
