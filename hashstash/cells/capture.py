"""What a cell shows, recorded while it is shown, and shown again in the same order.

An event is plain data: ``["stream", name, text]``, ``["display", data, metadata, transient, is_update]``, ``["clear",
wait]``, ``["payload", data]`` for what goes to the pager or into the next cell, ``["result", data, metadata]`` for a value
that the cell displayed before its last line, or ``["value"]`` where the shell displayed the last value; without that one, it
comes after everything else. Writes and publications are heard on the
objects that are already there, never by swapping them, so that log handlers made long ago are heard too.
"""

from __future__ import annotations

import sys
import threading
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from hashstash.cells.bounds import MAX_OUTPUT, Bounds
from hashstash.cells.looks import mime_bundle, static_data
from hashstash.cells.pipes import Pipe
from hashstash.cells.shell import when_cell_is_over
from hashstash.cells.widgets import is_live, last_text, shows_widget
from hashstash.leaving import always_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.cells.shell import Shell
    from hashstash.leaving import Block

Event = list[Any]
SAFE_MIMES = frozenset({"text/plain", "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"})
"""What may be shown of a record that a stranger wrote: text and raster images."""

_FORMATTING = "formatting"
"""An event of which a record knows nothing: from here to the next result a value is asked how it looks."""
_PAYLOADS = frozenset({"page", "set_next_input"})
_OF_FRONT_ENDS = ("application/vnd.vscode.bg.execution",)
"""How types begin under which code of a front end's own answers it, from threads that run beside the cell."""


class StoredResult:
    """Stands for a last value that could not be stored: it looks as the value did."""

    def __init__(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        self.data = data
        self.metadata = metadata

    def __repr__(self) -> str:
        return str(self.data.get("text/plain", "<a result that could not be stored>"))

    def _repr_mimebundle_(self, **_wanted: object) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.data, self.metadata

    @always_left
    def hidden(self) -> Iterator[None]:
        """Within: it shows nothing when it is displayed, since what it showed has been shown."""
        self._ipython_display_ = _show_nothing
        try:
            yield
        finally:
            del self._ipython_display_


def _show_nothing() -> None:
    pass


class Recorder:
    """Records the events of a cell between ``with`` and its end; ``events`` grows while the cell runs."""

    def __init__(self, shell: Shell, limit: int = MAX_OUTPUT) -> None:
        self.shell = shell
        self.events: list[Event] = []
        self._bounds = Bounds(self.events, limit)
        self.unheard: list[str] = []
        """What could not be listened to, so that the recording would lack it."""
        self._undo: list[Callable[[], None]] = []
        self._pipes: list[Pipe] = []
        self._ends_with_value = False
        self._held: list[Callable[[], Any]] | None = None
        self._paused = threading.local()  # a bar publishes in a thread of its own while the cell prints

    def __enter__(self) -> Self:
        _recording.append(self)
        for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
            self._pipes.append(Pipe(stream))
            self._listen(stream, "write", partial(self._tee, name))
        self._listen(self.shell.display_pub, "publish", self._tee_publish)
        self._listen(self.shell.display_pub, "clear_output", self._tee_clear)
        self._listen(getattr(self.shell, "payload_manager", None), "write_payload", self._tee_payload)
        hook = getattr(self.shell, "displayhook", None)
        if hook is not None and sys.displayhook is hook:
            self._listen(hook, "compute_format_data", self._tee_format)
            self._listen(sys, "displayhook", self._tee_display)
        else:
            self._listen(sys, "displayhook", self._tee_result)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self in _recording:
            _recording.remove(self)
        while self._undo:
            self._undo.pop()()

    def finish(self, *, is_value_shown: bool = True) -> None:
        """Take in what belongs to the cell and has not appeared yet: inline figures, the output of child processes.

        If the last value is not shown yet, since whoever runs this cell gets it, figures appear after that.
        """
        for pipe in self._pipes:
            pipe.drain()
        for event in self.events:
            if event[0] == "display" and shows_widget(event[1]) and "text/html" not in event[1]:
                event[1]["text/plain"] = last_text(event[1])
        inline = sys.modules.get("matplotlib_inline.backend_inline")
        if inline is not None and inline.flush_figures in self.shell.events.callbacks["post_execute"]:
            if is_value_shown or is_recorded_elsewhere(self):
                inline.flush_figures()
            else:
                self._flush_later(inline.flush_figures)

    def _flush_later(self, flush: Callable[[], None]) -> None:
        """Record the figures behind the value, and show them when the shell has shown that."""
        self.events.append(["value"])
        held: list[Callable[[], Any]] = []
        self._held = held
        try:
            flush()
        finally:
            self._held = None
        if held:
            when_cell_is_over(self.shell, held)
        else:
            self.events.remove(["value"])

    def _listen(self, owner: Any, name: str, wrapped: Callable[[Any], Callable[..., Any]]) -> None:
        original = getattr(owner, name, None)
        if owner is None:
            return
        try:
            had_own = name in vars(owner)
            setattr(owner, name, wrapped(original))
        except (AttributeError, TypeError):  # somebody's own stream, without attributes
            self.unheard.append(f"{type(owner).__name__}.{name}")
            return

        def undo() -> None:
            if had_own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)

        self._undo.append(undo)

    def _pause(self) -> Block[None]:
        """Within: what one event causes is not a second event (a terminal prints what is published)."""
        return self._set_paused(True)

    @always_left
    def _set_paused(self, is_paused: bool, /) -> Iterator[None]:
        outer = self._is_paused()
        self._paused.here = is_paused
        try:
            yield
        finally:
            self._paused.here = outer

    def _is_paused(self) -> bool:
        return getattr(self._paused, "here", False)

    def _add(self, event: Event) -> None:
        if self._is_paused():
            return
        if event[0] == "stream":
            event[2] = self._bounds.text(event[2])
        last = self.events[-1] if self.events else None
        is_more = last is not None and event[0] == "stream" and last[:2] == event[:2]
        if last is not None and is_more and not self._bounds.is_piece_full():
            last[2].append(event[2])
        else:
            if last is not None and is_more:
                last[2][:] = ["".join(last[2])]
            self._bounds.begins()
            self.events.append([*event[:2], [event[2]]] if event[0] == "stream" else event)
        self._bounds.grew(event)

    def recorded(self, *, is_value_kept: bool = True) -> list[Event]:
        """The events so far, as plain data; the last value itself will be there again, or only how it looked."""
        found: list[Event] = []
        events = self._bounds.noted()
        for event in _with_value(events, is_kept=is_value_kept) if self._ends_with_value else events:
            if event[0] == _FORMATTING:
                continue
            if event[0] != "stream":
                found.append(event)
            elif found and found[-1][:2] == event[:2]:
                found[-1][2].extend(event[2])
            else:
                found.append([*event[:2], list(event[2])])
        return [[*event[:2], "".join(event[2])] if event[0] == "stream" else event for event in found]

    def _tee(self, name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def tee(text: str, *arguments: Any) -> Any:
            if self.events and self.events[-1][0] == "stream" and self.events[-1][1] != name:
                flush_streams()  # they are buffered apart: flushed at each change, they keep their order
            written = write(text, *arguments)
            self._add(["stream", name, text.replace("\r\n", "\n")])
            return written

        return tee

    def _tee_publish(self, publish: Callable[..., Any]) -> Callable[..., Any]:
        def tee(data: Any, metadata: Any = None, *arguments: Any, **keywords: Any) -> Any:
            event = self._display(data, metadata, keywords)  # as it is now, and noted if the publisher takes it
            publication = partial(publish, data, metadata, *arguments, **keywords)
            published = None
            if self._held is None:
                published = self._published(publication)
            else:
                self._held.append(publication)
            if event is not None:
                self._add(event)
            return published

        return tee

    def _published(self, publication: Callable[[], Any]) -> Any:
        with self._pause():
            return publication()

    def _display(self, data: Any, metadata: Any, keywords: dict[str, Any]) -> Event | None:
        """The event of a publication; ``None`` for what is ours or a front end's, and for what every publisher refuses."""
        metadata = {} if metadata is None else metadata
        if self._is_paused() or not isinstance(data, dict) or not isinstance(metadata, dict):
            return None
        if metadata.get("hashstash") or any(str(mime).startswith(_OF_FRONT_ENDS) for mime in data):
            return None
        transient = keywords.get("transient")
        known = (
            {"display_id": transient["display_id"]} if isinstance(transient, dict) and "display_id" in transient else {}
        )
        try:
            return ["display", self._bounds.data(_copied(data)), _copied(metadata), known, bool(keywords.get("update"))]
        except Exception:  # noqa: BLE001  the cell may publish anything, and it is the publisher who may complain
            self.unheard.append("publish, of what cannot be copied,")
            return None

    def _tee_clear(self, clear: Callable[..., Any]) -> Callable[..., Any]:
        def tee(wait: bool = False) -> Any:
            self._add(["clear", bool(wait)])
            with self._pause():
                return clear(wait)

        return tee

    def _tee_payload(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def tee(data: Any, *arguments: Any, **keywords: Any) -> Any:
            if isinstance(data, dict) and data.get("source") in _PAYLOADS:
                self._add(["payload", dict(data)])
            return write(data, *arguments, **keywords)

        return tee

    def _tee_format(self, compute: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A value of which the shell asks how it looks is one that it shows; what its ``repr`` prints is the cell's own."""

        def tee(value: Any) -> Any:
            with self._set_paused(False):
                self._add([_FORMATTING])
                data, metadata = compute(value)
                self._add(["result", static_data(data), metadata])
            return data, metadata

        return tee

    def _tee_display(self, display: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def tee(value: Any) -> Any:
            with self._pause():  # a terminal prints the value
                return display(value)

        return tee

    def _tee_result(self, display: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def tee(value: Any) -> Any:
            if value is not None:
                self._add(["result", *mime_bundle(self.shell, value)])
            with self._pause():
                return display(value)

        return tee

    def mark_value(self) -> None:
        """What was displayed last is the cell's own value."""
        self._ends_with_value = True

    def shows_images(self) -> bool:
        """Whether an image was displayed."""
        shown = (event[1] for event in self.events if event[0] in ("display", "result"))
        return any(str(mime).startswith("image/") for data in shown for mime in data)

    def shows_live_widgets(self) -> bool:
        """Whether a widget was displayed that is more than a progress bar: shown again, it would be dead."""
        return any(event[0] == "display" and is_live(event[1]) for event in self.events)


_recording: list[Recorder] = []


def is_recorded_elsewhere(recorder: Recorder | None = None) -> bool:
    """Whether what is shown now belongs to a cell that another recorder listens to."""
    return any(one is not recorder for one in _recording)


def _with_value(events: list[Event], *, is_kept: bool) -> list[Event]:
    """The events with a mark where the last value was displayed.

    What it showed while it was asked how it looks (a ``repr`` that prints) it shows again if it is there itself.
    """
    place = next((place for place in reversed(range(len(events))) if events[place][0] == "result"), None)
    if place is None:
        return events
    if not is_kept:
        showed_itself = not events[place][1]
        return [*events[:place], ["value", True] if showed_itself else ["value"], *events[place + 1 :]]
    asked = next((before for before in reversed(range(place)) if events[before][0] == _FORMATTING), place)
    return [*events[:asked], ["value"], *events[place + 1 :]]


def _copied(bundle: dict[str, Any]) -> dict[str, Any]:
    """The bundle as it is now, whatever the cell does afterwards with what it has published."""
    return {mime: deepcopy(part) if isinstance(part, dict | list) else part for mime, part in bundle.items()}


def flush_streams() -> None:
    """Send what was written so far."""
    sys.stdout.flush()
    sys.stderr.flush()
