"""Maps in a stash that takes values of certain types only."""

import pytest

from hashstash import HashStash


def listed_if_odd(number):
    return [number] if number % 2 else {"number": number}


def results_of(stash, executor):
    mapped = stash.map(listed_if_odd, range(4), executor=executor, num_proc=2, progress=False)
    return mapped.results, mapped.was_cached


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_results_of_other_types_are_returned_and_not_stored(tmp_path, executor):
    stash = HashStash(tmp_path / "typed", value_type=dict)
    expected = [{"number": 0}, [1], {"number": 2}, [3]]
    with pytest.warns(RuntimeWarning, match="takes values of the type dict"):
        assert results_of(stash, executor) == (expected, [False] * 4)
    with pytest.warns(RuntimeWarning, match="takes values of the type dict"):
        assert results_of(stash, executor) == (expected, [True, False, True, False])
