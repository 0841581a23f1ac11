"""What a cell showed, shown again in the same order, through the same streams and publishers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from hashstash.cells.capture import SAFE_MIMES, StoredResult, flush_streams
from hashstash.cells.looks import static_data
from hashstash.wording import without_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashstash.cells.capture import Event
    from hashstash.cells.shell import Shell


def replay(
    shell: Shell, events: Iterable[Event], *, is_trusted: bool, show_value: Callable[[bool], None] | None = None
) -> int:
    """Show recorded events again, in order; return how many displays were left out because nobody trusts them.

    ``show_value()`` displays the last value, if that is not left to the caller: at its place, else at the end. It is told
    whether what was shown before is all that there is to see of it.
    """
    hidden = 0
    last = ""
    try:
        for kind, *content in events:
            if kind == "stream":
                name, text = content
                if last not in ("", name):
                    flush_streams()  # at each change, as when they were written; displays flush by themselves
                last = name
                (sys.stdout if name == "stdout" else sys.stderr).write(text if is_trusted else without_commands(text))
            elif kind == "value":
                value, show_value = show_value, None
                if value is not None:
                    value(bool(content))
            else:
                hidden += _show_again(shell, kind, content, is_trusted=is_trusted)
    finally:
        if show_value is not None:
            show_value(False)
    return hidden


def parted(events: list[Event]) -> tuple[list[Event], list[Event]]:
    """What was shown before the last value, and what behind it."""
    place = next((place for place, event in enumerate(events) if event[0] == "value"), len(events))
    return events[:place], events[place + 1 :]


def _show_again(shell: Shell, kind: str, content: list[Any], *, is_trusted: bool) -> bool:
    """Show one event that is no text; returns whether something of it was left out."""
    if kind == "display":
        data, metadata, transient, is_update = content
        shown = showable(data, is_trusted=is_trusted)
        if shown:
            _publish(shell, shown, metadata, transient, is_update=is_update)
        return len(shown) < len(static_data(data))
    if kind == "clear":
        shell.display_pub.clear_output(wait=content[0])
    elif kind == "payload":
        payload = content[0] if is_trusted else _safe_page(content[0])
        if payload:
            shell.payload_manager.write_payload(payload)
        return bool(payload != content[0])
    elif kind == "result":
        sys.displayhook(StoredResult(showable(content[0], is_trusted=is_trusted), content[1]))
    return False


def _publish(shell: Shell, data: Any, metadata: Any, transient: dict[str, Any], *, is_update: bool) -> None:
    extras: dict[str, Any] = {"transient": transient} if transient else {}
    if is_update:
        extras["update"] = True
    shell.display_pub.publish(data, metadata, **extras)


def _safe_page(payload: dict[str, Any]) -> dict[str, Any]:
    """What a stranger may show in the pager; nothing of his goes into a cell."""
    data = showable(payload.get("data") or {}, is_trusted=False)
    return {"source": "page", "data": data, "start": 0} if payload.get("source") == "page" and data else {}


def showable(data: dict[str, Any], *, is_trusted: bool) -> dict[str, Any]:
    data = static_data(data)
    if is_trusted:
        return data
    safe = {mime: content for mime, content in data.items() if mime in SAFE_MIMES}
    if isinstance(safe.get("text/plain"), str):
        safe["text/plain"] = without_commands(safe["text/plain"])
    return safe
