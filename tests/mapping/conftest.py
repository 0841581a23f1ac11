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
