"""What the cards of functions, maps, entries, versions and reports tell."""

import datetime as dt
import os
import time

import pytest

from hashstash import HashStash
from hashstash.display import entries as entry_cards
from hashstash.display.functions import function_of
from hashstash.integrity import mending
from hashstash.statistics import Counts
from hashstash.tabular import Table


@pytest.fixture
def stash(tmp_path):
    return HashStash(tmp_path / "stash", engine="pairtree", compress="zlib")


def double(x, scale=1):
    return x * 2


# ---- functions ---------------------------------------------------------------------------------------------------------------


def test_a_function_is_shown_by_its_calls(stash, page_of):
    predictions = stash.stashed_result(double)
    predictions(1), predictions(2, scale="a"), predictions(1)
    page = page_of(predictions.stash)
    assert page.by_tag["b"] == ["double"]
    assert page.has(f"of {__name__}, in {stash.root_dir}")
    assert page.has("2 results")
    assert page.by_tag["samp"] == ["double(2, scale='a')", "double(1)"]
    assert page.has(" saved")


def test_results_of_what_a_function_was_are_told_apart(stash, page_of):
    stash.stashed_result(double, version=1)(1)
    newer = stash.stashed_result(double, version=2)
    newer(2)
    page = page_of(newer.stash)
    assert page.has("1 result \u00b7 1 of former versions of the function")
    assert page.by_tag["samp"] == ["double(2)"]


@pytest.mark.parametrize(
    "folder, module, qualname",
    [
        ("stashed_result/__main__.f", "__main__", "f"),
        ("a/stashed_result/builtins.len", "builtins", "len"),
        ("stashed_result/hashstash.stash.HashStash.run", "hashstash.stash", "HashStash.run"),
        ("stashed_result/gone.module.make.<locals>.inner", "gone.module", "make.<locals>.inner"),
        ("stashed_result/gone.module.f", "gone.module", "f"),
        ("stashed_result/f", "", "f"),
    ],
)
def test_the_name_of_a_function_is_taken_apart(folder, module, qualname):
    assert function_of(folder) == (module, qualname)


def test_a_hit_and_a_miss_are_explained(stash, page_of):
    predictions = stash.stashed_result(double)
    predictions(1)
    assert page_of(predictions.explain(1)).has("double(1) is answered from the stash")
    page = page_of(predictions.explain(2))
    assert page.has("double(2) is computed, since no call with these arguments is stored")
    assert page.by_tag["tr"][1] == "x12"


def test_cache_info_is_still_a_tuple(stash, page_of):
    predictions = stash.stashed_result(double)
    predictions(1), predictions(1)
    info = predictions.cache_info()
    assert info == (1, 1, 1)
    assert repr(info) == "CacheInfo(hits=1, misses=1, size=1)"
    assert page_of(info).has("50% of 2 calls answered from the stash")


# ---- maps --------------------------------------------------------------------------------------------------------------------


def waiting(x, gate):
    """Return when there is a file *gate*, or no folder any more in which it could be."""
    while not os.path.exists(gate) and os.path.exists(os.path.dirname(gate)):
        time.sleep(0.002)
    return x


def test_a_map_that_runs_is_shown_as_it_is(stash, page_of, tmp_path):
    gate = tmp_path / "gate"
    made = stash.map(waiting, range(3), executor="threads", num_proc=1, progress=False, gate=str(gate))
    page = page_of(made)
    assert page.has("0/3 \u00b7 running")
    assert page.has("waiting(0, gate=")
    assert page.by_tag["td"][2] == "?"
    gate.touch()
    made.wait()
    assert page_of(made).has("3/3 \u00b7 ")


def test_a_map_that_was_not_started_says_so(stash, page_of):
    page = page_of(stash.map(double, range(30), precompute=False, num_proc=1, progress=False))
    assert page.has("30 items \u00b7 nothing computed yet")
    assert page.has("and 20 more")
    assert page.has("Items \u00b7 the first 10 of 30")


# ---- entries and versions ----------------------------------------------------------------------------------------------------


def test_a_listing_is_a_table_of_its_first_entries(stash, page_of):
    stash.set_many((number, number) for number in range(13))
    page = page_of(stash.entries())
    assert page.has("13 entries")
    assert page.has("the first 10:")
    assert len(page.by_tag["tr"]) == 11


def test_a_listing_that_finds_nothing_says_so(stash, page_of):
    stash["k"] = 1
    page = page_of(stash.entries(size__gt="1 GB"))
    assert page.has("Entries 0 entries")
    assert "table" not in page.by_tag


def test_a_long_listing_is_not_read_to_its_end(stash, page_of, monkeypatch):
    monkeypatch.setattr(entry_cards, "_MOST_COUNTED", 20)
    stash.set_many((number, number) for number in range(50))
    page = page_of(stash.entries(size__gt=0))
    assert page.has("more than 20 entries \u00b7 the first 10:")
    assert page_of(stash.entries()).has("about 50 entries \u00b7 the first 10:")


def test_a_key_that_cannot_be_decoded_leaves_the_others(stash, page_of, monkeypatch):
    stash.set_many({"good": 1, "bad": 2})
    decode = stash.store.keys.decode

    def refuse(data):
        if b"bad" in bytes(data):
            raise RuntimeError("its class is gone")
        return decode(data)

    monkeypatch.setattr(stash.store.keys, "decode", refuse)
    page = page_of(stash)
    assert page.by_tag["samp"] == ["'good'"]
    assert page.has("2 entries")
    assert page_of(stash.entries()).has("cannot be listed: its class is gone")


def test_one_entry_is_shown_with_its_notes(stash, page_of):
    stash.put("k", [1], meta={"accuracy": 0.9}, tags=["paper"], ttl="2d", seconds=3)
    info = stash.info("k")
    page = page_of(info)
    assert page.has("Entry 'k'")
    assert page.has("accuracy 0.9")
    assert page.has("tags paper")
    assert page.has("signer nobody")
    assert page.has("(in 2 d)")
    assert page.has(f"{info.created:%Y-%m-%d %H:%M:%S}")


def test_versions_are_a_list_and_a_table(tmp_path, page_of):
    stash = HashStash(tmp_path / "stash", append_mode=True)
    for number in range(30):
        stash.put("k", number, tags=["even"] * (number % 2 == 0))
    versions = stash.versions("k")
    assert isinstance(versions, list)
    assert repr(versions) == repr(list(versions))
    page = page_of(versions)
    assert page.has("30 versions")
    assert page.has("the latest 20:")
    assert len(page.by_tag["tr"]) == 21
    assert page.has("version created size tags")


# ---- reports -----------------------------------------------------------------------------------------------------------------


def test_a_sound_stash_is_reported_as_such(stash, page_of):
    stash["k"] = 1
    assert page_of(stash.check()).has("1 row looked at \u00b7 nothing wrong")


def test_problems_and_repairs_are_tables(stash, page_of):
    stash["k"] = 1
    address = stash.store.keys.address("k")
    stash.store.engine.put(address, b"HST" + bytes(200))
    page = page_of(stash.check())
    assert page.has("1 problem")
    assert address.hex()[:16] in page.by_tag["samp"]
    assert page_of(stash.repair()).has("1 bad row moved aside")
    assert page_of(stash.repair()).has("nothing to repair")


def test_a_repair_without_room_aside_says_what_to_do(stash, page_of, monkeypatch):
    monkeypatch.setattr(mending, "MOST_ASIDE", 0)
    stash["k"] = 1
    stash.store.engine.put(stash.store.keys.address("k"), b"HST" + bytes(200))
    page = page_of(stash.repair())
    assert page.has("nothing was repaired")
    assert page.has("no room aside for 1 bad row")
    assert page.has("%stash aside")


def test_what_is_kept_aside_is_a_table_of_escaped_text(stash, page_of):
    stash["<b>key</b>"] = os.urandom(100_000)
    (name,) = stash.store.blobs.names()
    os.truncate(stash.store.blobs.path(name), 50_000)
    stash.repair()
    page = page_of(stash.kept_aside())
    assert page.has("1 thing kept aside")
    assert page.has("<b>key</b>")
    assert "<b>key" not in stash.kept_aside()._repr_html_()


def test_a_difference_keeps_its_lines(tmp_path, page_of):
    stash = HashStash(tmp_path / "stash", append_mode=True)
    stash["k"] = "one\ntwo"
    stash["k"] = "one\n<b>three</b>"
    page = page_of(stash.diff("k"))
    assert page.by_tag["pre"][0].splitlines() == list(stash.diff("k"))
    stash["k"] = "one\n<b>three</b>"
    assert page_of(stash.diff("k")).has("no difference")


def test_counts_and_tables_are_cards_too(page_of):
    assert page_of(Counts(hits=3, misses=1)).has("hits 3 (75% of reads)")
    page = page_of(Table("2 <things>", ["name", "size"], [["a", "1 B"], ["<b>", "2 B"]]))
    assert page.by_tag["b"] == ["2 <things>"]
    assert page.by_tag["td"] == ["a", "1 B", "<b>", "2 B"]


def test_moments_before_the_epoch_are_shown(stash, page_of):
    """Clocks of others may be wrong."""
    stash["k"] = 1
    info = stash.info("k")
    object.__setattr__(info, "created_at", dt.datetime(1950, 1, 1).timestamp())
    assert page_of(info).has("1950-01-01")
