"""Values of the families that claim to be far longer than they are: each is refused, or harmless, in little memory.

Prints the names of those that were neither. A value that comes out is looked at as a listing would: type and length.
"""

import resource
import time
from importlib.util import find_spec

from hashstash.errors import StashError
from hashstash.serializers.hashstash.types import hook_for_tag, restore

SPARE = 300 << 20
SLOWEST = 1.0
LONG = 2**40
NULL = [LONG, [], []]
NULL_FIELD = ["a", "null", True, None]
ROWS = 2**32 - 1
ONE = [1, [False, True], []]
END = (LONG).to_bytes(8, "little")
ARROW = {
    "nulls": ("pa.array", ["null", NULL], []),
    "rows of nothing": ("pa.array", [["struct", []], [LONG, [False], []]], []),
    "rows of nulls": ("pa.array", [["struct", [NULL_FIELD]], [LONG, [False], [NULL]]], []),
    "lists of nulls": ("pa.array", [["fixed_size_list", [NULL_FIELD], 2**31 - 1], [512, [False], [NULL]]], []),
    "lists of nothing": ("pa.array", [["fixed_size_list", [NULL_FIELD], 0], [LONG, [False], [[0, [], []]]]], []),
    "one run": ("pa.array", [["run_end_encoded", "int64", "int8"], [LONG, [], [ONE, ONE]]], [END, b"a"]),
    "bytes of nothing": ("pa.array", [["fixed_size_binary", 0], [LONG, [False, True], []]], [b""]),
    "table of nothing": ("pa.table", [[[], None], LONG, []], []),
    "table of nulls": ("pa.table", [[[NULL_FIELD], None], LONG, [[NULL]]], []),
    "batch of nothing": ("pa.batch", [[[], None], LONG, []], []),
    "many lists of one element": (
        "pa.array",
        [["large_list_view", [["a", "int8", True, None]]], [100_000, [False, True, True], [[1000, [False, True], []]]]],
        [bytes(800_000), (1000).to_bytes(8, "little") * 100_000, bytes(1000)],
    ),
}
POLARS = {
    "nulls": ("pl.series", ["s", "Null", [ROWS, False, []]], []),
    "rows of nothing": ("pl.series", ["s", ["Struct", []], [ROWS, False, []]], []),
    "rows of nulls": ("pl.series", ["s", ["Struct", [["a", "Null"]]], [ROWS, False, [[ROWS, False, []]]]], []),
    "lists of nothing": ("pl.series", ["s", ["Array", "Int8", 0], [ROWS, False, [[0, False, []]]]], [b""]),
    "lists of nulls": ("pl.series", ["s", ["Array", "Null", ROWS // 2], [2, False, [[ROWS - 1, False, []]]]], []),
    "a list of nulls": ("pl.series", ["s", ["List", "Null"], [1, False, [[ROWS, False, []]]]], [b"\xff\xff\xff\xff"]),
    "frame of nothing": ("pl.frame", [ROWS, []], []),
    "wide array": ("pl.type", ["Array", "Int8", 2**31 - 1], []),
}
SCIPY = {
    "rows of lists": ("sp.sparse", ["lil_array", [LONG, 2], 50, [None, None, None]], []),
    "keys": ("sp.sparse", ["dok_array", [LONG, LONG], 50, [[], "values"]], []),
}
PACKAGES = {"pyarrow": ARROW, "polars": POLARS, "scipy": SCIPY}


def is_harmless(tag, meta, buffers):
    begin = time.process_time()
    try:
        value = restore(tag, meta, buffers)
        _ = type(value), len(value) if hasattr(value, "__len__") else 0
    except StashError:
        pass
    except MemoryError:
        return False
    return time.process_time() - begin < SLOWEST


def main():
    there = {name: values for name, values in PACKAGES.items() if find_spec(name)}
    for values in there.values():
        hook_for_tag(next(iter(values.values()))[0])
        is_harmless(*next(iter(values.values())))
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, used + SPARE))
    for package, values in there.items():
        for name, (tag, meta, buffers) in values.items():
            if not is_harmless(tag, meta, [bytearray(buffer) for buffer in buffers]):
                print(package, name)


if __name__ == "__main__":
    main()
