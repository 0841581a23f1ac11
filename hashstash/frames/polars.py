"""Collected columns as a polars DataFrame, by way of Arrow, whose memory polars takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.errors import MissingDependency
from hashstash.frames.arrow import table_of_columns, without_extensions

try:
    import polars as pl
except ImportError as missing:
    raise MissingDependency("a polars frame needs the package 'polars': pip install 'hashstash[polars]'") from missing

if TYPE_CHECKING:
    from hashstash.frames.columns import Columns


def frame_of_columns(columns: Columns) -> Any:
    """The DataFrame of all *columns*. What has no Arrow type, such as numbers among text, stands there as text."""
    return pl.from_arrow(without_extensions(table_of_columns(columns)))
