"""Arrays and frames that say they have millions of rows, and hold nothing: each stays whole, in a row of its own."""

import pytest

from hashstash.frames import flatten
from hashstash.frames.flat import parts_of
from hashstash.hollow import is_hollow

pytestmark = pytest.mark.filterwarnings("ignore:.*these are not taken apart")
MANY = 10**12


def is_whole(value):
    (row,) = flatten(value)
    return row["_value"] is value


def test_arrays_of_nothing():
    np = pytest.importorskip("numpy")
    assert is_whole(np.ndarray((MANY,), "V0", bytearray()))
    assert is_whole(np.empty((MANY, 0)))
    assert is_whole(np.broadcast_to(np.float64(1), (10**9,)))


def test_frames_of_nothing():
    pd = pytest.importorskip("pandas")
    assert is_whole(pd.DataFrame(index=pd.RangeIndex(MANY)))
    assert is_whole(pd.RangeIndex(MANY))


def test_nulls_of_arrow():
    pa = pytest.importorskip("pyarrow")
    assert is_whole(pa.nulls(2_000_000))
    assert is_whole(pa.table({"a": pa.nulls(2_000_000)}))


def test_a_frame_of_nothing_leaves_the_other_rows_as_they_are(stash):
    pd = pytest.importorskip("pandas")
    stash.update({"nothing": pd.RangeIndex(MANY), "something": {"a": 1}})
    assert stash.df.loc["something", "a"] == 1
    assert stash.to_arrow().num_rows == 2


def test_an_array_of_a_bit_for_each_row_is_taken_apart():
    np = pytest.importorskip("numpy")
    assert len(flatten(np.zeros(1_000_001, dtype=bool))) == 1_000_001


@pytest.mark.parametrize("unit", ["10000000s", "as", "ps", "W"])
def test_times_for_which_pandas_has_no_form_are_objects(stash, unit):
    np = pytest.importorskip("numpy")
    pytest.importorskip("pandas")
    stash.update({"times": np.array([5, 2**62]).view(f"M8[{unit}]"), "spans": np.array([5, 2**62]).view(f"m8[{unit}]")})
    assert stash.df.shape[0] == 4
    assert stash.to_arrow().num_rows == 4


def test_a_table_of_times_that_python_does_not_have_stays_whole(stash):
    pa = pytest.importorskip("pyarrow")
    stash.update({"times": pa.array([2**62]).cast(pa.int64()).view(pa.timestamp("s")), "something": {"a": 1}})
    assert sorted(map(sorted, stash.ld)) == [["_key", "_value"], ["_key", "a"]]


def test_that_a_value_stays_whole_since_it_cannot_be_taken_apart_is_told():
    pa = pytest.importorskip("pyarrow")
    noted = []
    (row,) = parts_of(pa.array([2**62]).view(pa.timestamp("s")), notice=lambda: noted.append(True))
    assert list(row) == ["_value"]
    assert noted == [True]


def test_the_memory_of_a_few_rows_is_not_asked_for():
    class Rows:
        shape = (1000,)

        @property
        def nbytes(self):
            raise AssertionError("asked for memory")

    assert not is_hollow(Rows(), 1000)
    with pytest.raises(AssertionError):
        is_hollow(Rows(), 999)
