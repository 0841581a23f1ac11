"""The method by which the shell runs a parsed cell, with ours in between for cells that remember.

So the shell itself runs the code of such a cell: errors, tracebacks, debuggers, breakpoints of the front end, interrupts,
``await``, ``_`` and the order of what is shown are those of a plain cell. Code that a front end runs silently, or that runs
inside a cell, is left alone.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ast import AST
    from collections.abc import Awaitable, Callable

_METHOD = "run_ast_nodes"


class Native(Protocol):
    """The shell's own way to run the cell, or other code in its place."""

    def __call__(self, nodes: list[AST] | None = None, interactivity: str | None = None, /) -> Awaitable[Any]: ...


class Attempt(Protocol):
    """A cell that may be restored or recorded."""

    async def run(self, native: Native) -> Any:
        """Do so; returns what the shell's method does: whether the cell failed."""


class Chooser(Protocol):
    """Says which cells are its own."""

    def wants(self, nodes: list[AST], /) -> bool:
        """Whether the parsed cell may be one; asked for every cell."""

    def attempt(self, nodes: list[AST], cell_name: str, result: Any, /) -> Attempt | None:
        """The attempt to restore or record the cell, or ``None`` if the shell is to run it as it is.

        *result* is the shell's, and holds the text; *cell_name* is the name of the file that the code pretends to be in.
        """


class RunHook:
    """Gives each cell that somebody typed to the first of *choosers* that wants it."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.choosers: list[Chooser] = []
        self._native = getattr(shell, _METHOD)
        self._is_busy = False
        setattr(shell, _METHOD, self.run_ast_nodes)

    def remove(self) -> None:
        """Leave all cells alone."""
        self.choosers.clear()
        # Where somebody has wrapped the method after us, ours stays below his, and passes everything on.
        if vars(self.shell).get(_METHOD) == self.run_ast_nodes:
            delattr(self.shell, _METHOD)
            if getattr(self.shell, _METHOD) != self._native:
                setattr(self.shell, _METHOD, self._native)

    def run_ast_nodes(
        self,
        nodelist: list[AST],
        cell_name: str,
        interactivity: str = "last_expr",
        compiler: Any = compile,
        result: Any = None,
    ) -> Awaitable[Any]:
        """What the shell calls to run a parsed cell. A cell that is nobody's runs without a frame of ours."""

        def native(nodes: list[AST] | None = None, other: str | None = None, /) -> Awaitable[Any]:
            running: Awaitable[Any] = self._native(
                nodelist if nodes is None else nodes, cell_name, other or interactivity, compiler, result
            )
            return running

        if self._is_busy or not self._is_typed(result, compiler):
            return native()
        chooser = next((one for one in self.choosers if one.wants(nodelist)), None)
        if chooser is None:
            return native()
        return self._run(lambda: chooser.attempt(nodelist, cell_name, result), native, result)

    async def _run(self, choose: Callable[[], Attempt | None], native: Native, result: Any) -> Any:
        try:
            self._is_busy = True
            attempt = choose()
            return await (native() if attempt is None else attempt.run(native))
        except KeyboardInterrupt as error:
            return show_interrupt(self.shell, result, error)
        finally:
            self._is_busy = False

    def _is_typed(self, result: Any, compiler: Any) -> bool:
        """Whether somebody has typed this cell: neither a front end's silent code, nor code that a cell runs."""
        info = getattr(result, "info", None)
        if info is None or info.silent or not info.store_history or compiler is not self.shell.compile:
            return False
        return threading.current_thread() is threading.main_thread()


def show_interrupt(shell: Any, result: Any, error: BaseException) -> bool:
    """Show an interrupt that came outside the cell's own code as one of the cell; true, since the cell has failed."""
    result.error_in_exec = error
    # Nothing public shows an error without a frame of ours.
    shell._showtraceback(type(error), error, shell.InteractiveTB.get_exception_only(type(error), error))  # noqa: SLF001
    return True
