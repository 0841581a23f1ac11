import os
import time
import warnings

import pytest

from hashstash import HashStash


@pytest.fixture
def stash(tmp_path):
    return HashStash(tmp_path / "stash", engine="pairtree")


@pytest.fixture
def noted():
    """A callable that runs a function and returns its result and the texts of the RuntimeWarnings that it gave."""

    def run(function):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = function()
        return result, [str(warning.message) for warning in caught if warning.category is RuntimeWarning]

    return run


@pytest.fixture
def calls():
    """A list that functions of a test may note their calls in."""
    return []


@pytest.fixture
def counted(calls):
    """A function that notes what it is called with."""

    def function(x, y=1):
        calls.append((x, y))
        return x * 10 + y

    return function


def double_when_told(x, folder):
    """Twice *x*, as soon as there is a file of that name in *folder*."""
    deadline = time.monotonic() + 60
    while not os.path.exists(os.path.join(folder, str(x))) and os.path.exists(folder):  # else its test is over
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return x * 2


@pytest.fixture
def gated(stash, tmp_path):
    """A map in the background whose items wait for their turn: ``gated.open(number)`` lets one go on."""

    class Gated:
        folder = str(tmp_path)
        function = staticmethod(double_when_told)

        def open(self, *numbers):
            for number in numbers:
                (tmp_path / str(number)).touch()

        def map(self, **options):
            options = {"executor": "threads", "num_proc": 4, "chunksize": 1, "progress": False, **options}
            return stash.map(double_when_told, range(4), folder=self.folder, **options)

    gated = Gated()
    yield gated
    gated.open(*range(4))
