"""A stash may take values of certain types only; what it does not take is refused at once, and nothing stored is lost."""

import json
import pickle
from collections import OrderedDict

import pytest

from hashstash import HashStash
from hashstash.errors import PolicyError
from hashstash.policies.value_type import described, parse_value_type


def is_short(value):
    return len(value) < 10


WRITES = {
    "[]": lambda stash, value: stash.__setitem__("k", value),
    "put": lambda stash, value: stash.put("k", value, ttl=60, meta={"a": 1}),
    "update": lambda stash, value: stash.update(k=value),
    "set_many": lambda stash, value: stash.set_many([("k", value)]),
    "setdefault": lambda stash, value: stash.setdefault("new", value),
    "get_set": lambda stash, value: stash.get_set("new", lambda: value),
    "|=": lambda stash, value: stash.__ior__({"k": value}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("options", [{}, {"append_mode": True}, {"serializer": "pickle"}, {"max_entries": 5}], ids=str)
def test_another_type_is_refused_by_every_way_of_writing(open_on, write, options):
    stash = open_on("memory", value_type=int, **options)
    stash["k"] = 1
    for value in ("text", [1] * 100_000, 1.0):
        with pytest.raises(
            PolicyError, match=rf"type int, not the {type(value).__name__} .*nothing was stored"
        ) as caught:
            write(stash, value)
        assert isinstance(caught.value, TypeError)
    assert stash.get_all("k") == [1]
    assert len(stash) == 1


def test_every_engine_refuses_alike(opened):
    stash = opened(value_type=int)
    stash["k"] = 1
    with pytest.raises(PolicyError):
        stash["k"] = "text"
    assert stash["k"] == 1


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_the_right_type_is_stored_by_every_way_of_writing(open_on, write):
    stash = open_on("memory", value_type=int)
    write(stash, 5)
    assert set(stash.values()) == {5}


KINDS = {
    "type": (dict, {"a": 1}, [1]),
    "subclass": (dict, OrderedDict(a=1), None),
    "several": ((int, str), "x", 1.5),
    "list": ([int, str], 1, b"x"),
    "union": (int | None, None, "x"),
    "function": (is_short, "short", "x" * 10),
    "function that raises": (is_short, [1], 5),
    "lambda": (lambda value: value > 0, 1, 0),
    "name": ("int", 1, "x"),
    "names": (["builtins:int", "None"], None, "x"),
}


@pytest.mark.parametrize("wanted, good, bad", KINDS.values(), ids=KINDS)
def test_what_may_be_asked_for(tmp_path, wanted, good, bad):
    stash = HashStash(tmp_path, engine="memory", value_type=wanted)
    stash["k"] = good
    with pytest.raises(PolicyError):
        stash["k"] = bad
    assert stash["k"] == good


@pytest.mark.parametrize("wanted", [5, [], [1], list[int], "no_such", "no.module:x", (), [int, 5], {}], ids=repr)
def test_what_is_no_type_is_refused_at_opening(tmp_path, wanted):
    with pytest.raises((TypeError, ValueError), match="value_type="):
        HashStash(tmp_path, engine="memory", value_type=wanted)


NAMED = {"type": int, "types": (int, type(None)), "union": int | str, "class": OrderedDict, "function": json.loads}


@pytest.mark.parametrize("wanted", NAMED.values(), ids=NAMED)
def test_settings_describe_it_and_rebuild_it(tmp_path, wanted):
    stash = HashStash(tmp_path, engine="memory", value_type=wanted)
    again = HashStash.from_dict(json.loads(json.dumps(stash.to_dict())))
    assert again.config.value_type == stash.config.value_type == parse_value_type(wanted)
    assert pickle.loads(pickle.dumps(stash)).config == stash.config


def test_a_function_without_a_name_stands_for_itself(tmp_path):
    wanted = lambda value: True  # noqa: E731
    stash = HashStash(tmp_path, engine="memory", value_type=wanted)
    assert stash.to_dict()["value_type"] is wanted
    assert HashStash.from_dict(stash.to_dict()).config == stash.config
    assert described(wanted) is wanted


def test_without_it_nothing_is_said(tmp_path):
    assert "value_type" not in HashStash(tmp_path, engine="memory").to_dict()


def test_what_was_stored_before_is_read(opened):
    opened()["k"] = "text"
    assert opened(value_type=int)["k"] == "text"


def test_a_stash_below_has_the_same_rule(opened):
    with pytest.raises(PolicyError):
        opened(value_type=int).sub("below")["k"] = "text"


def test_a_result_of_another_type_is_returned_and_not_stored(opened):
    stash = opened(value_type=int)
    calls = []

    @stash.stashed_result
    def shown(number):
        calls.append(number)
        return str(number) if number > 5 else number

    with pytest.warns(RuntimeWarning, match="could not be stored.*type int"):
        assert [shown(1), shown(7), shown(1), shown(7)] == [1, "7", 1, "7"]
    assert calls == [1, 7, 7]


def test_copying_checks_the_target(opened, tmp_path):
    stash = opened()
    stash["a"] = "text"
    other = HashStash(tmp_path / "other", engine="memory", value_type=int)
    with pytest.raises(PolicyError):
        stash.copy_to(other)
    assert len(other) == 0


def test_a_huge_value_is_shown_shortly(tmp_path):
    stash = HashStash(tmp_path, engine="memory", value_type=int)
    with pytest.raises(PolicyError) as caught:
        stash["k"] = {"a": ["x" * 1000] * 100_000}
    assert len(str(caught.value)) < 300
