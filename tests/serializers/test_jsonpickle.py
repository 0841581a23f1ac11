"""jsonpickle changes much of what it is given; through HashStash it either keeps a value exactly or refuses it."""

import collections
import dataclasses
import decimal
import enum
import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hashstash import HashStash, deserialize, serialize
from hashstash.codec import Encoded
from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, UnsupportedValue, UntrustedEntry
from hashstash.registry import Registry
from hashstash.testing.corpus import DATA
from hashstash.testing.equality import assert_same
from hashstash.testing.serializer import SerializerContract

jsonpickle = pytest.importorskip("jsonpickle")

from hashstash.serializers.jsonpickle import PLUGIN  # noqa: E402

ROOT = Path(__file__).parent.parent.parent


class TestContract(SerializerContract):
    left_out = frozenset(
        {
            *("bytearray", "constants", "classes", "exceptions", "folds", "memoryview"),
            *("mixed", "patterns", "read-only dict", "too deep list", "uuids"),
        }
    )

    @pytest.fixture
    def serializer(self):
        return PLUGIN

    @pytest.mark.parametrize("name", ["dict", "dict keys", "default dicts"])
    def test_two_reads_share_nothing(self, serializer, name):
        super().test_two_reads_share_nothing(serializer, name)

    @pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
    def test_a_document_cut_short_is_a_bad_entry(self, serializer, keep):
        document, buffers, is_code = serializer.dumps(DATA["default dicts"]())
        size = int(len(document) * keep) if isinstance(keep, float) else keep
        with pytest.raises(BadEntry):
            serializer.loads(Encoded(bytes(document)[:size], buffers, is_code))


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y


class Slotted:
    __slots__ = ("part",)

    def __init__(self, part):
        self.part = part


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: int
    parts: tuple


class Words(list):
    pass


Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024 - this kind too


class Forgetful:
    """What jsonpickle restores is another value than the one it was given."""

    def __init__(self):
        self.number = 5

    def __getstate__(self):
        return {"number": 6}


class Unreadable:
    def __reduce__(self):
        return int, ("not a number",)


def back(value):
    return PLUGIN.loads(PLUGIN.dumps(value))


def nan_of_other_bits():
    return struct.unpack("<d", b"\1\0\0\0\0\0\xf8\xff")[0]


def test_it_is_always_code():
    assert PLUGIN.dumps(1).is_code


def test_instances_come_back():
    point = back([Point(1, (2, {3}))])[0]
    assert type(point) is Point
    assert_same(vars(point), {"x": 1, "y": (2, {3})})


@pytest.mark.parametrize("value", [Colour.RED, Frozen(1, (2,)), Pair(1, b"2"), len, Point, decimal.Decimal("1.10")])
def test_what_jsonpickle_keeps_comes_back(value):
    assert_same(back(value), value)


def test_shared_parts_and_cycles_are_kept():
    shared = [1]
    value = {"a": shared, "b": [shared]}
    value["self"] = value
    read = back(value)
    assert read["a"] is read["b"][0]
    assert read["self"] is read


@pytest.mark.parametrize(
    "value, part",
    [
        ({"a": [1, bytearray(b"x")]}, r"value\['a'\]\[1\]"),
        ([Point(1, bytearray(b"xyz"))], r"value\[0\]\.x|value\[0\]\.y"),
        ([(), {"k": (1, nan_of_other_bits())}], r"value\[1\]\['k'\]\[1\]"),
        ({"outer": {"py/object": "builtins.list"}}, r"value\['outer'\]"),
        ({"py/tuple": [1]}, "value"),
        ([1, lambda: 2], r"value\[1\]"),
        (DATA["exceptions"](), r"value\[1\]"),
        (DATA["folds"](), r"value\[0\]"),
        (DATA["uuids"](), r"value\[1\]"),
        (Slotted(bytearray(b"x")), r"value\.part"),
        (Forgetful(), r"value\.number"),
    ],
)
def test_what_would_change_is_refused_and_named(value, part):
    with pytest.raises(UnsupportedValue, match=f"change ({part}) of"):
        PLUGIN.dumps(value)


@pytest.mark.parametrize(
    "value", [threading.Lock(), (i for i in "a"), Unreadable(), memoryview(b"x"), ..., {1: [Unreadable()]}]
)
def test_what_cannot_be_kept_is_refused(value):
    with pytest.raises(UnsupportedValue, match="hashstash"):
        PLUGIN.dumps([value])


def test_subclasses_are_kept_or_refused():
    value = Words(["a"])
    value.note = "mine"
    read = back(value)
    assert (type(read), list(read), read.note) == (Words, ["a"], "mine")


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_or_are_refused(order):
    np = pytest.importorskip("numpy")
    assert_same(back(np.arange(6.0).reshape((2, 3), order=order)), np.arange(6.0).reshape((2, 3), order=order))


def test_frames_come_back_or_are_refused():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=pd.date_range("2020", periods=2))
    with pytest.raises(UnsupportedValue):
        PLUGIN.dumps(frame)


def test_documents_are_json():
    assert json.loads(PLUGIN.dumps({"a": [1]}).document)["value"] == {"a": [1]}


def test_a_jsonpickle_marked_as_data_is_refused():
    with pytest.raises(CorruptEntry, match="code"):
        PLUGIN.loads(PLUGIN.dumps(1)._replace(is_code=False))


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"value": 1}', b'{"handlers": 1, "value": 1}', b"\xff", b"[" * 10**5]
)
def test_malformed_documents_are_corrupt(document):
    with pytest.raises(CorruptEntry):
        PLUGIN.loads(Encoded(document, (), True))


@pytest.mark.parametrize(
    "flat, error",
    [
        ({"py/object": "no_such_module.Class"}, MissingDependency),
        ({"py/function": "no_such_module.function"}, MissingDependency),
        ({"py/type": "json.NoSuchClass"}, BadEntry),
        ({"py/function": "json.no_such_function"}, BadEntry),
        ([{"a": {"py/object": "__main__.NotDefinedYet"}}], BadEntry),
        ({'json://{"py/object": "json.NoSuchClass"}': 1}, BadEntry),
    ],
)
def test_what_is_not_there_is_named(flat, error):
    document = json.dumps({"handlers": [], "value": flat}).encode()
    with pytest.raises(error, match=r"no_such|NoSuch|NotDefinedYet"):
        PLUGIN.loads(Encoded(document, (), True))


def test_values_written_with_a_handler_are_read_with_that_handler_only():
    class PointHandler(jsonpickle.handlers.BaseHandler):
        def flatten(self, obj, data):
            data["at"] = [obj.x, obj.y]
            return data

        def restore(self, obj):
            return Point(*obj["at"])

    jsonpickle.handlers.register(Point, PointHandler)
    try:
        encoded = PLUGIN.dumps(Point(1, 2))
        assert PLUGIN.loads(encoded).y == 2
    finally:
        jsonpickle.handlers.unregister(Point)
    with pytest.raises(BadEntry, match="register it"):
        PLUGIN.loads(encoded)


def test_a_stash_of_jsonpickle_is_read_by_another_process(tmp_path):
    stash = HashStash(tmp_path / "stash", engine="pairtree", serializer="jsonpickle")
    stash["k"] = {"when": collections.OrderedDict(a=(1, {2}))}
    assert stash.store.find("k").is_code
    code = "import sys; from hashstash import HashStash; print(HashStash(sys.argv[1], engine='pairtree')['k'])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "stash")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == str(stash["k"])


def test_a_refused_value_leaves_the_old_one(tmp_path):
    stash = HashStash(tmp_path / "stash", engine="pairtree", serializer="jsonpickle")
    stash["k"] = "old"
    with pytest.raises(UnsupportedValue):
        stash["k"] = bytearray(b"new")
    assert stash["k"] == "old"


def test_a_strangers_jsonpickle_is_not_decoded(somebody_else):
    data = serialize([1], serializer="jsonpickle")
    with somebody_else, pytest.raises(UntrustedEntry):
        deserialize(data)


def test_without_its_package_the_pip_line_is_given(monkeypatch):
    monkeypatch.delitem(sys.modules, "hashstash.serializers.jsonpickle", raising=False)
    monkeypatch.setitem(sys.modules, "jsonpickle", None)
    with pytest.raises(MissingDependency, match=r"pip install 'hashstash\[jsonpickle\]'"):
        Registry("serializer", "hashstash.serializers").load("jsonpickle")
