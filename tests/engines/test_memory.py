import contextlib
import gc
import os
import shutil
import subprocess
import sys

import pytest

from hashstash import HashStash
from hashstash.engine import Capability
from hashstash.engines import memory
from hashstash.engines.memory import MemoryEngine, SharedMemoryEngine
from hashstash.testing.engine import ADDRESS, OTHER, EngineContract, row

pytestmark = pytest.mark.once


class TestMemory(EngineContract):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: MemoryEngine(str(tmp_path))

    def raw_get(self, engine, address):
        return memory._stores[engine.location()].get(address)


@pytest.fixture
def memory_folder(tmp_path, monkeypatch):
    """The memory file system of this test, in this process and those that it starts."""
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(memory, "_MEMORY", str(folder))
    return folder


@pytest.fixture
def place(tmp_path):
    """A name in the real memory file system that no other test has; what is stored there is removed."""
    folder = str(tmp_path / "shared")
    yield folder
    made = os.path.join(memory.private_base(), folder.lstrip(os.sep))
    shutil.rmtree(made, ignore_errors=True)
    with contextlib.suppress(OSError):  # up to a folder that other tests are using
        os.removedirs(os.path.dirname(made))


class SharedContract(EngineContract):
    kind = ""

    @pytest.fixture
    def make(self, place, monkeypatch):
        monkeypatch.setattr(memory, "best_kind", lambda: self.kind)
        return lambda: MemoryEngine(place, shared=True)

    def source(self, engine):
        return (
            "from hashstash.engines import memory\n"
            f"memory.best_kind = lambda: {self.kind!r}\n"
            f"engine = memory.SharedMemoryEngine({engine.location()!r})\n"
        )


class TestSharedByLmdb(SharedContract):
    kind = "lmdb"

    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("lmdb", reason="the package lmdb is not installed")

    def raw_get(self, engine, address):
        path = os.path.join(engine.location(), open_text(engine._pointer))
        if not os.path.exists(path + "/data.mdb"):
            return None
        code = (
            f"import lmdb, sys; e = lmdb.open({path!r}, readonly=True, lock=False); t = e.begin();"
            f" v = t.get({address!r}); sys.stdout.buffer.write(b'-' if v is None else b'+' + bytes(v))"
        )
        output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60).stdout
        return output[1:] if output[:1] == b"+" else None


class TestSharedByFiles(SharedContract):
    kind = "pairtree"
    many = 20_000  # files of the engine pairtree, whose own tests make more

    def raw_get(self, engine, address):
        path = os.path.join(engine.location(), open_text(engine._pointer), address.hex()[:2], address.hex())
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None


def open_text(path):
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return "none"


# ---- in this process -------------------------------------------------------------------------------------------------


def test_clearing_reaches_the_sections_that_another_object_made():
    one, other = MemoryEngine("shared"), MemoryEngine("shared")
    one.section("history").put(b"address", b"row")
    other.clear()
    assert one.section("history").count() == 0


def test_clearing_leaves_a_stash_alone_whose_name_begins_alike():
    one, other = MemoryEngine("name"), MemoryEngine("name@x")
    other.put(ADDRESS, row("a"))
    other.section("history").put(ADDRESS, row("b"))
    one.section("history").put(ADDRESS, row("c"))
    assert one.section_names().count("history") == 1


def test_what_is_got_is_a_copy(tmp_path):
    stash = HashStash(tmp_path, engine="memory")
    value = {"list": [1, 2]}
    stash["k"] = value
    value["list"].append(3)
    stash["k"]["list"].append(4)
    assert stash["k"] == {"list": [1, 2]}


def test_without_a_name_or_shared_it_stays_in_the_process(tmp_path):
    HashStash(tmp_path / "x", engine="memory")["k"] = 1
    code = f"from hashstash import HashStash; print('k' in HashStash({str(tmp_path / 'x')!r}, engine='memory'))"
    assert in_process(code) == "False"
    assert HashStash("memory://").store.engine.capabilities == Capability.SWAP


# ---- shared ----------------------------------------------------------------------------------------------------------


def in_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_processes_that_know_nothing_of_each_other_share_a_name(place):
    in_process(f"from hashstash import HashStash; HashStash({place!r}, engine='memory', shared=True)['k'] = [1, 2]")
    stash = HashStash(place, engine="memory", shared=True)
    assert stash["k"] == [1, 2]
    stash["k"] = "back"
    code = f"from hashstash import HashStash; print(HashStash({place!r}, engine='memory', shared=True)['k'])"
    assert in_process(code) == "back"


def test_a_url_with_a_name_is_shared(private_home, place):
    stash = HashStash(f"memory://{place}")
    stash["k"] = 1
    assert isinstance(stash.store.engine, SharedMemoryEngine)
    code = f"from hashstash import HashStash; print(HashStash('memory://{place}')['k'])"
    assert in_process(code) == "1"
    assert HashStash.from_dict(stash.to_dict())["k"] == 1


def test_a_shared_stash_and_one_of_the_process_are_two(place):
    HashStash(place, engine="memory", shared=True)["k"] = 1
    assert "k" not in HashStash(place, engine="memory")


def test_nothing_is_made_in_the_folder_of_that_name(place):
    stash = HashStash(place, engine="memory", shared=True)
    stash["k"] = os.urandom(100_000)
    assert len(stash["k"]) == 100_000
    assert not os.path.exists(place)


def used(folder):
    return sum(os.stat(os.path.join(top, file)).st_blocks * 512 for top, _, files in os.walk(folder) for file in files)


def test_clear_gives_the_memory_back(place):
    stash = HashStash(place, engine="memory", shared=True, compress=False)
    other = HashStash(place, engine="memory", shared=True)
    for number in range(300):
        stash[number] = os.urandom(10_000)
    stash["large"] = os.urandom(1_000_000)
    assert other[5] == stash[5]
    folder = stash.path
    assert used(folder) > 4_000_000
    stash.clear()
    assert used(folder) < 50_000
    assert len(other) == 0
    gc.collect()
    assert not [link for link in open_files() if str(folder) in link]
    stash["again"] = 1
    assert other["again"] == 1


def open_files():
    for number in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue


def test_other_processes_go_on_after_it_was_cleared(place):
    stash = HashStash(place, engine="memory", shared=True)
    stash["k"] = 1
    code = (
        "import sys; from hashstash import HashStash\n"
        f"stash = HashStash({place!r}, engine='memory', shared=True)\n"
        "print(stash['k'], flush=True); sys.stdin.readline()\n"
        "print('k' in stash, stash.get('new'), len(stash), flush=True)\n"
        "stash['theirs'] = 2; print('done', flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "1\n"
    stash.clear()
    stash["new"] = 3
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.communicate(timeout=60)[0] == "False 3 1\ndone\n"
    assert process.returncode == 0
    assert stash["theirs"] == 2


def test_functions_kept_in_shared_memory_are_cleared_with_the_stash(place):
    stash = HashStash(place, engine="memory", shared=True)
    calls = []

    def double(number):
        calls.append(number)
        return 2 * number

    assert stash.run(double, 2) == stash.run(double, 2) == 4
    assert calls == [2]
    stash.clear()
    assert stash.run(double, 2) == 4
    assert calls == [2, 2]


def test_the_kind_is_that_of_whoever_came_first(place, monkeypatch):
    monkeypatch.setattr(memory, "best_kind", lambda: "pairtree")
    MemoryEngine(place, shared=True).put(ADDRESS, row("file"))
    monkeypatch.undo()
    later = MemoryEngine(place, shared=True)
    assert later.get(ADDRESS) == row("file")
    later.put(OTHER, row("b"))
    assert MemoryEngine(place, shared=True).count() == 2


# ---- others on this machine ------------------------------------------------------------------------------------------


def base_in(folder):
    return folder / f"hashstash-{os.getuid()}"


def test_the_folder_is_private_under_any_umask(memory_folder):
    before = os.umask(0)
    try:
        MemoryEngine("/x", shared=True).put(ADDRESS, row("secret"))
    finally:
        os.umask(before)
    modes = {
        os.stat(os.path.join(top, name)).st_mode & 0o077
        for top, dirs, files in os.walk(memory_folder)
        for name in dirs + files
    }
    assert modes == {0}


def test_a_link_in_the_place_of_our_folder_is_refused(memory_folder, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    base_in(memory_folder).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="only you can enter"):
        HashStash("x", engine="memory", shared=True)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_folder_that_others_can_enter_is_refused(memory_folder, mode):
    base_in(memory_folder).mkdir()
    base_in(memory_folder).chmod(mode)
    with pytest.raises(PermissionError, match="only you can enter"):
        HashStash("x", engine="memory", shared=True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder that belongs to somebody else")
def test_a_folder_of_somebody_else_is_refused(memory_folder):
    base_in(memory_folder).mkdir(mode=0o700)
    os.chown(base_in(memory_folder), 65534, 65534)
    with pytest.raises(PermissionError, match="only you can enter"):
        HashStash("x", engine="memory", shared=True)


def test_a_place_where_everybody_may_replace_it_is_refused(memory_folder):
    memory_folder.chmod(0o777)
    with pytest.raises(PermissionError, match="sticky"):
        HashStash("x", engine="memory", shared=True)
    memory_folder.chmod(0o1777)
    HashStash("x", engine="memory", shared=True)["k"] = 1


def test_without_a_memory_file_system_it_lies_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMORY", str(tmp_path / "missing"))
    monkeypatch.setattr(memory.tempfile, "tempdir", str(tmp_path))
    stash = HashStash("x", engine="memory", shared=True)
    stash["k"] = 1
    assert stash["k"] == 1
    assert os.path.commonpath([stash.path, tmp_path]) == str(tmp_path)


def test_clearing_a_shared_stash_leaves_no_folder(memory_folder, tmp_path):
    stash = HashStash(str(tmp_path / "name"), engine="memory", shared=True, append_mode=True)
    stash["k"] = 1
    stash["k"] = 2
    assert any(path.is_file() for path in memory_folder.rglob("*"))
    stash.clear()
    assert [path for path in memory_folder.rglob("*") if path.parent != memory_folder] == []
    stash["k"] = 3
    assert stash["k"] == 3
