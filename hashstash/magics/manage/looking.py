"""``%stash ls``, ``info``, ``why`` and ``get``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from hashstash.cells.inputs import Inputs
from hashstash.cells.why import told
from hashstash.magics import status

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


def why(magics: StashMagics, parsed: Namespace) -> None:
    """Say why the last cell ran."""
    name = parsed.name or ""
    report = magics.reports.get(name)
    if report is None:
        known = sorted(filter(None, magics.reports))
        ran = f"; those that ran: {', '.join(known)}" if known else ""
        raise UsageError(f"no %%stash {name or 'cell'} has run in this session{ran}")
    lines = [f"stash {report.name}: the last cell was {'restored' if report.outcome == 'hit' else 'run'}"]
    for reason, details in told(report.why, report.evidence, code=report.code):
        lines += [f"  because {reason}", *(f"    {line}" for line in details)]
    lines += [f"  not cached: {report.reason}"] if report.reason else []
    status.publish(magics.shell, lines + [f"  warning: {warning}" for warning in report.warnings], command="why")
