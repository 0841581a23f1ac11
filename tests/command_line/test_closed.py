"""Folders of others that are closed: that nothing can be seen does not mean that nothing is there."""

import multiprocessing
import os
import shutil
import sys
import tempfile

import pytest
from together import cases

from hashstash import HashStash
from hashstash.cells.stashes import CellStashes, NoSuchStash
from hashstash.command_line import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="folders are closed by their modes on POSIX only")
NOBODY = 65534
CLOSED = 0o700 if os.getuid() == 0 else 0
"""The mode of a folder that keeps those out as whom these tests look into it."""


@pytest.fixture
def place(private_home):
    """A folder that everybody may look into, in which ``theirs`` is a closed stash, and ``open`` one that is not."""
    folder = tempfile.mkdtemp()
    for name in ("open", "theirs"):
        HashStash(os.path.join(folder, name), dbname="inner", engine="pairtree")["key"] = 1
    for top, _, files in os.walk(folder):
        for name in (".", *files):
            os.chmod(os.path.join(top, name), 0o755)
    main(["ls", folder])  # imports what cannot be imported any more by somebody who may not look into a home folder
    os.chmod(os.path.join(folder, "theirs"), CLOSED)
    yield folder
    os.chmod(os.path.join(folder, "theirs"), 0o700)
    shutil.rmtree(folder)


def _said(words, out, err, do=main):
    """Carry out a line as somebody whom modes of files keep out."""
    os.environ.update(dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"), "/nonexistent"))
    sys.stdout, sys.stderr = out.open("w"), err.open("w")
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    code = do(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@pytest.fixture
def as_stranger(tmp_path):
    def run(*words, do=main):
        out, err = tmp_path / "out", tmp_path / "err"
        out.unlink(missing_ok=True)
        err.unlink(missing_ok=True)
        child = multiprocessing.get_context("fork").Process(target=_said, args=(words, out, err, do))
        child.start()
        child.join(60)
        return child.exitcode, out.read_text(), err.read_text()

    return run


def test_a_closed_folder_is_told_from_an_empty_one(as_stranger, place):
    theirs = os.path.join(place, "theirs")
    with cases() as case:
        for words in (["ls", theirs], ["info", theirs], ["check", theirs], ["get", f"{theirs}/inner", "key"]):
            with case(words[0]):
                code, out, err = as_stranger(*words)
                assert (code, out) == (1, "")
                assert f"you may not look into {theirs}, which belongs to " in err


def test_what_is_open_is_listed_with_a_note_on_what_is_not(as_stranger, place):
    code, out, err = as_stranger("ls", place)
    assert code == 0
    assert out.splitlines()[1].startswith("open/inner ")
    assert f"note: you may not look into {place}/theirs" in err


def _look_for_cells(words):
    stashes = CellStashes(*words)
    print(repr(stashes.ls()))
    try:
        stashes.ls("fit")
    except NoSuchStash as error:
        print(error)
    return 0


def test_stashes_of_cells_in_a_closed_folder_are_not_said_to_be_none(place, as_stranger):
    code, out, _ = as_stranger(os.path.join(place, "theirs"), do=_look_for_cells)
    assert code == 0
    assert out.count("you may not look into") == 2
    assert "yet" not in out
