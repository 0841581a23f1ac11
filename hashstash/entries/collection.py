"""The entries of a stash that fulfil some conditions: read when they are looked at, and one after the other."""

from __future__ import annotations

import contextlib
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

from hashstash import trust as trusting
from hashstash.blobs import BlobMissing
from hashstash.conditions import fields_of, matches
from hashstash.entries.info import FIELDS, META, OPERANDS, EntryInfo, describe
from hashstash.entry import Entry, unpack
from hashstash.errors import BadEntry, StashError, UntrustedEntry
from hashstash.listing import each, is_there

if TYPE_CHECKING:
    from hashstash.store import Store

_SHOWN = 10


class Entries(Sequence[EntryInfo]):
    """Entries of a stash, as :class:`EntryInfo`; what ``stash.entries(size__gt="1 MB", tags__contains="x")`` gives.

    Every look at it reads the headers anew, one after the other, so that nothing is kept in memory and what other processes
    have done shows; ``sort`` and slices keep what they found. Values are decoded by ``values()`` and ``items()`` only.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        store: Store,
        conditions: Sequence[Mapping[str, Any]] = (),
        found: Sequence[EntryInfo] | None = None,
        *,
        every_context: bool = False,
    ) -> None:
        self._store = store
        self._conditions = [dict(filters) for filters in conditions if filters]
        self._found = found
        self._every_context = every_context
        self._tests = [self._test(filters) for filters in self._conditions]
        self._with_expired = any("expired" in fields_of(filters) for filters in self._conditions)

    def _test(self, filters: Mapping[str, Any]) -> Callable[[EntryInfo], bool]:
        holds = matches(filters, convert=OPERANDS)
        unknown = {name for name in fields_of(filters) if name not in FIELDS and not name.startswith(META)}
        if unknown:
            self._check_notes(filters, unknown)
        return lambda info: holds(info.value_of)

    def _check_notes(self, filters: Mapping[str, Any], wanted: set[str]) -> None:
        """Raise TypeError for a name that is neither a field nor in the notes of any entry, as long as there are entries."""
        names: dict[str, None] = {}
        is_empty = True
        for info in self._all():
            is_empty = False
            names.update(dict.fromkeys(info.meta))
            if wanted <= names.keys():
                return
        if not is_empty:
            matches(filters, fields=(*FIELDS, *names))

    # ---- looking -------------------------------------------------------------------------------------------------

    def _all(self) -> Iterator[EntryInfo]:
        if self._found is not None:
            return iter(self._found)
        return each(
            self._store,
            lambda entry: describe(self._store, entry),
            heads_only=True,
            every_context=self._every_context,
        )

    def _pairs(self, *, warns: bool = True, heads_only: bool = True) -> Iterator[tuple[EntryInfo, Entry | None]]:
        """What fulfils the conditions; with the entry itself, where it was read just now."""
        pairs: Iterator[tuple[EntryInfo, Entry | None]]
        if self._found is not None:
            pairs = ((info, None) for info in self._found)
        else:
            store = self._store
            pairs = each(
                store,
                lambda entry: (describe(store, entry), entry),
                with_expired=self._with_expired,
                warns=warns,
                heads_only=heads_only,
                every_context=self._every_context,
            )
        tests = self._tests
        return (pair for pair in pairs if all(test(pair[0]) for test in tests)) if tests else pairs

    def __iter__(self) -> Iterator[EntryInfo]:
        return (info for info, _ in self._pairs())

    def __len__(self) -> int:
        if self._tests:
            return sum(1 for _ in self._pairs(warns=False))  # ``list()`` asks for the length before it iterates
        if self._found is not None:
            return len(self._found)
        return sum(
            1
            for _ in each(self._store, lambda _: None, warns=False, heads_only=True, every_context=self._every_context)
        )

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None

    @overload
    def __getitem__(self, index: int) -> EntryInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Entries: ...
    def __getitem__(self, index: int | slice) -> EntryInfo | Entries:
        if isinstance(index, slice):
            return Entries(self._store, found=self._slice(index))
        found = list(islice(self, index, index + 1)) if index >= 0 else list(deque(self, maxlen=-index))
        if not found or (index < 0 and len(found) < -index):
            raise IndexError(f"there are {len(self)} entries, so none with the number {index}")
        return found[0]

    def _slice(self, index: slice) -> list[EntryInfo]:
        bounds = (index.start or 0, index.stop if index.stop is not None else 0, index.step or 1)
        if all(bound >= 0 for bound in bounds):
            return list(islice(self, index.start, index.stop, index.step))
        return list(iter(self))[index]

    def __reversed__(self) -> Iterator[EntryInfo]:
        return reversed(list(iter(self)))

    def __eq__(self, other: object) -> bool:
        return list(iter(self)) == list(other) if isinstance(other, (Entries, list, tuple)) else NotImplemented

    # ---- choosing ------------------------------------------------------------------------------------------------

    def filter(self, **filters: Any) -> Entries:
        """Those of them that fulfil more conditions, written as for ``stash.entries()``."""
        return Entries(self._store, [*self._conditions, filters], self._found)

    def sort(self, field: str = "key", *, reverse: bool = False) -> Entries:
        """As they are now, in the order of *field* or of a note of that name; those without it come last."""
        found = list(iter(self))
        if (
            field not in FIELDS
            and not field.startswith(META)
            and not any(field in info.meta for info in found)
            and found
        ):
            raise TypeError(f"there is no field {field!r} to sort by; the fields are: {', '.join(FIELDS)}")
        there = [info for info in found if info.value_of(field) is not None]
        rest = [info for info in found if info.value_of(field) is None]
        try:
            there.sort(key=lambda info: info.value_of(field), reverse=reverse)
        except (TypeError, ValueError):  # keys of several types, or arrays
            there.sort(key=lambda info: _order(info.value_of(field)), reverse=reverse)
        return Entries(self._store, found=there + rest)

    # ---- contents ------------------------------------------------------------------------------------------------

    def keys(self) -> Iterator[Any]:
        """Their keys, one after the other."""
        return (info.key for info in self)

    def values(self) -> Iterator[Any]:
        """Their values, each decoded when it is reached; a placeholder stands for foreign code."""
        return (value for _, value in self.items())

    def items(self) -> Iterator[tuple[Any, Any]]:
        """``(key, value)`` of each; what was removed meanwhile is left out, and with one warning what cannot be read."""
        bad = 0
        for info, entry in self._pairs(heads_only=False):
            try:
                current = entry or self._read(info)
                if current is None:
                    continue
                value = self._store.shown_value_of(current)
            except BlobMissing:
                assert current is not None
                bad += is_there(self._store, current)  # else it was removed while we were reading it
                continue
            except BadEntry:
                bad += 1
                continue
            yield info.key, value
        if bad:
            what = "1 value that cannot be read was" if bad == 1 else f"{bad} values that cannot be read were"
            warnings.warn(f"{what} left out; reading the key says why", RuntimeWarning, stacklevel=2)

    def _read(self, info: EntryInfo) -> Entry | None:
        blob = self._store.engine.get(info.address)
        if blob is None:
            return None
        entry = unpack(blob, info.address)
        with contextlib.suppress(UntrustedEntry):
            trusting.check(entry, self._store.namespace, self._store.trust)
        return entry

    def delete(self) -> int:
        """Remove them, and return how many; what was written anew since it was looked at stays."""
        self._store.engine.ensure_writable()
        chosen = [(info.address, info.write_id) for info in self]  # all first: a scan need not bear removals on its way
        removed = sum(self._store.remove(address, only=write_id) for address, write_id in chosen)
        self._store.counts.deletes += removed
        return removed

    # ---- showing -------------------------------------------------------------------------------------------------

    @property
    def df(self) -> Any:
        """A pandas data frame with a row for each, and a column ``meta.x`` for each note."""
        from hashstash.entries.table import to_frame

        return to_frame(self)

    def most(self) -> int | None:
        """At most how many there are, told without a look at them; ``None`` where that takes one."""
        return None if self._tests or self._found is not None else self._store.engine.count()

    def _head(self) -> tuple[list[EntryInfo], str]:
        """The first few, and a sentence about all."""
        try:
            if self._found is None and not self._tests:
                return list(islice(self, _SHOWN)), _counted(self._store.count())
            shown: list[EntryInfo] = []
            count = size = 0
            for info in self:
                count, size = count + 1, size + info.size
                if count <= _SHOWN:
                    shown.append(info)
            return shown, _counted(count, size)
        except (StashError, OSError) as error:  # what is shown must be shown for a locked or broken storage too
            return [], f"entries that cannot be listed: {error}"

    def __repr__(self) -> str:
        from hashstash.entries.table import text_table

        return text_table(*self._head())

    def _repr_html_(self) -> str:
        from hashstash.display.entries import html_of_entries

        return html_of_entries(self)


def _counted(count: int, size: int | None = None) -> str:
    from hashstash.wording import size_text

    words = "1 entry" if count == 1 else f"{count:,} entries"
    return words if not size else f"{words}, {size_text(size)}"


def _order(value: Any) -> tuple[str, str]:
    return type(value).__name__, repr(value)
