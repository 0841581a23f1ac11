"""Recording what a cell shows, and showing it again."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

from hashstash.cells.bounds import MAX_OUTPUT
from hashstash.cells.capture import Recorder, StoredResult
from hashstash.cells.looks import mime_bundle
from hashstash.cells.replay import replay


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


def record_bounded(shell, action, limit):
    with Recorder(shell, limit) as recorder:
        action()
    return recorder.recorded()


def test_of_much_output_the_beginning_and_the_end_are_kept(shell, capsys):
    lines = [f"line {number}\n" for number in range(100_000)]
    events = record_bounded(shell, lambda: [sys.stdout.write(line) for line in lines], 100_000)
    (_, _, first), (_, name, note), (_, _, last) = events
    assert capsys.readouterr().out == "".join(lines)
    assert "".join(lines).startswith(first)
    assert "".join(lines).endswith(last)
    assert name == "stderr"
    assert "not kept: more than max_output, 100 KB" in note
    assert min(len(first), len(last)) > 20_000
    assert len(first) + len(last) <= 100_000


def test_many_large_texts_are_kept_within_the_limit(shell, capsys):
    events = record_bounded(shell, lambda: [sys.stdout.write(str(number) * 9_000) for number in range(30)], 100_000)
    assert sum(len(text) for _, _, text in events) < 101_000
    assert events[-1][2].endswith("29" * 9_000)


def test_what_is_left_out_is_counted(shell, capsys):
    events = record_bounded(shell, lambda: [sys.stdout.write("x" * 100) for _ in range(50_000)], 1_000_000)
    kept = sum(len(text) for _, name, text in events if name == "stdout")
    assert f"{(5_000_000 - kept) / 1e6:.3g} MB of output" in events[1][2]


def test_one_long_text_is_cut_in_its_middle(shell, capsys):
    ((_, _, text),) = record_bounded(shell, lambda: print("a" * 50_000 + "b" * 50_000, end=""), 10_000)
    assert text.startswith("a" * 1_000)
    assert text.endswith("b" * 1_000)
    assert "97.5 KB of output not kept" in text


def test_a_display_that_alone_is_too_much_is_a_note(shell, capsys):
    big = lambda: shell.display_pub.publish({"text/html": "x" * 20_000, "text/plain": "p"})
    ((_, data, *_),) = record_bounded(shell, big, 10_000)
    assert shell.display_pub.published[0][0]["text/html"] == "x" * 20_000
    assert list(data) == ["text/plain"]
    assert "20 KB of output not kept" in data["text/plain"]


def test_less_than_the_limit_is_kept_whole(shell, capsys):
    write = lambda: [print(number, file=(sys.stdout, sys.stderr)[number % 2]) for number in range(5_000)]
    events = record_bounded(shell, write, MAX_OUTPUT)
    assert [text for _, _, text in events] == [f"{number}\n" for number in range(5_000)]


def test_pages_and_next_inputs_are_repeated_and_a_strangers_only_as_text(shell):
    pages = []
    shell.payload_manager = SimpleNamespace(write_payload=lambda data, single=True: pages.append(data))
    page = {"source": "page", "data": {"text/plain": "help", "text/html": "<script>"}, "start": 0}
    load = {"source": "set_next_input", "text": "x = 1", "replace": True}
    events = record(
        shell, lambda: shell.payload_manager.write_payload(page), lambda: shell.payload_manager.write_payload(load)
    )
    pages.clear()
    assert replay(shell, events, is_trusted=True) == 0
    assert pages == [page, load]
    pages.clear()
    assert replay(shell, events, is_trusted=False) == 2
    assert pages == [{"source": "page", "data": {"text/plain": "help"}, "start": 0}]


def test_what_a_value_shows_of_itself_is_taken_without_being_shown(shell, capsys):
    def show(value):
        print("aside")
        shell.display_pub.publish({"text/plain": "p", "text/html": "<b>"}, {"m": 1})
        return {}, {}

    shell.display_formatter.format = show
    assert mime_bundle(shell, object()) == ({"text/plain": "p", "text/html": "<b>"}, {"m": 1})
    assert (capsys.readouterr().out, shell.display_pub.published) == ("", [])
    assert "publish" not in vars(shell.display_pub)
