"""``stash.entries()``: a list of what is stored that is read when it is looked at, without decoding a value."""

import datetime as dt
import random
import time
import tracemalloc

import pytest

from hashstash import HashStash
from hashstash.entries import Entries, EntryInfo
from hashstash.errors import ReadOnlyStash
from hashstash.wrappers.counters import CountersWrapper


class Loud:
    """A value that says when it is decoded."""

    decoded = 0

    def __reduce__(self):
        return decode_loudly, ()


def decode_loudly():
    Loud.decoded += 1
    return Loud()


def filled(stash):
    """Six entries of two kinds and several sizes."""
    for number in range(5):
        stash.put(
            number,
            random.Random(number).randbytes(1000 * (5 - number)),
            seconds=number / 2,
            tags=["even"] if number % 2 == 0 else ["odd"],
            meta={"n": number, "acc": number / 10},
        )
    stash["text key"] = len
    return stash


@pytest.fixture
def stash(opened):
    return filled(opened(compress=False))


@pytest.fixture
def open_one(open_on):
    """For what does not depend on the engine."""
    return lambda **options: open_on("memory", **options)


@pytest.fixture
def six(open_one):
    return filled(open_one(compress=False))


def keys(entries):
    return sorted(entries.keys(), key=repr)


# ---- a list ------------------------------------------------------------------------------------------------------------


def test_it_is_a_sequence_of_infos(stash):
    entries = stash.entries()
    assert len(entries) == 6
    assert bool(entries)
    assert all(type(info) is EntryInfo for info in entries)
    assert keys(entries) == ["text key", 0, 1, 2, 3, 4]
    assert [info.key for info in entries] == list(stash)
    assert list(entries) == [entries[number] for number in range(6)] == [entries[number - 6] for number in range(6)]
    assert list(reversed(entries)) == list(entries)[::-1]
    assert entries[0] in entries
    assert entries.index(entries[2]) == 2


def test_an_empty_stash_has_none(opened):
    entries = opened().entries()
    assert (len(entries), bool(entries), list(entries), entries == [], repr(entries)) == (
        0,
        False,
        [],
        True,
        "0 entries",
    )
    with pytest.raises(IndexError):
        entries[0]


@pytest.mark.parametrize("index", [6, 100, -7])
def test_a_number_that_is_none_is_an_index_error(six, index):
    with pytest.raises(IndexError, match="6 entries"):
        six.entries()[index]


@pytest.mark.parametrize(
    "index", [slice(2), slice(1, 3), slice(None, None, 2), slice(-2, None), slice(10, 20), slice(None)]
)
def test_slices_are_entries_too(six, index):
    part = six.entries()[index]
    assert isinstance(part, Entries)
    assert list(part) == list(six.entries())[index]


def test_it_shows_what_was_stored_since(stash):
    entries = stash.entries()
    stash["new"] = 1
    assert len(entries) == 7
    stash.clear()
    assert list(entries) == []


def test_a_sorted_list_stays_as_it_was(six):
    entries = six.entries().sort("size")
    six["new"] = 1
    assert len(entries) == 6


def test_no_value_is_decoded(open_one):
    stash = open_one()
    stash["loud"] = Loud()
    Loud.decoded = 0
    (
        repr(stash.entries()),
        stash.entries()._repr_html_(),
        stash.entries().sort("size"),
        len(stash.entries()),
        stash.entries()[0],
    )
    assert Loud.decoded == 0
    list(stash.entries().values())
    assert Loud.decoded == 1


# ---- what is known -------------------------------------------------------------------------------------------------------


def test_the_fields_of_an_entry(opened):
    stash = opened(compress="zlib", append_mode=True)
    before = time.time()
    stash["k"] = 1
    stash.put("k", "x" * 10_000, seconds=1.5, ttl="1h", meta={"acc": 0.9}, tags=["a", "b", "a"])
    (info,) = stash.entries()
    assert (info.key, info.codec, info.seconds, info.version) == ("k", "hashstash+zlib", 1.5, 2)
    assert info.raw_size > 10_000 > info.size > 0
    assert (info.is_code, info.signer, info.trusted, info.foreign) == (False, None, False, False)
    assert (info.meta, info.metadata, info.tags) == ({"acc": 0.9}, {"acc": 0.9}, ("a", "b"))
    assert info.created.tzinfo is not None
    assert before <= info.created.timestamp() <= time.time()
    assert info.expires - info.created == dt.timedelta(hours=1)
    assert 0 <= info.age <= time.time() - before
    assert not info.expired
    assert info.address == stash.store.keys.address("k")


def test_code_names_its_signer(stash):
    (info,) = stash.entries(is_code=True)
    assert (info.key, info.trusted, info.foreign, len(info.signer)) == ("text key", True, False, 16)


def test_info_is_what_the_listing_says(stash):
    (listed,) = stash.entries(key=3)
    assert stash.info(3) == listed
    with pytest.raises(KeyError):
        stash.info("missing")


def test_an_entry_that_is_over_is_listed_only_if_asked_for(opened):
    stash = opened()
    stash.put("over", 1, ttl=0.01)
    stash.put("timed", 1, ttl=60)
    stash["k"] = 1
    time.sleep(0.05)
    assert keys(stash.entries()) == ["k", "timed"]
    assert keys(stash.entries(expired=True)) == ["over"]
    assert keys(stash.entries(expired=False)) == ["k", "timed"]
    assert keys(stash.entries(expired__in=[True, False])) == ["k", "over", "timed"]
    assert stash.entries(expired=True)[0].key == "over"
    with pytest.raises(KeyError):
        stash.info("over")


# ---- filters --------------------------------------------------------------------------------------------------------------

FILTERS = {
    "size": ({"size__gt": 3_500}, [0, 1]),
    "size, as text": ({"size__le": "2.5 KB", "is_code": False}, [3, 4]),
    "raw size": ({"raw_size__ge": 5_000}, [0]),
    "key": ({"key": 3}, [3]),
    "key in": ({"key__in": [1, 2, "text key", "none"]}, ["text key", 1, 2]),
    "key starts": ({"key__startswith": "text"}, ["text key"]),
    "key that cannot be compared": ({"key__lt": 2}, [0, 1]),
    "tags contain": ({"tags__contains": "even"}, [0, 2, 4]),
    "tags": ({"tags": ["odd"]}, [1, 3]),
    "no tags": ({"tags": ()}, ["text key"]),
    "age": ({"age__lt": "1h"}, ["text key", 0, 1, 2, 3, 4]),
    "age, timedelta": ({"age__gt": dt.timedelta(hours=1)}, []),
    "age, seconds": ({"age__ge": 0, "key": 1}, [1]),
    "created": ({"created__ge": dt.datetime.now(dt.UTC) - dt.timedelta(hours=1), "key": 0}, [0]),
    "created, naive": ({"created__lt": dt.datetime.now() - dt.timedelta(hours=1)}, []),
    "created, date": ({"created__gt": dt.date(2024, 1, 1), "key": 0}, [0]),
    "created, text": ({"created__gt": "2024-01-01", "key": 0}, [0]),
    "created, number": ({"created__gt": 0, "key": 0}, [0]),
    "seconds": ({"seconds__gt": 1}, [3, 4]),
    "seconds, as text": ({"seconds__gt": "1s"}, [3, 4]),
    "never expires": ({"expires": None, "key": 0}, [0]),
    "codec": ({"codec__startswith": "hash", "key": 0}, [0]),
    "note": ({"acc__ge": 0.3}, [3, 4]),
    "note that some lack": ({"n__ne": 3}, ["text key", 0, 1, 2, 4]),
    "note by its full name": ({"meta.n": 2}, [2]),
    "unknown note by its full name": ({"meta.none": 2}, []),
    "notes": ({"meta": {"n": 1, "acc": 0.1}}, [1]),
    "two": ({"tags__contains": "even", "acc__gt": 0.1}, [2, 4]),
    "version": ({"version": 1, "key": 0}, [0]),
    "address": ({"address": "00" * 16}, []),
    "code": ({"is_code": True}, ["text key"]),
}


@pytest.mark.parametrize("filters, expected", FILTERS.values(), ids=FILTERS)
def test_filters(six, filters, expected):
    assert keys(six.entries(**filters)) == sorted(expected, key=repr)
    assert len(six.entries(**filters)) == len(expected)


MISTAKES = {
    "field": ({"sise": 5}, TypeError, r"no field 'sise' \(did you mean 'size'\?\).*key, size, .*acc"),
    "one of two": ({"acc__gt": 0, "nonsense__gt": 1}, TypeError, "no field 'nonsense'"),
    "operator": ({"size__above": 5}, TypeError, "above.*__gt"),
    "hits": ({"hits__gt": 5}, TypeError, "no field 'hits'"),
    "size": ({"size__gt": "big"}, ValueError, "'big' is no size"),
    "age": ({"age__gt": "old"}, ValueError, "'old' is no duration"),
    "time": ({"created__gt": "noon"}, ValueError, "'noon' is no time"),
    "type of a time": ({"created__gt": []}, TypeError, "time"),
    "in": ({"key__in": 5}, TypeError, "several values"),
}


@pytest.mark.parametrize("filters, error, text", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_filter_raises_before_anything_is_looked_at(six, filters, error, text):
    with pytest.raises(error, match=text):
        six.entries(**filters)
    with pytest.raises(error, match=text):
        six.entries().filter(**filters)


def test_a_note_may_be_asked_for_while_there_is_no_entry(open_one):
    assert list(open_one().entries(acc__gt=0.5)) == []


def test_a_note_named_like_a_field_has_a_full_name(open_one):
    stash = open_one()
    stash.put("k", 1, meta={"size": -5})
    assert keys(stash.entries(size__lt=0)) == []
    assert keys(stash.entries(**{"meta.size__lt": 0})) == ["k"]


def test_filters_narrow(six):
    assert keys(six.entries(tags__contains="even").filter(n__gt=0).filter(key__lt=4)) == [2]
    assert keys(six.entries().sort("size").filter(tags__contains="odd")) == [1, 3]
    assert keys(six.entries()[:0].filter(size__gt=0)) == []


# ---- order -----------------------------------------------------------------------------------------------------------------


def test_sorting(six):
    assert [info.key for info in six.entries(tags__contains="e").sort("size")] == []
    numbers = six.entries(key__in=range(5))
    assert [info.key for info in numbers.sort("size")] == [4, 3, 2, 1, 0]
    assert [info.key for info in numbers.sort("size", reverse=True)] == [0, 1, 2, 3, 4]
    assert [info.key for info in numbers.sort("acc", reverse=True)] == [4, 3, 2, 1, 0]
    assert [info.key for info in numbers.sort("created")] == [0, 1, 2, 3, 4]
    assert [info.key for info in numbers.sort()] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("reverse", [False, True])
def test_what_lacks_the_field_comes_last(six, reverse):
    assert six.entries().sort("acc", reverse=reverse)[-1].key == "text key"


def test_keys_of_several_types_are_sorted_by_type(six):
    assert [info.key for info in six.entries().sort("key")] == [0, 1, 2, 3, 4, "text key"]


def test_sorting_by_what_there_is_not_raises(six):
    with pytest.raises(TypeError, match="no field 'sise'"):
        six.entries().sort("sise")


# ---- contents ---------------------------------------------------------------------------------------------------------------


def test_values_and_items(stash):
    entries = stash.entries(key__in=[3, 4])
    assert dict(entries.items()) == {3: stash[3], 4: stash[4]}
    assert sorted(map(len, entries.values())) == [1000, 2000]
    assert list(entries.sort("size").values()) == [stash[4], stash[3]]


def test_values_of_what_was_removed_since_are_left_out(stash):
    entries = stash.entries().sort("size")
    stash.clear()
    assert list(entries.values()) == []


def test_deleting_removes_exactly_those(stash):
    assert stash.entries(tags__contains="odd").delete() == 2
    assert keys(stash.entries()) == ["text key", 0, 2, 4]
    assert stash.entries(n__gt=100, size__gt=0).delete() == 0
    assert stash.entries()[:1].delete() == 1
    assert stash.entries().delete() == 3
    assert len(stash) == 0


def test_deleting_leaves_what_was_written_anew(stash):
    entries = stash.entries(tags__contains="odd").sort()
    stash[1] = "new"
    assert entries.delete() == 1
    assert stash[1] == "new"
    assert 3 not in stash


def test_deleting_what_is_over(opened):
    stash = opened()
    stash.put("over", 1, ttl=0.01)
    stash["k"] = 1
    time.sleep(0.05)
    assert stash.entries(expired=True).delete() == 1
    assert stash.store.engine.count() == 1


def test_deleting_takes_versions_along(opened):
    stash = opened(append_mode=True)
    stash["a"], stash["a"], stash["b"] = 1, [2] * 20_000, 3
    assert stash.entries(key="a").delete() == 1
    assert (stash.get_all("a"), list(stash)) == ([], ["b"])
    assert list(stash.store.engine.section("history").scan()) == []


def test_a_read_only_stash_lists_and_does_not_delete(opened, stash):
    reader = opened(read_only=True)
    assert len(reader.entries(size__gt=0)) == 6
    with pytest.raises(ReadOnlyStash):
        reader.entries().delete()
    assert len(stash) == 6


# ---- functions, foreign and bad entries ---------------------------------------------------------------------------------------


def test_entries_of_a_function_are_its_calls(opened):
    stash = opened()

    @stash.stashed_result
    def double(number, *, by=2):
        return by * number

    double(1), double(2, by=3)
    entries = double.stash.entries()
    assert keys(entries) == [((1,), {}), ((2,), {"by": 3})]
    assert all(info.seconds > 0 for info in entries)
    assert entries.filter(seconds__gt=0).delete() == 2
    assert len(double.stash) == 0


def test_foreign_code_is_listed_and_not_decoded(opened, somebody_else):
    stash = opened()
    with somebody_else:
        stash.put("code", Loud(), meta={"a": 1})
        stash["data"] = [1]
    Loud.decoded = 0
    listed = {info.is_code: info for info in stash.entries()}
    assert (listed[True].foreign, listed[True].trusted, listed[True].meta) == (True, False, {"a": 1})
    assert (listed[False].foreign, listed[False].key) == (False, "data")
    assert "foreign" in repr(listed[True].key)
    assert "foreign" in repr(stash.entries())
    assert [type(value).__name__ for value in stash.entries(foreign=True).values()] == ["Foreign"]
    assert Loud.decoded == 0
    assert stash.info("code").foreign
    assert stash.entries(foreign=True).delete() == 1
    assert list(stash) == ["data"]


@pytest.mark.parametrize(
    "look", [list, repr, lambda entries: entries.sort("size"), lambda entries: list(entries.values())]
)
def test_bad_rows_are_left_out_with_one_warning(six, look):
    for number in (0, 1):
        address = six.store.keys.address(number)
        six.store.engine.put(address, six.store.engine.get(address)[:-1])
    entries = six.entries(size__gt=0)
    with pytest.warns(RuntimeWarning, match="2 entries that cannot be read") as caught:
        look(entries)
    assert len(caught) == 1


def test_a_value_that_cannot_be_read_is_left_out_with_a_warning(stash):
    entries = stash.entries(key__in=[3, 4]).sort()
    address = stash.store.keys.address(3)
    stash.store.engine.put(address, stash.store.engine.get(address)[:-1])
    with pytest.warns(RuntimeWarning, match="1 value that cannot be read"):
        assert list(entries.values()) == [stash[4]]


# ---- showing -------------------------------------------------------------------------------------------------------------------


def test_the_table_is_bounded_and_says_how_many_there_are(open_one):
    stash = open_one()
    stash.set_many((number, number) for number in range(1234))
    text = repr(stash.entries())
    assert text.startswith("1,234 entries; the first 10:\nkey")
    assert len(text.splitlines()) == 12
    assert stash.entries()._repr_html_().count("<tr") == 11


def test_the_table_shows_what_there_is(six):
    text = repr(six.entries(key=2))
    assert text.startswith("1 entry, 3.")
    for part in ("'n': 2", "even", "data", "hashstash", "1 s", "KB"):
        assert part in text
    assert "expires" not in text
    assert "version" not in text


HOSTILE = ["<script>alert(1)</script>", "a\nb\x1b[31m", "x" * 1000, "&amp;", "\u202eevil", "\ud800"]


@pytest.mark.parametrize("key", HOSTILE, ids=ascii)
def test_hostile_names_are_escaped_and_cut(open_one, key):
    stash = open_one()
    stash.put(key, 1, tags=[key], meta={key: key})
    markup = stash.entries()._repr_html_()
    text = repr(stash.entries())
    assert "<script" not in markup
    assert len(text) < 1000
    assert len(text.splitlines()) == 3
    assert all(char.isprintable() for char in text if char != "\n")
    text.encode()


def test_a_key_whose_repr_raises_is_shown(open_one):
    stash = open_one()
    stash[Broken()] = 1
    assert "<Broken>" in repr(stash.entries())


class Broken:
    def __repr__(self):
        raise RuntimeError("no")


def test_a_storage_that_fails_is_said_and_does_not_raise(six, monkeypatch):
    def fail(*_):
        raise OSError("the disk is gone")

    entries = six.entries(size__gt=0)
    monkeypatch.setattr(six.store.engine, "rows", fail)
    assert "cannot be listed: the disk is gone" in repr(entries)
    assert "cannot be listed: the disk is gone" in entries._repr_html_()
    with pytest.raises(OSError):
        list(entries)


def test_a_frame(six):
    pytest.importorskip("pandas")
    frame = six.entries(key__in=range(5)).sort("key").df
    assert list(frame["key"]) == [0, 1, 2, 3, 4]
    assert frame["size"].dtype.kind == "i"
    assert str(frame["created"].dtype).startswith("datetime64")
    assert list(frame["meta.acc"]) == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert list(frame["tags"])[0] == ("even",)
    assert six.entries(key="none").df.empty
    assert "size" in six.entries(key="none").df.columns


def test_a_frame_of_mixed_keys_and_notes(six):
    pandas = pytest.importorskip("pandas")
    six[1, 2] = 1
    frame = six.entries().df
    assert len(frame) == 7
    assert (1, 2) in list(frame["key"])
    assert frame["meta.n"].isna().sum() == 2
    assert pandas.isna(frame["expires"]).all()


def test_a_frame_without_pandas_says_what_to_install(six, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.delitem(sys.modules, "hashstash.frames.pandas", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'hashstash\[dataframe\]'"):
        six.entries().df  # noqa: B018


# ---- what it costs ---------------------------------------------------------------------------------------------------------------


def test_the_first_entries_do_not_need_the_others(tmp_path):
    stash = HashStash(tmp_path, engine="lmdb" if _has_lmdb() else "memory")
    stash.set_many((number, number) for number in range(5_000))
    stash.store.engine = counters = CountersWrapper(stash.store.engine)
    repr(stash.entries())
    assert stash.entries()[3]
    assert bool(stash.entries())
    assert counters.operations()["heads"].rows < 50


def _has_lmdb():
    from importlib.util import find_spec

    return find_spec("lmdb") is not None


def test_many_entries_are_looked_at_one_after_the_other(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree" if not _has_lmdb() else "lmdb")
    stash.set_many((number, {"a": number}) for number in range(8_000))
    tracemalloc.start()
    try:
        assert len(stash.entries(size__gt=1)) == 8_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # a list of them would take four times that


@pytest.mark.parametrize("engine", ["redis"])
def test_large_values_stay_in_a_storage_that_can_give_the_beginning_of_a_row(open_on, engine):
    stash = open_on(engine, compress=False)
    for number in range(4):
        stash.put(number, random.Random(number).randbytes(500_000), meta={"n": number}, seconds=1.5)
    stash["code"] = (len, b"x" * 100_000)
    stash.put("noted", b"x" * 10_000, meta={"text": "y" * 10_000})
    stash.store.engine = counters = CountersWrapper(stash.store.engine)
    entries = stash.entries()
    listed = {info.key: info for info in entries}
    assert [listed[number] == stash.info(number) for number in range(4)] == [True] * 4
    assert (listed["code"].trusted, listed["noted"].meta) == (True, {"text": "y" * 10_000})
    assert listed[0].size > 500_000
    assert counters.operations()["heads"].size <= 2 * 6 * 4096
    assert dict(stash.entries(n=3).items()) == {3: random.Random(3).randbytes(500_000)}
    assert stash.entries(n__ge=0).delete() == 4
    stash.clear()


@pytest.mark.parametrize(
    "damage", [lambda row: row[:50], lambda row: b"", lambda row: bytes(5000), lambda row: row[:3] + b"\x63" + row[4:]]
)
def test_bad_rows_of_large_values_are_left_out(open_on, damage):
    stash = open_on("redis", compress=False)
    stash.set_many({"good": b"x" * 10_000, "bad": b"x" * 10_000})
    address = stash.store.keys.address("bad")
    stash.store.engine.put(address, damage(stash.store.engine.get(address)))
    with pytest.warns(RuntimeWarning, match="1 entry that cannot be read"):
        assert [info.key for info in stash.entries()] == ["good"]
    stash.clear()


def test_a_stash_equals_no_mapping_with_a_key_that_cannot_be_looked_up(opened, somebody_else):
    stash = opened()
    with somebody_else:
        stash[Loud()] = 1
    key = stash.entries()[0].key
    assert type(key).__name__ == "Foreign"
    assert stash != {key: 1}
    assert stash != {(number for number in range(3)): 1}
