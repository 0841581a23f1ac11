"""``stash.browse()`` as a user handles it: what is typed, chosen and pressed, and what is seen then."""

import asyncio
import html
import re
import sys
import threading

import pytest

from hashstash import HashStash
from hashstash.display import browser as browsers
from hashstash.display import chosen as choosing
from hashstash.display.browser import Browser
from hashstash.errors import MissingDependency, StashError

PATIENCE = 60
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def ipywidgets(monkeypatch):
    monkeypatch.setattr(browsers, "_QUICK", PATIENCE)  # whatever else this machine is doing
    return pytest.importorskip("ipywidgets")


@pytest.fixture
def stash(tmp_path):
    with HashStash(tmp_path / "stash", engine="pairtree", append_mode=True) as stash:
        for number in range(20):
            stash.put(f"run {number}", {"number": number}, tags=["paper"] if number % 5 == 0 else [])
        stash["notes"] = "first"
        stash["notes"] = "second"
        yield stash


@pytest.fixture
def browser(ipywidgets, stash):
    browser = stash.browse(page_size=8)
    yield browser
    browser.close()


def keys(browser):
    return [label.replace("\u00a0", " ").split("   ")[0].strip() for label, _ in browser.parts.entries.options]


def text(widget):
    """What is read in a widget of HTML."""
    without_styles = re.sub(r"<style>.*?</style>", "", widget.value, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", without_styles)).split())


def is_seen(browser, widget):
    """Whether it is shown, and all that it is in."""
    path = [browser.parts.detail] if widget in _inside(browser.parts.detail) else []
    path += [browser.parts.asking] if widget in _inside(browser.parts.asking) else []
    return all(part.layout.display != "none" for part in [*path, widget])


def _inside(box):
    return [part for child in getattr(box, "children", ()) for part in (child, *_inside(child))]


def choose(browser, key):
    browser.parts.entries.index = keys(browser).index(key)


# ---- the list ------------------------------------------------------------------------------------------------------------


def test_it_begins_with_the_newest(browser):
    assert keys(browser) == ["'notes'", *(f"'run {number}'" for number in range(19, 12, -1))]
    assert text(browser.parts.titles) == "key size age version tags"
    assert re.fullmatch(r"21 entries, [\d.]+ KB · 1 to 8, page 1 of 3", text(browser.parts.summary))
    assert not is_seen(browser, browser.parts.facts)


def test_lines_stand_below_their_titles(browser):
    parts = browser.parts
    title = html.unescape(re.search(r">(key.*)</pre>", parts.titles.value)[1])
    lines = [label.replace("\u00a0", " ") for label, _ in parts.entries.options]
    end = title.index("size") + 4
    assert {line[end - 1] for line in lines} == {"B"}
    assert all(" " not in label for label, _ in parts.entries.options)


def test_pages_are_turned(browser):
    parts = browser.parts
    assert (parts.first.disabled, parts.previous.disabled, parts.next.disabled, parts.last.disabled) == (
        True,
        True,
        False,
        False,
    )
    parts.next.click()
    assert keys(browser)[0] == "'run 12'"
    assert "9 to 16, page 2 of 3" in text(parts.summary)
    parts.last.click()
    assert (len(keys(browser)), parts.next.disabled, parts.previous.disabled) == (5, True, False)
    parts.previous.click()
    parts.first.click()
    assert keys(browser)[0] == "'notes'"


def test_a_search_is_followed_as_it_is_typed(browser):
    browser.parts.next.click()
    for typed in ("r", "ru", "run", "run tag", "run tag: paper"):
        browser.parts.search.value = typed
    assert keys(browser) == ["'run 15'", "'run 10'", "'run 5'", "'run 0'"]
    assert text(browser.parts.summary).startswith("4 of 21 entries, ")
    assert not is_seen(browser, browser.parts.pager)
    browser.parts.search.value = ""
    assert len(keys(browser)) == 8


def test_a_search_that_finds_nothing_leaves_an_empty_list(browser):
    browser.parts.search.value = "nothing like it"
    assert keys(browser) == []
    assert text(browser.parts.summary) == "0 of 21 entries"
    assert not is_seen(browser, browser.parts.entries)


def test_a_search_without_meaning_is_said(browser):
    browser.parts.search.value = "size > huge"
    assert "'huge' is no size" in text(browser.parts.summary)
    assert len(keys(browser)) == 8
    browser.parts.search.value = "size > 1 B"
    assert "no size" not in text(browser.parts.summary)


def test_another_order_begins_at_the_first_page(browser):
    browser.parts.next.click()
    browser.parts.order.value = "by key, backwards"
    assert keys(browser)[:3] == ["'run 19'", "'run 18'", "'run 17'"]
    assert "page 1 of 3" in text(browser.parts.summary)


def test_a_function_stash_has_orders_by_its_arguments(ipywidgets, tmp_path):
    root = HashStash(tmp_path / "functions", engine="pairtree")

    @root.stashed_result
    def double(x):
        return 2 * x

    for number in range(5):
        double(number)
    browser = double.stash.browse()
    browser.parts.order.value = "by x"
    assert keys(browser) == ["0", "1", "2", "3", "4"]
    browser.parts.entries.index = 3
    assert text(browser.parts.facts).startswith("Entry double(3)")
    assert text(browser.parts.value) == "Value int 6"
    browser.parts.search.value = "x > 2"
    assert keys(browser) == ["3", "4"]
    browser.parts.search.value = "nothing"
    browser.parts.search.value = "x < 3"
    assert browser.parts.order.value == browser.model.order == "by x"
    assert keys(browser) == ["0", "1", "2"]
    browser.close()
    root.close()


# ---- one entry -----------------------------------------------------------------------------------------------------------


def test_an_entry_that_is_chosen_is_shown(browser):
    choose(browser, "'run 15'")
    assert text(browser.parts.facts).startswith("Entry 'run 15' ")
    assert text(browser.parts.value) == "Value dict, 1 element 'number': 15"
    assert is_seen(browser, browser.parts.delete)
    assert not is_seen(browser, browser.parts.version)
    assert not is_seen(browser, browser.parts.show_value)
    assert not is_seen(browser, browser.parts.confirm)


def test_it_stays_chosen_on_another_page_and_after_reading_anew(browser):
    choose(browser, "'run 15'")
    browser.parts.next.click()
    assert browser.parts.entries.index is None
    browser.parts.first.click()
    assert browser.parts.entries.index == keys(browser).index("'run 15'")
    browser.parts.refresh.click()
    assert browser.parts.entries.index == keys(browser).index("'run 15'")
    assert text(browser.parts.facts).startswith("Entry 'run 15' ")


def test_a_new_search_chooses_nothing(browser):
    choose(browser, "'run 15'")
    browser.parts.search.value = "run"
    assert browser.parts.entries.index is None
    assert not is_seen(browser, browser.parts.facts)


def test_versions_can_be_picked(browser):
    choose(browser, "'notes'")
    parts = browser.parts
    assert is_seen(browser, parts.version)
    assert [label for label, _ in parts.version.options] == ["2, the latest", "1"]
    assert text(parts.value) == "Value text, 6 characters second"
    parts.version.value = 1
    assert text(parts.value) == "Value text, 5 characters first"
    parts.version.value = 2
    assert text(parts.value) == "Value text, 6 characters second"
    choose(browser, "'run 19'")
    assert not is_seen(browser, parts.version)


def test_a_large_value_is_shown_when_asked_for(browser, monkeypatch):
    monkeypatch.setattr(choosing, "MOST_DECODED", 3)
    choose(browser, "'notes'")
    browser.parts.version.value = 1
    assert "is decoded if you ask for it" in text(browser.parts.value)
    assert is_seen(browser, browser.parts.show_value)
    browser.parts.show_value.click()
    assert text(browser.parts.value) == "Value text, 5 characters first"
    assert browser.parts.version.value == 1
    assert not is_seen(browser, browser.parts.show_value)


def test_hostile_texts_are_escaped(browser, stash):
    bad = "<script>alert('x')</script><style>*{}</style>"
    stash.put(bad, [bad], tags=[bad], meta={bad: bad})
    browser.parts.refresh.click()
    browser.parts.entries.index = 0
    browser.parts.delete.click()
    browser.parts.search.value = f"{bad} size > <b>"
    browser.parts.search.value = "<i> > 3"
    widgets = [part for part in _inside(browser.parts.whole) if type(part).__name__ == "HTML"]
    shown = "".join(part.value for part in widgets[1:])
    assert "alert" in shown
    assert not re.search(r"<(script|style|b>a|i>)", shown)


# ---- deleting ------------------------------------------------------------------------------------------------------------


def test_deleting_is_asked_for_twice(browser, stash):
    parts = browser.parts
    choose(browser, "'run 15'")
    parts.delete.click()
    assert "run 15" in stash
    assert is_seen(browser, parts.confirm)
    assert re.fullmatch(r"Delete 'run 15' \(\d+ B\)\? This cannot be undone\.", text(parts.question))
    parts.keep.click()
    assert not is_seen(browser, parts.confirm)
    assert "run 15" in stash
    parts.delete.click()
    parts.confirm.click()
    assert "run 15" not in stash
    assert "'run 15' was deleted." in text(parts.summary)
    assert "20 entries" in text(parts.summary)
    assert "'run 15'" not in keys(browser)
    assert not is_seen(browser, parts.facts)


def test_a_press_that_was_not_asked_for_deletes_nothing(browser, stash):
    browser.parts.confirm.click()
    choose(browser, "'run 15'")
    browser.parts.confirm.click()
    browser.parts.delete.click()
    choose(browser, "'run 14'")
    browser.parts.confirm.click()
    assert len(stash) == 21


def test_what_was_written_meanwhile_is_kept_and_said(browser, stash):
    choose(browser, "'run 15'")
    browser.parts.delete.click()
    HashStash.from_config(stash.config)["run 15"] = "newer"
    browser.parts.confirm.click()
    assert stash["run 15"] == "newer"
    assert "it was written anew since you looked at it" in text(browser.parts.summary)


def test_a_stash_that_is_read_only_says_so(ipywidgets, stash):
    config = HashStash(stash.root_dir, engine="pairtree", append_mode=True, read_only=True).config
    browser = Browser(HashStash.from_config(config))
    choose(browser, "'run 15'")
    browser.parts.delete.click()
    assert browser.parts.confirm.disabled
    assert "read" in text(browser.parts.question)
    browser.parts.confirm.click()
    assert "run 15" in stash
    browser.close()


# ---- others that write, storages that fail ----------------------------------------------------------------------------------


def test_what_others_write_shows_by_itself(browser, stash):
    browser.poll()
    assert "'new'" not in keys(browser)
    HashStash.from_config(stash.config)["new"] = 1
    browser.poll()
    assert keys(browser)[0] == "'new'"


def test_of_a_large_stash_it_is_said_that_it_was_written_to(browser, stash, monkeypatch):
    monkeypatch.setattr(browsers, "_QUICK", -1.0)
    HashStash.from_config(stash.config)["new"] = 1
    browser.poll()
    assert keys(browser)[0] == "'notes'"
    assert browser.parts.refresh.button_style == "info"
    browser.parts.refresh.click()
    assert keys(browser)[0] == "'new'"
    assert browser.parts.refresh.button_style == ""


def test_nothing_moves_while_a_question_is_open(browser, stash):
    choose(browser, "'run 15'")
    browser.parts.delete.click()
    HashStash.from_config(stash.config)["new"] = 1
    browser.poll()
    assert "'new'" not in keys(browser)
    assert is_seen(browser, browser.parts.confirm)


class Away(Exception):
    pass


def test_a_storage_that_fails_is_said_in_words(browser, stash, monkeypatch):
    def fails(*_):
        raise Away("the server has gone <away>")

    for method in ("heads", "peek", "get", "ensure_writable"):
        monkeypatch.setattr(stash.store.engine, method, fails, raising=True)
    choose(browser, "'run 15'")
    assert "the server has gone <away>" in text(browser.parts.value)
    browser.parts.refresh.click()
    assert "The storage cannot be read: the server has gone <away>" in text(browser.parts.summary)
    browser.parts.search.value = "run"
    assert "gone" in text(browser.parts.summary)
    assert browser._repr_mimebundle_()["text/html"]


def test_a_storage_that_fails_can_be_opened_to_look_through(ipywidgets, stash, monkeypatch):
    def fails(*_):
        raise OSError("no such device")

    monkeypatch.setattr(stash.store.engine, "heads", fails)
    browser = stash.browse()
    assert "no such device" in text(browser.parts.summary)
    browser.close()


# ---- time ----------------------------------------------------------------------------------------------------------------


class Gate:
    """Lets what passes through go on only when it is opened."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def wait(self):
        self.reached.set()
        assert self.opened.wait(PATIENCE)


async def until(condition):
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("waited in vain")


def test_a_slow_storage_does_not_hold_up_the_kernel(ipywidgets, stash, monkeypatch):
    gate, heads = Gate(), stash.store.engine.heads

    def gated(size):
        for number, head in enumerate(heads(size)):
            if number == 3:
                gate.wait()
            yield head

    monkeypatch.setattr(stash.store.engine, "heads", gated)

    async def look():
        browser = stash.browse()
        assert "so far" in text(browser.parts.summary)
        await until(lambda: "3 looked at" in text(browser.parts.summary))
        assert len(keys(browser)) == 3
        gate.opened.set()
        await until(lambda: "21 entries" in text(browser.parts.summary))
        assert len(keys(browser)) == 15
        browser.close()

    asyncio.run(look())


def test_a_slow_value_is_shown_when_it_is_there(ipywidgets, stash, monkeypatch):
    monkeypatch.setattr(browsers, "PATIENCE", 0.01)
    gate, get = Gate(), stash.store.engine.peek

    def gated(address, size):
        gate.wait()
        return get(address, size)

    async def look():
        browser = stash.browse()
        monkeypatch.setattr(stash.store.engine, "peek", gated)
        choose(browser, "'run 15'")
        assert "still being read" in text(browser.parts.value)
        gate.opened.set()
        await until(lambda: "'number': 15" in text(browser.parts.value))
        browser.close()

    asyncio.run(look())


def test_a_slow_value_of_what_is_not_chosen_any_more_is_not_shown(ipywidgets, stash, monkeypatch):
    gate, peek = Gate(), stash.store.engine.peek
    slow = stash.store.keys.address("run 15")

    def gated(address, size):
        if address == slow:
            gate.wait()
        return peek(address, size)

    monkeypatch.setattr(stash.store.engine, "peek", gated)

    async def look():
        browser = stash.browse()
        monkeypatch.setattr(browsers, "PATIENCE", 0.01)
        choose(browser, "'run 15'")
        monkeypatch.setattr(browsers, "PATIENCE", PATIENCE)
        choose(browser, "'run 16'")
        before = {thread for thread in threading.enumerate() if thread.name == "hashstash-browse"}
        gate.opened.set()
        await until(lambda: not any(thread.is_alive() for thread in before))
        await asyncio.sleep(0)
        assert "'number': 16" in text(browser.parts.value)
        browser.close()

    asyncio.run(look())


def test_it_looks_for_changes_by_itself(ipywidgets, stash, monkeypatch):
    monkeypatch.setattr(browsers, "_LOOK_EVERY", 0.01)

    async def look():
        browser = stash.browse()
        browser._repr_mimebundle_()
        HashStash.from_config(stash.config)["new"] = 1
        await until(lambda: keys(browser)[0] == "'new'")
        browser.close()
        await until(lambda: not browser._is_polling)

    asyncio.run(look())


# ---- as a whole ----------------------------------------------------------------------------------------------------------


def test_its_text_is_always_the_same(browser, stash):
    assert repr(browser) == f"Browser of {stash!r}"


def test_without_widgets_it_is_the_card_of_the_stash(browser, stash):
    data = browser._repr_mimebundle_()
    assert data["text/plain"] == repr(browser)
    assert "<b>PairtreeHashStash</b>" in data["text/html"]
    assert "21 entries" in data["text/html"]
    assert data[WIDGET]["model_id"] == browser.parts.whole.model_id


def test_a_browser_that_was_closed_is_a_card(ipywidgets, stash):
    browser = stash.browse()
    browser.close()
    assert WIDGET not in browser._repr_mimebundle_()
    browser.close()


class Shell:
    """A shell that notes what is published."""

    def __init__(self):
        self.display_pub = self
        self.published = []

    def publish(self, data, *_, **__):
        self.published.append(data)


def test_in_a_notebook_a_card_stands_before_the_widget(browser, monkeypatch):
    shell = Shell()
    monkeypatch.setattr(browsers, "running_shell", lambda: shell)
    browser._ipython_display_()
    card, widget = shell.published
    assert set(card) == {"text/plain", "text/html"}
    assert card["text/plain"] == f"{browser!r}. To search, page and delete, run this cell."
    assert "PairtreeHashStash" in card["text/html"]
    assert set(widget) == {"text/plain", "text/html", WIDGET}


def test_the_package_of_the_widgets_is_asked_for(stash, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(MissingDependency, match=r"pip install 'hashstash\[notebook\]'") as caught:
        stash.browse()
    assert isinstance(caught.value, (StashError, ImportError))
