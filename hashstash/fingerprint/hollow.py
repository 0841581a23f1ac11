"""Arrays that hold nothing for the elements that they say they have: hashing them takes as long as they say.

Far fewer elements have digests, which stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.hollow import bytes_held, is_hollow

if TYPE_CHECKING:
    from hashstash.fingerprint.walker import Walker

_MOST = 50_000_000


def is_refused(walker: Walker, array: Any) -> bool:
    """Whether *array* has far more elements than its memory has room for; it is volatile then."""
    if not is_hollow(array, _MOST):
        return False
    walker.refuse(f"an array that says it has {len(array):,} elements, in {bytes_held(array):,} bytes", array)
    return True
