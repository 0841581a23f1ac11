"""``%stash why``: why the last cell ran or was not stored, and what to do about it, in sentences."""

from __future__ import annotations

import contextlib
import difflib
import re
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from hashstash.cells.looking import records_of
from hashstash.cells.rows import Rows
from hashstash.cells.why import NEW_CODE, told
from hashstash.errors import StashError
from hashstash.magics import status
from hashstash.stash import HashStash
from hashstash.wording import counted, printable

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from hashstash.cells.report import Report
    from hashstash.cells.stashes import CellStashes
    from hashstash.magics.stash_cell import StashMagics

_MOST_STASHES = 30
_NEXT_STEPS = (
    (r"\(use -x", ""),
    (r"says `# stash: off`", "take that comment out of the cell to have it stored"),
    (r"has the tag", "take the tag away, or see %config StashMagics.auto_skip"),
    (r"its variables take", "raise the limit (%stash auto --max-size SIZE), or write `# stash: on` in the cell"),
    (r"it took less than", "lower the limit (%stash auto --min TIME), or write `# stash: on` in the cell"),
    (
        r"needs a package that is not installed",
        "install it, as the error says; %%stash --force, or a comment `# stash: off` without %%stash, runs the cell as it is",
    ),
    (r"it was not run", "write the cell without --read"),
    (r"it was interrupted|it failed|changed while the cell ran", "run the cell again"),
    (r"^the cell ", "write %%stash above the cell, or `# stash: on` in it, to have it stored all the same"),
    (
        r"^`[^`]*` is ",
        "let the cell begin with what that was made from, or add --ignore NAME if it does not change what the cell does",
    ),
)
"""What a reason for storing nothing looks like, and what to do then; the first that fits."""


def why(magics: StashMagics, parsed: Namespace) -> None:
    """Say why the last cell ran."""
    report = magics.reports.get(parsed.name or "")
    if report is None:
        raise UsageError(_nothing_known(magics, parsed.name or ""))
    lines = [f"stash {report.name}: the last cell {_outcome(report)}"]
    for reason, details in told(report.why, report.evidence, code=report.code):
        lines += [f"  because {reason}", *(f"    {line}" for line in details)]
    if NEW_CODE in report.why and report.outcome != "hit":
        lines += [f"  {line}" for line in _stored_elsewhere(magics.stashes(), report)]
    if report.reason:
        lines += [f"  not cached: {report.reason}", *(f"  next: {step}" for step in next_steps(report.reason))]
    status.publish(magics.shell, lines + [f"  warning: {warning}" for warning in report.warnings], command="why")


def _outcome(report: Report) -> str:
    if report.outcome in ("would hit", "would run"):
        return "would be restored" if report.outcome == "would hit" else "would run"
    return "was restored" if report.outcome == "hit" else "was run"


def next_steps(reason: str) -> list[str]:
    """What to do about a run that was not stored; at most one thing."""
    found = next((step for pattern, step in _NEXT_STEPS if re.search(pattern, reason)), "")
    return [found] if found else []


def _nothing_known(magics: StashMagics, name: str) -> str:
    start = f"no %%stash {printable(name) or 'cell'} has run in this session"
    ran = sorted(filter(None, magics.reports))
    those = f"; those that ran: {', '.join(ran)}" if ran else ""
    if not name:
        return f"{start}; run one, or see what is stored with %stash ls"
    try:
        stashes = magics.stashes()
        names = stashes.names()
        stored = len(stashes.records(name)) if name in names else 0
    except (StashError, OSError):  # the stored ones cannot be looked at, and the session has nothing to tell
        return f"{start}{those}"
    if stored:
        return f"{start}, but it holds {counted(stored, 'record')}: %stash info {name} tells what they depend on{those}"
    close = difflib.get_close_matches(name, {*names, *ran}, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{start}, and nothing is stored under that name; {hint}%stash ls shows what there is{those}"


def _stored_elsewhere(stashes: CellStashes, report: Report) -> Iterator[str]:
    """Under which other names there are records of the same code."""
    names: list[Any] = []
    with contextlib.suppress(StashError, OSError):
        for config in stashes.configs()[:_MOST_STASHES]:
            if config.dbname != report.name:
                records = records_of(Rows(HashStash.from_config(config))).records
                names += [config.dbname] if any(record.code == report.code for record in records) else []
    if names:
        listed = ", ".join(f"%%stash {name}" for name in dict.fromkeys(names))
        yield f"next: the same code is stored under another name: write {printable(listed)} above the cell to have it restored"
