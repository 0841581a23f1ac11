"""One value, one digest: on every Python, in every process, today and later."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hashstash.fingerprint import Fingerprinter

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
GOLDEN = json.loads((HERE / "golden.json").read_text())
SCRIPT = """
import json, sys
sys.path[:0] = sys.argv[1:]
import samples
from hashstash.fingerprint import Fingerprinter
print(json.dumps({name: Fingerprinter(buffer_hash="sha256").digest(value).hex() for name, value in samples.values().items()}))
"""


def interpreter(version):
    """An interpreter of that version that runs, or ``None``."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in [*map(str, pyenv), shutil.which(f"python{version}")]:
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return sys.executable if "{}.{}".format(*sys.version_info) == version else None


@pytest.mark.parametrize(("version", "seed"), [("3.11", "0"), ("3.12", "1"), ("3.13", "4242")])
def test_every_python_gives_the_golden_digests(version, seed):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    done = subprocess.run(
        [python, "-c", SCRIPT, str(ROOT), str(HERE)],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == GOLDEN


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_digest_of(name, samples):
    assert Fingerprinter(buffer_hash="sha256").digest(samples.values()[name]).hex() == GOLDEN[name]


def test_no_two_golden_values_share_a_digest():
    assert len(set(GOLDEN.values())) == len(GOLDEN)


def test_every_sample_has_a_golden_digest(samples):
    assert samples.values().keys() == GOLDEN.keys()
