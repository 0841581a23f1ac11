"""Identity, cycles, hooks inside graphs, arrays that share memory, roots, and what a reader refuses."""

import collections
import contextvars
import gc
import math
import os
import socket
import sqlite3
import threading
import types
import weakref

import pytest

from hashstash.codec import Encoded
from hashstash.errors import BadEntry, CorruptEntry, NewerFormat, StashError, UnsupportedValue
from hashstash.serializers.hashstash import document
from hashstash.serializers.hashstash.graph import dump_roots, dumps_graph, is_graph, load_roots, loads_graph
from hashstash.serializers.hashstash.nodes import CALL, DICT, FILL_LIST, GLOBAL, LIST, PLAIN, SET, TUPLE, VIEW


def stored(encoded):
    """As it comes from an engine: bytes that nobody else holds."""
    return Encoded(bytes(encoded.document), [bytes(buffer) for buffer in encoded.buffers], encoded.is_code)


def back(value):
    return loads_graph(stored(dumps_graph(value)))


def roots_back(roots, **options):
    return load_roots(stored(dump_roots(roots)), **options)


def made_of(*operations, root=0, is_code=False, buffers=()):
    """A document of our own making."""
    table = document.write([1, list(operations), root, len(buffers)])
    return Encoded(b"\xc1" + bytes(table.document), list(buffers), is_code)


class Node:
    pass


# Identity and cycles


def test_one_list_under_two_names_is_one_list():
    a = [1]
    read = roots_back({"a": a, "b": a, "c": {"in": a}})
    assert read["a"] is read["b"] is read["c"]["in"]


def test_two_equal_lists_stay_two():
    read = roots_back({"a": [1], "b": [1]})
    assert read["a"] == read["b"]
    assert read["a"] is not read["b"]


def test_list_holds_itself():
    value = [1]
    value.append(value)
    read = back(value)
    assert read[1] is read
    assert read[0] == 1


def test_dict_holds_itself():
    value = {}
    value["self"] = value
    read = back(value)
    assert read["self"] is read


def test_tuple_in_a_cycle_through_a_list():
    items = []
    value = (items, 3)
    items.append(value)
    read = back(value)
    assert read[0][0] is read
    assert read[1] == 3


def test_tuple_in_a_cycle_seen_from_the_list():
    items = []
    items.append((items, 3))
    read = back(items)
    assert read[0][0] is read


def test_tuple_met_in_two_lists_of_a_cycle():
    one, two = [], []
    value = (one, two)
    one.append(value)
    two.append(value)
    read = back(value)
    assert read[0][0] is read
    assert read[1][0] is read


def test_set_holds_an_object_that_holds_the_set():
    node = Node()
    node.group = {node}
    read = back(node)
    assert read in read.group
    assert len(read.group) == 1


def test_set_subclass_in_a_cycle_keeps_its_elements():
    class Group(set):
        pass

    node = Node()
    node.group = Group([node, 1])
    read = back(node)
    assert read.group == {read, 1}
    assert type(read.group) is Group


def test_frozenset_in_a_cycle():
    node = Node()
    node.group = frozenset([node])
    read = back(node)
    assert read in read.group


def test_deque_that_holds_itself():
    value = collections.deque()
    value.append(value)
    read = back([value])
    assert read[0][0] is read[0]
    assert type(read[0]) is collections.deque


def test_lists_nested_beyond_the_recursion_limit():
    value = []
    for _ in range(50_000):
        value = [value]
    read, depth = back(value), 0
    while read:
        read, depth = read[0], depth + 1
    assert depth == 50_000


def test_chain_of_objects_beyond_the_recursion_limit():
    first = node = Node()
    for _ in range(5_000):
        node.next = Node()
        node = node.next
    read, length = back(first), 0
    while hasattr(read, "next"):
        read, length = read.next, length + 1
    assert length == 5_000


def test_long_text_is_written_once():
    text = "x" * 5000
    assert len(dumps_graph([text] * 100).document) < 6000


def test_long_bytes_leave_the_document():
    encoded = dumps_graph([b"y" * 5000] * 100)
    assert [len(buffer) for buffer in encoded.buffers] == [5000]
    assert len(encoded.document) < 1000


# Plain trees among roots


def test_plain_tree_is_written_as_it_is():
    encoded = dump_roots({"v": [{"id": i, "v": [i]} for i in range(100)]})
    assert document.read(memoryview(encoded.document)[1:])[1] == [[PLAIN, [{"id": i, "v": [i]} for i in range(100)]]]


def test_roots_share_a_part_of_a_tree():
    inner = [1]
    read = roots_back({"a": {"k": [inner]}, "b": {"j": inner}, "c": [[2]]})
    assert read["a"]["k"][0] is read["b"]["j"]
    assert read["c"] == [[2]]


def test_root_inside_of_another_root():
    inner = [1]
    read = roots_back({"a": [[inner]], "b": inner})
    assert read["a"][0][0] is read["b"]


def test_object_shares_a_part_of_a_tree():
    inner = [1]
    node = Node()
    node.held = inner
    read = roots_back({"tree": {"k": [inner]}, "node": node})
    assert read["tree"]["k"][0] is read["node"].held


def test_list_inside_of_a_shared_tuple_is_one():
    pair = ([1],)
    read = roots_back({"v": [pair, pair]})
    assert read["v"][0][0] is read["v"][1][0]


def test_external_object_inside_of_a_tree():
    live = [1]
    encoded = dump_roots({"v": [[live]]}, external=lambda part: "x" if part is live else None)
    assert load_roots(encoded, resolve=lambda token: live)["v"][0][0] is live


def test_bytes_inside_of_a_tuple_that_the_collector_does_not_track_are_one():
    held = bytearray(b"x")
    pairs = [(held, len("x")), (held, 2)]
    gc.collect()
    assert not gc.is_tracked(pairs[0])
    read = roots_back({"v": pairs})["v"]
    assert read[0][0] is read[1][0]


def test_tuples_that_double_with_each_level():
    value = (len("x"),)  # no constant, as those may be kept from the collector
    for _ in range(60):
        value = (value, value)
        gc.collect()
    gc.collect()  # what is in a tuple comes before the tuple
    assert not gc.is_tracked(value)
    encoded = dump_roots({"v": [[1], (value, [2])]}, external=lambda part: None)
    read = load_roots(encoded, resolve=lambda token: None)["v"][1][0]
    for _ in range(60):
        read = read[0]
    assert read == (1,)


def test_sharing_that_doubles_with_each_level():
    value = []
    for _ in range(80):
        value = [value, value]
    read = roots_back({"v": value})["v"]
    assert read[0] is read[1]


# Data


@pytest.mark.parametrize(
    "value",
    [
        [1, 2.5, None, True, "a", b"b", 2**100, -1],
        {"a": 1, 2: [3], (4, 5): {6}},
        {1, (2, 3), frozenset([4])},
        (),
        "\ud800",
        1j,
        bytearray(b"ab"),
        range(1, 9, 2),
        slice(1, None),
        ...,
        collections.OrderedDict([("b", 1), ("a", 2)]),
        collections.deque([1, 2], maxlen=2),
        collections.Counter("aab"),
        types.SimpleNamespace(a=[1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_data_needs_no_code(value):
    encoded = dumps_graph([value])
    (read,) = loads_graph(stored(encoded))
    assert not encoded.is_code
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "hold",
    [
        lambda inside: collections.deque([inside]),
        lambda inside: collections.OrderedDict(k=inside),
        lambda inside: types.SimpleNamespace(k=inside),
        lambda inside: ValueError(inside),
    ],
)
def test_parts_of_data_types_keep_their_identity(hold):
    inside = [1]
    read, shared = back([hold(inside), inside])
    part = {
        collections.deque: lambda: read[0],
        collections.OrderedDict: lambda: read["k"],
        types.SimpleNamespace: lambda: read.k,
        ValueError: lambda: read.args[0],
    }[type(read)]()
    assert part is shared


def test_defaultdict_of_a_lambda_is_code():
    encoded = dumps_graph(collections.defaultdict(lambda: 5, a=1))
    read = loads_graph(encoded)
    assert encoded.is_code
    assert read["b"] == 5
    assert read["a"] == 1


@pytest.mark.parametrize("value", [math, len, Node, Node(), lambda: 1, math.sin, "a-b".split, int.__add__])
def test_what_imports_or_calls_is_code(value):
    assert dumps_graph([value]).is_code


def test_frames_are_written_once():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    encoded = dump_roots({"df": frame, "both": [frame, frame]})
    read = load_roots(stored(encoded))
    assert not encoded.is_code
    assert read["df"] is read["both"][0] is read["both"][1]
    assert read["df"].equals(frame)


# Arrays that share memory


@pytest.fixture
def np():
    return pytest.importorskip("numpy")


def test_view_and_base_share_memory_again(np):
    a = np.zeros(4)
    read = roots_back({"a": a, "b": a[:2]})
    read["b"][0] = 7
    assert read["a"].tolist() == [7, 0, 0, 0]


def test_view_before_its_base(np):
    a = np.arange(4)
    read = roots_back({"b": a[2:], "a": a})
    read["a"][2] = 9
    assert read["b"].tolist() == [9, 3]


def test_views_of_a_base_that_is_not_stored(np):
    a = np.arange(10)
    encoded = dump_roots({"b": a[2:6], "c": a[4:8]})
    read = load_roots(stored(encoded))
    read["b"][2] = -1
    assert read["c"].tolist() == [-1, 5, 6, 7]
    assert len(encoded.buffers[0]) == 6 * a.itemsize


def test_reversed_and_transposed_views(np):
    a = np.arange(6.0).reshape(2, 3)
    read = roots_back({"a": a, "t": a.T, "r": a[::-1, ::-2]})
    read["a"][1, 2] = 50
    assert read["t"][2, 1] == 50
    assert read["r"][0, 0] == 50
    assert read["r"].tolist() == [[50, 3], [2, 0]]


def test_fortran_order_is_kept(np):
    a = np.asfortranarray(np.arange(6).reshape(2, 3))
    read = roots_back({"a": a, "column": a[:, 1]})
    assert read["a"].flags.f_contiguous
    assert read["column"].tolist() == [1, 4]


def test_view_of_another_type(np):
    a = np.arange(4, dtype="<i4")
    read = roots_back({"a": a, "bytes": a.view("u1")})
    read["bytes"][0] = 200
    assert read["a"][0] == 200


def test_small_view_alone_does_not_carry_its_base(np):
    a = np.zeros(100_000)
    encoded = dump_roots({"b": a[:2]})
    assert len(encoded.document) + sum(map(len, encoded.buffers)) < 500


def test_distant_views_do_not_carry_what_lies_between(np):
    a = np.zeros(100_000)
    encoded = dump_roots({"b": a[:2], "c": a[-2:]})
    assert len(encoded.document) + sum(map(len, encoded.buffers)) < 500


def test_read_only_stays_with_a_view_that_shares(np):
    a = np.arange(3)
    locked = a[:]
    locked.flags.writeable = False
    read = roots_back({"a": a, "locked": locked})
    assert read["a"].flags.writeable
    assert not read["locked"].flags.writeable


def test_writable_memory_is_used_in_place(np):
    a = np.zeros(4)
    encoded = dump_roots({"a": a, "b": a[:2]})
    memory = bytearray(encoded.buffers[0])
    read = load_roots(encoded._replace(buffers=[memoryview(memory)]))
    read["a"][0] = 1
    assert memory != bytearray(32)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (8, [3], [4]),
        (0, [2], [-4]),
        (-4, [1], [4]),
        (0, [2**62], [0]),
        (0, [2**40], [0]),
        (0, [-1], [4]),
        (0, ["a"], [4]),
    ],
)
def test_view_beyond_its_memory_is_refused(np, offset, shape, strides):
    encoded = dump_roots({"a": (a := np.zeros(4, "<i4")), "b": a[:2]})
    table = document.read(memoryview(encoded.document)[1:])
    dtype = next(operation for operation in table[1] if operation[0] == VIEW)[5]
    with pytest.raises(CorruptEntry):
        loads_graph(made_of([VIEW, 0, offset, shape, strides, dtype, True], root=[0], buffers=[bytes(16)]))


# Roots


def define(source, **names):
    namespace = {"__name__": "__main__", **names}
    exec(source, namespace)
    return namespace


def test_function_uses_the_readers_namespace():
    writer = define("x = 3\ndef g(): return x * 2")
    reader = {"x": 10, "__name__": "__main__"}
    read = load_roots(stored(dump_roots({"g": writer["g"]}, namespace=writer)), namespace=reader)
    assert read["g"]() == 20
    assert read["g"].__globals__ is reader


def test_instance_of_a_live_class_is_of_the_readers_class():
    writer = define("class Acc: pass\nobj = Acc()\nobj.v = 4")
    reader = define("class Acc: pass")
    read = load_roots(stored(dump_roots({"obj": writer["obj"]}, namespace=writer)), namespace=reader)
    assert type(read["obj"]) is reader["Acc"]
    assert read["obj"].v == 4


def test_nested_live_class_is_found_in_the_readers_class():
    writer = define("class Acc:\n class In: pass\nobj = Acc.In()")
    reader = define("class Acc:\n class In: pass")
    read = load_roots(stored(dump_roots({"obj": writer["obj"]}, namespace=writer)), namespace=reader)
    assert type(read["obj"]) is reader["Acc"].In


def test_class_among_the_roots_is_written_whole():
    writer = define("class CL:\n z = 4\n def m(self): return y\nobj = CL()\ny = 1")
    encoded = dump_roots({"CL": writer["CL"], "obj": writer["obj"]}, namespace=writer)
    read = load_roots(stored(encoded), namespace={"y": 2, "__name__": "__main__"})
    assert type(read["obj"]) is read["CL"]
    assert read["CL"].z == 4
    assert read["obj"].m() == 2


def test_class_among_the_roots_has_the_attributes_that_were_stored():
    writer = define("class Counter: n = 5")
    encoded = dump_roots({"Counter": writer["Counter"]}, namespace=writer)
    writer["Counter"].n = 7
    assert load_roots(stored(encoded), namespace=writer)["Counter"].n == 5


def test_class_under_another_name_is_written_whole():
    writer = define("class Acc: pass\nobj = Acc()\ndel Acc")
    read = load_roots(stored(dump_roots({"obj": writer["obj"]}, namespace=writer)), namespace={})
    assert type(read["obj"]).__name__ == "Acc"


@pytest.mark.parametrize("namespace", [{}, {"Acc": 5}])
def test_missing_live_class_is_named(namespace):
    writer = define("class Acc: pass\nobj = Acc()")
    encoded = dump_roots({"obj": writer["obj"]}, namespace=writer)
    with pytest.raises(BadEntry, match="Acc"):
        load_roots(encoded, namespace=namespace)


def test_document_with_a_namespace_needs_one():
    writer = define("def g(): return x")
    with pytest.raises(BadEntry, match="namespace"):
        load_roots(dump_roots({"g": writer["g"]}, namespace=writer))


def test_external_object_comes_back_as_the_live_one():
    live = [1, 2]
    encoded = dump_roots({"b": live, "c": (live, 3)}, external=lambda part: ["x"] if part is live else None)
    read = load_roots(stored(encoded), resolve=lambda token: live if token == ["x"] else None)
    assert read["b"] is live
    assert read["c"][0] is live
    assert not encoded.is_code


def test_external_object_needs_a_resolver():
    live = [1]
    with pytest.raises(BadEntry, match="resolve"):
        load_roots(dump_roots({"b": live}, external=lambda part: "x" if part is live else None))


def test_functions_share_a_closure_across_roots():
    writer = define(
        "def mk(n):\n def inc():\n  nonlocal n\n  n += 1\n def get(): return n\n return inc, get\ninc, get = mk(1)"
    )
    read = load_roots(stored(dump_roots({"inc": writer["inc"], "get": writer["get"]}, namespace=writer)), namespace={})
    read["inc"]()
    assert read["get"]() == 2


def test_module_is_a_root():
    assert roots_back({"mm": math, "pp": os.path}) == {"mm": math, "pp": os.path}


# What cannot be stored


def closing_over(value):
    return lambda: value


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: (i for i in ()), "a generator"),
        (threading.Lock, "a lock"),
        (threading.RLock, "a lock"),
        (lambda: threading.Thread(target=print), "a thread"),
        (lambda: sqlite3.connect(":memory:"), "a sqlite3.Connection"),
        (lambda: open(os.devnull), "an open file"),
        (lambda: socket.socket(), "a socket"),
        (lambda: weakref.ref(Node), "a weak reference"),
        (lambda: contextvars.ContextVar("v"), "a context variable"),
        (lambda: {}.keys(), "a dict_keys"),
        (lambda: types.ModuleType("made_up"), "a module"),
    ],
)
def test_refusal_names_the_root_and_the_kind(make, words):
    value = make()
    with pytest.raises(UnsupportedValue, match=f"`g` is {words}"):
        dump_roots({"fine": 1, "g": value})
    getattr(value, "close", lambda: None)()


def test_refusal_names_the_path_through_containers():
    with pytest.raises(UnsupportedValue, match=r"`cfg\['a'\]\[1\]\['lock'\]` is a lock"):
        dump_roots({"cfg": {"a": (0, {"lock": threading.Lock()})}})


def test_refusal_names_the_path_through_attributes():
    node = Node()
    node.child = Node()
    node.child.lock = threading.Lock()
    with pytest.raises(UnsupportedValue, match=r"`node\.child\.lock` is a lock"):
        dump_roots({"node": node})


def test_refusal_names_a_closure_variable():
    with pytest.raises(UnsupportedValue, match=r"`f\.<closure value>` is a generator"):
        dump_roots({"f": closing_over(i for i in ())})


def test_refusal_names_a_global():
    names = define("def f(): return LOCK", LOCK=threading.Lock())
    with pytest.raises(UnsupportedValue, match=r"`f\.<global LOCK>` is a lock"):
        dump_roots({"f": names["f"]})


def test_refusal_without_roots_speaks_of_the_value():
    with pytest.raises(UnsupportedValue, match=r"`value\[1\]` is a generator"):
        dumps_graph([0, (i for i in ())])


def test_reduce_that_raises_is_named_and_chained():
    class Broken:
        def __reduce__(self):
            raise RuntimeError("no")

    with pytest.raises(UnsupportedValue, match="Broken.*no") as caught:
        dumps_graph(Broken())
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_object_among_its_own_arguments_is_refused():
    class Odd:
        def __reduce__(self):
            return Odd, (self,)

    with pytest.raises(UnsupportedValue, match="arguments of its own constructor"):
        dumps_graph(Odd())


def test_object_that_does_not_come_back_is_named_and_chained():
    class Bad:
        def __reduce__(self):
            return int, ("not a number",)

    encoded = dumps_graph(Bad())
    with pytest.raises(BadEntry, match="int") as caught:
        loads_graph(encoded)
    assert isinstance(caught.value.__cause__, ValueError)


# What a reader refuses


@pytest.mark.parametrize("value", [Node(), math, lambda: 1, print])
def test_code_marked_as_data_is_refused(value):
    with pytest.raises(CorruptEntry, match="marked as data"):
        loads_graph(dumps_graph(value)._replace(is_code=False))


def test_code_marked_as_data_is_not_run(tmp_path):
    target = tmp_path / "made"
    encoded = made_of([GLOBAL, "os", "mkdir"], [CALL, [0], [str(target)], [], []], root=[1])
    with pytest.raises(CorruptEntry):
        loads_graph(encoded)
    assert not target.exists()


@pytest.mark.parametrize(
    "operations",
    [
        [[LIST, [[1]]]],
        [[LIST, [[-1]]]],
        [[LIST, [[True]]]],
        [[LIST, [[0, 0]]]],
        [[LIST, 5]],
        [[LIST]],
        [[]],
        [5],
        [["a"]],
        [[31]],
        [[DICT, ["a"], []]],
        [[LIST, []], [SET, [[0]]]],
        [[LIST, []], [DICT, [[0]], [1]]],
        [[TUPLE, []], [FILL_LIST, 0, [1]]],
        [[FILL_LIST, 0, []]],
    ],
)
def test_malformed_operations_are_corrupt(operations):
    with pytest.raises(CorruptEntry):
        loads_graph(made_of(*operations))


@pytest.mark.parametrize("root", [[0], [7], {}, (1,)])
def test_malformed_root_is_corrupt(root):
    with pytest.raises(CorruptEntry):
        loads_graph(made_of(root=root))


def test_newer_graph_says_so():
    table = document.write([2, [], 0, 0])
    with pytest.raises(NewerFormat):
        loads_graph(Encoded(b"\xc1" + bytes(table.document)))


def test_plain_document_is_no_graph():
    plain = document.write([1])
    assert not is_graph(plain.document)
    with pytest.raises(CorruptEntry):
        loads_graph(plain)


@pytest.mark.parametrize("position", range(1, 60))
def test_changed_byte_raises_nothing_but_our_errors(position):
    cycle = [1]
    cycle.append(cycle)
    encoded = dump_roots({"a": cycle, "b": {"k": (cycle, {2})}, "d": collections.deque([[1]])})
    for byte in (0, 0x7F, 0x91, 0xC1, 0xDD, 0xFF):
        data = bytearray(encoded.document)
        data[position % len(data) or 1] = byte
        try:
            load_roots(encoded._replace(document=bytes(data)))
        except StashError:
            pass
