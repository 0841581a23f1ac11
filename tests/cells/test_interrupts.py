"""Interrupts at any moment: results are whole and never lost, nothing is left behind, and the next cell works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("IPython")
pytest.importorskip("numpy")

from IPython.core.interactiveshell import InteractiveShell

from hashstash.cells.interrupts import HeldBack
from hashstash.cells.listening import Listening

SCRIPT = Path(__file__).with_name("interrupted.py")
KINDS = ["miss", "hit", "miss+await", "hit+await"]


def problems(kind, points, folder, seed=1):
    """What *points* interrupts of a cell did wrong; the moments are spread over all there are."""
    private = {
        "HOME": folder,
        "XDG_CACHE_HOME": folder / "cache",
        "XDG_STATE_HOME": folder / "state",
        "IPYTHONDIR": folder / "ipython",
    }
    variables = {**os.environ, **{name: str(path) for name, path in private.items()}}
    command = [sys.executable, "-W", "ignore", str(SCRIPT), kind, str(points), str(seed)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=variables, timeout=800)
    assert result.returncode == 0, result.stderr[-3000:]
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["moments"] > 1000
    return told["problems"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_leaves_all_or_nothing(kind, tmp_path):
    assert problems(kind, 25, tmp_path) == []


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_at_many_moments_leaves_all_or_nothing(kind, tmp_path):
    assert problems(kind, 400, tmp_path, seed=2) == []


def interrupt(times=1):
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


def test_what_is_held_back_comes_at_the_end():
    steps = []
    with pytest.raises(KeyboardInterrupt), HeldBack():
        interrupt(2)
        steps.append("whole")
    assert steps == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_step_without_end_can_still_be_interrupted():
    with pytest.raises(KeyboardInterrupt), HeldBack():
        interrupt(3)
        pytest.fail("the third interrupt did not get through")


def test_nested_steps_pass_the_interrupt_on():
    steps = []
    with pytest.raises(KeyboardInterrupt), HeldBack():
        with HeldBack():
            interrupt()
        steps.append("outer")
    assert steps == ["outer"]


def test_somebody_elses_handler_is_called_and_put_back():
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: heard.append(number))
    mine = signal.getsignal(signal.SIGINT)
    try:
        with HeldBack():
            interrupt()
            assert heard == []
        assert heard == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with HeldBack():
            interrupt()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_left_alone():
    found = []

    def step():
        with HeldBack():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]


class Part:
    """A part of what is listened to, in which an interrupt comes, going in as going out."""

    def __init__(self):
        self.steps = []

    def __enter__(self):
        interrupt()
        self.steps.append("begun")

    def __exit__(self, *_exception):
        interrupt()
        self.steps.append("ended")


def test_listening_begins_and_ends_whole_whenever_an_interrupt_comes():
    shell = InteractiveShell()
    listening = Listening(shell, (), max_output=10**6)
    listening.watch = part = Part()
    before = set(vars(shell)), set(vars(sys.stdout)), sys.displayhook
    with pytest.raises(KeyboardInterrupt):
        listening.start()
    assert part.steps == ["begun"]
    assert set(vars(sys.stdout)) > before[1]
    with pytest.raises(KeyboardInterrupt):
        listening.stop()
    assert part.steps == ["begun", "ended"]
    assert (set(vars(shell)), set(vars(sys.stdout)), sys.displayhook) == before
