"""What the cell asks without opening anything: variables of the environment, whether a file is there, what the shell is told.

Neither makes an audit event. While a cell is recorded, the mapping inside of ``os.environ`` and ``os.stat`` are stood in for by
something that tells the watch, if it is the user's own code that asks; libraries ask for much that the cell never sees.
Afterwards everything is as it was, in the variables too.
"""

from __future__ import annotations

import functools
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hashstash.cells.watch import watching
from hashstash.fingerprint.packages import Origin, origin_of_globals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_HELPERS = frozenset(
    {"os", "posixpath", "ntpath", "genericpath", "pathlib", "glob", "shutil", "string", "getpass", "contextlib"}
    | {"collections", "_collections_abc"}
)
"""Modules that ask on behalf of their caller."""
_MAKING = frozenset({"makedirs", "mkdir"})
"""Helpers that look for a folder only to make it."""
_WHETHER = frozenset({"exists", "isfile", "isdir", "is_file", "is_dir", "lexists", "which"})
"""Helpers that only tell whether something is there, and of which kind."""
_MAGICS_THAT_SHOW = {"IPython.core.magics.osm": "env"}

_listeners = 0


@contextmanager
def hearing_questions(shell: Any) -> Iterator[None]:
    """Within: the watch is told what the user's code asks, and which commands the shell is given."""
    global _listeners
    _listeners += 1
    if _listeners == 1:
        _stand_in()
    expand = shell.var_expand
    shell.var_expand = functools.partial(_expanded, expand)
    try:
        yield
    finally:
        del shell.var_expand
        if _listeners > 1 and shell.var_expand != expand:
            shell.var_expand = expand  # a stashed cell in a stashed cell
        _listeners -= 1
        if not _listeners:
            _put_back(shell.user_ns)


def _expanded(expand: Callable[..., Any], command: Any, depth: int = 0, *arguments: Any, **keywords: Any) -> Any:
    text = expand(command, depth + 1, *arguments, **keywords)
    if isinstance(text, str):
        for watch in watching():
            watch.hear_command(text)
    return text


# -- the environment ---------------------------------------------------------------------------------------------------


class _Asked:
    """The mapping inside of ``os.environ``, which tells who looks into it; writes are not questions."""

    def __init__(self, inside: dict[Any, Any]) -> None:
        self.inside = inside

    def __getitem__(self, key: Any) -> Any:
        if _asked_for_user(sys._getframe(1)) is not None:  # noqa: SLF001 - who asks decides
            for watch in watching():
                watch.hear_variable(os.fsdecode(key))
        return self.inside[key]

    def __iter__(self) -> Iterator[Any]:
        if _asked_for_user(sys._getframe(1)) is not None:  # noqa: SLF001
            for watch in watching():
                watch.hear_variable(None)
        return iter(list(self.inside))

    def __setitem__(self, key: Any, value: Any) -> None:
        for watch in watching():
            watch.hear_setting(os.fsdecode(key))
        self.inside[key] = value

    def __delitem__(self, key: Any) -> None:
        del self.inside[key]
        for watch in watching():
            watch.hear_setting(os.fsdecode(key))

    def __len__(self) -> int:
        return len(self.inside)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside, name)


# -- files -------------------------------------------------------------------------------------------------------------

_stat = os.stat


@functools.wraps(_stat)
def _asking_stat(*arguments: Any, **keywords: Any) -> os.stat_result:
    path = arguments[0] if arguments else keywords.get("path")
    helpers = _asked_for_user(sys._getframe(1)) if keywords.get("dir_fd") is None else None  # noqa: SLF001
    if helpers is not None and helpers.isdisjoint(_MAKING):
        for watch in watching():
            watch.hear_question(path, is_whole=helpers.isdisjoint(_WHETHER))
    return _stat(*arguments, **keywords)


# -- both --------------------------------------------------------------------------------------------------------------


def _asked_for_user(frame: FrameType | None) -> frozenset[str] | None:
    """The functions of the library through which the user's code asks; ``None`` if somebody else does."""
    helpers: list[str] = []
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _HELPERS:
            is_users = origin_of_globals(frame.f_globals) is Origin.USER
            is_shown = _MAGICS_THAT_SHOW.get(module) == frame.f_code.co_name
            return frozenset(helpers) if is_users or is_shown else None
        helpers.append(frame.f_code.co_name)
        frame = frame.f_back
    return None


def _stand_in() -> None:
    inside = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001
    stand_in = _Asked(inside)
    for environment in _environments():
        if environment._data is inside:  # noqa: SLF001
            environment._data = stand_in  # noqa: SLF001
    if os.stat is _stat:
        os.stat = _asking_stat


def _put_back(variables: dict[str, Any]) -> None:
    for environment in _environments():
        if isinstance(environment._data, _Asked):  # noqa: SLF001
            environment._data = environment._data.inside  # noqa: SLF001
    if os.stat is _asking_stat:
        os.stat = _stat
    for name, value in list(variables.items()):
        if value is _asking_stat:
            variables[name] = _stat


def _environments() -> list[Any]:
    """``os.environ``, and on systems that have it ``os.environb``, which share what is inside."""
    return [os.environ, *([os.environb] if os.supports_bytes_environ else [])]
