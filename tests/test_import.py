import os
import subprocess
import sys

import pytest

from hashstash.registry import COMPRESSORS, ENGINES, SERIALIZERS

HEAVY = [
    "inspect",
    "asyncio",
    "json",
    "logging",
    "dataclasses",
    "typing_extensions",
    "tempfile",
    "shutil",
    "socket",
    "multiprocessing",
]
OPTIONAL = [
    "numpy",
    "pandas",
    "lmdb",
    "lz4",
    "msgpack",
    "msgspec",
    "xxhash",
    "pyarrow",
    "IPython",
    "ipywidgets",
    "tqdm",
    "cloudpickle",
]


def loaded(code, *flags):
    """The modules that *code* loads in a fresh interpreter, beyond those that a bare one has."""
    report = f"import sys; before = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    command = [sys.executable, *flags, "-c", report]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def top(modules):
    """The packages that *modules* belong to; what the build of this Python adds for itself is left out."""
    return {name.partition(".")[0] for name in modules if not name.startswith("_sysconfigdata")}


@pytest.fixture(scope="module")
def by_import():
    return loaded("import hashstash")


def test_importing_loads_only_the_standard_library(by_import):
    assert top(by_import) - set(sys.stdlib_module_names) == {"hashstash"}


def test_importing_loads_one_module_of_ours(by_import):
    assert {name for name in by_import if name.startswith("hashstash")} == {"hashstash"}


@pytest.mark.parametrize("name", HEAVY)
def test_importing_loads_nothing_heavy(by_import, name):
    assert name not in by_import


def test_all_that_importing_loads(by_import):
    """What ``typing`` needs, and nothing else."""
    assert by_import - loaded("import typing, __future__") == {"hashstash"}


@pytest.mark.parametrize("name", OPTIONAL)
def test_the_facade_loads_no_optional_package_before_it_is_used(name):
    assert name not in top(loaded("from hashstash import HashStash"))


def test_the_facade_loads_no_engine_and_no_compressor():
    modules = loaded("from hashstash import HashStash")
    names = {
        f"hashstash.{kind}.{name}"
        for kind, registry in (("engines", ENGINES), ("compressors", COMPRESSORS))
        for name in registry.names()
    }
    assert not modules & (names | {f"hashstash.serializers.{name}" for name in SERIALIZERS.names()})


def test_importing_changes_no_logging_and_no_warnings():
    code = (
        "import logging, warnings; filters = list(warnings.filters); import hashstash; from hashstash import HashStash;"
        " assert warnings.filters == filters; assert not logging.root.handlers; assert logging.root.level == logging.WARNING;"
        " assert not logging.getLogger('hashstash').handlers"
    )
    loaded(code)


def test_everything_is_usable_without_any_optional_package(tmp_path):
    """Site packages are hidden: pairtree, our own MessagePack and zlib do the work."""
    code = f"""
sys.path.insert(0, {os.path.dirname(os.path.dirname(__import__("hashstash").__file__))!r})
from hashstash import HashStash
stash = HashStash({str(tmp_path)!r})
assert (stash.engine, stash.serializer, stash.compress) == ('pairtree', 'hashstash', 'zlib'), stash
value = {{'a': [1, (2, None)], 'text': 'x' * 10_000, 'large': list(range(50_000))}}
stash[('k', 1)] = value
stash[len] = {{1, 2}}
assert stash[('k', 1)] == value and stash[len] == {{1, 2}} and len(stash) == 2
"""
    assert top(loaded(code, "-S", "-E")) - set(sys.stdlib_module_names) == {"hashstash"}
