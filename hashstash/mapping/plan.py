"""What a map has to do: which calls are equal, which results are stored, which are missing."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from hashstash.entry import is_newer
from hashstash.errors import MissingDependency, NewerFormat, StashError, VolatileKey
from hashstash.functions.kinds import is_async
from hashstash.functions.memo import computed_anew
from hashstash.mapping import learned
from hashstash.mapping.outcome import Outcome, State
from hashstash.store import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.functions.function_stash import Memo
    from hashstash.mapping.calls import Call
    from hashstash.mapping.runner import Runner

_LOOK_UP_AT_ONCE = 10_000
_DECODED_AT_ONCE = 4096
"""Bytes of a row up to which decoding it costs no more than keeping it for later."""


class Plan:
    """The outcomes of a map, one for each item; items with equal arguments have the same one."""

    def __init__(self, memo: Memo, name: str, calls: list[Call]) -> None:
        self.memo = memo
        self.name = name
        self.outcomes: list[Outcome] = []
        self.distinct: list[Outcome] = []
        self._first: dict[int, int] = {}
        self._has_warned = False
        self._context: bytes | None = None
        self._add(calls)

    def _add(self, calls: list[Call]) -> None:
        address_of = self._addresser()
        known: dict[bytes, Outcome] = {}
        for call in calls:
            address = address_of(call)
            outcome = known.get(address) if address is not None else None
            if outcome is None:
                outcome = Outcome(call, address)
                if address is not None:
                    known[address] = outcome
                self.distinct.append(outcome)
            else:
                outcome.runs += 1
            self.outcomes.append(outcome)

    def _addresser(self) -> Callable[[Call], bytes | None]:
        keys = self.memo.keys
        try:
            context = self._context = keys.context()
        except VolatileKey as error:
            self._context = None
            self._warn(f"is not stashed, since {error}")
            return lambda _: None

        bind, address_in = keys.binder.bind, keys.address_in

        def address_of(call: Call) -> bytes | None:
            bound = None
            try:
                bound = bind(*call)
                return address_in(context, bound)
            except VolatileKey as error:
                self._warn(f"is not stashed for some items, since {error}")
            except TypeError:
                pass  # the arguments do not fit the function, which the call itself says best
            except (StashError, OSError) as error:  # the stash cannot be asked how it hashes large arguments
                if bound is None or isinstance(error, MissingDependency):
                    raise
                self._warn(f"is not stashed for some items, since {error}")
            return None

        return address_of

    def look_up(self) -> list[Outcome]:
        """Note which results are stored, in one pass; returns their outcomes."""
        store, found = self.memo.store, []
        wanted = [
            outcome for outcome in self.distinct if outcome.address is not None and outcome.state is State.PENDING
        ]
        for start in range(0, len(wanted), _LOOK_UP_AT_ONCE):
            batch = wanted[start : start + _LOOK_UP_AT_ONCE]
            addresses = [outcome.address or b"" for outcome in batch]
            for outcome, address, row in zip(batch, addresses, self._rows(addresses), strict=True):
                if row is None:
                    continue
                value = store.load_plain(address, row) if len(row) <= _DECODED_AT_ONCE else MISSING
                if value is not MISSING:
                    outcome.value = value
                    if outcome.runs > 1:
                        outcome.row = row
                elif self._is_good(address, outcome, row):
                    outcome.row = row
                    store.counts.hits += 1
                else:
                    continue
                outcome.state, outcome.is_stored = State.CACHED, True
                found.append(outcome)
        if self.memo.options.cache_exceptions is not None:
            found += self._look_up_errors()
        store.counts.misses += len(wanted) - len(found)
        return found

    def _rows(self, addresses: list[bytes]) -> Iterator[bytes | None]:
        """What is stored at *addresses*; nothing, with a warning, from where it cannot be read any more."""
        read = 0
        try:
            for row in self.memo.store.engine.get_many(addresses):
                read += 1
                yield row
        except MissingDependency:
            raise
        except (StashError, OSError) as error:
            self._warn(f"is computed anew for some items: {error}")
            yield from [None] * (len(addresses) - read)

    def _look_up_errors(self) -> list[Outcome]:
        """The outcomes for which an exception is kept: it is raised again."""
        found = []
        for outcome in self.pending():
            try:
                kept = None if outcome.address is None else self.memo.kept_error(outcome.address)
            except MissingDependency:
                raise
            except (StashError, OSError) as error:
                self._warn(f"is computed anew for some items: {error}")
                continue
            if kept is not None:
                outcome.fail(kept.error, self.memo)
                found.append(outcome)
        return found

    def _is_good(self, address: bytes, outcome: Outcome, row: bytes) -> bool:
        """Whether the row may be answered with; it is decoded when its value is asked for."""
        try:
            return self.memo.store.open_row(address, row) is not None
        except NewerFormat as error:
            outcome.keeps_out = True
            self._warn(computed_anew(error, of=" for some items"))
        except MissingDependency:
            raise
        except (StashError, OSError) as error:
            self._warn(f"is computed anew for some items: {error}")
        return False

    def spare_newer(self) -> None:
        """Let what a newer hashstash has stored stay, although all is to be computed anew."""
        wanted = [(outcome, outcome.address) for outcome in self.pending() if outcome.address is not None]
        rows = self._rows([address for _, address in wanted])
        for (outcome, _), row in zip(wanted, rows, strict=True):
            if row is not None and is_newer(row):
                outcome.keeps_out = True
                self._warn("is not stored for some items, since what a newer hashstash has stored stays")

    def pending(self) -> list[Outcome]:
        """What is to be computed."""
        return [outcome for outcome in self.distinct if outcome.state is State.PENDING]

    def refresh(self) -> bool:
        """Look for what is still to be computed where it belongs, if the function has changed; return whether it has.

        A map may begin long after it was made, and what a function is then must not be stored for what it was.
        """
        try:
            context: bytes | None = self.memo.keys.context()
        except VolatileKey:
            context = None
        if context == self._context:
            return False
        address_of = self._addresser()
        for outcome in self.pending():
            outcome.address, outcome.keeps_out = address_of(outcome.call), False
        return True

    def reopen(self) -> None:
        """Make what failed or was given up pending again."""
        for outcome in self.distinct:
            if outcome.state in (State.CANCELLED, State.FAILED):
                outcome.state, outcome.error, outcome.attempts = State.PENDING, None, 0

    def first_of(self, outcome: Outcome) -> int:
        """The index of the first item with these arguments."""
        if not self._first:
            self._first = {identity: runs[0] for identity, runs in self.runs_by_outcome().items()}
        return self._first[id(outcome)]

    def runs_by_outcome(self) -> dict[int, list[int]]:
        """The indexes of the items of each outcome, by its ``id``."""
        runs: dict[int, list[int]] = {}
        for index, outcome in enumerate(self.outcomes):
            runs.setdefault(id(outcome), []).append(index)
        return runs

    @property
    def is_async(self) -> bool:
        """Whether the function is to be awaited."""
        return is_async(self.memo.function)

    @property
    def seconds_each(self) -> float | None:
        """What an item took the last time this function was mapped in this process."""
        return learned.seconds_each(self.memo.function)

    @property
    def is_deadly(self) -> bool:
        """Whether a worker was lost in a map of this function in this process."""
        return learned.is_deadly(self.memo.function)

    def learn(self, runner: Runner) -> None:
        """Remember what an item took."""
        if runner.seconds_each is not None:
            learned.note_seconds(self.memo.function, runner.seconds_each)

    def _warn(self, what: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(f"{self.name} {what}", RuntimeWarning, stacklevel=6)
