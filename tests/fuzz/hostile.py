"""Data documents of a stranger that ask for far more than they bring, in memory or in time.

Each must be refused, or be harmless, with little memory and at once. Prints the names of those that are not.
"""

import contextlib
import resource
import time

import msgpack
import numpy as np
import pandas as pd

from hashstash.errors import BadEntry
from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.build import DATA_ACTIONS
from hashstash.serializers.hashstash.document import plain_python, read, write
from hashstash.serializers.hashstash.graph import loads_graph

SPARE = 600 << 20
SLOWEST = 1.0
"""Seconds of this process's own time; each takes some milliseconds, or is far beyond."""


def generic(*parts):
    return msgpack.ExtType(0, msgpack.packb(list(parts)))


def inside(value):
    """*value*, which we write ourselves, as a part of a document of the stranger's."""
    return msgpack.unpackb(bytes(write(value).document), ext_hook=msgpack.ExtType, strict_map_key=False)


def place(number):
    return msgpack.ExtType(1, msgpack.packb(number))


RANGE = inside(pd.RangeIndex(10**9))
PADDED = ["fields", [["a", None, "O", 0]], 10**9, False, False]
DOCUMENTS = {
    "wide text": generic("np.nd", ["<U999999999", [2], "C", ["list", ["a", "b"]]]),
    "wide field": generic("np.nd", [PADDED, [5], "C", ["fields", [inside(np.array([None] * 5))]]]),
    "wide array": generic("np.nd", ["<f8", [10**9], "C", None], b""),
    "frame of many columns": generic("pd.frame", [[], inside(pd.RangeIndex(0)), RANGE, {}, True]),
    "long intervals": generic("pd.intervals", [RANGE, RANGE, inside(pd.IntervalDtype("int64", "right"))]),
    "one buffer often": [generic("np.nd", ["|u1", [50 << 20], "C", None], place(0))] * 100,
}
GRAPHS = {
    "one buffer often": [[nodes.BYTES, 0]] * 100,
    "deep": [[nodes.LIST, []], *([nodes.LIST, [[i]]] for i in range(10)), [max(DATA_ACTIONS) + 1]],
}


def number(value):
    return msgpack.ExtType(5, msgpack.packb(value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)))


def decimal(text):
    return msgpack.ExtType(15, msgpack.packb(text))


REFUSED = {
    "fraction that takes long to shorten": generic("fraction", [number(3**600_000), number(7**400_000)]),
    "pattern of a million groups": generic("pattern", ["()" * 1_000_000, 32]),
    "pattern of many wide ranges": generic("pattern", ["[\0-\U0010ffff]" * 1000, 34]),
    "pattern of many escaped ranges": generic("pattern", ["[\\u0000-\\U0010ffff]" * 1000, 34]),
    "pattern that nests": generic("pattern", ["(?:" * 9000 + "a" + ")*" * 9000, 32]),
    "exponent beyond all": decimal("1e9999999999999999999"),
    "days beyond all": msgpack.ExtType(13, msgpack.packb([number(10**100_000), 0, 0])),
    "queue beyond all": generic("deque", [[], number(2**63)]),
    "memory of another shape": msgpack.ExtType(9, msgpack.packb(["B", [2**62], True, b""])),
    "array of any shape": generic("np.nd", ["<f8", [0, 2**62], "C", None], b""),
    "texts of no width": generic("np.nd", ["|S0", [2**40], "C", None], b""),
    "mask that is repeated": generic(
        "np.masked",
        [
            generic("np.nd", ["|V0", [2**40], "C", None], b""),
            generic("np.nd", ["|b1", [1], "C", None], b"\1"),
            None,
            False,
        ],
    ),
    "list in list": msgpack.ExtType(2, b"\x91" * 10_000_000 + b"\xc0"),
    "map in map": msgpack.ExtType(2, b"\x81\xc0" * 1_000_000 + b"\xc0"),
    "tuple of what is not there": msgpack.ExtType(2, b"\xdd\x7f\xff\xff\xff"),
    "zone that is a path": generic("zone", "../../etc/passwd"),
    "zone with a nul": generic("zone", "Europe/Par\0is"),
    "zone from the root": generic("zone", "/etc/passwd"),
    "offset of ten days": msgpack.ExtType(14, msgpack.packb([msgpack.ExtType(13, msgpack.packb([10, 0, 0]))])),
}
HARMLESS = {
    "exponent of a billion as a key": {decimal("1e999999999"): [decimal("-1e-999999999")]},
    "digits": msgpack.ExtType(3, msgpack.packb([decimal("9" * 1_000_000)])),
    "fraction of one long number": generic("fraction", [1, number(10**300_000)]),
    "range": msgpack.ExtType(3, msgpack.packb([generic("range", [0, number(10**1000), 1])])),
    "repeats of repeats": generic("pattern", ["(((((a{1000}){1000}){1000}){1000}){1000})", 32]),
    "texts of no width": generic("np.nd", ["|S0", [2**24], "C", None], b""),
    "network of all": generic("ip", ["IPv6Network", "::/0"]),
}
"""What may come back, since it is small and quick as long as nobody asks for more."""


def refuses(read_it):
    try:
        read_it()
    except BadEntry:
        return True
    return False


def in_time(name, run):
    begin = time.process_time()
    answer = run()
    if time.process_time() - begin > SLOWEST:
        print("slow:", name, time.process_time() - begin)
    return answer


def main():
    buffers = [bytes(50 << 20)]
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, used + SPARE))
    for name, document in {**DOCUMENTS, **REFUSED}.items():
        packed = msgpack.packb(document)
        for way in (contextlib.nullcontext, plain_python):
            with way():
                if not in_time(name, lambda packed=packed: refuses(lambda: read(packed, buffers))):
                    print("document:", name)
    for name, document in HARMLESS.items():
        packed = msgpack.packb(document)
        in_time(name, lambda packed=packed: read(packed))
    for name, operations in GRAPHS.items():
        table = b"\xc1" + msgpack.packb([nodes.VERSION, operations, [0], 1])
        if not refuses(lambda table=table: loads_graph(Encoded(table, buffers))):
            print("graph:", name)


if __name__ == "__main__":
    from hashstash.codec import Encoded

    main()
