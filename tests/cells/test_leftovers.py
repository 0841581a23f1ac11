"""Closed files, finished threads and executors come back as used up as they were."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hashstash.cells import leftovers


@pytest.mark.parametrize("mode", ["r", "w", "a", "rb", "wb", "r+b"])
def test_a_closed_file_comes_back(tmp_path, mode):
    path = tmp_path / "f.txt"
    path.write_text("text")
    file = open(path, mode)
    file.close()
    again = leftovers.make(leftovers.describe(file))
    assert (type(again), again.name, again.mode, again.closed) == (type(file), str(path), file.mode, True)


@pytest.mark.parametrize("value", [5, io.StringIO(), "closed"])
def test_anything_else_is_none(value):
    assert leftovers.describe(value) is None


def test_an_open_file_is_none(tmp_path):
    with open(tmp_path / "f", "w") as file:
        assert leftovers.describe(file) is None


def test_a_finished_thread_comes_back_finished():
    thread = threading.Thread(name="worker")
    thread.start()
    thread.join()
    again = leftovers.make(leftovers.describe(thread))
    assert (again.name, again.is_alive(), again.ident is not None) == ("worker", False, True)


def test_a_thread_that_was_not_started_is_none():
    assert leftovers.describe(threading.Thread()) is None


def test_an_executor_comes_back_shut_down():
    with ThreadPoolExecutor(2) as executor:
        assert leftovers.describe(executor) is None
    again = leftovers.make(leftovers.describe(executor))
    with pytest.raises(RuntimeError, match="shutdown"):
        again.submit(print)
