"""``%stash ls``, ``info`` and ``get``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.cells.inputs import Inputs

if TYPE_CHECKING:
    from argparse import Namespace

    from hashstash.magics.stash_cell import StashMagics


def ls(magics: StashMagics, parsed: Namespace) -> Any:
    """The table, or the data frame."""
    listing = magics.stashes(parsed).ls(parsed.name)
    return listing.df if parsed.df else listing


def info(magics: StashMagics, parsed: Namespace) -> Any:
    """What is known of a stash, or of a record."""
    report = magics.reports.get(parsed.name)
    return magics.stashes(parsed).info(parsed.name, parsed.record, code=report.code if report else None)


def get(magics: StashMagics, parsed: Namespace) -> Any:
    """The value."""
    inputs = Inputs(magics.shell)
    return magics.stashes(parsed).get(parsed.name, parsed.variable, parsed.record, inputs=inputs)
