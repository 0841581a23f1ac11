"""``%stash``: what is stored, why a cell ran, and clearing it."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from hashstash.errors import StashError
from hashstash.magics import arguments, status
from hashstash.open import FUNCTIONS, MAPS, function_stashes
from hashstash.paths import resolve_root
from hashstash.stash import HashStash
from hashstash.tabular import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.magics.stash_cell import StashMagics

_CODE_WIDTH = 50
_BELOW = (FUNCTIONS, MAPS)
"""Folders in which the results of functions and maps lie, below the stash that they belong to."""


def command(magics: StashMagics, line: str) -> Any:
    """Carry out one ``%stash`` line."""
    if arguments.wants_help(line):
        print(type(magics).stash_line.__doc__)  # noqa: T201 - the answer to --help
        return None
    words = shlex.split(line)
    if not words:
        return list_stashes(magics)
    action = COMMANDS.get(words[0])
    if action is None:
        raise UsageError(f"%stash {words[0]}: no such command; known: {', '.join(sorted(COMMANDS))}")
    try:
        return action(magics, words[1:])
    except StashError as error:
        raise UsageError(str(error)) from None


def stash_names(magics: StashMagics) -> list[str]:
    """The names of the stashes that hold cells or maps, where they lie in files."""
    from hashstash.magics.stash_cell import folder_of

    top = resolve_root(folder_of(magics.root))
    names = []
    for folder, inner, _files in os.walk(top):
        if folder != top and any(name.count(".") >= 2 or name in _BELOW for name in inner):
            names.append(os.path.relpath(folder, top).replace(os.sep, "/"))
            inner[:] = [name for name in inner if name.count(".") < 2 and name not in _BELOW]
    return sorted(names)


def list_stashes(magics: StashMagics) -> Table:
    """All stashes, one row each."""
    rows = []
    for name in stash_names(magics):
        records = [record for _code, record in magics.open(name).all()]
        if not records:
            continue  # cleared
        newest = max(record.created_at for record in records)
        total = sum(record.size for record in records)
        runs = sum(record.seconds for record in records)
        rows.append([name, str(len(records)), status.size(total), status.seconds(runs), status.age(newest)])
    title = (
        f"{len(rows)} stash{'es' if len(rows) != 1 else ''}"
        if rows
        else "no stashes yet: write %%stash NAME on top of a cell"
    )
    return Table(title, ["stash", "records", "size", "run time", "newest"], rows)


def _ls(magics: StashMagics, words: list[str]) -> Table:
    if not words:
        return list_stashes(magics)
    name = _known(magics, _one_name(words, "ls"))
    records = sorted((record for _code, record in magics.open(name).all()), key=lambda record: -record.created_at)
    rows = [
        [
            status.age(record.created_at),
            status.seconds(record.seconds),
            status.size(record.size),
            ", ".join(record.variables),
            ", ".join(other for other, digest in record.facts.names.items() if digest),
            _head(record.code),
        ]
        for record in records
    ]
    title = f"{len(rows)} record{'s' if len(rows) != 1 else ''} in stash {name}"
    return Table(title, ["stored", "ran", "size", "variables", "inputs", "code"], rows)


def _head(code: str) -> str:
    """The first line of code that is not a comment, cut to a width."""
    lines = (line.strip() for line in code.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return first if len(first) <= _CODE_WIDTH else first[: _CODE_WIDTH - 1] + "…"


def _why(magics: StashMagics, words: list[str]) -> None:
    name = _one_name(words, "why") if words else ""
    report = magics.reports.get(name)
    if report is None:
        raise UsageError(f"no %%stash {name or 'cell'} has run in this session")
    lines = [f"stash {report.name}: the last cell was {'restored' if report.outcome == 'hit' else 'run'}"]
    lines += [f"  because {reason}" for reason in report.why]
    lines += [f"  not cached: {report.reason}"] if report.reason else []
    status.publish(magics.shell, lines + [f"  warning: {warning}" for warning in report.warnings], command="why")


def _clear(magics: StashMagics, words: list[str]) -> None:
    older = None
    if "--older" in words:
        position = words.index("--older")
        if len(words) < position + 2:
            raise UsageError("%stash clear: --older needs a time, such as 7d")
        older = arguments.duration(words[position + 1], "--older")
        del words[position : position + 2]
    name = _known(magics, _one_name(words, "clear"))
    records = magics.open(name)
    removed = records.remove(older_than=older)
    results = _remove_results(records.stash) if older is None else 0
    text = f"stash {name}: {removed} record{'s' if removed != 1 else ''} removed"
    text += f", and {results} result{'s' if results != 1 else ''} of maps" if results else ""
    status.publish(magics.shell, [text], command="clear")


def _remove_results(stash: HashStash) -> int:
    """Remove what ``%stash_map`` has kept there; return how many results went."""
    below = [HashStash.from_config(config) for config in function_stashes(stash.config)]
    counts = [len(results) for results in below]
    for results in below:
        results.clear()
    return sum(counts)


def _trust(magics: StashMagics, words: list[str]) -> None:
    name = _known(magics, _one_name(words, "trust"))
    records, rows = magics.open(name).trust()
    counts = f"{records} record{'s' if records != 1 else ''} of others, {rows} row{'s' if rows != 1 else ''} signed"
    status.publish(magics.shell, [f"stash {name}: trusted from now on: {counts}"], command="trust")


def _one_name(words: list[str], action: str) -> str:
    if len(words) != 1 or words[0].startswith("-"):
        raise UsageError(f"%stash {action} takes one stash name, not {' '.join(words) or 'nothing'}")
    return words[0]


def _known(magics: StashMagics, name: str) -> str:
    """*name*, if there is a stash of it: looking must not make one."""
    names = stash_names(magics)
    if name not in names:
        raise UsageError(
            f"there is no stash named {name!r}; {'known: ' + ', '.join(names) if names else 'there is none yet'}"
        )
    return name


COMMANDS: dict[str, Callable[[StashMagics, list[str]], Any]] = {
    "ls": _ls,
    "why": _why,
    "clear": _clear,
    "trust": _trust,
}
