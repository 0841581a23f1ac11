"""The line below a cell that says what happened: as text, and as HTML in the colours of the notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from hashstash.cells.why import told
from hashstash.magics.words import quoted
from hashstash.wording import ago, duration, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.cells.report import Report
    from hashstash.cells.shell import Shell

LEVELS = ("full", "line", "none")
_STYLE = "font-size:85%;opacity:.75;font-family:inherit;white-space:pre-wrap"
_MOST_NAMES = 8


def show(shell: Shell, report: Report, level: str) -> None:
    """Show the status at this level; warnings are shown at every level."""
    lines = [] if level == "none" else [_headline(report), *(_details(report) if level == "full" else ())]
    lines += [f"stash {report.name}: warning: {warning}" for warning in report.warnings]
    if lines:
        publish(shell, lines, outcome=report.outcome, name=report.name)


def publish(shell: Shell, lines: list[str], **facts: Any) -> None:
    """Show lines of our own, marked so that nobody takes them for the cell's output."""
    text = printable("\n".join(lines))
    markup = "<br>".join(escape(line) for line in text.split("\n"))
    data = {"text/plain": text, "text/html": f'<div style="{_STYLE}">{markup}</div>'}
    shell.display_pub.publish(data, {"hashstash": facts})


def _headline(report: Report) -> str:
    start = f"stash {report.name}: "
    if report.outcome == "hit":
        return start + ", ".join(_hit_parts(report))
    if report.outcome == "would hit":
        return (
            start
            + f"would be restored ({_variables(report)}, {size_text(report.size)}, stored {ago(report.created_at)})"
        )
    if report.outcome == "would run":
        return start + f"would run: {'; '.join(report.why)}"
    ran = f"ran in {duration(report.run_seconds)}"
    if report.outcome == "stored":
        return start + f"{ran}, stored {_variables(report)}, {size_text(report.size)}"
    return start + f"{ran}, not cached" + (f": {report.reason}" if report.reason else "")


def _hit_parts(report: Report) -> list[str]:
    saved = report.run_seconds - report.restore_seconds
    gain = f"saved {duration(saved)}" if saved > 0 else "no time saved"
    return [
        "hit",
        _variables(report),
        size_text(report.size),
        f"{gain} (restored in {duration(report.restore_seconds)})",
        f"stored {ago(report.created_at)}",
        *_hidden(report),
    ]


def _hidden(report: Report) -> list[str]:
    if not report.hidden_displays:
        return []
    count = report.hidden_displays
    what = "1 display left out, which was" if count == 1 else f"{count} displays left out, which were"
    return [f"{what} made by nobody you trust (%stash trust {quoted(report.name)} lists what is theirs)"]


def _details(report: Report) -> list[str]:
    names = ", ".join(report.variables[:_MOST_NAMES]) + (", ..." if len(report.variables) > _MOST_NAMES else "")
    lines = [f"variables: {names}"] if names else []
    is_said = report.outcome == "would run"
    lines += [f"ran because: {'; '.join(report.why)}"] if report.why and not is_said else []
    return lines + list(_reasons(report))


def _reasons(report: Report) -> Iterator[str]:
    """What is known in detail of the reasons, below each if there are several."""
    for reason, details in told(report.why, report.evidence, code=report.code):
        if details and len(report.why) > 1:
            yield f"{reason}:"
        yield from (f"  {line}" for line in details)


def _variables(report: Report) -> str:
    count = len(report.variables)
    return "no variables" if not count else "1 variable" if count == 1 else f"{count} variables"
