"""Cells that have no end for whoever goes through them, in frames.

A list that holds one list twice, and so on for sixty levels, is stored in a few bytes. pandas writes the text of a cell and
hashes it in an index, and Arrow copies it, part by part.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any

from hashstash.unfolded import is_folded
from hashstash.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Collection

_SIMPLE = frozenset({str, int, float, bool, NoneType, bytes, complex})
_SHOWN = 80
"""Characters."""


class Folded:
    """A value in the cell of a frame that is far larger than what it is made of; ``value`` is the value itself."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return shortened(self.value, _SHOWN)


def without_folded(cells: list[Any], kinds: Collection[type]) -> list[Any]:
    """*cells* of these *kinds*, with :class:`Folded` for those that hold the same parts over and over.

    The list itself, if there are none.
    """
    if _SIMPLE.issuperset(kinds):
        return cells
    different = {id(cell): cell for cell in cells if type(cell) not in _SIMPLE}  # one value may stand in every row
    shown = {number: Folded(cell) for number, cell in different.items() if is_folded(cell)}
    return [shown.get(id(cell), cell) for cell in cells] if shown else cells
