"""The values that a profile measures: made to a size, or the user's own; and whether one came back as it was."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hashstash.errors import UnsupportedValue, VolatileKey
from hashstash.fingerprint import Fingerprinter
from hashstash.registry import SERIALIZERS
from hashstash.wording import parse_size, shortened

_WORDS = (
    *("the", "a", "stash", "keeps", "what", "was", "found", "once", "and", "brings", "it", "back", "in", "no", "time"),
    *("at", "all", "whoever", "asks", "for", "again", "tomorrow", "or", "next", "year", "from", "anywhere", "else"),
)
_IN_RECORDS, _IN_NUMBERS = 0.4, 0.3
"""Which part of a made value's bytes are records, and which an array; the rest is text."""
_RECORD, _NUMBER, _SMALLEST_ARRAY = 100, 8, 256
_SHOWN = 60


@dataclass(frozen=True)
class Sample:
    """A value to be measured with."""

    value: Any
    size: int
    """Bytes that were asked for; of a user's value, those that it takes serialized by hashstash."""
    name: str | None = None
    """What a user's value is called."""

    @property
    def title(self) -> str:
        """What it is called in errors."""
        return f"a value of {self.size:,} bytes" if self.name is None else f"the value {self.name!r}"

    @cached_property
    def _digest(self) -> bytes:
        return Fingerprinter().digest(self.value)

    def verify(self, found: Any, setting: str) -> None:
        """Raise UnsupportedValue if *found*, which came back from *setting*, is not the value that was stored there."""
        if not self._is(found):
            raise UnsupportedValue(
                f"{self.title} did not come back from {setting} as it was: {shortened(found, _SHOWN)} instead of "
                f"{shortened(self.value, _SHOWN)}; its times would mean nothing"
            )

    def _is(self, found: Any) -> bool:
        try:
            if Fingerprinter().digest(found) == self._digest:
                return True
        except VolatileKey:
            return bool(found == self.value)
        # Lists that were the same object may come back as equal ones, which counts for a fingerprint, but not here.
        return _document(found) == _document(self.value)


def _document(value: Any) -> tuple[bytes, ...]:
    encoded = SERIALIZERS.load("hashstash").dumps(value)
    return bytes(encoded.document), *map(bytes, encoded.buffers)


def size_of(value: Any) -> int:
    """Bytes of *value*, serialized by hashstash and not compressed; UnsupportedValue if it cannot be."""
    encoded = SERIALIZERS.load("hashstash").dumps(value)
    return len(encoded.document) + sum(memoryview(buffer).nbytes for buffer in encoded.buffers)


def own_samples(values: Any) -> list[Sample]:
    """The user's *values*: a list of them, or a dict by the names that they are to have."""
    if isinstance(values, Mapping):
        named = {str(name): value for name, value in values.items()}
    elif isinstance(values, (str, bytes)) or not isinstance(values, Iterable) or hasattr(values, "shape"):
        raise TypeError(
            f"values= is a list of values, or a dict of them by name, not a {type(values).__name__}; "
            "for a single one, give a list of it"
        )
    else:
        named = {f"value {number}": value for number, value in enumerate(values, 1)}
    if not named:
        raise ValueError("values= is empty; leave it out to profile values that are made for it")
    return [Sample(value, size_of(value), name) for name, value in named.items()]


def made_samples(sizes: Any) -> list[Sample]:
    """A value for each of *sizes*: bytes, or text such as ``"1 MB"``; the same ones for the same sizes at any time."""
    wanted = list(sizes) if isinstance(sizes, Iterable) and not isinstance(sizes, (str, bytes)) else [sizes]
    if not wanted:
        raise ValueError("size= is empty; give bytes, such as 10_000, or text, such as '1 MB'")
    return [Sample(_made(size), size) for size in dict.fromkeys(map(_whole, wanted))]


def _whole(size: Any) -> int:
    found = parse_size(int(size) if hasattr(size, "__index__") and not isinstance(size, bool) else size)  # also numpy's
    if not 1 <= found < 1 << 32:
        raise ValueError(f"size={size!r}; it is at least one byte, and less than 4 GiB")
    return int(found)


def _made(size: int) -> dict[str, Any]:
    """A value that takes about *size* bytes: records as they come from a service, an array of measurements, a text."""
    draw = random.Random(size)
    value: dict[str, Any] = {}
    records = int(size * _IN_RECORDS) // _RECORD
    if records:
        value["records"] = [_record(draw, number) for number in range(records)]
    numbers = int(size * _IN_NUMBERS)
    if numbers >= _SMALLEST_ARRAY:
        import numpy as np

        value["measured"] = np.array([round(draw.gauss(20, 5), 2) for _ in range(numbers // _NUMBER)])
    if records:
        value["made"] = dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC)
    value["notes"] = ""
    value["notes"] = _text(draw, size - size_of(value))
    return value


def _record(draw: random.Random, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"sample {draw.randrange(10**6)}",
        "score": draw.random(),
        "kept": draw.random() < 0.5,
        "tags": draw.sample(_WORDS, 3),
        "parent": None if number < 2 else draw.randrange(number),
        "at": f"2024-02-{draw.randrange(1, 30):02}T{draw.randrange(24):02}:00:00Z",
    }


def _text(draw: random.Random, length: int) -> str:
    words, count = [], 0
    while count < length:
        words.append(draw.choice(_WORDS))
        count += len(words[-1]) + 1
    return " ".join(words)[: max(length, 0)]
