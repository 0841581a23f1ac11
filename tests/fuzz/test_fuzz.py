"""Whatever bytes a stranger puts where an entry was: only our errors come out, and decoding data runs and opens nothing."""

import contextlib
import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hashstash import HashStash
from hashstash.checksum import crc32
from hashstash.codec import Codec, Encoded, pack_key
from hashstash.entry import Entry, Flag, unpack
from hashstash.errors import MissingDependency, StashError
from hashstash.loose import decode
from hashstash.registry import COMPRESSORS
from hashstash.serializers.hashstash import PLUGIN
from hashstash.serializers.hashstash.document import GRAPH_BYTE, plain_python
from hashstash.serializers.hashstash.graph import loads_graph

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "v1"
SECTIONS = {
    name: section
    for path in sorted(GOLDEN.glob("manifest*.json"))
    for name, section in json.loads(path.read_text())["sections"].items()
}
PACKAGES = ("numpy", "pandas", "pyarrow", "polars", "scipy", "dateutil", "pytz", "lz4", "xxhash")
NOT_INSTALLED = {name for name in PACKAGES if find_spec(name) is None}
ROWS = [
    (
        bytes.fromhex(entry["address"]),
        next(GOLDEN.glob(f"stash/{name.replace(' ', '%20')}/*/data.db/*/{entry['address']}")).read_bytes(),
    )
    for name, section in SECTIONS.items()
    for entry in section["entries"]
    if entry.get("needs") not in NOT_INSTALLED and not entry["flags"] & (Flag.BLOB | Flag.CODE)
]


def fail_once(compressor):
    """A package made with Cython compiles a line of its own when it reports its first error."""
    packed = bytearray(compressor.encode(bytes(5000)))
    for place in range(min(len(packed), 40)):
        changed = bytes(byte ^ 0xFF * (number == place) for number, byte in enumerate(packed))
        with contextlib.suppress(StashError):
            compressor.decode(changed, 5000)


def made_rows():
    """Rows of every compressor that is installed, as bytes and as text, of documents, graphs and arrays."""
    cycle = [bytes(3000)]
    cycle.append(cycle)
    values = [{"a": list(range(2000)), "b": "text " * 500}, [cycle, ("a", 1.5)] * 400]
    if "numpy" not in NOT_INSTALLED:
        import numpy as np

        shared = np.arange(2000.0) // 100
        values += [{"a": shared, "b": [np.arange(9000) // 1000]}, [shared, shared[::2], cycle]]
    for name in COMPRESSORS.names():
        with contextlib.suppress(MissingDependency):
            codecs = [Codec("hashstash", name, b64=is_text) for is_text in (False, True)]
            for number, value in enumerate(values):
                address, key = bytes([number] * 16), pack_key(PLUGIN.dumps(number))
                for payload in [codec.encode(value) for codec in codecs]:
                    yield (
                        address,
                        Entry(
                            address, payload.label, key, bytes(payload.join()), payload.raw_size, payload.flags
                        ).pack(),
                    )


ROWS += made_rows()
FRAMES = [path.read_bytes() for path in sorted((GOLDEN / "loose").glob("*.*")) if path.name != "code.bin"]
GRAPHS = [payload for _, row in ROWS if (payload := bytes(unpack(row).payload))[:1] == bytes([GRAPH_BYTE])]
QUICK = settings(
    max_examples=250, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
FORBIDDEN = ("import", "exec", "compile", "open", "os.", "subprocess.", "marshal.", "pickle.", "ctypes.", "socket.")
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "flip", "cut", "repeat", "insert", "splice"]), st.floats(0, 1), st.integers(0, 255)
    ),
    min_size=1,
    max_size=6,
)


def label_of(row):
    return row[88 : 88 + row[5]]


LABELS = {label_of(row) for _, row in ROWS}
armed = False
events = []


def watch(event, arguments):
    if armed and event.startswith(FORBIDDEN):
        events.append((event, str(arguments)[:200]))


sys.addaudithook(watch)


@contextlib.contextmanager
def nothing_runs(row=b""):
    """Within the block, nothing is imported, executed, compiled or opened.

    A *row* whose label names another codec is left out: finding that codec, or none, looks into our own packages.
    """
    global armed
    if len(row) > 88 and label_of(row) not in LABELS:
        yield
        return
    events.clear()
    armed = True
    try:
        yield
    finally:
        armed = False
    assert events == [], [event for event in events if event[0] == "import"] or events


def edited(data, edits, other):
    """*data* after all edits, each at a place between its begin (0) and its end (1)."""
    made = bytearray(data)
    for kind, where, number in edits:
        place = int(where * len(made))
        if kind == "set":
            made[place : place + 1] = bytes([number])
        elif kind == "flip" and place < len(made):
            made[place] ^= 1 << number % 8
        elif kind == "cut":
            del made[place : place + 1 + number % 16]
        elif kind == "repeat":
            made[place:place] = made[max(0, place - 1 - number % 40) : place]
        elif kind == "insert":
            made[place:place] = bytes([number, 0xC7, number])[: 1 + number % 3]
        else:
            made[place:] = other[int(where * len(other)) :]
    return bytes(made)


def sealed(row, address=None):
    """*row* with a checksum that fits, so that what is inside is reached; never one that nobody signed as code."""
    body = bytearray(row[:-4])
    if len(body) > 88 and address is not None:
        body[72:88] = address
    return bytes(body) + crc32(bytes(body)).to_bytes(4, "little")


def only_our_errors(read):
    with contextlib.suppress(StashError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read()


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """What decoding of data needs was imported before: the modules of a fixed table, and nothing that an entry names."""
    stash = HashStash("loaded", engine="memory")
    for address, row in ROWS:
        stash.store.engine.put(address, row)
        stash.store.load_at(address)
        with plain_python():
            stash.store.load_at(address)
    list(stash.items())
    with contextlib.suppress(StashError):
        decode(b"no frame")
    for name in COMPRESSORS.names():
        with contextlib.suppress(MissingDependency):
            fail_once(COMPRESSORS.load(name))
    for name in ("random", "fractions", "decimal", "uuid", "ipaddress", "pathlib", "zoneinfo", "json", "unicodedata"):
        __import__(name)


@QUICK
@given(st.sampled_from(ROWS), EDITS, st.sampled_from(ROWS))
def test_mutated_entries_in_a_stash(seed, edits, other):
    address, row = seed
    stash = HashStash("fuzz", engine="memory", clear=True)
    changed = sealed(edited(row, edits, other[1]), address)
    stash.store.engine.put(address, changed)
    with nothing_runs(changed):
        only_our_errors(lambda: stash.store.load_at(address))
        only_our_errors(lambda: list(stash.items()))


@QUICK
@given(st.sampled_from(ROWS), EDITS, st.sampled_from(ROWS))
def test_mutated_payloads_in_a_stash(seed, edits, other):
    """The header is intact but for the size, so that most of these reach the decoder."""
    address, row = seed
    entry, stash = unpack(row), HashStash("fuzz", engine="memory", clear=True)
    whole = len(entry.payload) == entry.raw_size
    entry.payload = edited(bytes(entry.payload), edits, bytes(unpack(other[1]).payload))
    entry.raw_size = len(entry.payload) if whole else entry.raw_size
    stash.store.engine.put(address, entry.pack())
    with nothing_runs():
        only_our_errors(lambda: stash.store.load_at(address))
        with plain_python():
            only_our_errors(lambda: stash.store.load_at(address))


@QUICK
@given(st.sampled_from(ROWS), EDITS, st.sampled_from(ROWS))
def test_mutated_keys_in_a_stash(seed, edits, other):
    address, row = seed
    entry, stash = unpack(row), HashStash("fuzz", engine="memory", clear=True)
    entry.key = edited(entry.key, edits, unpack(other[1]).key)
    stash.store.engine.put(address, entry.pack())
    with nothing_runs():
        only_our_errors(lambda: list(stash))


@QUICK
@given(st.sampled_from(FRAMES), EDITS, st.sampled_from(FRAMES))
@example(b"", [], b"")
def test_mutated_frames(frame, edits, other):
    changed = edited(frame, edits, other)
    with nothing_runs(changed):
        only_our_errors(lambda: decode(changed))
        only_our_errors(lambda: decode(sealed(changed)))


@QUICK
@given(st.sampled_from(GRAPHS), EDITS, st.sampled_from(GRAPHS))
def test_mutated_graphs_of_data(graph, edits, other):
    with nothing_runs():
        only_our_errors(lambda: loads_graph(Encoded(edited(graph, edits, other))))


@QUICK
@given(st.sampled_from(GRAPHS), EDITS, st.sampled_from(GRAPHS))
def test_mutated_graphs_of_code(graph, edits, other):
    only_our_errors(lambda: loads_graph(Encoded(edited(graph, edits, other), (), is_code=True)))


def test_documents_that_ask_for_too_much_are_refused_with_little_memory():
    for name in ("msgpack", "numpy", "pandas"):
        pytest.importorskip(name)
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / "hostile.py")], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr[-2000:]) == (0, "", "")
