"""What a line behind ``%run`` says, read as IPython reads it."""

from __future__ import annotations

import getopt
import os
import shlex
from typing import NamedTuple

_OPTIONS = "nidtN:b:pD:l:rs:T:em:G"
_AS_CELLS = (".ipy", ".ipynb")


class RunLine(NamedTuple):
    """Which script is run, and where."""

    script: str | None
    """``None`` if only running it tells, or if it cannot be read as Python."""
    is_inside: bool
    """Whether it may be among the notebook's variables."""


def read(line: str) -> RunLine:
    """What ``%run`` will do; a line that it refuses may do anything."""
    try:
        options, rest = getopt.getopt(shlex.split(line, posix=os.name == "posix"), _OPTIONS)
    except (ValueError, getopt.GetoptError):
        return RunLine(None, is_inside=True)
    script = rest[0].strip("'\"") if rest else None
    names = {name for name, _ in options}
    if "-m" in names or script is None:
        return RunLine(None, is_inside="-i" in names or _is_filled_in(line))
    # A value that is filled in may have spaces in it, so that all before the script may become flags.
    if _is_filled_in(" ".join([*(value for _, value in options), script])) or not script.isprintable():
        return RunLine(None, is_inside=True)
    if script.lower().endswith(_AS_CELLS):
        return RunLine(None, is_inside=True)
    return RunLine(script, is_inside="-i" in names)


def _is_filled_in(text: str) -> bool:
    return not {"$", "{"}.isdisjoint(text)
