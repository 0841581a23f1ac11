"""An environment of its own for the first release of HashStash, which has the same package name."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec

NAME = "hashstash 1.2.0"
REQUIREMENT = "hashstash==1.2.0"
_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(_PROJECT, ".build", "original")
_VALUES_NEED = ("numpy", "pandas", "pyarrow", "polars", "scipy", "scikit-learn")
_DONE = "installed"


class NotThere(Exception):
    """The environment cannot be made here; the message says why."""


def interpreter() -> str:
    """The environment's Python, made at the first call with the versions that this one has of what values are made of."""
    python = os.path.join(FOLDER, "bin", "python")
    wanted = [REQUIREMENT, *(f"{name}=={version}" for name in _VALUES_NEED if (version := _version(name)))]
    mark = os.path.join(FOLDER, _DONE)
    if os.path.exists(mark) and _read(mark) == "\n".join(wanted):
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True, capture_output=True, text=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        lines = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise NotThere(lines[-1] if lines else str(error)) from error
    with open(mark, "w", encoding="utf-8") as file:
        file.write("\n".join(wanted))
    return python


def is_usable(system: str, package: str = "") -> bool:
    """Whether *system* can take part, for which *package* has to be installed; says so where it is left out."""
    why, remedy = "", ""
    if package and find_spec(package) is None:
        why, remedy = f"{package} is not installed", ": pip install 'hashstash[bench]'"
    elif system == NAME:
        try:
            interpreter()
        except NotThere as error:
            why = f"its environment cannot be made: {error}"
    if why:
        print(f"{system} is left out, since {why}{remedy}", file=sys.stderr)
    return not why


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
