"""``%stash_map FUNC ITERABLE``: a map in a line, with the notebook's variables, kept in the notebook's stash."""

from __future__ import annotations

import ast
import re
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument

from hashstash.cells.cell import ends_with_semicolon
from hashstash.cells.maps import StartedMaps
from hashstash.cells.shell import cell_number
from hashstash.errors import MissingDependency, UnknownPlugin, UnsafeName
from hashstash.magics import arguments, status
from hashstash.magics.split_line import SplitLine, is_expression, split_line

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping

    from hashstash.magics.arguments import Function
    from hashstash.magics.stash_cell import StashMagics
    from hashstash.mapping.stash_map import StashMap

ERRORS = ("raise", "store", "skip")
EXECUTORS = frozenset({"threads", "processes", "serial", "loky"})
_ONE_OF = ("threads", "procs", "serial", "executor")
_NO_CODE = re.compile(r"\s*(#|$)")
_CALL = "get_ipython().run_line_magic('stash_map', "

ARGUMENTS = [
    argument("-n", "--name", help="The stash that keeps the results. Default: notebook, or what %%stash use chose."),
    argument("-j", "--jobs", metavar="N", type=int, help="How many workers. Default: all cores but two; one in Colab."),
    argument("--threads", action="store_true", help="Workers are threads: for functions that wait."),
    argument("--procs", action="store_true", help="Workers are processes, which is the default."),
    argument("--serial", action="store_true", help="No workers: one item after the other."),
    argument("--executor", metavar="EXPR", help="Who computes: a Dask or ipyparallel client, or any executor."),
    argument("--star", action="store_true", help="Each item holds the positional arguments, be it a tuple or not."),
    argument("--no-star", action="store_true", help="A tuple is one argument, as any other item is anyway."),
    argument("--kw", metavar="K=V,...", action="append", help="Keyword arguments for all items; a V is an expression."),
    argument("--total", metavar="N", type=int, help="At most so many items, of an iterator that has no end."),
    argument("--chunk", metavar="N", type=int, help="Items that a worker takes at once. Default: about 15 ms of work."),
    argument("--errors", choices=ERRORS, default="raise", help="What reading a failed item does: it raises what the "
             "function raised, gives the exception as the item's value (store), or leaves the item out (skip)."),
    argument("--force", action="store_true", help="Compute all items, and store the new results."),
    argument("--no-progress", action="store_true", help="No bar."),
    argument("--df", action="store_true", help="A data frame: one row per item, with its arguments."),
    argument("--ordered", action="store_true", help="results_iter() keeps the order of the items; without this it gives "
             "results as they come. All other reading is in order anyway."),
    argument("--background", action="store_true", help="Do not wait for the results."),
    argument("function", metavar="FUNC", help="What is called, as an expression."),
    argument("iterable", metavar="ITERABLE", help="The items, as an expression."),
]  # fmt: skip
FLAGS = {
    name: one.kwds.get("action") != "store_true" for one in ARGUMENTS for name in one.args if name.startswith("-")
} | {"--help": False, "-h": False}
"""Whether a value follows each flag."""


def map_arguments(function: Function) -> Function:
    """Give a magic the arguments of ``%stash_map``, with help in its docstring."""
    return arguments.with_arguments(function, "stash_map", ARGUMENTS)


class _Helped(Exception):
    """The line asked for help, and got it."""


class MapLine:
    """One ``%stash_map`` line."""

    def __init__(self, magics: StashMagics, line: str, scope: Mapping[str, Any] | None) -> None:
        self.magics = magics
        self.shell = magics.shell
        # Within a function its variables too, as globals: what is nested in an expression sees no other ones.
        users = self.shell.user_ns
        self.namespace = users if scope is None or scope is users else {**users, **scope}
        self.parsed = _parsed(type(magics), line)
        self.name = (self.parsed.name or "").strip("'\"") or magics.default_name
        self.keywords = [pair for text in self.parsed.kw or () for pair in _keywords(text)]

    def run(self) -> Any:
        """The map, once it is over; or as far as it got, if it is interrupted."""
        parsed = self.parsed
        stash = self._stash()
        function = self._evaluate(parsed.function)
        options = self._options()
        items = self._evaluate(parsed.iterable)
        started = StartedMaps()
        try:
            mapped = stash.map(function, map(tuple, items) if parsed.star else items, **options)
        except KeyboardInterrupt:  # before there was a map to return
            started.cancel()
            raise
        is_over = parsed.background or self._wait(mapped)
        return mapped.df if parsed.df and is_over else mapped

    def _stash(self) -> Any:
        try:
            return self.magics.stash_of(self.name)
        except (UnknownPlugin, UnsafeName, MissingDependency) as error:
            raise UsageError(str(error)) from None

    def _options(self) -> dict[str, Any]:
        parsed = self.parsed
        return {
            "num_proc": parsed.jobs,
            "executor": self._executor(),
            "star": not parsed.no_star,
            "kwargs": self._keyword_arguments(),
            "total": parsed.total,
            "chunksize": parsed.chunk or "auto",
            "errors": parsed.errors,
            "force": parsed.force,
            "progress": not parsed.no_progress,
            "ordered": parsed.ordered,
        }

    def _executor(self) -> Any:
        parsed = self.parsed
        if parsed.executor is not None:
            is_name = parsed.executor in EXECUTORS and parsed.executor not in self.namespace
            return parsed.executor if is_name else self._evaluate(parsed.executor)
        if parsed.threads or parsed.procs:
            return "threads" if parsed.threads else "processes"
        return "serial" if parsed.serial or (parsed.jobs is None and "google.colab" in sys.modules) else None

    def _keyword_arguments(self) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name, text in self.keywords:
            value = self._evaluate(text)
            given.update(value if name is None else {name: value})
        return given

    def _evaluate(self, text: str) -> Any:
        """The value of an expression; its source is kept where tracebacks and fingerprints look for it."""
        filename = self.shell.compile.cache(text, cell_number(self.shell))
        code = self.shell.compile(ast.parse(text, filename, "eval"), filename, "eval")
        return eval(code, self.namespace)  # noqa: S307 - the user's own expression

    def _wait(self, mapped: StashMap) -> bool:
        """Wait for the map; whether it is over."""
        try:
            return mapped.wait()
        except KeyboardInterrupt:
            done = f"{mapped.tally.done} of {len(mapped)} items are done and kept"
            text = f"stash {self.name}: interrupted, {done}; resume() computes the others"
            status.publish(self.shell, [text], command="stash_map")
            return False


def run(magics: StashMagics, line: str, scope: Mapping[str, Any] | None) -> Any:
    """Carry out one ``%stash_map`` line."""
    try:
        return MapLine(magics, line, scope).run()
    except _Helped:
        return None
    except Exception as error:
        show_only_line(magics.shell, error)
        raise


def _parsed(kind: type[StashMagics], line: str) -> Namespace:
    split = split_line(line, FLAGS)
    if {"--help", "-h"} & {*split.flags}:
        print(kind.stash_map.__doc__)  # noqa: T201 - the answer to --help
        raise _Helped
    words = [*split.flags, "--", split.function, split.iterable]
    parsed = arguments.parsed_words(kind.stash_map, words, "%stash_map", FLAGS)
    _check(parsed, split, line)
    return parsed


def _check(parsed: Namespace, split: SplitLine, line: str) -> None:
    if not split.function:
        raise UsageError(
            "%stash_map takes a function and a collection, with a space between them, such as %stash_map f range(10)"
            + (f"; not {line.strip()}" if line.strip() else "")
        )
    chosen = [f"--{name}" for name in _ONE_OF if getattr(parsed, name)]
    if len(chosen) > 1:
        raise UsageError(f"{chosen[0]} and {chosen[1]} exclude one another")
    if parsed.serial and parsed.jobs not in (None, 1):
        raise UsageError("--serial and -j exclude one another")
    if parsed.star and parsed.no_star:
        raise UsageError("--star and --no-star exclude one another")
    for flag, number in (("-j", parsed.jobs), ("--total", parsed.total), ("--chunk", parsed.chunk)):
        if number is not None and number < 1:
            raise UsageError(f"{flag} is {number}; it is a whole number from 1 on")


def _keywords(text: str) -> list[tuple[str | None, str]]:
    """Names and expressions of ``k=v,...``; no name for ``**options``. Quotes around all of it are taken away."""
    if text[:1] == text[-1:] and text[:1] in ("'", '"'):
        text = text[1:-1]
    source = f"dict({text})"
    call = ast.parse(source, mode="eval").body if is_expression(source) else None
    if not isinstance(call, ast.Call) or call.args or not call.keywords:
        raise UsageError(f"--kw {text}: write --kw name=value,other=value")
    return [(pair.arg, ast.get_source_segment(source, pair.value) or "") for pair in call.keywords]


def silence(lines: list[str]) -> list[str]:
    """An input transformer: a semicolon at the end of the line that ends a cell is the cell's, so that the shell heeds it."""
    last = next((at for at in reversed(range(len(lines))) if not _NO_CODE.match(lines[at])), None)
    if last is None or not lines[last].startswith(_CALL):
        return lines
    text = lines[last].rstrip()
    try:
        given = ast.literal_eval(text.removeprefix(_CALL).removesuffix(")"))
    except (SyntaxError, ValueError):
        return lines
    return [*lines[:last], f"{text};\n", *lines[last + 1 :]] if ends_with_semicolon(given) else lines


def show_only_line(shell: Any, error: BaseException) -> None:
    """Make the shell show, of the traceback, the cell's line and what lies below the expressions, without our frames."""

    def render() -> Any:
        return shell.InteractiveTB.structured_traceback(type(error), error, _without_ours(shell, error), tb_offset=0)

    if isinstance(error, UsageError):
        return
    try:
        error._render_traceback_ = render  # type: ignore[attr-defined]
    except (AttributeError, TypeError):  # an exception with slots: its traceback shows our frames too
        return


def shows_only_line(error: BaseException) -> bool:
    """Whether :func:`show_only_line` has seen to this error."""
    return getattr(getattr(error, "_render_traceback_", None), "__module__", None) == __name__


def _without_ours(shell: Any, error: BaseException) -> TracebackType | None:
    frames = list(_frames(error.__traceback__))
    users = [at for at, trace in enumerate(frames) if trace.tb_frame.f_globals is shell.user_ns]
    own = next((at for at, trace in enumerate(frames) if _module_of(trace) == __name__), 0)
    above = [trace for trace in frames[min(users, default=own) : own] if not _is_between(_module_of(trace))]
    below = frames[next((at for at in users if at > own), len(frames)) :]
    chain = None
    for trace in reversed([*above, *below]):
        chain = TracebackType(chain, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
    return chain


def _is_between(module: str) -> bool:
    return module.partition(".")[0] in ("IPython", "hashstash")


def _frames(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _module_of(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__", ""))
