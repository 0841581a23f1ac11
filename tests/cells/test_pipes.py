"""What goes to a kernel's file descriptors arrives whole, in time, and where it would have gone without us."""

from __future__ import annotations

import os
import sys
import time

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

import driver  # noqa: E402

from hashstash.cells import pipes  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kernels have no such pipes there")

CELLS = [
    "os.write(1, b'raw\\n'); os.system('echo child; echo error >&2'); print('python')",
    "os.write(2, b'more errors\\n')",
    "os.write(1, 'é'.encode() * 30_000 + b'\\n')",
    "os.write(1, b'\\xff\\xfe no text\\n')",
    "nothing = 1",
    "os.write(1, b'after that\\n')",
]
READERS = "print(sorted(t.name for t in threading.enumerate() if 'reader of' in t.name or '_watch_pipe_fd' in t.name))"
SECONDS = 60.0


def played(folder, line):
    """What each cell showed, what reached the terminal, and which threads read, with *line* above each cell."""
    folder.mkdir()
    kernel = driver.Kernel(sys.executable, folder, {})
    try:
        kernel.run("%load_ext hashstash\nimport os, threading")
        log = folder.with_name(f"{folder.name}.log")
        begin = log.stat().st_size
        shown = [
            (answer.text("stdout"), answer.text("stderr")) for answer in (kernel.run(line + cell) for cell in CELLS)
        ]
        kernel.run("os.write(1, b'the end\\n')")
        end = time.monotonic() + SECONDS
        while b"the end" not in (written := log.read_bytes()[begin:]):
            assert time.monotonic() < end, written
            time.sleep(0.01)
        return shown, written, kernel.run(READERS).text("stdout")
    finally:
        kernel.stop()


@pytest.fixture(scope="module")
def stashed(tmp_path_factory):
    return played(tmp_path_factory.mktemp("pipes") / "stashed", "%%stash pipes\n")


def test_the_terminal_gets_what_the_cells_write_to_descriptors_and_nothing_else(stashed):
    _, written, _ = stashed
    assert sorted(written.splitlines()) == sorted(
        [
            b"raw",
            b"child",
            b"error",
            b"more errors",
            "é".encode() * 30_000,
            b"\xff\xfe no text",
            b"after that",
            b"the end",
        ]
    )


def test_a_cell_shows_what_it_writes_to_descriptors_even_if_it_is_no_text(stashed):
    shown, _, _ = stashed
    outputs, errors = zip(*shown, strict=True)
    assert sorted(outputs[0].splitlines()) == ["child", "python", "raw"]
    assert outputs[1:] == ("", "é" * 30_000 + "\n", "\ufffd\ufffd no text\n", "", "after that\n")
    assert errors == ("error\n", "more errors\n", "", "", "", "")


def test_one_thread_reads_each_pipe_and_it_is_ours(stashed):
    assert stashed[2] == "['reader of stderr', 'reader of stdout']\n"


class Stream:
    """As much of a kernel's stream as a pipe is, with a thread like the kernel's own."""

    name = "stdout"

    def __init__(self, monkeypatch, terminal):
        self._fid, descriptor = os.pipe()
        self.descriptor = os.fdopen(descriptor, "wb", 0)
        self._original_stdstream_copy = terminal
        self.texts = []
        self.watch_fd_thread = pipes.threading.Thread(target=self._watch, daemon=True)
        self.watch_fd_thread.start()
        monkeypatch.setitem(pipes._DESCRIPTORS, "stdout", descriptor)

    def write(self, text):
        self.texts.append(text)

    def _watch(self):
        while content := os.read(self._fid, 1000):
            self.write(content.decode())
            os.write(self._original_stdstream_copy, content)


@pytest.fixture
def terminal(tmp_path):
    with open(tmp_path / "terminal", "wb", 0) as file:
        yield file


def test_the_mark_goes_no_further_where_it_comes_with_other_text_and_in_pieces(monkeypatch, terminal, tmp_path):
    """The thread reads a thousand bytes at a time, so that the mark lies across two of its chunks."""
    monkeypatch.setattr(pipes, "_is_ready", lambda *_: True)  # although there is something to read already
    stream = Stream(monkeypatch, terminal.fileno())
    before = b"a" * (1000 - len(pipes._MARK) // 2)
    original = os.write
    monkeypatch.setattr(
        os,
        "write",
        lambda to, content: original(
            to, before + content + b"z" if to > 2 and content == pipes._MARK.encode() else content
        ),
    )
    pipes._take_over(stream)
    assert "".join(stream.texts) == before.decode() + "z"
    assert (tmp_path / "terminal").read_bytes() == before + b"z"


def test_nothing_is_marked_while_the_terminal_is_held_up(monkeypatch):
    """Then the thread has a chunk in hand for as long as that lasts, and would meet the mark when nobody expects it."""
    held, terminal = os.pipe()
    os.set_blocking(terminal, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(terminal, b"x" * 1000)
    stream = Stream(monkeypatch, terminal)
    thread = stream.watch_fd_thread
    pipes.Pipe(stream).drain()
    assert stream.watch_fd_thread is thread
    assert "write" not in vars(stream)
    os.close(held)


def test_waiting_is_over_when_all_that_was_written_has_been_passed_on(monkeypatch, terminal):
    stream = Stream(monkeypatch, terminal.fileno())
    pipe = pipes.Pipe(stream)
    for number in range(200):
        stream.descriptor.write(b"%d\n" % number)
        pipe.drain()
        assert "".join(stream.texts).endswith(f"{number}\n")


def test_a_stream_that_fails_once_is_read_on(monkeypatch, terminal):
    stream = Stream(monkeypatch, terminal.fileno())
    pipe = pipes.Pipe(stream)
    monkeypatch.setattr(stream, "write", None)
    stream.descriptor.write(b"lost")
    pipe.drain()
    monkeypatch.undo()
    stream.descriptor.write(b"found")
    pipe.drain()
    assert stream.texts == ["found"]
