import datetime as dt
import time

import pytest

from hashstash import HashStash
from hashstash.entry import Entry
from hashstash.policies.time_to_live import TimeToLive, expiry, parse_duration


@pytest.mark.parametrize(
    "duration, seconds",
    [
        (5, 5.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("5m", 300.0),
        ("12h", 43200.0),
        ("7d", 604800.0),
        ("2W", 1209600.0),
        (" 1.5 h ", 5400.0),
        (".5s", 0.5),
        (dt.timedelta(minutes=1), 60.0),
    ],
)
def test_durations(duration, seconds):
    assert parse_duration(duration) == seconds


@pytest.mark.parametrize(
    "duration",
    [0, -1, float("nan"), float("inf"), "", "soon", "5 years", "-5s", "s", "0d", dt.timedelta(0), 1e11, "1e3"],
)
def test_what_is_no_duration_is_named(duration):
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(duration)


@pytest.mark.parametrize("duration", [None, True, [5], b"5s", dt.date(2024, 1, 1)])
def test_a_duration_of_another_type_is_named(duration):
    with pytest.raises(TypeError, match="number of seconds, a timedelta or text"):
        parse_duration(duration)


def test_an_entry_gets_the_stashs_time():
    entry = TimeToLive(2.0).on_write(Entry(bytes(16), b"", b"", b"", 0, created_at=10), None)
    assert entry.expires_at == 2_000_000_010


def test_an_entry_with_a_time_of_its_own_keeps_it():
    entry = TimeToLive(2.0).on_write(Entry(bytes(16), b"", b"", b"", 0, created_at=10, expires_at=11), None)
    assert entry.expires_at == 11


def test_the_shortest_time_is_not_for_ever():
    assert expiry(5, 1e-12) == 6


# ---- in a stash ------------------------------------------------------------------------------------------------------

SHORT = 0.02


@pytest.fixture(params=["pairtree", "lmdb", "memory"])
def opened(request, tmp_path):
    return lambda **options: HashStash(tmp_path / "stash", engine=request.param, **options)


def over(stash):
    """Store an entry and wait until it is over."""
    stash.put("k", 1, ttl=SHORT)
    time.sleep(2 * SHORT)
    return stash


MISSING = {
    "[]": lambda stash: pytest.raises(KeyError, stash.__getitem__, "k"),
    "get": lambda stash: stash.get("k") is None,
    "in": lambda stash: "k" not in stash,
    "len": lambda stash: len(stash) == 0,
    "bool": lambda stash: not stash,
    "iter": lambda stash: list(stash) == [],
    "items": lambda stash: list(stash.items()) == [],
    "entries": lambda stash: stash.entries() == [],
    "pop": lambda stash: stash.pop("k", "default") == "default",
    "del": lambda stash: pytest.raises(KeyError, stash.__delitem__, "k"),
    "discard": lambda stash: stash.discard("k") is False,
    "get_many": lambda stash: stash.get_many(["k"]) == [None],
    "get_all": lambda stash: stash.get_all("k") == [],
    "popitem": lambda stash: pytest.raises(KeyError, stash.popitem),
    "==": lambda stash: stash == {},
}


@pytest.mark.parametrize("look", MISSING.values(), ids=MISSING)
def test_an_entry_that_is_over_is_missing_everywhere(opened, look):
    assert look(over(opened()))


def test_it_is_missing_for_whoever_opens_the_stash_later(opened):
    stash = opened(ttl=SHORT)
    stash["k"] = 1
    time.sleep(2 * SHORT)
    plain = opened()
    assert (len(plain), list(plain), plain.get("k")) == (0, [], None)


def test_it_is_not_deleted_by_reading(opened):
    stash = over(opened())
    stash.get("k")
    list(stash.items())
    assert stash.store.engine.has(stash.store.keys.address("k"))


def test_it_is_there_until_then(opened):
    stash = opened()
    stash.put("k", 1, ttl="1h")
    assert (stash["k"], len(stash), dict(stash.items())) == (1, 1, {"k": 1})


def test_it_may_be_stored_again(opened):
    stash = over(opened())
    stash["k"] = 2
    assert (stash["k"], len(stash)) == (2, 1)


def test_setdefault_replaces_it(opened):
    assert over(opened()).setdefault("k", 2) == 2


def test_a_default_that_is_over_at_once_is_returned_all_the_same(opened):
    stash = opened(ttl=1e-9)
    assert stash.setdefault("k", 2) == 2
    assert stash.get_set("other", lambda: 3) == 3


def test_a_stashs_time_applies_to_every_way_of_writing(opened):
    stash = opened(ttl="1h")
    stash["a"] = 1
    stash.update(b=1)
    stash.set_many([("c", 1)])
    stash.setdefault("d", 1)
    stash.get_set("e", 1)
    assert [info.expires_at is not None for info in stash.entries()] == [True] * 5


def test_an_entrys_own_time_wins_over_the_stashs(opened):
    stash = opened(ttl=SHORT)
    stash.put("k", 1, ttl="1h")
    time.sleep(2 * SHORT)
    assert stash["k"] == 1


def test_the_time_left_is_copied(opened, tmp_path):
    stash = opened()
    stash.put("k", 1, ttl=3600)
    (info,) = stash.copy_to(HashStash(tmp_path / "other", engine="memory")).entries()
    (original,) = stash.entries()
    assert info.expires_at == pytest.approx(original.expires_at, abs=1)


@pytest.mark.parametrize("ttl", [0, -1, "soon", True, []])
def test_a_bad_time_is_refused_at_opening_and_at_writing(opened, ttl):
    with pytest.raises((ValueError, TypeError), match="duration"):
        opened(ttl=ttl)
    with pytest.raises((ValueError, TypeError), match="duration"):
        opened().put("k", 1, ttl=ttl)


def test_a_number_without_end_is_no_duration():
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(10**400)
