"""What stands in listings for an entry that must not be decoded here: it can be shown, and neither stored nor looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from hashstash.errors import UnsupportedValue, UntrustedEntry, VolatileKey
from hashstash.trust import said_by, why_untrusted

if TYPE_CHECKING:
    from typing import Self

    from hashstash.entry import Entry

_NEXT_STEP = "stash.trust(), called on the stash that it comes from, lets its entries be decoded"


@dataclass(frozen=True)
class Foreign:
    """Stands in listings for what only foreign code could bring back."""

    entry: Entry

    def __hash__(self) -> int:
        return hash(self.entry.digest)  # so that dict(stash.items()) can hold it

    def __repr__(self) -> str:
        return f"<foreign entry {self.entry.digest.hex()[:8]}, {said_by(self.entry)}; stash.trust() decodes it>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def __reduce_ex__(self, _: Any) -> NoReturn:
        raise UnsupportedValue(
            f"{self!r} is no value, but the placeholder of one, and is not stored in its place; {_NEXT_STEP}"
        )

    def __hashstash_fingerprint__(self) -> NoReturn:
        raise VolatileKey(f"{self!r} is the placeholder of something that was not decoded; {_NEXT_STEP}")


def refuse_placeholder(key: Any) -> None:
    """Raise UntrustedEntry if *key* is what a listing showed in place of a key: nothing can be found by that."""
    if isinstance(key, Foreign):
        raise UntrustedEntry(f"{key!r} stands for a key that is not decoded: {why_untrusted(key.entry)}")
