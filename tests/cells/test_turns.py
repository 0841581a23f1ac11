"""Turns of kernels at one cell: what whoever holds one has left for those who wait is somebody else's."""

import json
import socket

import pytest

from hashstash import HashStash
from hashstash.cells.turns import Turn

MACHINE = socket.gethostname()


@pytest.mark.parametrize(
    "note",
    [
        b"[" * 4096,
        b"5",
        b"\xff",
        json.dumps({"machine": MACHINE, "process": [1], "began": float("nan")}).encode(),
        json.dumps({"machine": MACHINE, "process": {"a": 1}, "began": float("inf")}).encode(),
    ],
)
def test_a_note_that_is_none_is_as_good_as_nothing(tmp_path, note):
    engine = HashStash(tmp_path / "stash", engine="pairtree").store.engine
    lock = engine.lock("cell:name")
    with lock:
        lock.leave_note(note)
        turn = Turn(engine, "name")
        assert turn.may_be_waited_for
        assert turn.since() is None
