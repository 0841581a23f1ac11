"""A plug-in for pytest: at the end, a table of what each engine under test promises and whether the promise was kept.

``pytest_plugins = ["hashstash.testing.report"]`` in the ``conftest.py`` of an engine's own project. Works under pytest-xdist,
since each test's report carries what the table needs.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from hashstash.engine import Capability
from hashstash.testing.capabilities import PROMISES, capabilities
from hashstash.testing.engine.base import PROPERTY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OUTCOMES = ("passed", "failed", "skipped", "error")
KEPT, BROKEN, NOT_PROMISED, NOT_TESTED = "yes", "FAILED", "-", "not tested"


class Tested:
    """What the reports say of one engine or wrapper."""

    def __init__(self) -> None:
        self.promises = Capability.NONE
        self.outcomes: Counter[str] = Counter()
        self.by_capability: dict[Capability, Counter[str]] = defaultdict(Counter)

    def add(self, promises: int, capability: int, outcome: str) -> None:
        """Note one test; *capability* is what it was about, 0 for none."""
        self.promises = Capability(promises)
        self.outcomes[outcome] += 1
        for part in Capability(capability):
            self.by_capability[part][outcome] += 1

    def state_of(self, capability: Capability) -> str:
        """The cell of the table."""
        if capability not in self.promises:
            return NOT_PROMISED
        outcomes = self.by_capability[capability]
        if outcomes["failed"] or outcomes["error"]:
            return BROKEN
        return KEPT if outcomes["passed"] else NOT_TESTED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, if any contract was run."""
    reports = [
        (outcome, report)
        for outcome in _OUTCOMES
        for report in terminalreporter.stats.get(outcome, ())
        if hasattr(report, "nodeid")
    ]
    tested = collect(reports)
    if tested:
        terminalreporter.section("what engines promise", sep="-")
        for line in table(tested, dict(_not_run(tested, reports))):
            terminalreporter.write_line(line)


def collect(reports: Iterable[tuple[str, Any]]) -> dict[tuple[str, int], Tested]:
    """By engine or wrapper and by what it promises, which may depend on its options, what *reports* say."""
    tested: dict[tuple[str, int], Tested] = defaultdict(Tested)
    for outcome, report in reports:
        # A test says first which engine it has, and then which promise it is about, if any.
        notes = [value for name, value in getattr(report, "user_properties", ()) if name == PROPERTY]
        if notes:
            label, promises, _ = notes[-1]
            tested[label, promises].add(promises, max(note[2] for note in notes), outcome)
    return dict(tested)


def table(tested: dict[tuple[str, int], Tested], not_run: dict[str, str]) -> Iterator[str]:
    """The lines of the table: engines first, then wrappers, then what was not tested, and why."""
    heads = [capability.name.lower().replace("_", " ") if capability.name else "" for capability in PROMISES]
    lines = sorted(tested, key=lambda line: ("(" in line[0], line))
    wide = max(map(len, [*(label for label, _ in lines), *not_run]))
    yield f"{'':{wide}}  {'  '.join(heads)}  tests"
    for label, promises in lines:
        found = tested[label, promises]
        cells = [f"{found.state_of(capability):{len(head)}}" for capability, head in zip(PROMISES, heads, strict=True)]
        outcomes = found.outcomes
        failed = outcomes["failed"] + outcomes["error"]
        passed = f"{outcomes['passed']} passed" + (f", {failed} FAILED" if failed else "")
        yield f"{label:{wide}}  {'  '.join(cells)}  {passed}"
    for name, reason in sorted(not_run.items()):
        yield f"{name:{wide}}  not tested: {reason}"


def _not_run(tested: dict[tuple[str, int], Tested], reports: list[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    names = {label for label, _ in tested}
    for row in capabilities():
        if not row.is_wrapper and row.name not in names:
            yield row.name, row.missing or _reason_to_skip(row.name, reports) or "its tests were not selected"


def _reason_to_skip(name: str, reports: list[tuple[str, Any]]) -> str:
    own = [(outcome, report) for outcome, report in reports if re.search(rf"test_{name}\.py", report.nodeid)]
    for outcome, report in own:
        longrepr = getattr(report, "longrepr", None)
        if outcome == "skipped" and isinstance(longrepr, tuple):
            return str(longrepr[2]).removeprefix("Skipped: ")
    return "not by the contract, but by tests of its own" if own else ""
