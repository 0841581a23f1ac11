"""How a value looks, without showing it."""

from __future__ import annotations

from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

from hashstash.cells.widgets import WIDGET_VIEW, shows_widget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.cells.shell import Shell


def mime_bundle(shell: Shell, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """How the shell shows *value*: data by mime type, and metadata. Nothing is shown, also of a value that shows itself."""
    shown: list[tuple[dict[str, Any], dict[str, Any]]] = []
    with _caught(shell.display_pub, shown), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        data, metadata = shell.display_formatter.format(value)
    if not data:
        data, metadata = shown[-1] if shown else ({"text/plain": repr(value)}, {})
    return static_data(data), metadata


@contextmanager
def _caught(publisher: Any, shown: list[tuple[dict[str, Any], dict[str, Any]]]) -> Iterator[None]:
    """Within: what is published goes into the list, and nowhere else."""
    own = vars(publisher).get("publish")
    publisher.publish = lambda data, metadata=None, *_more, **_keywords: shown.append(
        (dict(data), dict(metadata or {}))
    )
    try:
        yield
    finally:
        if own is None:
            del publisher.publish
        else:
            publisher.publish = own


def static_data(data: dict[str, Any]) -> dict[str, Any]:
    """Without what only lives as long as its kernel: a widget keeps its text."""
    return {mime: content for mime, content in data.items() if mime != WIDGET_VIEW} if shows_widget(data) else data
