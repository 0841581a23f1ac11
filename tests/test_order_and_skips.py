"""How a run is divided among workers, and what it says of skipped tests."""

import inspect
import sys
from types import SimpleNamespace

import pytest
import schedule
import skips
import together


def item(nodeid, *marks):
    return SimpleNamespace(nodeid=nodeid, iter_markers=lambda: [getattr(pytest.mark, name) for name in marks])


def ordered(*items):
    items = list(items)
    schedule.pytest_collection_modifyitems(items)
    return [one.nodeid for one in items]


def test_what_takes_longest_begins_first_and_a_file_stays_together():
    quick = [item(f"tests/test_a.py::test_{number}") for number in range(3)]
    slow = [item("tests/test_b.py::test_quick"), item("tests/test_b.py::test_slow", "slow")]
    assert ordered(*quick, *slow) == [one.nodeid for one in (*slow, *quick)]


def test_the_classes_of_a_contract_are_units_of_their_own():
    file = schedule.DIVIDED[0]
    assert schedule.unit_of(f"{file}::TestA::test_b[c::d]") == f"{file}::TestA"
    assert schedule.unit_of("tests/test_a.py::TestA::test_b") == "tests/test_a.py"


@pytest.mark.parametrize("file", schedule.DIVIDED)
def test_a_file_that_is_divided_is_there_and_its_tests_share_nothing(file, request):
    text = (request.config.rootpath / file).read_text(encoding="utf-8")
    assert 'scope="module"' not in text


def test_reasons_are_counted_and_packages_are_named_on_one_line():
    reasons = [
        "SWAP is not promised",
        "could not import 'scipy.sparse': No module named 'scipy'",
        "the package lmdb is not installed",
        "the package for lmdb is not installed",
        "could not import 'hashstash.engines.lmdb': the lmdb engine needs the package 'lmdb': pip install 'hashstash[lmdb]'",
        "SWAP is not promised",
    ]
    assert skips.folded(reasons) == [
        "     4 packages are not installed: lmdb 3, scipy 1",
        "     2 SWAP is not promised",
    ]


def test_a_package_is_imported_when_something_of_it_is_used(tmp_path, monkeypatch):
    (tmp_path / "used_later.py").write_text("answer = 42")
    monkeypatch.syspath_prepend(tmp_path)
    package = skips.Later("used_later")
    assert "used_later" not in sys.modules
    assert package.answer == 42
    monkeypatch.delitem(sys.modules, "used_later")


def test_a_file_that_needs_a_package_is_skipped_without_it():
    with pytest.raises(pytest.skip.Exception, match="the package no_such_package is not installed"):
        skips.needs("sys", "no_such_package")


@pytest.mark.few_engines
@pytest.mark.parametrize("engine", ["pairtree", "mongo"])
def test_few_engines_are_enough(engine, request):
    assert (request.node.get_closest_marker("heavy") is None) == (engine == "pairtree")


@pytest.mark.engines("mongo", "sqlite")
@pytest.mark.parametrize("engine", ["pairtree", "mongo"])
def test_engines_take_turns(engine, request):
    assert (request.node.get_closest_marker("heavy") is None) == (engine == "mongo")


def test_all_cases_are_tried_and_those_that_fail_are_named():
    tried = []
    with pytest.raises(ExceptionGroup, match="2 of 3 cases: 'b', 'c'") as raised, together.cases() as case:
        for name in "abc":
            with case(name):
                tried.append(name)
                assert name == "a"
    assert tried == ["a", "b", "c"]
    assert [error.__notes__ for error in raised.value.exceptions] == [["in the case 'b'"], ["in the case 'c'"]]


def test_cases_of_which_there_are_none_are_a_failure():
    with pytest.raises(AssertionError, match="there was no case"), together.cases():
        pass


def test_a_test_with_a_case_for_each_value_asks_for_its_fixtures_only():
    seen = []

    @together.each("name, number", [("a", 1), pytest.param("b", 2, id="second")])
    def test(name, number, fixture):
        seen.append((name, number, fixture))

    assert list(inspect.signature(test).parameters) == ["fixture"]
    test(fixture="made")
    assert seen == [("a", 1, "made"), ("b", 2, "made")]


def test_cases_that_fail_beside_cases_that_are_skipped_are_raised():
    @together.each("name", "abc")
    def test(name):
        if name == "a":
            pytest.skip("not here")
        assert name == "c"

    with pytest.raises(ExceptionGroup, match="1 of 3 cases: 'b'"):
        test()


def test_a_test_of_which_each_case_is_skipped_is_skipped():
    with pytest.raises(pytest.skip.Exception, match="not here"):
        together.each("name", "ab")(lambda name: pytest.skip("not here"))()


def test_a_test_without_a_value_fails():
    with pytest.raises(AssertionError, match="there was no case"):
        together.each("name", "")(lambda name: None)()


def test_a_parameter_that_a_test_has_not_is_named():
    with pytest.raises(AssertionError, match="nmae"):
        together.each("nmae", "ab")(lambda name: None)


def test_the_tests_of_the_browser_share_a_unit():
    assert schedule.unit_of("tests/browser/test_cards.py::test_a") == schedule.unit_of(
        "tests/browser/test_cells.py::test_b"
    )
