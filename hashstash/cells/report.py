"""What happened to one cell, to be told below it and by ``%stash why``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hashstash.errors import MissingDependency, StashError

if TYPE_CHECKING:
    from hashstash.cells.why import Evidence


class NothingStored(StashError, LookupError):
    """The cell was only to be read from its stash, and there is nothing that fits."""

    reason = "it was not run, since --read was given"


class PackageMissing(MissingDependency):
    """What is stored of the cell needs a package that is not here; whether to run it instead is for its author to say."""

    reason = "it was not run, since what is stored of it needs a package that is not installed"


@dataclass(slots=True)
class Report:
    """What happened to one cell."""

    name: str
    outcome: Literal["hit", "stored", "not stored", "would hit", "would run"] = "not stored"
    reason: str = ""
    """Why the run was not stored."""
    why: list[str] = field(default_factory=list)
    """Why there was no hit."""
    warnings: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    size: int = 0
    """Bytes of the variables as encoded."""
    run_seconds: float = 0.0
    restore_seconds: float = 0.0
    created_at: float = 0.0
    hidden_displays: int = 0
    code: str = ""
    """The cell's text."""
    evidence: Evidence | None = None
    """With what it can be told in detail why there was no hit."""
