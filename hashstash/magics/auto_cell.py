"""One plain cell under ``%stash auto``: restore it, or let the shell run it and record that."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

from hashstash.cells import aftermath, automatic
from hashstash.cells.aftermath import Aftermath
from hashstash.cells.report import PackageMissing
from hashstash.cells.why import failure
from hashstash.errors import StashError
from hashstash.magics.run_hook import show_interrupt
from hashstash.magics.typed_cell import fails, pause_for, refusal

if TYPE_CHECKING:
    from hashstash.cells.run import CellRun
    from hashstash.magics.auto import Auto
    from hashstash.magics.run_hook import Native

logger = logging.getLogger(__name__)

FIRST_LOOK = 0.5
"""Seconds that looking at the inputs of a cell may take of which it is not known that it is quick."""
_QUICK_LOOK = 0.05
"""Seconds that it may take where the cell was quick the last time."""
_DEAR = 0.05
"""Seconds of looking from which on it is noted how long the cell took."""


class Attempt:
    """One cell that may be restored or recorded."""

    def __init__(self, auto: Auto, run: CellRun, result: Any, *, is_wanted: bool) -> None:
        self.auto = auto
        self.cell_run = run
        self.result = result
        self.is_wanted = is_wanted
        """Whether the cell asks to be recorded, whatever it took."""
        self._was_begun = False

    async def run(self, native: Native) -> Any:
        """Restore the cell, or let the shell run it and record that; returns what the shell's method does: whether it failed.

        An interrupt outside the cell's own code is passed on.
        """
        try:
            return await self._run(native)
        except asyncio.CancelledError as error:
            return show_interrupt(self.cell_run.shell, self.result, error)
        except PackageMissing as error:
            self.auto.remember(self.cell_run.report)
            told = refusal(self.cell_run, error, "a comment `# stash: off` in the cell runs it all the same")
            return fails(self.cell_run, self.result, told)
        except Exception as error:  # ours: the cell must not suffer from it
            logger.debug("recording a cell failed", exc_info=True)
            self.cell_run.report.warnings.append(f"the cell was not recorded: {type(error).__name__}: {error}")
        finally:
            try:
                self.cell_run.close()
            except KeyboardInterrupt:  # wherever it came, even before the first line
                self.cell_run.close()
                raise
        failed = False if self._was_begun else await native()
        self.auto.tell(self.cell_run.report)
        return failed

    async def _run(self, native: Native) -> Any:
        run = self.cell_run
        self._set_budget()
        for pause in run.waits():
            await pause_for(pause, run, self.result)
        if run.is_settled:
            self._tell()
            return False
        before = Aftermath.look(run.shell.user_ns)
        files = aftermath.listing(os.curdir) if automatic.runs_commands(run.cell) else {}
        run.begin()
        self._was_begun = True
        if await native():
            run.report.reason = failure(self.result.error_in_exec)
            self.auto.remember(run.report)
            return True
        run.value = self.result.result
        run.finish()
        self._store(before, files)
        self._note_times()
        self._tell()
        return False

    def _tell(self) -> None:
        self.auto.tell(self.cell_run.report, is_wanted=self.is_wanted)

    # -- how long looking may take

    def _set_budget(self) -> None:
        run = self.cell_run
        known = None if self.is_wanted else self._times()
        if known is not None:
            is_quick = known < run.options.min_seconds
            run.budget.seconds = _QUICK_LOOK if is_quick else max(known, FIRST_LOOK)

    def _times(self) -> float | None:
        """How long the cell took when it ran last and looking at its inputs was dear."""
        try:
            known = self.auto.rows().stash.get(("times", self.cell_run.cell.digest))
        except (StashError, OSError) as error:
            logger.debug("no times: %s", error)
            return None
        return float(known) if isinstance(known, int | float) else None

    def _note_times(self) -> None:
        run = self.cell_run
        if self.is_wanted or (run.budget.used < _DEAR and not run.budget.was_spent):
            return
        try:
            self.auto.rows().stash[("times", run.cell.digest)] = run.report.run_seconds
        except (StashError, OSError) as error:
            logger.debug("times not noted: %s", error)

    # -- recording

    def _store(self, before: Aftermath, files: dict[str, aftermath.Stat] | None) -> None:
        run = self.cell_run
        is_long = run.report.run_seconds >= run.options.min_seconds
        reason = self._reason_not_to_store(before, files) if is_long and not self.is_wanted else None
        if reason is None:
            run.store()
        elif not run.report.reason:
            run.report.reason = f"the cell {reason}"

    def _reason_not_to_store(self, before: Aftermath, files: dict[str, aftermath.Stat] | None) -> str | None:
        run = self.cell_run
        reason = before.what_stays(run.calls)
        if reason is not None:
            return reason
        if run.shows_live_widgets or aftermath.is_live_widget(run.value):
            return "shows a live widget"
        if not automatic.runs_commands(run.cell):
            return None
        now = aftermath.listing(os.curdir)
        if files is None or now is None:
            return "runs commands in a folder with very many files"
        unheard = (files.keys() | now.keys()) - run.written_files
        changed = sorted(path for path in unheard if files.get(path) != now.get(path))
        if changed:
            return f"runs commands, and {os.path.basename(changed[0])} changed meanwhile"
        run.depends_on(files)
        return None
