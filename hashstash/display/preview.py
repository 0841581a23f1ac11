"""The head of a value, and what there is to say about the whole: bounded, whatever it is and however large."""

from __future__ import annotations

import inspect
import reprlib
import sys
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hashstash.display.html import attempt
from hashstash.unfolded import is_folded
from hashstash.wording import counted, is_endless, size_text

MOST_LINES = 40
_WIDTH = 200
_MOST_ROWS = 10
_MOST_COLUMNS = 20
_MOST_IN_CELL = 80
_NUMBERS_AND_TIMES = "biufcmM"
_MOST_TEXT = 8_000
_MOST_BYTES = 256
_IN_LINE = 16
_SHOWN_ELEMENTS = 200


@dataclass(frozen=True, slots=True)
class Preview:
    """A value as it is shown before anybody asks for all of it."""

    kind: str
    """What it is and how large, in words."""
    lines: tuple[str, ...] = ()
    more: bool = False
    """Whether there are more lines than these."""
    html: str = ""
    """Markup by pandas, which has escaped what is in it; instead of lines."""


def preview_of(value: Any) -> Preview:
    """The head of *value*; where its class cannot show it, a sentence that says so. Never raises."""
    kind = attempt(lambda: _kind(value))[0] or type(value).__name__
    shown, trouble = attempt(lambda: _shown(value, kind))
    return shown or Preview(kind, (f"it cannot be shown: {trouble}",))


def _shown(value: Any, kind: str) -> Preview:
    frame = _pandas_frame(value)
    if frame is not None:
        return Preview(kind, html=_html_of_frame(frame))
    lines = _lines_of(value)
    shown = tuple(line[:_WIDTH] for line in islice(lines, MOST_LINES))
    return Preview(kind, shown, next(iter(lines), None) is not None)


# ---- in words ------------------------------------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    name = type(value).__name__
    shape = getattr(value, "shape", None)
    if type(value) is str:
        return f"text, {counted(len(value), 'character')}"
    if type(value) in (bytes, bytearray, memoryview):
        return f"{name}, {size_text(len(value))}"
    if isinstance(shape, tuple) and hasattr(value, "columns"):
        return f"{name}, {counted(shape[0], 'row')} \u00d7 {counted(shape[1], 'column')}"
    if isinstance(shape, tuple) and hasattr(value, "dtype"):
        sides = " \u00d7 ".join(f"{side:,}" for side in shape)
        return ", ".join([name, *([f"{sides} elements"] if sides else []), *_type_of(value)])
    if type(value) in (list, tuple, dict, set, frozenset):
        return f"{name}, {'empty' if not value else counted(len(value), 'element')}"
    return name


def _type_of(value: Any) -> list[str]:
    dtype, size = getattr(value, "dtype", None), getattr(value, "nbytes", None)
    return ([str(dtype)] if dtype is not None else []) + ([size_text(size)] if type(size) is int else [])


class _Brief(reprlib.Repr):
    """The beginning of a ``repr``; what has a shape is told in words, and not taken apart."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = 12
        self.maxstring = self.maxother = self.maxlong = 120

    def repr_instance(self, x: Any, level: int) -> str:
        return f"<{_kind(x)}>" if hasattr(x, "shape") or is_endless(x) else super().repr_instance(x, level)

    def repr_bytes(self, x: bytes, level: int) -> str:
        return self.repr_str(x[: 2 * self.maxstring], level)  # type: ignore[arg-type]


_brief = _Brief()


def brief(value: Any) -> str:
    """*value* on one line."""
    text, trouble = attempt(lambda: _brief.repr(value))
    return (
        " ".join(text.split("\n"))
        if text is not None
        else f"<{type(value).__name__}, which cannot be shown: {trouble}>"
    )


# ---- frames --------------------------------------------------------------------------------------------------------------


def _pandas_frame(value: Any) -> Any:
    """The first rows and columns of a pandas frame or series, as a frame; ``None`` for anything else."""
    pandas = sys.modules.get("pandas")  # whoever has decoded such a value has imported it
    if pandas is None or not isinstance(value, (pandas.DataFrame, pandas.Series)):
        return None
    head = value.iloc[:_MOST_ROWS]
    if isinstance(head, pandas.Series):
        return pandas.Series.to_frame(head, name="" if head.name is None else head.name)
    return head.iloc[:, :_MOST_COLUMNS]


def _html_of_frame(frame: Any) -> str:
    import pandas as pd

    columns = [_cut_cells(frame.iloc[:, number]) for number in range(frame.shape[1])]
    cut = pd.concat(columns, axis=1) if columns else frame
    cut.columns = frame.columns
    cut = cut.rename(index=_cut_cell, columns=_cut_cell).rename_axis(index=_cut_cell, columns=_cut_cell)
    # The method of pandas itself: a subclass may write what it likes.
    return str(pd.DataFrame.to_html(cut, escape=True, notebook=False, border=0, justify="left"))


def _cut_cells(column: Any) -> Any:
    import pandas as pd

    if getattr(column.dtype, "kind", "O") in _NUMBERS_AND_TIMES:
        return pd.Series(column)
    return pd.Series([_cut_cell(cell) for cell in column], index=column.index, dtype=object)


def _cut_cell(cell: Any) -> Any:
    """*cell*, or the beginning of its text where that may be long; pandas writes all of it."""
    if cell is None or isinstance(cell, (bool, int, float, complex)) or hasattr(cell, "dtype"):
        return cell
    text = cell if isinstance(cell, str) else brief(cell)
    if len(text) > _MOST_IN_CELL:
        return text[: _MOST_IN_CELL - 1] + "\u2026"
    return cell if _is_plain(cell) else text


def _is_plain(cell: Any) -> bool:
    return type(cell).__module__.partition(".")[0] in ("builtins", "datetime", "pandas", "decimal")


# ---- lines ---------------------------------------------------------------------------------------------------------------


def _lines_of(value: Any) -> Any:
    """An iterator over the lines that show *value*."""
    if type(value) is str:
        return iter([*value[:_MOST_TEXT].splitlines(), *(["…"] if len(value) > _MOST_TEXT else [])])
    if type(value) in (bytes, bytearray, memoryview):
        return _bytes(bytes(value[:_MOST_BYTES]), len(value))
    if isinstance(value, Mapping):
        return (f"{brief(name)}: {brief(part)}" for name, part in value.items())
    if type(value) in (list, tuple) or isinstance(value, AbstractSet):
        return map(brief, value)
    for package, show in _SHOWN_BY.items():
        if type(value).__module__.partition(".")[0] == package:
            text = show(value)
            if text is not None:
                return iter(text.splitlines())
    return _object(value)


def _bytes(head: bytes, size: int) -> Iterable[str]:
    for start in range(0, len(head), _IN_LINE):
        part = head[start : start + _IN_LINE]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{start:08x}  {part.hex(' '):<{3 * _IN_LINE}} {text}"
    if size > len(head):
        yield f"and {size_text(size - len(head))} more"


def _array(value: Any) -> str | None:
    import numpy as np

    if not isinstance(value, np.ndarray):
        return None
    if is_folded(value):
        return brief(value)
    return str(np.array2string(value, threshold=_SHOWN_ELEMENTS, edgeitems=3, max_line_width=_WIDTH // 2))


def _head(value: Any) -> str | None:
    return str(value.head(_MOST_ROWS)) if hasattr(value, "height") and hasattr(value, "head") else None


def _arrow(value: Any) -> str | None:
    return str(value.slice(0, _MOST_ROWS)) if hasattr(value, "slice") else None


_SHOWN_BY: dict[str, Callable[[Any], str | None]] = {"numpy": _array, "polars": _head, "pyarrow": _arrow}


def _object(value: Any) -> Iterable[str]:
    """Its ``repr``, the source of a function, or what it is made of where the ``repr`` says nothing."""
    source = (
        attempt(lambda: inspect.getsource(value))[0] if inspect.isroutine(value) or inspect.isclass(value) else None
    )
    if source:
        return iter(source[:_MOST_TEXT].splitlines())
    if object.__repr__ is getattr(type(value), "__repr__", None) and getattr(value, "__dict__", None):
        return (f"{name} = {brief(part)}" for name, part in vars(value).items())
    return iter((brief(value) if is_folded(value) else repr(value)[:_MOST_TEXT]).splitlines())
