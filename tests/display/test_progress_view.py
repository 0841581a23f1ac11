"""What a tally means at a moment, in words."""

import re
from html import unescape

import pytest

from hashstash.display.progress_notebook import markup
from hashstash.display.progress_view import View, duration, per_second, tidy_label
from hashstash.mapping.progress import Tally


def test_a_finished_bar_is_one_line():
    view = View("", Tally(40, cached=12, computed=28), "finished", 1.3)
    assert view.text() == "40/40, 12 cached, 1.3 s"


def test_the_label_stands_in_front():
    view = View("Mapping __main__.f across 40 objects [2x]", Tally(40, computed=40), "finished", 1.3)
    assert view.text() == "Mapping __main__.f across 40 objects [2x]: 40/40, 1.3 s"


def test_failures_are_told():
    view = View("", Tally(40, cached=12, computed=26, failed=2), "finished", 1.3)
    assert view.text() == "40/40, 12 cached, 2 failed, 1.3 s"


def test_an_interrupted_bar_says_so():
    view = View("", Tally(40, cached=12, computed=1, running=2), "interrupted", 1.3)
    assert view.text() == "13/40, 12 cached, interrupted after 1.3 s"


def test_a_running_bar_tells_what_runs_how_fast_and_how_long_yet():
    view = View("", Tally(40, cached=12, computed=8, running=2), "running", 2.0, rate=4.0)
    assert view.text() == "20/40, 12 cached, 2 running, 4.0/s, 2.0 s, 5.0 s left"


def test_no_items_are_done_at_once():
    assert View("", Tally(0), "finished", 0.001).text() == "0/0, 1 ms"


def test_items_of_an_unknown_number_are_counted():
    assert (
        View("", Tally(None, cached=1, computed=2), "running", 2.0, rate=1.0).text() == "3 done, 1 cached, 1.0/s, 2.0 s"
    )


def test_nothing_is_left_when_more_is_done_than_was_announced():
    assert View("", Tally(2, computed=3), "running", 1.0, rate=3.0).left is None


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.0, "1 ms"),
        (0.0204, "20 ms"),
        (0.0996, "0.1 s"),
        (1.34, "1.3 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (320, "5 min 20 s"),
        (3599.7, "1 h"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("rate, text", [(0.4, "2.5 s each"), (3.21, "3.2/s"), (9.99, "10.0/s"), (120.4, "120/s")])
def test_speeds(rate, text):
    assert per_second(rate) == text


@pytest.mark.parametrize(
    "label, tidy",
    [
        ("Mapping f across 4 objects [2x]:", "Mapping f across 4 objects [2x]"),
        ("two\nlines\tand  blanks", "two lines and blanks"),
        ("\x1b[31mred\x07", "[31mred"),
        ("x" * 300, "x" * 117 + "..."),
        ("", ""),
    ],
)
def test_labels_are_one_printable_line(label, tidy):
    assert tidy_label(label) == tidy


VIEWS = [
    View("Mapping <lambda> & co", Tally(40, cached=12, computed=8, failed=1, running=2), elapsed=2.0, rate=4.0),
    View("", Tally(40, cached=12, computed=28), "finished", 1.3),
    View("f", Tally(40, cached=12, computed=1), "interrupted", 1.3),
    View("f", Tally(None, computed=1), elapsed=1.3),
    View("f", Tally(0), "finished", 0.001),
    View("f", Tally(3, computed=9), "finished", 1.0),
]


@pytest.mark.parametrize("view", VIEWS)
def test_html_without_its_styles_is_the_same_line(view):
    """Some sites take styles away, and empty elements show nothing then."""
    assert unescape(re.sub("<[^>]*>", "", markup(view))) == view.text()


@pytest.mark.parametrize("view", VIEWS)
def test_the_parts_of_the_bar_make_a_whole(view):
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", markup(view))]
    assert sum(widths) == pytest.approx(100, abs=0.1) or not widths


def test_a_bar_of_unknown_length_is_drawn_when_the_length_is_known():
    running, finished = View("f", Tally(None, computed=1)), View("f", Tally(None, computed=1), "finished")
    assert ["width" in markup(view) for view in (running, finished)] == [False, True]
