"""A bar between those who work and those who show: when it paints, what it makes of the clock, what it survives."""

import gc
import logging
import os
import subprocess
import sys
import threading
import time
import weakref

import pytest

from hashstash.display.progress_bar import Bar, Ticker
from hashstash.mapping.progress import Tally


class Painter:
    """Keeps what it is given."""

    def __init__(self):
        self.shown = []

    def open(self, view):
        self.shown.append(("open", view))

    def paint(self, view):
        self.shown.append(("paint", view))

    def finish(self, view):
        self.shown.append(("finish", view))

    @property
    def actions(self):
        return [action for action, _ in self.shown]

    @property
    def view(self):
        return self.shown[-1][1]

    @property
    def counts(self):
        return [view.tally.done for _, view in self.shown]


class Broken(Painter):
    """Shows so many views, then nothing any more."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def open(self, view):
        self._show(super().open, view)

    def paint(self, view):
        self._show(super().paint, view)

    def finish(self, view):
        self._show(super().finish, view)

    def _show(self, show, view):
        if len(self.shown) == self.after:
            raise BrokenPipeError("the front end is gone")
        show(view)


class Clock:
    """Time that passes when it is told to, and lets the open bars paint after each step."""

    def __init__(self):
        self.now = 1000.0
        self.bars = []

    def __call__(self):
        return self.now

    def add(self, bar):
        self.bars.append(bar)

    def remove(self, bar):
        self.bars.remove(bar)

    def advance(self, seconds):
        self.now += seconds
        for bar in self.bars:
            bar.tick()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def painter():
    return Painter()


@pytest.fixture
def bar(clock, painter):
    return Bar(lambda: painter, clock=clock, ticker=clock)


def test_it_is_shown_from_the_start_to_the_end(bar, painter, clock):
    bar.start("label", Tally(2))
    bar.update(Tally(2, computed=1))
    clock.advance(0.2)
    bar.close(Tally(2, computed=2))
    assert painter.actions == ["open", "paint", "finish"]
    assert painter.counts == [0, 1, 2]
    assert painter.view.text() == "label: 2/2, 0.2 s"


def test_it_is_painted_ten_times_a_second_at_most(bar, painter, clock):
    bar.start("", Tally(1000))
    for done in range(1000):
        bar.update(Tally(1000, computed=done))
        clock.advance(0.001)
    assert len(painter.shown) <= 11


def test_the_last_update_before_a_pause_is_shown(bar, painter, clock):
    bar.start("", Tally(5))
    bar.update(Tally(5, computed=1))
    clock.advance(0.01)
    bar.update(Tally(5, computed=2))
    clock.advance(0.1)
    assert painter.counts[-1] == 2


def test_the_time_goes_on_while_nothing_else_does(bar, painter, clock):
    bar.start("", Tally(5))
    clock.advance(0.5)
    assert painter.actions == ["open"]
    clock.advance(1.0)
    assert painter.view.elapsed == 1.5


def test_the_end_is_shown_without_delay(bar, painter):
    bar.start("", Tally(3))
    bar.close(Tally(3, cached=3))
    assert painter.view.text() == "3/3, 3 cached, 1 ms"


def test_cached_items_do_not_count_in_speed_and_time_left(bar, painter, clock):
    bar.start("", Tally(100, cached=90, running=1))
    for done in range(1, 5):
        bar.update(Tally(100, cached=90, computed=done, running=1))
        clock.advance(1.0)
    assert painter.view.rate == pytest.approx(1.0)
    assert painter.view.left == pytest.approx(6.0)


def test_the_time_it_took_to_look_up_does_not_count_in_the_speed(bar, painter, clock):
    bar.start("", Tally(100))
    bar.update(Tally(100, cached=90))
    clock.advance(5.0)
    bar.update(Tally(100, cached=90, computed=4))
    clock.advance(2.0)
    assert painter.view.rate == pytest.approx(2.0)


def test_a_first_item_that_takes_long_is_not_taken_for_a_quick_one(bar, painter, clock):
    """Workers tell nothing before they have finished something."""
    bar.start("", Tally(10))
    for _ in range(100):
        clock.advance(1.0)
    bar.update(Tally(10, computed=2))
    clock.advance(0.2)
    assert painter.view.left == pytest.approx(400.8)


def test_what_was_computed_before_the_start_does_not_count_in_its_speed(bar, painter, clock):
    """A map that is resumed begins with what its first run has computed."""
    bar.start("", Tally(100, computed=90, running=2))
    bar.update(Tally(100, computed=91, running=2))
    clock.advance(1.0)
    assert painter.view.left == pytest.approx(9.0)


def test_failed_items_took_time_too(bar, painter, clock):
    bar.start("", Tally(10, running=1))
    bar.update(Tally(10, failed=2))
    clock.advance(1.0)
    assert painter.view.rate == pytest.approx(2.0)


def test_nothing_is_promised_before_anything_was_computed(bar, painter, clock):
    bar.start("", Tally(10, running=2))
    clock.advance(2.0)
    assert painter.view.left is None


def test_a_clock_that_goes_back_stands_still(bar, painter, clock):
    bar.start("", Tally(10, running=1))
    bar.update(Tally(10, computed=1))
    clock.advance(1.0)
    bar.update(Tally(10, computed=2))
    clock.advance(-500.0)
    bar.close(Tally(10, computed=2), interrupted=True)
    assert painter.view.text() == "2/10, interrupted after 1.0 s"


def test_an_unknown_number_may_become_known(bar, painter, clock):
    bar.start("", Tally(None))
    bar.update(Tally(None, computed=3))
    clock.advance(1.0)
    assert painter.view.count() == "3 done"
    bar.close(Tally(4, computed=4))
    assert painter.view.count() == "4/4"


def test_closing_what_was_never_started_shows_nothing(bar, painter):
    bar.close(Tally(3))
    assert painter.shown == []


def test_updates_outside_of_start_and_end_show_nothing(bar, painter, clock):
    bar.update(Tally(3))
    bar.start("", Tally(3))
    bar.close(Tally(3, computed=3))
    bar.update(Tally(3, computed=1))
    clock.advance(5.0)
    bar.close(Tally(3, computed=2))
    assert painter.actions == ["open", "finish"]
    assert painter.counts == [0, 3]


def test_a_second_start_is_none(bar, painter):
    bar.start("first", Tally(3))
    bar.start("second", Tally(3))
    assert [view.label for _, view in painter.shown] == ["first"]


def test_a_closed_bar_that_is_started_again_is_a_new_one(clock):
    painters = []
    bar = Bar(lambda: painters.append(Painter()) or painters[-1], clock=clock, ticker=clock)
    bar.start("first", Tally(3))
    bar.close(Tally(3, computed=1), interrupted=True)
    clock.advance(10.0)
    bar.start("second", Tally(3, computed=1))
    clock.advance(1.0)
    bar.close(Tally(3, computed=3))
    assert [painter.view.text() for painter in painters] == [
        "first: 1/3, interrupted after 1 ms",
        "second: 3/3, 1.0 s",
    ]


def test_a_painter_that_cannot_begin_gives_way_to_the_next(clock, painter, caplog):
    bar = Bar(lambda: Broken(0), lambda: painter, clock=clock, ticker=clock)
    with caplog.at_level(logging.DEBUG, "hashstash.display.progress_bar"):
        bar.start("", Tally(3))
        bar.close(Tally(3, computed=3))
    assert painter.actions == ["open", "finish"]
    assert len(caplog.records) == 1


def test_a_painter_that_breaks_gives_way_to_the_next(clock, painter):
    bar = Bar(lambda: Broken(2), lambda: painter, clock=clock, ticker=clock)
    bar.start("", Tally(3))
    for done in range(3):
        bar.update(Tally(3, computed=done))
        clock.advance(0.2)
    bar.close(Tally(3, computed=3))
    assert painter.actions == ["open", "paint", "finish"]


def test_without_any_painter_that_works_the_work_goes_on_and_one_line_is_logged(clock, caplog):
    bar = Bar(lambda: Broken(1), clock=clock, ticker=clock)
    with caplog.at_level(logging.DEBUG, "hashstash.display.progress_bar"):
        bar.start("", Tally(3))
        for done in range(3):
            bar.update(Tally(3, computed=done))
            clock.advance(0.2)
        bar.close(Tally(3, computed=3))
    assert [record.getMessage() for record in caplog.records] == ["progress cannot be shown by Broken"]


def test_an_interrupt_while_painting_is_passed_on_and_the_bar_can_still_be_closed(clock):
    class Interrupted(Painter):
        def open(self, view):
            super().open(view)
            raise KeyboardInterrupt

    painter = Interrupted()
    bar = Bar(lambda: painter, clock=clock, ticker=clock)
    with pytest.raises(KeyboardInterrupt):
        bar.start("", Tally(3))
    assert not bar._showing._painting.locked()


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.fixture
def ticker():
    ticker = Ticker()
    yield ticker
    ticker.end()


def test_the_thread_paints_while_the_one_who_works_does_not_look_back(ticker, painter):
    bar = Bar(lambda: painter, ticker=ticker)
    bar.start("", Tally(5))
    bar.update(Tally(5, computed=4))
    until(lambda: painter.counts[-1] == 4)
    bar.close(Tally(5, computed=5))
    assert painter.actions[-1] == "finish"


def test_the_thread_ends_with_the_last_bar_and_begins_with_the_next(ticker):
    painters = [Painter(), Painter()]
    for painter in painters:
        bar = Bar(lambda painter=painter: painter, ticker=ticker)
        bar.start("", Tally(5))
        bar.update(Tally(5, computed=1))
        until(lambda painter=painter: painter.counts[-1] == 1)
        bar.close(Tally(5, computed=5))
        until(lambda: ticker._thread is None)


def test_several_bars_share_the_thread(ticker):
    before = threading.active_count()
    painters = [Painter() for _ in range(5)]
    bars = [Bar(lambda painter=painter: painter, ticker=ticker) for painter in painters]
    for bar in bars:
        bar.start("", Tally(5))
        bar.update(Tally(5, computed=2))
    until(lambda: all(painter.counts[-1] == 2 for painter in painters))
    assert threading.active_count() == before + 1
    for bar in bars:
        bar.close(Tally(5, computed=5))


def test_a_bar_that_nobody_closes_goes_away_with_its_owner(ticker, painter):
    bar = Bar(lambda: painter, ticker=ticker)
    bar.start("", Tally(5))
    gone = weakref.ref(bar._showing)
    until(lambda: painter.shown)
    del bar
    until(lambda: gc.collect() is not None and gone() is None)
    until(lambda: ticker._thread is None)


def test_what_is_no_tally_does_not_end_the_thread(ticker, painter, caplog):
    caplog.set_level(logging.DEBUG, "hashstash.display.progress_bar")
    bar = Bar(lambda: painter, ticker=ticker)
    bar.start("", Tally(5))
    bar.update(None)
    until(lambda: "None is no tally" in caplog.text)
    bar.update(Tally(5, computed=2))
    until(lambda: painter.counts[-1] == 2)
    bar.close(None)
    assert painter.actions[-1] == "paint"


def test_updates_from_many_threads(ticker, painter):
    bar = Bar(lambda: painter, ticker=ticker)
    bar.start("", Tally(4000))

    def work():
        for done in range(1000):
            bar.update(Tally(4000, computed=done))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bar.close(Tally(4000, computed=4000))
    assert painter.counts[-1] == 4000


def test_a_front_end_that_does_not_answer_delays_the_end_and_no_more(ticker, monkeypatch):
    monkeypatch.setattr("hashstash.display.progress_bar._PATIENCE", 0.05)
    stuck, goes_on = threading.Event(), threading.Event()

    class Slow(Painter):
        def paint(self, view):
            stuck.set()
            goes_on.wait(60)
            super().paint(view)

    painter = Slow()
    bar = Bar(lambda: painter, ticker=ticker)
    bar.start("", Tally(5))
    bar.update(Tally(5, computed=1))
    assert stuck.wait(60)
    bar.update(Tally(5, computed=2))
    bar.close(Tally(5, computed=5))
    assert painter.actions == ["open"]
    goes_on.set()
    until(lambda: painter.actions == ["open", "paint", "finish"])
    assert painter.counts[-1] == 5


def test_a_bar_that_is_closed_while_the_thread_looks_at_it_ends_once(painter):
    clock = Clock()
    looks = iter([False, False, False, True])  # at the start twice, before painting, and while painting

    def time_passes():
        clock.now += 2.0
        if next(looks, False):
            closing.start()
            until(lambda: bar_showing._state == "finished")
        return clock.now

    bar = Bar(lambda: painter, clock=time_passes, ticker=clock)
    bar.start("", Tally(5))
    bar_showing = bar._showing
    closing = threading.Thread(target=bar.close, args=(Tally(5, computed=5),))
    bar_showing.tick()
    closing.join()
    assert painter.actions == ["open", "finish"]


def test_an_update_costs_next_to_nothing():
    """A million of them make one painting each tenth of a second, and take far less time than the items they count."""
    painter = Painter()
    bar = Bar(lambda: painter)
    tally = Tally(10**6, computed=1)
    bar.start("", Tally(10**6))
    started = time.thread_time()
    for _ in range(10**6):
        bar.update(tally)
    took = time.thread_time() - started
    bar.close(tally)
    assert took < 3.0  # on a quiet machine it is 0.05


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_paints_its_own_bars():
    code = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
from hashstash.display.progress_bar import Bar, TICKER
from hashstash.mapping.progress import Tally
class Painter:
    def __init__(self): self.shown = []
    def open(self, view): self.shown.append(view.tally.done)
    paint = finish = open
parent = Painter()
bar = Bar(lambda: parent); bar.start("", Tally(5))
with TICKER._lock:
    child = os.fork()
if not child:
    own = Painter()
    other = Bar(lambda: own); other.start("", Tally(5)); other.update(Tally(5, computed=3))
    end = time.monotonic() + 30
    while own.shown[-1] != 3 and time.monotonic() < end: time.sleep(0.01)
    os._exit(own.shown[-1])
_, status = os.waitpid(child, 0)
bar.close(Tally(5, computed=5))
print(os.waitstatus_to_exitcode(status), parent.shown[-1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["3", "5"], done.stderr


def test_a_program_ends_well_with_an_open_bar():
    code = """
from hashstash.display.progress_terminal import TextPainter
from hashstash.display.progress_bar import Bar
from hashstash.mapping.progress import Tally
bar = Bar(TextPainter); bar.start("label", Tally(5)); bar.update(Tally(5, computed=1))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
