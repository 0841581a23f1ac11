"""What there is in the stashes of cells, as tables: all stashes, the records of one.

Others may have written what is shown here, and with anything in it: what is no record is left out, and text is made fit to be
printed.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.cells.recorded import is_sound
from hashstash.closed import why_closed
from hashstash.errors import BadEntry
from hashstash.open import function_stashes
from hashstash.stash import HashStash
from hashstash.tabular import Listing
from hashstash.wording import ago, counted, duration, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashstash.cells.recorded import Record
    from hashstash.cells.rows import Rows

_CODE_WIDTH = 50
_MOST_SHOWN = 8
ID_LENGTH = 6
MOST_ROWS = 200
_STASH_FIELDS = ("stash", "records", "size", "seconds", "newest", "engine", "results")
RECORD_FIELDS = (
    *("number", "id", "created", "seconds", "size", "expires", "variables", "inputs", "files_read", "files_written"),
    *("trusted", "code"),
)


class Records(NamedTuple):
    """The records of one stash, newest first."""

    records: list[Record]
    unreadable: int
    """Lists of records, one for each cell, that cannot be read."""


def records_of(rows: Rows) -> Records:
    """The records of a stash, newest first; what cannot be read is counted."""
    found: list[Record] = []
    digests, unreadable = rows.looked_over()
    for digest in digests:
        try:
            one = rows.read_list(digest)
            records = one.records if one is not None else []
        except (
            BadEntry,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ):  # bytes that changed, or what a stranger made up
            unreadable += 1
            continue
        found += filter(is_sound, records)
        unreadable += not all(map(is_sound, records))
    return Records(sorted(found, key=lambda record: (-record.created_at, record.id)), unreadable)


# ---- all stashes -----------------------------------------------------------------------------------------------------


def list_stashes(stashes: Iterable[Rows], closed: Iterable[str] = ()) -> Listing:
    """All stashes that hold anything, one row each. *closed*: the folders that this user may not look into."""
    found: list[dict[str, Any]] = []
    damaged: list[str] = []
    for one in stashes:
        try:
            found.append(_stash_item(one))
        except (BadEntry, OSError):  # a storage that is damaged must not hide the others
            damaged.append(str(one.stash.dbname))
    items = [item for item in found if item["records"] or item["results"] or item["unreadable"]]
    columns = ["stash", "records", "size", "run time", "newest"]
    several = len({item["engine"] for item in items}) > 1
    has_results = any(item["results"] for item in items)
    columns += [*(["engine"] if several else []), *(["results of maps"] if has_results else [])]
    rows = [_stash_row(item, with_engine=several, with_results=has_results) for item in items]
    unreadable = sum(item.pop("unreadable") for item in items)
    why = why_closed(*closed)
    nothing = "no stashes found" if why or damaged else "no stashes yet: write %%stash NAME on top of a cell"
    title = (counted(len(rows), "stash") if rows else nothing) + left_out(unreadable) + _damaged(damaged)
    title += f"; {why}" if why else ""
    facts = {"damaged": damaged} if damaged else {}
    return Listing(title, columns, rows, facts=facts, items=items, fields=_STASH_FIELDS)


def _damaged(names: list[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(printable(name) for name in names[:_MOST_SHOWN]) + (", ..." if len(names) > _MOST_SHOWN else "")
    return f"; cannot be read: {listed}; %stash check tells why"


def _stash_item(rows: Rows) -> dict[str, Any]:
    records, unreadable = records_of(rows)
    return {
        "stash": rows.stash.dbname,
        "records": len(records),
        "size": sum(record.size for record in records),
        "seconds": sum(record.seconds for record in records),
        "newest": local(records[0].created_at) if records else None,
        "engine": rows.stash.engine,
        "results": count_results(rows.stash),
        "unreadable": unreadable,
    }


def _stash_row(item: dict[str, Any], *, with_engine: bool, with_results: bool) -> list[str]:
    newest = ago(item["newest"].timestamp()) if item["newest"] else ""
    texts = [item["stash"], str(item["records"]), size_text(item["size"]), duration(item["seconds"]), newest]
    texts += [item["engine"]] if with_engine else []
    texts += [str(item["results"] or "")] if with_results else []
    return list(map(printable, texts))


def count_results(stash: HashStash) -> int:
    """How many results of functions and maps are kept below *stash*."""
    return sum(len(HashStash.from_config(config)) for config in function_stashes(stash.config))


# ---- one stash -------------------------------------------------------------------------------------------------------


def list_records(name: str, rows: Rows) -> Listing:
    """The records of one stash, newest first."""
    records, unreadable = records_of(rows)
    columns = ["#", "id", "stored", "ran", "size", "variables", "inputs", "code"]
    items = [record_item(number, record) for number, record in enumerate(records, 1)]
    table = [
        [
            str(number),
            printable(record.id[:ID_LENGTH]),
            ago(record.created_at),
            duration(record.seconds),
            size_text(record.size),
            joined(record.variables),
            joined(reads_of(record)),
            head_of(record.code),
        ]
        for number, record in enumerate(records, 1)
    ]
    results = count_results(rows.stash)
    title = f"{counted(len(records), 'record')} in stash {printable(name)}"
    title += f", and {counted(results, 'result')} of maps" if results else ""
    title += left_out(unreadable) + not_shown(len(records))
    return Listing(title, columns, table[:MOST_ROWS], items=items, fields=RECORD_FIELDS)


def record_item(number: int, record: Record) -> dict[str, Any]:
    """What there is to say of a record, as values."""
    return {
        "number": number,
        "id": record.id,
        "created": local(record.created_at),
        "seconds": record.seconds,
        "size": record.size,
        "expires": None if record.expires_at is None else local(record.expires_at),
        "variables": list(record.variables),
        "inputs": reads_of(record),
        "files_read": [fact.path for fact in record.facts.files],
        "files_written": written_by(record),
        "trusted": record.is_trusted,
        "code": record.code,
    }


def reads_of(record: Record) -> list[str]:
    """The variables that the run depended on."""
    return [str(name) for name, digest in record.facts.names.items() if digest]


def written_by(record: Record) -> list[str]:
    """The files that the run wrote."""
    return [*(str(fact.path) for fact in record.facts.made), *map(str, record.facts.written)]


def joined(names: Iterable[str]) -> str:
    """The first of these names, and how many more there are."""
    texts = list(names)
    more = f", and {len(texts) - _MOST_SHOWN} more" if len(texts) > _MOST_SHOWN else ""
    return printable(", ".join(texts[:_MOST_SHOWN]) + more)


def left_out(unreadable: int) -> str:
    """What a title says of what cannot be read."""
    what = "what one cell has stored" if unreadable == 1 else f"what {unreadable} cells have stored"
    return f" ({what} cannot be read and is left out)" if unreadable else ""


def local(moment: float) -> dt.datetime:
    """The moment, in the local time zone; one that a stranger made up is kept within what has a date."""
    return dt.datetime.fromtimestamp(min(max(moment, 0.0), 2e11)).astimezone()


def not_shown(count: int) -> str:
    """What a title says of rows that are too many to be shown."""
    return f"; the first {MOST_ROWS} are shown, .df has all" if count > MOST_ROWS else ""


def readable(text: str) -> str:
    """Text of others on one line, fit to be printed."""
    return " ".join(printable(text).split())


def head_of(code: str) -> str:
    """The first line of code that is not a comment, cut to a width."""
    lines = (line.strip() for line in code.splitlines())
    first = printable(next((line for line in lines if line and not line.startswith("#")), ""))
    return first if len(first) <= _CODE_WIDTH else first[: _CODE_WIDTH - 1] + "…"
