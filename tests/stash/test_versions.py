"""Versions of a key, by number and by time: looking, comparing, going back. On every engine."""

import datetime as dt
import json
import random
import threading
import time

import pytest

from hashstash.engine import Capability
from hashstash.errors import CorruptEntry, NoSuchVersion, PolicyError, ReadOnlyStash, UntrustedEntry
from hashstash.policies import versions
from hashstash.testing.engine.base import run_together
from hashstash.wrappers.counters import CountersWrapper

pytestmark = pytest.mark.once

LARGE = random.Random(0).randbytes(100_000)


@pytest.fixture
def engine(every_engine):
    return every_engine


@pytest.fixture
def in_processes():
    """Let four processes run code on a stash at the same moment; each has its own ``who``, and ``stash``."""

    def run(stash, code):
        if Capability.CROSS_PROCESS not in stash.store.engine.capabilities:
            pytest.skip("other processes do not see the rows")
        settings = json.dumps(stash.to_dict())
        source = f"import json\nfrom hashstash import HashStash\nstash = HashStash.from_dict(json.loads({settings!r}))"
        return run_together(source, f"who = int(sys.argv[1])\n{code}", 4)

    return run


@pytest.fixture
def opened(open_on, engine):
    return lambda **options: open_on(engine, **options)


def with_three(stash):
    """Three versions of ``k``: small, large, noted."""
    stash["k"] = {"a": 1}
    stash["k"] = LARGE
    stash.put("k", "third", meta={"n": 3}, tags=["t"], seconds=1.5)
    return stash


@pytest.fixture
def stash(opened):
    stash = with_three(opened(append_mode=True))
    yield stash
    stash.clear()


@pytest.fixture
def open_one(open_on):
    """For what does not depend on the engine."""
    return lambda **options: open_on("memory", **options)


@pytest.fixture
def three(open_one):
    return with_three(open_one(append_mode=True))


def test_versions_say_what_is_known(stash):
    one, two, three = stash.versions("k")
    assert [info.version for info in (one, two, three)] == [1, 2, 3]
    assert one.created <= two.created <= three.created
    assert two.size > 100_000 > one.size
    assert (three.seconds, three.meta, three.tags, three.expires_at) == (1.5, {"n": 3}, ("t",), None)
    assert one.created.tzinfo is not None
    assert repr(three).startswith("<version 3, 20")


def test_a_version_by_its_number(stash):
    assert [stash.at("k", number) for number in (1, 2, 3)] == [{"a": 1}, LARGE, "third"]
    assert [stash.at("k", version=number) for number in (-1, -2, -3)] == ["third", LARGE, {"a": 1}]


def test_a_version_by_its_time(three):
    one, two, last = three.versions("k")
    assert three.at("k", time=two.created_at + 1e-6) == (LARGE if two.created_at + 1e-6 < last.created_at else "third")
    assert three.at("k", time=dt.datetime.now(dt.UTC)) == "third"
    assert three.at("k", time=dt.datetime.now() + dt.timedelta(seconds=1)) == "third"
    assert three.at("k", time=(dt.datetime.now() + dt.timedelta(seconds=1)).isoformat()) == "third"
    assert three.at("k", time=time.time()) == "third"
    assert three.at("k", time=one.created + dt.timedelta(microseconds=1)) is not None
    with pytest.raises(NoSuchVersion, match=r"no version of 'k'; there are: 1, 2, 3"):
        three.at("k", time=one.created_at - 60)


@pytest.mark.parametrize("number", [0, 4, 100, -4])
def test_a_version_that_was_never_there_names_those_that_are(three, number):
    with pytest.raises(NoSuchVersion, match=f"no version {number} of 'k'; there are: 1, 2, 3$") as caught:
        three.at("k", number)
    assert isinstance(caught.value, LookupError)


LOOKS = {
    "versions": lambda stash: stash.versions("missing"),
    "at": lambda stash: stash.at("missing", 1),
    "diff": lambda stash: stash.diff("missing"),
    "revert": lambda stash: stash.revert("missing", 1),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_missing_key_is_a_key_error(three, look):
    with pytest.raises(KeyError, match="missing"):
        look(three)


@pytest.mark.parametrize("arguments", [{}, {"version": 1, "time": 5}, {"version": "1"}, {"version": 1.0}, {"time": []}])
def test_what_is_neither_a_number_nor_a_time_is_named(three, arguments):
    with pytest.raises(TypeError, match="version=|time"):
        three.at("k", **arguments)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -1e300, 1e300, "yesterday"])
def test_a_time_that_is_none_is_named(three, time):
    with pytest.raises(ValueError, match=f"{time!r} is no time".replace("+", r"\+")):
        three.at("k", time=time)


def test_reverting_appends_the_old_value(stash):
    stash.revert("k", 2)
    assert stash["k"] == LARGE
    assert stash.get_all("k") == [{"a": 1}, LARGE, "third", LARGE]
    stash.revert("k", 3)
    assert stash["k"] == "third"
    assert (stash.meta("k"), stash.info("k").tags, stash.info("k").seconds) == ({"n": 3}, ("t",), 1.5)
    assert [info.version for info in stash.versions("k")] == [1, 2, 3, 4, 5]


def test_reverting_to_what_is_not_there_changes_nothing(three):
    with pytest.raises(NoSuchVersion):
        three.revert("k", 9)
    assert len(three.versions("k")) == 3


def test_a_version_may_go_when_others_hold_the_same_large_value(stash):
    stash.revert("k", 2)
    del stash["k"]
    stash["k"] = 1
    assert stash.get_all("k") == [1]


def test_a_comparison_names_what_changed(open_one):
    stash = open_one(append_mode=True)
    stash["config"] = {"lr": 0.1, "layers": [1, 2], "old": 1}
    stash["config"] = {"lr": 0.2, "layers": [1, 2], "new": 2}
    found = stash.diff("config")
    assert list(found) == ["- ['old']: 1", "+ ['new']: 2", "['lr']: 0.1 -> 0.2"]
    assert repr(found).startswith("'config', version 1 -> 2:\n")
    assert not stash.diff("config", 1, 1)
    assert list(stash.diff("config", 2, 1))[-1] == "['lr']: 0.2 -> 0.1"
    with pytest.raises(NoSuchVersion):
        stash.diff("config", 1, 3)


def test_one_version_has_nothing_to_be_compared_with(open_one):
    stash = open_one(append_mode=True)
    stash["k"] = 1
    with pytest.raises(NoSuchVersion, match="there is: 1"):
        stash.diff("k")


def test_without_append_mode_there_is_one_version_and_no_way_back(opened):
    stash = opened()
    stash["k"], stash["k"] = 1, 2
    assert [info.version for info in stash.versions("k")] == [1]
    assert stash.at("k", 1) == 2
    with pytest.raises(NoSuchVersion, match="there is: 1; the stash was opened without append_mode=True"):
        stash.at("k", 2)
    with pytest.raises(PolicyError, match="without append_mode=True"):
        stash.revert("k", 1)
    assert stash["k"] == 2


def test_versions_that_were_written_before_are_seen_without_append_mode(opened, stash):
    plain = opened()
    assert [info.version for info in plain.versions("k")] == [1, 2, 3]
    assert plain.at("k", 1) == {"a": 1}
    with pytest.raises(PolicyError):
        plain.revert("k", 1)


def test_a_read_only_stash_looks_and_does_not_go_back(opened, stash):
    reader = opened(append_mode=True, read_only=True)
    assert (reader.at("k", 1), len(reader.versions("k")), bool(reader.diff("k"))) == ({"a": 1}, 3, True)
    with pytest.raises(ReadOnlyStash):
        reader.revert("k", 1)


def test_a_version_that_is_over_is_left_out_and_named(opened):
    stash = opened(append_mode=True)
    stash.put("k", 1, ttl=0.01)
    stash["k"] = 2
    time.sleep(0.05)
    assert [info.version for info in stash.versions("k")] == [2]
    with pytest.raises(NoSuchVersion, match="is over"):
        stash.at("k", 1)


def test_a_corrupt_version_is_left_out_and_raises_when_it_is_read(stash):
    history = stash.store.engine.section("history")
    address = max(history.scan())
    history.put(address, history.get(address)[:-1])
    with pytest.warns(RuntimeWarning, match="version 2 cannot be read"):
        assert [info.version for info in stash.versions("k")] == [1, 3]
    with pytest.raises(CorruptEntry, match="'k'"):
        stash.at("k", 2)
    assert stash.at("k", 1) == {"a": 1}
    stash.revert("k", 1)
    assert stash["k"] == {"a": 1}


def test_foreign_code_among_the_versions_is_listed_and_not_decoded(open_one, somebody_else):
    stash = open_one(append_mode=True)
    stash["k"] = "mine"
    with somebody_else:
        stash["k"] = len
    stash["k"] = "mine again"
    assert [info.version for info in stash.versions("k")] == [1, 2, 3]
    for look in (lambda: stash.at("k", 2), lambda: stash.revert("k", 2), lambda: stash.diff("k", 1, 2)):
        with pytest.raises(UntrustedEntry):
            look()
    assert stash.at("k", 1) == "mine"
    assert len(stash.versions("k")) == 3


def test_results_of_a_function_have_versions(open_one):
    stash = open_one(append_mode=True)

    @stash.stashed_result
    def double(number):
        return 2 * number

    double(4)
    double.stash.put(((4,), {}), 9)
    assert double.stash.at(((4,), {}), 1) == 8
    double.stash.revert(((4,), {}), 1)
    assert double(4) == 8
    assert len(double.stash) == 1


def test_looking_at_the_latest_reads_no_history(stash):
    stash.store.engine = counters = CountersWrapper(stash.store.engine)
    assert stash["k"] == "third"
    assert not {name for name in counters.operations() if name.startswith("history")}


# ---- removals beside appends ---------------------------------------------------------------------------------------------------


def is_whole(stash, key="k"):
    """Whether the versions of a key are numbered one after the other, and the history has no others."""
    numbers = [info.version for info in stash.versions(key)] if key in stash else []
    return numbers == list(range(1, len(numbers) + 1)) and len(numbers) == len(stash.get_all(key))


def test_a_removal_between_history_and_head_of_an_append_leaves_no_version_behind(opened):
    stash, other = opened(append_mode=True), opened(append_mode=True)
    stash["k"], stash["k"] = 1, LARGE
    thread = threading.Thread(target=other.discard, args=("k",))

    class Slow(CountersWrapper):
        def swap(self, address, expected, blob):
            if not thread.ident:
                thread.start()
                thread.join()
            return super().swap(address, expected, blob)

    stash.store.engine = Slow(stash.store.engine)
    stash["k"] = 3
    assert other.get_all("k") == [3]
    assert list(other.store.engine.section("history").scan()) == []
    other["k"] = "a"
    assert other.get_all("k") == [3, "a"]
    assert is_whole(other)


def test_appends_during_a_removal_wait_and_keep_their_versions(opened):
    stash, other = opened(append_mode=True), opened(append_mode=True)
    stash["k"], stash["k"], stash["k"] = 1, 2, LARGE

    def write():
        other["k"] = "a"
        other["k"] = "b"

    thread = threading.Thread(target=write)

    class Slow(CountersWrapper):
        def swap(self, address, expected, blob):
            is_stored = super().swap(address, expected, blob)
            thread.start()
            thread.join(0.3)
            return is_stored

    stash.store.engine = Slow(stash.store.engine)
    assert stash.discard("k")
    thread.join()
    assert other.get_all("k") == ["a", "b"]
    assert is_whole(other)
    assert other.store.engine.section("history").count() == 1


def test_a_removal_that_was_killed_is_finished_by_the_next_append(opened):
    stash = opened(append_mode=True)
    stash["k"], stash["k"], stash["k"] = 1, LARGE, 3

    class Killed(CountersWrapper):
        def swap(self, address, expected, blob):
            assert super().swap(address, expected, blob)
            raise KeyboardInterrupt

    engine = stash.store.engine
    stash.store.engine = Killed(engine)
    with pytest.raises(KeyboardInterrupt):
        stash.discard("k")
    stash.store.engine = engine
    assert ("k" in stash, stash.get_all("k"), list(stash)) == (False, [], [])
    stash["k"] = "a"
    stash["k"] = "b"
    assert stash.get_all("k") == ["a", "b"]
    assert is_whole(stash)
    assert stash.store.engine.section("history").count() == 1


def test_a_removal_that_was_killed_may_be_repeated(opened):
    stash = opened(append_mode=True)
    stash["k"], stash["k"] = 1, 2
    address = stash.store.keys.address("k")
    stash.store.engine.put(address, versions.end_row(address))
    stash.discard("k")
    stash.compact()
    assert stash.store.engine.count() == 0
    assert stash.store.engine.section("history").count() == 0


@pytest.mark.slow
def test_processes_that_append_and_remove_tear_nothing_apart(opened, in_processes):
    stash = opened(append_mode=True)
    stash["k"] = "begin"
    code = (
        "for number in range(60):\n"
        "    if who == 0 and number % 3 == 0: stash.discard('k')\n"
        "    stash['k'] = (who, number, 'x' * (50_000 if number % 5 == 0 else 10))\n"
    )
    in_processes(stash, code)
    assert is_whole(stash)
    values = stash.get_all("k")
    for who in range(4):
        numbers = [value[1] for value in values if value[0] == who]
        assert numbers == list(range(60))[60 - len(numbers) :]
