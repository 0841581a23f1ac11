"""Cards as a reader of JupyterLab sees them: light and dark, in notebooks that are trusted and in others, folded and unfolded."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WORK = """
from hashstash import HashStash
from hashstash.display import survey
survey.PATIENCE = 120  # however much else the machine does

stash = HashStash("experiments", append_mode=True, ttl="7d")
stash.put({"model": "ridge", "alpha": 0.5}, {"accuracy": 0.9}, meta={"note": "<b>best</b>"}, tags=["paper"], seconds=12.3)
stash["<script>document.body.dataset.broken = 'yes'</script>"] = 1
stash["long " + "x" * 5000] = 2
stash["run"] = {"a": 1}
stash["run"] = {"a": 2, "b": [1, 2]}
stash["run"], stash.get("nothing")

def predict(x, scale=1):
    return x * scale

predictions = stash.stashed_result(predict)
mapped = stash.map(predict, range(12), num_proc=1, progress=False)
mapped.wait()
results = [predictions(number, scale="<i>" * number) for number in range(7)]

gone = HashStash("gone", engine="sqlite")
away = HashStash("redis://127.0.0.1:1/away") if with_redis else gone
"""
THINGS = {
    "stash": "stash",
    "function": "predictions.stash",
    "map": "mapped",
    "run": "mapped.runs[0]",
    "entries": "stash.entries()",
    "entry": "stash.info({'model': 'ridge', 'alpha': 0.5})",
    "stats": "stash.stats",
    "versions": "stash.versions('run')",
    "diff": "stash.diff('run')",
    "check": "stash.check()",
    "explain": "predictions.explain(99)",
    "cache_info": "predictions.cache_info()",
    "gone": "gone",
    "away": "away",
}
SHOW = f"from IPython.display import display\nfor thing in ({', '.join(THINGS.values())}):\n    display(thing)"
SOME = "for thing in (stash, predictions.stash, mapped, away):\n    display(thing)"


def start(notebook) -> None:
    """Fill a stash, and what else there is to show."""
    from importlib.util import find_spec

    notebook.run(f"with_redis = {find_spec('redis') is not None}")
    cell = notebook.run(WORK)
    assert "Error" not in cell.text
    notebook.run("from IPython.display import display")


def unfold(cell) -> None:
    """Open every section by a click on its title, as a reader does."""
    cell.js("cell.outputArea.node.querySelectorAll('details:not([open]) > summary').forEach(title => title.click())")
    cell.notebook.wait(
        lambda: cell.js("return !cell.outputArea.node.querySelector('details:not([open])')"), "the open sections"
    )


def colours_of(cell) -> list[str]:
    """The colours of all text below *cell*."""
    return cell.js(
        """
        const colours = new Set(), walker = document.createTreeWalker(cell.outputArea.node, NodeFilter.SHOW_TEXT);
        while (walker.nextNode())
            if (walker.currentNode.textContent.trim() && walker.currentNode.parentElement.closest('.jp-RenderedHTML'))
                colours.add(getComputedStyle(walker.currentNode.parentElement).color);
        return [...colours];
        """
    )


def text_colour(cell) -> str:
    """The colour of text below the cell as the page has it."""
    return cell.js("return getComputedStyle(cell.outputArea.node.querySelector('.jp-RenderedHTML')).color")


def overflowing(cell) -> list[str]:
    """What reaches beyond the right end of the cell's output, without a bar to scroll it."""
    return cell.js(
        """
        const end = cell.outputArea.node.getBoundingClientRect().right + 1, found = [];
        for (const element of cell.outputArea.node.querySelectorAll('.jp-RenderedHTML *')) {
            let box = element;
            while (box && getComputedStyle(box).overflowX !== 'auto') box = box.parentElement.closest('.jp-RenderedHTML *');
            if (!box && element.getBoundingClientRect().right > end) found.push(element.outerHTML.slice(0, 80));
        }
        return found;
        """
    )


def picture(notebook, cell, name: str) -> None:
    """A picture of what stands below *cell*."""
    cell.js("cell.outputArea.node.scrollIntoView({block: 'start'})")
    notebook.screenshot(name)


@pytest.fixture
def tall(lab):
    """A window in which long cards can be seen as a whole."""
    size = lab.driver.get_window_size()
    lab.driver.set_window_size(1100, 2000)
    yield
    lab.driver.set_window_size(size["width"], size["height"])


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_every_card_is_written_in_the_colours_of_the_notebook(notebook, theme, tall):
    notebook.theme(theme)
    try:
        start(notebook)
        for name, code in THINGS.items():
            cell = notebook.run(code)
            assert "text/html" in cell.outputs[0]["data"], name
            unfold(cell)
            assert colours_of(cell) == [text_colour(cell)], name
            assert overflowing(cell) == [], name
        picture(notebook, notebook.cell(3), f"cards_{theme.lower()}_1")
        picture(notebook, notebook.cell(7), f"cards_{theme.lower()}_2")
        picture(notebook, notebook.cell(13), f"cards_{theme.lower()}_3")
        assert notebook.js("return document.body.dataset.broken") is None
    finally:
        notebook.theme("Light")


def test_sections_are_folded_until_somebody_opens_them(notebook):
    start(notebook)
    cell = notebook.run("stash")
    assert "Settings" in cell.text
    assert "durability" not in cell.text
    picture(notebook, cell, "cards_folded")
    unfold(cell)
    assert "durability" in cell.text


def test_a_card_in_a_notebook_that_is_not_trusted(lab, tall):
    """JupyterLab takes out of it what it does not know; the words, the tables and the sections stay."""
    first = lab.open("cards")
    start(first)
    first.run(SOME)
    document = first.save()
    first.close()
    outputs = document["cells"][-1]["outputs"]
    for output in outputs:
        output["data"]["text/html"] = "".join(output["data"]["text/html"]).replace("hashstash + ", "hashstash with ")
    other = lab.open("cards-of-others", document)
    cell = other.cell(len(document["cells"]) - 1)
    other.wait(lambda: "hashstash with " in cell.text, "the cards")
    assert not cell.js("return cell.model.trusted")
    unfold(cell)
    assert colours_of(cell) == [text_colour(cell)]
    assert overflowing(cell) == []
    assert cell.js("return getComputedStyle(cell.outputArea.node.querySelector('td')).textAlign") == "left"
    assert "predict(6, scale='<i><i><i><i><i><i>')" in cell.text
    picture(other, cell, "cards_untrusted")
    other.close()


def test_a_card_whose_styles_were_taken_away(lab, tmp_path):
    """GitHub shows it like that: every word is there, and sections unfold."""
    import re

    notebook = lab.open("bare-cards")
    start(notebook)
    outputs = notebook.run(SOME).outputs
    markup = "".join("".join(output["data"]["text/html"]) for output in outputs)
    notebook.close()
    page = tmp_path / "bare.html"
    page.write_text(f"<meta charset='utf-8'><body>{re.sub(' style=.[^>]*', '', markup)}", encoding="utf-8")
    lab.driver.get(page.as_uri())
    body = "return document.body.innerText"
    folded = lab.driver.execute_script(body)
    lab.driver.execute_script(
        "document.querySelectorAll('details:not([open]) > summary').forEach(title => title.click())"
    )
    lab.wait(lambda: "durability" in lab.driver.execute_script(body), "the open sections")
    unfolded = lab.driver.execute_script(body)
    lab.screenshot("cards_bare")
    assert "LMDBHashStash" in folded or "PairtreeHashStash" in folded
    assert "durability" not in folded
    assert "predict(6, scale='<i><i><i><i><i><i>')" in unfolded
