"""What the checks of interrupts take for one that was swallowed."""

import signal
import time
import weakref

import pytest

from torture.interrupting import by_timer

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
