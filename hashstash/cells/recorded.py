"""One record: what is kept of one run of one cell, and how it becomes plain data."""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.cells.facts import Facts, surely_differ

if TYPE_CHECKING:
    from hashstash.cells.inputs import Inputs
    from hashstash.cells.options import CellOptions

FORMAT = 1
FOREIGN = "foreign"
"""Marks, in a signed list, a record of somebody else."""
_NOT_STORED = frozenset({"is_trusted"})


@dataclass(frozen=True, slots=True)
class Record:
    """One run of one cell, without what it showed and bound."""

    code: str
    """The cell's text, for people."""
    facts: Facts
    seconds: float
    """How long the run took."""
    variables: dict[str, bytes | None]
    """Names that were bound -> digest of the value, ``None`` where it has none."""
    deleted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Names that were bound or changed, and not stored because the user said so."""
    leftovers: dict[str, list[Any]] = field(default_factory=dict)
    """Names that were left bound to a closed file, a finished thread -> its description."""
    changes_objects: bool = False
    """Whether objects that existed before were changed in place."""
    sharing: bytes = b""
    """Which objects the bound variables share with one another and with the inputs."""
    roots: tuple[str, ...] = ()
    """The inputs by value whose objects the record may point at."""
    result: str = ""
    """Where the last value is: ``""`` none, ``"stored"``, ``"shown"`` (only its looks), or ``"variable NAME"``."""
    size: int = 0
    """Bytes of the encoded variables."""
    imports: tuple[str, ...] = ()
    """Submodules that the cell loaded by ``import a.b``."""
    expires_at: float | None = None
    created_at: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    is_trusted: bool = False
    """Whether somebody this user trusts made it; known when it was read, and not stored."""

    def to_data(self) -> dict[str, Any]:
        """As plain data."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _NOT_STORED}
        return {**data, "format": FORMAT, "facts": self.facts.to_data()}

    @classmethod
    def from_data(cls, data: dict[str, Any], *, is_trusted: bool) -> Record:
        """From what :meth:`to_data` gave; the data itself cannot say that it is trusted."""
        fields = {name: value for name, value in data.items() if name not in ("format", FOREIGN)}
        fields["is_trusted"] = is_trusted
        sequences = {name: tuple(fields[name]) for name in ("deleted", "missing", "roots", "imports")}
        return cls(**{**fields, **sequences, "facts": Facts.from_data(data["facts"])})

    @property
    def is_expired(self) -> bool:
        """Whether its time to live is over."""
        return self.expires_at is not None and time.time() >= self.expires_at


class Row(NamedTuple):
    """A record as it lies in the list of its cell."""

    data: dict[str, Any]

    def record(self) -> Record:
        """The record."""
        return Record.from_data(self.data, is_trusted=not self.data.get(FOREIGN))

    def surely_differs(self, inputs: Inputs, options: CellOptions) -> bool:
        """Whether one of its facts is seen not to hold at a glance."""
        return surely_differ(self.data["facts"], inputs, options)


def is_sound(record: Record) -> bool:
    """Whether everything in it is of the type that it must be."""
    facts = record.facts
    mappings = (
        record.variables, facts.names, facts.environment, facts.folders, facts.asked, facts.packages, facts.replaced,
        facts.settings, *(facts.settings.values() if type(facts.settings) is dict else ()),
    )  # fmt: skip
    if any(type(mapping) is not dict for mapping in mappings):
        return False
    numbers = (record.seconds, record.size, record.created_at, 0 if record.expires_at is None else record.expires_at)
    texts = (
        record.code, record.id, record.result, "" if facts.working_directory is None else facts.working_directory,
        *record.variables, *record.deleted, *record.missing, *record.imports,
        *facts.names, *facts.environment, *facts.folders, *facts.written,
        *facts.asked, *facts.asked.values(), *facts.replaced, *facts.replaced.values(),
        *(fact.path for fact in (*facts.files, *facts.made)), *(fact.name for fact in facts.modules),
    )  # fmt: skip
    are_numbers = all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
    return are_numbers and all(type(text) is str for text in texts)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a run showed, and what it changed around its variables."""

    events: list[Any]
    surroundings: dict[str, Any] = field(default_factory=dict)
    result: tuple[dict[str, Any], dict[str, Any]] | None = None
    """How the last value looked, where the value itself could not be stored."""
    inputs: dict[str, Any] = field(default_factory=dict)
    """A summary of each input, from which it can be told what differs; whoever wrote the record made it up."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of Python and of the packages that the inputs are from, in the kernel that wrote the record."""
