"""The command ``hashstash``: looking into stashes, and keeping them, from a shell.

It exits with 0 if all went well, with 1 if what was asked for is not there, something is wrong with a stash, or it could not be
done, with 2 if the line makes no sense, with 130 after Ctrl-C, and with 141 if nobody reads what it prints any more. Answers go
to the standard output, and everything else, one line each, to the standard error.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING

from hashstash.errors import StashError, UnknownPlugin, UnsafeName

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

DONE, FAILED, MISUSED, INTERRUPTED, NOT_READ = 0, 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one line, without the command's name; return the exit code."""
    from hashstash.command_line.parser import parse

    if sys.stdout is None:  # closed, as by ``>&-``
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end of the process
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter still gets the rest
    try:
        arguments = parse(argv)
    except SystemExit as error:  # argparse has said why, or has printed the help that was asked for
        return error.code if isinstance(error.code, int) else MISUSED
    with warnings.catch_warnings():
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        return _carry_out(arguments)


def _carry_out(arguments: Namespace) -> int:
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_output()
        return NOT_READ
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _run(arguments: Namespace) -> int:
    from hashstash.closed import owner_of

    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:
        raise
    except (UnknownPlugin, UnsafeName) as error:
        return _say(error, MISUSED)
    except StashError as error:
        return _say(error, getattr(error, "exit_code", FAILED))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        owner = owner_of(error.filename) if where and isinstance(error, PermissionError) else ""
        whose = f"; it belongs to {owner}" if owner else ""
        return _say(f"{where}{error.strerror or error}{whose}", FAILED)
    except ValueError as error:  # a size, a duration or a time that is none
        return _say(error, MISUSED)


def _say(what: object, code: int) -> int:
    from hashstash.command_line.output import complain

    complain(str(what))
    return code


def _show_warning(message: Warning | str, category: type[Warning], *_place: object) -> None:
    if issubclass(category, RuntimeWarning):
        _say(f"note: {message}", DONE)


def _let_go_of_output() -> None:
    """Nobody reads it any more: what is still to be written at the exit must not be an error, either."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
