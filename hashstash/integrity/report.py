"""What was found, and what was done about it, as it is handed to the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

from hashstash.wording import counted, printable

MOST_LISTED = 1000
"""How many problems a report lists; further ones are only counted."""
DAMAGE = "damage"
NOT_OURS = "left alone"
STORAGE = "storage"
ORPHANS = "orphans"
NO_ROOM = (
    "at most 100 rows and 64 MB are kept there. stash.kept_aside() shows what is, stash.remove_aside() empties it (in a shell:"
    " hashstash aside, in a notebook: %stash aside); or overwrite or delete the entries"
)
"""What to do where bad rows must stay where they are."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be."""

    what: str
    """A sentence for people."""
    kind: str
    """``damage``: repair moves the row aside; ``left alone``: another version, or a package, can read it; or else ``storage`` or
    ``orphans``."""
    location: str
    section: str = ""
    """Empty for the entries themselves, ``history`` for older versions."""
    address: bytes = b""

    def is_told_by(self, other: Problem) -> bool:
        """Whether *other* says the same: what is wrong with a server is so for all that it keeps, and names the server."""
        return self == other or (self.is_of_server and self.what == other.what)

    @property
    def is_of_server(self) -> bool:
        """Whether it is a server as a whole with which something is wrong."""
        return self.kind == STORAGE and "://" in self.what.partition(" ")[0]

    def __str__(self) -> str:
        where = f"{self.section} " if self.section else ""
        return f"{where}{self.address.hex()[:16]}: {self.what}" if self.address else self.what


@dataclass(frozen=True)
class Report(Sequence[Problem]):
    """The problems that were found: empty, and so false, if there are none."""

    location: str
    rows: int
    """How many rows were looked at, older versions included."""
    problems: tuple[Problem, ...] = ()
    unlisted: int = 0
    """Problems beyond those that are listed."""
    aside: int = 0
    """Bad rows that were moved or copied aside earlier."""

    def __len__(self) -> int:
        return len(self.problems) + self.unlisted

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Problem]: ...
    def __getitem__(self, index: int | slice) -> Problem | Sequence[Problem]:
        return self.problems[index]

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)

    def __repr__(self) -> str:
        found = f"{len(self)} problem{'s' * (len(self) != 1)}" if self else "nothing wrong"
        lines = [
            f"{self.location}: {self.rows:,} row{'s' * (self.rows != 1)}, {found}",
            *(f"- {item}" for item in self),
        ]
        if self.unlisted:
            lines.append(f"- and {self.unlisted:,} more")
        if self.aside:
            lines.append(f"({counted(self.aside, 'bad row')} kept aside earlier, which stash.kept_aside() lists)")
        return printable("\n".join(lines))

    def _repr_html_(self) -> str:
        from hashstash.display.reports import html_of_report

        return html_of_report(self)

    def __add__(self, other: Report) -> Report:
        """Both reports as one."""
        told = {problem.what for problem in self if problem.is_of_server}
        both = (*self.problems, *(problem for problem in other if problem.what not in told))
        return replace(
            self,
            rows=self.rows + other.rows,
            problems=both[:MOST_LISTED],
            unlisted=self.unlisted + other.unlisted + max(0, len(both) - MOST_LISTED),
            aside=self.aside + other.aside,
        )


@dataclass(frozen=True)
class Repairs:
    """What a repair has done."""

    moved: tuple[Problem, ...] = ()
    """Rows that were moved aside."""
    restored: int = 0
    """Entries whose newest older version took the place of a bad one."""
    swept: int = 0
    """Blob files that no row pointed at, and that are gone."""
    left: tuple[Problem, ...] = ()
    """What is still wrong."""
    rebuilt: tuple[str, ...] = ()
    """Storages that were damaged as a whole and were written anew; what was damaged lies there in the folder ``damaged``."""
    unmoved: int = 0
    """Bad rows among those left, for which there is no more room aside."""

    @property
    def notes(self) -> list[str]:
        """What to do about rows for which there is no room."""
        return [f"no room aside for {counted(self.unmoved, 'bad row')}: {NO_ROOM}"] if self.unmoved else []

    def __repr__(self) -> str:
        done = [f"moved {len(self.moved)} bad row{'s' * (len(self.moved) != 1)} aside"] if self.moved else []
        done += [f"restored {self.restored} from older versions"] if self.restored else []
        done += [f"wrote {place} anew, the damaged files lie in {place}/damaged" for place in self.rebuilt]
        done += (
            [f"removed {self.swept} blob file{'s' * (self.swept != 1)} that nothing pointed at"] if self.swept else []
        )
        lines = [
            ", ".join(done) or ("nothing was repaired" if self.left else "nothing to repair"),
            *(f"- {item}" for item in self.moved),
        ]
        left = ["left as it is:", *(f"- {item}" for item in self.left), *self.notes] if self.left else []
        return printable("\n".join([*lines, *left]))

    def _repr_html_(self) -> str:
        from hashstash.display.reports import html_of_repairs

        return html_of_repairs(self)

    def __add__(self, other: Repairs) -> Repairs:
        """Both as one."""
        return Repairs(
            self.moved + other.moved,
            self.restored + other.restored,
            self.swept + other.swept,
            self.left + other.left,
            self.rebuilt + other.rebuilt,
            self.unmoved + other.unmoved,
        )
