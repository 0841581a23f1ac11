"""Why a cell ran, in detail: what differs in each input and in the code.

What is now is looked at before the cell runs, since it may change its inputs. What was then is read only when somebody asks.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hashstash.cells import exactly, lately
from hashstash.cells.contrast import contrast
from hashstash.cells.described import compare_code
from hashstash.cells.facts import changed
from hashstash.cells.looking import records_of
from hashstash.cells.source_texts import summary_of_file
from hashstash.cells.summaries import summarise, summarise_now
from hashstash.cells.versions import differences
from hashstash.errors import StashError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashstash.cells.inputs import Inputs
    from hashstash.cells.recorded import Record
    from hashstash.cells.rows import Rows

NEW_CODE = "this code has not run before"
_MOST_NAMES = 5
_MOST_LINES = 12


def failure(error: BaseException | None) -> str:
    """Why a cell that did not come to its end was not stored."""
    if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
        return "it was interrupted, and only what is whole is stored"
    kind = f" with {type(error).__name__}" if error is not None else ""
    return f"it failed{kind}, and errors are never stored"


@dataclass(frozen=True, slots=True)
class _Changed:
    """An input that differs, as it was before the run."""

    reason: str
    summary: dict[str, Any]
    digests: tuple[bytes | None, bytes | None] = None, None
    """Its fingerprints, then and now."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The record that is nearest to a cell which ran, and the inputs that differ from it as they were before the run."""

    rows: Rows
    record: Record | None = None
    now: dict[str, _Changed] = field(default_factory=dict)
    """By the name under which a record keeps its summary."""

    @classmethod
    def look(cls, rows: Rows, record: Record, inputs: Inputs, why: Sequence[str]) -> Evidence:
        """Look at the inputs that are said to have changed."""
        names = [name for name in record.facts.names if changed(name) in why and inputs.has(name)][:_MOST_NAMES]
        return cls(rows, record, {**dict(_variables(names, record, inputs)), **dict(_modules(record, why))})

    def of_inputs(self) -> dict[str, list[str]]:
        """By reason, what differs in the input that it names."""
        if self.record is None or not self.now:
            return {}
        then: Any = {}
        versions: Any = {}
        with contextlib.suppress(StashError, OSError, LookupError, TypeError, ValueError, AttributeError):
            # the record may be gone meanwhile, or be a stranger's
            found = self.rows.outputs(self.record)
            then, versions = (found[0].inputs, found[0].versions) if found is not None else ({}, {})
        then = then if isinstance(then, dict) else {}
        other = differences(versions)
        return {one.reason: [*_details(name, one, then.get(name)), *other] for name, one in self.now.items()}

    def of_code(self, code: str) -> list[str]:
        """What differs between *code* and the most similar cell of the stash, if one is similar."""
        with contextlib.suppress(StashError, OSError):
            difference, _said = compare_code(records_of(self.rows).records, code)
            lines = list(difference or ())
            return lines[:_MOST_LINES] + (["..."] if len(lines) > _MOST_LINES else [])
        return []


def _variables(names: Iterable[str], record: Record, inputs: Inputs) -> Iterator[tuple[str, _Changed]]:
    for name in names:
        value, walk = inputs.namespace[name], inputs.walk(name)
        if walk is not None:
            lately.keep(value, walk.digest)
            summary = summarise_now(value, inputs.fingerprinter, walk.containers)
            yield name, _Changed(changed(name), summary, (record.facts.names[name], walk.digest))


def _modules(record: Record, why: Sequence[str]) -> Iterator[tuple[str, _Changed]]:
    for fact in record.facts.modules:
        name = f"module {fact.name}"
        reason = next((reason for reason in why if reason.startswith(f"{name} changed")), None)
        if reason is not None:
            yield name, _Changed(reason, summary_of_file(fact.name, fact.file.path))


def _details(name: str, one: _Changed, then: Any) -> list[str]:
    values = lately.both(*one.digests)
    exact = exactly.differences(name, values) if values is not None else []
    if values is not None and not isinstance(then, dict):
        then = summarise(values.then)
    return contrast(then, one.summary, exact)


def told(why: Sequence[str], evidence: Evidence | None, *, code: str) -> list[tuple[str, list[str]]]:
    """Each reason, with what is known in detail, a line each; nothing twice."""
    details = evidence.of_inputs() if evidence is not None else {}
    if evidence is not None and NEW_CODE in why:
        details[NEW_CODE] = evidence.of_code(code)
    found: list[tuple[str, list[str]]] = []
    for reason in why:
        lines = details.get(reason, [])
        is_told = any(set(lines) <= set(earlier) for _reason, earlier in found)
        found.append((reason, [] if is_told else lines))
    return found
