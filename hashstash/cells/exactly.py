"""The first difference of two values that are both at hand, in words: where it is, what stood there then, and what does now.

Texts that look like secrets are not repeated: what is said here stands below a cell, in a notebook that may be given away.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hashstash.cells.lately import IMMUTABLE
from hashstash.cells.parts import place_of
from hashstash.difference import compare
from hashstash.wording import counted, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hashstash.cells.lately import Both

_MOST_COLUMNS: Final = 6
_WIDTH: Final = 40
_SECRET_NAMES: Final = re.compile(r"(?i)passw|passphrase|secret|token|credential|api_?key|private_?key|\bpwd\b")
_SECRET_TEXTS: Final = re.compile(r"(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{16,}")


def differences(name: str, values: Both) -> list[str]:
    """What differs between two values of the variable *name*, a line each; empty if that cannot be told."""
    if _SECRET_NAMES.search(name):
        return []
    try:
        lines = list(_lines(values.then, values.now))
    except Exception:  # noqa: BLE001  arrays and frames are foreign code
        return []
    return [line for line in dict.fromkeys(lines) if not _SECRET_NAMES.search(line)]


def _lines(then: Any, now: Any) -> Iterator[str]:
    kinds = {_kind(then), _kind(now)}
    if len(kinds) > 1:
        return
    (kind,) = kinds
    if kind == "pandas.DataFrame":
        yield from _pandas_frame(then, now)
    elif kind == "polars.DataFrame":
        yield from _columns("column", then, now, _polars_columns)
    elif kind == "xarray.Dataset":
        yield from _columns("variable", then, now, lambda dataset: {name: _grid(dataset[name]) for name in dataset})
    elif kind in _SEQUENCES and (len(getattr(now, "shape", ())) < 2 or then.shape == now.shape):
        yield from _rows("", _SEQUENCES[kind](then), _SEQUENCES[kind](now))
    elif kind in ("builtins.str", "builtins.bytes"):
        yield from _text(then, now)
    elif kind in IMMUTABLE:
        yield from _text(str(then), str(now), shown=str)
    elif kind in ("builtins.list", "builtins.tuple") and _are_plain(then) and _are_plain(now):
        yield from _rows("", _Column(then, "[{}]".format, "item"), _Column(now, "[{}]".format, "item"))
    elif kind.startswith("builtins."):
        lines = (line for line in compare(then, now, "") if not line.startswith("length "))
        yield from (line for line in lines if not _SECRET_TEXTS.search(line))


def _are_plain(values: Sequence[Any]) -> bool:
    return all(value is None or isinstance(value, bool | int | float | complex | str) for value in values)


def _text(then: Any, now: Any, *, shown: Callable[[Any], str] = repr) -> Iterator[str]:
    """Lines of texts of several lines; of one line, from where it differs on."""
    if isinstance(then, str) and ("\n" in then or "\n" in now):
        lines = (line for line in compare(then, now, "") if not line.startswith("@@"))
        yield from (line for line in lines if not _SECRET_TEXTS.search(line))
        return
    if any(_SECRET_TEXTS.search(repr(text)) for text in (then, now)):
        return
    if max(len(then), len(now)) <= _WIDTH:
        yield f"{shown(then)} -> {shown(now)}"
        return
    ends = min(len(then), len(now))
    at = next((at for at in range(ends) if then[at] != now[at]), ends)
    before, after = (text[at : at + _WIDTH // 2] for text in (then, now))
    yield f"first difference at character {at:,}: {before!r} -> {after!r}"


def _kind(value: Any) -> str:
    kind = type(value)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


class _Column(NamedTuple):
    """Values in their order, and how the place of one is said."""

    values: Sequence[Any]
    place: Callable[[int], str]
    noun: str


def _pandas_frame(then: Any, now: Any) -> Iterator[str]:
    if _is_same_index(then.index, now.index):
        yield from _columns("column", then, now, _pandas_columns)
    elif _is_reordered(then, now):
        yield "the rows are in another order"
    else:
        yield from _rows("index, ", *(_Column(frame.index.tolist(), _row, "row") for frame in (then, now)))
        yield from _columns("column", then, now, _positions)


def _is_same_index(one: Any, other: Any) -> bool:
    """Whether the shorter of two indexes is the beginning of the longer one."""
    length = min(len(one), len(other))
    return type(one) is type(other) and bool(one[:length].equals(other[:length]))


def _is_reordered(then: Any, now: Any) -> bool:
    is_possible = then.shape == now.shape and then.index.is_unique and now.index.is_unique
    return is_possible and bool(now.index.isin(then.index).all()) and bool(now.loc[then.index].equals(then))


def _pandas_columns(frame: Any) -> dict[Any, _Column]:
    return {name: _pandas_rows(frame.iloc[:, number]) for number, name in enumerate(frame.columns)}


def _positions(frame: Any) -> dict[Any, _Column]:
    return {name: column._replace(place=_row) for name, column in _pandas_columns(frame).items()}


def _row(at: int) -> str:
    return f"row {at:,}"


def _pandas_rows(series: Any) -> _Column:
    index = series.index
    is_counted = type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)
    return _Column(series.tolist(), _row if is_counted else lambda at: f"row {_said(index[at])}", "row")


def _polars_columns(frame: Any) -> dict[Any, _Column]:
    return {column.name: _polars_rows(column) for column in frame.get_columns()}


def _polars_rows(series: Any) -> _Column:
    return _Column(series.to_list(), _row, "row")


def _grid(array: Any) -> _Column:
    """An array of any number of dimensions: of numpy, torch or xarray."""
    array = array.detach() if hasattr(array, "detach") else array
    data = array.numpy() if hasattr(array, "numpy") else getattr(array, "values", array)
    dims = getattr(array, "dims", None)
    return _Column(data.reshape(-1).tolist(), lambda at: f"at {_index(at, data.shape, dims)}", "element")


def _index(at: int, shape: Sequence[int], dims: Sequence[Any] | None) -> str:
    numbers = place_of(at, shape)
    return f"[{', '.join(map(str, numbers) if dims is None else map('{}={}'.format, dims, numbers))}]"


_SEQUENCES: Final[dict[str, Callable[[Any], _Column]]] = {
    "pandas.Series": _pandas_rows,
    "polars.Series": _polars_rows,
    "numpy.ndarray": _grid,
    "torch.Tensor": _grid,
    "xarray.DataArray": _grid,
}


def _columns(noun: str, then: Any, now: Any, columns_of: Callable[[Any], dict[Any, _Column]]) -> Iterator[str]:
    old, new = columns_of(then), columns_of(now)
    shared = [name for name in new if name in old]
    told = [line for name in shared for line in _rows(f"{noun} {_said(name)}, ", old[name], new[name])]
    lines = list(dict.fromkeys(told))  # where rows are gone or new, they are so in all columns
    yield from lines[:_MOST_COLUMNS]
    if len(lines) > _MOST_COLUMNS:
        yield f"and in {counted(len(lines) - _MOST_COLUMNS, noun)} more"


def _rows(what: str, then: _Column, now: _Column) -> Iterator[str]:
    differing = [at for at, pair in enumerate(zip(then.values, now.values, strict=False)) if not _is_same(*pair)]
    if differing:
        first = differing[0]
        before, after = (_said(column.values[first]) for column in (then, now))
        more = f", and in {counted(len(differing) - 1, now.noun)} more" if len(differing) > 1 else ""
        where = now.place(first)
        start = f"first difference {where}" if now.noun == "element" and not what else f"{what}{where}"
        is_secret = any(map(_SECRET_TEXTS.search, (before, after)))
        yield f"{start} differs{more}" if is_secret else f"{start}: {before} -> {after}{more}"
    elif len(then.values) != len(now.values):
        shorter = min(len(then.values), len(now.values))
        yield f"the first {counted(shorter, now.noun)} {'is' if shorter == 1 else 'are'} as before"


def _said(value: Any) -> str:
    """A value in a few characters: a number of numpy as one of Python, a moment as it is written."""
    if hasattr(value, "isoformat"):
        return str(value)[:_WIDTH]
    return shortened(tuple(map(_plain, value)) if type(value) is tuple else _plain(value), _WIDTH)


def _plain(value: Any) -> Any:
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, float | complex):
        return repr(one) == repr(other)
    return bool(one == other)
