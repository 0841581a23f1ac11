"""Work in forks is heard, ended, and judged by itself."""

import os
import sys
import time

import pytest

from torture import forks
from torture.forks import forked

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which processes run")]


def _leave_behind(seconds=600):
    """Start a process that goes on, with all that is open, and give its number."""
    child = os.fork()
    if not child:
        time.sleep(seconds)
        os._exit(0)
    return child


def _is_there(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"  # ended, and waited for by nobody yet
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(forks, "LONGEST_TRIAL", 20.0)


def test_a_process_that_leaves_another_one_behind_is_not_taken_for_one_that_hangs(impatient):
    told = forked(lambda: {"left": _leave_behind()})
    assert "hangs" not in told
    deadline = time.monotonic() + 30
    while _is_there(told["left"]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_there(told["left"])


def test_all_that_a_process_says_is_heard_though_another_one_is_left_behind(impatient):
    assert forked(lambda: {"left": _leave_behind(), "text": "x" * 3_000_000})["text"] == "x" * 3_000_000


def test_a_process_that_hangs_is_told(monkeypatch):
    monkeypatch.setattr(forks, "LONGEST_TRIAL", 0.3)
    assert "hangs" in forked(lambda: time.sleep(600))


def test_a_process_that_ends_without_a_word_is_told():
    assert "died" in forked(lambda: os._exit(3))
