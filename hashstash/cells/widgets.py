"""Widgets that a cell displayed: they live as long as their kernel, and leave a text."""

from __future__ import annotations

import sys
from html import unescape
from typing import Any

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def shows_widget(data: dict[str, Any]) -> bool:
    """Whether this displays a widget, live or dead. A cell may publish under that name what is no view of one."""
    return isinstance(data.get(WIDGET_VIEW), dict)


def _model_of(data: dict[str, Any]) -> str | None:
    view = data.get(WIDGET_VIEW)
    model = view.get("model_id") if isinstance(view, dict) else None
    return model if isinstance(model, str) else None


def _widget_of(data: dict[str, Any]) -> Any:
    """The live widget behind a display, or ``None``."""
    widgets = sys.modules.get("ipywidgets.widgets.widget")
    known = getattr(widgets, "_instances", None) or getattr(getattr(widgets, "Widget", None), "widgets", {})
    return known.get(_model_of(data))


def is_live(data: dict[str, Any]) -> bool:
    """Whether this displays a widget that is more than a progress bar."""
    return shows_widget(data) and not type(_widget_of(data)).__module__.startswith(("tqdm.", "hashstash."))


def last_text(data: dict[str, Any]) -> str:
    """How a widget looks now, as text: a progress bar as it ended."""
    widget = _widget_of(data)
    first = str(data.get("text/plain", ""))
    if widget is None:
        return first
    try:
        return repr(widget)
    except ReferenceError:  # the bar itself is gone, the texts beside it are not
        texts = [
            unescape(str(part.value)).strip() for part in widget.children if type(part).__name__.startswith("HTML")
        ]
        return " ".join(filter(None, texts)) or first
