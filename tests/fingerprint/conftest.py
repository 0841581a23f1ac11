import importlib
import importlib.util
import itertools
import linecache
import sys
from pathlib import Path

import pytest

from hashstash.fingerprint import Fingerprinter

_cells = itertools.count()


@pytest.fixture(params=["xxh3_128", "sha256"])
def digest(request):
    """The digest of one value, with either buffer hash."""
    if request.param == "xxh3_128":
        pytest.importorskip("xxhash")
    return lambda value, label="value": Fingerprinter(buffer_hash=request.param).digest(value, label)


@pytest.fixture
def run():
    """Run source text as a notebook cell does: its text is known to linecache; returns the namespace."""
    names = []

    def run(text, namespace=None):
        name = f"<cell {next(_cells)}>"
        names.append(name)
        namespace = {"__name__": "__main__"} if namespace is None else namespace
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), namespace)
        return namespace

    yield run
    for name in names:
        linecache.cache.pop(name, None)


@pytest.fixture
def samples():
    path = Path(__file__).with_name("samples.py")
    spec = importlib.util.spec_from_file_location("samples", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["samples"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["samples"]


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """Write a module of the user's and import it; ``user_module.write`` only writes it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def load(name, text):
        write(name, text)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def write(name, text):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return path

    load.write = write
    yield load
    for name in set(sys.modules) - before:  # but not what libraries have imported when they were first used
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
