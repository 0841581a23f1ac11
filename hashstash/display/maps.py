"""Maps as cards: what has come of all items, and a table of the first of them. Nothing is waited for, computed or fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashstash.display.card import Card, Column, Grid, Section
from hashstash.display.html import rendered
from hashstash.display.progress_view import State, View, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashstash.mapping.stash_map import StashMap, StashMapRun

_SHOWN = 10
_COLUMNS = (
    *(Column("", is_number=True), Column("call", is_code=True), Column("result", is_code=True)),
    *(Column("state"), Column("time", is_number=True)),
)


def card_of_map(mapped: StashMap) -> Card:
    """How far the map is, and its first runs; it shows what there is."""
    if not len(mapped):
        return Card("StashMap", mapped.name, ["no items"])
    runs = mapped.runs[:_SHOWN]
    left = len(mapped) - len(runs)
    brief = f"the first {len(runs)} of {len(mapped):,}" if left else ""
    section = Section("Items", grid_of_runs(runs, more=left), brief, is_open=True)
    return Card("StashMap", mapped.name, _facts(mapped), sections=[section])


def _facts(mapped: StashMap) -> list[str]:
    state: State = "running" if mapped.is_running else "finished" if mapped.done else "interrupted"
    if not mapped.is_running and not mapped.seconds:
        return [f"{len(mapped):,} {'item' if len(mapped) == 1 else 'items'}", "nothing computed yet"]
    view = View("", mapped.tally, state, mapped.seconds)
    return [view.count(), *(["running"] if state == "running" else []), *view.facts()]


def card_of_run(run: StashMapRun) -> Card:
    """One item."""
    return Card("StashMapRun", body=grid_of_runs([run]))


def grid_of_runs(runs: Sequence[StashMapRun], *, more: int = 0) -> Grid:
    """A row for each of *runs*."""
    rows = [_cells(run) for run in runs]
    if not any(row[-1] for row in rows):
        return Grid(_COLUMNS[:-1], [row[:-1] for row in rows], more)
    return Grid(_COLUMNS, rows, more)


def _cells(run: StashMapRun) -> list[str]:
    seconds, state = run.seconds, "cached" if run.was_cached else run.state
    return [str(run.index), run.call, run.shown_result(), state, "" if seconds is None else duration(seconds)]


html_of_map = rendered(card_of_map)
html_of_run = rendered(card_of_run)
