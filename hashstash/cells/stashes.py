"""All stashes of ``%%stash`` cells in one place, for any program: what ``%stash`` shows and does, without a notebook.

::

    from hashstash.cells.stashes import CellStashes

    stashes = CellStashes()          # those that the notebooks of this user write
    stashes.ls()                     # a table; .df is a data frame
    stashes.get("fit", "model")      # one variable of the newest record that has it
    stashes.export_to("fit.stash", ["fit"])
"""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash import archive
from hashstash.cells import described, looking, sharing, trusting
from hashstash.cells.rows import Rows
from hashstash.cells.variables import value_in
from hashstash.closed import why_closed
from hashstash.errors import CorruptEntry, StashError
from hashstash.integrity import Problem, Repairs, Report
from hashstash.integrity.report import STORAGE
from hashstash.inventory import stashes_below
from hashstash.open import FUNCTIONS, MAPS, below, configure, default_engine, function_stashes, is_namespace, namespace
from hashstash.paths import original_name, safe_parts, shown
from hashstash.registry import ENGINES
from hashstash.settings import load_settings
from hashstash.stash import HashStash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hashstash.cells.described import RecordInfo, StashInfo
    from hashstash.cells.inputs import Inputs
    from hashstash.cells.recorded import Record
    from hashstash.cells.trusting import Untrusted
    from hashstash.integrity import Aside
    from hashstash.open import Config
    from hashstash.tabular import Listing

FOLDER = "cells"
_LONGEST_NUMBER = 5
"""Digits of a record's number; more are the beginning of an id."""
_MOST_NAMES = 20


class NoSuchStash(StashError, LookupError):
    """There is no stash of that name; the message lists those that there are."""


class NoSuchRecord(StashError, LookupError):
    """The stash has no record of that number or id, or several."""


class Counts(NamedTuple):
    """How much was removed, or came."""

    records: int
    results: int
    """Of functions and maps, which are kept below the stash."""


class Trusted(NamedTuple):
    """How much was signed."""

    records: int
    rows: int


def folder_of(root: str) -> str:
    """The folder of all cell stashes, below the given root or the user's cache."""
    return os.path.join(os.path.abspath(os.path.expanduser(root)), FOLDER) if root else FOLDER


class CellStashes:
    """The named stashes of cells below one root. Looking makes none; names are those that ``%%stash`` takes.

    *root*, *engine*, *serializer*, *compress*: as the flags of ``%%stash``; empty for what the user has set, or the defaults.
    What lies in files is found whichever engine keeps it, unless *only_engine*; what an engine keeps elsewhere, if it is the
    chosen one.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        engine: str | None = None,
        serializer: str | None = None,
        compress: str | None = None,
        only_engine: bool = False,
    ) -> None:
        self.config: Config = configure(
            root_dir=folder_of(root or ""),
            dbname=None,
            engine=engine or None,
            serializer=serializer or None,
            compress=compress or None,
            ttl=None,
            durability="process",
            trust="mine",
            engine_options={},
        )
        self._only_engine = only_engine
        self._has_choice = not (engine or load_settings().engine or "://" in (root or ""))

    # ---- which there are -----------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Their names, sorted."""
        return sorted({config.dbname for config in self.configs() if config.dbname})

    def configs(self, closed: list[str] | None = None) -> list[Config]:
        """How each is opened: by name, and by engine where several engines keep stashes of one name.

        Folders that this user may not look into are added to *closed*.
        """
        kind = ENGINES.load(self.config.engine)
        if not kind.keeps_files:
            found = {(name, self.config.engine) for name in self._names_elsewhere("", "")}
        else:
            below_root = stashes_below(self.config.root_dir, closed=closed)
            found = {
                (one.name, one.config.engine)
                for one in below_root
                if one.name and is_namespace(one.name) and self._counts(one.config.engine)
            }
        return [below(self.config, name, engine=engine) for name, engine in sorted(found)]

    def _counts(self, engine: str) -> bool:
        return engine == self.config.engine or not self._only_engine

    def _names_elsewhere(self, name: str, place: str) -> Iterator[str]:
        """The names of stashes in *place*, relative to the root, where the engine keeps no files."""
        engine = self.config.engine
        inner = ENGINES.load(engine).stashes_below(
            os.path.join(self.config.root_dir, place).rstrip("/"), self.config.engine_options
        )
        for part in inner:
            if part.partition("@")[0] == engine:
                yield name
            elif part not in (FUNCTIONS, MAPS):
                yield from self._names_elsewhere(
                    f"{name}/{original_name(part)}".lstrip("/"), f"{place}/{part}".lstrip("/")
                )

    def open(self, name: str) -> Rows:
        """The records of the stash *name*, which is made if it is not there yet."""
        return Rows(HashStash.from_config(self.config_of(name)))

    def config_of(self, name: str) -> Config:
        """How the stash *name* is opened, or made: where no engine was named, it stays with the one that it was made with."""
        config = below(self.config, name)
        return replace(config, engine=default_engine(config.root_dir, config.dbname)) if self._has_choice else config

    def known(self, name: str) -> Rows:
        """The records of a stash that there is, whichever engine keeps it; NoSuchStash if there is none of that name."""
        wanted = namespace(name, "name")
        as_found = "/".join(map(original_name, safe_parts(wanted)))  # shorter, if it is too long for a folder
        engines = [config.engine for config in self.configs() if config.dbname in (wanted, as_found)]
        if not engines:
            raise NoSuchStash(self._unknown(name))
        engine = self.config.engine if self.config.engine in engines else engines[0]
        return Rows(HashStash.from_config(below(self.config, wanted, engine=engine)))

    def _unknown(self, name: str) -> str:
        kept = f" in {self.config.engine}" if self._only_engine else ""
        closed: list[str] = []
        names = sorted({config.dbname for config in self.configs(closed) if config.dbname})
        if not names:
            return f"there is no stash named {name!r}{kept}; {why_closed(*closed) or 'there is none yet'}"
        close = difflib.get_close_matches(name, names, 1)
        listed = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
        return (
            f"there is no stash named {name!r}{kept}; "
            + (f"did you mean {close[0]!r}? " if close else "")
            + f"known: {listed}"
        )

    # ---- looking -------------------------------------------------------------------------------------------------

    def ls(self, name: str | None = None) -> Listing:
        """All stashes, one row each; or the records of one, newest first, with the numbers by which they are called here."""
        if name is None:
            closed: list[str] = []
            configs = self.configs(closed)
            return looking.list_stashes((Rows(HashStash.from_config(config)) for config in configs), closed)
        return looking.list_records(name, self.known(name))

    def records(self, name: str) -> list[Record]:
        """The records of one stash, newest first: number 1, 2, and so on."""
        return looking.records_of(self.known(name)).records

    def record(self, name: str, which: str | int) -> Record:
        """One record, by its number (1 is the newest) or the beginning of its id."""
        return _chosen(name, self.records(name), which)

    def info(self, name: str, record: str | int | None = None, *, code: str | None = None) -> StashInfo | RecordInfo:
        """What the records of a stash read, wrote and depend on; or all that is known of one *record*.

        *code*: the cell as it is now, which is compared with the nearest stored one.
        """
        rows = self.known(name)
        if record is None:
            return described.describe_stash(name, rows, code)
        records = looking.records_of(rows).records
        chosen = _chosen(name, records, record)
        return described.describe_record(name, rows, chosen, records.index(chosen) + 1)

    def variables(self, name: str) -> list[str]:
        """The variables that :meth:`get` can give, sorted."""
        return sorted({variable for record in self.records(name) for variable in record.variables})

    def get(self, name: str, variable: str, record: str | int | None = None, *, inputs: Inputs | None = None) -> Any:
        """The value of *variable* in the newest record that has it, or in that *record*; nothing else is restored.

        Values that need code come back only if somebody whom this user trusts has signed them. *inputs*: the variables of a
        notebook, with which a value may share objects. LookupError if there is no such variable.
        """
        rows = self.known(name)
        records = looking.records_of(rows).records
        if record is not None:
            return value_in(rows, _chosen(name, records, record), variable, inputs=inputs)
        having = next((one for one in records if variable in one.variables), None)
        if having is None:
            raise NoSuchRecord(_no_variable(name, variable, records))
        return value_in(rows, having, variable, inputs=inputs)

    # ---- removing ------------------------------------------------------------------------------------------------

    def rm(self, name: str, *records: str | int) -> Counts:
        """Remove these records of a stash, or all that it holds, results of maps included."""
        if not records:
            return self.clear(name)
        rows = self.known(name)
        found = looking.records_of(rows).records
        ids = {_chosen(name, found, which).id for which in records}  # all first: removing one changes the numbers
        return Counts(rows.remove(only=ids), 0)

    def clear(self, name: str, *, older: float | None = None) -> Counts:
        """Remove what a stash holds, or what is more than *older* seconds old, results of maps included.

        A storage that is damaged is written anew first, unless what is younger is to stay; the damaged files are kept aside.
        """
        return self._cleared(self.known(name), older)

    def clear_all(self, *, older: float | None = None) -> dict[str, Counts]:
        """The same for all of them, by name; those that held nothing to remove are left out."""
        removed: dict[str, Counts] = {}
        for config in self.configs():
            counts = self._cleared(Rows(HashStash.from_config(config)), older)
            earlier = removed.get(str(config.dbname), Counts(0, 0))
            removed[str(config.dbname)] = Counts(earlier.records + counts.records, earlier.results + counts.results)
        return {name: counts for name, counts in removed.items() if any(counts)}

    def _cleared(self, rows: Rows, older: float | None) -> Counts:
        try:
            return self._removed(rows, older)
        except CorruptEntry:
            if older is not None:
                raise
            rows.stash.repair()  # a storage that cannot be read cannot be emptied
            return self._removed(rows, None)

    def _removed(self, rows: Rows, older: float | None) -> Counts:
        results = [HashStash.from_config(config) for config in function_stashes(rows.stash.config)]
        if older is not None:
            return Counts(rows.remove(older_than=older), sum(stash.prune(older_than=older) for stash in results))
        found = looking.records_of(rows)
        removed = Counts(len(found.records) + found.unreadable, sum(map(len, results)))
        rows.stash.clear()
        return removed

    # ---- health --------------------------------------------------------------------------------------------------

    def check(self, name: str | None = None) -> Report:
        """What is wrong with what one stash holds, or with what all do. Nothing is changed."""
        if name is not None:
            return self.known(name).stash.check()
        found = [_checked(HashStash.from_config(config)) for config in self.configs()]
        return sum(found, Report(shown(self.config.root_dir), 0))

    def repair(self, name: str) -> Repairs:
        """Write the storage of a stash anew if it is damaged, and move rows aside that cannot be read."""
        return self.known(name).stash.repair()

    def kept_aside(self, name: str) -> Aside:
        """What was damaged in a stash, and was replaced or moved aside."""
        return self.known(name).stash.kept_aside()

    def remove_aside(self, name: str) -> int:
        """Delete that for good; return how many things that were."""
        return self.known(name).stash.remove_aside()

    # ---- trusting ------------------------------------------------------------------------------------------------

    def untrusted(self, name: str) -> Untrusted:
        """What :meth:`trust` would sign: a table, with the ``code`` that stands for exactly that."""
        return trusting.untrusted_in(name, self.known(name))

    def trust(self, name: str, listed: Untrusted) -> Trusted:
        """Sign what was *listed* with this user's key, so that it may do what this user's own may: run code, show HTML.

        What has come or changed since it was listed is not signed.
        """
        return Trusted(*trusting.trust(self.known(name), listed))

    # ---- sharing -------------------------------------------------------------------------------------------------

    def export_to(self, file: str | os.PathLike[str], names: Iterable[str]) -> int:
        """Write these stashes into one file, for :meth:`import_from` elsewhere; return how many entries it holds."""
        chosen = {name: self.known(name).stash for name in dict.fromkeys(names)}
        return archive.export_stashes(file, chosen)

    def import_from(self, file: str | os.PathLike[str], *, names: Mapping[str, str] | None = None) -> dict[str, Counts]:
        """Add what *file* holds to the stashes, and return what is new in each. Nothing that is here is replaced or trusted.

        *names*: which of the stashes in the file, each with its name here; without it all of them, under their own names.
        """
        chosen = names if names is not None else {one.name: one.name for one in archive.contents(file)}
        for target in chosen.values():
            namespace(target, "name")
        return {target: self._import(file, name, target) for name, target in chosen.items()}

    def _import(self, file: str | os.PathLike[str], name: str, target: str) -> Counts:
        rows = self._opened(target)
        before = len(looking.records_of(rows).records), looking.count_results(rows.stash)
        sharing.import_stash(file, rows, name)
        after = len(looking.records_of(rows).records), looking.count_results(rows.stash)
        return Counts(after[0] - before[0], after[1] - before[1])

    def _opened(self, name: str) -> Rows:
        try:
            return self.known(name)
        except NoSuchStash:
            return self.open(name)


def _checked(stash: HashStash) -> Report:
    """The health of one of several stashes, whose name begins each sentence."""
    try:
        report = stash.check()
    except (StashError, OSError) as error:
        report = Report(stash.path, 0, (Problem(str(error), STORAGE, stash.path),))
    named = (
        problem if problem.is_of_server else replace(problem, what=f"stash {stash.dbname}: {problem.what}")
        for problem in report
    )
    return replace(report, problems=tuple(named))


def _chosen(name: str, records: Sequence[Record], which: str | int) -> Record:
    text = str(which)
    if text.isdecimal() and len(text) <= _LONGEST_NUMBER:
        if not 1 <= int(text) <= len(records):
            there = f"they are 1 (the newest) to {len(records)}" if records else "it is empty"
            raise NoSuchRecord(f"stash {name} has no record {text}; {there}: %stash ls {name}")
        return records[int(text) - 1]
    found = [record for record in records if len(text) > 1 and record.id.startswith(text.lower())]
    if len(found) != 1:
        many = f"{len(found)} records whose ids begin with" if found else "no record"
        raise NoSuchRecord(f"stash {name} has {many} {text!r}; %stash ls {name} shows their numbers and ids")
    return found[0]


def _no_variable(name: str, variable: str, records: Sequence[Record]) -> str:
    if any(variable in record.missing for record in records):
        return (
            f"stash {name}: `{variable}` was left out when the cell was stored (-x or -o), so there is no value of it"
        )
    names = sorted({known for record in records for known in record.variables})
    close = difflib.get_close_matches(variable, names, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    listed = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"stash {name} has no variable {variable!r}; {hint}" + (f"it has: {listed}" if names else "it has none")
