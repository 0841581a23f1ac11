"""Which bar shows the progress of a piece of work: what was asked for, else what fits the place it runs in."""

from __future__ import annotations

import multiprocessing
import os
import sys
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hashstash.display.progress_bar import Bar
from hashstash.display.progress_notebook import NotebookPainter, running_shell
from hashstash.display.progress_terminal import TextPainter, TqdmPainter, is_terminal
from hashstash.errors import MissingDependency, StashError
from hashstash.mapping.progress import NoProgress
from hashstash.mapping.worker import compute

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from hashstash.display.progress_bar import Painter
    from hashstash.mapping.progress import Progress

VARIABLE = "HASHSTASH_PROGRESS"
KINDS = ("html", "widget", "tqdm", "text")
IN_A_KERNEL = "html"
"""Not ``widget``: see ``progress_notebook``."""
_OFF = frozenset({"off", "0", "no", "none", "false"})
_AUTOMATIC = frozenset({"", "auto", "on", "1", "yes", "true"})


def progress_for(wanted: bool | str | Progress | None) -> Progress:
    """What will show the progress of one piece of work.

    ``True`` and ``None`` choose by the place: a bar below the cell in a notebook, one line in a terminal, nothing where
    nobody looks (in CI, in a log file, in a worker process) and nothing for a map within an item of another map. The
    environment variable ``HASHSTASH_PROGRESS`` may say ``off``, or one of ``html``, ``widget``, ``tqdm`` and ``text``, which
    *wanted* may name as well. ``False`` shows nothing. An object with ``start``, ``update`` and ``close`` is used as it is.
    """
    if wanted is None or wanted is True:
        return _automatic()
    if wanted is False:
        return NoProgress()
    if isinstance(wanted, str):
        if wanted not in KINDS:
            raise TypeError(f"progress={wanted!r} is not known; give True, False or one of {', '.join(KINDS)}")
        return _bar(wanted)
    if not isinstance(wanted, type) and all(
        callable(getattr(wanted, name, None)) for name in ("start", "update", "close")
    ):
        return wanted
    raise TypeError(
        f"progress must be True, False, one of {', '.join(KINDS)}, or an object with start, update and close, "
        f"not {type(wanted).__name__}"
    )


def _automatic() -> Progress:
    chosen = os.environ.get(VARIABLE, "").strip().lower()
    if chosen not in _OFF.union(_AUTOMATIC, KINDS):
        raise StashError(f"{VARIABLE} is {chosen!r}; known: off, {', '.join(KINDS)}")
    if chosen in _OFF or _is_inside_a_map():
        return NoProgress()
    if chosen in KINDS:
        return _bar(chosen)
    is_ci = os.environ.get("CI", "").strip().lower() not in ("", "0", "false")
    if is_ci or multiprocessing.parent_process():
        return NoProgress()
    if in_kernel():
        return _bar(IN_A_KERNEL)
    if is_terminal(sys.stderr):
        return _bar("tqdm" if _is_installed("tqdm") else "text")
    return NoProgress()


def in_kernel() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = running_shell()
    return shell is not None and getattr(shell, "kernel", None) is not None


def _is_inside_a_map() -> bool:
    """Whether this is called by an item of a map: the bar of that map is enough, wherever the item is computed."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - what the traceback module walks along, without its cost
    while frame is not None:
        if frame.f_code is compute.__code__:
            return True
        frame = frame.f_back
    return False


def _is_installed(package: str) -> bool:
    return sys.modules.get(package) is not None or find_spec(package) is not None


def _bar(kind: str) -> Bar:
    """A bar of that kind; what a place cannot show is shown as the next simpler one."""
    if kind == "tqdm" and not _is_installed("tqdm"):
        raise MissingDependency("progress='tqdm' needs the package 'tqdm': pip install 'hashstash[notebook]'")
    painters: dict[str, list[Callable[[], Painter]]] = {
        "widget": [partial(NotebookPainter, uses_widget=True), TextPainter],
        "html": [NotebookPainter, TextPainter],
        "tqdm": [TqdmPainter, TextPainter],
        "text": [TextPainter],
    }
    return Bar(*painters[kind])
