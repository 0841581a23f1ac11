"""Objects that pickle copies of the containers which they hold."""

from __future__ import annotations

import array
from collections import OrderedDict, deque

import pytest

from hashstash.cells import copies, objects
from hashstash.cells.containers import EXACT_CONTENTS
from hashstash.cells.copies import Copies


class Copying:
    def __init__(self, part):
        self.part = part

    def __getstate__(self):
        return {"part": type(self.part)(self.part)}


ITEMS, OTHERS = ([object() for _ in range(200)] for _ in range(2))
BUILDERS = {
    "list": list,
    "short list": lambda items: items[:2],
    "dict": dict.fromkeys,
    "ordered dict": OrderedDict.fromkeys,
    "set": set,
    "short set": lambda items: set(items[:3]),
    "deque": deque,
    "bytearray": lambda items: bytearray(id(items[0]).to_bytes(8)),
}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_a_copy_is_found_and_the_container_itself_or_one_of_other_items_is_none(build):
    value = Copying(build(ITEMS))
    state = objects.look(value)
    assert Copies([value, value.__getstate__()["part"]]).are_of_parts_of(value, state)
    assert not Copies([value, value.part]).are_of_parts_of(value, state)
    assert not Copies([value, build(OTHERS)]).are_of_parts_of(value, state)
    assert not Copies([value]).are_of_parts_of(value, state)


def test_a_copy_of_an_array_is_found():
    value = Copying(array.array("d", [1.0, 2.0]))
    state = objects.look(value)
    assert Copies([value.part[:]]).are_of_parts_of(value, state)
    assert not Copies([array.array("d", [1.0, 3.0])]).are_of_parts_of(value, state)


def test_containers_with_other_items_are_not_compared_with_each_of_what_was_reached(monkeypatch):
    compared = []
    content = EXACT_CONTENTS[dict]
    counting = content._replace(is_same=lambda one, other: compared.append(one) or content.is_same(one, other))
    monkeypatch.setitem(copies.EXACT_CONTENTS, dict, counting)
    values = [Copying({"a": object()}) for _ in range(300)]
    found = Copies([*values, *({"a": object()} for _ in range(300))])
    assert not any(found.are_of_parts_of(value, objects.look(value)) for value in values)
    assert not compared
