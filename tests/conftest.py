import os

import pytest

from hashstash import trust


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory, monkeypatch):
    """Caches, keys and settings of every test lie in a folder of its own; returns that folder."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("HASHSTASH_")]:
        monkeypatch.delenv(name)
    for kind in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
    yield home
    trust._keyrings.clear()


@pytest.fixture
def somebody_else(monkeypatch, tmp_path):
    """A context in which entries are written and read by another user, with a signing key of his own."""

    class SomebodyElse:
        def __enter__(self):
            self._patch = pytest.MonkeyPatch()
            self._patch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody else"))

        def __exit__(self, *_):
            self._patch.undo()

    return SomebodyElse()
