"""A map as rows: for each item its arguments by the names of their parameters, then the fields of its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.frames import flatten
from hashstash.frames.flat import free_name
from hashstash.mapping.calls import named_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashstash.frames import Row
    from hashstash.mapping.stash_map import StashMapRun

ERROR = "_error"


def rows_of(run: StashMapRun, values: Sequence[Any], parameters: Sequence[str], *, bound: int) -> Iterator[Row]:
    """The rows of one item: *values* holds its result or its exception, or nothing if it is left out.

    The first *bound* arguments, which a method is bound to, are left out; what no parameter names is ``_arg1``, ``_arg2``, ...
    """
    arguments = named_arguments(run.args[bound:], run.kwargs, parameters[bound:])
    for value in values:
        fields: list[Row] = [{ERROR: value}] if run.error is not None else flatten(value)
        for each in fields:
            row = dict(arguments)
            for name, field in each.items():
                row[free_name(name, row)] = field
            yield row
