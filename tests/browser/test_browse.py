"""``stash.browse()`` as a reader of JupyterLab uses it: search, pages, an entry with its value, delete; saved, loaded, light, dark."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FILL = """
import numpy as np, pandas as pd
from hashstash import HashStash
stash = HashStash("browsed", append_mode=True, clear=True)
for number in range(60):
    stash.put(f"run {number}", {"number": number, "losses": [1 / (number + step) for step in range(1, 9)]},
              tags=["paper"] if number % 7 == 0 else [], seconds=number / 3)
stash["frame"] = pd.DataFrame({"city": ["Oslo", "<b>Turin</b>", "Graz"] * 100, "degrees": np.linspace(-10, 35, 300)})
stash[("tuple", 3)] = np.arange(10_000.0).reshape(100, 100)
stash["notes"] = "first"
stash["notes"] = "second, and last"
"""


class Browsed:
    """The browser below a cell, as a reader sees it."""

    def __init__(self, notebook, cell) -> None:
        self.notebook = notebook
        self.cell = cell
        self.wait(lambda: self.keys, "the list")

    def wait(self, condition, what: str):
        return self.notebook.wait(condition, what)

    def js(self, code: str):
        return self.cell.js(f"const root = cell.outputArea.node.querySelector('.hashstash-browser'); {code}")

    @property
    def keys(self) -> list[str]:
        """The first words of the lines."""
        lines = self.js("return [...(root?.querySelectorAll('select[size] option') ?? [])].map(one => one.textContent)")
        return [line.replace("\u00a0", " ").split("   ")[0].strip() for line in lines]

    @property
    def text(self) -> str:
        return self.js("return root?.innerText ?? ''")

    def type(self, text: str) -> None:
        """Type into the search as a user does, one letter after the other."""
        from selenium.webdriver.common.keys import Keys

        field = self.js(
            "const field = root.querySelector('input[type=text]'); field.scrollIntoView(); field.focus(); return field"
        )
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(Keys.BACKSPACE)
        field.send_keys(text)

    def press(self, label: str) -> None:
        """Press the button of that label."""
        self.wait(lambda: self._button(label), f"the button {label}")
        self._button(label).click()

    def _button(self, label: str):
        buttons = self.js(
            "return [...root.querySelectorAll('button')].filter(one => one.offsetParent && !one.disabled)"
        )
        return next((button for button in buttons if button.text == label), None)

    def choose(self, key: str) -> None:
        """Click on the line of that key."""
        place = self.keys.index(key)
        self.js(
            f"const line = root.querySelectorAll('select[size] option')[{place}]; line.scrollIntoView({{block: 'center'}}); return line"
        ).click()


@pytest.fixture
def browsed(notebook):
    notebook.run(FILL)
    return Browsed(notebook, notebook.run("stash.browse()"))


def test_search_pages_a_value_and_delete(notebook, browsed):
    assert browsed.keys[:3] == ["'notes'", "('tuple', 3)", "'frame'"]
    browsed.press("\u203a")
    browsed.wait(lambda: "page 2 of 5" in browsed.text, "the second page")
    assert browsed.keys[0] == "'run 47'"
    notebook.screenshot("browse_page")

    browsed.type("run size > 1 B tag: paper")
    browsed.wait(lambda: len(browsed.keys) == 9, "what has that tag")
    assert browsed.keys[0] == "'run 56'"
    browsed.choose("'run 49'")
    browsed.wait(lambda: "dict, 2 elements" in browsed.text and "'number': 49" in browsed.text, "its value")
    notebook.screenshot("browse_value")

    browsed.press("Delete\u2026")
    browsed.wait(lambda: "This cannot be undone" in browsed.text, "the question")
    notebook.screenshot("browse_delete")
    browsed.press("Keep")
    browsed.wait(lambda: "This cannot be undone" not in browsed.text, "the end of the question")
    browsed.press("Delete\u2026")
    browsed.press("Delete for good")
    browsed.wait(lambda: "'run 49' was deleted" in browsed.text, "that it was deleted")
    assert "'run 49'" not in browsed.keys
    assert notebook.run("'run 49' in stash, len(stash)").text.split()[-2:] == ["(False,", "62)"]


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_can_be_read_in_every_theme(notebook, browsed, theme):
    notebook.theme(theme)
    try:
        notebook.screenshot(f"browse_list_{theme.lower()}")
        browsed.choose("'frame'")
        browsed.wait(lambda: "Oslo" in browsed.text, "the frame")
        assert "<b>Turin</b>" in browsed.text
        browsed.js("root.scrollIntoView({block: 'end'})")
        notebook.screenshot(f"browse_frame_{theme.lower()}")
        browsed.choose("'notes'")
        browsed.wait(lambda: "second, and last" in browsed.text, "the text")
        browsed.press("Delete\u2026")
        browsed.wait(lambda: "all 2 versions" in browsed.text, "the question")
        browsed.js("root.scrollIntoView({block: 'end'})")
        notebook.screenshot(f"browse_detail_{theme.lower()}")
        colours = browsed.js(
            "return ['select[size]', '.hashstash-titles', 'details', 'pre:not(.hashstash-titles)']"
            ".map(one => getComputedStyle(root.querySelector(one)).color)"
        )
        wanted = browsed.js("return getComputedStyle(root.querySelector('b')).color")
        assert colours == [wanted] * 4
        assert browsed.js("return root.querySelector('select[size]').scrollWidth <= root.clientWidth")
        assert browsed.js("return root.scrollWidth <= root.clientWidth")
    finally:
        notebook.theme("Light")


def test_it_is_there_again_when_the_page_is_loaded_again(notebook, browsed):
    browsed.choose("'notes'")
    browsed.wait(lambda: "second, and last" in browsed.text, "the text")
    notebook.save()
    notebook.reload()
    browsed.wait(lambda: "second, and last" in browsed.text, "the browser on the loaded page")
    browsed.type("tuple")
    browsed.wait(lambda: browsed.keys == ["('tuple', 3)"], "what was searched")


def seen(cell) -> str:
    """What a reader sees below a cell: not what is hidden."""
    return cell.js(
        "return [...cell.outputArea.node.children].filter(one => one.offsetParent).map(one => one.innerText).join('\\n')"
    )


def test_a_card_stays_when_the_kernel_has_ended(notebook, browsed):
    assert "Statistics" not in seen(browsed.cell)
    saved = notebook.save()
    first, second = saved["cells"][1]["outputs"]
    assert set(first["data"]) == {"text/html", "text/plain"} < set(second["data"])
    notebook.restart()
    notebook.reload()
    notebook.wait(lambda: "63 entries" in seen(browsed.cell), "the card on the loaded page")
    # JupyterLab looks for the widget for a while before it gives up.
    notebook.wait(
        lambda: "Error displaying widget" in browsed.cell.js("return cell.outputArea.node.textContent"), "the error"
    )
    assert "Error" not in seen(browsed.cell)
    assert "Statistics" in seen(browsed.cell)
    notebook.screenshot("browse_card")


def test_who_does_not_trust_the_notebook_sees_the_card(lab, notebook, browsed):
    document = notebook.save()
    card = document["cells"][1]["outputs"][0]["data"]
    card["text/html"] = "".join(card["text/html"]).replace("63 entries", "64 entries")
    other = lab.open("untrusted-browser", document)
    cell = other.cell(1)
    other.wait(lambda: "64 entries" in seen(cell), "the card")
    assert not cell.js("return cell.model.trusted")
    assert "Error" not in seen(cell)
    assert "To search, page and delete, run this cell." in seen(cell)
    other.screenshot("browse_untrusted")
    other.close()
