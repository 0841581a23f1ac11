"""What is left of a map that was copied, stored or sent somewhere: its calls and what came of them, without the function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.errors import NotComputed
from hashstash.mapping import failure
from hashstash.mapping.calls import Call
from hashstash.mapping.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashstash.mapping.runner import Runner


class Settled(NamedTuple):
    """One item, as it travels."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    address: bytes | None
    """Where its result is stored, which stands for the function and the arguments."""
    state: str
    seconds: float | None
    value: Any
    failure: tuple[Any, ...] | None
    """The parts of a Failure, where the function raised."""

    @classmethod
    def of(cls, outcome: Outcome, *, was_cached: bool, value: Any) -> Settled:
        """The item of a final *outcome*; *value* is ``None`` where it has none."""
        state = State.CACHED if was_cached else outcome.state
        packed = None if outcome.error is None else tuple(failure.pack(outcome.error))
        return cls(*outcome.call, outcome.address, str(state), outcome.seconds, value, packed)

    def outcome(self) -> Outcome:
        """The outcome that it was made of, as far as it is known."""
        outcome = Outcome(Call(self.args, self.kwargs), self.address)
        outcome.state, outcome.seconds = State(self.state), self.seconds
        if self.failure is not None:
            outcome.error = failure.Failure(*self.failure).error(is_remote=False)
        elif outcome.state is not State.CANCELLED:
            outcome.value = self.value
        return outcome


class SettledPlan:
    """A plan with nothing left to do."""

    memo: Any = None
    is_async = False
    seconds_each: float | None = None
    is_deadly = False

    def __init__(self, name: str, runs: Iterable[Settled]) -> None:
        self.name = name
        self.outcomes = self.distinct = [run.outcome() for run in runs]
        self._first = {id(outcome): index for index, outcome in enumerate(self.outcomes)}

    def refresh(self) -> bool:
        """There is no function that could have changed."""
        return False

    def look_up(self) -> list[Outcome]:
        """All that is known came along."""
        return []

    def spare_newer(self) -> None:
        """Nothing is stored."""

    def pending(self) -> list[Outcome]:
        """Nothing can be computed any more."""
        return []

    def learn(self, runner: Runner) -> None:
        """Nothing has been computed."""

    def reopen(self) -> None:
        """The function stayed behind."""
        raise NotComputed(f"this copy of a map of {self.name} has no function to go on with; map the inputs again")

    def first_of(self, outcome: Outcome) -> int:
        """The index of the item."""
        return self._first[id(outcome)]

    def runs_by_outcome(self) -> dict[int, list[int]]:
        """The index of each outcome, by its ``id``."""
        return {id(outcome): [index] for index, outcome in enumerate(self.outcomes)}
