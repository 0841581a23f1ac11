"""Plain documents of the serializer `hashstash`: each test runs with the msgpack packages and with our own reader and writer."""

import collections
import copy
import datetime as dt
import decimal
import enum
import subprocess
import sys
import zoneinfo
from contextlib import nullcontext
from typing import NamedTuple

import pytest

from hashstash.codec import Encoded
from hashstash.errors import CorruptEntry, NewerFormat, UnsupportedValue
from hashstash.serializers.hashstash import PLUGIN, document
from hashstash.serializers.hashstash.document import MAX_NESTING, NeedsGraph, plain_python, read, write
from hashstash.testing.corpus import DATA, ZONES
from hashstash.testing.equality import assert_same
from hashstash.testing.serializer import SerializerContract


@pytest.fixture(params=["packages", "plain"], autouse=True)
def writer(request):
    if request.param == "packages":
        pytest.importorskip("msgpack")
        pytest.importorskip("msgspec")
    with plain_python() if request.param == "plain" else nullcontext():
        yield request.param


class TestHashstash(SerializerContract):
    @pytest.fixture
    def serializer(self):
        return PLUGIN

    @pytest.mark.parametrize("name", sorted(set(DATA) - {"too deep list"}))
    def test_data_is_no_code(self, serializer, name):
        assert not write(DATA[name]()).is_code

    @pytest.mark.parametrize("name", ["dict", "tuples", "mixed", "decimals", "surrogates"])
    def test_the_short_way_reads_the_same(self, serializer, name):
        assert_same(serializer.loads_plain(write(DATA[name]()).document), DATA[name]())


@pytest.mark.parametrize("name", sorted(set(DATA) - {"too deep list"}))
def test_both_writers_write_the_same_bytes(name):
    pytest.importorskip("msgpack")
    value = DATA[name]()
    with plain_python():
        ours = write(value)
    assert bytes(ours.document) == bytes(write(value).document)


@pytest.mark.parametrize("name", ZONES)
def test_zones_come_back_by_their_key(name):
    pytest.importorskip("tzdata")
    encoded = write(ZONES[name]())
    assert_same(read(encoded.document), ZONES[name]())


def test_plain_data_is_plain_messagepack():
    assert bytes(write({"a": [1, None, "x", b"y", 2.0]}).document) == bytes.fromhex(
        "81a161 95 01 c0 a178 c40179 cb4000000000000000"
    )


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Fraction(float):
    pass


class Data(bytes):
    pass


class Row(list):
    pass


class Record(dict):
    pass


class Point(NamedTuple):
    x: int
    y: int


class Group(set):
    pass


class Colour(enum.IntEnum):
    RED = 1


class Moment(dt.datetime):
    pass


class Plain:
    pass


SUBCLASSED = [
    *(Text("a"), Number(1), Fraction(1.5), Data(b"a"), Row(), Record(), Point(1, 2), Group(), Colour.RED),
    *(Moment(2020, 1, 1), Plain(), Plain, len, ValueError, type("ValueError", (Exception,), {})()),
]


@pytest.mark.parametrize(
    "value", [value for value in SUBCLASSED if value is not ValueError], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"k": (v,)}, lambda v: collections.deque([v])])
def test_a_subclass_is_never_written_as_its_base(value, wrap):
    with pytest.raises(NeedsGraph):
        write(wrap(value))


@pytest.mark.parametrize("key", [Text("a"), Number(1), Colour.RED, Point(1, 2)])
def test_a_subclass_as_a_key_is_never_written_as_its_base(key):
    with pytest.raises(NeedsGraph):
        write({key: 1})


def test_the_extension_values_of_msgpack_are_not_taken_for_ours():
    msgpack = pytest.importorskip("msgpack")
    with pytest.raises(NeedsGraph):
        write([msgpack.ExtType(2, b"\x90")])
    with pytest.raises(NeedsGraph):
        write({"at": msgpack.Timestamp(1)})


def test_the_error_names_the_path_to_the_part():
    with pytest.raises(NeedsGraph, match=r"value\['a'\]\[1\]\[0\] is a Plain of "):
        write({"a": [1, (Plain(),)]})


def test_the_error_names_the_path_through_a_hook():
    with pytest.raises(NeedsGraph, match=r"value\['q'\] \(deque\)\[0\]\[1\] is a Plain of "):
        write({"q": collections.deque([1, Plain()])})


def test_a_cycle_needs_a_graph():
    value = {"a": []}
    value["a"].append(value)
    with pytest.raises(NeedsGraph, match="holds itself"):
        write(value)


def test_a_cycle_through_a_hook_needs_a_graph():
    value = collections.deque()
    value.append([value])
    with pytest.raises(NeedsGraph, match="holds itself"):
        write(value)


def test_a_value_that_would_explode_needs_a_graph():
    value = [1]
    for _ in range(60):
        value = [value, value]
    with pytest.raises(NeedsGraph, match="over and over"):
        write(value)


def test_too_many_extension_levels_need_a_graph():
    value = 1
    for _ in range(MAX_NESTING + 1):
        value = (value,)
    with pytest.raises(NeedsGraph):
        write(value)


def test_a_surrogate_beside_a_large_buffer_keeps_the_buffers_in_order():
    import array

    value = [array.array("d", [1.0] * 1000), "\ud800", array.array("d", [2.0] * 1000)]
    encoded = write(value)
    assert len(encoded.buffers) == 2
    assert_same(read(encoded.document, encoded.buffers), value)


@pytest.mark.parametrize(
    "value",
    [
        collections.defaultdict(lambda: 1),
        zoneinfo.ZoneInfo.no_cache("UTC") if zoneinfo.available_timezones() else Plain(),
        type("Custom", (dt.tzinfo,), {})(),
        dt.time(tzinfo=type("Custom", (dt.tzinfo,), {"utcoffset": lambda self, when: None})()),
    ],
    ids=["factory", "zone", "tzinfo", "time"],
)
def test_what_a_hook_would_lose_needs_a_graph(value):
    with pytest.raises(NeedsGraph):
        write([value])


def test_attributes_of_an_ordered_dict_are_not_lost():
    value = collections.OrderedDict(a=1)
    value.note = "mine"
    with pytest.raises(NeedsGraph, match="note"):
        write(value)


def test_the_decimal_context_does_not_matter():
    value = decimal.Decimal("1.23456789012345678901234567890123456789")
    with decimal.localcontext() as context:
        context.prec = 3
        context.traps[decimal.InvalidOperation] = False
        assert_same(read(write(value).document), value)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("", CorruptEntry),
        ("c1", CorruptEntry),
        ("0101", CorruptEntry),
        ("a2ffff", CorruptEntry),
        ("dfffffffff", CorruptEntry),
        ("ddffffffff00", CorruptEntry),
        ("c6ffffffff", CorruptEntry),
        ("818001", CorruptEntry),
        ("d40280", CorruptEntry),
        ("d50301a1", CorruptEntry),
        ("d50391 90".replace(" ", ""), CorruptEntry),
        ("d40105", CorruptEntry),
        ("d4010000"[:6], CorruptEntry),
        ("d53f9100", NewerFormat),
        ("d40f00", CorruptEntry),
        ("c706 00 92 a17a c0 c0 c0".replace(" ", ""), CorruptEntry),
    ],
)
def test_malformed_documents_are_bad_entries(data, error):
    with pytest.raises(error):
        read(bytes.fromhex(data))


def pack(value):
    return bytes(write(value).document)


def extension(code, payload):
    from hashstash.serializers.hashstash.msgpack_plain import pack_ext

    return pack_ext(code, payload)


@pytest.mark.parametrize(
    ("tag", "meta"),
    [
        ("zone", "../../etc/passwd"),
        ("zone", 5),
        ("type", 5),
        ("path", ["Path", "x"]),
        ("path", ["PosixPath", 5]),
        ("pattern", ["a", 128]),
        ("pattern", ["(", 0]),
        ("pattern", ["(" * 5000, 0]),
        ("fraction", [1, 0]),
        ("defaultdict", ["eval", {}]),
        ("defaultdict", ["list", []]),
        ("counter", []),
        ("deque", [[], -1]),
        ("deque", ["abc", None]),
        ("ip", ["IPv4Address", "999"]),
        ("ip", ["collapse_addresses", ""]),
        ("exception", ["ValueError", [], {"__class__": 1}, [None, None, False]]),
        ("exception", ["UnicodeDecodeError", [1], {}, [None, None, False]]),
        ("exception", ["OSError", [2, "x"], {}, [None, None, False]]),
        ("exception", ["ValueError", [], {}, [1, None, False]]),
        ("random", [3, [1], None]),
        ("array", ["d", 8, "little"]),
        ("array", ["dd", 8, "little"]),
        ("namespace", {1: 2}),
        ("chain", [1]),
        ("slice", [1, 2]),
        ("range", [1, 2, 0]),
        ("np.nd", ["O", [1], "C", None]),
    ],
)
def test_a_malformed_value_of_a_known_type_is_corrupt(tag, meta):
    if tag.startswith("np."):
        pytest.importorskip("numpy")
    with pytest.raises(CorruptEntry):
        read(extension(0, pack([tag, meta])))


@pytest.mark.parametrize("tag", ["nosuch", "xx.nosuch", "exception"])
def test_an_unknown_type_is_a_newer_format(tag):
    meta = ["NoSuchError", [], {}, [None, None, False]]
    with pytest.raises(NewerFormat, match="pip install -U|does not have"):
        read(extension(0, pack([tag, meta])))


def test_a_tag_must_be_text():
    with pytest.raises(CorruptEntry, match="not a tag"):
        read(extension(0, pack([5, None])))


def test_a_buffer_that_is_not_there_is_corrupt():
    with pytest.raises(CorruptEntry):
        read(extension(0, b"\x93" + pack("array") + pack(["d", 8, "little"]) + extension(1, b"\x00")), [])


def test_a_buffer_may_stand_nowhere_but_behind_a_type():
    with pytest.raises(CorruptEntry):
        read(b"\x91" + extension(1, b"\x00"), [b"x"])


def test_deep_nesting_from_a_stranger_is_refused():
    payload = b"\x90"
    for _ in range(3000):
        payload = extension(2, b"\x91" + payload)
    with pytest.raises(CorruptEntry, match="nested"):
        read(payload)


def test_deep_lists_are_read_without_recursion():
    value = read(b"\x91" * 1000 + b"\xc0")
    assert type(value) is list
    while value is not None:
        (value,) = value


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xc0"])
def test_lists_and_maps_beyond_any_depth_are_refused(opening):
    with pytest.raises(CorruptEntry, match="nested too deep"):
        read(opening * 100_000 + b"\xc0")


def test_a_graph_document_is_told_by_its_first_byte():
    assert bytes(PLUGIN.dumps([Plain()]).document)[0] == document.GRAPH_BYTE == 0xC1


def test_a_missing_zone_names_the_package(monkeypatch):
    from hashstash.errors import MissingDependency

    with pytest.raises(MissingDependency, match="pip install -U tzdata"):
        read(extension(0, pack(["zone", "Nowhere/Atlantis"])))


def test_too_large_for_messagepack_is_unsupported(monkeypatch):
    from hashstash.serializers.hashstash import msgpack_plain

    monkeypatch.setattr(msgpack_plain, "SIZE_LIMIT", 70_000)
    with plain_python(), pytest.raises(UnsupportedValue, match="more than MessagePack can count"):
        write({"a": b"x" * 70_000})


def test_reading_and_writing_json_like_data_imports_nothing_else():
    code = """if True:
        import sys
        from hashstash.serializers.hashstash import PLUGIN
        PLUGIN.loads(PLUGIN.dumps({"a": [1, (2.5,), {"x"}]}))
        print({"numpy", "pandas", "pyarrow", "zoneinfo", "ipaddress"} & set(sys.modules))
    """
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_equal_values_at_two_places_may_come_back_as_two():
    part = [1]
    again = PLUGIN.loads(PLUGIN.dumps([part, part]))
    assert again == [[1], [1]]


def test_writing_does_not_keep_user_classes_alive():
    import gc
    import weakref

    made = type("Made", (), {})
    seen = weakref.ref(made)
    with pytest.raises(NeedsGraph):
        write([made()])
    del made
    gc.collect()
    assert seen() is None


def test_a_class_that_cannot_be_hashed_needs_a_graph():
    class Meta(type):
        def __eq__(cls, other):
            return cls is other

        __hash__ = None

    class Odd(metaclass=Meta):
        pass

    with pytest.raises(NeedsGraph):
        write([Odd()])


def test_encoded_is_a_plain_tuple_of_parts():
    assert write(1) == Encoded(b"\x01", [], False) or write(1) == Encoded(b"\x01", (), False)


def test_a_copy_is_as_good(writer):
    value = copy.deepcopy(DATA["mixed"]())
    assert bytes(write(value).document) == bytes(write(DATA["mixed"]()).document)
