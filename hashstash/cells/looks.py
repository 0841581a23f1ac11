"""How a value looks, without showing it."""

from __future__ import annotations

import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

from hashstash.cells.widgets import WIDGET_VIEW, shows_widget
from hashstash.leaving import always_left

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.cells.shell import Shell


def mime_bundle(shell: Shell, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """How the shell shows *value*: data by mime type, and metadata. Nothing is shown, also of a value that shows itself."""
    shown: list[tuple[dict[str, Any], dict[str, Any]]] = []
    with _caught(shell.display_pub, shown):
        data, metadata = shell.display_formatter.format(value)
    if not data:
        data, metadata = shown[-1] if shown else ({"text/plain": repr(value)}, {})
    return static_data(data), metadata


@always_left
def _caught(publisher: Any, shown: list[tuple[dict[str, Any], dict[str, Any]]]) -> Iterator[None]:
    """Within: what is published goes into the list, and nowhere else; what is printed is lost."""

    def publish(
        data: dict[str, Any], metadata: dict[str, Any] | None = None, *_more: object, **_keywords: object
    ) -> None:
        shown.append((dict(data), dict(metadata or {})))

    own, stdout, stderr = vars(publisher).get("publish"), sys.stdout, sys.stderr
    try:
        publisher.publish = publish
        sys.stdout, sys.stderr = StringIO(), StringIO()
        yield
    finally:  # without calls, which an interrupt could follow
        sys.stdout, sys.stderr = stdout, stderr
        if own is not None:
            publisher.publish = own
        elif "publish" in publisher.__dict__:
            del publisher.publish


def static_data(data: dict[str, Any]) -> dict[str, Any]:
    """Without what only lives as long as its kernel: a widget keeps its text."""
    return {mime: content for mime, content in data.items() if mime != WIDGET_VIEW} if shows_widget(data) else data
