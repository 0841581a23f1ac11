"""Recording what a cell shows, and showing it again."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

from hashstash.cells.capture import Recorder, StoredResult, replay


class Publisher:
    """Keeps what is published; like a terminal, it also prints it."""

    def __init__(self):
        self.published = []

    def publish(self, data, metadata=None, *, transient=None, update=False):
        self.published.append((data, metadata or {}, transient or {}, update))
        print(data.get("text/plain", ""), end="")

    def clear_output(self, wait=False):
        self.published.append(("clear", wait))
        print("\x1b[2K", end="")


@pytest.fixture
def shell():
    formatter = SimpleNamespace(format=lambda value: ({"text/plain": repr(value)}, {}))
    return SimpleNamespace(
        display_pub=Publisher(), display_formatter=formatter, events=SimpleNamespace(callbacks={"post_execute": []})
    )


def record(shell, *actions):
    with Recorder(shell) as recorder:
        for action in actions:
            action()
    return recorder.recorded()


def test_writes_are_joined_and_interleaved_in_order(shell, capsys):
    events = record(shell, lambda: print("a", "b"), lambda: print("e", file=sys.stderr), lambda: print("c", end=""))
    assert events == [["stream", "stdout", "a b\n"], ["stream", "stderr", "e\n"], ["stream", "stdout", "c"]]
    assert capsys.readouterr() == ("a b\nc", "e\n")


def test_a_handler_made_before_is_heard(shell, capsys):
    log = logging.getLogger("tests.cells.capture")
    log.propagate = False
    log.addHandler(logging.StreamHandler(sys.stderr))
    assert record(shell, lambda: log.warning("careful")) == [["stream", "stderr", "careful\n"]]


def test_displays_carry_metadata_and_display_id(shell):
    publish = lambda: shell.display_pub.publish(
        {"text/plain": "x"}, {"m": 1}, transient={"display_id": "d", "other": 1}, update=True
    )
    assert record(shell, publish) == [["display", {"text/plain": "x"}, {"m": 1}, {"display_id": "d"}, True]]


def test_what_a_display_prints_is_not_a_second_event(shell):
    events = record(
        shell, lambda: shell.display_pub.publish({"text/plain": "x"}), lambda: shell.display_pub.clear_output(wait=True)
    )
    assert [event[0] for event in events] == ["display", "clear"]


def test_our_own_status_is_not_recorded(shell):
    assert (
        record(shell, lambda: shell.display_pub.publish({"text/plain": "x"}, {"hashstash": {"outcome": "hit"}})) == []
    )


def test_nothing_is_heard_after_the_end(shell, capsys):
    before = vars(sys.stdout).copy()
    events = record(shell)
    print("later")
    assert events == []
    assert vars(sys.stdout).keys() == before.keys()
    assert "publish" not in vars(shell.display_pub)


def test_an_error_ends_the_recording_too(shell):
    with pytest.raises(ZeroDivisionError):
        record(shell, lambda: 1 / 0)
    assert "publish" not in vars(shell.display_pub)


def test_recorders_nest(shell, capsys):
    with Recorder(shell) as outer:
        print("a")
        with Recorder(shell) as inner:
            print("b")
        print("c")
    assert inner.recorded() == [["stream", "stdout", "b\n"]]
    assert outer.recorded() == [["stream", "stdout", "a\nb\nc\n"]]


def test_a_stream_that_cannot_be_listened_to_is_named(shell, monkeypatch):
    class Mute:
        __slots__ = ()

        def write(self, text):
            return len(text)

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stdout", Mute())
    with Recorder(shell) as recorder:
        pass
    assert recorder.unheard == ["Mute.write"]


def test_replay_repeats_everything_in_order(shell, capsys):
    actions = [lambda: print("a"), lambda: print("e", file=sys.stderr),
               lambda: shell.display_pub.publish({"text/html": "<b>"}, {"m": 1}, transient={"display_id": "d"}),
               lambda: shell.display_pub.clear_output(wait=True)]  # fmt: skip
    events = record(shell, *actions)
    first, shown = capsys.readouterr(), list(shell.display_pub.published)
    shell.display_pub.published.clear()
    assert replay(shell, events, is_trusted=True) == 0
    assert capsys.readouterr() == first
    assert shell.display_pub.published == shown


def test_a_strangers_record_shows_text_and_raster_images_only(shell):
    events = [["display", {"text/html": "<script>", "text/plain": "t", "image/png": "p"}, {}, {}, False],
              ["display", {"application/javascript": "x"}, {}, {}, False]]  # fmt: skip
    assert replay(shell, events, is_trusted=False) == 2
    assert [entry[0] for entry in shell.display_pub.published] == [{"text/plain": "t", "image/png": "p"}]


def test_a_widget_is_replayed_as_its_text(shell):
    view = "application/vnd.jupyter.widget-view+json"
    replay(shell, [["display", {view: {}, "text/plain": "IntSlider(value=0)"}, {}, {}, False]], is_trusted=True)
    assert shell.display_pub.published[0][0] == {"text/plain": "IntSlider(value=0)"}


def test_a_stored_result_looks_as_the_value_did():
    result = StoredResult({"text/plain": "<g>", "text/html": "<b>g</b>"}, {"m": 1})
    assert repr(result) == "<g>"
    assert result._repr_mimebundle_() == ({"text/plain": "<g>", "text/html": "<b>g</b>"}, {"m": 1})
