"""Figures that pyplot keeps open from cell to cell: a cell may draw on the current one, to which no variable of its leads.

With inline figures there are none, since these are closed at the end of each cell.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from hashstash.leaving import always_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_WAYS = ("get_active", "get_fig_manager")


class OpenFigures:
    """Hears, between ``with`` and its end, which of the figures that were open before pyplot is asked for."""

    def __init__(self) -> None:
        self.asked_for: dict[int, Any] = {}
        """By identity."""
        self._patched: Any = None
        """The class that was patched: a cell may unload matplotlib, or load it again."""
        self._originals: dict[str, Any] = {}

    def __enter__(self) -> Self:
        pyplot = _open_managers()
        if pyplot is not None and pyplot.figs:
            before = {id(manager): manager for manager in pyplot.figs.values()}
            self._patched = pyplot
            for way in _WAYS:
                self._originals[way] = vars(pyplot)[way]
                setattr(pyplot, way, staticmethod(self._telling(getattr(pyplot, way), before)))
        return self

    def __exit__(self, *_exception: object) -> None:
        for way, original in self._originals.items():
            setattr(self._patched, way, original)
        self._originals.clear()

    def _telling(self, original: Callable[..., Any], before: dict[int, Any]) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            manager = original(*arguments)
            if id(manager) in before:
                figure = manager.canvas.figure
                self.asked_for[id(figure)] = figure
            return manager

        return ask

    def is_hidden(self, known: Iterable[Any]) -> bool:
        """Whether the cell asked for a figure that is not among these objects, to which its variables lead."""
        return bool(self.asked_for.keys() - set(map(id, known)))


@always_left
def as_they_are() -> Iterator[None]:
    """Afterwards the same figures are open, in the same order: the copy of an open one opens itself, as the current one."""
    pyplot = _open_managers()
    if pyplot is None:
        yield
        return
    before = list(pyplot.figs)
    try:
        yield
    finally:
        for number in pyplot.figs.keys() - set(before):
            pyplot.destroy(number)
        for number in before:
            if number in pyplot.figs:  # what is restored may close some
                pyplot.figs.move_to_end(number)


def _open_managers() -> Any:
    """Where pyplot keeps what is open, if it is loaded."""
    return getattr(sys.modules.get("matplotlib._pylab_helpers"), "Gcf", None)
