"""From the entries of a stash to rows: what the key adds to each, versions and times, and what is left out."""

from __future__ import annotations

import itertools
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.blobs import BlobMissing
from hashstash.errors import BadEntry, UntrustedEntry
from hashstash.frames.batches import batch_of, fields_of_all
from hashstash.frames.choice import Choice, no_such_field
from hashstash.frames.columns import Columns
from hashstash.frames.flat import Block, Row, flat_dict, free_name, parts_of
from hashstash.frames.rest import REST, fold
from hashstash.listing import is_there
from hashstash.policies.versions import older_rows
from hashstash.store import Foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hashstash.entry import Entry
    from hashstash.store import Store

KEY, VERSION, TIMESTAMP = "_key", "_version", "_timestamp"
_ARGUMENT, _KEYWORD = "_arg", "_kw."
_FIRST_BATCH = 16
_LARGEST_BATCH = 256
_MOST_LOOKED_AT = 100
_MOST_ROWS = 8192


class Head(NamedTuple):
    """What stands in each row of an entry beside its value."""

    levels: Row
    fields: Row
    """The fields of a key that is a dict."""


class Table(NamedTuple):
    """Everything that was asked for, by columns."""

    columns: Columns
    levels: list[str]
    """The names of the columns by which rows are found."""


class Scan:
    """One reading of a stash for the rows and columns of *choice*."""

    def __init__(self, store: Store, choice: Choice, *, is_function_stash: bool, with_metadata: bool) -> None:
        self._store = store
        self._is_function_stash = is_function_stash
        self._with_metadata = with_metadata
        self._stamps = (VERSION, TIMESTAMP) if with_metadata else ()
        self._is_wanted, self._choice = choice.divided(self._is_ours)
        self._seen: dict[str, None] = {}
        self._heads: dict[str, None] = {}
        self._entry_count = 0
        self._passed_over = 0
        self._foreign = 0
        self._bad = 0
        self._is_cut = False
        self._folded = 0

    def rows(self) -> list[Row]:
        """All rows as flat dicts."""
        rows: list[Row] = []
        for part in self._parts():
            rows.extend(part.rows() if isinstance(part, Block) else (part,))
        self._finish()
        return rows

    def table(self) -> Table:
        """All rows by columns."""
        columns = Columns()
        for part in self._parts():
            columns.add_block(*part) if isinstance(part, Block) else columns.add_row(part)
        levels = self._levels()
        names = self._choice.arranged(name for name in columns.by_name if name not in levels)
        columns.by_name = {name: columns.column(name) for name in (*levels, *names)}
        self._folded = fold(columns, {*levels, *(self._choice.columns or ())})
        self._finish()
        return Table(columns, levels)

    def _parts(self) -> Iterator[Row | Block]:
        """What is wanted of all entries."""
        entries, size = self._entries(), _FIRST_BATCH
        if self._is_wanted is not None:
            entries = filter(self._may_be_wanted, entries)
        while batch := list(itertools.islice(entries, size)):
            block = self._block_of(batch)
            if block is not None:
                yield block
                size = min(2 * size, _LARGEST_BATCH) if block.length < _MOST_ROWS else _FIRST_BATCH
                continue
            for entry in batch:
                yield from self._parts_of(*entry)
            size = _FIRST_BATCH  # such values may be large, and all of a batch are in memory

    # ---- entries -------------------------------------------------------------------------------------------------

    def _entries(self) -> Iterator[tuple[Any, ...]]:
        """Key and value of each entry; with metadata those of each version, its number and its time."""
        if not self._with_metadata:
            return self._store.pairs()
        return itertools.chain.from_iterable(self._store.each(self._versions))

    def _may_be_wanted(self, entry: tuple[Any, ...]) -> bool:
        """Whether the conditions on what is no part of the value hold, so that it is worth a look."""
        key, _, *stamps = entry
        assert self._is_wanted is not None
        if type(key) is Foreign or self._is_wanted(self._head_of(key, stamps).levels):
            return True
        self._passed_over += 1
        return False

    def _versions(self, entry: Entry) -> list[tuple[Any, Any, int, float]]:
        store = self._store
        found = []
        if entry.version > 1 and not store.is_foreign_key(entry):
            for row in older_rows(store.engine, entry.digest, entry.version):
                try:
                    older = store.open_row(entry.digest, row)
                    if older is not None:
                        found.append(self._version(older))
                except UntrustedEntry:
                    self._foreign += 1
                except BlobMissing:
                    assert older is not None
                    self._bad += is_there(store, older)  # else it was removed while we were reading it
                except BadEntry:
                    self._bad += 1
        try:
            found.append(self._version(entry))
        except BadEntry:
            if not found:
                raise
            self._bad += 1
        return found

    def _version(self, entry: Entry) -> tuple[Any, Any, int, float]:
        store = self._store
        return store.key_of(entry), store.shown_value_of(entry), entry.version, entry.created_at / 1e9

    def _finish(self) -> None:
        """Say what was left out, and that a column was asked for which nothing has."""
        for count, why in (
            (self._foreign, "code of somebody else is needed, which stash.trust() lets be decoded"),
            (self._bad, "stash.check() says why"),
        ):
            if count:
                versions = "1 entry or version" if count == 1 else f"{count} entries or versions"
                self._warn(f"{versions} left out: {why}")
        if self._is_cut:
            self._warn(
                "some rows hold the same dicts over and over, names without end or millions of empty rows:"
                " these are not taken apart"
            )
        if self._folded:
            self._warn(
                f"of the columns, which would be little but empty cells, the {self._folded:,} rarest stand together as dicts"
                f" in {REST!r}; columns= chooses others"
            )
        for column in self._choice.unknown(self._seen) if self._entry_count else ():
            self._expect(column)

    def _warn(self, what: str) -> None:
        warnings.warn(f"{self._store.engine.location()}: {what}", RuntimeWarning, stacklevel=6)

    def _note_whole(self) -> None:
        self._is_cut = True

    def _expect(self, column: str) -> None:
        """Raise a KeyError if no entry has such a field, the entries that were passed over included."""
        if not (self._passed_over and self._other(Choice([column])).finds_all()):
            raise no_such_field(column, self._other(Choice()).first_fields())

    def finds_all(self) -> bool:
        """Whether there are all columns that were asked for; reads no further than it takes."""
        return any(not self._choice.unknown(self._seen) for _ in self._parts())

    def first_fields(self) -> list[str]:
        """The fields of the first entries."""
        for entry in itertools.islice(self._entries(), _MOST_LOOKED_AT):
            for _ in self._parts_of(*entry):
                pass
        return list(self._seen)

    def _other(self, choice: Choice) -> Scan:
        function_stash, metadata = self._is_function_stash, self._with_metadata
        return Scan(self._store, choice, is_function_stash=function_stash, with_metadata=metadata)

    # ---- one entry -----------------------------------------------------------------------------------------------

    def _parts_of(self, key: Any, value: Any, *stamps: Any) -> Iterator[Row | Block]:
        """What is wanted of the rows of one entry."""
        if type(key) is Foreign or type(value) is Foreign:
            self._foreign += 1
            return
        self._entry_count += 1
        head = self._head_of(key, stamps)
        choice = self._choice
        for part in parts_of(value, choice.needs, self._note_whole):
            if isinstance(part, Block):
                columns = self._with_head(head, part.columns, partial(_repeated, part.length))
                self._note(columns)
                yield choice.of_block(Block(columns, part.length), head.levels)
                continue
            row = self._with_head(head, part, _itself)
            self._note(row)
            chosen = choice.of_row(row, head.levels)
            if chosen is not None:
                yield chosen

    def _note(self, row: Row) -> None:
        if not self._seen.keys() >= row.keys():
            self._seen.update(dict.fromkeys(row))

    def _head_of(self, key: Any, stamps: Sequence[Any]) -> Head:
        levels: Row = {}
        fields: Row = {}
        if self._is_function_stash:
            levels = _arguments(key) if self._with_metadata else {}
        elif isinstance(key, dict):
            fields = flat_dict(key.items(), notice=self._note_whole)
        else:
            levels[KEY] = key
        levels.update(zip(self._stamps, stamps, strict=True))
        self._heads.update(dict.fromkeys(levels))
        return Head(levels, fields)

    def _with_head(self, head: Head, columns: Row, repeated: Callable[[Any], Any]) -> Row:
        """The columns of a value behind those of its key. What has a name of ours, or one of the value's, gets another."""
        found = {name: repeated(cell) for name, cell in head.levels.items()}
        if any(name[:1] == "_" and self._is_ours(name) for name in columns):
            columns = self._with_other_names(columns)
        for name, cell in head.fields.items():
            is_taken = name in columns or self._is_ours(name)
            found[free_name(f"{KEY}.{name}", {**columns, **found}) if is_taken else name] = repeated(cell)
        found.update(columns)
        return found

    def _with_other_names(self, columns: Row) -> Row:
        own: Row = {}
        for name, cells in columns.items():
            own[free_name(name, {**columns, **own}) if self._is_ours(name) else name] = cells
        return own

    def _is_ours(self, name: str) -> bool:
        if name[:1] != "_":
            return False
        if name in self._stamps:
            return True
        if not self._is_function_stash:
            return name == KEY
        return self._with_metadata and (name.startswith(_KEYWORD) or _number_of(name) > 0)

    def _levels(self) -> list[str]:
        """The names of the index's levels: the key or the arguments, version, time."""
        if self._is_function_stash:
            arguments = [name for name in self._heads if name not in self._stamps]
            return [*sorted(arguments, key=lambda name: _number_of(name) or len(arguments) + 1), *self._stamps]
        has_any = self._entry_count or self._passed_over
        return [KEY, *self._stamps] if KEY in self._heads or not has_any else list(self._stamps)

    # ---- many entries at once -------------------------------------------------------------------------------

    def _block_of(self, entries: list[tuple[Any, ...]]) -> Block | None:
        """What is wanted of some entries, by columns; ``None`` if they have to be looked at one by one."""
        keys, values, *stamps = zip(*entries, strict=True)
        head = self._heads_of(keys)
        batch = None if head is None else batch_of(values, self._choice.needs)
        if head is None or batch is None or any(map(self._is_ours, batch.columns)):
            return None
        if not batch.columns.keys().isdisjoint(head.fields):
            return None
        levels = head.levels | dict(zip(self._stamps, stamps, strict=True))
        columns = {name: batch.repeated(cells) for name, cells in (levels | head.fields).items()} | batch.columns
        self._heads.update(dict.fromkeys(levels))
        self._note(columns)
        self._entry_count += len(entries)
        return self._choice.of_block(Block(columns, batch.length), levels)

    def _heads_of(self, keys: Sequence[Any]) -> Head | None:
        """What stands beside the values of some entries, by columns; ``None`` if that is not so simple."""
        kinds = set(map(type, keys))
        if Foreign in kinds:
            return None
        if self._is_function_stash:
            return None if self._with_metadata else Head({}, {})
        if not any(issubclass(kind, dict) for kind in kinds):
            return Head({KEY: keys}, {})
        fields = fields_of_all(keys, _every) if kinds == {dict} else None
        return None if fields is None or any(map(self._is_ours, fields)) else Head({}, dict(fields))


def _itself(cell: Any) -> Any:
    return cell


def _repeated(times: int, cell: Any) -> list[Any]:
    return [cell] * times


def _arguments(call: Any) -> Row:
    """The arguments of a call as they were given, by number and by name; what is no call is a key like any other."""
    if not (isinstance(call, tuple) and len(call) == 2 and isinstance(call[0], tuple) and isinstance(call[1], dict)):
        return {KEY: call}
    args, kwargs = call
    numbered = {f"{_ARGUMENT}{number}": argument for number, argument in enumerate(args, 1)}
    return numbered | {f"{_KEYWORD}{name}": argument for name, argument in kwargs.items()}


def _number_of(name: str) -> int:
    """Which argument is called *name*; 0 if none is."""
    number = name.removeprefix(_ARGUMENT)
    return int(number) if number != name and number.isdecimal() else 0


def _every(_: str) -> bool:
    return True
