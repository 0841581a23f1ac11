"""One file that holds stashes: what goes in comes out, on any engine, for anybody, and nobody is trusted by that."""

import errno
import io
import math
import os
import stat
import threading
import time
import tracemalloc
import zipfile

import pytest

from hashstash import HashStash, archive
from hashstash.entry import Flag, unpack
from hashstash.errors import PolicyError, ReadOnlyStash, UnsafeName, UntrustedEntry
from hashstash.policies.versions import HISTORY

LARGE = b"large " * 20_000
VALUES = {"small": 1, "text": "x" * 3000, "large": LARGE, ("tuple", 2): {"a": [1, 2]}, None: None}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "some.stash"


@pytest.fixture
def made(tmp_path):
    """Open stashes by a name, on whatever engine."""
    opened = []

    def make(name, **options):
        opened.append(HashStash(tmp_path / name, **{"engine": "pairtree", "compress": False, **options}))
        return opened[-1]

    yield make
    for stash in opened:
        stash.close()


def square(x):
    return x * x


def rows(stash, section=None):
    return dict((stash.store.engine.section(section) if section else stash.store.engine).rows())


def entry_of(stash, key):
    address = stash.store.keys.address(key)
    return unpack(stash.store.engine.get(address), address)


# ---- what goes in comes out --------------------------------------------------------------------------------------------


def test_everything_comes_out_of_every_engine(open_on, every_engine, made, file):
    source, target = open_on(every_engine, compress=False), made("target")
    source.update(VALUES)
    assert source.export_to(file) == len(VALUES)
    assert target.import_from(file) == len(VALUES)
    assert dict(target.items()) == VALUES
    assert not target.check()


def test_everything_goes_into_every_engine(open_on, every_engine, made, file):
    source, target = made("source"), open_on(every_engine)
    source.update(VALUES)
    source.export_to(file)
    assert target.import_from(file) == len(VALUES)
    assert dict(target.items()) == VALUES
    assert not target.check()


def test_versions_come_along_in_append_mode(open_on, every_engine, made, file):
    source, target = made("source", append_mode=True), open_on(every_engine, append_mode=True)
    for value in ("one", LARGE, "three"):
        source["key"] = value
    source["other"] = 1
    assert source.export_to(file) == 2
    assert target.import_from(file) == 2
    assert target.get_all("key") == ["one", LARGE, "three"]
    target["key"] = "four"
    assert target.get_all("key") == ["one", LARGE, "three", "four"]
    assert not target.check()


def test_without_append_mode_the_latest_version_comes(made, file):
    source, target = made("source", append_mode=True), made("target")
    source["key"] = "one"
    source["key"] = LARGE
    source.export_to(file)
    assert target.import_from(file) == 1
    assert target["key"] == LARGE
    assert HISTORY not in target.store.engine.section_names() or not rows(target, HISTORY)


def test_notes_and_times_come_along(made, file):
    source, target = made("source"), made("target")
    source.put("key", 1, ttl=1000, seconds=2.5, meta={"accuracy": 0.9}, tags=["final"])
    source.export_to(file)
    target.import_from(file)
    mine, theirs = source.info("key"), target.info("key")
    assert (theirs.meta, theirs.tags, theirs.seconds) == ({"accuracy": 0.9}, ("final",), 2.5)
    assert (theirs.created_at, theirs.expires_at) == (mine.created_at, mine.expires_at)


def test_rows_stay_as_they_are_where_nothing_has_to_change(made, file):
    """Signatures, write ids and the names of blob files, too."""
    source, target = made("source", append_mode=True), made("target", append_mode=True)
    source.update({**VALUES, "code": math.sqrt, "large code": [math.sqrt, LARGE]})
    source["small"] = 2
    source.export_to(file)
    target.import_from(file)
    assert rows(target) == rows(source)
    assert rows(target, HISTORY) == rows(source, HISTORY)


def test_large_values_become_files_again(made, file):
    memory, target = made("source", engine="memory"), made("target")
    memory["large"] = LARGE
    assert not entry_of(memory, "large").flags & Flag.BLOB
    memory.export_to(file)
    target.import_from(file)
    assert entry_of(target, "large").flags & Flag.BLOB
    assert target["large"] == LARGE
    target.export_to(file)
    memory.clear()
    memory.import_from(file)
    assert not entry_of(memory, "large").flags & Flag.BLOB
    assert memory["large"] == LARGE


def test_results_of_functions_and_maps_come_along(made, file):
    source, target = made("source"), made("target", engine="memory")
    source.run(square, 3)
    list(source.map(square, [4, 5], num_proc=1, stash_runs=False, progress=False))
    assert source.export_to(file) == 2
    assert target.import_from(file) == 2
    assert target.run(square, 3) == 9
    assert square.stash.stats.hits == 1
    mapped = target.map(square, [4, 5], num_proc=1, stash_runs=False, progress=False)
    assert list(mapped) == [16, 25]
    assert all(run.was_cached for run in mapped.runs)


def test_a_miss_after_an_import_is_still_explained(made, file):
    source, target = made("source"), made("target")
    source.run(_worker(1), 1)
    source.export_to(file)
    target.import_from(file)
    changed = _worker(2)
    target.run(changed, 5)
    assert "closure added: 1 -> 2" in str(target.stashed_result(changed).explain(1))


def _worker(added):
    def work(x):
        return x + added

    return work


def test_what_is_over_stays_behind(made, file):
    source, target = made("source"), made("target")
    source["stays"] = 1
    source.put("over", 1, ttl=0.001)
    time.sleep(0.01)
    assert source.export_to(file) == 1
    assert target.import_from(file) == 1
    assert list(target) == ["stays"]


def test_many_entries_and_all_sizes_come_through_in_order_of_nothing(made, file):
    source, target = made("source", engine="memory"), made("target", engine="memory")
    values = {number: os.urandom(size) for number, size in enumerate([10, 100_000, 3_000_000, 1, 33_000] * 4)}
    values |= {f"small {number}": number for number in range(5000)}
    source.update(values)
    assert source.export_to(file) == target.import_from(file) == len(values)
    assert dict(target.items()) == values


def test_an_empty_stash_is_an_archive_too(made, file):
    assert made("source").export_to(file) == 0
    assert made("target").import_from(file) == 0


# ---- several stashes ---------------------------------------------------------------------------------------------------


def test_an_archive_says_what_it_holds(made, file):
    one, two = made("one"), made("two", dbname="below/it")
    one.update({"a": 1, "b": 2})
    two["c"] = 3
    assert archive.export_stashes(file, {"first": one, "second/part": two}) == 3
    assert [(name, entries) for name, entries, _ in archive.contents(file)] == [("first", 2), ("second/part", 1)]
    assert all(size > 0 for _, _, size in archive.contents(file))


def test_each_stash_goes_where_the_caller_says(made, file):
    one, two = made("one"), made("two")
    one["a"], two["b"] = 1, 2
    archive.export_stashes(file, {"x": one, "y/z": two})
    assert archive.import_stashes(file, lambda name: made("target", dbname=name)) == {"x": 1, "y/z": 1}
    assert made("target", dbname="y/z")["b"] == 2


def test_one_stash_of_several_is_chosen_by_name(made, file):
    one, two, target = made("one"), made("two"), made("target")
    one["a"], two["b"] = 1, 2
    archive.export_stashes(file, {"x": one, "y": two})
    with pytest.raises(ValueError, match="holds 2 stashes: 'x', 'y'; say which with name="):
        target.import_from(file)
    with pytest.raises(KeyError, match="no stash named 'q'; it holds: 'x', 'y'"):
        target.import_from(file, name="q")
    assert target.import_from(file, name="y") == 1
    assert dict(target.items()) == {"b": 2}


@pytest.mark.parametrize("name", ["", "/etc", "~/x", "../x", "a/../b", "redis://host", "./x", "a" * 2000, "\0"])
def test_a_name_that_could_be_taken_for_a_path_is_refused(made, file, name):
    with pytest.raises(UnsafeName):
        archive.export_stashes(file, {name: made("source")})
    assert not file.exists()


# ---- keys that are there already -----------------------------------------------------------------------------------------


@pytest.fixture
def old_and_new(made, file):
    """An archive with an older ``a`` and a newer ``b`` than the stash has, and a ``c`` that it has not."""
    source, target = made("source"), made("target")
    source["a"] = "old"
    target.update({"a": "new", "b": LARGE})
    time.sleep(0.01)
    source.update({"b": "newer", "c": "only"})
    source.export_to(file)
    return target


def test_what_is_there_stays(old_and_new, file):
    assert old_and_new.import_from(file) == 1
    assert dict(old_and_new.items()) == {"a": "new", "b": LARGE, "c": "only"}


def test_the_newer_one_wins_if_that_is_wanted(old_and_new, file):
    assert old_and_new.import_from(file, overwrite="newer") == 2
    assert dict(old_and_new.items()) == {"a": "new", "b": "newer", "c": "only"}
    assert not list(old_and_new.store.blobs.names())


def test_the_archive_wins_if_that_is_wanted(old_and_new, file):
    assert old_and_new.import_from(file, overwrite="always") == 3
    assert dict(old_and_new.items()) == {"a": "old", "b": "newer", "c": "only"}


def test_the_same_entry_is_not_stored_twice(made, file):
    source, target = made("source"), made("target")
    source.update(VALUES)
    source.export_to(file)
    target.import_from(file)
    assert target.import_from(file, overwrite="always") == 0
    assert dict(target.items()) == VALUES
    assert not target.check()


def test_an_unknown_way_to_overwrite_is_refused(made, file):
    made("source").export_to(file)
    with pytest.raises(ValueError, match="overwrite='sometimes'; it is one of 'never', 'newer', 'always'"):
        made("target").import_from(file, overwrite="sometimes")


def test_in_append_mode_overwriting_adds_a_version(made, file):
    source, target = made("source", append_mode=True), made("target", append_mode=True)
    target["key"] = "here"
    time.sleep(0.01)
    source["key"] = "first there"
    source["key"] = LARGE
    source.export_to(file)
    assert target.import_from(file) == 0
    assert target.import_from(file, overwrite="newer") == 1
    assert target.get_all("key") == ["here", LARGE]
    assert not target.check()


def test_an_entry_that_cannot_be_read_is_replaced_only_if_wanted_and_kept_aside(made, file):
    source, target = made("source"), made("target")
    source["key"] = target["key"] = 1
    address = target.store.keys.address("key")
    damaged = target.store.engine.get(address)[:-1] + b"?"
    target.store.engine.put(address, damaged)
    source.export_to(file)
    assert target.import_from(file) == 0
    assert target.store.engine.get(address) == damaged
    assert target.import_from(file, overwrite="newer") == 1
    assert target["key"] == 1
    assert damaged in rows(target, "bad").values()


# ---- rules of the stash that is imported into -----------------------------------------------------------------------------


def test_limits_hold_while_an_archive_is_imported(made, file):
    source, target = made("source"), made("target", max_entries=3)
    source.update({number: number for number in range(10)})
    source.export_to(file)
    assert target.import_from(file) == 10
    assert len(target) == 3


def test_a_time_to_live_counts_from_when_an_entry_was_written(made, file):
    source, target = made("source"), made("target", ttl=100)
    source["key"] = 1
    source.export_to(file)
    target.import_from(file)
    assert target.info("key").expires_at == pytest.approx(source.info("key").created_at + 100)


def test_a_stash_that_was_opened_read_only_takes_nothing(made, file):
    source = made("source")
    source["key"] = 1
    source.export_to(file)
    made("target")["other"] = 1
    with pytest.raises(ReadOnlyStash):
        made("target", read_only=True).import_from(file)
    assert issubclass(ReadOnlyStash, PolicyError)


# ---- whom to trust -------------------------------------------------------------------------------------------------------


def test_my_own_code_still_decodes_in_another_namespace(made, file):
    source, target = made("source", dbname="old", append_mode=True), made("target", dbname="new", append_mode=True)
    source["key"] = math.sqrt
    source["key"] = [math.sin, LARGE]
    source[math.cos] = 1
    source.export_to(file)
    target.import_from(file)
    assert target.get_all("key") == [math.sqrt, [math.sin, LARGE]]
    assert target[math.cos] == 1
    assert not target.check()


def test_my_own_code_still_decodes_where_its_content_lies_elsewhere(open_on, every_engine, made, file):
    source, target = made("source"), open_on(every_engine)
    source["key"] = [math.sqrt, LARGE]
    source.export_to(file)
    target.import_from(file)
    assert target["key"] == [math.sqrt, LARGE]


@pytest.mark.parametrize("dbname", [None, "another"])
@pytest.mark.parametrize("engine", ["pairtree", "memory"])
def test_code_of_others_stays_foreign_and_their_data_does_not_need_trust(made, file, somebody_else, dbname, engine):
    with somebody_else:
        source = made("source")
        source.update({"code": [math.sqrt, LARGE], "small code": math.sqrt, "data": LARGE})
        source.export_to(file)
    target = made("target", dbname=dbname, engine=engine)
    assert target.import_from(file) == 3
    assert target["data"] == LARGE
    for key in ("code", "small code"):
        with pytest.raises(UntrustedEntry):
            target[key]
    assert target.trust() == 2
    assert target["code"] == [math.sqrt, LARGE]


def test_their_signature_is_kept_for_those_who_trust_it(made, file, somebody_else):
    with somebody_else:
        source = made("source")
        source.update({"code": [math.sqrt, LARGE], "small code": math.sqrt})
        source.export_to(file)
    passed_on = made("passed on", append_mode=True)
    passed_on.import_from(file)
    passed_on.export_to(file)
    with somebody_else:
        back = made("back")
        back.import_from(file)
        assert back["code"] == [math.sqrt, LARGE]
        assert back["small code"] == math.sqrt


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_no_code_is_run_by_exporting_or_importing(made, file, tmp_path, somebody_else):
    sprung = tmp_path / "sprung"
    with somebody_else:
        source = made("source", serializer="pickle")
        source.store.save_encoded("trap", source.store.codec.serializer.dumps(Trap(str(sprung))))
        source.export_to(file)
    made("target", dbname="elsewhere", engine="memory").import_from(file)
    archive.contents(file)
    assert not sprung.exists()


# ---- the file ------------------------------------------------------------------------------------------------------------


def test_the_file_is_private_and_nothing_else_is_left(made, file, tmp_path):
    source = made("source")
    source.update(VALUES)
    folder = tmp_path / "folder"
    folder.mkdir()
    source.export_to(folder / "x.stash")
    assert os.listdir(folder) == ["x.stash"]
    assert stat.S_IMODE((folder / "x.stash").stat().st_mode) == 0o600


def test_an_export_that_fails_leaves_the_old_file(made, file, monkeypatch):
    source = made("source", engine="memory")
    source["a"] = 1
    source.export_to(file)
    before = file.read_bytes()

    def rows_and_an_interrupt(self):
        yield from list(self._rows.items())
        raise KeyboardInterrupt

    monkeypatch.setattr(type(source.store.engine), "rows", rows_and_an_interrupt, raising=False)
    with pytest.raises(KeyboardInterrupt):
        source.export_to(file)
    assert file.read_bytes() == before
    assert os.listdir(file.parent).count(file.name) == len(
        [name for name in os.listdir(file.parent) if "stash" in name]
    )


def test_a_folder_is_no_file_to_export_to(made, tmp_path):
    with pytest.raises(IsADirectoryError):
        made("source").export_to(tmp_path)


@pytest.mark.parametrize("is_link", [False, True])
def test_a_pipe_or_a_device_is_no_file_to_export_to_and_stays(made, tmp_path, is_link):
    os.mkfifo(tmp_path / "pipe")
    target = tmp_path / "pipe"
    if is_link:
        target = tmp_path / "link"
        target.symlink_to("pipe")
    with pytest.raises(OSError, match="an archive is a file") as caught:
        made("source").export_to(target)
    assert caught.value.errno == errno.EINVAL
    assert stat.S_ISFIFO(target.stat().st_mode)
    assert target.is_symlink() == is_link


def test_a_pipe_behind_a_descriptor_is_no_file_to_export_to(made):
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="an archive is a file"):
            made("source").export_to(f"/dev/fd/{writing}")
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_link_to_a_file_stays_and_leads_to_the_archive(made, tmp_path, is_there):
    source, folder = made("source"), tmp_path / "elsewhere"
    source["a"] = 1
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder / "real.stash")
    if is_there:
        (folder / "real.stash").write_bytes(b"old")
    source.export_to(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(folder) == ["real.stash"]
    assert made("target").import_from(folder / "real.stash") == 1


def test_a_link_to_itself_is_named(made, tmp_path):
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="leads to itself"):
        made("source").export_to(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link to somebody else")
def test_a_link_of_another_user_is_not_followed(made, tmp_path):
    (tmp_path / "link").symlink_to("real.stash")
    os.lchown(tmp_path / "link", 12345, 12345)
    with pytest.raises(PermissionError, match="another user's"):
        made("source").export_to(tmp_path / "link")
    assert not (tmp_path / "real.stash").exists()


def test_a_folder_that_is_not_there_is_named(made, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder; make it first: .*absent'"):
        made("source").export_to(tmp_path / "absent" / "file.zip")


def test_any_zip_tool_can_list_it(made, file):
    source = made("source")
    source.update(VALUES)
    source.export_to(file)
    with zipfile.ZipFile(file) as opened:
        assert opened.testzip() is None
        assert opened.namelist()[-1] == "manifest.json"


def test_text_is_packed_and_noise_is_not(made, file):
    source = made("source")
    source.update({f"number {number}": {"name": f"the text number {number}"} for number in range(1000)})
    source.export_to(file)
    assert file.stat().st_size < 0.7 * sum(map(len, rows(source).values()))
    noise = made("noise")
    noise["noise"] = os.urandom(1 << 20)
    noise.export_to(file)
    assert file.stat().st_size < 1.01 * (1 << 20)


def test_what_cannot_be_read_is_left_out_with_one_warning(made, file):
    source, target = made("source"), made("target")
    source.update({"good": 1, "bad": 2, "gone": LARGE})
    address = source.store.keys.address("bad")
    source.store.engine.put(address, source.store.engine.get(address)[:-1] + b"?")
    for name in source.store.blobs.names():
        os.unlink(source.store.blobs.path(name))
    with pytest.warns(RuntimeWarning, match=r"2 rows that cannot be read are not in .*; stash.check\(\) names them"):
        assert source.export_to(file) == 1
    assert target.import_from(file) == 1


class Failing(io.BytesIO):
    """A file of which some reads fail."""

    calls = 0
    failing = range(0)

    def read(self, size=-1):
        self.calls += 1
        if self.calls in self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size)


@pytest.fixture
def failing(made, file):
    """The file of an archive of which the end can be read once."""
    source = made("source")
    source["a"] = 1
    source.export_to(file)
    return Failing(file.read_bytes())


def test_an_archive_that_the_disk_fails_to_read_once_is_read(failing):
    """The zip module then says that it is none."""
    failing.failing = range(2, 3)
    assert archive.reader._open_zip(failing).namelist()
    assert failing.calls > 3


def test_an_archive_that_cannot_be_read_is_told_as_that_and_not_as_damaged(failing):
    failing.failing = range(2, 1000)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        archive.reader._open_zip(failing)


# ---- cost ----------------------------------------------------------------------------------------------------------------


def test_a_large_value_is_never_in_memory_as_a_whole(made, file):
    source, target = made("source"), made("target")
    size = 24 << 20
    source["large"] = os.urandom(1 << 20) * 24
    tracemalloc.start()
    try:
        source.export_to(file)
        target.import_from(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size / 3
    assert target["large"] == source["large"]


def test_a_large_value_is_in_memory_once_where_there_are_no_files(made, file):
    source, target = made("source"), made("target", engine="memory")
    source["large"] = os.urandom(1 << 20) * 32
    source.export_to(file)
    with archive.imports.Archive(file) as opened:
        tracemalloc.start()
        try:
            for record in opened.records(0, 0, "rows"):
                archive.imports._joined(record.pieces)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 48 << 20
    assert target.import_from(file) == 1


def test_memory_does_not_grow_with_the_number_of_entries(made, file):
    count = 1500
    source, target = made("source", engine="sqlite"), made("target", engine="sqlite")
    source.update((number, os.urandom(20_000)) for number in range(count))
    tracemalloc.start()
    try:
        source.export_to(file)
        target.import_from(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20 < file.stat().st_size
    assert len(target) == count


# ---- others at the same time -----------------------------------------------------------------------------------------------


def test_a_stash_may_be_written_while_it_is_exported(made, file):
    source, target = made("source", append_mode=True), made("target", append_mode=True)
    source.update(dict.fromkeys(range(50), LARGE))
    done = threading.Event()

    def write():
        number = 0
        while not done.is_set():
            source[number % 50] = b"%d" % number + LARGE
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert source.export_to(file) == 50
    finally:
        done.set()
        writer.join()
    assert target.import_from(file) == 50
    assert not target.check()
    assert all(bytes(value).endswith(LARGE) for value in target.values())


def test_an_import_that_is_interrupted_is_finished_by_the_next_one(made, file, monkeypatch):
    source, target = made("source"), made("target")
    source.update({number: os.urandom(40_000) for number in range(20)})
    source.export_to(file)
    swap, count = type(target.store.engine).swap, []

    def interrupted(self, *change):
        count.append(1)
        if len(count) == 7:
            raise KeyboardInterrupt
        return swap(self, *change)

    monkeypatch.setattr(type(target.store.engine), "swap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        target.import_from(file)
    monkeypatch.undo()
    assert not target.check()
    stored = len(target)
    assert 0 < stored < 20
    assert target.import_from(file) == 20 - stored
    assert dict(target.items()) == dict(source.items())


@pytest.mark.parametrize("name", ["~home", "a" * 1500, "with space/ünïcode %41"])
def test_a_stash_of_any_name_can_be_exported(made, file, name):
    source, target = made("source", engine="memory", dbname=name), made("target")
    source["key"] = 1
    assert source.export_to(file) == target.import_from(file) == 1


def test_what_is_left_of_an_export_that_was_broken_off_goes_with_a_later_one(made, file):
    folder, name = os.path.split(file)
    abandoned, young, another = (
        os.path.join(folder, draft) for draft in (f".{name}.{'0' * 12}", f".{name}.{'1' * 12}", f".{name}.notes")
    )
    for path in (abandoned, young, another):
        with open(path, "wb") as draft:
            draft.write(b"PK")
    for path in (abandoned, another):
        os.utime(path, (0, 0))
    made("a").export_to(file)
    assert [os.path.exists(path) for path in (abandoned, young, another)] == [False, True, True]


def test_an_archive_that_cannot_be_written_to_the_disk_is_named(made, file, monkeypatch):
    """What the system says of a descriptor names no file; and a draft that cannot be removed either hides nothing."""

    stash = made("a")

    def fail(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def refuse(path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    with monkeypatch.context() as patched, pytest.raises(OSError, match=os.strerror(errno.EIO)) as raised:
        patched.setattr(os, "fsync", fail)
        patched.setattr(os, "unlink", refuse)
        stash.export_to(file)
    assert raised.value.filename == str(file)


def test_an_archive_that_cannot_be_read_from_the_disk_is_named(made, file, monkeypatch):
    made("a").export_to(file)
    fstat = os.fstat

    def fail(descriptor):
        if os.path.samestat(fstat(descriptor), os.stat(file)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return fstat(descriptor)

    with monkeypatch.context() as patched, pytest.raises(OSError, match=os.strerror(errno.EIO)) as raised:
        patched.setattr(os, "fstat", fail)
        made("b").import_from(file)
    assert raised.value.filename == str(file)
