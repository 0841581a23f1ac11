"""A map of a function over many inputs: a sequence of results that are computed once, by many workers, and kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from hashstash.errors import NotComputed
from hashstash.mapping.calls import shown_call
from hashstash.mapping.computation import Computation, MapOptions
from hashstash.mapping.failure import add_note
from hashstash.mapping.outcome import FINAL, WITH_VALUE, Outcome, State
from hashstash.mapping.run import WIDTH, StashMapRun
from hashstash.mapping.settled import Settled, SettledPlan
from hashstash.store import MISSING
from hashstash.views import same
from hashstash.wording import shortened

if TYPE_CHECKING:
    from types import TracebackType

    from hashstash.mapping.progress import Tally

__all__ = ["MapOptions", "StashMap", "StashMapRun"]

_SHOWN_RUNS = 10


class StashMap(Sequence[Any]):
    """The results of a function for many inputs, in their order: indexing, slicing and iterating give values.

    Reading a value waits for it. What was stored before is there at once; what is computed is stored as it comes, so that an
    interrupted map goes on where it stopped, here with :meth:`resume` or in another process by mapping again.

    A failed item raises, when it is read, what the function raised. In a map with ``errors="return"`` the exception stands in
    its place; with ``errors="skip"`` iterating, slicing and :attr:`results` leave it out, and only its index raises.

    Copied, pickled or stored, a map is waited for and comes back with its results and without its function.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, computation: Computation, *, parameters: Sequence[str] = (), bound: int = 0) -> None:
        self._computation = computation
        self._outcomes = computation.plan.outcomes
        self._parameters = parameters
        """The names of the function's positional parameters."""
        self._bound = bound
        """How many of the first arguments belong to the function: what a method is bound to."""
        self._values: dict[int, Any] = {}
        self._notes: dict[int, str] = {}
        self._traces: dict[int, TracebackType | None] = {}

    @property
    def name(self) -> str:
        """``module.qualname`` of the function."""
        return self._computation.plan.name

    # ---- waiting and stopping ------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether every item has a result or an error."""
        return self._computation.done

    @property
    def is_running(self) -> bool:
        """Whether something is being computed."""
        return self._computation.is_running

    @property
    def tally(self) -> Tally:
        """How many items are cached, computed, failed and running."""
        return self._computation.tally

    @property
    def seconds(self) -> float:
        """How long the map has been computing, or took in all."""
        return self._computation.seconds

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most *timeout* seconds (``None``: for ever) until all is done; return whether it is.

        An interrupt stops the map: what is finished is kept, and :meth:`resume` computes the rest.
        """
        return self._computation.wait(timeout)

    def cancel(self) -> bool:
        """Stop computing; what is finished stays. Items that workers of ours are at are given up. False if nothing ran."""
        return self._computation.cancel()

    def resume(self) -> StashMap:
        """Compute what was not computed when the map was interrupted or cancelled, and what failed; returns the map."""
        self._computation.resume()
        self._notes.clear()
        self._traces.clear()
        return self

    # ---- reading -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._outcomes)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """The value of one item, or the values of a slice as a list."""
        if isinstance(index, slice):
            return [value for number in range(*index.indices(len(self))) for value in self._values_of(number)]
        try:
            number = index.__index__()
        except (AttributeError, TypeError):
            raise TypeError(f"a map is read by numbers and slices, not by {type(index).__name__}") from None
        if not -len(self) <= number < len(self):
            raise IndexError(f"item {number} of a map of {len(self)}")
        return self._value_or_error(number % len(self))

    def __iter__(self) -> Iterator[Any]:
        for index, outcome in enumerate(self._outcomes):
            if outcome.runs == 1 and outcome.value is not MISSING and outcome.state in WITH_VALUE:
                yield outcome.value  # as the long way would, whatever is done about failures
            else:
                yield from self._values_of(index)

    def __reversed__(self) -> Iterator[Any]:
        for index in reversed(range(len(self))):
            yield from self._values_of(index)

    def __contains__(self, value: object) -> bool:
        return any(same(mine, value) for mine in self)

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The number of the first item with that value; ValueError if there is none."""
        for number in range(*slice(start, stop).indices(len(self))):
            if any(same(mine, value) for mine in self._values_of(number)):
                return number
        raise ValueError(f"{shortened(value, WIDTH)} is not among the values of the map")

    def count(self, value: Any) -> int:
        """How many items have that value."""
        return sum(same(mine, value) for mine in self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (StashMap, list, tuple)):
            return NotImplemented
        mine, theirs = list(self), list(other)
        return len(mine) == len(theirs) and all(map(same, mine, theirs))

    @property
    def runs(self) -> list[StashMapRun]:
        """The items with their arguments and states."""
        return [StashMapRun(self, index) for index in range(len(self))]

    @property
    def was_cached(self) -> list[bool]:
        """For each item, whether it was answered without computing it."""
        return [self._was_cached(index) for index in range(len(self))]

    @property
    def results(self) -> list[Any]:
        """All values, in the order of the inputs; waits for them. Failed items raise, are left out, or are exceptions."""
        self.wait()
        return list(self)

    def results_iter(self) -> Iterator[Any]:
        """The values as they come; in the order of the inputs, unless the map was made with ``ordered=False``."""
        if self._computation.options.ordered:
            yield from self
            return
        for index in self._as_they_come():
            yield from self._values_of(index)

    def keys(self) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """The calls, as ``((args), {kwargs})``."""
        return [(outcome.call.args, dict(outcome.call.kwargs)) for outcome in self._outcomes]

    def values(self) -> list[Any]:
        """The same as :attr:`results`."""
        return self.results

    def items(self) -> Iterator[tuple[tuple[tuple[Any, ...], dict[str, Any]], Any]]:
        """Pairs of a call and its value."""
        for index, key in enumerate(self.keys()):
            for value in self._values_of(index):
                yield key, value

    @property
    def df(self) -> Any:
        """A pandas DataFrame of all items: the arguments by the names of their parameters, then the fields of the result.

        A result without fields stands under ``_value``; one that is a list or a frame has a row for each of its own. A field
        that is called like an argument gets a number: ``x_2``. Failed items raise, are left out, or have their exception under
        ``_error``, as ``errors=`` says.
        """
        from hashstash.frames import to_frame
        from hashstash.mapping.rows import rows_of

        self.wait()
        each = ((run, list(self._values_of(run.index))) for run in self.runs)
        rows = [row for run, values in each for row in rows_of(run, values, self._parameters, bound=self._bound)]
        return to_frame(rows)

    # ---- one item ------------------------------------------------------------------------------------------------

    def _settled(self, index: int) -> Outcome:
        """The outcome of an item once it is final."""
        outcome = self._outcomes[index]
        if outcome.state not in FINAL:
            self._computation.settle(outcome)
        return outcome

    def _value(self, index: int) -> Any:
        if index in self._values:
            return self._values[index]
        outcome = self._settled(index)
        if outcome.state not in WITH_VALUE:
            raise self._reason(index, outcome)
        # Of two threads that read it at once, both get the one that was first.
        return self._values.setdefault(index, outcome.result(self._computation.plan.memo))

    def _values_of(self, index: int) -> Iterator[Any]:
        """The value of an item; nothing for a failed one that is to be skipped."""
        if self._computation.options.errors != "skip" or self._settled(index).error is None:
            yield self._value_or_error(index)

    def _value_or_error(self, index: int) -> Any:
        if self._computation.options.errors == "return" and self._settled(index).error is not None:
            return self._reason(index, self._outcomes[index])
        return self._value(index)

    def _reason(self, index: int, outcome: Outcome) -> BaseException:
        """Why an item has no value: what the function raised, with the item named, or that it was never called."""
        call = shown_call(self.name, outcome.call, WIDTH)
        error = outcome.error
        if error is not None:
            self._name_item(error, f"in item {index} of the map: {call}")
            # Where the function was; else each reading would add where it was read.
            return error.with_traceback(self._traces.setdefault(id(error), error.__traceback__))
        trouble = self._computation.trouble
        why = "the map was interrupted" if trouble is None else f"the map stopped: {trouble}"
        unfinished = NotComputed(f"item {index}, {call}, was not computed: {why}; resume() goes on with it")
        unfinished.__cause__ = trouble
        return unfinished

    def _name_item(self, error: BaseException, note: str) -> None:
        """Say in a note of the error which item it was; equal items share their error, which names the one that is read."""
        former = self._notes.get(id(error))
        if former == note:
            return
        if former is not None:
            with contextlib.suppress(AttributeError, ValueError):  # the user's code may have changed its notes
                error.__notes__.remove(former)
        add_note(error, note)
        self._notes[id(error)] = note

    def _was_cached(self, index: int) -> bool:
        outcome = self._outcomes[index]
        if outcome.state is State.CACHED:
            return True
        return outcome.state is State.COMPUTED and self._computation.plan.first_of(outcome) != index

    def _as_they_come(self) -> Iterator[int]:
        computation = self._computation
        computation.ensure_started()
        runs = computation.plan.runs_by_outcome()
        seen = 0
        while arrived := computation.arrived_after(seen):
            seen += len(arrived)
            for outcome in arrived:
                yield from runs[id(outcome)]

    # ---- shown, copied and stored --------------------------------------------------------------------------------

    def _shown(self, index: int, most: int) -> str:
        """The value of a computed item, or that it lies in the stash."""
        try:
            value = self._values.get(index, MISSING)
            if value is MISSING:
                value = self._outcomes[index].at_hand(self._computation.plan.memo)
        except Exception as error:  # noqa: BLE001 - a repr shows what there is and never raises
            return f"<{type(error).__name__}>"
        return "…" if value is MISSING else shortened(value, most)

    def __repr__(self) -> str:
        lines = [repr(StashMapRun(self, index)) for index in range(min(len(self), _SHOWN_RUNS))]
        if len(self) > _SHOWN_RUNS:
            lines.append(f"... {len(self) - _SHOWN_RUNS} more")
        return "StashMap([" + (",\n" + " " * len("StashMap([")).join(lines) + "])"

    def _repr_html_(self) -> str:
        from hashstash.display.maps import html_of_map

        return html_of_map(self)

    def __reduce__(self) -> Any:
        self.wait()
        options = self._computation.options
        runs = [
            tuple(Settled.of(outcome, was_cached=self._was_cached(index), value=self._kept(index)))
            for index, outcome in enumerate(self._outcomes)
        ]
        chosen = {"errors": options.errors, "ordered": options.ordered}
        return _restored, (self.name, chosen, runs, tuple(self._parameters), self._bound)

    def _kept(self, index: int) -> Any:
        outcome = self._outcomes[index]
        return self._value(index) if outcome.state in (State.CACHED, State.COMPUTED) else None

    def __hashstash_fingerprint__(self) -> tuple[str, list[Any]]:
        """A cell that uses a map depends on its results: on what was called with what, and on which of it failed.

        A map that computes nothing before it is read is not waited for: its function may itself read it.
        """
        if self._computation.options.precompute:
            self.wait()
        return self.name, [self._mark(index) for index in range(len(self))]

    def _mark(self, index: int) -> Any:
        outcome = self._outcomes[index]
        if outcome.error is not None:
            return repr(outcome.error)
        return self._kept(index) if outcome.address is None else outcome.address


def _restored(
    name: str, options: dict[str, Any], runs: list[tuple[Any, ...]], parameters: tuple[str, ...], bound: int
) -> StashMap:
    """A map that was copied, stored or sent somewhere."""
    plan = SettledPlan(name, [Settled(*run) for run in runs])
    computation = Computation(plan, MapOptions(**options), is_settled=True)
    return StashMap(computation, parameters=parameters, bound=bound)
