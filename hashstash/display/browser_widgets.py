"""The widgets of which ``stash.browse()`` consists, and how they look; :mod:`hashstash.display.browser` says what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.display.card import Card, Lines
from hashstash.display.html import html_of_card, visible
from hashstash.errors import MissingDependency

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashstash.display.chosen import Chosen

_CLASS = "hashstash-browser"
_TITLES = "hashstash-titles"
_CARD = "hashstash-browser-card"
_FONT = "var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace)"
# Of this widget only, by its class: nothing else can say how a list looks from which one chooses.
_STYLE = f"""<style>
.{_CLASS} select[size], .{_CLASS} .{_TITLES} {{font-family: {_FONT}; font-size: 12px; line-height: 18px}}
.{_CLASS} select[size] {{color: inherit; background: transparent; overflow: auto; padding: 0; width: 100%;
    box-sizing: border-box}}
.{_CLASS} select[size] option {{padding: 1px 6px}}
.{_CLASS} .{_TITLES} {{margin: 0; padding: 0 7px; white-space: pre; overflow: hidden; opacity: 0.65; color: inherit}}
.{_CLASS} table.dataframe {{margin: 0; border-collapse: collapse; font-size: 12px; line-height: 18px}}
.{_CLASS} table.dataframe :is(th, td) {{padding: 1px 18px 1px 0; text-align: left; white-space: nowrap}}
</style>"""
# The card is an output of its own before that of the widget, and a reader of JupyterLab sees one of them: without its kernel,
# nothing is left of a widget there but a line that says that there was an error.
_CARD_STYLE = f"""<style>
.jp-OutputArea-child:has(.{_CARD}):has(+ .jp-OutputArea-child .{_CLASS}) {{display: none}}
.jp-OutputArea-child:has(.{_CARD}) + .jp-OutputArea-child:not(:has(.{_CLASS})) {{display: none}}
</style>"""
_HINT = "search: words, size > 1 MB, age < 1d, tag: paper"
_NUMBERS = frozenset({"size", "age", "took", "version"})
_WRAPPED = {"flex_flow": "row wrap"}


class Parts:
    """All widgets, by what they are for; MissingDependency without the package that they come from."""

    def __init__(self, title: str, orders: Sequence[str]) -> None:
        w = _ipywidgets()
        narrow = {"width": "40px"}
        self.search = w.Text(placeholder=_HINT, layout={"flex": "1 1 240px", "width": "auto"})
        self.order = w.Dropdown(options=orders, value=orders[0], layout={"width": "170px"})
        self.refresh = w.Button(description="Refresh", tooltip="Read the stash anew", layout={"width": "90px"})
        self.titles = w.HTML()
        self.entries = w.Select(options=[], rows=1, layout={"width": "auto"})
        self.summary = w.HTML(layout={"flex": "1 1 auto"})
        self.first = w.Button(description="\u00ab", tooltip="First page", layout=narrow)
        self.previous = w.Button(description="\u2039", tooltip="Previous page", layout=narrow)
        self.next = w.Button(description="\u203a", tooltip="Next page", layout=narrow)
        self.last = w.Button(description="\u00bb", tooltip="Last page", layout=narrow)
        self.pager = w.HBox([self.first, self.previous, self.next, self.last])
        self.facts = w.HTML()
        self.version = w.Dropdown(
            options=[0], description="version", layout={"width": "170px"}, style={"description_width": "initial"}
        )
        self.show_value = w.Button(description="Show value", tooltip="Decode the value, however large it is")
        self.delete = w.Button(description="Delete\u2026", tooltip="Remove this entry from the stash")
        self.question = w.HTML()
        self.confirm = w.Button(description="Delete for good", button_style="danger")
        self.keep = w.Button(description="Keep")
        self.asking = w.VBox([self.question, w.HBox([self.confirm, self.keep])])
        self.value = w.HTML()
        actions = w.HBox([self.version, self.show_value, self.delete], layout=_WRAPPED)
        self.detail = w.VBox([self.facts, actions, self.asking, self.value])
        top = w.HBox([self.search, self.order, self.refresh], layout=_WRAPPED)
        below = w.HBox([self.summary, self.pager], layout=_WRAPPED)
        heading = w.HTML(_STYLE + html_of_card(Card("Browser", title)))
        self.whole = w.VBox([heading, top, self.titles, self.entries, below, self.detail])
        self.whole.add_class(_CLASS)

    def fill(
        self, titles: Sequence[str], rows: Sequence[Sequence[str]], addresses: Sequence[bytes], chosen: bytes | None
    ) -> None:
        """Show *rows*, which can be chosen by their *addresses*, as one is perhaps."""
        head, *lines = _aligned(titles, rows)
        self.titles.value = f'<pre class="{_TITLES}">{visible(head)}</pre>' if lines else ""
        shown = [line.replace(" ", "\u00a0") for line in lines]  # lists show several blanks as one
        with self.entries.hold_sync():  # a page must not see a list of which the first one is chosen for a moment
            self.entries.options = tuple(zip(shown, addresses, strict=True))
            self.entries.rows = max(2, len(lines))
            self.entries.index = addresses.index(chosen) if chosen in addresses else None
        show(self.entries, bool(lines))

    def close(self) -> None:
        """Remove them all."""
        for widget in _all_in(self.whole):
            widget.close()


def _ipywidgets() -> Any:
    try:
        import ipywidgets
    except ImportError as missing:
        raise MissingDependency(
            "stash.browse() needs the package 'ipywidgets': pip install 'hashstash[notebook]'; stash.entries() does without"
        ) from missing
    return ipywidgets


def _all_in(widget: Any) -> list[Any]:
    return [widget, *(part for child in getattr(widget, "children", ()) for part in _all_in(child))]


def show(widget: Any, is_shown: bool) -> None:
    """Let *widget* be seen, or not."""
    widget.layout.display = None if is_shown else "none"


def is_shown(widget: Any) -> bool:
    """Whether :func:`show` lets it be seen."""
    return bool(widget.layout.display != "none")


def html_of_value(chosen: Chosen) -> str:
    """The head of a value, or why it is not there."""
    preview = chosen.preview
    if preview is None:
        return html_of_card(Card("Value", notes=[chosen.words])) if chosen.words else ""
    if preview.html:
        return html_of_card(Card("Value", preview.kind)) + f'<div style="overflow-x:auto">{preview.html}</div>'
    return html_of_card(Card("Value", preview.kind, body=Lines(preview.lines, preview.more)))


def html_of_still(card: str, advice: str) -> str:
    """The *card* that is seen where the widget, the next output, is not."""
    return f'<div class="{_CARD}">{_CARD_STYLE}{card}{html_of_card(Card("", facts=[advice]))}</div>'


def _aligned(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A line of titles and one for each row; numbers by their ends."""
    lines = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides = [str.rjust if title in _NUMBERS else str.ljust for title in titles]
    return ["   ".join(map(_padded, line, widths, sides)).rstrip() for line in lines]


def _padded(cell: str, width: int, side: Callable[[str, int], str]) -> str:
    return side(cell, width)
