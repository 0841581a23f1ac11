"""Bars in a notebook: a display that is updated in place, of plain HTML without scripts, ids and colours of its own.

What is saved with the notebook is the state at that moment, as HTML and as text, whoever executes it and whoever shows it.

A widget is there for who asks for one, and is not the first choice. In JupyterLab, a page that is loaded again while a cell
runs shows "model not found" in its place, and so does a notebook that was saved then once its kernel is gone. Where the cell
is over and work goes on behind it, the widget goes on after loading too, but leaves nothing when it is closed.
"""

from __future__ import annotations

import logging
import secrets
import sys
import threading
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashstash.display.progress_view import View

logger = logging.getLogger(__name__)

OUR_MARK = {"hashstash": {"progress": "running"}}
"""Metadata of every state but the first and the last: what records a cell's output leaves marked displays out."""
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_REFRESH_SECONDS = 5.0
"""How old HTML and text beside a widget may be."""
_FAILED = "#d9534f"


class NoNotebook(RuntimeError):
    """There is no shell that could display anything."""


def running_shell() -> Any:
    """IPython's shell if there is one in this process, else ``None``; IPython is not imported for that."""
    module = sys.modules.get("IPython")
    get_ipython = getattr(module, "get_ipython", None)
    return get_ipython() if get_ipython is not None else None


class NotebookPainter:
    """One display, replaced as a whole; while the work runs a widget may stand in for it."""

    def __init__(self, *, uses_widget: bool = False) -> None:
        self._display_id = secrets.token_hex(8)
        self._uses_widget = uses_widget
        self._shell: Any = None
        self._widget: Any = None
        self._published_at = 0.0

    def open(self, view: View) -> None:
        """Display *view* where the cell's output is now."""
        self._shell = running_shell()
        if self._shell is None:
            raise NoNotebook("there is no IPython shell in this process")
        if self._uses_widget:
            self._widget = _widget(markup(view))
        self._publish(view)

    def paint(self, view: View) -> None:
        """Change the widget, or replace what is displayed."""
        if self._widget is not None:
            try:
                self._widget.value = markup(view)
                if view.elapsed - self._published_at < _REFRESH_SECONDS:
                    return
            except Exception:  # its connection to the front end is foreign code
                logger.debug("the widget of a progress bar broke; it goes on as HTML", exc_info=True)
                self._widget = None
        self._publish(view, OUR_MARK, update=True)

    def finish(self, view: View) -> None:
        """Replace what is displayed by HTML and text, for good."""
        widget, self._widget = self._widget, None
        self._publish(view, update=True)
        if widget is not None:
            widget.close()
        if threading.current_thread() is not threading.main_thread():
            self._repeat_in_next_cell(view)

    def _repeat_in_next_cell(self, view: View) -> None:
        """Show *view* once more: who executes notebooks, as nbconvert does, hears nothing between two cells."""
        events = self._shell.events

        def repeat(_info: Any = None) -> None:
            events.unregister("pre_run_cell", repeat)
            try:
                self._publish(view, update=True)
            except Exception:  # a front end is foreign code, and must not break the cell
                logger.debug("the end of a progress bar could not be shown again", exc_info=True)

        events.register("pre_run_cell", repeat)

    def _publish(self, view: View, metadata: dict[str, Any] | None = None, *, update: bool = False) -> None:
        data: dict[str, Any] = {"text/plain": view.text(), "text/html": markup(view)}
        if self._widget is not None:
            data[WIDGET_VIEW] = {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}
        self._published_at = view.elapsed
        transient = {"display_id": self._display_id}
        self._shell.display_pub.publish(data, metadata or {}, transient=transient, update=update)


def _widget(content: str) -> Any:
    """A widget that shows *content*; ``None`` where none can be made."""
    try:
        import ipywidgets

        return ipywidgets.HTML(content)
    except Exception:  # not installed, or its connection to the front end fails, which is foreign code
        logger.debug("no widget for a progress bar; it is shown as HTML", exc_info=True)
        return None


def markup(view: View) -> str:
    """*view* as HTML: one line of text, which is enough where styles are taken away, and the bar below it."""
    words = ", ".join([f"<b>{view.count()}</b>", *map(escape, view.facts())])
    return f"<div>{escape(view.heading())}{words}{_bar(view)}</div>"


def _bar(view: View) -> str:
    """One box for each kind of item; nothing where nobody knows how many there will be.

    Borders take the colour of the text by themselves, in light and in dark. JupyterLab takes ``currentColor`` out of
    notebooks that it does not trust.
    """
    tally = view.tally
    if tally.total is None and view.state == "running":
        return ""
    whole = max(tally.total or 0, tally.done + tally.running)
    if not whole:
        return ""
    parts = [(tally.cached, "opacity:0.4"), (tally.computed, "opacity:0.8"), (tally.failed, f"border-color:{_FAILED}")]
    if view.state == "running":
        parts.append((tally.running, "opacity:0.2"))
    parts.append((whole - sum(count for count, _ in parts), "opacity:0.1"))
    boxes = [
        f'<div style="width:{100 * count / whole:.4g}%;border-top:6px solid;{look}"></div>'
        for count, look in parts
        if count > 0
    ]
    style = "display:flex;height:6px;max-width:480px;margin:4px 0;border-radius:3px;overflow:hidden"
    return f'<div style="{style}">{"".join(boxes)}</div>'
