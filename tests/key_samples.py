"""Keys of every kind by name: the golden vectors, and what other processes are asked to address."""

import array
import datetime
import decimal
import fractions
import json
import pathlib
import sys
import uuid
from collections import Counter, OrderedDict, deque, namedtuple

from hashstash.fingerprint import Fingerprinter
from hashstash.keys import address_of

Point = namedtuple("Point", "x y")  # noqa: PYI024

KEYS = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "largest short int": 2**31 - 1,
    "smallest long int": 2**31,
    "most negative short int": -(2**31),
    "negative long int": -(2**31) - 1,
    "int of one digit more": 2**45,
    "big int": 10**50,
    "negative big int": -(10**50),
    "float": 1.5,
    "float one": 1.0,
    "zero float": 0.0,
    "negative zero": -0.0,
    "nan": float("nan"),
    "infinity": float("inf"),
    "smallest float": 5e-324,
    "complex": 1 - 2j,
    "complex nan": complex(float("nan"), -0.0),
    "empty text": "",
    "text": "key",
    "unicode": "aé€\U0001f600",
    "surrogate": "a\ud800",
    "nul": "\0",
    "bytes": b"key",
    "bytearray": bytearray(b"key"),
    "empty tuple": (),
    "tuple": (1, "a"),
    "nested tuple": ((1, ("a", None)), ()),
    "list": [1, "a"],
    "list like a tag": ["list", 1],
    "nested list": [[], [1, [2]]],
    "dict": {"b": 1, "a": 2},
    "dict with mixed keys": {1: "a", "1": "b", (1,): "c", None: "d", 1.5: [True]},
    "nested dict": {"x": {"z": [1, {"y": ()}], "a": {3, 1, 2}}},
    "set": {"b", "a", "c"},
    "mixed set": {1, "1", (1, 2), frozenset({2, 1})},
    "frozenset": frozenset({1, 2, 3}),
    "ordered dict": OrderedDict([("b", 1), ("a", 2)]),
    "counter": Counter("abca"),
    "deque": deque([1, 2], 5),
    "array": array.array("d", [1.0, 2.0]),
    "range": range(3),
    "date": datetime.date(2024, 2, 29),
    "datetime": datetime.datetime(2024, 2, 29, 1, 2, 3, 4),
    "aware datetime": datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
    "timedelta": datetime.timedelta(1, 2, 3),
    "decimal": decimal.Decimal("1.10"),
    "fraction": fractions.Fraction(1, 3),
    "uuid": uuid.UUID(int=5),
    "path": pathlib.PurePosixPath("a/b"),
    "type": int,
    "arguments": ((1, [2]), {"b": {"c": {1}}, "a": None}),
}


def address(key):
    """The address of *key* as a plain stash gives it, large buffers by the hash that every Python has."""
    return address_of(key, lambda value: Fingerprinter(buffer_hash="sha256").digest(value, "key"))


def addresses():
    """All addresses in hexadecimal, by name."""
    return {name: address(key).hex() for name, key in KEYS.items()}


if __name__ == "__main__":
    json.dump(addresses(), sys.stdout)
