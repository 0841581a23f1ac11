"""How things were before a record is applied, so that a record which turns out bad on the way can be undone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hashstash.cells import figures, objects, settings, surroundings
from hashstash.cells.surroundings import Surroundings
from hashstash.leaving import always_left

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashstash.cells.objects import State
    from hashstash.cells.settings import Settings

logger = logging.getLogger(__name__)


@always_left
def nothing_changes(values: Iterable[Any]) -> Iterator[None]:
    """Afterwards these objects and the open figures are as they were: making a class may register it with its base or
    its metaclass.
    """
    journal = Journal()
    for value in values:
        journal.keep(value, {})
    with figures.as_they_are():
        try:
            yield
        finally:
            journal.undo()


class Journal:
    """What is about to change, as it was."""

    def __init__(self) -> None:
        self._surroundings: Surroundings | None = None
        self._settings: Settings = {}
        self._objects: list[tuple[Any, State, dict[str, Any]]] = []

    def keep_surroundings(self, changes: dict[str, Any]) -> None:
        """Remember random state, environment and so on, if these *changes* are about to be made."""
        self._surroundings = Surroundings.look() if changes else None
        self._settings = settings.current(changes.get("settings", {}))

    def keep(self, value: Any, changed: dict[str, Any]) -> None:
        """Remember an object to which :func:`hashstash.cells.objects.apply` is about to do this."""
        self._objects.append((value, objects.look(value), _inner_state(value, changed)))

    def undo(self) -> None:
        """Bring back what was remembered, the last first."""
        for value, state, inner in reversed(self._objects):
            try:
                _put_back(value, state, inner)
            except Exception:  # the user's classes; the others are to be put back all the same
                logger.warning("a %s could not be put back as it was", type(value).__name__, exc_info=True)
        if self._surroundings is not None:
            now = Surroundings.look()
            surroundings.repeat(self._surroundings.changes_since(now, is_seeded=True))
            settings.repeat(self._settings)


def _inner_state(value: Any, changed: dict[str, Any]) -> dict[str, Any]:
    """The state that looking does not show, in the form that ``apply`` takes."""
    if not changed.keys().isdisjoint(("array", "frame", "polars")):
        return objects.whole(value)
    if objects.is_labelled(value):
        return objects.whole(value)
    if "generator" in changed:
        return {"generator": value.bit_generator.state}
    if "state" in changed:
        return {"state": value.__reduce_ex__(4)[2]}
    return {}


def _put_back(value: Any, state: State, inner: dict[str, Any]) -> None:
    if not inner and objects.change(value, state) is None:
        return
    now = objects.look(value)
    back: dict[str, Any] = dict(inner)
    if objects.content_of(value) is not None:
        back["content"] = state.content
    back["set"] = {
        **inner.get("set", {}),
        **{name: part for name, part in state.attributes.items() if now.attributes.get(name) is not part},
    }
    back["delete"] = sorted(now.attributes.keys() - state.attributes.keys())
    objects.apply(value, back)
