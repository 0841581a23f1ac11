"""Documents of the default serializer: MessagePack with every extension code, graphs with every operation, hooks with any meta."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from torture.hostile.pickles import things


def pack(value: Any) -> bytes:
    """MessagePack of plain data; :class:`Ext` for extensions; bytes in :class:`Raw` as they are."""
    if isinstance(value, Raw):
        return value.data
    if isinstance(value, Ext):
        return b"\xc9" + struct.pack(">Ib", len(value.data), value.code) + value.data
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        return b"\xd3" + struct.pack(">q", value) if value < 2**63 else b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, dict):
        return b"\xdf" + struct.pack(">I", len(value)) + b"".join(pack(k) + pack(v) for k, v in value.items())
    return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))


class Raw:
    def __init__(self, data: bytes) -> None:
        self.data = data


class Ext:
    def __init__(self, code: int, value: Any) -> None:
        self.code, self.data = code, value if isinstance(value, bytes) else pack(value)


def hook(tag: Any, meta: Any, *buffers: Any) -> Ext:
    return Ext(0, [tag, meta, *buffers])


CODES = (*range(17), 17, 63, 64, 127, -1, -2, -128)
WRONG = {
    "nothing": b"",
    "none": None,
    "a number": 7,
    "a negative number": -(2**63),
    "a large number": 2**64 - 1,
    "a float": float("nan"),
    "text": "os.system",
    "bytes": Raw(b"\xc4\x03abc"),
    "a list": ["os", "system"],
    "a map": {"py/object": "os.system"},
    "itself": Ext(0, Ext(0, Ext(0, []))),
    "deep": Raw(b"\x91" * 5000 + b"\xc0"),
    "cut off": Raw(b"\xdd\xff\xff\xff\xff"),
    "a buffer": Ext(1, 0),
    "lists in a set": [[1], {"a": 1}],
    "a pickle": b"cos\nsystem\n(S'true'\ntR.",
    "odd text": Raw(b"\xa3\xff\xfe\x00"),
}
TAGS = (
    *(
        "tuple",
        "set",
        "int",
        "str",
        "datetime",
        "timezone",
        "decimal",
        "uuid",
        "deque",
        "fraction",
        "pattern",
        "range",
        "slice",
    ),
    *(
        "zone",
        "ip",
        "exception",
        "type",
        "path",
        "ellipsis",
        "namespace",
        "counter",
        "defaultdict",
        "chainmap",
        "odict",
        "proxy",
    ),
    *(
        "np.nd",
        "np.scalar",
        "np.dtype",
        "np.masked",
        "np.rng",
        "np.type",
        "np.gen",
        "pd.frame",
        "pd.series",
        "pd.index",
        "pd.cat",
    ),
    *(
        "pd.offset",
        "pd.intervals",
        "pd.period",
        "pd.dtype",
        "pd.sparse",
        "pd.arrow",
        "pd.multi",
        "pd.ts",
        "pa.array",
        "pa.table",
    ),
    *(
        "pa.schema",
        "pa.type",
        "pa.batch",
        "pa.scalar",
        "pa.buffer",
        "pl.frame",
        "pl.series",
        "pl.type",
        "pl.schema",
        "sp.sparse",
    ),
    *(
        "pytz.zone",
        "dateutil.zone",
        "os.system",
        "zq_canary_module.fire",
        "numpy_.fire",
        "builtins.exec",
        "",
        ".",
        "..",
        "np.",
    ),
    *(
        "__import__",
        "np.__class__",
        "pd.eval",
        "torch.tensor",
        "evil.x",
        "hashstash.functions",
        "stdlib.os",
        "x" * 10_000,
    ),
)
METAS = {
    "none": None,
    "a call": ["os", "system", ["true"]],
    "an object dtype": ["|O", [1], "C", None],
    "an object dtype with a pickle": ["|O", [1], "C", ["pickle", b"cos\nsystem\n(S'true'\ntR."]],
    "fields": [[["a", "|O"], ["b", "<U9"]], [1], "C", None],
    "an extension type": [["extension", "arrow.py_extension_type", "null", b"cos\nsystem\n(S'true'\ntR."], [1, [], []]],
    "metadata of an extension": [[["f", "null", True, {b"ARROW:extension:name": b"arrow.py_extension_type"}]], 1],
    "a name": "zq_canary_module.fire",
    "a map": {"__class__": "os.system", "a": {"b": []}},
}


def documents() -> Iterator[tuple[str, bytes, tuple[bytes, ...]]]:
    """Name, document and buffers of each."""
    for code in CODES:
        for what, value in WRONG.items():
            yield f"extension {code} of {what}", pack(Ext(code, value)), ()
    for tag in TAGS:
        for what, meta in METAS.items():
            yield f"hook {tag[:30]} of {what}", pack(hook(tag, meta, b"cos\nsystem\n(S'true'\ntR.")), ()
    for tag in (None, 1, True, [], {}, b"np.nd", 1.5):
        yield f"hook whose tag is {tag!r}", pack(hook(tag, [])), ()
    place = Ext(1, 0)
    for what, value in {
        "a buffer twice": [
            hook("np.nd", ["|u1", [8], "C", None], place),
            hook("np.nd", ["|u1", [8], "C", None], place),
        ],
        "a buffer loose": [place],
        "a buffer that is not there": hook("np.nd", ["|u1", [8], "C", None], Ext(1, 5)),
        "a buffer before the first": hook("np.nd", ["|u1", [8], "C", None], Ext(1, -1)),
        "objects in a buffer": hook("np.nd", ["|O", [1], "C", None], place),
        "a dtype by name": hook("np.nd", ["os.system", [8], "C", None], place),
        "a dtype with a title": hook("np.nd", [[["a", ["t", "|O"]]], [1], "C", None], place),
    }.items():
        yield what, pack(value), (b"12345678",)
    yield "a set in itself", pack(Ext(3, [Ext(3, [Ext(4, [])])])), ()
    yield "a map with a list as a key", b"\x81\x91\x01\x02", ()
    yield "a map with one key twice", b"\x82\xa1a\x01\xa1a\x02", ()
    yield "a map in a key", pack(Raw(b"\x81\x81\x01\x02\x03")), ()
    yield "reserved byte", b"\xc1", ()
    yield "more than one value", b"\x01\x02", ()
    for head in (b"\xc6", b"\xc9", b"\xdb", b"\xdd", b"\xdf"):
        for size in (0xFFFFFFFF, 0x7FFFFFFF, 0x10000000):
            yield f"{head.hex()} of {size:,}", head + struct.pack(">I", size), ()


def graphs(mark: str) -> Iterator[tuple[str, bytes]]:
    """Graph documents: each operation that is code, in a document that says it is data, and data operations that lie."""

    def graph(operations: Any, root: Any = 0, count: Any = 0, version: Any = 1) -> bytes:
        return b"\xc1" + pack([version, operations, [root] if isinstance(root, int) else root, count])

    for what, (module, name, arguments) in things(mark).items():
        given = [one for one in arguments if isinstance(one, (str, int, float, bytes))]
        found = [33, module, name]
        yield f"graph CALL {what}", graph([found, [35, [0], given, [], []]], 1)
        yield f"graph NEW {what}", graph([found, [36, [0], given, [], []]], 1)
        yield f"graph GLOBAL {what}", graph([found])
        yield f"graph MODULE {what}", graph([[32, module]])
        yield f"graph EXCEPTION {what}", graph([found, [43, [0], given]], 1)
        yield f"graph STATE {what}", graph([[0, []], found, [38, 0, given, [1]]])
        yield f"graph NAMED {what}", graph([[34, f"__import__('{module}').{name}"]])
        yield f"graph inside data {what}", graph([[0, [1]], found, [35, [1], given, [], []], [5, 0, [[2]]]])
    for number in (*range(32, 64), 15, 16, 31, 100, 255, -1, 2**40, True, None, "CALL", [35]):
        yield f"graph operation {number}", graph([[number, "os", "system"]])
        yield f"graph operation {number} of little", graph([[number]])
    lies = {
        "slots": [[0, [[5]]]],
        "negative slots": [[0, [[-1]]]],
        "itself": [[0, []], [5, 0, [[0]]]],
        "a set with itself": [[2, []], [7, 0, [[0]]]],
        "a dict with itself as a key": [[1, [], []], [6, 0, [[0]], [1]]],
        "a tuple of later ones": [[3, [[1]]], [0, []]],
        "doubling": [[0, []], *([0, [[i], [i]]] for i in range(60))],
        "doubling sets": [[4, []], *([4, [[i], [i - 1 if i else 0]]] for i in range(60))],
        "hook": [[10, "np.nd", ["|O", [1], "C", None], []]],
        "walked hook": [[0, [1]], [11, "pattern", [0], []]],
        "view": [[8, 0], [12, [0], 0, [2**40], [0], "|O", True]],
        "external": [[14, {"token": "os.system"}]],
        "external name": [[14, ["zq_canary_module", 0]]],
        "plain": [[13, {"a": [Ext(0, ["np.nd", ["|O", [1], "C", None]])]}]],
        "bytes": [[8, 2**40]],
        "many": [[0, []]] * 5000,
    }
    for what, operations in lies.items():
        yield f"graph lies: {what}", graph(operations, len(operations) - 1)
    yield "graph of another version", graph([], 0, 0, 99)
    yield "graph of a negative version", graph([[35]], 0, 0, -1)
    yield "graph with buffers that are not there", graph([[8, 0]], 0, 2**40)
    yield "graph of nothing", b"\xc1"
    yield "graph in a graph", b"\xc1\xc1\xc0"
