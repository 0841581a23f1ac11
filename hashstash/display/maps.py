"""Maps as people see them in a notebook: what has come of all items, and a table of the first of them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from hashstash.display.progress_view import State, View, duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashstash.mapping.stash_map import StashMap, StashMapRun

_SHOWN = 10
_TITLES = ("", "call", "result", "state", "time")
_LEFT = ' style="text-align:left"'


def html_of_map(mapped: StashMap) -> str:
    """A summary that unfolds to a table of the first runs; it shows what there is and waits for nothing."""
    state: State = "running" if mapped.is_running else "finished" if mapped.done else "interrupted"
    view = View(f"StashMap of {mapped.name}", mapped.tally, state, mapped.seconds)
    if not len(mapped):
        return f"<div>{escape(view.heading())}no items</div>"
    is_begun = mapped.is_running or mapped.seconds > 0
    words = view.text() if is_begun else f"{view.heading()}{len(mapped):,} items"
    left = len(mapped) - _SHOWN
    more = f"<div>and {left:,} more</div>" if left > 0 else ""
    table = html_of_runs(mapped.runs[:_SHOWN])
    return f"<details open><summary>{escape(words)}</summary>{table}{more}</details>"


def html_of_runs(runs: Iterable[StashMapRun]) -> str:
    """A table with a row for each of *runs*."""
    titles = "".join(f"<th{_LEFT}>{title}</th>" for title in _TITLES)
    rows = "".join(f"<tr>{''.join(_cells(run))}</tr>" for run in runs)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(run: StashMapRun) -> Iterable[str]:
    seconds = run.seconds
    yield f"<th>{run.index}</th>"
    yield f"<td{_LEFT}><code>{escape(run.call)}</code></td>"
    yield f"<td{_LEFT}><code>{escape(run.shown_result())}</code></td>"
    yield f"<td{_LEFT}>{'cached' if run.was_cached else escape(run.state)}</td>"
    yield f"<td{_LEFT}>{'' if seconds is None else escape(duration(seconds))}</td>"
