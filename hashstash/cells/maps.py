"""Maps in a cell: it is over when the maps that it started are, and stored only if nothing of them failed or is missing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from hashstash.mapping import closing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashstash.mapping.computation import Computation


class StartedMaps:
    """The maps that start in the background from now on."""

    def __init__(self) -> None:
        self._earlier = closing.running()

    def wait(self) -> None:
        """Wait until they are over; an interrupt stops them, and is passed on."""
        for one in self._running():
            one.wait()

    def cancel(self) -> None:
        """Stop those that are not over."""
        for one in self._running():
            one.cancel()

    def _running(self) -> list[Computation]:
        return [one for one in closing.running() if one not in self._earlier]


def what_is_missing(values: Mapping[str, Any]) -> str | None:
    """Which of these is a map with items that failed or were never computed, in words; ``None`` if none is.

    A later run may well compute them, which it would not if the cell were restored.
    """
    module = sys.modules.get("hashstash.mapping.stash_map")
    for name, value in values.items() if module is not None else ():
        if isinstance(value, module.StashMap):  # type: ignore[union-attr]
            shown = f"`{name}`" if name.isidentifier() else name
            tally, total = value.tally, len(value)
            if tally.failed:
                return f"{tally.failed} of {total} items of {shown} failed"
            if not value.done:
                return f"{total - tally.done} of {total} items of {shown} were not computed"
    return None
