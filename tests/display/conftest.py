"""What the tests of cards share: reading HTML as strictly as a careful site does."""

import html.parser
import re

import pytest

from hashstash.display import survey

TAGS = {"div", "b", "span", "samp", "pre", "details", "summary", "table", "thead", "tbody", "tr", "th", "td"}
STYLES = {
    *(
        "margin",
        "padding",
        "padding-left",
        "line-height",
        "text-align",
        "vertical-align",
        "overflow-wrap",
        "overflow-x",
        "min-width",
    ),
    *(
        "opacity",
        "border-left",
        "border-collapse",
        "width",
        "font-size",
        "font-weight",
        "white-space",
        "cursor",
        "color",
    ),
    "background",
}


class Page(html.parser.HTMLParser):
    """A card that was read: its text, and its texts by tag. Whatever does not belong on a card fails the test."""

    def __init__(self, markup):
        super().__init__(convert_charrefs=True)
        self.markup, self.open, self.pieces, self.elements = markup, [], [], []
        self.feed(markup)
        self.close()
        assert self.open == []
        assert all(char.isprintable() or char == "\n" for char in markup)

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS
        assert {name for name, _ in attrs} <= ({"style", "open"} if tag == "details" else {"style"})
        for style in (value for name, value in attrs if name == "style"):
            _check_style(style)
        self.elements.append([tag, ""])
        self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.pieces.append(data)
        for element in self.open:
            element[1] += data

    def handle_comment(self, data):
        pytest.fail(f"a comment: {data}")

    handle_decl = handle_pi = unknown_decl = handle_comment

    @property
    def by_tag(self):
        """The text in each element, by its tag."""
        found = {}
        for tag, text in self.elements:
            found.setdefault(tag, []).append(text)
        return found

    @property
    def text(self):
        """All of it, with blanks between its pieces."""
        return " ".join(self.pieces)

    def has(self, words):
        """Whether these words are there, whatever stands between the pieces."""
        return words in re.sub(r"\s+", " ", self.text)

    @property
    def sections(self):
        """The titles of the sections."""
        return [title.partition(" \u00b7 ")[0] for title in self.by_tag.get("summary", [])]


def _check_style(style):
    for part in style.split(";"):
        name, value = (word.strip() for word in part.split(":"))
        assert name in STYLES
        assert name != "color" or value == "inherit"
        assert name != "background" or value == "none"
        assert "url" not in value
        assert "#" not in value


@pytest.fixture
def page_of():
    """A callable that reads what is shown of a thing in a notebook."""
    return lambda thing: Page(thing._repr_html_())


@pytest.fixture
def read():
    """A callable that reads HTML."""
    return Page


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """However much else the machine does, storages answer in time; tests of those that do not set less."""
    monkeypatch.setattr(survey, "PATIENCE", 120.0)
    monkeypatch.setattr(survey, "_MOST_SECONDS", 120.0)
    return lambda seconds: monkeypatch.setattr(survey, "PATIENCE", seconds)
