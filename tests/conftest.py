import functools
import gc
import importlib.util
import itertools
import multiprocessing.util
import os
import sys
from importlib.util import find_spec

import pytest

from hashstash import HashStash, trust
from hashstash.engine import Capability
from hashstash.errors import MissingDependency
from hashstash.registry import ENGINES

pytest.register_assert_rewrite("hashstash.testing")
pytest_plugins = ["hashstash.testing.report"]


def _neighbour(name):
    spec = importlib.util.spec_from_file_location(name, os.path.join(os.path.dirname(__file__), f"{name}.py"))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sys.path.append(os.path.join(os.path.dirname(__file__), "cells"))  # driver.py, for tests with kernels of their own
servers, schedule, skips, together = map(_neighbour, ("servers", "schedule", "skips", "together"))

_numbers = itertools.count()
_PACKAGES = {
    "lmdb": ["lmdb"],
    "lz4": ["lz4"],
    "blosc": ["blosc2", "blosc"],
    "zstd": ["zstandard", "compression"],
    "jsonpickle": ["jsonpickle"],
}
_NOT_INSTALLED = {name for name, packages in _PACKAGES.items() if not any(map(find_spec, packages))}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    return schedule.number_of_workers()  # asked before plug-ins are configured


_WRITES_NO_BYTECODE = sys.dont_write_bytecode
gc.disable()  # until all is collected


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep what pytest makes of the assertions, also where no bytecode is wished: it takes as long as all else together."""
    sys.dont_write_bytecode = False
    try:
        return (yield)
    finally:
        sys.dont_write_bytecode = _WRITES_NO_BYTECODE
        gc.enable()


def pytest_configure(config):
    for plugin in (servers, schedule, skips):
        config.pluginmanager.register(plugin, f"hashstash {plugin.__name__}")


FEW_ENGINES = frozenset({"pairtree", "lmdb", "sqlite", "redis"})
"""One of each kind: files, a mapping of memory, SQL, a server."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What has the mark ``few_engines`` or ``engines`` is heavy on the other engines."""
    for item in items:
        mark = item.get_closest_marker("engines") or item.get_closest_marker("few_engines")
        if mark is not None and hasattr(item, "callspec"):
            engines = [value for value in item.callspec.params.values() if isinstance(value, str) and value in _ENGINES]
            if not (frozenset(mark.args) or FEW_ENGINES).issuperset(engines):
                item.add_marker(pytest.mark.heavy)


def pytest_collection_finish():
    """What has been collected stays until the end: without this each full collection walks through tens of thousands of tests."""
    gc.freeze()
    gc.set_threshold(5000, 10, 10)


def pytest_sessionfinish():
    """Workers of pytest-xdist may end without the finalizers of multiprocessing, which end its processes and remove its folder."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        multiprocessing.util._run_finalizers()


def pytest_report_header():
    return servers.described()


def pytest_runtest_setup(item):
    """Tests that are repeated for each engine or compressor leave out those whose package is missing."""
    params = item.callspec.params.values() if hasattr(item, "callspec") else ()
    for value in params:
        if isinstance(value, str) and _is_missing(value):
            pytest.skip(f"the package for {value} is not installed")


_ENGINES = frozenset(ENGINES.names())


@functools.cache
def _is_missing(name):
    if name in _ENGINES:
        try:
            ENGINES.load(name)
        except MissingDependency:
            return True
    return name in _NOT_INSTALLED


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(scope="session")
def bytecode():
    """An environment for processes of other Pythons, which compile what nobody has compiled for them, and keep it for the next."""
    return {"PYTHONDONTWRITEBYTECODE": ""}


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


EVERY_ENGINE = [name for name in ENGINES.names() if name != "null"]  # which stores nothing


@pytest.fixture
def freed_memory(tmp_path):
    """Afterwards the memory that ultradict has taken for folders of this test is free; else only a restart would free it."""
    yield
    for file in tmp_path.rglob("rows.memory"):
        ENGINES.load("ultradict")(str(file.parent)).clear()


@pytest.fixture(scope="session", autouse=True)
def no_memory_is_left(tmp_path_factory):
    """At the end the memory of all folders of this session is free, whichever test has forgotten about it."""
    yield
    ultradict = sys.modules.get("hashstash.engines.ultradict")
    if ultradict is not None:
        below = os.path.join(os.path.realpath(tmp_path_factory.getbasetemp()), "")
        for name in ultradict.abandoned(
            lambda folder: None if folder.startswith(below) else ultradict.memory_in(folder)
        ):
            ultradict.unlink_all(name)


@pytest.fixture
def open_on(request, tmp_path):
    """A callable that opens the stash of this test on the engine of a name, with whatever settings; skips where none is."""
    opened = []

    def open_it(engine, **options):
        place, settings = _place_of(engine, request, tmp_path)
        if engine == "ultradict":
            request.getfixturevalue("freed_memory")
        opened.append(HashStash(place, **{**settings, **options}))
        return opened[-1]

    yield open_it
    for stash in opened:
        stash.close()


def _place_of(engine, request, tmp_path):
    """Where a test opens a stash on *engine*: on a server that the tests have started, or in a folder of its own."""
    try:
        kind = ENGINES.load(engine)
    except MissingDependency as error:
        pytest.skip(str(error))
    if Capability.REMOTE in kind.capabilities:
        return request.getfixturevalue(f"{engine}_url"), {}
    return tmp_path / "stash", {"engine": engine}


@pytest.fixture(params=EVERY_ENGINE)
def every_engine(request):
    """The name of each engine in turn, installed or not."""
    return request.param
