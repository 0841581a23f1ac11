"""Sets and dicts whose keys are on a cycle with them, and are hashed by what they hold."""

import collections
import dataclasses
import time
import weakref

import pytest

from hashstash.codec import Encoded
from hashstash.serializers.hashstash.graph import dump_roots, dumps_graph, load_roots, loads_graph


def back(value):
    encoded = dumps_graph(value)
    return loads_graph(Encoded(bytes(encoded.document), [bytes(buffer) for buffer in encoded.buffers], encoded.is_code))


class Named:
    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        return isinstance(other, Named) and self.name == other.name


class Parted(Named):
    """Its name is no atom."""

    def __hash__(self):
        return hash((type(self.name), *self.name))


class Restored(Named):
    def __getstate__(self):
        return vars(self)

    def __setstate__(self, state):
        vars(self).update(state)


@dataclasses.dataclass(frozen=True)
class Frozen:
    name: str
    group: dict = dataclasses.field(compare=False)


KINDS = [Named("n"), Parted(("a", 1)), Parted(["a", [2]][:1]), Restored("r")]


def is_key(key, found):
    return key in found and len(found) == 1 and next(iter(found)) is key


@pytest.mark.parametrize("node", KINDS, ids=["atom", "tuple", "list", "setstate"])
@pytest.mark.parametrize(
    "make",
    [
        lambda node: {node},
        lambda node: {node: [1]},
        lambda node: collections.OrderedDict({node: 1}),
        lambda node: collections.Counter({node: 2}),
        lambda node: collections.defaultdict(list, {node: [1]}),
        lambda node: weakref.WeakSet([node]),
        lambda node: weakref.WeakKeyDictionary({node: 1}),
    ],
    ids=["set", "dict", "OrderedDict", "Counter", "defaultdict", "WeakSet", "WeakKeyDictionary"],
)
def test_object_in_a_group_that_it_holds(node, make):
    node.group = make(node)
    read = back(node)
    assert is_key(read, read.group)
    assert type(read.group) is type(node.group)


@pytest.mark.parametrize("node", KINDS[:2], ids=["atom", "tuple"])
def test_frozenset_of_an_object_that_holds_it(node):
    node.group = frozenset([node])
    read = back(node)
    assert is_key(read, read.group)


def test_object_within_a_tuple_that_is_a_key():
    node = Parted(["n"])
    node.group = {(1, node): node}
    read = back(node)
    assert read.group[1, read] is read


def test_group_is_read_first():
    node = Parted(["n"])
    node.group = {node}
    read = back(node.group)
    (found,) = read
    assert found.group is read
    assert found in read


def test_keys_that_hold_each_other():
    one, two = Parted(["one"]), Parted(["two"])
    one.others, two.others = {two: "two"}, {one: "one"}
    read = back(one)
    (other,) = read.others
    assert read.others[other] == "two"
    assert other.others[read] == "one"


def test_hash_that_asks_another_object_of_the_cycle():
    class Inner(Named):
        pass

    class Outer:
        def __init__(self, inner):
            self.inner = inner

        def __hash__(self):
            return hash(self.inner)

        def __eq__(self, other):
            return isinstance(other, Outer) and self.inner == other.inner

    inner = Inner(["list"])
    inner.__class__ = type("Inner", (Parted,), {})
    inner.owners = {Outer(inner)}
    read = back(inner)
    (owner,) = read.owners
    assert owner in read.owners
    assert owner.inner is read


def test_frozen_dataclass_that_is_its_own_key():
    group = {}
    group[Frozen("f", group)] = 1
    read = back(group)
    (key,) = read
    assert read[key] == 1
    assert key.group is read


def test_argument_of_a_call_is_filled_before_the_call():
    class Called:
        def __init__(self, found):
            self.count = len(found)

        def __reduce__(self):
            return Called, (self.found,)

    node, called = Named("n"), Called(())
    called.found = {node}
    node.called = called
    assert back(node).called.count == 1


def test_roots_that_share_a_cycle():
    node = Parted(["n"])
    node.group = {node}
    roots = {"group": node.group, "node": node, "again": {"k": node.group}}
    read = load_roots(dump_roots(roots))
    assert read["node"] in read["group"]
    assert read["again"]["k"] is read["group"] is read["node"].group


def test_dict_of_objects_without_a_hash_of_their_own_keeps_its_order():
    class Plain:
        pass

    node = Plain()
    node.table = {1: node, node: 2, "x": 3, (node,): 4}
    read = back(node)
    assert list(read.table) == [1, read, "x", (read,)]


@pytest.mark.parametrize("is_double", [False, True])
def test_long_chains_are_written_in_linear_time(is_double):
    def chain(length):
        first = node = Named(0)
        for number in range(1, length):
            node.next = Named(number)
            if is_double:
                node.next.previous, node.next.seen = node, {node}
            node = node.next
        return first

    def seconds(length):
        value, start = chain(length), time.process_time()
        read = back(value)
        taken = time.process_time() - start
        assert read.next.next.name == 2
        return taken

    seconds(100)
    assert seconds(4000) < 40 * max(seconds(500), 0.02)
