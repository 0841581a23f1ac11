"""One item of a map, as users see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.mapping.calls import shown_call
from hashstash.mapping.outcome import FINAL, Outcome, State
from hashstash.wording import shortened

if TYPE_CHECKING:
    from hashstash.mapping.stash_map import StashMap

WIDTH = 80
"""Characters of a call, and of a result, where many are shown."""


class StashMapRun:
    """One item of a map: its arguments, where it stands, and its result."""

    __slots__ = ("_map", "index")

    def __init__(self, owner: StashMap, index: int) -> None:
        self._map = owner
        self.index = index

    @property
    def _outcome(self) -> Outcome:
        return self._map._outcomes[self.index]  # noqa: SLF001

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        return self._outcome.call.args

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments."""
        return dict(self._outcome.call.kwargs)

    @property
    def key(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call as it is listed in the function's stash."""
        return self.args, self.kwargs

    @property
    def call(self) -> str:
        """The call as one would write it, in at most 80 characters."""
        return shown_call(self._map.name, self._outcome.call, WIDTH)

    @property
    def state(self) -> str:
        """``pending``, ``running``, ``cached``, ``computed``, ``failed`` or ``cancelled``."""
        return str(self._outcome.state)

    @property
    def done(self) -> bool:
        """Whether there is a result or an error."""
        state = self._outcome.state
        return state in FINAL and state is not State.CANCELLED

    @property
    def was_cached(self) -> bool:
        """Whether it was answered from the stash, or by another run of the map with equal arguments."""
        return self._map._was_cached(self.index)  # noqa: SLF001

    @property
    def seconds(self) -> float | None:
        """How long computing it took; ``None`` if it was not computed by this map."""
        return None if self.was_cached else self._outcome.seconds

    @property
    def error(self) -> BaseException | None:
        """The exception that the function raised, if it did."""
        return self._outcome.error

    @property
    def result(self) -> Any:
        """The result; waits for it, and raises what the function raised."""
        return self._map._value(self.index)  # noqa: SLF001

    def shown_result(self, most: int = WIDTH) -> str:
        """The result in few characters, ``?`` if there is none yet; nothing is waited for, computed or fetched for it."""
        outcome = self._outcome
        if outcome.error is not None:
            return shortened(outcome.error, most)
        if outcome.state is State.CANCELLED:
            return "cancelled"
        if outcome.state not in FINAL:
            return "?"
        return self._map._shown(self.index, most)  # noqa: SLF001

    def __repr__(self) -> str:
        return f"StashMapRun({self.call} >>> {self.shown_result()})"

    def _repr_html_(self) -> str:
        from hashstash.display.maps import html_of_run

        return html_of_run(self)
