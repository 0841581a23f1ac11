"""From a cell's text to its value: look up, restore; or run, record, store."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from hashstash.cells.before import Before
from hashstash.cells.budget import Budget, OutOfTime
from hashstash.cells.cell import Cell
from hashstash.cells.inputs import Inputs
from hashstash.cells.listening import Listening
from hashstash.cells.not_stored import NotStored
from hashstash.cells.record import Run
from hashstash.cells.report import NothingStored, PackageMissing, Report
from hashstash.cells.restore import Restorer, Unusable
from hashstash.cells.turns import Turn, turn_for, until_ours
from hashstash.cells.why import NEW_CODE, Evidence
from hashstash.decoding import UnknownCodec
from hashstash.errors import BadEntry, MissingDependency, NewerFormat, StashError
from hashstash.wording import duration, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hashstash.cells.options import CellOptions
    from hashstash.cells.recorded import Record, Row
    from hashstash.cells.rows import Rows
    from hashstash.cells.shell import Shell

logger = logging.getLogger(__name__)

_UNUSED = "the stash could not be used: "
_STAYS = "what a newer hashstash has stored of this cell stays, and this run is not stored"
_MOST_COMPARED = 3
"""A miss is explained by the nearest of so many of the newest records."""


class CellRun:
    """One execution of a ``%%stash`` cell."""

    def __init__(
        self,
        shell: Shell,
        text: str,
        options: CellOptions,
        open_rows: Callable[[], Rows],
        budget: Budget | None = None,
    ) -> None:
        self.shell = shell
        self.options = options
        self.budget = budget or Budget(math.inf)
        self.report = Report(options.name, code=text)
        self.cell = Cell.parse(shell, text)
        self.value: Any = None
        self.is_settled = False
        """Whether nothing is to be run: everything was restored, or was only to be looked at."""
        self._open_rows = open_rows
        self._rows: Rows | None = None
        self._inputs: Inputs | None = None
        self._before: Before | None = None
        self._turn: Turn | None = None
        self._listening: Listening | None = None
        self._stays = False
        """Whether what is stored is left to those who can read it, and nothing is stored in its place."""

    def waits(self) -> Iterator[float]:
        """Look the cell up, and unless it is settled by that, get the right to run it: gives seconds to pause meanwhile."""
        self._settle()
        if self.is_settled:
            return
        self._look()
        turn = self._turn = self._find_turn()
        if turn is None or self._is_ours_at_once(turn) or not self._would_wait(turn):
            return
        yield from until_ours(turn, self.shell, self.options.name, is_quiet=self.options.quiet)
        self._settle_anew()

    def _settle(self) -> None:
        self.is_settled = self.restores() or self.options.dry_run

    def _settle_anew(self) -> None:
        """Variables and files may have changed meanwhile, so that everything is looked at again."""
        self.report.why.clear()
        self.report.evidence = None
        self._settle()
        if not self.is_settled:
            self._look()

    def _find_turn(self) -> Turn | None:
        if self._rows is None or self._before is None:
            return None
        return turn_for(self._rows.stash.store.engine, self._before)

    def _is_ours_at_once(self, turn: Turn) -> bool:
        try:
            is_ours = turn.take()
            has_news = is_ours and not self.options.force and self._has_news()
        except (StashError, OSError) as error:
            logger.debug("no turn: %s", error)
            return True
        if has_news:
            self._settle_anew()  # somebody has stored it since we looked
        return is_ours

    def _has_news(self) -> bool:
        assert self._rows is not None
        try:
            return self._rows.has_news(self.cell.digest)
        except BadEntry:
            return False  # it could not be read when we looked, either

    def _would_wait(self, turn: Turn) -> bool:
        return self.options.waits and not self.options.force and turn.may_be_waited_for

    def restores(self) -> bool:
        """Look the cell up; on a hit bring everything back and return true, with the last value in ``value``."""
        started = time.perf_counter()
        try:
            self._rows, self._inputs = self._open_rows(), Inputs(self.shell, check=self.budget.checker)
            self.budget.start()
            record = None if self.options.force else self._found(started)
        except PackageMissing:
            raise
        except OutOfTime as error:
            self.report.reason = str(error)
            self._inputs = record = None
        except Exception as error:
            logger.debug("lookup failed", exc_info=True)
            self._warn(_UNUSED + _told(error))
            record = None
        if record is None and self.options.force:
            self.report.why.append("--force was given")
        if record is None and self.options.read_only:
            raise NothingStored(
                f"nothing stored fits this cell: {'; '.join(self.report.why or self.report.warnings)};"
                " run it without --read first"
            )
        if record is None and self.options.dry_run:
            self.report.outcome = "would run"
        return record is not None

    def _found(self, started: float) -> Record | None:
        try:
            return self._find(started)
        except MissingDependency as error:
            raise PackageMissing(f"what is stored of this cell cannot be read: {error}") from error

    def _find(self, started: float) -> Record | None:
        """The first record that holds, already restored unless this is a dry run."""
        assert self._rows is not None
        assert self._inputs is not None
        why: list[str] = []
        nearest, compared = None, 0
        for row in self._rows_of_code():
            if (len(why) == 1 or compared == _MOST_COMPARED) and row.surely_differs(self._inputs, self.options):
                continue
            record = row.record()
            differences = self._differences(record)
            first = next(differences, None)
            if first is None and self._use(record, started):
                return record
            if first is not None and compared < _MOST_COMPARED:
                compared += 1
                others = [first, *islice(differences, len(why) - 1 if why else None)]  # with as many it is no nearer
                if not why or len(others) < len(why):
                    why, nearest = others, record
        if nearest is not None:
            self.report.why += why
            self.report.evidence = Evidence.look(self._rows, nearest, self._inputs, why)
        elif not self.report.warnings:
            self.report.why.append(NEW_CODE)
            self.report.evidence = Evidence(self._rows)
        return None

    def _rows_of_code(self) -> list[Row]:
        assert self._rows is not None
        try:
            return self._rows.rows_of_code(self.cell.digest)
        except (NewerFormat, UnknownCodec) as error:
            self._leave(error.__cause__ or error)
        except BadEntry as error:
            what = "what is stored of this cell cannot be read, so that it runs and is stored anew"
            self._warn(f"{what}: {error.__cause__ or error}")
        return []

    def _leave(self, error: BaseException) -> None:
        self._stays = True
        self._warn(f"{error}; {_STAYS}")

    def _differences(self, record: Record) -> Iterator[str]:
        assert self._inputs is not None
        if record.is_expired:
            yield "the record's time to live is over"
        lacking = sorted(name for name in record.missing if self.options.keeps(name))
        if lacking:
            yield f"{', '.join(f'`{name}`' for name in lacking)} was left out when the cell was stored"
        yield from record.facts.differences(self._inputs, self.options)

    def _use(self, record: Record, started: float) -> bool:
        assert self._rows is not None
        assert self._inputs is not None
        report = self.report
        self.budget.stop()
        if not self.options.dry_run:
            try:
                restored = Restorer(self._rows, self.cell, record, self._inputs, self.options).restore()
            except Unusable as error:
                if isinstance(error.__cause__, NewerFormat):
                    self._leave(error)
                else:
                    self._warn(str(error))
                return False
            self.value, report.hidden_displays = restored.value, restored.hidden_displays
            if restored.warning:
                self._warn(restored.warning)
        report.outcome = "would hit" if self.options.dry_run else "hit"
        report.variables = [name for name in record.variables if self.options.keeps(name)]
        report.size, report.run_seconds, report.created_at = record.size, record.seconds, record.created_at
        report.restore_seconds = time.perf_counter() - started
        return True

    def begin(self) -> None:
        """Listen from now on to what the cell does, if it can be stored."""
        self.budget.stop()
        if self._before is not None:
            self._before.summarise()
            self._listening = Listening(self.shell, self._own_folders(), max_output=self.options.max_output)
            self._listening.start()
        self._started = time.perf_counter()

    def finish(self) -> None:
        """The cell has run to its end: wait for what it has started, and stop listening."""
        if self._listening is not None:
            self._listening.finish(is_value_shown=self.options.shows_value)
            self._listening.stop()
        self.report.run_seconds = time.perf_counter() - self._started

    def close(self) -> None:
        """Leave everything as it was, and let others run the cell. May be called again, as often as one likes."""
        if self._listening is not None:
            self._listening.stop()
        if self._turn is not None:
            self._turn.give_back()

    def keep_value(self) -> None:
        """Show the last value, if there is one yet, before an interrupt comes between it and the shell."""
        value, self.value = self.value, None
        if value is not None:
            sys.displayhook(value)

    @property
    def calls(self) -> frozenset[str]:
        """The names that the user's functions call which the cell reached before it ran."""
        return frozenset() if self._before is None else frozenset(self._before.callees.calls)

    @property
    def shows_live_widgets(self) -> bool:
        """Whether the cell displayed a widget that is more than a progress bar."""
        return self._listening is not None and self._listening.recorder.shows_live_widgets()

    @property
    def written_files(self) -> frozenset[str]:
        """The files that the cell opened for writing."""
        return frozenset() if self._listening is None else frozenset(self._listening.watch.written)

    def depends_on(self, files: Mapping[str, tuple[int, int]]) -> None:
        """Take these files, with their size and time, for inputs that the cell may have read unheard."""
        if self._before is not None:
            self._before.mentioned_files.update(files)

    def _own_folders(self) -> tuple[str, ...]:
        return (self._rows.stash.config.root_dir,) if self._rows is not None else ()

    def _look(self) -> None:
        self._before = None
        if self._inputs is None:
            return
        self.report.reason = ""
        try:
            before = Before.look(self.cell, self.options, self._inputs)
        except Exception as error:
            logger.debug("looking at the inputs failed", exc_info=True)
            self.report.reason = f"the inputs could not be looked at: {_told(error)}"
            return
        volatile = before.volatile()
        if volatile:
            self.report.reason = "; ".join(volatile[:3])
        else:
            self._before = before

    def store(self) -> None:
        """Store the run that was recorded. Whatever goes wrong, the cell's results stay."""
        heard = self._listening
        if heard is None or self._before is None or self._rows is None:
            return
        if self.report.run_seconds < self.options.min_seconds:
            self.report.reason = f"it took less than {duration(self.options.min_seconds)}"
            return
        if self._stays:
            return
        if self.options.shows_value and self.value is not None:
            heard.recorder.mark_value()
        try:
            if heard.figures.is_hidden(seen.value for seen in self._before.seen):
                raise NotStored("it draws on a figure that was open before, to which none of its variables leads")
            fresh, seconds = heard.fresh.looked, self.report.run_seconds
            made = Run(self._before, heard.recorder, heard.watch, fresh, self.value, seconds).make()
            if self.options.max_size is not None and made.record.size > self.options.max_size:
                sizes = f"{size_text(made.record.size)}, more than {size_text(self.options.max_size)}"
                raise NotStored(f"its variables take {sizes}")
            self._rows.add(self.cell.digest, made.record, made.outputs, made.variables)
        except NotStored as error:
            self.report.reason = str(error)
        except NewerFormat as error:  # nobody has looked before
            self._leave(error)
        except Exception as error:
            logger.debug("storing failed", exc_info=True)
            told = _told(error)
            if _UNUSED + told not in self.report.warnings:  # a server that was not there before
                self._warn(f"the results are here, but were not stored: {told}")
        else:
            self.report.outcome = "stored"
            self.report.variables = list(made.record.variables)
            self.report.size = made.record.size
            before, meant = self._before, self._before.names.touched | self.shell.user_ns.keys()
            for text in self.options.unknown(before.current_variables(), meant):
                self._warn(text)

    def _warn(self, text: str) -> None:
        if text not in self.report.warnings:  # many records may have the same fault
            self.report.warnings.append(text)


def _told(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return str(error) if isinstance(error, StashError) else f"{type(error).__name__}: {error}"


def run_cell(run: CellRun) -> Any:
    """Restore the cell or run it, and return the value of its last expression."""
    __tracebackhide__ = True  # for debuggers: they go from the cell to whoever called it
    try:
        for pause in run.waits():
            time.sleep(pause)
        if not run.is_settled:
            run.begin()
            run.value = run.cell.run()
            run.finish()
            run.store()
    except KeyboardInterrupt:
        run.keep_value()
        raise
    finally:
        try:
            run.close()
        except KeyboardInterrupt:  # wherever it came, even before the first line
            run.close()
            run.keep_value()
            raise
    return run.value


async def run_cell_async(run: CellRun) -> Any:
    """The same for a cell with ``await`` at its top, inside the shell's event loop."""
    __tracebackhide__ = True
    try:
        for pause in run.waits():
            await asyncio.sleep(pause)
        if not run.is_settled:
            run.begin()
            run.value = await run.cell.run_async()
            run.finish()
            run.store()
    except (KeyboardInterrupt, asyncio.CancelledError):
        run.keep_value()
        raise
    finally:
        try:
            run.close()
        except KeyboardInterrupt:
            run.close()
            run.keep_value()
            raise
    return run.value
