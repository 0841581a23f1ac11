"""The line below a cell that says what happened: as text, and as HTML in the colours of the notebook."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashstash.cells.run import Report
    from hashstash.cells.shell import Shell

LEVELS = ("full", "line", "none")
_STYLE = "font-size:85%;opacity:.75;font-family:inherit"
_MOST_NAMES = 8


def show(shell: Shell, report: Report, level: str) -> None:
    """Show the status at this level; warnings are shown at every level."""
    lines = [] if level == "none" else [_headline(report), *(_details(report) if level == "full" else ())]
    lines += [f"stash {report.name}: warning: {warning}" for warning in report.warnings]
    if lines:
        publish(shell, lines, outcome=report.outcome, name=report.name)


def publish(shell: Shell, lines: list[str], **facts: Any) -> None:
    """Show lines of our own, marked so that nobody takes them for the cell's output."""
    text = "\n".join(lines)
    markup = "<br>".join(escape(line) for line in lines)
    data = {"text/plain": text, "text/html": f'<div style="{_STYLE}">{markup}</div>'}
    shell.display_pub.publish(data, {"hashstash": facts})


def _headline(report: Report) -> str:
    start = f"stash {report.name}: "
    if report.outcome == "hit":
        return start + ", ".join(_hit_parts(report))
    if report.outcome == "would hit":
        return start + f"would be restored ({_variables(report)}, {size(report.size)}, stored {age(report.created_at)})"
    if report.outcome == "would run":
        return start + f"would run: {'; '.join(report.why)}"
    ran = f"ran in {seconds(report.run_seconds)}"
    if report.outcome == "stored":
        return start + f"{ran}, stored {_variables(report)}, {size(report.size)}"
    return start + f"{ran}, not cached" + (f": {report.reason}" if report.reason else "")


def _hit_parts(report: Report) -> list[str]:
    saved = report.run_seconds - report.restore_seconds
    gain = f"saved {seconds(saved)}" if saved > 0 else "no time saved"
    return [
        "hit",
        _variables(report),
        size(report.size),
        f"{gain} (restored in {seconds(report.restore_seconds)})",
        f"stored {age(report.created_at)}",
        *_hidden(report.hidden_displays),
    ]


def _hidden(count: int) -> list[str]:
    displays = "1 display" if count == 1 else f"{count} displays"
    return [f"{displays} left out, since nobody you trust made them"] if count else []


def _details(report: Report) -> list[str]:
    names = ", ".join(report.variables[:_MOST_NAMES]) + (", ..." if len(report.variables) > _MOST_NAMES else "")
    lines = [f"variables: {names}"] if names else []
    return lines + ([f"ran because: {'; '.join(report.why)}"] if report.why else [])


def _variables(report: Report) -> str:
    count = len(report.variables)
    return "no variables" if not count else "1 variable" if count == 1 else f"{count} variables"


def seconds(value: float) -> str:
    """A duration for people."""
    if value < 0.1:
        return f"{value * 1000:.3g} ms"
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"


def age(created_at: float) -> str:
    """How long ago a moment was, for people."""
    passed = max(0.0, time.time() - created_at)
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if passed >= length:
            return f"{int(passed / length)} {unit} ago"
    return "just now"
