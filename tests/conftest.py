import itertools
import os
from importlib.util import find_spec

import pytest

from hashstash import trust

_numbers = itertools.count()
_PACKAGES = {
    "lmdb": ["lmdb"],
    "lz4": ["lz4"],
    "blosc": ["blosc2", "blosc"],
    "zstd": ["zstandard", "compression"],
    "jsonpickle": ["jsonpickle"],
}
_NOT_INSTALLED = {name for name, packages in _PACKAGES.items() if not any(map(find_spec, packages))}


def pytest_runtest_setup(item):
    """Tests that are repeated for each engine or compressor leave out those whose package is missing."""
    params = item.callspec.params.values() if hasattr(item, "callspec") else ()
    missing = _NOT_INSTALLED.intersection(value for value in params if isinstance(value, str))
    if missing:
        pytest.skip(f"the package for {missing.pop()} is not installed")


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def private_home(homes, monkeypatch):
    """Caches, keys and settings of every test lie in a folder of its own, which is made at need; returns that folder."""
    home = homes / str(next(_numbers))
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
