"""``%%stash``: parse the line, run or restore the cell, show what happened."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand

from hashstash.cells.cell import kind_of
from hashstash.cells.opened import OpenStashes
from hashstash.cells.report import NothingStored, PackageMissing, Report
from hashstash.cells.run import CellRun, run_cell, run_cell_async
from hashstash.cells.why import failure
from hashstash.errors import MissingDependency, StashError, UnknownPlugin, UnsafeName
from hashstash.magics import arguments, manage, stash_map_line, status
from hashstash.magics.auto import Auto
from hashstash.magics.traits import StashTraits
from hashstash.magics.typed_cell import TypedCells, refusal

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from hashstash.cells.rows import Rows
    from hashstash.stash import HashStash

RUN_ASYNC = "_hashstash_run"
_FIRST_LINE = re.compile(r"%%stash(?:\s+(.*))?$")


@magics_class
class StashMagics(StashTraits):
    """``%%stash``, ``%stash`` and ``%stash_map``."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.reports: dict[str, Report] = {}
        self.seen_untrusted: dict[str, str] = {}
        """What ``%stash trust`` has listed in this session."""
        self.auto = Auto(self)
        self.typed_cells = TypedCells(self, RUN_ASYNC)
        self._known_kind = "", "plain"
        self._open_stashes = OpenStashes()

    @no_var_expand  # type: ignore[untyped-decorator]
    @cell_magic("stash")  # type: ignore[untyped-decorator]
    @arguments.cell_arguments
    def stash_cell(self, line: str, cell: str) -> Any:
        """Remember this cell: it runs once; then its variables and outputs come back until something it uses changes.

        Inputs are the cell's code, the variables and functions it uses (and what those use), files it reads, and modules
        of yours that it imports. Comments and formatting do not count. Errors are never stored.
        """
        run = self.start(line, cell)
        if run is None:
            return None
        with self._reported(run):
            value = run_cell(run)
        return value

    async def run_async(self, line: str, cell: str) -> Any:
        """``%%stash`` for a cell that awaits."""
        self.remember_as_typed(line, cell)
        run = self.start(line, cell)
        if run is None:
            return None
        with self._reported(run):
            value = await run_cell_async(run)
        return value

    @contextmanager
    def _reported(self, run: CellRun) -> Iterator[None]:
        """Within: the cell is restored or runs. Then what happened is kept, and shown unless the cell has failed."""
        try:
            yield
        except (NothingStored, PackageMissing) as error:
            raise refusal(run, error) from None
        except BaseException as error:
            run.report.reason = failure(error)
            raise
        finally:
            self.noted(run)
        self.tell(run)

    @no_var_expand  # type: ignore[untyped-decorator]
    @line_magic("stash")  # type: ignore[untyped-decorator]
    def stash_line(self, line: str) -> Any:
        """Look at the stashes of ``%%stash`` cells; take out, remove, trust, share.

        ``%stash`` lists the stashes, ``%stash ls NAME`` the records of one, ``%stash info NAME`` what they read and wrote,
        ``%stash why [NAME]`` says why a cell ran last time. ``%stash get NAME VARIABLE`` gives one variable, ``%stash rm NAME N``
        removes records, ``%stash clear NAME [--older 7d]`` all of them. ``%stash trust NAME`` lists what others wrote, and
        signs it with your key on demand. ``%stash export FILE`` and ``%stash import FILE`` share stashes, ``%stash use NAME``
        chooses the one for cells without a name, ``%stash config`` shows all settings. ``%stash COMMAND --help`` tells more.
        """
        return manage.command(self, line)

    @needs_local_scope  # type: ignore[untyped-decorator]
    @no_var_expand  # type: ignore[untyped-decorator]
    @line_magic("stash_map")  # type: ignore[untyped-decorator]
    @stash_map_line.map_arguments
    def stash_map(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Call FUNC with each item of ITERABLE, by all cores, each once: stored results are not computed again.

        Both are expressions with a space between them: the first space at which both sides are complete, as in
        ``results = %stash_map -j 4 f range(10)`` or ``%stash_map lambda x: x + 1 [1, 2]``. A FUNC in which that would come
        too soon goes in parentheses. Flags stand before FUNC or behind ITERABLE; a semicolon at the end hides the result.

        Gives a StashMap, which reads like a list of the results; ``.runs`` and ``.df`` tell more. A tuple is spread over the
        positional arguments, as in ``stash.map``. An interrupt stops the map and keeps what is done; ``resume()`` goes on.
        """
        return stash_map_line.run(self, line, local_ns)

    def open(self, name: str, parsed: Namespace | None = None) -> Rows:
        """The records of one named stash."""
        root, chosen = self.chosen(parsed)
        return self._open_stashes.rows(name, root, **chosen)

    def stash_of(self, name: str, parsed: Namespace | None = None) -> HashStash:
        """One named stash, as the flags and the configuration say."""
        return self.open(name, parsed).stash

    def start(self, line: str, cell: str, *, shows_value: bool = False) -> CellRun | None:
        """The run of a cell with this line above it; ``None`` if the line asks for help, which is shown.

        *shows_value*: its last value is displayed while it runs, and not given to the shell.
        """
        if arguments.wants_help(line):
            print(type(self).stash_cell.__doc__)  # noqa: T201 - the answer to --help
            return None
        parsed = arguments.parse(type(self).stash_cell, line)
        options = arguments.options_of(parsed, self.default_name)
        options = replace(options, max_output=self.most_output, shows_value=shows_value)
        if self.status == "none":
            options = replace(options, quiet=True)
        rows: list[Rows] = []
        try:
            rows.append(self.open(options.name, parsed))
        except (UnknownPlugin, UnsafeName, MissingDependency) as error:
            raise UsageError(str(error)) from None
        except (StashError, OSError) as error:
            failure = error

        def open_rows() -> Rows:
            if not rows:
                raise failure
            return rows[0]

        return CellRun(self.shell, cell, options, open_rows)

    def noted(self, run: CellRun) -> None:
        """Keep what happened for ``%stash why``."""
        self.reports[run.options.name] = self.reports[""] = run.report

    def tell(self, run: CellRun) -> None:
        """Show what happened to a cell that has not failed."""
        options = run.options
        level = "full" if options.verbose or options.dry_run else "none" if options.quiet else self.status
        status.show(self.shell, run.report, level)

    def remember_as_typed(self, line: str, cell: str) -> None:
        """Let ``In`` and ``%history`` show a cell that awaits as it was typed."""
        _remember_as_typed(self.shell.history_manager, f"%%stash {line}\n{cell}")

    def rewrite(self, lines: list[str]) -> list[str]:
        """An input transformer for ``%%stash`` cells that a magic cannot run.

        A cell with top-level ``await`` becomes one that the shell awaits. A cell that is no Python stands without its first
        line, so that the shell reports the error as it does for any cell.
        """
        first = _FIRST_LINE.match(lines[0].rstrip()) if lines else None
        body = "".join(lines[1:])
        if first is None or not body.strip() or self._kind_of(body) == "plain":
            return lines
        if self._kind_of(body) == "broken":
            return ["\n", *lines[1:]]
        return [f"await get_ipython().{RUN_ASYNC}({(first[1] or '')!r}, {body!r})\n"]

    # A shell that asks whether a cell that is being typed is complete leaves such transformers out: to it this is a cell magic,
    # which an empty line ends, and not the one complete line that it becomes.
    rewrite.has_side_effects = True  # type: ignore[attr-defined]

    def _kind_of(self, body: str) -> str:
        """The shell transforms a cell several times: the answer for the last one is kept."""
        if self._known_kind[0] != body:
            self._known_kind = body, kind_of(self.shell, body)
        kind = self._known_kind[1]
        return "plain" if kind == "awaits" and not self.shell.autoawait else kind


def _remember_as_typed(history: Any, text: str) -> None:
    """Put what was typed in place of the hidden call that awaits it: in ``In``, and for ``%recall`` and ``%rerun``."""
    hidden = f"await get_ipython().{RUN_ASYNC}("
    parsed = history.input_hist_parsed
    if not parsed or not parsed[-1].startswith(hidden):
        return
    parsed[-1] = text
    for position, (number, source, raw) in enumerate(history.db_input_cache):
        if source.startswith(hidden) and raw.rstrip() == text.rstrip():
            history.db_input_cache[position] = (number, text, raw)
