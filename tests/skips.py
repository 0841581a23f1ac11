"""Why tests are skipped: a line per reason at the end of a run, with their number, and one for all packages that are missing."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from importlib.util import find_spec
from typing import Any

import pytest

_PACKAGE = re.compile(
    r"No module named '(?P<module>[\w]+)|the package (?:for )?(?P<package>[\w.-]+) is not installed"
    r"|could not import .*needs the package '(?P<needed>[\w.-]+)'"
)


def needs(*packages: str) -> None:
    """Skip the file that calls this where one is missing, without importing them: all workers collect a file, and one runs it."""
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed", allow_module_level=True)


class Later:
    """A package that is imported when something of it is first used; see `needs`."""

    def __init__(self, package: str) -> None:
        needs(package)
        self._package = package

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._package), name)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print them."""
    reasons = [_reason(report) for report in terminalreporter.stats.get("skipped", ())]
    if reasons:
        terminalreporter.section(f"{len(reasons)} skipped", sep="-")
        for line in folded(reasons):
            terminalreporter.write_line(line)


def _reason(report: Any) -> str:
    longrepr = getattr(report, "longrepr", None)
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return str(reason).removeprefix("Skipped: ").strip() or "no reason given"


def folded(reasons: list[str]) -> list[str]:
    """The lines, the most frequent reason first."""
    packages: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for reason in reasons:
        missing = _PACKAGE.search(reason)
        if missing:
            packages[next(filter(None, missing.groups()))] += 1
        else:
            others[reason.splitlines()[0]] += 1
    lines = [f"{number:6} {reason}" for reason, number in others.most_common()]
    if packages:
        named = ", ".join(f"{package} {number}" for package, number in packages.most_common())
        lines.insert(0, f"{packages.total():6} packages are not installed: {named}")
    return lines
