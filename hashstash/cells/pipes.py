"""What goes to the file descriptors of a kernel: child processes and libraries in C write there.

It takes a way of its own, through a pipe and a thread that reads it, and arrives a moment late. To wait for exactly what was
written before, one has to know whether that thread has something in hand. So it is one of ours: what it takes from the pipe it
passes on while it holds a lock, and where nothing is in the pipe and nobody holds the lock, everything has arrived.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import logging
import os
import select
import threading
import time
from typing import Any
from weakref import WeakKeyDictionary

logger = logging.getLogger(__name__)

_MARK = "\x1b[0;0;0;0m hashstash \x1b[0;0;0;0m"
_MOST_SECONDS = 5.0
_CHUNK = 8192
_DESCRIPTORS = {"stdout": 1, "stderr": 2}
_PARTS = ("_fid", "_original_stdstream_copy", "watch_fd_thread")
"""What a stream of a kernel's keeps of its pipe: where it is read, where what was read is written too, and who does that."""


class Pipe:
    """The pipe of one of the kernel's streams, if it has one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        reader = getattr(stream, "watch_fd_thread", None)
        self._is_read = isinstance(getattr(stream, "_fid", None), int) and reader is not None and reader.is_alive()
        if self._is_read and not isinstance(reader, _Reader):
            _take_over(stream)

    def drain(self) -> None:
        """Return when everything that was written before has gone through the stream's ``write``."""
        reader = self._stream.watch_fd_thread if self._is_read else None
        if isinstance(reader, _Reader):
            reader.drain()
        elif reader is not None and reader.is_alive():
            _wait_until_read(self._stream._fid)  # noqa: SLF001


class _Reader(threading.Thread):
    """Does for a stream what the kernel's own thread does: what its pipe holds is written by it, and to the terminal."""

    def __init__(self, stream: Any) -> None:
        super().__init__(name=f"reader of {stream.name}", daemon=True)
        self.stream = stream
        self._passed = threading.Condition()
        self._text = codecs.getincrementaldecoder("utf-8")("replace")

    def run(self) -> None:
        while content := self._pass_on():
            with contextlib.suppress(OSError):  # a terminal that is gone; one may be held up, so without the lock
                os.write(self.stream._original_stdstream_copy, content)  # noqa: SLF001

    def _pass_on(self) -> bytes:
        """Write what comes next, and return it; nothing if the pipe or the stream was closed."""
        _is_readable(self.stream._fid, None)  # noqa: SLF001
        with self._passed:
            content = os.read(self.stream._fid, _CHUNK)  # noqa: SLF001
            if not getattr(self.stream, "_should_watch", True):
                return b""
            text = self._text.decode(content)
            try:
                if text:
                    self.stream.write(text)
            except Exception:
                logger.debug("somebody's %s failed", self.stream.name, exc_info=True)  # what comes later may pass
            finally:
                self._passed.notify_all()
        return content

    def drain(self) -> None:
        """Return when everything that was written before has been passed on."""
        if self.is_alive():  # not so in a forked child, where the lock may be held for ever
            with self._passed:
                self._passed.wait_for(self._is_empty, _MOST_SECONDS)

    def _is_empty(self) -> bool:
        return not _is_readable(self.stream._fid, 0)  # noqa: SLF001


# ---- from the kernel's thread to ours --------------------------------------------------------------------------------


_begun: WeakKeyDictionary[Any, _Handover] = WeakKeyDictionary()
"""Streams whose thread has not answered yet: one that writes to a terminal which is held up."""


def _take_over(stream: Any) -> None:
    handover = _begun.get(stream)
    if handover is None:
        if not all(hasattr(stream, part) for part in _PARTS) or not _may_be_marked(stream):
            return
        handover = _begun[stream] = _Handover(stream)
        handover.begin()
        handover.thread.join(_MOST_SECONDS)
    if not handover.thread.is_alive():
        handover.end()
        del _begun[stream]


def _may_be_marked(stream: Any) -> bool:
    """Whether the descriptor leads into the pipe, and not into somebody's file, and nothing holds the thread up."""
    target = _DESCRIPTORS.get(getattr(stream, "name", ""))
    pipe, terminal = stream._fid, stream._original_stdstream_copy  # noqa: SLF001
    try:
        return (
            target is not None
            and os.path.sameopenfile(target, pipe)
            and all(_is_ready(place, select.POLLOUT, 0) for place in (target, terminal))
        )
    except OSError:
        return False


class _Handover:
    """Ends the kernel's thread of a stream, which waits in a read that nothing ends but something to read.

    It is sent a mark. While it has that in hand, and only then, it finds an empty file where it reads, so that it ends, and
    nothing where it writes what it has read: no byte of ours gets into the terminal or the log of the kernel.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.thread: threading.Thread = stream.watch_fd_thread
        self._pipe, self._terminal = stream._fid, stream._original_stdstream_copy  # noqa: SLF001
        self._write = stream.write
        self._had_own = "write" in vars(stream)
        self._rest = ""
        self._is_marked = False

    def begin(self) -> None:
        """Send the mark."""
        self.stream.write = self._passed
        os.write(_DESCRIPTORS[self.stream.name], _MARK.encode())

    def _passed(self, text: str, *arguments: Any) -> Any:
        if threading.current_thread() is not self.thread:
            return self._write(text, *arguments)
        before, mark, after = (self._rest + text).partition(_MARK)
        self._rest = "" if mark else _beginning_of_mark(before)
        kept = before[: len(before) - len(self._rest)] + after
        self.stream._original_stdstream_copy = _nowhere()  # noqa: SLF001
        if mark:
            self._is_marked = True
            self.stream._fid = _nowhere()  # noqa: SLF001
        with contextlib.suppress(OSError):
            os.write(self._terminal, kept.encode("utf-8", "replace"))
        return self._write(kept) if kept else 0

    def end(self) -> None:
        """The thread is over: everything is as it was, and a reader of ours takes its place."""
        stream = self.stream
        stream._fid, stream._original_stdstream_copy = self._pipe, self._terminal  # noqa: SLF001
        if vars(stream).get("write") == self._passed:
            if self._had_own:
                stream.write = self._write
            else:
                del stream.write
        if self._is_marked:
            stream.watch_fd_thread = _Reader(stream)
            stream.watch_fd_thread.start()


def _beginning_of_mark(text: str) -> str:
    """The end of *text* that may be where a mark begins; the rest of it is to come."""
    return next((_MARK[:size] for size in range(len(_MARK) - 1, 0, -1) if text.endswith(_MARK[:size])), "")


@functools.cache
def _nowhere() -> int:
    """A descriptor where nothing is read and what is written is gone; it stays open, since others may have been given it."""
    return os.open(os.devnull, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))


# ---- descriptors -----------------------------------------------------------------------------------------------------


def _is_readable(descriptor: int, milliseconds: int | None) -> bool:
    return _is_ready(descriptor, select.POLLIN, milliseconds)


def _is_ready(descriptor: int, event: int, milliseconds: int | None) -> bool:
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(milliseconds))


def _wait_until_read(pipe: int) -> None:
    """Where the thread is the kernel's own, and nobody can know what it has in hand."""
    end = time.monotonic() + _MOST_SECONDS / 10
    while time.monotonic() < end and _is_readable(pipe, 0):
        time.sleep(0.001)
    time.sleep(0.002)  # the reading thread holds the last chunk and is about to write it
