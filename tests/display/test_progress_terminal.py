"""Bars in a terminal: a pseudo-terminal stands for it, with and without tqdm, beside streams that are none."""

import io
import os
import subprocess
import sys
import textwrap

import pytest

from hashstash.display.progress_bar import Bar
from hashstash.display.progress_terminal import TextPainter, columns_of, cut, line
from hashstash.display.progress_view import View
from hashstash.mapping.progress import Tally

WORK = """
import os, sys, time
from hashstash.display.progress import progress_for
from hashstash.mapping.progress import Tally

def work(label="Mapping f", total=40, cached=12, kind=True):
    bar = progress_for(kind)
    bar.start(label, Tally(total, cached=cached))
    for done in range(29):
        tally = Tally(total, cached=cached, computed=done, running=min(2, 28 - done))
        bar.update(tally)
        time.sleep(0.02)
    bar.close(tally)
"""
NO_TQDM = "import sys; sys.modules['tqdm'] = None\n"


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "COLUMNS", "LINES"}}
    return {**kept, "TERM": "xterm", **variables}


def on_a_terminal(code, columns=80, **variables):
    """What appears on a terminal that is the standard error of *code*."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    fcntl, struct, termios = (__import__(name) for name in ("fcntl", "struct", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        env=environment(**variables),
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux's way to say that nobody holds the other end
        pass
    os.close(ours)
    assert process.wait(timeout=120) == 0, shown.decode()
    return shown.decode()


def off_a_terminal(code, **variables):
    """What *code* writes to a standard error that is a pipe."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment(**variables))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr


def screen(shown, columns=80):
    """The lines as they stand in the end, of what writes letters, returns and new lines only."""
    rows, row, column = [[]], 0, 0
    for letter in shown:
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row, column = row + 1, 0
        else:
            assert column < columns, "a line broke"
            rows += [[] for _ in range(row + 1 - len(rows))]
            rows[row] += [" "] * (column + 1 - len(rows[row]))
            rows[row][column] = letter
            column += 1
    return ["".join(letters).rstrip() for letters in rows]


class TestPseudoTerminal:
    def test_a_line_of_our_own(self):
        shown = on_a_terminal(NO_TQDM + WORK + "work()")
        states = [state.rstrip() for state in shown.split("\r") if state.strip()]
        assert len(states) > 3
        assert all(state.startswith("Mapping f: [#") for state in states[:-1])
        (last,) = screen(shown)
        assert last.startswith("Mapping f: 40/40, 12 cached, ")
        assert "[" not in last

    def test_it_fits_a_narrow_terminal(self):
        shown = on_a_terminal(NO_TQDM + WORK + "work('A label that is much too long for all this')", columns=50)
        *_, before, last = [state for state in shown.split("\r") if state.strip()]
        assert len(before.rstrip()) < 50
        assert last.startswith("A label that is much too long for all this: 40/40, 12 cached")

    def test_tqdm(self):
        pytest.importorskip("tqdm")
        shown = on_a_terminal(WORK + "work()")
        last = [state for state in shown.split("\r") if state.strip()][-1]
        assert "Mapping f: 100%|" in last
        assert "40/40" in last
        assert "12 cached" in last
        assert last.endswith("\n") or shown.rstrip(" ").endswith("\n")

    def test_tqdm_on_a_terminal_that_does_not_know_how_wide_it_is(self):
        pytest.importorskip("tqdm")
        assert "Mapping f: 100%|" in on_a_terminal(WORK + "work()", columns=0)

    def test_a_line_of_our_own_on_a_terminal_that_does_not_know_how_wide_it_is(self):
        assert "Mapping f: [###" in on_a_terminal(NO_TQDM + WORK + "work()", columns=0)

    def test_cached_items_do_not_count_in_the_speed_of_tqdm(self):
        pytest.importorskip("tqdm")
        code = """
        bar = progress_for(True)
        bar.start("f", Tally(10**6, cached=10**6 - 10))
        for done in range(5):
            bar.update(Tally(10**6, cached=10**6 - 10, computed=done))
            time.sleep(0.3)
        bar.close(Tally(10**6, cached=10**6 - 10, computed=5), interrupted=True)
        """
        shown = on_a_terminal(WORK + textwrap.dedent(code), columns=120)
        last = [state for state in shown.split("\r") if state.strip()][-1]
        assert "interrupted" in last
        speed = last.partition("<")[2].partition(", ")[2].partition(",")[0]
        assert speed.endswith(("it/s", "s/it"))
        assert float(speed.removesuffix("it/s").removesuffix("s/it")) < 100

    def test_two_bars_at_once_with_tqdm(self):
        pytest.importorskip("tqdm")
        shown = on_a_terminal(WORK + "outer = progress_for(True); outer.start('outer', Tally(1)); work('inner');"
                              "outer.close(Tally(1, computed=1))")  # fmt: skip
        assert "outer: 100%" in shown
        assert "inner: 100%" in shown

    def test_two_bars_at_once_without_tqdm(self):
        shown = on_a_terminal(NO_TQDM + WORK + "outer = progress_for(True); outer.start('outer', Tally(1)); work('inner');"
                              "outer.close(Tally(1, computed=1))")  # fmt: skip
        lines = screen(shown)
        assert lines[0].startswith("inner: 40/40, 12 cached")
        assert lines[1].startswith("outer: 1/1, ")

    def test_nothing_in_ci(self):
        assert on_a_terminal(WORK + "work()", CI="true") == ""

    def test_nothing_when_switched_off(self):
        assert on_a_terminal(WORK + "work()", HASHSTASH_PROGRESS="off") == ""

    def test_an_interrupted_loop_leaves_a_whole_line(self):
        code = """
        bar = progress_for(True)
        bar.start("f", Tally(40))
        try:
            time.sleep(0.2)
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            bar.close(Tally(40, computed=3), interrupted=True)
        print("next", file=sys.stderr)
        """
        lines = screen(on_a_terminal(NO_TQDM + WORK + textwrap.dedent(code)))
        assert lines[0].startswith("f: 3/40, interrupted after ")
        assert lines[1] == "next"


class TestNoTerminal:
    def test_nothing_is_written(self):
        assert off_a_terminal(WORK + "work()") == ""

    def test_who_asks_for_text_gets_the_last_line_alone(self):
        written = off_a_terminal(WORK + "work(kind='text')")
        assert written.startswith("Mapping f: 40/40, 12 cached, ")
        assert written.count("\n") == 1
        assert "\r" not in written

    def test_a_closed_stream_breaks_nothing(self):
        assert off_a_terminal(WORK + "sys.stderr.close(); work(kind='text'); sys.stderr = sys.__stderr__ = None") == ""

    def test_no_stream_breaks_nothing(self):
        assert off_a_terminal(WORK + "real = sys.stderr; sys.stderr = None; work(kind='text'); sys.stderr = real") == ""

    def test_a_stream_of_few_letters_shows_what_it_can(self):
        written = off_a_terminal(WORK + "work('Zählung 日本', kind='text')", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
        assert written.endswith("s\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_each_line_covers_the_one_before():
    stream = Terminal()
    painter = TextPainter(stream)
    painter.open(View("", Tally(10**6, computed=10**5, running=4), elapsed=1000.0, rate=100.0))
    painter.finish(View("", Tally(1, computed=1), "finished", 1.0))
    assert screen(stream.getvalue()) == ["1/1, 1.0 s"]


def test_the_line_is_free_again_when_a_bar_was_dropped_without_an_end():
    Bar(lambda: TextPainter(Terminal())).start("lost", Tally(3))
    import gc

    gc.collect()
    stream = Terminal()
    painter = TextPainter(stream)
    painter.open(View("next", Tally(3)))
    assert stream.getvalue().startswith("\rnext: ")
    painter.finish(View("next", Tally(3), "finished"))


@pytest.mark.parametrize("columns", [1, 2, 5, 12, 20, 40, 80, 200])
@pytest.mark.parametrize("label", ["", "Mapping f", "Mapping 日本語の関数 " * 5])
@pytest.mark.parametrize("total", [None, 0, 40, 10**15])
def test_a_line_never_fills_the_last_column(columns, label, total):
    view = View(label, Tally(total, cached=7, computed=20, running=2), elapsed=5.0, rate=3.0)
    assert columns_of(line(view, columns)) < max(columns, 1)


def test_a_line_has_a_bar_where_there_is_room():
    view = View("Mapping f", Tally(4, cached=1, computed=1), elapsed=5.0)
    assert line(view, 60) == "Mapping f: [" + "#" * 12 + "." * 13 + "] 2/4, 1 cached, 5.0 s"


def test_more_than_all_is_a_full_bar():
    assert "[" + "#" * 30 + "]" in line(View("", Tally(4, computed=9), elapsed=5.0), 100)


def test_wide_letters_are_cut_whole():
    assert cut("日本語", 5) == "日..."
    assert cut("日本語", 6) == "日本語"
