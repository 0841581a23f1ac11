import inspect
import subprocess
import sys

import pytest

import hashstash
from hashstash import HashStash

NAMES = [
    "Decoder",
    "Deserializer",
    "Encoder",
    "Serializer",
    "HashStash",
    "__version__",
    "decode",
    "deserialize",
    "encode",
    "errors",
    "serialize",
    "stash_mapped",
    "stashed_result",
    "StashMap",
]


def test_star_exports_the_public_names_and_nothing_else():
    namespace = {}
    exec("from hashstash import *", namespace)
    assert sorted(set(namespace) - {"__builtins__"}) == sorted(hashstash.__all__)


def test_the_public_names_are_these():
    assert set(NAMES) <= set(hashstash.__all__)
    assert [name for name in hashstash.__all__ if name.startswith("_")] == ["__version__"]


def test_dir_lists_them():
    assert dir(hashstash) == sorted(hashstash.__all__)


@pytest.mark.parametrize("name", hashstash.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(hashstash, name)
    if name != "__version__":
        assert inspect.getdoc(value).splitlines()[0].endswith((".", '"'))


@pytest.mark.parametrize("name", [name for name, _ in inspect.getmembers(HashStash) if not name.startswith("_")])
def test_every_public_method_is_documented(name):
    own = inspect.getdoc(inspect.getattr_static(HashStash, name)) or inspect.getdoc(getattr(HashStash, name))
    assert own
    assert own.split("\n\n")[0].strip()


@pytest.mark.parametrize("name", [name for name in hashstash.errors.__dict__ if name[0].isupper()])
def test_every_error_is_documented_and_drawn_in_the_tree(name):
    error = getattr(hashstash.errors, name)
    assert issubclass(error, hashstash.errors.StashError)
    assert error.__doc__
    assert name in hashstash.errors.__doc__


@pytest.mark.parametrize(
    "name, builtin",
    [
        *(
            ("MissingDependency", ImportError),
            ("UnknownPlugin", ValueError),
            ("UnsafeName", ValueError),
            ("VolatileKey", TypeError),
        ),
        *(
            ("UnsupportedValue", TypeError),
            ("PolicyError", TypeError),
            ("ReadOnlyStash", TypeError),
            ("StashFull", OSError),
        ),
    ],
)
def test_errors_are_the_builtins_that_a_caller_expects(name, builtin):
    assert issubclass(getattr(hashstash.errors, name), builtin)


@pytest.mark.parametrize("name", ["BadEntry", "CorruptEntry", "TamperedEntry", "UntrustedEntry", "NewerFormat"])
def test_bad_entries_are_never_missing_keys(name):
    assert not issubclass(getattr(hashstash.errors, name), LookupError)


def test_an_unknown_name_raises():
    with pytest.raises(AttributeError, match="nope"):
        hashstash.nope


def test_a_name_that_is_not_there_cannot_be_imported():
    with pytest.raises(ImportError):
        exec("from hashstash import nope")


def test_the_version_is_the_one_of_the_package():
    from importlib import metadata

    try:
        installed = metadata.version("hashstash")
    except metadata.PackageNotFoundError:
        pytest.skip("hashstash is not installed, only imported")
    assert hashstash.__version__ == installed


def test_submodules_may_still_be_imported():
    code = "import hashstash.engines.pairtree, hashstash; hashstash.engines.pairtree.PLUGIN"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
