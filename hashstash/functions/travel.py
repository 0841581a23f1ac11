"""What becomes of a decorated function that goes to another process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashstash.fingerprint import LiveFingerprint
    from hashstash.fingerprint.parts import Account


class ArrivedFingerprint:
    """The fingerprint of a function that was sent here by value.

    Its source may be missing here, so that its code would be digested in another way; as long as it is what has arrived, it
    has the digest that it left with, and finds the results that were stored where it came from.
    """

    def __init__(self, live: LiveFingerprint, left_as: bytes) -> None:
        self._live = live
        self._left_as = left_as
        self._arrived_as: bytes | None = None

    def digest(self) -> bytes:
        """The digest of the function as it is now; raises :class:`~hashstash.errors.VolatileKey` if it has none."""
        found = self._live.digest()
        if self._arrived_as is None:
            self._arrived_as = found
        return self._left_as if found == self._arrived_as else found

    def account(self) -> Account:
        """What the function is made of now."""
        return self._live.account()
