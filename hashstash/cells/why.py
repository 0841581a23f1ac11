"""Why a cell ran, in detail: what differs in each input and in the code.

What is now is looked at before the cell runs, since it may change its inputs. What was then is read only when somebody asks.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hashstash.cells.contrast import contrast
from hashstash.cells.described import compare_code
from hashstash.cells.facts import changed
from hashstash.cells.looking import records_of
from hashstash.cells.summaries import summarise_now
from hashstash.errors import StashError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashstash.cells.inputs import Inputs
    from hashstash.cells.rows import Record, Rows

NEW_CODE = "this code has not run before"
_MOST_NAMES = 5
_MOST_LINES = 12


@dataclass(frozen=True, slots=True)
class Evidence:
    """The record that is nearest to a cell which ran, and the inputs that differ from it as they were before the run."""

    rows: Rows
    record: Record | None = None
    now: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def look(cls, rows: Rows, record: Record, inputs: Inputs, why: Sequence[str]) -> Evidence:
        """Look at the inputs that are said to have changed."""
        names = [name for name in record.facts.names if changed(name) in why][:_MOST_NAMES]
        return cls(rows, record, {name: summarise_now(inputs.namespace[name]) for name in names if inputs.has(name)})

    def of_names(self) -> dict[str, list[str]]:
        """By reason, what differs in the input that it names."""
        if self.record is None or not self.now:
            return {}
        with contextlib.suppress(StashError, OSError, LookupError, TypeError, ValueError, AttributeError):
            # the record may be gone meanwhile, or be a stranger's
            found = self.rows.outputs(self.record)
            then = found[0].inputs if found is not None else {}
            return {changed(name): contrast(then[name], now) for name, now in self.now.items() if name in then}
        return {}

    def of_code(self, code: str) -> list[str]:
        """What differs between *code* and the most similar cell of the stash, if one is similar."""
        with contextlib.suppress(StashError, OSError):
            difference, _said = compare_code(records_of(self.rows).records, code)
            lines = list(difference or ())
            return lines[:_MOST_LINES] + (["..."] if len(lines) > _MOST_LINES else [])
        return []


def told(why: Sequence[str], evidence: Evidence | None, *, code: str) -> list[tuple[str, list[str]]]:
    """Each reason, with what is known in detail, a line each."""
    details = evidence.of_names() if evidence is not None else {}
    if evidence is not None and NEW_CODE in why:
        details[NEW_CODE] = evidence.of_code(code)
    return [(reason, details.get(reason, [])) for reason in why]
