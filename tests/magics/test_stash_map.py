"""``%stash_map`` in a shell of this process: its forms, its flags, and where results lie."""

from __future__ import annotations

import sys
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from hashstash import HashStash
from hashstash.mapping.stash_map import StashMap


def test_a_line_gives_the_map_as_the_cells_result(defined):
    result = defined.run("%stash_map --serial f xs")
    assert type(result) is StashMap
    assert list(result) == [2, 3, 4]


def test_an_assignment_binds_the_map_and_shows_nothing(defined):
    assert defined.run("results = %stash_map --serial f xs") is None
    assert list(defined["results"]) == [2, 3, 4]


@pytest.mark.parametrize("end", [";", " ; # quietly", ";\n\n# the end\n"])
def test_a_semicolon_hides_the_result(defined, capsys, end):
    defined.run("%stash_map --serial --no-progress f xs" + end)
    assert capsys.readouterr().out == ""
    assert defined["calls"] == [1, 2, 3]


def test_a_line_without_semicolon_shows_the_result(defined, capsys):
    defined.run("%stash_map --serial --no-progress f xs")
    assert "StashMap([StashMapRun(__main__.f(1) >>> 2)" in capsys.readouterr().out


def test_a_semicolon_behind_an_assignment_keeps_the_map(defined):
    defined.run("results = %stash_map --serial f xs;")
    assert list(defined["results"]) == [2, 3, 4]


def test_a_semicolon_in_a_string_is_text(defined):
    assert list(defined.run("%stash_map --serial str.upper ['a;', ';']")) == ["A;", ";"]


def test_it_stands_among_other_code_and_in_loops(defined):
    defined.run(
        "found = []\nfor n in range(3):\n    part = %stash_map --serial f range(n)\n    found.append(list(part))\nn += 1"
    )
    assert (defined["found"], defined["n"]) == ([[], [1], [1, 2]], 3)


def test_it_sees_the_variables_of_the_function_that_it_stands_in(defined):
    defined.run(
        "def outer(items, k):\n"
        "    one = %stash_map --serial f items\n"
        "    two = %stash_map --serial lambda x: x * k [i + k for i in items]\n"
        "    return list(one), list(two)\n"
        "found = outer([5, 6], 10)"
    )
    assert defined["found"] == ([6, 7], [150, 160])


def test_braces_and_dollars_are_not_expanded(defined):
    defined.run("name = 'f'")
    assert list(defined.run("%stash_map --serial str ['{name}', '$name']")) == ["{name}", "$name"]


@pytest.mark.parametrize(
    "line, values",
    [
        ("lambda x: x + 1 [1, 2]", [2, 3]),
        ("acc.add {'a': 1}.values()", [11]),
        ("partial(f, b=5) (i for i in range(3))", [5, 6, 7]),
        ("str.upper ['a b']", ["A B"]),
        ("f itertools.count() --total 3", [1, 2, 3]),
        ("abs -array", [1, 2]),
        ("f []", []),
        ("f range(0)", []),
    ],
)
def test_functions_and_collections_are_expressions(defined, line, values):
    pytest.importorskip("numpy")
    defined.run(
        "from functools import partial\nimport itertools, numpy\narray = numpy.array([1, 2])\n"
        "class Acc:\n    def __init__(self, k): self.k = k\n    def add(self, x): return x + self.k\nacc = Acc(10)"
    )
    assert list(defined.run(f"%stash_map --serial {line}")) == values


# ---- what is stored, and where


def test_a_second_map_computes_only_what_is_new(defined):
    defined.run("%stash_map --serial f xs;")
    again = defined.run("%stash_map --serial f [*xs, 4]")
    assert defined["calls"] == [1, 2, 3, 4]
    assert again.was_cached == [True, True, True, False]


def test_an_edited_function_computes_anew(defined):
    defined.run("%stash_map --serial f xs;")
    defined.run("def f(x, b=1): return x - b")
    assert list(defined.run("%stash_map --serial f xs")) == [0, 1, 2]


def test_a_lambda_that_is_typed_again_is_answered_from_the_stash(session):
    session.run("%stash_map --serial lambda x: x + 1 [1, 2];")
    again = session.run("%stash_map  --serial  lambda x:  x + 1   [1, 2]  # spaces")
    assert [run.state for run in again.runs] == ["cached", "cached"]


def test_another_lambda_is_another_function(session):
    session.run("%stash_map --serial lambda x: x + 1 [1, 2];")
    assert list(session.run("%stash_map --serial lambda x: x + 2 [1, 2]")) == [3, 4]


def test_results_lie_in_the_stash_of_the_notebook_where_run_finds_them(defined):
    defined.run("%stash_map --serial f xs;")
    defined.shell.user_ns["stash"] = HashStash("cells", dbname="notebook")
    assert defined.run("stash.run(f, 2)") == 3
    assert defined["calls"] == [1, 2, 3]


def test_a_name_chooses_another_stash(defined):
    defined.run("%stash_map --serial f xs;")
    defined.run("%stash_map -n other/part --serial f xs;")
    defined.run("%stash_map f xs --serial -n 'other/part';")
    assert defined["calls"] == [1, 2, 3, 1, 2, 3]


def test_the_root_of_the_magics_holds_for_maps_too(defined, tmp_path):
    defined.run(f"%config StashMagics.root = {str(tmp_path / 'elsewhere')!r}")
    defined.run("%stash_map --serial f xs;")
    assert (tmp_path / "elsewhere" / "cells" / "notebook").is_dir()


def test_stashes_of_functions_are_not_listed_as_stashes_of_cells(defined, capsys):
    defined.run("%stash_map -n mine --serial f xs;")
    defined.run("%%stash mine\ny = 1")
    assert [row[0] for row in defined.run("%stash").rows] == ["mine"]


def test_clearing_a_stash_removes_the_results_of_maps_too(defined):
    defined.run("%stash_map -n mine --serial f xs;")
    defined.run("%stash_map --serial f xs;")
    defined.run("%stash clear mine")
    assert "0 records removed, and 3 results of maps" in defined.status()
    defined.run("%stash_map -n mine --serial f xs;")
    defined.run("%stash_map --serial f xs;")
    assert defined["calls"] == [1, 2, 3] * 3


def test_clearing_old_records_leaves_the_results_of_maps(defined):
    defined.run("%stash_map -n mine --serial f xs;")
    defined.run("%stash clear mine --older 1d")
    assert defined.run("%stash_map -n mine --serial f xs").was_cached == [True] * 3


def test_force_computes_everything_again(defined):
    defined.run("%stash_map --serial f xs;")
    defined.run("%stash_map --serial --force f xs;")
    assert defined["calls"] == [1, 2, 3, 1, 2, 3]


# ---- flags


def test_keyword_arguments_are_expressions_split_at_commas_outside_of_brackets(session):
    session.run("def g(x, pair, text='', **more): return (x, pair, text, more)\nk = 7")
    mapped = session.run("%stash_map --serial --kw pair=(k, k + 1),text='a, b' --kw **{'progress': 0} g [1]")
    assert mapped[0] == (1, (7, 8), "a, b", {"progress": 0})


def test_keyword_arguments_may_be_quoted_as_a_whole(defined):
    assert list(defined.run("%stash_map --serial --kw 'b = 10' f xs")) == [11, 12, 13]


def test_a_tuple_is_spread_as_in_stash_map(defined):
    assert list(defined.run("%stash_map --serial f [(1, 2), (3, 4)]")) == [3, 7]


def test_star_spreads_any_item(defined):
    assert list(defined.run("%stash_map --serial --star f [[1, 2], range(3, 5)]")) == [3, 7]


def test_no_star_spreads_none(session):
    assert list(session.run("%stash_map --serial --no-star len [(1, 2), (3,)]")) == [2, 1]


@pytest.mark.parametrize("errors, kinds", [("store", [int, ValueError, int]), ("skip", [int, int])])
def test_failed_items_are_stored_as_values_or_skipped(session, errors, kinds):
    session.run("def half(x):\n    if x % 2: raise ValueError(x)\n    return x // 2")
    mapped = session.run(f"%stash_map --serial --errors {errors} half [0, 1, 2]")
    assert [type(value) for value in mapped] == kinds


def test_reading_a_failed_item_raises_what_the_function_raised_and_names_the_item(session):
    session.run("def half(x):\n    if x % 2: raise ValueError('odd')\n    return x // 2")
    session.run("r = %stash_map --serial half [0, 1]")
    error = session.fail("r[1]")
    assert (type(error), error.args) == (ValueError, ("odd",))
    assert "item 1 of the map: __main__.half(1)" in "".join(error.__notes__)


@pytest.mark.parametrize("flag, came", [("", [1, 0]), ("--ordered", [0, 1])])
def test_ordered_is_about_results_as_they_come(waiting, flag, came):
    waiting.run("def first_last(x):\n    until_there('x') if x == 0 else None\n    return x")
    mapped = waiting.run(f"%stash_map {flag} --background --threads -j 2 --chunk 1 first_last [0, 1]")
    assert mapped[1] == 1
    waiting.run("open('x', 'w').close()")
    assert list(mapped.results_iter()) == came
    assert mapped.results == [0, 1]


def test_threads_share_the_notebooks_objects(defined):
    assert list(defined.run("%stash_map --threads -j 2 f xs")) == [2, 3, 4]
    assert sorted(defined["calls"]) == [1, 2, 3]


def test_an_executor_is_an_expression(defined):
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        defined.shell.user_ns["pools"] = {"a b": pool}
        defined.run("import threading\ndef where(x): return threading.current_thread().name")
        assert list(defined.run("%stash_map --executor pools['a b'] where [1]")) == ["mine_0"]


def test_an_executor_may_be_named(defined):
    assert list(defined.run("%stash_map --executor serial f xs")) == [2, 3, 4]


def test_the_map_waits_unless_it_is_told_not_to(waiting):
    waiting.run("def wait(x):\n    until_there('x')\n    return x")
    mapped = waiting.run("%stash_map --background --threads -j 1 wait [1, 2]")
    assert not mapped.done
    waiting.run("open('x', 'w').close()")
    assert mapped.wait(60)


def test_it_is_serial_in_colab_unless_workers_are_asked_for(defined, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    defined.run("import os\ndef where(x): return os.getpid()")
    assert set(defined.run("%stash_map where range(3)")) == {defined.run("os.getpid()")}


def test_no_progress_shows_no_bar(defined, monkeypatch, capsys):
    monkeypatch.setenv("HASHSTASH_PROGRESS", "text")
    defined.run("%stash_map --serial f xs;")
    assert "3/3" in capsys.readouterr().err
    defined.run("%stash_map --serial --no-progress f xs;")
    assert "3/3" not in capsys.readouterr().err


def test_a_data_frame_has_a_row_for_each_item(defined):
    pytest.importorskip("pandas")
    frame = defined.run("%stash_map --serial --df f xs")
    assert list(frame["x"]) == [1, 2, 3]
    assert len(frame) == 3
