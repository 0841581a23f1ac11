"""A ``%%stash`` cell that somebody typed: restore it, or let the shell run what stands below the magic, and record that.

Its code is in the file that the shell has named for the typed cell, in the lines in which it was typed, the magic's own line
counted. So line numbers are those that the front end shows beside the cell, in tracebacks as in syntax errors, and its
debugger stops where a breakpoint was set.

Where another magic runs the cell (``%%time`` above ``%%stash``), or code does, the magic runs it by itself, with lines
numbered below it, as ``%%time`` does.
"""

from __future__ import annotations

import ast
import asyncio
import linecache
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.error import UsageError

from hashstash.cells.cell import parse
from hashstash.cells.report import NothingStored, PackageMissing
from hashstash.cells.why import failure
from hashstash.magics import arguments
from hashstash.magics.run_hook import show_interrupt

if TYPE_CHECKING:
    from hashstash.cells.run import CellRun
    from hashstash.magics.run_hook import Native
    from hashstash.magics.stash_cell import StashMagics

_LINES_ABOVE = 1


class Call(NamedTuple):
    """What the shell makes of a cell that begins with ``%%stash``."""

    line: str
    body: str


class TypedCells:
    """Chooses the cells that begin with ``%%stash``."""

    def __init__(self, magics: StashMagics, awaits: str) -> None:
        self.magics = magics
        self._awaits = awaits
        """The hidden method that a cell which awaits is made to call."""

    def wants(self, nodes: list[ast.AST], /) -> bool:
        """Whether the parsed cell is one."""
        return self._call(nodes) is not None

    def attempt(self, nodes: list[ast.AST], cell_name: str, result: Any, /) -> TypedCell | None:
        """The attempt, or ``None`` if the magic is to say what is wrong with its line, or to help."""
        call = self._call(nodes)
        is_typed = result.info.raw_cell.lstrip().startswith("%%stash")  # and not the call of the magic as such
        if call is None or not is_typed or arguments.wants_help(call.line):
            return None
        try:
            run = self.magics.start(call.line, call.body, shows_value=True)
        except (UsageError, SyntaxError):
            return None
        self.magics.remember_as_typed(call.line, call.body)
        return None if run is None else TypedCell(self.magics, run, cell_name, result)

    def _call(self, nodes: list[ast.AST]) -> Call | None:
        node = nodes[0] if len(nodes) == 1 else None
        call = node.value if isinstance(node, ast.Expr) else None
        call = call.value if isinstance(call, ast.Await) else call
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            return None
        texts = [text.value for text in call.args if isinstance(text, ast.Constant) and isinstance(text.value, str)]
        if call.func.attr == "run_cell_magic" and texts[:1] == ["stash"]:
            texts = texts[1:]
        elif call.func.attr != self._awaits:
            return None
        return Call(*texts) if len(texts) == len(Call._fields) else None


class TypedCell:
    """One such cell."""

    def __init__(self, magics: StashMagics, run: CellRun, cell_name: str, result: Any) -> None:
        self.magics = magics
        self.cell_run = run
        self.cell_name = cell_name
        self.result = result

    async def run(self, native: Native) -> Any:
        """Restore the cell, or let the shell run it and record that; returns whether it failed."""
        run = self.cell_run
        try:
            failed = await self._run(native)
        except (NothingStored, PackageMissing) as error:
            return fails(run, self.result, refusal(run, error))
        except asyncio.CancelledError as error:
            return show_interrupt(run.shell, self.result, error)
        except Exception as error:  # noqa: BLE001 - foreign code runs below: streams, transformers, storage engines
            return fails(run, self.result, error)
        finally:
            try:
                run.close()
            except KeyboardInterrupt:  # wherever it came, even before the first line
                run.close()
                raise
            self.magics.noted(run)
        if not failed:
            self.magics.tell(run)
        return failed

    async def _run(self, native: Native) -> Any:
        run = self.cell_run
        for pause in run.waits():
            await pause_for(pause, run, self.result)
        if run.is_settled:
            return False
        nodes = self._nodes()
        run.begin()
        if await native(nodes, "none" if run.cell.is_quiet else None):
            run.report.reason = failure(self.result.error_in_exec)
            return True
        run.value = self.result.result
        run.finish()
        run.store()
        return False

    def _nodes(self) -> list[ast.AST]:
        """The code below the magic, in the lines in which it was typed."""
        shell: Any = self.cell_run.shell
        source = "\n" * _LINES_ABOVE + self.cell_run.cell.source
        _show_lines(self.cell_name, source)
        return list(shell.transform_ast(parse(shell, source)).body)


def refusal(
    run: CellRun, error: NothingStored | PackageMissing, way_out: str = "%%stash --force runs it all the same"
) -> UsageError:
    """What to tell of a cell that is neither restored nor run; *way_out*: how to run it where a package is missing."""
    run.report.outcome, run.report.reason = "would run", error.reason
    return UsageError(f"{error}; {way_out}" if isinstance(error, PackageMissing) else str(error))


def fails(run: CellRun, result: Any, error: Exception) -> bool:
    """Show an error that is not one of the cell's code as the cell's; true, since the cell has failed."""
    result.error_in_exec = error
    shell: Any = run.shell
    shell.showtraceback((type(error), error, error.__traceback__))
    return True


async def pause_for(seconds: float, run: CellRun, result: Any) -> None:
    """Wait without holding up the event loop, where the cell itself runs in one."""
    shell: Any = run.shell
    is_async = shell.should_run_async(result.info.raw_cell, transformed_cell=run.cell.source)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        is_async = False
    if is_async:
        await asyncio.sleep(seconds)
    else:
        time.sleep(seconds)  # noqa: ASYNC251 - the shell runs this coroutine to its end without a loop


def _show_lines(cell_name: str, source: str) -> None:
    """Let tracebacks and debuggers find *source* where the shell has put its call of the magic."""
    entry = linecache.cache.get(cell_name)
    if entry is None or len(entry) == 1:
        return  # a shell that keeps the texts of its cells elsewhere
    lines = [f"{line}\n" for line in source.splitlines()]
    linecache.cache[cell_name] = (len(source), entry[1], lines, entry[3])
    of_shell = getattr(linecache, "_ipython_cache", None)  # IPython 7.34 to 8, which empties and fills the other
    if of_shell is not None:
        of_shell[cell_name] = linecache.cache[cell_name]
