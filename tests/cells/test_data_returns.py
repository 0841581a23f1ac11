"""Data comes back with the fingerprint that it had, shared as it was, which is why a cell that bound data does not look again."""

from __future__ import annotations

import gc

import pytest

from hashstash.fingerprint import Fingerprinter, alias_signature
from hashstash.serializers.hashstash.graph import dump_roots, load_roots
from hashstash.testing.corpus import DATA


def again(roots):
    encoded = dump_roots(roots, external=lambda _value: None, namespace={})
    assert not encoded.is_code
    return load_roots(encoded)


def walks(roots):
    fingerprinter = Fingerprinter()
    return {name: fingerprinter.walk(value, name) for name, value in roots.items()}


def assert_returns(value):
    """That it comes back alone, from two places, and from within containers that share it."""
    for roots in ({"a": value}, {"a": value, "b": value}, {"a": [value, {"k": value}], "b": (value,), "c": [value]}):
        then, now = walks(roots), walks(again(roots))
        assert {name: walk.digest for name, walk in now.items()} == {name: walk.digest for name, walk in then.items()}
        assert alias_signature(now) == alias_signature(then)


@pytest.mark.parametrize("name", DATA)
def test_data_of_the_standard_library(name):
    assert_returns(DATA[name]())


def test_data_of_any_form():
    pytest.importorskip("hypothesis")
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    scalars = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5), st.dates())
    parts = scalars | st.binary(max_size=5).map(bytearray)
    values = st.recursive(
        parts,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=4).map(tuple),
            st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4),
        ),
        max_leaves=12,
    )

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(values)
    def check(value):
        assert_returns(value)

    check()


_ARRAYS = {
    "an array": lambda np: np.arange(12.0).reshape(3, 4),
    "in Fortran's order": lambda np: np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "read-only": lambda np: np.broadcast_to(np.arange(3), (4, 3)),
    "views of one another": lambda np: [whole := np.arange(10), whole[2:5], whole[::-2]],
    "of objects": lambda np: np.array([1, "a", None, [2]], object),
    "of records": lambda np: np.array([(1, 2.5, "a")], [("n", "i4"), ("x", "f8"), ("t", "U3")]),
    "of moments": lambda np: np.array(["2024-02-29", "NaT"], "M8[s]"),
    "masked": lambda np: np.ma.masked_array([1.0, 2.0], [False, True]),
    "the masked constant": lambda np: [np.ma.masked],
    "a number": lambda np: np.float32(1.5),
    "a random generator": lambda np: np.random.default_rng(3),
    "a polynomial": lambda np: np.polynomial.Polynomial([1.0, 2.0]),
    "a polynomial with a domain": lambda np: np.polynomial.Chebyshev([1.0, 2.0], domain=[0, 2]),
}


@pytest.mark.parametrize("name", _ARRAYS)
def test_arrays(name):
    assert_returns(_ARRAYS[name](pytest.importorskip("numpy")))


_FRAMES = {
    "a frame": lambda pd: pd.DataFrame({"n": [1, 2], "t": ["a", None], "x": [0.5, float("nan")]}),
    "a frame with an index": lambda pd: pd.DataFrame({"n": [1, 2]}, index=pd.Index(["a", "b"], name="key")),
    "levels": lambda pd: pd.DataFrame({"n": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])),
    "categories": lambda pd: pd.Series(["a", "b", "a"], dtype="category"),
    "moments with a zone": lambda pd: pd.Series(pd.date_range("2024-01-01", periods=3, tz="Europe/Berlin")),
    "missing integers": lambda pd: pd.Series([1, None], dtype="Int64"),
    "intervals": lambda pd: pd.Series(pd.interval_range(0, 3)),
    "periods": lambda pd: pd.Series(pd.period_range("2024-01", periods=3, freq="M")),
    "two columns of a name": lambda pd: pd.DataFrame([[1, 2.0]], columns=["a", "a"]),
    "a column of lists": lambda pd: pd.DataFrame({"l": [[1], [2, 3]]}),
    "attributes": lambda pd: _with_attributes(pd.DataFrame({"n": [1]})),
    "a grouped mean": lambda pd: pd.DataFrame({"g": [1, 1, 2], "x": [1.0, 2.0, 4.0]}).groupby("g")["x"].mean(),
    "a selection": lambda pd: pd.DataFrame({"g": [1, 1, 2], "t": ["a", "b", "c"]}).loc[lambda frame: frame["g"] > 1],
}


def _with_attributes(frame):
    frame.attrs["source"] = "here"
    return frame


@pytest.mark.parametrize("name", _FRAMES)
def test_frames(name):
    assert_returns(_FRAMES[name](pytest.importorskip("pandas")))


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo", "dia", "lil", "dok"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_sparse_matrices_whatever_they_were_asked(form, kind):
    sparse = pytest.importorskip("scipy.sparse")
    matrix = getattr(sparse, f"{form}_{kind}")([[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]])
    fresh = walks({"a": matrix})["a"].digest
    assert_returns(matrix)
    repr(getattr(matrix, "has_sorted_indices", None)), matrix.sum(), matrix @ [1, 1, 1]
    assert walks({"a": matrix})["a"].digest == fresh
    assert_returns(matrix)


def test_arrays_in_tuples_that_the_garbage_collector_has_let_go_stay_shared():
    np = pytest.importorskip("numpy")
    array = np.zeros(3)
    pairs = [(array, 1), (array, 2)]
    gc.collect()
    back = again({"array": array, "pairs": pairs})
    assert back["pairs"][0][0] is back["array"]
    assert back["pairs"][1][0] is back["array"]


def test_mutable_parts_of_a_tuple_that_occurs_twice_stay_shared():
    pair = (bytearray(b"a"),)
    twice = [pair, pair]
    gc.collect()
    back = again({"twice": twice})["twice"]
    back[0][0].extend(b"b")
    assert back[1] == (bytearray(b"ab"),)
