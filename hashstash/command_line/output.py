"""What a command prints. Keys, values and names may be a stranger's: whatever could steer the terminal is escaped."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from hashstash.errors import StashError
from hashstash.tabular import text_lines
from hashstash.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_LONGEST_COMPLAINT = 2000


class CommandFailed(StashError):
    """What was asked for cannot be done, or is not there; the message is all that the user gets to see."""

    exit_code = 1


class Misused(CommandFailed):
    """The line makes no sense."""

    exit_code = 2


def one_line(text: str) -> str:
    """*text* on one line."""
    return printable(text).replace("\n", " ").replace("\t", " ")


def entries(count: int) -> str:
    """A number of entries."""
    return "1 entry" if count == 1 else f"{count:,} entries"


def complain(text: str) -> None:
    """One line on the standard error."""
    line = one_line(text)
    shown = line if len(line) <= _LONGEST_COMPLAINT else line[: _LONGEST_COMPLAINT - 1] + "…"
    print(f"hashstash: {shown}", file=sys.stderr)  # noqa: T201


def say(text: str = "") -> None:
    """Lines on the standard output."""
    print(printable(text))  # noqa: T201


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns."""
    for line in text_lines(columns, [[one_line(cell) for cell in row] for row in rows]):
        say(line)


def say_json(document: Any) -> None:
    """One JSON document, of ASCII only."""
    print(json.dumps(document, indent=2, allow_nan=False))  # noqa: T201


def say_json_with(document: Mapping[str, Any], name: str, items: Iterable[Any]) -> None:
    """One JSON document of which the list *name* is written item by item, so that it may be long."""
    head = json.dumps({**document, name: []}, indent=2)
    write = sys.stdout.write
    write(head[: head.rindex("[]")])
    separator = "[\n    "
    for item in items:
        write(separator + json.dumps(item, allow_nan=False))
        separator = ",\n    "
    write(("[]" if separator.startswith("[") else "\n  ]") + "\n}\n")


def confirm(question: str, *, yes: bool) -> None:
    """Go on if the user has said so with ``--yes``, or says so now; else CommandFailed, and nothing has been done."""
    if yes:
        return
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise CommandFailed(f"{question}: nothing was done; say --yes, or --dry-run to see more")
    print(f"{printable(question)}? [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandFailed("nothing was done")
