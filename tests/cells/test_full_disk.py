"""A disk that fills up while a cell is stored: the results are here, one warning says so, and nothing wrong is stored."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytest.importorskip("IPython")
pytest.importorskip("numpy")

SCRIPT = """
import contextlib, io, json, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

kind, engine = sys.argv[1:]
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
shell.run_line_magic("load_ext", "hashstash")
told = []
shell.display_pub.publish = lambda data, metadata=None, *a, **k: told.append(data["text/plain"])
CELL = f"%%stash t --engine {engine}\\nitems.append(size)\\nmade = np.random.default_rng(size).bytes(size)\\nprint('shown')\\nlen(made)"
SMALL, LARGE = 1000, 9_000_000

def run(size):
    shell.user_ns["items"], shell.user_ns["size"] = [], size
    told.clear()
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        result = shell.run_cell(CELL)
    result.raise_error()
    is_right = result.result == size and shell.user_ns["items"] == [size] and len(shell.user_ns["made"]) == size
    return {"right": is_right and "shown" in shown.getvalue(), "told": list(told)}

shell.run_cell("import numpy as np")
answers = {"small before": run(SMALL)}
if kind == "limit":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
answers["large"] = run(LARGE)
answers["large again"] = run(LARGE)
if kind == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
answers["small after"] = run(SMALL)
answers["other after"] = run(SMALL + 1)
answers["other again"] = run(SMALL + 1)
print(json.dumps(answers))
"""
NAMES = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def can_mount(folder):
    try:
        probe = subprocess.run([*NAMES, f"mount -t tmpfs none {folder}"], capture_output=True, timeout=30)
    except FileNotFoundError:
        return False
    return probe.returncode == 0


def answers(kind, engine, folder):
    """What a shell said whose home is on a disk of 5 MB, or which may not write large files."""
    inner = [sys.executable, "-W", "ignore", "-c", SCRIPT, kind, engine]
    places = {"HOME": "", "XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "state", "IPYTHONDIR": "ipython"}
    command = ["env", *(f"{name}={folder}/{place}" for name, place in places.items()), *inner]
    if kind == "disk":
        command = [*NAMES, f'mount -t tmpfs -o size=5m none {folder} && exec "$@"', "sh", *command]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["pairtree", "lmdb", "sqlite"])
@pytest.mark.parametrize("kind", ["disk", "limit"])
def test_a_full_disk_costs_the_record_and_nothing_else(kind, engine, tmp_path):
    if kind == "disk" and not can_mount(tmp_path):
        pytest.skip("no file system can be mounted here")
    if engine == "lmdb" and find_spec("lmdb") is None:
        pytest.skip("the package for lmdb is not installed")
    found = answers(kind, engine, tmp_path)
    assert {name: answer["right"] for name, answer in found.items()} == dict.fromkeys(found, True)
    assert "stored" in found["small before"]["told"][0]
    for name in ("large", "large again"):
        assert "ran in" in found[name]["told"][0]
        assert "\n".join(found[name]["told"]).count("warning") == 1, found[name]
        assert "the results are here, but were not stored" in found[name]["told"][0]
    assert ["hit" in found[name]["told"][0] for name in ("small after", "other after", "other again")] == [
        True,
        False,
        True,
    ]
