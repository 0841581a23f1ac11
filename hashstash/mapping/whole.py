"""A map that keeps no single results may keep the whole list of them as one entry, and be answered from it."""

from __future__ import annotations

import warnings
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hashstash.entry import is_newer
from hashstash.errors import MissingDependency, NewerFormat, StashError
from hashstash.functions.memo import computed_anew
from hashstash.mapping.outcome import Outcome, State
from hashstash.open import MAPS, below
from hashstash.stash import HashStash
from hashstash.store import MISSING

if TYPE_CHECKING:
    from hashstash.mapping.plan import Plan


class WholeMap:
    """The entry of one map, found by the function as it is and by all calls in their order."""

    def __init__(self, plan: Plan, stash: HashStash) -> None:
        self._plan = plan
        self._parent = stash
        self._keeps_out = False

    @property
    def _key(self) -> tuple[str, int, str] | None:
        """The key of the entry; ``None`` where a call has none."""
        hasher = blake2b(digest_size=16)
        for outcome in self._plan.outcomes:
            if outcome.address is None:
                return None
            hasher.update(outcome.address)
        return self._plan.name, len(self._plan.outcomes), hasher.hexdigest()

    def _open(self) -> HashStash:
        name = self._plan.name.replace("/", "%2F")
        return HashStash.from_config(below(self._parent.config, f"{MAPS}/{name}"))

    def look_up(self) -> list[Outcome]:
        """Give all outcomes their values if the map is stored; returns those outcomes."""
        wanted, key = self._plan.pending(), self._key
        if key is None or not wanted or len(wanted) != len(self._plan.distinct):
            return []
        try:
            values = self._open().get(key, MISSING)
        except MissingDependency:
            raise
        except NewerFormat as error:
            self._keeps_out = True
            self._warn(computed_anew(error))
            return []
        except (StashError, OSError) as error:
            self._warn(f"is computed anew: {error}")
            return []
        if type(values) is not list or len(values) != len(wanted):
            return []
        for outcome, value in zip(wanted, values, strict=True):
            outcome.value, outcome.state = value, State.CACHED
        return wanted

    def store(self) -> None:
        """Keep the results of a map that is done and in which nothing failed; whatever goes wrong, they stay with the map."""
        plan, key = self._plan, self._key
        outcomes = plan.distinct
        is_new = any(outcome.state is State.COMPUTED for outcome in outcomes)
        has_failed = any(outcome.error is not None for outcome in outcomes)
        if key is None or not is_new or self._keeps_out or has_failed or plan.memo.options.on_error is not None:
            return
        if_ = plan.memo.options.if_
        try:
            values: list[Any] = [outcome.result(plan.memo) for outcome in outcomes]
            if if_ is not None and not all(map(if_, values)):
                return
            seconds = sum(outcome.seconds or 0.0 for outcome in outcomes)
            stash = self._open()
            row = stash.store.engine.get(stash.store.keys.address(key))
            if row is not None and is_newer(row):  # nobody has looked, where all was to be computed anew
                self._warn("is not stored as a whole, since what a newer hashstash has stored stays")
                return
            stash.put(key, values, ttl=plan.memo.options.ttl, seconds=seconds)
        except Exception as error:  # noqa: BLE001 - the user's if_ and the values' own methods run here
            self._warn(f"could not be stored as a whole: {error}")

    def _warn(self, what: str) -> None:
        warnings.warn(f"the map of {self._plan.name} {what}", RuntimeWarning, stacklevel=7)
