"""``%stash auto``: plain cells are recorded when they took long, and restored when nothing that they depend on changed.

The shell runs the cell itself; see :mod:`hashstash.magics.run_hook`.

Nothing is ever taken from a record whose facts do not hold, and nothing is recorded whose facts were not looked at before it
ran. What that costs: every cell that may be recorded has its inputs hashed before it runs, some 0.5 s per GB of arrays. For a
cell that nobody has seen yet this is given up after half a second, for one that was quick the last time after a twentieth; it
then runs unrecorded. If it turns out to take long, that is noted, and the next time looking may take as long as the run did.
"""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument

from hashstash.cells import automatic
from hashstash.cells.budget import Budget
from hashstash.cells.options import CellOptions
from hashstash.cells.run import CellRun
from hashstash.magics import status
from hashstash.magics.auto_cell import FIRST_LOOK, Attempt
from hashstash.magics.traits import seconds_of
from hashstash.wording import counted, duration, parse_size, size_text

if TYPE_CHECKING:
    from argparse import Namespace

    from hashstash.cells.report import Report
    from hashstash.cells.rows import Rows
    from hashstash.magics.stash_cell import StashMagics

logger = logging.getLogger(__name__)

_CELL_MAGIC = re.compile(r"\s*%%(\S*)")


@dataclass(frozen=True, slots=True)
class AutoOptions:
    """What is recorded."""

    min_seconds: float
    max_size: int
    """Bytes of variables."""
    skip: frozenset[str]
    """Tags of cells that are left alone, where the front end sends them."""
    quiet: bool = False
    verbose: bool = False


@dataclass(slots=True)
class Tally:
    """What has happened in this session."""

    recorded: int = 0
    restored: int = 0
    saved: float = 0.0
    """Seconds that the restored cells took when they ran."""


class Auto:
    """Recording of plain cells in one shell; off until :meth:`turn_on`."""

    def __init__(self, magics: StashMagics) -> None:
        self.magics = magics
        self.shell = magics.shell
        self._chosen: dict[str, Any] | None = None
        self.tally = Tally()
        self._warned: set[str] = set()

    def turn_on(self, **chosen: Any) -> None:
        """Record from the next cell on, with these options; what is not among them is as ``%config`` says, then and later."""
        self._chosen = chosen

    def turn_off(self) -> None:
        """Leave all cells alone from the next one on; records stay."""
        self._chosen = None

    @property
    def options(self) -> AutoOptions | None:
        """What is recorded; ``None`` while it is off."""
        if self._chosen is None:
            return None
        settings = self.magics
        sizes = {"min_seconds": seconds_of(settings.auto_min), "max_size": int(parse_size(settings.auto_max_size))}
        return AutoOptions(**{**sizes, "skip": settings.auto_tags, **self._chosen})

    def state(self) -> list[str]:
        """Whether it is on, what that means, and what has happened, as lines for people."""
        if self.options is None:
            return ["stash auto: off; write %stash auto to record cells that take long"]
        options, tally = self.options, self.tally
        line = (
            f"stash {self.magics.default_name}: auto is on: cells that take longer than {duration(options.min_seconds)}"
        )
        line += (
            f" are recorded, up to {size_text(options.max_size)} each; a comment `# stash: off` in a cell leaves it out"
        )
        if options.skip:
            line += f", and so does the tag {' or '.join(sorted(options.skip))}"
        lines = [line]
        if tally.recorded or tally.restored:
            saved = f", which took {duration(tally.saved)} when they ran" if tally.restored else ""
            lines.append(f"{tally.recorded} recorded, {counted(tally.restored, 'cell')} restored{saved}")
        return lines

    # -- a cell

    def wants(self, _nodes: Any, /) -> bool:
        """Whether plain cells are recorded."""
        return self._chosen is not None

    def attempt(self, _nodes: Any, _cell_name: str, result: Any, /) -> Attempt | None:
        """The attempt to restore or record this cell, or ``None`` if it is left alone."""
        options = self.options
        assert options is not None
        text = result.info.raw_cell
        magic = _CELL_MAGIC.match(text)
        if magic is not None and magic[1] not in automatic.CELL_MAGICS:
            return None
        name = self.magics.default_name
        cell_options = CellOptions(
            name=name,
            min_seconds=options.min_seconds,
            max_size=options.max_size,
            shows_value=True,
            quiet=options.quiet,
            max_output=self.magics.most_output,
        )
        try:
            run = CellRun(self.shell, text, cell_options, self.rows, Budget(FIRST_LOOK))
        except Exception:  # somebody's transformer that cannot be called twice, a tree too deep to be walked
            logger.debug("a cell is left alone", exc_info=True)
            return None
        said = automatic.comment_says(run.cell.source)
        if said not in (None, "on", "off"):
            run.report.warnings.append(f"`# stash: {said}` means nothing here; write on or off")
        if said == "on":
            run.options = replace(cell_options, min_seconds=0.0, max_size=None)
            run.budget.seconds = math.inf
            return Attempt(self, run, result, is_wanted=True)
        reason = self._reason_to_run(run, said, options)
        if reason is None:
            return Attempt(self, run, result, is_wanted=False)
        if not reason.endswith("holds %stash"):
            run.report.reason = reason
            self.remember(run.report)
            if options.verbose:
                status.publish(self.shell, [f"stash {name}: left alone: {reason}"], outcome="not stored", name=name)
        return None

    def _reason_to_run(self, run: CellRun, said: str | None, options: AutoOptions) -> str | None:
        if said == "off":
            return "the cell says `# stash: off`"
        tags = sorted(options.skip.intersection(tags_of(self.shell)))
        if tags:
            return f"the cell has the tag {tags[0]}"
        reason = automatic.reason_to_run(run.cell, self.shell.user_ns)
        return f"the cell {reason}" if reason else None

    def rows(self) -> Rows:
        """The records of the notebook's own stash."""
        return self.magics.open(self.magics.default_name)

    def remember(self, report: Report) -> None:
        """Keep what happened for ``%stash why``."""
        self.magics.reports[report.name] = self.magics.reports[""] = report

    def tell(self, report: Report, *, is_wanted: bool = False) -> None:
        """Show what happened to a cell, where that is news: restored, recorded, or a warning that was not yet given."""
        options = self.options
        self.remember(report)
        if report.outcome == "hit":
            self.tally.restored += 1
            self.tally.saved += report.run_seconds
        self.tally.recorded += report.outcome == "stored"
        shown = replace(report, warnings=[text for text in report.warnings if text not in self._warned])
        self._warned.update(report.warnings)
        if options is not None and options.quiet:
            level = "none"
        elif options is not None and options.verbose:
            level = "full"
        else:
            level = self.magics.status if is_wanted or report.outcome != "not stored" else "none"
        status.show(self.shell, shown, level)


def tags_of(shell: Any) -> list[str]:
    """The tags of the cell that is running, where the front end sends them with it (JupyterLab and Notebook do)."""
    get_parent = getattr(getattr(shell, "kernel", None), "get_parent", None)
    parent = get_parent("shell") if get_parent is not None else None
    metadata = parent.get("metadata") if isinstance(parent, dict) else None
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


# -- the line


ARGUMENTS = [
    argument(
        "--min", metavar="TIME", help="Record cells that take longer than this. Default: the setting auto_min, 1s."
    ),
    argument(
        "--max-size", metavar="SIZE", help="Record at most so many bytes of variables. Default: auto_max_size, 500 MB."
    ),
    argument(
        "--skip",
        metavar="TAG",
        action="append",
        help="Leave cells with this tag alone; may be repeated. Default: auto_skip.",
    ),
    argument("--off", action="store_true", help="Leave all cells alone; what was recorded stays."),
    argument("-q", "--quiet", action="store_true", help="No status lines."),
    argument("-v", "--verbose", action="store_true", help="Say of every cell what happened, and why."),
]


def command(magics: StashMagics, parsed: Namespace) -> None:
    """Carry out ``%stash auto``: without flags it turns recording on, or says how it stands if it is on."""
    given = {name for name, value in vars(parsed).items() if value}
    if parsed.off and given != {"off"}:
        raise UsageError("%stash auto: --off takes no other flags")
    auto = magics.auto
    if parsed.off:
        auto.turn_off()
    elif given or auto.options is None:
        auto.turn_on(**_chosen(parsed))
    status.publish(magics.shell, auto.state(), command="auto")


def _chosen(parsed: Namespace) -> dict[str, Any]:
    if parsed.quiet and parsed.verbose:
        raise UsageError("%stash auto: --quiet and --verbose exclude one another")
    found: dict[str, Any] = {"quiet": parsed.quiet, "verbose": parsed.verbose}
    if parsed.skip:
        found["skip"] = frozenset(parsed.skip)
    for flag, name, text, parse in (
        ("--min", "min_seconds", parsed.min, seconds_of),
        ("--max-size", "max_size", parsed.max_size, parse_size),
    ):
        try:
            if text is not None:
                found[name] = parse(text)
        except (ValueError, TypeError) as error:
            raise UsageError(f"%stash auto: {flag}: {error}") from error
    return found
