"""Arrays that say they have millions of elements, and hold nothing: nulls, one run, pieces of no width.

Hashing them takes as long as they say. Far fewer of them have digests, which stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashstash.fingerprint.walker import Walker

_MOST = 50_000_000
_ELEMENTS_PER_BYTE = 16


def is_refused(walker: Walker, array: Any, size: int) -> bool:
    """Whether *array* has far more elements than its *size* in bytes has room for; it is volatile then."""
    if len(array) <= _MOST or size * _ELEMENTS_PER_BYTE >= len(array):
        return False
    walker.refuse(f"an array that says it has {len(array):,} elements, in {size:,} bytes", array)
    return True
