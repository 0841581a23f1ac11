"""What the card of a stash tells: without decoding a value, in little time and room."""

import pytest

from hashstash import HashStash
from hashstash.display import survey
from tests.display.test_card_html import HOSTILE


@pytest.fixture
def stash(tmp_path):
    return HashStash(tmp_path / "stash", engine="pairtree", compress="zlib")


def double(x, scale=1):
    return x * 2


class Loud:
    """Says when it is decoded, and refuses to be shown."""

    decoded = 0

    def __reduce__(self):
        return _loud, ()

    def __repr__(self):
        raise RuntimeError("no")


def _loud():
    Loud.decoded += 1
    return Loud()


# ---- a stash -----------------------------------------------------------------------------------------------------------------


def test_a_stash_says_what_it_is_and_how_much_it_holds(stash, page_of):
    stash.set_many({"a": 1, "b": [2]})
    page = page_of(stash)
    assert page.by_tag["b"] == ["PairtreeHashStash"]
    assert str(stash.path) in page.text
    assert page.has("2 entries \u00b7 ")
    assert page.has("hashstash + zlib")
    assert page.sections == ["Entries", "Statistics", "Settings"]


def test_an_empty_stash_is_shown(stash, page_of):
    page = page_of(stash)
    assert page.has("0 entries \u00b7 hashstash + zlib")
    assert page.sections == ["Settings"]


def test_its_text_tells_neither_times_nor_sizes(stash):
    before = repr(stash)
    stash["k"] = "x" * 10_000
    assert repr(stash) == before == f"PairtreeHashStash({stash.path})"


@pytest.mark.parametrize(
    "options, words",
    [
        ({"append_mode": True}, "keeps versions"),
        ({"ttl": "1d"}, "ttl 1 d"),
        ({"max_entries": 1200}, "at most 1,200 entries"),
        ({"max_size": 10**9}, "at most 1 GB"),
        ({"value_type": (int, str)}, "takes int or str"),
        ({"value_type": lambda value: True}, "checks values"),
        ({"b64": True}, "+ b64"),
        ({"trust": "all"}, "whoever can write to it can run code here"),
        ({"read_only": True}, "read only"),
    ],
)
def test_the_rules_of_a_stash_are_named(tmp_path, page_of, options, words):
    assert page_of(HashStash(tmp_path / "ruled", engine="pairtree", **options)).has(words)


def test_settings_are_listed(tmp_path, page_of):
    page = page_of(HashStash(tmp_path / "a", "b/c", engine="pairtree", ttl=90, durability="power"))
    assert page.has("dbname b/c")
    assert page.has("ttl 1 min 30 s")
    assert page.has("durability power")


def test_the_latest_entries_come_first(stash, page_of):
    for number in range(8):
        stash[f"key {number}"] = number
    keys = page_of(stash).by_tag["samp"]
    assert keys == [f"'key {number}'" for number in (7, 6, 5, 4, 3)]
    assert page_of(stash).has("Entries \u00b7 the latest 5")


def test_an_entry_is_told_by_its_key_size_age_codec_and_kind(stash, page_of):
    stash.put("k", double, tags=["paper"], meta={"n": 1}, seconds=2, ttl="2d")
    row = page_of(stash).by_tag["tr"][1]
    for part in ("'k'", "hashstash", "code", "in 2 d", "2 s", "paper", "{'n': 1}"):
        assert part in row


def test_of_many_entries_the_first_are_looked_at(stash, page_of, monkeypatch):
    monkeypatch.setattr(survey, "MOST_SEEN", 10)
    seen = []
    stash.set_many((number, number) for number in range(50))
    heads = stash.store.engine.heads

    def counted(size):
        for row in heads(size):
            seen.append(row)
            yield row

    monkeypatch.setattr(stash.store.engine, "heads", counted)
    page = page_of(stash)
    assert page.has("50 entries")
    assert page.has("Entries \u00b7 the first 5")
    assert len(seen) == 11


def test_sizes_of_very_many_rows_are_not_added_up(stash, page_of, monkeypatch):
    monkeypatch.setattr(survey, "MOST_SEEN", 10)
    monkeypatch.setattr(survey, "_MOST_MEASURED", 20)
    stash.set_many((number, number) for number in range(50))
    monkeypatch.setattr(stash.store.engine, "size_bytes", lambda: pytest.fail("all rows were measured"))
    assert page_of(stash).has("50 entries \u00b7 hashstash")
    stash.store.engine.knows_size = True
    monkeypatch.setattr(stash.store.engine, "size_bytes", lambda: 5000)
    assert page_of(stash).has("50 entries \u00b7 5 KB")


def test_entries_that_are_over_are_told_apart(stash, page_of):
    stash.put("over", 1, ttl=1e-6)
    stash["here"] = 1
    page = page_of(stash)
    assert page.has("1 entry \u00b7 1 over")
    assert page.by_tag["samp"] == ["'here'"]


def test_statistics_are_those_of_this_object_and_of_all(stash, page_of):
    stash["k"] = 1
    stash["k"], stash.get("missing")
    page = page_of(stash)
    assert page.has("Statistics \u00b7 1 hit, 1 miss")
    assert page.has("hits 1 (50% of reads) 1 (50% of reads)")


def test_functions_and_maps_below_a_stash_are_listed(stash, page_of):
    stash.run(double, 1), stash.run(double, 2)
    stash.map(double, [1, 2], num_proc=1, progress=False, stash_map=True, stash_runs=False).wait()
    page = page_of(stash)
    assert "Functions" in page.sections
    assert page.has(f"{__name__}.double 2 calls")
    assert page.has(f"{__name__}.double 1 whole maps")


def test_looking_makes_nothing(stash, page_of, tmp_path):
    """No folder, no row: what is there is as it was."""
    stash.run(double, 1)
    HashStash(tmp_path / "stash", engine="sqlite")["k"] = 1
    before = sorted(path for path in tmp_path.rglob("*") if "key" not in path.name)
    page_of(stash), page_of(HashStash(tmp_path / "stash", engine="sqlite"))
    after = sorted(path for path in tmp_path.rglob("*") if "key" not in path.name)
    assert [path for path in after if path not in before and "-shm" not in path.name and "lock" not in path.name] == []


def test_no_value_is_decoded(stash, page_of):
    stash["loud"] = Loud()
    predictions = stash.stashed_result(_gives_loud)
    predictions(1)
    stash["loud"] = Loud()
    Loud.decoded = 0
    shown = [stash, predictions.stash, stash.entries(), stash.info("loud"), stash.stats, predictions.cache_info()]
    for thing in shown:
        page_of(thing)
    assert Loud.decoded == 0


def _gives_loud(x):
    return Loud()


def test_large_values_stay_in_their_files(stash, page_of, monkeypatch):
    stash["large"] = bytes(range(256)) * 4096
    assert stash.store.blobs.names()
    monkeypatch.setattr(stash.store.blobs, "map", lambda *_, **__: pytest.fail("a value was read"))
    assert page_of(stash).has("'large'")


def test_code_of_others_is_named_and_left_alone(stash, page_of, somebody_else):
    with somebody_else:
        stash["theirs"] = double
        stash[Loud()] = 1
    stash["mine"] = 1
    Loud.decoded = 0
    page = page_of(stash)
    assert page.has("2 entries stored by somebody you do not trust are not decoded; stash.trust() changes that.")
    assert page.text.count("<foreign ") == 2
    assert Loud.decoded == 0


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1e300, 1e300])
def test_times_that_make_no_sense_are_shown(stash, page_of, seconds):
    """Whoever can write into the folder can claim anything."""
    stash.put("k", 1, seconds=seconds)
    assert page_of(stash).has("'k'")
    assert page_of(stash.info("k")).has("Entry 'k'")
    assert "'k'" in repr(stash.entries())


def test_a_key_that_refuses_to_be_shown_is_named_by_its_class(stash, page_of):
    stash[Loud()] = 1
    assert page_of(stash).by_tag["samp"] == ["<Loud>"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_keys_tags_notes_and_arguments(stash, page_of, text):
    stash.put(text, 1, tags=[text[:1000]], meta={text[:1000]: text[:1000]})
    predictions = stash.stashed_result(double)
    predictions(text, scale=[text])
    things = [
        stash,
        predictions.stash,
        stash.entries(),
        stash.info(text),
        predictions.explain(text + "!"),
        stash.versions(text),
    ]
    for thing in things:
        assert len(page_of(thing).markup) < 40_000


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names(tmp_path, page_of, text):
    name = text.replace("/", "|").replace("\0", "")[:5000]
    page_of(HashStash(tmp_path / "stash", name, engine="pairtree"))

    def function(x):
        return x

    function.__qualname__ = function.__name__ = name
    stash = HashStash(tmp_path / "named", engine="pairtree")
    stash.run(function, 1)
    page_of(stash), page_of(function.stash)
    page_of(stash.map(function, [text], num_proc=1, progress=False))
