"""What the cells need of an IPython shell: the parts that are the same from IPython 7.34 to 9."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable


class Shell(Protocol):
    """An ``InteractiveShell``, in a kernel or a terminal."""

    user_ns: dict[str, Any]
    user_ns_hidden: dict[str, Any]
    execution_count: int
    ast_node_interactivity: str
    compile: Any
    display_pub: Any
    payload_manager: Any
    display_formatter: Any
    displayhook: Any
    events: Any
    history_manager: Any
    InteractiveTB: Any

    def transform_cell(self, raw_cell: str) -> str:
        """Python source for a cell with magics and shell lines."""

    def transform_ast(self, node: ast.Module) -> ast.Module:
        """The tree after the user's AST transformers."""


SYSTEM_NAMES = frozenset({"In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_ih", "_oh", "_dh", "_exit_code"}) | {
    "__annotations__", "__annotate__", "__builtins__", "__builtin__", "__warningregistry__",
    "__conditional_annotations__",
}  # fmt: skip
"""Names that the shell and the interpreter write for themselves."""


def cell_number(shell: Shell) -> int:
    """The number of the cell that is running; IPython 9 counts on before it runs it, others do so afterwards."""
    return max(1, len(shell.history_manager.input_hist_parsed) - 1)


def own_variables(shell: Shell) -> dict[str, Any]:
    """The user's variables as they are now, without what the shell put there."""
    hidden = shell.user_ns_hidden
    return {
        name: value
        for name, value in list(shell.user_ns.items())
        if not (
            (name in hidden and value is hidden[name])
            or name in SYSTEM_NAMES
            or (name[:1] == "_" and name.lstrip("_i").isdigit())
        )
    }


def when_cell_is_over(shell: Shell, actions: list[Callable[[], Any]]) -> None:
    """Do something when the cell that the shell runs is over, and its last value shown; figures that it leaves come later."""

    def once() -> None:
        shell.events.unregister("post_execute", once)
        for action in actions:
            action()

    shell.events.callbacks["post_execute"].insert(0, once)
