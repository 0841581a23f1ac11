"""Files are mapped where that pays, and never so many that nothing else in the process can be opened."""

import contextlib
import gc
import mmap
import os
import subprocess
import sys

import pytest

from hashstash import mapped
from hashstash.errors import CorruptEntry
from hashstash.mapped import SMALLEST_MAP, content_of

CONTENT = os.urandom(SMALLEST_MAP)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


@contextlib.contextmanager
def opened(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def content(path, size=SMALLEST_MAP):
    with opened(path) as descriptor:
        return content_of(descriptor, size)


@pytest.fixture
def made(monkeypatch):
    """The mappings that are made from now on."""
    made = []

    class Noted(mmap.mmap):
        def __init__(self, *_, **__):
            made.append(1)

    monkeypatch.setattr(mmap, "mmap", Noted)
    return made


@pytest.mark.parametrize("size, count", [(SMALLEST_MAP - 1, 0), (SMALLEST_MAP, 1)])
def test_what_is_soon_read_is_read(path, made, size, count):
    assert content(path, size) == CONTENT[:size]
    assert len(made) == count


@pytest.mark.parametrize("size", [SMALLEST_MAP - 1, SMALLEST_MAP])
def test_what_is_written_into_it_stays_in_this_process(path, size):
    content(path, size)[:5] = b"other"
    assert path.read_bytes() == CONTENT


def test_mappings_count_as_long_as_somebody_looks(path):
    gc.collect()
    before = len(mapped._live)
    view = content(path)[10:20]
    assert len(mapped._live) == before + 1
    del view
    assert len(mapped._live) == before


def test_many_are_read(path, made, monkeypatch):
    monkeypatch.setattr(mapped, "_FEW", 0)
    monkeypatch.setattr(mapped, "_most", lambda _: len(mapped._live) + (len(made) < 3))
    held = [content(path) for _ in range(10)]
    assert len(made) == 3
    assert all(view == CONTENT for view in held)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before Python 3.13, a mapping keeps a descriptor")
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux lists the files that are open")
def test_a_mapping_takes_no_descriptor(path):
    before = os.listdir("/proc/self/fd")
    view = content(path)
    assert os.listdir("/proc/self/fd") == before
    assert view == CONTENT


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), OSError(12, "Cannot allocate memory")])
def test_where_no_mapping_can_be_had_it_is_read(path, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(mmap, "mmap", refuse)
    assert content(path) == CONTENT


@pytest.mark.parametrize("size", [SMALLEST_MAP, 2 * SMALLEST_MAP])
def test_a_file_that_became_shorter_is_damaged(path, size):
    os.truncate(path, size - 1 - SMALLEST_MAP // 2)
    with pytest.raises(CorruptEntry, match="became shorter"):
        content(path, size)


HOLD = """
import resource, sys
from hashstash.blobs import BlobStore
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
store = BlobStore(sys.argv[1])
reference = store.write([bytes(300_000)])
held = [store.map(reference, is_signed=False) for _ in range(300)]
print(len(held), len([open(sys.executable, "rb") for _ in range(50)]))
"""


def test_with_hundreds_held_the_process_can_open_files(tmp_path):
    pytest.importorskip("resource")
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("300 50\n", "")
