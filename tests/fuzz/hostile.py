"""Data documents of a stranger that ask for far more than they bring: read with little memory, each must be refused.

Prints the names of those that were not refused by an error of ours.
"""

import resource

import msgpack
import numpy as np
import pandas as pd

from hashstash.errors import BadEntry
from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.build import DATA_ACTIONS
from hashstash.serializers.hashstash.document import read, write
from hashstash.serializers.hashstash.graph import loads_graph

SPARE = 600 << 20


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


def refuses(read_it):
    try:
        read_it()
    except BadEntry:
        return True
    return False


def main():
    buffers = [bytes(50 << 20)]
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, used + SPARE))
    for name, document in DOCUMENTS.items():
        if not refuses(lambda document=document: read(msgpack.packb(document), buffers)):
            print("document:", name)
    for name, operations in GRAPHS.items():
        table = b"\xc1" + msgpack.packb([nodes.VERSION, operations, [0], 1])
        if not refuses(lambda table=table: loads_graph(Encoded(table, buffers))):
            print("graph:", name)


if __name__ == "__main__":
    from hashstash.codec import Encoded

    main()
