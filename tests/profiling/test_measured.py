"""What a profile measures: the whole grid row by row, sizes that are what is stored, values that came back."""

import itertools
import os
import subprocess
import sys

import pytest

from hashstash import HashStash
from hashstash.engines import memory
from hashstash.errors import UnsupportedValue
from hashstash.mapping.progress import NoProgress
from hashstash.profiling import measure, place
from hashstash.profiling.samples import Sample, made_samples, own_samples

pd = pytest.importorskip("pandas", reason="the package pandas is not installed")

OPERATIONS = ["Encode Key", "Decode Key", "Encode Value", "Decode Value", "Write", "Read"]
COLUMNS = [
    *("Engine", "Serializer", "Encoding", "Size (B)", "Raw Size (B)", "Cached Size (B)", "Compression Ratio (%)"),
    *("Iteration", "Operation", "Time (s)", "Rate (it/s)", "Speed (MB/s)"),
]


def test_there_is_one_row_for_each_operation_of_the_whole_grid(profile):
    wanted = itertools.product(
        *(
            ["memory", "pairtree", "sqlite"],
            ["hashstash", "pickle"],
            ["raw", "raw+b64", "zlib", "zlib+b64"],
            [200, 5000],
            [1, 2],
        ),
        OPERATIONS,
    )
    found = profile[["Engine", "Serializer", "Encoding", "Size (B)", "Iteration", "Operation"]]
    assert sorted(found.itertuples(index=False, name=None)) == sorted(wanted)


def test_it_is_a_frame_with_the_columns_that_were_promised(profile):
    assert isinstance(profile, pd.DataFrame)
    assert list(profile.columns) == COLUMNS
    assert not profile.isna().any().any()
    assert all(profile.dtypes[name].kind in "if" for name in COLUMNS if name.endswith(")"))


def test_rates_and_speeds_follow_from_times_and_sizes(profile):
    assert (profile["Time (s)"] > 0).all()
    assert profile["Rate (it/s)"].to_numpy() == pytest.approx(1 / profile["Time (s)"].to_numpy())
    speeds = profile["Raw Size (B)"] / profile["Time (s)"] / 1e6
    assert profile["Speed (MB/s)"].to_numpy() == pytest.approx(speeds.to_numpy())
    ratios = profile["Cached Size (B)"] / profile["Raw Size (B)"] * 100
    assert profile["Compression Ratio (%)"].to_numpy() == pytest.approx(ratios.to_numpy())


def test_times_are_of_the_size_that_a_clock_around_it_sees(profile):
    """All operations of a small grid together take seconds at most, and each of them more than nothing."""
    assert 1e-5 < profile["Time (s)"].sum() < 60


@pytest.mark.parametrize("engine", ["pairtree", "sqlite", "memory"])
@pytest.mark.parametrize("compress, b64", [("raw", False), ("zlib", False), ("zlib", True)])
@pytest.mark.parametrize("size", [200, 5000, 200_000])
def test_sizes_are_those_of_the_stored_row_and_of_its_blob_file(tmp_path, engine, compress, b64, size):
    """The same value in a stash of the user's: its row, read from the engine, and the files beside it."""
    profile = HashStash(tmp_path / "any").profile(
        engine=engine, serializer="hashstash", compress=compress, b64=b64, size=size, iterations=1, progress=False
    )
    with HashStash(tmp_path / "own", engine=engine, compress=compress, b64=b64) as stash:
        key = ("iteration 1", 0)
        stash[key] = made_samples(size)[0].value
        row = stash.store.engine.get(stash.store.keys.address(key))
        blobs = stash.store.blobs.size_bytes() if stash.store.blobs is not None else 0
        raw = len(stash.store.encoded_of(stash.store.find(key)).document)
        stash.clear()
    cached = set(profile["Cached Size (B)"])
    assert cached == {len(row) - 4 - 44 + blobs} if blobs else cached == {len(row) - 4}
    assert min(profile["Raw Size (B)"]) >= raw


def test_the_raw_size_is_that_of_the_serialized_value_whatever_the_encoding(profile):
    sizes = profile.groupby(["Serializer", "Size (B)"])["Raw Size (B)"].nunique()
    assert (sizes == 1).all()


def test_compressing_and_text_show_in_what_is_stored(profile):
    large = profile[(profile["Size (B)"] == 5000) & (profile["Serializer"] == "hashstash")]
    stored = large.groupby("Encoding")["Cached Size (B)"].median()
    assert stored["zlib"] < stored["zlib+b64"] < stored["raw"] < stored["raw+b64"]


def test_the_users_entries_are_neither_read_nor_changed_nor_counted(stash):
    before = stash.store.engine.get(stash.store.keys.address("mine")), stash.stats.hits, stash.stats.sets
    stash.profile(engine=["sqlite", "memory"], serializer="pickle", compress="zlib", iterations=1, progress=False)
    assert (stash.store.engine.get(stash.store.keys.address("mine")), stash.stats.hits, stash.stats.sets) == before
    assert list(stash) == ["mine"]


def test_nothing_is_left_beside_the_stash(stash):
    stash.profile(engine=["sqlite", "pairtree"], serializer="pickle", compress="raw", iterations=1, progress=False)
    assert os.listdir(stash.root_dir) == ["sqlite.hashstash.zlib"]


def test_not_even_the_folder_of_a_stash_that_keeps_no_files(tmp_path):
    stash = HashStash(tmp_path / "a" / "b", engine="memory")
    stash.profile(engine="pairtree", serializer="pickle", compress="raw", iterations=1, progress=False)
    assert os.listdir(tmp_path) == []


def test_nor_memory_that_was_shared(tmp_path, monkeypatch):
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(memory, "_MEMORY", str(tmp_path / "shm"))
    stash = HashStash("memory://shared")
    stash["mine"] = 1
    profile = stash.profile(engine="memory", serializer="pickle", compress="raw", iterations=1, progress=False)
    assert len(profile) == 6
    assert [path.name for path in (tmp_path / "shm").rglob("profile-*")] == []
    assert list(stash) == ["mine"]


def test_a_read_only_stash_has_nothing_written_beside_it(stash):
    with HashStash(stash.root_dir, engine="sqlite", read_only=True) as reader:
        before = sorted(os.walk(stash.root_dir))
        profile = reader.profile(engine="pairtree", serializer="pickle", compress="raw", iterations=1, progress=False)
        assert len(profile) == 6
        assert sorted(os.walk(stash.root_dir)) == before


def test_a_stash_with_limits_is_profiled_without_them(tmp_path):
    stash = HashStash(tmp_path, engine="pairtree", max_entries=1, ttl=1e-6, value_type=int)
    profile = stash.profile(engine="pairtree", serializer="hashstash", compress="raw", iterations=1, progress=False)
    assert len(profile) == 6


def test_the_results_of_a_function_can_be_profiled_too(tmp_path):
    function = HashStash(tmp_path, engine="pairtree").stashed_result(lambda x: x)
    function(1)
    profile = function.stash.profile(
        serializer="pickle", compress="raw", engine="pairtree", iterations=1, progress=False
    )
    assert len(profile) == 6
    assert len(function.stash) == 1


# ---- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 50, 300, 10_000, 250_000])
def test_a_made_value_has_about_the_size_that_was_asked_for(size):
    sample = made_samples(size)[0]
    (own,) = own_samples([sample.value])
    assert own.size == pytest.approx(size, rel=0.03, abs=20)


def test_a_made_value_is_of_mixed_kind_and_always_the_same():
    first, again = made_samples([20_000, 20_000])[0], made_samples("20 KB")[0]
    assert {type(part).__name__ for part in first.value.values()} == {"list", "ndarray", "datetime", "str"}
    first.verify(again.value, "another process")


def test_own_values_are_measured_and_named(stash):
    frame = pd.DataFrame({"n": range(50), "text": ["a"] * 50})
    shared = [float("nan")]
    profile = stash.profile(
        engine="memory",
        serializer=["hashstash", "pickle"],
        compress="raw",
        values={"frame": frame, "shared": [shared, shared]},
        iterations=1,
        progress=False,
    )
    assert list(dict.fromkeys(profile["Value"])) == ["frame", "shared"]
    assert len(profile) == 2 * 2 * 6
    assert profile.groupby("Value")["Size (B)"].nunique().to_list() == [1, 1]


def test_a_list_of_own_values_is_numbered(stash):
    profile = stash.profile(
        engine="memory", serializer="pickle", compress="raw", values=[1, "two"], iterations=1, progress=False
    )
    assert list(dict.fromkeys(profile["Value"])) == ["value 1", "value 2"]


def test_a_value_that_comes_back_changed_is_not_measured(stash):
    sample = Sample([1.0, {"a": "text"}], 20, "mine")
    with pytest.raises(UnsupportedValue, match="'mine' did not come back from a broken one as it was"):
        sample.verify([1.0, {"a": "texts"}], "a broken one")
    with pytest.raises(UnsupportedValue):
        sample.verify([1, {"a": "text"}], "one that mixes up types")


def test_what_an_engine_gives_back_is_held_against_what_was_stored(stash, monkeypatch):
    monkeypatch.setattr(type(stash), "__getitem__", lambda self, key: {"something": "else"})
    with pytest.raises(UnsupportedValue, match="did not come back from memory with pickle and raw"):
        stash.profile(engine="memory", serializer="pickle", compress="raw", iterations=1, progress=False)


# ---- rounds and progress -----------------------------------------------------------------------------------------


class Shown(NoProgress):
    def __init__(self, interrupt_at=None):
        self.label, self.tallies, self.closed, self._interrupt_at = None, [], [], interrupt_at

    def start(self, label, tally):
        self.label = label

    def update(self, tally):
        self.tallies.append(tally)
        if tally.done == self._interrupt_at:
            raise KeyboardInterrupt

    def close(self, tally, *, interrupted=False):
        self.closed.append((tally.done, interrupted))


SMALL = {"engine": ["memory", "pairtree"], "serializer": "pickle", "compress": ["raw", "zlib"], "size": 100}


def test_the_progress_is_shown_while_it_runs(stash):
    shown = Shown()
    stash.profile(**SMALL, iterations=2, progress=shown)
    assert shown.label == "Profiling 2 engines x 1 serializer x 2 encodings x 1 size"
    assert [(tally.done, tally.total) for tally in shown.tallies] == [(count, 8) for count in range(1, 9)]
    assert shown.closed == [(8, False)]


def test_an_interrupt_keeps_what_was_measured(stash):
    shown = Shown(interrupt_at=5)
    with pytest.warns(RuntimeWarning, match="it has 5 of 8 measurements"):
        profile = stash.profile(**SMALL, iterations=2, progress=shown)
    assert len(profile) == 5 * 6
    assert (profile.groupby(["Engine", "Serializer", "Encoding", "Iteration"]).size() == 6).all()
    assert shown.closed == [(5, True)]
    assert "interrupted: 5 of 8 measurements" in repr(profile)
    assert os.listdir(stash.root_dir) == ["sqlite.hashstash.zlib"]


def test_rounds_go_through_the_whole_grid_so_that_an_interrupt_leaves_all_settings(stash):
    with pytest.warns(RuntimeWarning):
        profile = stash.profile(**SMALL, iterations=9, progress=Shown(interrupt_at=4))
    assert len(profile.groupby(["Engine", "Encoding"])) == 4


def test_an_interrupt_before_anything_was_measured_is_one(stash, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "warm_up", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stash.profile(**SMALL, progress=False)
    assert os.listdir(stash.root_dir) == ["sqlite.hashstash.zlib"]


def test_what_a_killed_profile_has_left_goes_with_the_next_one(stash, monkeypatch):
    above = stash.root_dir
    code = (
        "import os, signal; from hashstash import HashStash; from hashstash.profiling.place import beside\n"
        f"stash = HashStash({stash.root_dir!r}, engine='sqlite')\n"
        "with beside(stash.config) as place:\n"
        "    place.open(place.engine('sqlite'))['a'] = 1; os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    (left,) = [name for name in os.listdir(above) if name.startswith("profile-")]
    monkeypatch.setattr(place, "_YOUNGEST", -1.0)
    with HashStash(os.path.join(above, "profile-mine"), engine="sqlite") as own:
        own["a"] = 1
        stash.profile(engine="sqlite", size=10, iterations=1, progress=False)
        assert own["a"] == 1
    assert left not in os.listdir(above)
