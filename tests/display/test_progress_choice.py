"""Which bar is chosen: what was asked for, what the environment says, what fits the place."""

import multiprocessing
import sys
import types

import pytest

from hashstash.display import progress
from hashstash.display.progress import progress_for
from hashstash.display.progress_bar import Bar
from hashstash.display.progress_notebook import NotebookPainter
from hashstash.display.progress_terminal import TextPainter, TqdmPainter
from hashstash.errors import MissingDependency, StashError
from hashstash.mapping.progress import NoProgress, Tally
from hashstash.mapping.worker import compute


@pytest.fixture
def somewhere(monkeypatch):
    """Nowhere that anybody looks, and no CI."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(progress, "is_terminal", lambda stream: False)
    monkeypatch.setitem(sys.modules, "IPython", None)


@pytest.fixture
def terminal(somewhere, monkeypatch):
    monkeypatch.setattr(progress, "is_terminal", lambda stream: True)


@pytest.fixture
def kernel(somewhere, monkeypatch):
    """As far as the choice sees it."""
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    return shell


def painters_of(bar):
    assert isinstance(bar, Bar)
    return [type(painter()) for painter in bar._painters]


def test_nothing_where_nobody_looks(somewhere):
    assert isinstance(progress_for(True), NoProgress)


def test_none_is_automatic(terminal):
    assert isinstance(progress_for(None), Bar)


def test_false_is_nothing(terminal):
    assert isinstance(progress_for(False), NoProgress)


def test_a_terminal_gets_tqdm(terminal):
    pytest.importorskip("tqdm")
    assert painters_of(progress_for(True)) == [TqdmPainter, TextPainter]


def test_a_terminal_without_tqdm_gets_a_line_of_our_own(terminal, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert painters_of(progress_for(True)) == [TextPainter]


def test_a_kernel_gets_a_display(kernel):
    assert painters_of(progress_for(True)) == [NotebookPainter, TextPainter]


def test_ipython_in_a_terminal_is_a_terminal(terminal, monkeypatch):
    shell = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert painters_of(progress_for(True)) == [TextPainter]


def test_a_kernel_without_a_shell_is_none(terminal, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert painters_of(progress_for(True)) == [TextPainter]


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_nothing_in_ci(kernel, monkeypatch, value):
    monkeypatch.setenv("CI", value)
    assert isinstance(progress_for(True), NoProgress)


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_ci_may_be_switched_off(kernel, monkeypatch, value):
    monkeypatch.setenv("CI", value)
    assert isinstance(progress_for(True), Bar)


def test_nothing_in_a_worker_process(terminal, monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    assert isinstance(progress_for(True), NoProgress)


@pytest.mark.parametrize("environment", ["", "text"])
def test_nothing_within_an_item_of_a_map(terminal, monkeypatch, environment):
    """The bar of that map is enough, in whichever thread or process its items are computed."""
    monkeypatch.setenv("HASHSTASH_PROGRESS", environment)
    (answer,) = compute(progress_for, [((True,), {})])
    assert isinstance(answer.value, NoProgress)


@pytest.mark.parametrize("value", ["off", "OFF", "0", "no", "none", "false"])
def test_the_environment_switches_off(kernel, monkeypatch, value):
    monkeypatch.setenv("HASHSTASH_PROGRESS", value)
    assert isinstance(progress_for(True), NoProgress)


def test_the_environment_chooses_even_in_ci(somewhere, monkeypatch):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("HASHSTASH_PROGRESS", "text")
    assert painters_of(progress_for(True)) == [TextPainter]


@pytest.mark.parametrize("value", ["", "auto", "on", "1"])
def test_the_environment_may_leave_the_choice(kernel, monkeypatch, value):
    monkeypatch.setenv("HASHSTASH_PROGRESS", value)
    assert painters_of(progress_for(True)) == [NotebookPainter, TextPainter]


def test_a_slip_in_the_environment_is_named(somewhere, monkeypatch):
    monkeypatch.setenv("HASHSTASH_PROGRESS", "htlm")
    with pytest.raises(StashError, match="HASHSTASH_PROGRESS is 'htlm'; known: off, html, widget, tqdm, text"):
        progress_for(True)


def test_what_is_asked_for_in_the_call_wins_over_the_environment(somewhere, monkeypatch):
    monkeypatch.setenv("HASHSTASH_PROGRESS", "off")
    assert painters_of(progress_for("text")) == [TextPainter]


@pytest.mark.parametrize("kind", progress.KINDS)
def test_every_kind_may_be_asked_for(somewhere, kind):
    if kind == "tqdm":
        pytest.importorskip("tqdm")
    assert isinstance(progress_for(kind), Bar)


def test_tqdm_that_is_not_there_is_named(somewhere, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(MissingDependency, match="'hashstash\\[notebook\\]'"):
        progress_for("tqdm")


@pytest.mark.parametrize("kind", ["html", "widget"])
def test_what_needs_a_notebook_is_a_line_of_text_elsewhere(somewhere, kind, capsys):
    bar = progress_for(kind)
    bar.start("label", Tally(3))
    bar.close(Tally(3, computed=3))
    assert capsys.readouterr().err.startswith("label: 3/3, ")


def test_an_object_of_ones_own_is_used_as_it_is(somewhere):
    own = NoProgress()
    assert progress_for(own) is own


class NeverStarts:
    def update(self, tally):
        pass

    def close(self, tally, *, interrupted=False):
        pass


@pytest.mark.parametrize("wanted", ["bar", "", 1, 0, 2.5, b"html", [], NeverStarts(), NoProgress])
def test_anything_else_is_refused(somewhere, wanted):
    with pytest.raises(TypeError, match="html, widget, tqdm, text"):
        progress_for(wanted)


def test_choosing_imports_nothing_of_a_notebook(somewhere):
    import subprocess

    code = (
        "import sys; from hashstash.display.progress import progress_for; progress_for(True);"
        "print({'IPython', 'ipywidgets', 'tqdm', 'ipykernel'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "set()\n", done.stderr
