import io
import math
import random
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from types import SimpleNamespace

import pytest

from hashstash.errors import MissingDependency, UnknownPlugin, VolatileKey
from hashstash.fingerprint import Fingerprinter, alias_signature

SCALARS = [None, True, 1, 1.0, "1", b"1", 1 + 0j, "", b"", 0, 0.0, -0.0, False, ..., NotImplemented, 2**64, math.inf]
CONTAINERS = [
    [],
    (),
    {},
    set(),
    frozenset(),
    bytearray(),
    [1],
    (1,),
    {1},
    frozenset({1}),
    {1: 1},
    [[1]],
    [(1,)],
    ([1],),
    [[]],
    [[], []],
]


def test_values_of_different_types_differ(digest):
    assert len({digest(value) for value in SCALARS + CONTAINERS}) == len(SCALARS + CONTAINERS)


def test_every_nan_is_the_same(digest):
    assert digest(math.nan) == digest(-math.nan) == digest(math.inf - math.inf)


def test_every_nan_in_a_batch_is_the_same(digest):
    assert digest([math.nan, 1.5]) == digest([-math.nan, 1.5])
    assert digest(complex(math.nan, 1)) == digest(complex(-math.nan, 1))


def test_neighbours_are_delimited(digest):
    assert digest([1, 23]) != digest([12, 3])
    assert digest(["a", "bc"]) != digest(["ab", "c"])
    assert digest([[1], 2]) != digest([1, [2]])
    assert digest(({1: 2}, {})) != digest(({}, {1: 2}))


def test_dict_order_counts(digest):
    assert digest({"x": 1, "y": 2}) != digest({"y": 2, "x": 1})


def test_set_order_does_not_count(digest):
    grown = set(range(100_000))
    assert digest({3, 1, 2}) == digest({2, 3, 1})
    assert digest({8, 0, 16}) == digest({16, 8, 0})
    grown.difference_update(range(3, 100_000))
    assert digest(grown) == digest({0, 1, 2})


def test_sets_of_mixed_members(digest):
    first = {1, "a", (1, (2, "b")), frozenset({3, "c"}), None, 2.5}
    members = list(first)[::-1]
    assert digest(first) == digest(set(members))
    assert digest(first) != digest(first | {2})


def test_shared_and_copied_containers_differ(digest):
    inner = [0]
    assert digest([inner, inner]) != digest([[0], [0]])


def test_equal_strings_need_not_be_one_object(digest):
    text = "ab" * 10
    assert digest([text, text]) == digest([text, "".join(["ab"] * 10)])
    assert digest([(text, 1), (text, 1)]) == digest([(pair := (text, 1)), pair])


def test_a_tuple_of_containers_keeps_their_sharing(digest):
    inner = [0]
    pair = (inner, (inner,))
    assert digest(pair) == digest((inner, (inner,)))
    assert digest(pair) != digest(([0], ([0],)))


def test_cycles_end(digest):
    cyclic = [1]
    cyclic.append(cyclic)
    same = [1]
    same.append(same)
    unrolled = [1, [1, cyclic]]
    assert digest(cyclic) == digest(same)
    assert digest(cyclic) != digest(unrolled)


def test_a_cycle_through_a_dict_and_an_instance_ends(digest):
    node = SimpleNamespace(name="n")
    node.table = {"me": node}
    assert digest(node) == digest(node)


def test_tuples_that_share_deeply_are_walked_once(digest):
    value = (1,)
    for _ in range(200):
        value = (value, value)
    assert digest(value) == digest(value)


def test_tuples_of_lists_that_share_deeply_are_walked_once(digest):
    value = ([],)
    for _ in range(200):
        value = (value, value)
    assert digest(value) == digest(value)


def test_deep_nesting_is_walked(digest):
    deep = []
    for _ in range(5_000):
        deep = [deep]
    assert digest(deep) != digest([deep])


def test_no_sampling_of_long_lists(digest):
    long = list(range(50_000))
    changed = [*long[:25_000], -1, *long[25_001:]]
    assert digest(long) != digest(changed)


def test_no_sampling_of_long_texts(digest):
    assert digest("a" * 200_000) != digest("a" * 100_000 + "b" + "a" * 99_999)


def test_a_long_text_is_not_its_bytes(digest):
    assert digest("a" * 200_000) != digest(b"a" * 200_000)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), defaultdict(float, a=1)),
        (Counter("aab"), dict(Counter("aab"))),
        (deque([1], maxlen=2), deque([1], maxlen=3)),
        (range(3), [0, 1, 2]),
        (range(0, 3, 2), range(0, 4, 2)),
        (memoryview(b"ab"), b"ab"),
        ({"a": 1}.keys(), {"b": 1}.keys()),
        (random.Random(1), random.Random(2)),
        (io.BytesIO(b"a"), io.BytesIO(b"b")),
        (ValueError(1), ValueError(2)),
        ("a-b".split, "a-c".split),
        (SimpleNamespace(a=1), SimpleNamespace(a=2)),
        (slice(1), slice(2)),
    ],
)
def test_library_values_that_differ(digest, one, other):
    assert digest(one) != digest(other)
    assert digest(one) == digest(one)


def test_state_of_a_random_generator_counts(digest):
    first, second = random.Random(1), random.Random(1)
    assert digest(first) == digest(second)
    first.random()
    assert digest(first) != digest(second)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: (i for i in ()), "a generator"),
        (threading.Lock, "a lock"),
        (threading.RLock, "a lock"),
        (threading.Event, "a lock"),
        (lambda: iter([1]), "an iterator"),
        (lambda: map(str, [1]), "an iterator"),
        (lambda: zip([1], [2], strict=False), "an iterator"),
        (lambda: threading.Thread(), "a thread"),
        (lambda: __import__("weakref").ref(Counter()), "a weak reference"),
        (lambda: __import__("sys")._getframe(), "a frame"),
        (lambda: __import__("contextvars").ContextVar("v"), "a context variable"),
    ],
)
def test_volatile_values_are_named(make, words):
    walk = Fingerprinter().walk({"part": [make()]}, "cfg")
    assert walk.volatile == (f"`cfg['part'][0]` is {words}",)


def test_open_files_and_connections_are_volatile(tmp_path):
    import socket
    import sqlite3

    with open(tmp_path / "f", "w") as file, socket.socket() as sock:
        connection = sqlite3.connect(":memory:")
        walk = Fingerprinter().walk([file, sock, connection], "x")
        connection.close()
    assert walk.volatile == ("`x[0]` is an open file", "`x[1]` is a socket", "`x[2]` is a database connection")


def test_digest_of_a_volatile_value_names_it():
    with pytest.raises(VolatileKey, match=r"`key\['g'\]` is a generator"):
        Fingerprinter().digest({"g": (i for i in ())}, "key")


def test_an_object_that_refuses_to_be_pickled_says_why():
    walk = Fingerprinter().walk(__import__("_thread")._local(), "x")
    assert walk.volatile == ("`x` is thread-local data",)


def test_a_pickled_address_is_volatile():
    class Handle(random.Random):
        def __reduce__(self):
            return (int, (id(self),))

    assert Fingerprinter().walk(Handle(), "h").volatile == ("`h` is an object whose pickled form holds its address",)


def test_containers_are_listed_in_the_same_order(digest):
    one = [[1], {"a": [2]}]
    two = [[1], {"a": [2]}]
    first, second = Fingerprinter().walk(one), Fingerprinter().walk(two)
    assert first.containers == second.containers
    assert first.containers[0] is one
    assert second.containers[3] is two[1]["a"]


def test_members_of_a_set_keep_their_places_in_containers():
    class Node:
        __hash__ = object.__hash__

        def __init__(self, name):
            self.name = name

    nodes = {Node(name) for name in "abcdef"}
    walks = [Fingerprinter().walk(value) for value in (nodes, {*sorted(nodes, key=lambda node: node.name)})]
    assert walks[0].digest == walks[1].digest
    assert [c for c in walks[0].containers if isinstance(c, Node)] == [
        c for c in walks[1].containers if isinstance(c, Node)
    ]


def test_alias_signature_sees_sharing_between_roots():
    fingerprinter, inner = Fingerprinter(), [0]
    together = {"x": fingerprinter.walk([inner]), "y": fingerprinter.walk([inner])}
    apart = {"x": fingerprinter.walk([[0]]), "y": fingerprinter.walk([[0]])}
    again = {"y": apart["x"], "x": apart["y"]}
    assert alias_signature(together) != alias_signature(apart)
    assert alias_signature(apart) == alias_signature(again) == alias_signature({})


def test_alias_signature_of_a_subset_after_mutation():
    inner = [0]
    walks = {name: Fingerprinter().walk([inner]) for name in "xyz"}
    before = alias_signature({"x": walks["x"], "y": walks["y"]})
    inner.append(1)
    assert alias_signature({"y": walks["y"], "x": walks["x"]}) == before


def test_one_walk_over_several_values_sees_what_they_share():
    inner = [0]
    shared = Fingerprinter().walk_all([("x", inner), ("y", inner)])
    apart = Fingerprinter().walk_all([("x", [0]), ("y", [0])])
    assert shared.digest != apart.digest


def test_unknown_buffer_hash_lists_the_known():
    with pytest.raises(UnknownPlugin, match="'md5'.*xxh3_128, sha256"):
        Fingerprinter(buffer_hash="md5")


def test_missing_xxhash_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xxhash", None)
    with pytest.raises(MissingDependency, match="pip install xxhash"):
        Fingerprinter(buffer_hash="xxh3_128")


def test_a_hook_stands_for_the_state(digest):
    class Handle:
        def __init__(self, place):
            self.place = place
            self.lock = threading.Lock()

        def __hashstash_fingerprint__(self):
            return self.place

    assert digest(Handle("a")) == digest(Handle("a"))
    assert digest(Handle("a")) != digest(Handle("b"))


def test_looking_at_the_attributes_of_an_exception_is_not_a_change(digest):
    looked_at = OSError(2, "no such file")
    assert looked_at.__dict__ == {}
    assert digest(looked_at) == digest(OSError(2, "no such file"))


def nested(make, levels, value=frozenset({1})):
    for level in range(levels):
        value = make(value, level)
    return value


@pytest.mark.parametrize(
    "value",
    [
        nested(lambda value, _: frozenset({value}), 60),
        nested(lambda value, _: frozenset({value, "a"}), 60),
        nested(lambda value, level: frozenset({value, (value, level)}), 60),
        [nested(lambda value, _: {frozenset({value, "a"})}.pop(), 60)],
    ],
    ids=["alone", "beside another", "twice", "in a list"],
)
def test_sets_in_sets_take_as_long_as_they_are_deep(value):
    assert len(Fingerprinter().digest(value)) == 16


def test_a_set_that_was_met_for_its_order_still_says_what_is_volatile():
    inner = frozenset({(iter([1]), "a")})
    with pytest.raises(VolatileKey, match="iterator"):
        Fingerprinter().digest({frozenset({inner, "b"}), frozenset({inner, "c"})})


def test_a_tuple_that_refers_back_into_a_set_is_written_anew_each_time():
    shared = Instance()
    inside = (shared,)
    one = {frozenset({(shared, inside), 1}), frozenset({(inside, 2), 2})}
    other = Instance()
    equal = (other,)
    assert Fingerprinter().digest(one) == Fingerprinter().digest(
        {frozenset({(equal, 2), 2}), frozenset({(other, equal), 1})}
    )


class Instance:
    def __init__(self):
        self.name = "same"


def test_sets_whose_order_takes_too_long_to_find_are_refused():
    class Node:
        def __init__(self, children):
            self.children = children

    value = nested(lambda value, level: Node(frozenset({value, level, "a"})), 40)
    with pytest.raises(VolatileKey, match="sets in sets"):
        Fingerprinter().digest(value)
