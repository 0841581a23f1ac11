"""Tracebacks as a plain cell has them: without the magic that ran the cell, in what is shown and for the debugger."""

from __future__ import annotations

import linecache
import sys
from asyncio import CancelledError
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hashstash.magics import stash_map_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OURS = ("hashstash.magics", "hashstash.cells")
_STANDS_IN = "hashstash.cells.questions"
"""Stands in for functions of the library, whose frames stay."""
_MAP = "hashstash.magics.stash_map_line"
_WRAPPERS = ("get_ipython().run_cell_magic('stash'", "get_ipython()._hashstash_", "await get_ipython()._hashstash_")
"""What the shell makes of a cell that is ours; such a line is nobody's own."""
_MOST_CHAINED = 100


def hook(shell: Any) -> Callable[[], None]:
    """Make the shell show and debug errors of our cells without our frames, from now until what is returned is called."""
    original = shell.showtraceback
    is_on = True

    def showtraceback(exc_tuple: Any = None, *arguments: Any, **keywords: Any) -> Any:
        error = sys.exc_info()[1] if exc_tuple is None else exc_tuple[1]
        if is_on and isinstance(error, BaseException):
            show_only_cell(shell, error)
            exc_tuple = exc_tuple and (*exc_tuple[:2], error.__traceback__)
        return original(exc_tuple, *arguments, **keywords)

    def unhook() -> None:
        nonlocal is_on
        is_on = False
        if vars(shell).get("showtraceback") is showtraceback:  # else somebody has wrapped it again
            del shell.showtraceback
            if shell.showtraceback != original:
                shell.showtraceback = original

    shell.showtraceback = showtraceback
    return unhook


def show_only_cell(shell: Any, error: BaseException) -> None:
    """Take the frames of the magic that ran the cell out of the traceback, and those of errors which belong to this one."""
    if stash_map_line.shows_only_line(error):
        return  # %stash_map has seen to it
    for one in (error, *_chained(error)):
        traces = list(_traces(one.__traceback__))
        kept = _of_the_cell(shell, traces)
        is_shown = isinstance(error, KeyboardInterrupt | CancelledError) or any(
            _is_cells(shell, trace) for trace in kept
        )
        if is_shown and len(kept) < len(traces):
            BaseException.with_traceback(one, _joined(kept))  # whatever its class does when an attribute is set


def _of_the_cell(shell: Any, traces: list[TracebackType]) -> list[TracebackType]:
    """Without our frames, and without what lies between them and the line that called them."""
    kept: list[TracebackType] = []
    position = 0
    while position < len(traces):
        if not _is_ours(traces[position]):
            kept.append(traces[position])
            position += 1
            continue
        if _module_of(traces[position]) == _STANDS_IN:
            position += 1
            continue
        is_map = _module_of(traces[position]) == _MAP
        while kept and not _is_cells(shell, kept[-1]) and any(_is_cells(shell, trace) for trace in kept):
            kept.pop()
        if kept and _is_wrapper(kept[-1]):
            kept.pop()
        while position < len(traces) and (
            _is_ours(traces[position]) or (is_map and not _is_cells(shell, traces[position]))
        ):
            position += 1
    return kept


def _is_ours(trace: TracebackType) -> bool:
    return _module_of(trace).startswith(_OURS)


def _is_cells(shell: Any, trace: TracebackType) -> bool:
    return trace.tb_frame.f_globals is shell.user_ns


def _is_wrapper(trace: TracebackType) -> bool:
    return linecache.getline(trace.tb_frame.f_code.co_filename, 1).startswith(_WRAPPERS)


def _module_of(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__", ""))


def _traces(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _joined(traces: list[TracebackType]) -> TracebackType | None:
    chain = None
    for trace in reversed(traces):
        chain = TracebackType(chain, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
    return chain


def _chained(error: BaseException) -> list[BaseException]:
    """What is shown together with *error*: causes, contexts, the members of groups."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
    while waiting and len(found) < _MOST_CHAINED:
        one = waiting.pop()
        if isinstance(one, BaseException) and one is not error and not any(one is other for other in found):
            found.append(one)
            waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return found
