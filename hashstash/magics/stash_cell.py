"""``%%stash``: parse the line, run or restore the cell, show what happened."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand
from traitlets import Enum, Unicode

from hashstash.cells.cell import kind_of
from hashstash.cells.rows import Rows
from hashstash.cells.run import CellRun, NothingStored, Report, run_cell, run_cell_async
from hashstash.errors import MissingDependency, StashError, UnknownPlugin, UnsafeName
from hashstash.magics import arguments, manage, stash_map_line, status
from hashstash.settings import load_settings
from hashstash.stash import HashStash

if TYPE_CHECKING:
    from argparse import Namespace
    from types import TracebackType

FOLDER = "cells"
RUN_ASYNC = "_hashstash_run"
_FIRST_LINE = re.compile(r"%%stash(?:\s+(.*))?$")


@magics_class
class StashMagics(Magics):  # type: ignore[misc]
    """``%%stash``, ``%stash`` and ``%stash_map``."""

    status = Enum(status.LEVELS, default_value="line", help="What is shown below a cell: full, line or none.").tag(
        config=True
    )
    root = Unicode("", help="The folder that holds the stashes; empty for the user's cache.").tag(config=True)
    engine = Unicode("", help="The storage engine; empty for the best that is installed.").tag(config=True)
    serializer = Unicode("", help="The serializer; empty for hashstash.").tag(config=True)
    compress = Unicode("", help="The compressor; empty for the best that is installed.").tag(config=True)

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        chosen = load_settings().status
        if chosen and chosen not in status.LEVELS:
            raise StashError(f"the setting status is {chosen!r}; known: {', '.join(status.LEVELS)}")
        if chosen:
            self.status = chosen
        self.reports: dict[str, Report] = {}
        self._known_kind = "", "plain"

    @no_var_expand  # type: ignore[untyped-decorator]
    @cell_magic("stash")  # type: ignore[untyped-decorator]
    @arguments.cell_arguments
    def stash_cell(self, line: str, cell: str) -> Any:
        """Remember this cell: it runs once; then its variables and outputs come back until something it uses changes.

        Inputs are the cell's code, the variables and functions it uses (and what those use), files it reads, and modules
        of yours that it imports. Comments and formatting do not count. Errors are never stored.
        """
        run = self._start(line, cell)
        if run is None:
            return None
        try:
            value = run_cell(run)
        except BaseException as error:
            self._failed(run, error)
            raise
        self._finished(run)
        return value

    async def run_async(self, line: str, cell: str) -> Any:
        """``%%stash`` for a cell that awaits."""
        run = self._start(line, cell)
        if run is None:
            return None
        try:
            value = await run_cell_async(run)
        except BaseException as error:
            self._failed(run, error)
            raise
        self._finished(run)
        return value

    @no_var_expand  # type: ignore[untyped-decorator]
    @line_magic("stash")  # type: ignore[untyped-decorator]
    def stash_line(self, line: str) -> Any:
        """Look at the stashes of ``%%stash`` cells, and clear them.

        ``%stash`` lists the stashes, ``%stash ls NAME`` the records of one, ``%stash why [NAME]`` says why a cell ran
        last time, ``%stash clear NAME [--older 7d]`` removes records, ``%stash trust NAME`` signs the records of others
        with your key, so that they may do what your own may: run code, show HTML, change objects.
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
        return Rows(self.stash_of(name, parsed))

    def stash_of(self, name: str, parsed: Namespace | None = None) -> HashStash:
        """One named stash, as the flags and the configuration say."""
        root = getattr(parsed, "root", None) or self.root
        chosen: dict[str, Any] = {
            key: getattr(parsed, key, None) or getattr(self, key) or None
            for key in ("engine", "serializer", "compress")
        }
        return HashStash(folder_of(root), dbname=name, **chosen)

    def _start(self, line: str, cell: str) -> CellRun | None:
        if arguments.wants_help(line):
            print(type(self).stash_cell.__doc__)  # noqa: T201 - the answer to --help
            return None
        parsed = arguments.parse(type(self).stash_cell, line)
        options = arguments.options_of(parsed)
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

    def _failed(self, run: CellRun, error: BaseException) -> None:
        if isinstance(error, NothingStored):
            raise UsageError(str(error)) from None
        show_only_cell(self.shell, error)
        self.reports[run.options.name] = run.report

    def _finished(self, run: CellRun) -> None:
        self.reports[run.options.name] = self.reports[""] = run.report
        options = run.options
        level = "full" if options.verbose or options.dry_run else "none" if options.quiet else self.status
        status.show(self.shell, run.report, level)

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

    def _kind_of(self, body: str) -> str:
        """The shell transforms a cell several times: the answer for the last one is kept."""
        if self._known_kind[0] != body:
            self._known_kind = body, kind_of(self.shell, body)
        kind = self._known_kind[1]
        return "plain" if kind == "awaits" and not self.shell.autoawait else kind


def folder_of(root: str) -> str:
    """The folder of all cell stashes, below the given root or the user's cache."""
    return os.path.join(os.path.abspath(os.path.expanduser(root)), FOLDER) if root else FOLDER


def show_only_cell(shell: Any, error: BaseException) -> None:
    """Make the shell show the traceback from the cell's own frame on, without the frames of the magic above it."""
    if stash_map_line.shows_only_line(error):
        return
    trace: TracebackType | None = error.__traceback__
    is_below_ours = False
    while trace is not None and not (is_below_ours and trace.tb_frame.f_globals is shell.user_ns):
        is_below_ours = str(trace.tb_frame.f_globals.get("__name__", "")).startswith("hashstash.cells")
        trace = trace.tb_next
    if trace is None or isinstance(error, SyntaxError | UsageError):
        return

    def render() -> Any:
        return shell.InteractiveTB.structured_traceback(type(error), error, trace, tb_offset=0)

    try:
        error._render_traceback_ = render  # type: ignore[attr-defined]
    except (AttributeError, TypeError):  # an exception with slots: its traceback shows our frames too
        return
