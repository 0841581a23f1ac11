"""Rows for tests of engines: blobs that carry a write id where stored rows have it, and addresses to keep them at.

Nothing here needs pytest, so that the processes which a test starts can use it too.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from hashstash.engine import WRITE_ID

if TYPE_CHECKING:
    from hashstash.engine import Engine

ADDRESS = bytes(range(16))
OTHER = bytes(range(100, 116))
START = 16
"""Where the text of a row begins."""


def row(text: str, write_id: int | None = None) -> bytes:
    """A blob with a write id where stored rows have it; without one given, rows of different texts have different ids."""
    data = text.encode()
    own = blake2b(data, digest_size=8).digest() if write_id is None else write_id.to_bytes(8, "little")
    return b"HST\x01" + bytes(4) + own + data


def numbered(number: int, text: str = "") -> tuple[bytes, bytes]:
    """One of many rows with its address; addresses are spread evenly, as digests are."""
    return blake2b(b"%d" % number, digest_size=16).digest(), row(f"{number} {text}")


def whole(size: int, kind: int) -> bytes:
    """A row that is known to be torn if its end does not fit its beginning: *size* bytes of one *kind*."""
    return row(chr(97 + kind) * size, size << 8 | kind)


def is_whole(blob: bytes) -> bool:
    """Whether *blob* was made by :func:`whole` and is not torn."""
    size, kind = divmod(int.from_bytes(blob[WRITE_ID], "little"), 256)
    return size <= len(blob) and blob == whole(size, kind)


def count_up(engine: Engine, address: bytes, times: int, start: int) -> None:
    """Add one to the number in the row at *address*, *times* times, by compare-and-swap with write ids from *start* on."""
    done = 0
    while done < times:
        current = engine.get(address)
        assert current is not None
        following = row(str(int(current[START:]) + 1), start + done)
        done += engine.swap(address, current[WRITE_ID], following)
