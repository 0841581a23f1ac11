"""What the system refuses: errors that say where, how much and how much there is; and nothing is lost over them."""

import errno
import os
import subprocess
import sys
import tempfile
import warnings

import pytest

from hashstash import HashStash
from hashstash.errors import StashFull
from hashstash.refusals import explain, locate, naming, no_room, why_not
from hashstash.testing.engine.life import AS_ORDINARY_USER
from hashstash.trust import own_key


def test_no_room_says_where_how_much_and_what_is_free(tmp_path):
    error = no_room(errno.ENOSPC, str(tmp_path), 5000)
    assert isinstance(error, StashFull)
    assert error.errno == errno.ENOSPC
    assert f"no room for 5,000 bytes in {tmp_path}" in str(error)
    assert "bytes are free" in str(error)


def test_an_error_of_a_descriptor_gets_a_path():
    error = OSError(errno.EIO, "Input/output error")
    locate(error, "/some/file")
    assert str(error) == "[Errno 5] Input/output error: '/some/file'"


def test_an_error_that_names_a_path_keeps_it():
    with pytest.raises(FileNotFoundError) as caught, naming("/another"):
        os.stat("/there/is/none")
    assert caught.value.filename == "/there/is/none"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_disk_quota_and_file_size_are_no_room(number, tmp_path):
    with pytest.raises(StashFull) as caught:
        explain(OSError(number, os.strerror(number)), "file", str(tmp_path))
    assert caught.value.errno == number


def test_a_library_s_error_is_no_full_disk_where_there_is_room(tmp_path):
    error = why_not(str(tmp_path), "disk I/O error")
    assert not isinstance(error, StashFull)
    assert error.errno == errno.EIO
    assert os.listdir(tmp_path) == []


def test_a_function_runs_whose_place_cannot_be_opened(tmp_path):
    stash = HashStash(tmp_path / "stash", engine="pairtree")
    stash["a"] = 1
    (tmp_path / "stash" / "stashed_result").write_text("a file where a folder should be")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert stash.run(max, 1, 2) == 2


def test_drafts_of_a_signing_key_are_removed_later(tmp_path):
    left = tmp_path / "key.1.abandoned"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    own_key(str(tmp_path))
    assert os.listdir(tmp_path) == ["key"]


def test_lmdb_has_room_for_its_table_of_readers(tmp_path):
    """The library maps it: where there were none, a full disk would kill the interpreter."""
    pytest.importorskip("lmdb")
    stash = HashStash(tmp_path, engine="lmdb")
    stash["a"] = 1
    status = next(tmp_path.rglob("lock.mdb")).stat()
    assert status.st_blocks * 512 >= status.st_size > 0


CHANGES = """
import sys
from hashstash import HashStash
stash = HashStash(sys.argv[1], engine=sys.argv[2])
stash.get("missing")
stash.close()
drop_rights()
for change in (lambda: stash.update(k=2), lambda: stash.pop("k"), stash.clear):
    try:
        change()
    except PermissionError as error:
        print(error)
print(stash["k"])
"""


@pytest.mark.parametrize("engine", ["pairtree", "lmdb", "sqlite", "shelve"])
def test_a_read_only_folder_is_read_and_every_change_says_what_to_do(engine, tmp_path):
    if engine == "lmdb":
        pytest.importorskip("lmdb")
    with HashStash(tmp_path / "stash", engine=engine) as stash:
        stash["k"] = 1
    inside = [tmp_path / "stash", *(tmp_path / "stash").rglob("*")]
    for path in inside:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        command = [sys.executable, "-c", AS_ORDINARY_USER + CHANGES, str(tmp_path / "stash"), engine]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    finally:
        for path in inside:
            path.chmod(0o700)
    *refused, value = done.stdout.splitlines()
    assert value == "1", done.stderr
    assert len(refused) == 3
    assert all("folder of this stash is read-only; to change it, copy it" in text for text in refused), refused


@pytest.mark.skipif(os.getuid() != 0, reason="modes keep nobody else out of what is his own")
@pytest.mark.parametrize(
    "closed", ["", "inner", "inner/pairtree.hashstash.raw", "inner/pairtree.hashstash.raw/data.db"]
)
def test_a_stash_that_others_keep_to_themselves_is_not_taken_for_an_empty_one(closed):
    with tempfile.TemporaryDirectory() as folder:  # others may not look into the one that pytest makes
        os.chmod(folder, 0o755)
        HashStash(f"{folder}/theirs", "inner", engine="pairtree", compress="raw")["k"] = 1
        for top, _, _ in os.walk(f"{folder}/theirs"):
            os.chmod(top, 0o755)
        os.chmod(f"{folder}/theirs/{closed}", 0o700)
        said = as_nobody(lambda: HashStash(f"{folder}/theirs", "inner", engine="pairtree"))
    assert "PermissionError" in said
    assert "you may not look into this stash" in said
    assert f"{folder}/theirs" in said


def as_nobody(action):
    """What is raised by *action* in a child process that modes of files keep out."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            homes = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
            os.environ.update(dict.fromkeys(homes, "/nonexistent"))
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            warnings.simplefilter("ignore")
            action()
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text
