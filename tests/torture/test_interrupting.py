"""What the checks of interrupts take for one that was swallowed."""

import fcntl
import os
import signal
import time
import weakref

import pytest

from hashstash.folders import made_folder_in
from torture.interrupting import at_step, by_timer

pytestmark = pytest.mark.once


class _Thing:
    pass


@pytest.fixture(autouse=True)
def _usual_signals():
    kept = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, kept[0])
    signal.signal(signal.SIGALRM, kept[1])


def _wait():
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # which an interrupt ends
        pass


def test_one_that_python_drops_in_a_weak_references_callback_never_came():
    def give_up():
        thing = _Thing()
        keeps = weakref.ref(thing, lambda _: _wait())
        del thing
        assert keeps() is None

    assert by_timer(give_up, 0.01) == (False, False)


def test_one_that_somebody_swallows_came_and_did_not_come_out():
    def swallow():
        try:
            _wait()
        except KeyboardInterrupt:
            pass

    assert by_timer(swallow, 0.01) == (True, False)


def test_one_that_comes_out():
    assert by_timer(_wait, 0.01) == (True, True)


def test_after_an_interrupt_at_any_step_of_making_a_folder_nobody_waits_for_it(tmp_path):
    step, where = 1, "somewhere"
    while where:
        parent = tmp_path / f"stash {step}"
        where, came_out = at_step(
            lambda parent=parent: made_folder_in(str(parent), "pairtree", "pairtree.hashstash.lz4"), step
        )
        assert came_out or not where
        if parent.exists():
            descriptor = os.open(parent, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(descriptor)
        step += 1
    assert step > 10
