"""The content of a file as memory that this process may write to, which changes nothing in the file: mapped, or read.

Mapping a file takes microseconds whatever its size. But a mapping takes one of those that the system allows for as long as
anybody looks at it, and before Python 3.13 a descriptor too; when these run out, nothing else works in the process either. So
what is soon read is read, as is what comes when many are mapped.
"""

from __future__ import annotations

import mmap
import os
import sys
import weakref
from typing import Any

from hashstash.errors import CorruptEntry

SMALLEST_MAP = 256 * 1024
"""Bytes that are read in the time in which a mapping is made and looked at."""
_HUGE = 16 << 20
_FEW = 32
_SHARE, _SHARE_WITH_HUGE = 4, 2
"""One in so many descriptors, or mappings, may be taken; what is huge may take more, since reading it takes memory."""
_MOST_MAPPINGS = 65_530
"""What Linux allows unless it is told otherwise."""
_KEEPS_DESCRIPTOR = sys.version_info < (3, 13)
_OPTIONS: dict[str, Any] = {} if _KEEPS_DESCRIPTOR else {"trackfd": False}

_live: set[weakref.ref[mmap.mmap]] = set()


def content_of(descriptor: int, size: int) -> memoryview:
    """The *size* bytes of an open file. CorruptEntry if it has become shorter."""
    if size >= SMALLEST_MAP and (len(_live) < _FEW or len(_live) < _most(size)):
        try:
            return _mapped(descriptor, size)
        except (OSError, ValueError):
            pass  # none are left, the file system knows none, or the file has become shorter, which reading it says
    return read_all(descriptor, size)


def read_all(descriptor: int, size: int) -> memoryview:
    """Like :func:`content_of`, but a copy: nothing that others write into the file shows in it."""
    content = memoryview(bytearray(size))
    rest = content
    while rest:
        count = os.readv(descriptor, [rest])
        if not count:
            raise CorruptEntry("the entry's blob file became shorter while it was read")
        rest = rest[count:]
    return content


def _mapped(descriptor: int, size: int) -> memoryview:
    mapping = mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY, **_OPTIONS)
    _live.add(weakref.ref(mapping, _live.discard))
    return memoryview(mapping)


def _most(size: int) -> int:
    """How many mappings there may be when a file of *size* bytes asks for one."""
    most = _MOST_MAPPINGS
    if _KEEPS_DESCRIPTOR:
        import resource  # only where there are many

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY:
            most = min(most, limit)
    return most // (_SHARE if size < _HUGE else _SHARE_WITH_HUGE)
