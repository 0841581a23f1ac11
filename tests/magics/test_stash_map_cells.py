"""``%stash_map`` within ``%%stash`` cells, and when it is interrupted; worker processes are in ``test_stash_map_kernels``."""

from __future__ import annotations

import pytest

from hashstash import HashStash
from hashstash.mapping import closing
from hashstash.mapping.stash_map import StashMap


def test_a_stashed_cell_brings_the_map_back(defined):
    cell = "%%stash t --ignore calls\nr = %stash_map --serial f xs\ntotal = sum(r)"
    defined.run(cell)
    assert "stored 2 variables" in defined.status()
    defined.run("del r, total")
    defined.run(cell)
    assert "hit, 2 variables" in defined.status()
    assert defined["total"] == 9
    assert type(defined["r"]) is StashMap
    assert (list(defined["r"]), defined["r"].keys()[2]) == ([2, 3, 4], ((3,), {}))
    assert [run.state for run in defined["r"].runs] == ["computed"] * 3


@pytest.mark.parametrize(
    "change",
    ["xs = [1, 2, 4]", "xs.append(4)", "k = 2", "def f(x, b=1): return helper(x) - b", "def helper(x): return x * 3"],
)
def test_a_stashed_cell_runs_again_when_anything_in_the_line_changes(session, change):
    session.run("def helper(x): return x\ndef f(x, b=1): return helper(x) + b\nxs = [1, 2, 3]\nk = 1")
    cell = "%%stash t\nr = %stash_map --serial --kw b=k f xs"
    session.run(cell)
    session.run(change)
    session.run(cell)
    assert "ran in" in session.status()
    expected = session.run("[f(x, b=k) for x in xs]")
    assert list(session["r"]) == expected


def test_a_function_that_the_stashed_cell_defines_itself_is_no_input(session):
    cell = "%%stash t\ndef double(x): return 2 * x\nr = %stash_map --serial double range(3)"
    session.run(cell)
    session.run(cell)
    assert "hit" in session.status()
    assert list(session["r"]) == [0, 2, 4]


def test_a_cell_that_uses_a_map_depends_on_its_calls_and_its_results(session):
    session.run("def same(x): return 'same'\nr = %stash_map --serial same [1, 2]")
    cell = "%%stash t\nasked = [args for args, _ in r.keys()]"
    session.run(cell)
    session.run("r = %stash_map --serial same [1, 2]")
    session.run(cell)
    assert "hit" in session.status()
    session.run("r = %stash_map --serial same [1, 3]")
    session.run(cell)
    assert session["asked"] == [(1,), (3,)]


@pytest.mark.parametrize("errors", ["raise", "store", "skip"])
def test_a_stashed_cell_is_not_stored_with_failed_items(session, errors):
    session.run("def bad(x): raise ValueError(x)")
    session.run(f"%%stash t\nr = %stash_map --serial --errors {errors} bad [1, 2]")
    assert "not cached: 2 of 2 items of `r` failed" in session.status()


def test_a_stashed_cell_is_not_stored_with_a_last_value_that_failed(session):
    session.run("def bad(x): raise ValueError(x)")
    session.run("%%stash t\n%stash_map --serial bad [1, 2]")
    assert "not cached: 2 of 2 items of the last value failed" in session.status()


def test_a_map_in_the_background_belongs_to_the_stashed_cell(session, monkeypatch):
    monkeypatch.setenv("HASHSTASH_PROGRESS", "html")
    session.run("import time\ndef slow(x):\n    time.sleep(0.05)\n    return x")
    cell = "%%stash t\nr = %stash_map --background --threads -j 2 slow range(6)"
    session.run(cell)
    assert "stored 1 variable" in session.status()
    session.run(cell)
    assert "hit" in session.status()
    assert "6/6" in session.outputs()[-1]["text/plain"]


def test_the_last_state_of_a_bar_is_what_a_hit_shows(session, monkeypatch):
    monkeypatch.setenv("HASHSTASH_PROGRESS", "html")
    session.run("def same(x): return x")
    session.run("%%stash t\nr = %stash_map --serial same range(4)")
    session.run("%%stash t\nr = %stash_map --serial same range(4)")
    assert "hit" in session.status()
    assert "4/4" in session.outputs()[-1]["text/plain"]
    assert "running" not in str([metadata for _data, metadata in session.displays])


def test_a_semicolon_holds_within_a_stashed_cell(defined):
    assert defined.run("%%stash t --ignore calls\n%stash_map --serial f xs;") is None
    assert defined.run("%%stash t --ignore calls\n%stash_map --serial f xs").results == [2, 3, 4]


def test_an_interrupt_before_there_is_a_map_leaves_nothing_running(waiting, monkeypatch):
    waiting.run("def wait(x):\n    until_there('x')\n    return x")
    plain_map = HashStash.map

    def interrupted(*given, **options):
        plain_map(*given, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(HashStash, "map", interrupted)
    assert isinstance(waiting.fail("%stash_map --threads -j 2 wait [1, 2]"), KeyboardInterrupt)
    assert closing.running() == []
    waiting.run("open('x', 'w').close()")


def test_an_interrupted_map_is_no_data_frame(session):
    session.run("def stops(x):\n    if x: raise KeyboardInterrupt\n    return x")
    with pytest.warns(RuntimeWarning, match="interrupted after 1 of 2 items"):
        mapped = session.run("%stash_map --serial --df stops [0, 1]")
    assert [run.state for run in mapped.runs] == ["computed", "cancelled"]
