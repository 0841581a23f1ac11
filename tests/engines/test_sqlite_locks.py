"""SQLite's locks belong to the process: whoever closes any descriptor of the file takes them away from all of its connections."""

import os

import pytest

from hashstash import HashStash

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="the system does not list locks")


def locks_held(folder):
    files = [os.path.join(above, name) for above, _, names in os.walk(folder) for name in names]
    inodes = {str(os.stat(path).st_ino) for path in files if path.endswith((".sqlite", ".db"))}
    with open("/proc/locks") as file:
        lines = [line.split() for line in file]
    return sum(line[4] == str(os.getpid()) and line[5].split(":")[-1] in inodes for line in lines)


@pytest.mark.parametrize("engine", ["sqlite", "sqlitedict", "diskcache"])
def test_a_second_stash_on_the_same_file_leaves_the_locks_of_the_first(engine, tmp_path):
    with HashStash(tmp_path, engine=engine) as first:
        first["a"] = 1
        held = locks_held(tmp_path)
        with HashStash(tmp_path, engine=engine) as second:
            second["b"] = second["a"]
            assert locks_held(tmp_path) >= held > 0
