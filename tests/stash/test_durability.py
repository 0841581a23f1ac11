import errno
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from hashstash import HashStash
from hashstash.errors import StashFull

pytestmark = pytest.mark.once

WRITE_FOR_EVER = """
import sys
from hashstash import HashStash
stash = HashStash(sys.argv[1], engine=sys.argv[2], compress=False)
number = 0
while True:
    stash[number % 7] = [number] * (10 if number % 3 else 20_000)
    number += 1
    print(number, flush=True)
"""


def killed_writer(folder, engine, after):
    """Let a process write until it has stored *after* entries, and kill it in the middle; returns what it had stored."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(folder), engine], stdout=subprocess.PIPE, text=True
    )
    last = 0
    while last < after:
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    last = [int(line) for line in process.communicate()[0].splitlines() if line][-1:] or [last]
    return last[0]


@pytest.mark.parametrize("after", [1, 20, 61])
def test_a_killed_writer_loses_nothing_that_it_had_stored(tmp_path, shared_engine, after):
    stored = killed_writer(tmp_path, shared_engine, after)
    stash = HashStash(tmp_path, engine=shared_engine)
    for number in range(max(0, stored - 7), stored):
        found = stash[number % 7]
        assert found[0] >= number
        assert found == [found[0]] * len(found)
    stash["after"] = 1
    assert stash["after"] == 1


def test_a_stash_can_be_used_at_once_after_a_writer_was_killed(tmp_path, shared_engine):
    stash = HashStash(tmp_path, engine=shared_engine)
    stash["mine"] = 1
    killed_writer(tmp_path, shared_engine, 5)
    assert stash["mine"] == 1
    stash["mine"] = 2
    assert stash["mine"] == 2


def test_rows_are_synced_when_power_may_fail(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")) or fsync(descriptor)
    )
    stash = HashStash(tmp_path, engine="pairtree", durability="power", compress=False)
    stash["k"] = os.urandom(100_000)
    kinds = {
        "draft" if "/tmp/" in path.removeprefix(str(tmp_path)) else "blob" if "/blobs/" in path else "folder"
        for path in synced
    }
    assert kinds == {"draft", "blob", "folder"}


def test_nothing_is_synced_otherwise(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("synced"))
    HashStash(tmp_path, engine="pairtree", compress=False)["k"] = os.urandom(100_000)


# ---- system calls that fail, one after the other ---------------------------------------------------------------------

CALLS = ["open", "write", "writev", "replace", "fchmod", "close", "posix_fallocate", "mkdir"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("value", [[2], os.urandom(100_000)], ids=["small", "large"])
@pytest.mark.parametrize("call", CALLS)
def test_a_system_call_that_fails_leaves_the_old_value_or_the_new_one(tmp_path, monkeypatch, call, value, number):
    if not hasattr(os, call):
        pytest.skip(f"this system has no {call}")
    for turn in range(6):
        stash = HashStash(tmp_path / str(turn), engine="pairtree", compress=False)
        stash["k"] = "old"
        with monkeypatch.context() as patch:
            patch.setattr(os, call, _failing_at(turn, getattr(os, call), number))
            failure = _error_of(lambda stash=stash: stash.__setitem__("k", value))
        assert failure is None or failure.errno == number
        assert stash["k"] in ("old", value)
        stash["k"] = "again"
        assert stash["k"] == "again"


def _error_of(call):
    try:
        call()
    except OSError as error:
        return error
    return None


def _failing_at(turn, function, number):
    calls = iter(range(1_000_000))

    def call(*args, **kwargs):
        if next(calls) == turn:
            if function is os.close:
                function(*args)  # the descriptor is gone even where close reports an error
            raise OSError(number, os.strerror(number))
        return function(*args, **kwargs)

    return call


@pytest.mark.parametrize("call", ["write", "replace", "writev", "posix_fallocate"])
def test_a_full_disk_is_said_so_and_leaves_no_draft(tmp_path, monkeypatch, call):
    if not hasattr(os, call):
        pytest.skip(f"this system has no {call}")
    stash = HashStash(tmp_path, engine="pairtree", compress=False)
    stash["k"] = "old"
    with monkeypatch.context() as patch:
        patch.setattr(os, call, _failing_at(0, getattr(os, call), errno.ENOSPC))
        with pytest.raises(StashFull, match=r"no room.*free some") as caught:
            stash["k"] = os.urandom(100_000)
    assert isinstance(caught.value, OSError)
    assert stash["k"] == "old"
    assert list(pathlib.Path(stash.path).glob("tmp/*")) == []
    assert list(stash.store.blobs.names()) == []


def test_a_small_disk_fills_up_and_nothing_is_lost(tmp_path):
    """On a real file system of 2 MB, where one can be mounted."""
    code = """
import os, sys
from hashstash import HashStash
from hashstash.errors import StashFull
stash = HashStash(sys.argv[1], engine=sys.argv[2], compress=False)
stored = 0
try:
    for number in range(1000):
        stash[number] = os.urandom(20_000 if number % 2 else 60_000)
        stored += 1
except StashFull:
    assert [len(stash[number]) for number in range(stored)] == [20_000 if number % 2 else 60_000 for number in range(stored)]
    del stash[0]
    del stash[2]
    stash["small"] = 1
    assert stash["small"] == 1
    print("full after", stored)
"""
    script = f'mount -t tmpfs -o size=2m none {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}/stash pairtree'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, code]
    probe = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"mount -t tmpfs none {tmp_path}"]
    try:
        can_mount = subprocess.run(probe, capture_output=True, timeout=30).returncode == 0
    except FileNotFoundError:
        can_mount = False
    if not can_mount:
        pytest.skip("no file system can be mounted here")
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.stdout.startswith("full after"), result.stderr
