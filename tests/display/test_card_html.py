"""The writer of cards: whatever the texts are, the HTML is sound, short, and in the colours around it."""

import re

import pytest

from hashstash.display.card import Card, Column, Facts, Grid, Lines, Section
from hashstash.display.html import MOST_CHARACTERS, MOST_ROWS, attempt, html_of_card, rendered

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onclick='alert(1)' x=\"",
    "entity": "&lt;b&gt; &amp; &nbsp;",
    "comment": "<!-- -->",
    "end": "</td></tr></table></details></div>",
    "lines": "one\ntwo\r\n\ttab",
    "terminal": "\x1b[31mred\x07\x00",
    "direction": "\u202eevil\u2066 \u200f\u200b",
    "half": "\ud800 half",
    "large": "x" * 1_000_000,
    "wide": "\U0001f600" * 5000,
}


def card_with(text):
    """A card in which every text is the same."""
    grid = Grid([Column(text), Column(text, is_number=True), Column(text, is_code=True)], [[text] * 3] * 2, 5)
    facts, lines = Facts([(text, text)] * 2), Lines([text] * 2)
    sections = [Section(text, body, text, is_open=True) for body in (grid, facts, lines)]
    return Card(text, text, [text] * 2, [text] * 2, grid, sections)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_text_is_only_text(read, text):
    page = read(html_of_card(card_with(text)))
    assert len(page.markup) < 60_000
    assert max(map(len, page.pieces)) <= 2 * MOST_CHARACTERS + 3  # two facts, or lines, stand together
    page.markup.encode()


def test_what_is_shown_is_what_was_written(read):
    page = read(html_of_card(card_with("<b>\"a\" & 'b'</b>")))
    assert page.by_tag["td"][0] == "<b>\"a\" & 'b'</b>"


def test_rows_are_bounded_and_the_others_counted(read):
    page = read(html_of_card(Card("x", body=Grid([Column("n")], [[str(n)] for n in range(5000)], more=7))))
    assert len(page.by_tag["tr"]) == MOST_ROWS + 1
    assert page.has("and 4,907 more")


def test_a_long_text_in_a_grid_may_have_several_lines_and_code_has_one():
    grid = Grid([Column("name"), Column("code", is_code=True)], [["n" * 60, "c" * 60], ["n", "c"]])
    styles = re.findall(r'<td style="([^"]*)"', html_of_card(Card("x", body=grid)))
    assert ["nowrap" in style for style in styles] == [False, True, True, True]


def test_facts_sections_notes_and_lines_are_bounded(read):
    many = Section("s", Facts([("a", "b")] * 5000))
    page = read(html_of_card(Card("x", notes=["n"] * 5000, body=Lines(["l"] * 5000), sections=[many] * 5000)))
    assert len(page.markup) < 1_000_000
    assert page.by_tag["pre"][0].endswith("\n...")


def test_a_grid_without_rows_is_no_table(read):
    assert "table" not in read(html_of_card(Card("x", body=Grid([Column("n")], [])))).by_tag


def test_sections_are_folded_unless_they_are_opened():
    folded = html_of_card(Card("x", sections=[Section("a", Facts([]))]))
    opened = html_of_card(Card("x", sections=[Section("a", Facts([]), is_open=True)]))
    assert ["<details>" in folded, "<details open>" in folded] == [True, False]
    assert ["<details>" in opened, "<details open>" in opened] == [False, True]


def test_without_its_styles_the_words_stand_in_the_same_order(read):
    """And apart from one another: what is told apart by colour or place has a mark, or an element of its own, between."""
    grid = Grid([Column("key")], [["k"]])
    card = Card("Kind", "name", ["one", "two"], ["mind this"], sections=[Section("Part", grid, "brief")])
    page = read(html_of_card(card))
    assert page.by_tag["div"][0] == "Kind nameone \u00b7 twomind thisPart \u00b7 briefkeyk"
    assert page.by_tag["div"][1] == "Kind name"


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "error, words", [(ValueError("bad thing"), "bad thing"), (KeyError(), "KeyError"), (Mute(), "Mute")]
)
def test_what_goes_wrong_is_said(error, words):
    def fail():
        raise error

    assert attempt(fail) == (None, words)


def test_an_interrupt_is_not_swallowed():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(interrupted)


def test_a_description_that_fails_is_a_card_that_says_so(read):
    def describe(subject):
        raise RuntimeError(f"no <b>{subject}</b>")

    page = read(rendered(describe)(3))
    assert page.has("int It cannot be shown: no <b>3</b>")
