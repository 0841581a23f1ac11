"""What is in a stash as rows: lists of flat dicts, and frames of pandas, polars and pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.frames.choice import Choice, Where
from hashstash.frames.flat import Row, flatten
from hashstash.frames.scan import Scan
from hashstash.imports import installed_only

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Choice", "Row", "Scan", "Where", "flatten", "to_arrow", "to_frame", "to_pandas", "to_polars"]


def to_frame(rows: Iterable[Row], index: Sequence[str] = ()) -> Any:
    """A pandas DataFrame of flat *rows*, columns in the order in which they first come; those named by *index* become its index.

    What a row lacks is missing in the type that suits the others: ``Int64`` for integers, ``boolean`` for booleans, ``NaT`` for
    times. Names in *index* that no row has are levels without values.
    """
    with installed_only():
        from hashstash.frames.pandas import to_frame as made

    return made(rows, index)


def to_pandas(scan: Scan) -> Any:
    """The DataFrame of what *scan* finds."""
    with installed_only():
        from hashstash.frames.pandas import frame_of_columns

    return frame_of_columns(*scan.table())


def to_polars(scan: Scan) -> Any:
    """The polars DataFrame of what *scan* finds."""
    with installed_only():
        from hashstash.frames.polars import frame_of_columns

    return frame_of_columns(scan.table().columns)


def to_arrow(scan: Scan) -> Any:
    """The pyarrow Table of what *scan* finds."""
    with installed_only():
        from hashstash.frames.arrow import table_of_columns

    return table_of_columns(scan.table().columns)
