"""From a cell's text to its value: look up, restore; or run, record, store. What happened is told in a
:class:`Report`.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hashstash.cells.before import Before
from hashstash.cells.capture import Recorder
from hashstash.cells.cell import Cell
from hashstash.cells.inputs import Inputs
from hashstash.cells.maps import StartedMaps
from hashstash.cells.readers import hearing_readers
from hashstash.cells.record import NotStored, Run
from hashstash.cells.restore import Restorer, Unusable
from hashstash.cells.watch import Watch
from hashstash.errors import BadEntry, StashError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.cells.options import CellOptions
    from hashstash.cells.rows import Record, Rows
    from hashstash.cells.shell import Shell

logger = logging.getLogger(__name__)

_MOST_COMPARED = 3
"""A miss is explained by the nearest of so many of the newest records."""


class NothingStored(StashError, LookupError):
    """The cell was only to be read from its stash, and there is nothing that fits."""


@dataclass(slots=True)
class Report:
    """What happened to one cell."""

    name: str
    outcome: Literal["hit", "stored", "not stored", "would hit", "would run"] = "not stored"
    reason: str = ""
    """Why the run was not stored."""
    why: list[str] = field(default_factory=list)
    """Why there was no hit."""
    warnings: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    size: int = 0
    """Bytes of the variables as encoded."""
    run_seconds: float = 0.0
    restore_seconds: float = 0.0
    created_at: float = 0.0
    hidden_displays: int = 0


class CellRun:
    """One execution of a ``%%stash`` cell."""

    def __init__(self, shell: Shell, text: str, options: CellOptions, open_rows: Callable[[], Rows]) -> None:
        self.shell = shell
        self.options = options
        self.report = Report(options.name)
        self.cell = Cell.parse(shell, text)
        self.value: Any = None
        self._open_rows = open_rows
        self._rows: Rows | None = None
        self._inputs: Inputs | None = None
        self._before: Before | None = None
        self._recorded: tuple[Recorder, Watch] | None = None

    def restores(self) -> bool:
        """Look the cell up; on a hit bring everything back and return true, with the last value in ``value``."""
        started = time.perf_counter()
        try:
            self._rows, self._inputs = self._open_rows(), Inputs(self.shell)
            record = None if self.options.force else self._find(started)
        except Exception as error:
            logger.debug("lookup failed", exc_info=True)
            self._warn(f"the stash could not be used: {_told(error)}")
            record = None
        if record is None and self.options.force:
            self.report.why.append("--force was given")
        if record is None and self.options.read_only:
            raise NothingStored(
                f"nothing stored fits this cell: {'; '.join(self.report.why)}; run it without --read first"
            )
        if record is None and self.options.dry_run:
            self.report.outcome = "would run"
        return record is not None

    def _find(self, started: float) -> Record | None:
        """The first record that holds, already restored unless this is a dry run."""
        misses: list[list[str]] = []
        for record in self._records():
            differences = self._differences(record)
            first = next(differences, None)
            if first is None and self._use(record, started):
                return record
            if first is not None and len(misses) < _MOST_COMPARED:
                misses.append([first, *differences])
        self.report.why += (
            _shortest(misses) if misses else [] if self.report.warnings else ["this code has not run before"]
        )
        return None

    def _records(self) -> list[Record]:
        assert self._rows is not None
        try:
            return self._rows.of_code(self.cell.digest)
        except BadEntry as error:
            self._warn(str(error))
            return []

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
        if not self.options.dry_run:
            try:
                restored = Restorer(self._rows, self.cell, record, self._inputs, self.options).restore()
            except Unusable as error:
                self._warn(str(error))
                return False
            self.value, report.hidden_displays = restored.value, restored.hidden_displays
        report.outcome = "would hit" if self.options.dry_run else "hit"
        report.variables = [name for name in record.variables if self.options.keeps(name)]
        report.size, report.run_seconds, report.created_at = record.size, record.seconds, record.created_at
        report.restore_seconds = time.perf_counter() - started
        return True

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Around the run of the cell: everything is looked at before, and listened to while it runs."""
        self._look()
        started = time.perf_counter()
        if self._before is None:
            yield
        else:
            hearing, maps = hearing_readers(self.shell.user_ns), StartedMaps()
            with Recorder(self.shell) as recorder, Watch(self._own_folders()) as watch, hearing:
                yield
                maps.wait()  # their bars belong to what the cell showed
                recorder.started_children = watch.started_children
                recorder.finish()
            self._recorded = recorder, watch
        self.report.run_seconds = time.perf_counter() - started

    def _own_folders(self) -> tuple[str, ...]:
        return (self._rows.stash.config.root_dir,) if self._rows is not None else ()

    def _look(self) -> None:
        if self._inputs is None:
            return
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
        if self._recorded is None or self._before is None or self._rows is None:
            return
        recorder, watch = self._recorded
        try:
            made = Run(self._before, recorder, watch, self.value, self.report.run_seconds).make()
            self._rows.add(self.cell.digest, made.record, made.outputs, made.variables)
        except NotStored as error:
            self.report.reason = str(error)
        except Exception as error:
            logger.debug("storing failed", exc_info=True)
            self._warn(f"the results are here, but were not stored: {_told(error)}")
        else:
            self.report.outcome = "stored"
            self.report.variables = list(made.record.variables)
            self.report.size = made.record.size

    def _warn(self, text: str) -> None:
        if text not in self.report.warnings:  # many records may have the same fault
            self.report.warnings.append(text)


def _shortest(lists: list[list[str]]) -> list[str]:
    return min(lists, key=len)


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, StashError) else f"{type(error).__name__}: {error}"


def run_cell(run: CellRun) -> Any:
    """Restore the cell or run it, and return the value of its last expression."""
    if run.restores() or run.options.dry_run:
        return run.value
    with run.recording():
        run.value = run.cell.run()
    run.store()
    return run.value


async def run_cell_async(run: CellRun) -> Any:
    """The same for a cell with ``await`` at its top, inside the shell's event loop."""
    if run.restores() or run.options.dry_run:
        return run.value
    with run.recording():
        run.value = await run.cell.run_async()
    run.store()
    return run.value
