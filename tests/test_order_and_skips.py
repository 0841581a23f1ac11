"""How a run is divided among workers, and what it says of skipped tests."""

from types import SimpleNamespace

import pytest
import schedule
import skips


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
