"""What ``stash.browse()`` finds, orders, shows and deletes, without its widgets."""

import dataclasses
import os
import shutil
import threading
import time
import tracemalloc

import pytest

from hashstash import HashStash
from hashstash.display import chosen as choosing
from hashstash.display import scanning
from hashstash.display.browsing import Browsing
from hashstash.display.chosen import within
from hashstash.display.search import BadSearch

PATIENCE = 60


class Loud:
    """A value that says when it is decoded."""

    decoded = 0

    def __reduce__(self):
        return decode_loudly, ()


def decode_loudly():
    Loud.decoded += 1
    return Loud()


@pytest.fixture
def stash(tmp_path):
    with HashStash(tmp_path / "stash", engine="pairtree", append_mode=True) as stash:
        for number in range(30):
            stash.put(f"run {number}", "v" * (100 * number + 1), seconds=(number * 7) % 30, meta={"n": number})
        yield stash


def browsing(stash, text="", **options):
    model = Browsing(stash, **options)
    if text:
        model.search(text)
    return settled(model)


def settled(model):
    assert model.scan.wait(PATIENCE)
    return model


def keys(model, number=1):
    return [row.info.key for row in model.page(number).rows]


def address(stash, key):
    return stash.store.keys.address(key)


def look(model, key, *args, **options):
    return model.look(address(model.stash, key), *args, **options)


# ---- pages ---------------------------------------------------------------------------------------------------------------


def test_the_newest_come_first(stash):
    assert keys(browsing(stash, page_size=3)) == ["run 29", "run 28", "run 27"]


def test_pages_are_counted_from_one_and_end(stash):
    model = browsing(stash, page_size=8)
    pages = [model.page(number) for number in (1, 2, 4)]
    assert [(page.number, page.pages, page.start, len(page.rows)) for page in pages] == [
        (1, 4, 0, 8),
        (2, 4, 8, 8),
        (4, 4, 24, 6),
    ]
    assert model.page(99).number == 4
    assert model.page(0).number == model.page(-5).number == 1


def test_pages_together_are_everything(stash):
    model = browsing(stash, page_size=7)
    found = [key for number in range(1, 6) for key in keys(model, number)]
    assert sorted(found) == sorted(stash)
    assert len(found) == 30


@pytest.mark.parametrize("size", [0, -1, 501, 2.5, None, True])
def test_a_page_size_that_is_none_is_refused(stash, size):
    with pytest.raises(ValueError, match="page_size"):
        Browsing(stash, page_size=size)


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("oldest first", ["run 0", "run 1", "run 2"]),
        ("largest first", ["run 29", "run 28", "run 27"]),
        ("smallest first", ["run 0", "run 1", "run 2"]),
        ("slowest first", ["run 17", "run 4", "run 21"]),
        ("by key", ["run 0", "run 1", "run 2"]),
        ("by key, backwards", ["run 29", "run 28", "run 27"]),
    ],
)
def test_orders(tmp_path, order, first):
    with HashStash(tmp_path, engine="memory", compress=False) as stash:
        for number in range(30):
            stash.put(f"run {number}", "v" * (100 * number + 1), seconds=(number * 7) % 30)
        model = browsing(stash, page_size=3)
        assert order in model.orders()
        model.order = order
        assert keys(model) == first


def test_keys_of_every_kind_have_an_order(tmp_path):
    with HashStash(tmp_path, engine="memory") as stash:
        for key in ["b", 10, 2.5, None, ("a", 10), ("a", 9), "a 10", "a 9", True, b"x", float("nan"), 2**200]:
            stash[key] = 1
        model = browsing(stash, page_size=20)
        model.order = "by key"
        found = [str(key) for key in keys(model)]
        assert found[:4] == ["True", "2.5", "10", str(2**200)]
        assert found[4:] == ["('a', 9)", "('a', 10)", "a 9", "a 10", "b", "b'x'", *found[-2:]]
        assert set(found[-2:]) == {"None", "nan"}
        model.order = "by key, backwards"
        assert set(map(str, keys(model)[-2:])) == {"None", "nan"}


def test_an_order_that_is_known_while_the_stash_is_read_is_the_same_afterwards(stash):
    model = browsing(stash, page_size=4)
    for order in model.orders():
        model.order = order
        model.scan._over.clear()
        during = [row.info.address for number in (1, 3) for row in model.page(number).rows]
        model.scan._over.set()
        assert during == [row.info.address for number in (1, 3) for row in model.page(number).rows]


# ---- searching -----------------------------------------------------------------------------------------------------------


def test_a_search_finds_and_says_how_much(stash):
    model = browsing(stash, "run size > 1 B n >= 28")
    assert sorted(keys(model)) == ["run 28", "run 29"]
    assert model.summary().startswith("2 of 30 entries, ")
    assert model.notes() == []
    model.search("")
    assert settled(model).summary().startswith("30 entries, ")


def test_a_search_without_meaning_changes_nothing(stash):
    model = browsing(stash, "n = 3")
    with pytest.raises(BadSearch):
        model.search("size > huge")
    assert keys(model) == ["run 3"]


def test_a_name_that_no_entry_has_is_said(stash):
    assert browsing(stash, "sizes > 3").notes() == ["No entry has 'sizes'; did you mean 'size'?"]


def test_what_is_over_is_found_if_asked_for(stash):
    stash.put("brief", 1, ttl=0.001)
    time.sleep(0.01)
    assert "brief" not in keys(browsing(stash, "brief"))
    assert keys(browsing(stash, "brief expired = yes")) == ["brief"]


def test_a_new_search_ends_the_one_before(stash):
    gate = Gate(stash)
    model = Browsing(stash)
    old = model.scan
    assert gate.is_reached()
    model.search('"run 1"')
    gate.open()
    assert old.wait(PATIENCE)
    assert old.looked_at < 30
    assert len(settled(model).scan.rows) == 11


class Gate:
    """Lets a scan go on only when it is opened."""

    def __init__(self, stash, at=5):
        self._reached, self._opened = threading.Event(), threading.Event()
        engine = stash.store.engine
        heads = engine.heads

        def gated(size):
            for number, head in enumerate(heads(size)):
                if number == at:
                    self._reached.set()
                    self._opened.wait(PATIENCE)
                yield head

        engine.heads = gated

    def is_reached(self):
        return self._reached.wait(PATIENCE)

    def open(self):
        self._opened.set()


def test_what_was_found_so_far_is_shown(stash):
    gate = Gate(stash)
    model = Browsing(stash)
    assert gate.is_reached()
    assert model.summary() == "5 entries so far, 5 looked at…"
    assert len(model.page(1).rows) == 5
    gate.open()
    assert settled(model).summary().startswith("30 entries")


def test_a_hundred_thousand_entries_take_little_memory(tmp_path):
    """Here 3,000 with keys and notes of 20 KB: what is kept of each is as large as if they were small."""
    with HashStash(tmp_path, engine="memory") as stash:
        stash.update({(number, "k" * 20_000): 1 for number in range(2900)})
        for number in range(100):
            stash.put(number, 1, meta={f"note {other}": "m" * 1000 for other in range(20)}, tags=["t" * 1000] * 3)
        tracemalloc.start()
        model = browsing(stash)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert model.scan.found == 3000
    assert kept < 3000 * 1500


def test_there_is_a_most_of_rows_and_that_is_said(stash, monkeypatch):
    monkeypatch.setattr(scanning, "MOST_ROWS", 10)
    monkeypatch.setattr("hashstash.display.browsing.MOST_ROWS", 10)
    model = browsing(stash, page_size=4)
    assert model.page(9).pages == 3
    assert model.scan.found == 30
    assert model.notes() == ["Only 10 of them are listed; a search finds the others."]


# ---- what rows say -------------------------------------------------------------------------------------------------------


def test_columns_that_say_nothing_are_left_out(stash):
    titles, cells = browsing(stash, "n = 3").table(browsing(stash, "n = 3").page(1).rows)
    assert titles == ["key", "size", "age", "took", "meta"]
    assert (cells[0][0], cells[0][-1]) == ("'run 3'", "n=3")


def test_code_and_versions_have_columns(stash):
    stash["code"] = len
    stash["run 3"] = 1
    model = browsing(stash)
    titles, cells = model.table(model.page(1).rows)
    rows = [dict(zip(titles, line, strict=True)) for line in cells]
    assert [(row["key"], row["kind"], row["version"]) for row in rows[:2]] == [
        ("'run 3'", "data", "2"),
        ("'code'", "code", ""),
    ]


def test_hostile_texts_stay_on_their_line(tmp_path):
    with HashStash(tmp_path, engine="memory") as stash:
        stash.put(
            "<script>\n\x1b[31m\u202e" + "k" * 1000, 1, tags=["a\nb", "t" * 1000], meta={"<b>\n": "\u202e" * 1000}
        )
        model = browsing(stash)
        _, ((*cells,),) = model.table(model.page(1).rows)
    assert all(cell.isprintable() and len(cell) < 60 for cell in cells)


def test_no_value_is_decoded_while_looking_around(stash):
    stash["loud"] = Loud()
    Loud.decoded = 0
    model = browsing(stash, "loud")
    model.table(model.page(1).rows)
    assert Loud.decoded == 0
    assert look(model, "loud").preview.kind == "Loud"
    assert Loud.decoded == 1


# ---- functions -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def function(tmp_path):
    root = HashStash(tmp_path / "functions", engine="pairtree")

    @root.stashed_result
    def scaled(x, factor=2.0, *, label="a", data=()):
        return x * factor

    for number in range(12):
        scaled(number, label=f"run {number % 3}")
    yield scaled
    root.close()


def test_arguments_are_columns(function):
    model = browsing(function.stash)
    titles, cells = model.table(model.page(1).rows)
    assert titles[:4] == ["x", "factor", "label", "data"]
    assert cells[0][:4] == ["11", "2.0", "'run 2'", "()"]
    assert "key" not in titles


def test_arguments_are_searched_and_sorted_by(function):
    model = browsing(function.stash, "x > 3 label = 'run 1'", page_size=2)
    assert "by x, backwards" in model.orders()
    assert "by key" not in model.orders()
    model.order = "by x, backwards"
    assert [row.arguments["x"] for row in model.page(1).rows] == [10, 7]
    assert browsing(function.stash, "labl = 3").notes() == ["No entry has 'labl'; did you mean 'label'?"]


def test_large_arguments_are_cut(function):
    function(3, data=list(range(100_000)))
    model = browsing(function.stash)
    row = model.page(1).rows[0]
    assert len(row.arguments["data"]) <= 60
    chosen = model.look(row.info.address)
    assert chosen.card.name.startswith("scaled(3, data=[0, 1, 2")
    assert len(chosen.card.name) <= 80
    assert chosen.card.sections[0].title == "Arguments"
    assert dict(chosen.card.sections[0].body.pairs)["factor"] == "2.0"
    assert chosen.preview.lines == ("6.0",)


def test_a_function_stash_without_its_function_counts_arguments(function):
    config = function.stash.config
    model = browsing(HashStash.from_config(config), "arg1 > 10")
    (row,) = model.page(1).rows
    assert row.arguments == {"arg1": 11, "label": "run 2"}


# ---- one entry -----------------------------------------------------------------------------------------------------------


def test_an_entry_says_what_its_header_says(stash):
    chosen = look(browsing(stash), "run 5")
    assert (chosen.card.kind, chosen.card.name) == ("Entry", "'run 5'")
    assert "took 5 s" in chosen.card.facts
    assert (chosen.version, list(chosen.versions), chosen.may_decode, chosen.words) == (1, [1], False, "")
    assert chosen.preview.kind == "text, 501 characters"


def test_all_of_a_long_key_can_be_read(stash):
    key = "long " * 100
    stash[key] = 1
    chosen = look(browsing(stash), key)
    assert "".join(chosen.card.sections[0].body.lines) == repr(key)


def test_versions_are_picked_by_number(stash):
    for value in ("first", "second", "third"):
        stash["v"] = value
    model = browsing(stash)
    chosen = look(model, "v")
    assert (list(chosen.versions), chosen.version, chosen.preview.lines) == ([3, 2, 1], 3, ("third",))
    older = look(model, "v", 1)
    assert (list(older.versions), older.version, older.preview.lines, older.info.version) == (
        [3, 2, 1],
        1,
        ("first",),
        1,
    )
    assert look(model, "v", 7).words == "There is no version 7 any more."


def test_a_large_value_is_decoded_when_asked_for(stash, monkeypatch):
    monkeypatch.setattr(choosing, "MOST_DECODED", 1000)
    model = browsing(stash)
    chosen = look(model, "run 29")
    assert (chosen.preview, chosen.may_decode) == (None, True)
    assert chosen.words == "Its value has 2.9 KB, and is decoded if you ask for it."
    assert look(model, "run 29", decodes_large=True).preview.kind == "text, 2,901 characters"
    assert look(model, "run 5").preview is not None


def test_own_code_is_decoded_and_that_of_others_is_not(stash, somebody_else):
    stash["mine"] = Loud()
    with somebody_else:
        stash["theirs"] = Loud()
        stash[Loud] = "under a class"
        stash["data of theirs"] = {"a": 1}
    Loud.decoded = 0
    model = browsing(HashStash.from_config(stash.config))
    for row in model.page(1).rows:
        model.look(row.info.address, decodes_large=True)
    assert Loud.decoded == 1
    assert look(model, "mine").preview.kind == "Loud"
    theirs = look(model, "theirs")
    assert (theirs.preview, theirs.may_decode) == (None, False)
    assert theirs.words == "Its value is not decoded, for nobody you trust has signed it."
    assert look(model, "data of theirs").preview.lines == ("'a': 1",)
    _, cells = model.table(model.page(1).rows)
    assert sum("<foreign " in line[0] for line in cells) == sum("foreign" in line for line in cells)
    assert sum("foreign" in line for line in cells) == 2


def test_older_versions_of_others_are_not_decoded_either(stash, somebody_else):
    with somebody_else:
        stash["k"] = Loud()
    stash["k"] = "mine"
    Loud.decoded = 0
    model = browsing(HashStash.from_config(stash.config))
    older = look(model, "k", 1)
    assert (older.preview, older.may_decode, Loud.decoded) == (None, False, 0)


def test_an_entry_that_was_removed_meanwhile_is_gone(stash):
    model = browsing(stash)
    del stash["run 3"]
    assert look(model, "run 3").words == "It is not there any more."


class Broken:
    def __reduce__(self):
        return fail, ()


def fail():
    raise OSError("no such device")


def test_a_value_that_cannot_be_decoded_says_why(stash):
    stash["broken"] = Broken()
    chosen = look(browsing(stash), "broken")
    assert chosen.card.name == "'broken'"
    assert "cannot be decoded" in chosen.words
    assert "no such device" in chosen.words


# ---- deleting ------------------------------------------------------------------------------------------------------------


def test_the_question_says_what_goes(stash):
    model = browsing(stash)
    assert model.question(look(model, "run 0")).startswith("Delete 'run 0' (")
    assert "took 5 s to compute" in model.question(look(model, "run 5"))
    stash["run 0"] = 2
    assert model.question(look(model, "run 0")) == "Delete 'run 0' (all 2 versions)? This cannot be undone."


def test_deleting_removes_it_with_its_versions(stash):
    stash["run 3"] = "again"
    model = browsing(stash)
    found, size = model.scan.found, model.scan.size
    chosen = look(model, "run 3", 1)
    assert model.delete(chosen) == "'run 3' was deleted."
    assert "run 3" not in stash
    with pytest.raises(KeyError):
        stash.versions("run 3")
    assert "run 3" not in keys(model)
    assert model.scan.found == found - 1
    assert model.scan.size < size
    assert not model.has_changed
    assert model.delete(chosen) == "'run 3' was gone already."
    assert model.scan.found == found - 1


def test_what_was_written_anew_stays(stash):
    model = browsing(stash)
    chosen = look(model, "run 3")
    HashStash.from_config(stash.config)["run 3"] = "newer"
    assert model.delete(chosen) == "'run 3' was not deleted: it was written anew since you looked at it."
    assert stash["run 3"] == "newer"


def test_a_stash_that_is_read_only_stays_as_it_is(stash):
    model = browsing(HashStash.from_config(dataclasses.replace(stash.config, read_only=True)))
    assert "read-only" in model.why_not_deleted() or "read_only" in model.why_not_deleted()
    assert model.delete(look(model, "run 3")).startswith("It was not deleted: ")
    assert "run 3" in stash
    assert browsing(stash).why_not_deleted() == ""


# ---- others that write ---------------------------------------------------------------------------------------------------


def test_what_others_write_shows_when_it_is_read_anew(stash):
    model = browsing(stash)
    assert not model.has_changed
    HashStash.from_config(stash.config)["new"] = 1
    assert model.has_changed
    model.refresh()
    assert keys(settled(model))[0] == "new"
    assert not model.has_changed


def test_reading_is_no_change(every_engine, open_on):
    stash = open_on(every_engine)
    for number in range(5):
        stash[number] = "v" * 100_000
    stash.sync()
    model = browsing(stash)
    for row in model.page(1).rows:
        assert model.look(row.info.address).preview is not None
    model.refresh()
    assert not settled(model).has_changed
    assert model.scan.found == 5


def test_every_engine_can_be_browsed(every_engine, open_on):
    stash = open_on(every_engine, append_mode=True)
    stash["a"] = "first"
    stash["a"] = "second"
    stash[("b", 2)] = {"x": 1}
    model = browsing(stash)
    assert {repr(key) for key in keys(model)} == {"'a'", "('b', 2)"}
    assert look(model, "a", 1).preview.lines == ("first",)
    assert model.delete(look(model, "a")) == "'a' was deleted."
    assert list(stash) == [("b", 2)]


# ---- broken stores -------------------------------------------------------------------------------------------------------


def test_a_stash_that_is_not_there_has_no_entries(tmp_path):
    stash = HashStash(tmp_path / "nothing", engine="pairtree")
    shutil.rmtree(tmp_path / "nothing")
    model = browsing(stash)
    assert (model.summary(), model.notes(), model.page(1).rows) == ("0 entries", [], [])
    assert not os.path.exists(stash.path)


def test_a_stash_whose_folder_was_removed_has_no_entries(stash):
    model = browsing(stash)
    shutil.rmtree(stash.path)
    assert look(model, "run 3").words == "It is not there any more."
    assert model.has_changed
    model.refresh()
    assert settled(model).summary() == "0 entries"
    assert not os.path.exists(stash.path)


@pytest.mark.parametrize("engine", ["lmdb", "sqlite", "diskcache"])
def test_a_damaged_storage_says_what_is_wrong(tmp_path, engine, open_on):
    stash = open_on(engine)
    stash.update(dict.fromkeys(range(50), "v" * 5000))
    stash.close()
    for folder, _, files in os.walk(stash.path):
        for name in files:
            if "lock" not in name:
                with open(os.path.join(folder, name), "r+b") as file:
                    file.write(b"\xa5" * os.path.getsize(file.name))
    model = browsing(HashStash.from_config(stash.config))
    assert model.notes()
    assert all("cannot be read" in note for note in model.notes())
    model.page(1)
    assert look(model, 3).words


def test_a_bad_entry_is_left_out_and_counted(stash):
    path = next(path for path in _files(stash.path) if len(os.path.basename(path)) == 32)
    with open(path, "r+b") as file:
        file.seek(60)
        file.write(b"\xff" * 8)
    model = browsing(stash)
    assert model.scan.found == 29
    assert model.notes() == ["1 entry cannot be read and is left out; stash.check() says why."]


def _files(folder):
    return sorted(
        os.path.join(place, name) for place, _, names in os.walk(folder) for name in names if "@" not in place
    )


class Away(Exception):
    pass


@pytest.mark.parametrize("method", ["heads", "peek", "get"])
def test_whatever_an_engine_raises_is_said_in_words(stash, monkeypatch, method):
    model = browsing(stash)

    def fails(*_):
        raise Away("the server has gone away")

    monkeypatch.setattr(stash.store.engine, method, fails)
    chosen = look(model, "run 3")
    model.delete(chosen)
    model.refresh()
    said = [chosen.words, *settled(model).notes()]
    assert any("the server has gone away" in words for words in said)


def test_a_key_that_cannot_be_decoded_is_said(stash, monkeypatch):
    model = browsing(stash)
    monkeypatch.setattr(type(stash.store.keys), "decode", lambda *_: fail())
    chosen = look(model, "run 3")
    assert "no such device" in chosen.words
    assert model.delete(chosen) == "It was deleted."


# ---- time ----------------------------------------------------------------------------------------------------------------


def test_what_takes_long_is_told_later():
    gate, told = threading.Event(), threading.Event()
    answers = []

    def late(answer):
        answers.append(answer)
        told.set()

    assert within(0.01, lambda: gate.wait(PATIENCE) and "done", late) is None
    gate.set()
    assert told.wait(PATIENCE)
    assert answers == ["done"]


def test_what_is_quick_is_told_at_once():
    assert within(PATIENCE, lambda: None, fail) == (None,)
