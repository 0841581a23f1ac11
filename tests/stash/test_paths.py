"""Paths as keys: by what they are, or with ``paths="content"`` by the files that they lead to."""

import os
import pathlib
import pickle
import time

import pytest

from hashstash import HashStash
from hashstash.errors import VolatileKey
from hashstash.fingerprint import contents


@pytest.fixture
def stash():
    return HashStash("by content", engine="memory", paths="content")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    return path


def tree(folder, files):
    folder.mkdir()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def make_old(path):
    """As if nobody had touched *path* for a while; only its change time tells."""
    os.utime(path, ns=(1, time.time_ns() - 10**12))


def test_by_default_a_path_is_its_name(tmp_path, file):
    stash = HashStash("by name", engine="memory")
    stash[file] = 1
    file.write_text("two")
    assert stash[file] == 1
    assert tmp_path / "b.txt" not in stash


def test_a_changed_file_is_another_key(stash, file):
    stash[file] = 1
    file.write_text("two")
    assert file not in stash


def test_a_copy_of_a_file_is_the_same_key(stash, file, tmp_path):
    stash[file] = 1
    (tmp_path / "b").write_text("one")
    assert stash[tmp_path / "b"] == 1


@pytest.mark.parametrize("hold", [lambda p: (p, 1), lambda p: [p], lambda p: {"in": p}, lambda p: frozenset([p])])
def test_paths_inside_of_keys_count_by_content_too(stash, file, hold):
    stash[hold(file)] = 1
    assert stash[hold(file)] == 1
    file.write_text("two")
    assert hold(file) not in stash


def test_the_key_comes_back_as_the_path(stash, file):
    stash[file] = 1
    assert list(stash) == [file]


def test_a_file_is_not_its_text_nor_its_path(stash, file):
    stash[file] = 1
    assert str(file) not in stash
    assert pathlib.PurePath(file) not in stash


def test_equal_folders_are_one_key(stash, tmp_path):
    stash[tree(tmp_path / "a", {"x": "1", "d/y": "2"})] = 1
    assert stash[tree(tmp_path / "b", {"d/y": "2", "x": "1"})] == 1


@pytest.mark.parametrize("other", [{"x": "1"}, {"x": "1", "y": "2"}, {"x": "1", "d/y": "3"}, {"x": "1", "d/z": "2"}])
def test_other_folders_are_other_keys(stash, tmp_path, other):
    stash[tree(tmp_path / "a", {"x": "1", "d/y": "2"})] = 1
    assert tree(tmp_path / "b", other) not in stash


def test_empty_folders_are_equal(stash, tmp_path):
    stash[tree(tmp_path / "a", {})] = 1
    (tmp_path / "b" / "c").mkdir(parents=True)
    assert stash[tmp_path / "b"] == stash[tmp_path / "b" / "c"] == 1


def test_a_folder_that_links_to_itself_has_an_end(stash, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(".")
    stash[tmp_path / "a"] = 1
    assert stash[tmp_path / "a"] == 1


def test_a_missing_file_is_no_key(stash, tmp_path):
    with pytest.raises(VolatileKey, match=r"none\.txt"):
        stash[tmp_path / "none.txt"]


def test_a_link_to_a_file_is_that_file(stash, file, tmp_path):
    (tmp_path / "link").symlink_to(file)
    stash[file] = 1
    assert stash[tmp_path / "link"] == 1


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("loop", "levels of symbolic links"),
        ("broken", "No such file"),
        ("a.txt/b", "Not a directory"),
        ("a\0b", "null"),
    ],
)
def test_a_path_that_leads_nowhere_is_no_key_and_says_why(stash, file, tmp_path, path, why):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "broken").symlink_to("nowhere")
    with pytest.raises(VolatileKey, match=rf"(?s)cannot be read \(.*{why}.*paths='path'"):
        stash[tmp_path / path]


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="the system has no such file")
def test_a_file_that_cannot_be_read_is_no_key(stash):
    with pytest.raises(VolatileKey, match="'/proc/self/mem' cannot be read"):
        stash[pathlib.Path("/proc/self/mem")]


def test_a_pipe_in_a_folder_is_no_key(stash, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VolatileKey, match="pipe' is neither a file nor a folder"):
        stash[tmp_path]


def test_a_pipe_is_no_key(stash, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VolatileKey, match="neither a file nor a folder"):
        stash[tmp_path / "pipe"]


def test_a_file_changed_just_now_is_not_remembered(stash, file):
    stash[file] = 1
    status = file.stat()
    file.write_text("two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file not in stash


def test_a_file_whose_time_was_set_back_is_read_again(stash, file, monkeypatch):
    monkeypatch.setattr(contents, "_SETTLED_NS", -(10**12))
    make_old(file)
    stash[file] = 1
    time.sleep(0.02)
    status = file.stat()
    file.write_text("two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file not in stash


def test_a_settled_file_is_read_once(stash, file, monkeypatch):
    monkeypatch.setattr(contents, "_SETTLED_NS", -(10**12))
    stash[file] = 1
    monkeypatch.setattr(contents, "file_digest", None)
    assert stash[file] == 1


def test_a_function_runs_again_when_the_file_changed(stash, file):
    def read(path):
        return path.read_text()

    assert (stash.run(read, file), stash.run(read, file)) == ("one", "one")
    file.write_text("two")
    assert stash.run(read, file) == "two"


def test_the_choice_is_kept_by_all_ways_to_open_it_again(stash, file, tmp_path):
    disk = HashStash(str(tmp_path / "disk"), engine="pairtree", paths="content")
    disk[file] = 1
    file.rename(tmp_path / "b.txt")
    assert HashStash.from_dict(disk.to_dict())[tmp_path / "b.txt"] == 1
    assert pickle.loads(pickle.dumps(disk))[tmp_path / "b.txt"] == 1


def test_only_a_change_is_described():
    assert "paths" not in HashStash("plain", engine="memory").to_dict()
    assert HashStash("other", engine="memory", paths="content").to_dict()["paths"] == "content"


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="'path', 'content'"):
        HashStash(paths="size", engine="memory")
