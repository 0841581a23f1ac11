"""One stash of cells, and one record of it, with all that they depend on; and what has changed in the code since."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from hashstash.cells.facts import WHOLE
from hashstash.cells.looking import (
    MOST_ROWS,
    RECORD_FIELDS,
    count_results,
    head_of,
    joined,
    left_out,
    local,
    not_shown,
    reads_of,
    record_item,
    records_of,
    written_by,
)
from hashstash.difference import Difference, compare
from hashstash.errors import BadEntry
from hashstash.paths import shown
from hashstash.tabular import Listing, Table, filled
from hashstash.wording import ago, counted, duration, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashstash.cells.recorded import Record
    from hashstash.cells.rows import Rows
    from hashstash.stash import HashStash

_MOST_COMPARED = 20
_LONGEST_COMPARED = 3000
_RESEMBLES = 0.5
"""Cells whose texts have less than that in common are not the same cell at two times."""


@dataclass(frozen=True, repr=False)
class Page:
    """Some tables and texts, one below the other."""

    title: str
    parts: Sequence[Any] = ()

    def __repr__(self) -> str:
        return "\n\n".join([self.title, *map(str, self.parts)])

    def _repr_html_(self) -> str:
        return f'<div style="overflow-wrap:anywhere">{escape(self.title)}</div>' + "".join(map(_html, self.parts))

    def _repr_mimebundle_(self, **_wanted: object) -> tuple[dict[str, str], dict[str, Any]]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}, {"hashstash": {"title": self.title}}


@dataclass(frozen=True, repr=False)
class StashInfo(Page):
    """One stash: what its records read and wrote, and what differs in the cell that ran last."""

    records: Listing = field(default_factory=lambda: Listing(""))
    difference: Difference | None = None


@dataclass(frozen=True, repr=False)
class RecordInfo(Page):
    """One record, with all that it depends on."""

    record: Record | None = None


def describe_stash(name: str, rows: Rows, code: str | None) -> StashInfo:
    """What the records read and wrote, and what differs between *code*, the cell that ran last, and the nearest record."""
    records, unreadable = records_of(rows)
    columns = ["#", "stored", "reads", "writes", "files read", "files written", "code"]
    table = [
        [
            str(number),
            ago(record.created_at),
            joined(reads_of(record)),
            joined([*record.variables, *(f"del {gone}" for gone in record.deleted)]),
            joined([shown(fact.path) for fact in record.facts.files]),
            joined(list(map(shown, written_by(record)))),
            head_of(record.code),
        ]
        for number, record in enumerate(records, 1)
    ]
    columns, table = filled(columns, table, kept=2)
    items = [record_item(number, record) for number, record in enumerate(records, 1)]
    listing = Listing("", columns, table[:MOST_ROWS], items=items, fields=RECORD_FIELDS)
    difference, said = compare_code(records, code)
    parts: list[Any] = [listing] if records else []
    parts += [said] if said else []
    parts += [difference] if difference else []
    title = _summary(name, rows.stash, records) + left_out(unreadable) + not_shown(len(records))
    return StashInfo(title, parts, listing, difference)


def _summary(name: str, stash: HashStash, records: Sequence[Record]) -> str:
    total, seconds = sum(record.size for record in records), sum(record.seconds for record in records)
    cells = counted(len({record.code for record in records}), "cell")
    results = count_results(stash)
    kept = f"{counted(len(records), 'record')} of {cells}, {size_text(total)}, {duration(seconds)} of runs"
    kept += f", {counted(results, 'result')} of maps" if results else ""
    return printable(f"stash {name}: {kept}; {stash.engine}, {shown(stash.path)}")


def compare_code(records: Sequence[Record], code: str | None) -> tuple[Difference | None, str]:
    """What differs between the nearest record and *code*, and what is to be said of it."""
    if not records:
        return None, ""
    if code is None:
        return None, "no cell has run under this name in this session, so there is nothing to compare with"
    same = next((at for at, record in enumerate(records, 1) if record.code == code), None)
    said = f"the cell that ran last has the code of record {same}" if same is not None else ""
    others = {record.code: at for at, record in reversed([*enumerate(records, 1)]) if record.code != code}
    nearest = [(_likeness(text, code), -at, text) for text, at in list(others.items())[-_MOST_COMPARED:]]
    likeness, at, text = max(nearest, default=(0.0, 0, ""))
    if likeness < _RESEMBLES:
        return None, said or "no record has code like that of the cell that ran last"
    title = f"from the code of record {-at} to the cell that ran last"
    return compare(printable(text), printable(code), title), said


def _likeness(one: str, other: str) -> float:
    """How much two texts have in common, from 0 to 1: by their lines, and short ones by their characters too."""
    lines = difflib.SequenceMatcher(None, one.splitlines(), other.splitlines(), autojunk=False).ratio()
    if len(one) + len(other) > _LONGEST_COMPARED:  # it takes quadratic time
        return lines
    return max(lines, difflib.SequenceMatcher(None, one, other, autojunk=False).ratio())


def describe_record(name: str, rows: Rows, record: Record, number: int) -> RecordInfo:
    """All that is known of one record, without decoding its values."""
    lines = [(label, printable(text)) for label, text in _lines(record, rows) if text]
    title = f"record {number} of stash {printable(name)}"
    code = _Code(printable(record.code.rstrip()))
    return RecordInfo(title, [Table("", ["", ""], [list(line) for line in lines]), code], record)


@dataclass(frozen=True)
class _Code:
    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x:auto"><pre style="white-space:pre">{escape(self.text)}</pre></div>'


def _lines(record: Record, rows: Rows) -> Iterator[tuple[str, str]]:
    facts = record.facts
    yield "id", record.id
    yield "stored", f"{ago(record.created_at)} ({local(record.created_at):%Y-%m-%d %H:%M:%S %Z})"
    yield "expires", "" if record.expires_at is None else f"{local(record.expires_at):%Y-%m-%d %H:%M:%S %Z}"
    yield "ran", duration(record.seconds)
    yield "size", size_text(record.size)
    yield (
        "by",
        "you, or somebody you trust" if record.is_trusted else "somebody else: its data can be restored, code cannot",
    )
    yield "variables", ", ".join(record.variables)
    yield "last value", {"shown": "as it looked", "stored": "stored"}.get(record.result, record.result)
    yield "deletes", ", ".join(record.deleted)
    yield "left out", ", ".join(record.missing)
    yield "changes objects", "in place" if record.changes_objects else ""
    yield "shows", _outputs(record, rows)
    yield "reads", ", ".join(reads_of(record)) + (" and any other variable" if facts.everything else "")
    yield "environment", ", ".join("all of it" if name == WHOLE else str(name) for name in facts.environment)
    yield "files read", ", ".join(shown(str(fact.path)) for fact in facts.files)
    yield "looked for", ", ".join(map(shown, map(str, facts.asked)))
    yield "folders listed", ", ".join(map(shown, map(str, facts.folders)))
    yield "files written", ", ".join(map(shown, written_by(record)))
    yield "working directory", facts.working_directory or ""
    yield "modules", ", ".join(str(fact.name) for fact in facts.modules)
    yield "packages", ", ".join(f"{package} {version}" for package, version in facts.packages.items())
    yield "random state", "an input" if facts.random else ""


def _outputs(record: Record, rows: Rows) -> str:
    try:
        found = rows.outputs(record)
    except BadEntry as error:
        return f"outputs that cannot be read: {error}"
    if found is None:
        return "outputs that are gone; the cell will run"
    return counted(len(found[0].events), "output") if found[0].events else ""


def _html(part: Any) -> str:
    show = getattr(part, "_repr_html_", None)
    return str(show()) if show is not None else f"<div>{escape(str(part))}</div>"
