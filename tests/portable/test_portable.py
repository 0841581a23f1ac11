"""What any supported Python writes into a stash, functions and classes included, any other one reads."""

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VERSIONS = ("3.11", "3.12", "3.13")
PACKAGES = ("numpy", "pandas")
OPTIONAL = ("pyarrow", "polars", "scipy", "dateutil", "pytz")
"""Their values are left out where one of the two environments lacks the package."""
ENVIRONMENTS = (".venv", ".venv-colab")
LEAST = 250


def runs(python):
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@functools.cache
def packages_of(python):
    """Those of ours that it finds."""
    script = f"from importlib.util import find_spec; print(*filter(find_spec, {(*PACKAGES, *OPTIONAL)!r}))"
    return set(subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.split())


@functools.cache
def interpreter(version):
    installed = sorted(map(str, Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python")))
    for candidate in filter(None, (*reversed(installed), shutil.which(f"python{version}"))):
        if runs(candidate):
            return candidate
    pytest.skip(f"Python {version} is not installed")


def environment(name):
    python = str(ROOT / name / "bin" / "python")
    if not Path(python).exists() or not packages_of(python).issuperset(PACKAGES):
        pytest.skip(f"there is no {name} with {' and '.join(PACKAGES)}")
    return python


@pytest.fixture(scope="module")
def run(bytecode, tmp_path_factory):
    """Writes with one Python and reads with another; each writes once."""
    folder = tmp_path_factory.mktemp("portable")
    settings = {"PYTHONPATH": str(ROOT), "HASHSTASH_KEY": "5a" * 32, **bytecode}
    settings |= {f"XDG_{kind}_HOME": str(folder / kind) for kind in ("CACHE", "STATE", "CONFIG")}

    def call(python, *arguments):
        command = [python, str(HERE / "corpus.py"), *arguments]
        done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write_and_read(writer, reader, packages=()):
        root = folder / writer.strip("/").replace("/", "-") / "-".join(("with", *packages))
        if not root.exists():
            call(writer, "write", str(root), *packages)
        return json.loads(call(reader, "read", str(root), *packages))

    return write_and_read


@pytest.mark.parametrize("reader", VERSIONS)
@pytest.mark.parametrize("writer", VERSIONS)
def test_each_version_reads_what_each_wrote(run, writer, reader):
    found = run(interpreter(writer), interpreter(reader))
    assert found["wrong"] == {}
    assert found["read"] >= LEAST


@pytest.mark.parametrize("writer, reader", [ENVIRONMENTS, ENVIRONMENTS[::-1]])
def test_packages_of_other_versions_read_it(run, writer, reader):
    pythons = environment(writer), environment(reader)
    shared = [package for package in OPTIONAL if all(package in packages_of(python) for python in pythons)]
    found = run(*pythons, (*PACKAGES, *shared))
    assert found["wrong"] == {}
    assert found["read"] >= LEAST
