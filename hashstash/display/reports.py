"""Cards of what a stash reports: its counts, its health, what was mended, what differs between versions, tables of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashstash.display.card import Card, Column, Facts, Grid, Lines, Section
from hashstash.display.html import MOST_ROWS, attempt, rendered
from hashstash.paths import shown
from hashstash.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashstash.difference import Difference
    from hashstash.integrity import Problem, Repairs, Report
    from hashstash.statistics import Counts, Stats
    from hashstash.tabular import Table


def grid_of_counts(mine: Counts, total: Counts) -> Grid:
    """What one object has done, beside what all have done."""
    columns = [Column(""), Column("this object", is_number=True), Column("in all", is_number=True)]
    rows = [[name, one, other] for (name, one), (_, other) in zip(mine.rows(), total.rows(), strict=True)]
    return Grid(columns, rows)


def card_of_stats(stats: Stats) -> Card:
    """Both counts; only this object's where the storage does not tell the others."""
    total, trouble = attempt(lambda: stats.total)
    mine = stats.mine
    return Card(
        "Statistics",
        notes=[f"What others have done cannot be read: {trouble}"] if trouble else (),
        body=Facts(mine.rows()) if total is None else grid_of_counts(mine, total),
    )


def card_of_counts(counts: Counts) -> Card:
    """What was done, by whoever was counted."""
    return Card("Counts", body=Facts(counts.rows()))


def card_of_report(report: Report) -> Card:
    """How many rows were looked at, and what is wrong with them."""
    found = counted(len(report), "problem") if len(report) else "nothing wrong"
    facts = [f"{counted(report.rows, 'row')} looked at", found]
    facts += (
        [f"{counted(report.aside, 'bad row')} kept aside earlier (stash.kept_aside() lists them)"]
        if report.aside
        else []
    )
    problems = _grid_of_problems(report.problems, report.unlisted)
    sections = [Section("Problems", problems, f"{len(report):,}", is_open=True)] if report.problems else ()
    return Card("Check", shown(report.location), facts, sections=sections)


def card_of_repairs(repairs: Repairs) -> Card:
    """What was moved, restored and removed, and what is still wrong."""
    facts = [f"{counted(len(repairs.moved), 'bad row')} moved aside"] if repairs.moved else []
    facts += [f"{repairs.restored:,} restored from older versions"] if repairs.restored else []
    facts += [f"{counted(len(repairs.rebuilt), 'storage')} written anew"] if repairs.rebuilt else []
    facts += [f"{counted(repairs.swept, 'blob file')} removed that nothing pointed at"] if repairs.swept else []
    parts = [("Moved aside", repairs.moved), ("Left as it is", repairs.left)]
    return Card(
        "Repair",
        facts=facts or ["nothing was repaired" if repairs.left else "nothing to repair"],
        notes=repairs.notes,
        sections=[
            Section(title, _grid_of_problems(problems), f"{len(problems):,}", is_open=title != "Moved aside")
            for title, problems in parts
            if problems
        ],
    )


def _grid_of_problems(problems: Sequence[Problem], unlisted: int = 0) -> Grid:
    columns = [Column("row", is_code=True), Column("section"), Column("problem")]
    rows = [[one.address.hex()[:16], one.section, one.what] for one in problems[:MOST_ROWS]]
    if not any(one.section for one in problems):
        columns, rows = [columns[0], columns[2]], [[row[0], row[2]] for row in rows]
    return Grid(columns, rows, len(problems) - len(rows) + unlisted)


def card_of_difference(difference: Difference) -> Card:
    """What has to change in one value to get another."""
    if not difference.lines:
        return Card("Difference", difference.title, ["no difference"])
    return Card("Difference", difference.title, body=Lines(difference.lines, difference.unlisted))


def card_of_table(table: Table) -> Card:
    """The title, and the rows below it."""
    columns = [Column(title) for title in table.columns]
    return Card(table.title, body=Grid(columns, table.rows) if table.rows else None)


html_of_stats = rendered(card_of_stats)
html_of_counts = rendered(card_of_counts)
html_of_report = rendered(card_of_report)
html_of_repairs = rendered(card_of_repairs)
html_of_difference = rendered(card_of_difference)
html_of_table = rendered(card_of_table)
