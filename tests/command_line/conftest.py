import json
import os
from typing import NamedTuple

import pytest

from hashstash import HashStash
from hashstash.command_line import main


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return self.out.splitlines()


@pytest.fixture
def run(capfd):
    """Carry out a command line in this process; every answer is checked to be fit for a terminal."""

    def run_line(*words):
        capfd.readouterr()
        code = main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    return run_line


@pytest.fixture
def failed(run):
    """The one line that a command says when it cannot do what was asked."""

    def fail(*words, code=1):
        ran = run(*words)
        assert (ran.code, ran.out) == (code, "")
        (line,) = ran.err.splitlines()
        assert line.startswith("hashstash: ")
        assert line.isprintable()
        return line

    return fail


@pytest.fixture
def tree(private_home, tmp_path):
    """All files and folders that a command could have made."""

    def walk():
        return sorted(
            os.path.join(place, name)
            for top in (private_home, tmp_path)
            for place, folders, files in os.walk(top)
            for name in [*folders, *files]
        )

    return walk


@pytest.fixture
def stash(private_home):
    """A named stash in the user's cache."""
    with HashStash("exp", dbname="first", engine="pairtree") as made:
        made.update({"text": "hello", "number": 0.5, ("f", 1): {"a": [1, 2], "b": (3,)}})
        yield made
