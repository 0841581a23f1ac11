"""Sparse matrices and arrays of scipy in plain documents, with the msgpack packages and without."""

from contextlib import nullcontext

import pytest
from together import each

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash import PLUGIN
from hashstash.serializers.hashstash.document import NeedsGraph, plain_python, read, write
from hashstash.serializers.hashstash.types import restore
from hashstash.testing.equality import assert_same

sparse = pytest.importorskip("scipy.sparse")
np = pytest.importorskip("numpy")


@pytest.fixture(params=["packages", "plain"], autouse=True)
def writer(request):
    if request.param == "packages":
        pytest.importorskip("msgpack")
        pytest.importorskip("msgspec")
    with plain_python() if request.param == "plain" else nullcontext():
        yield request.param


def again(value, kind=bytearray):
    encoded = write(value)
    assert not encoded.is_code
    return read(kind(encoded.document), [memoryview(kind(buffer)) for buffer in encoded.buffers])


GRID = np.array([[0, 1.5, 0, 2, 0, 0], [0, 0, 3, 0, 0, 0], [4, 0, 0, 0, 0, -5], [0, 0, 0, 0, 0, 0]])
NAMES = [f"{form}_{kind}" for form in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok") for kind in ("matrix", "array")]
CONTENTS = {
    "numbers": GRID,
    "small integers": GRID.astype("i1"),
    "bools": GRID != 0,
    "complex numbers": GRID * 1j,
    "single floats": GRID.astype("f4"),
    "nothing but zeros": GRID * 0,
    "no rows": GRID[:0],
    "no columns": GRID[:, :0],
    "one element": np.array([[7.0]]),
}


@pytest.mark.parametrize("content", CONTENTS)
@each("name", NAMES)
def test_sparse_arrays_come_back_the_same(name, content):
    if name.startswith("bsr") and not CONTENTS[content].size:
        pytest.skip("scipy makes no blocks of nothing")
    value = getattr(sparse, name)(CONTENTS[content])
    assert_same(again(value), value)


def edited(form):
    made = sparse.lil_array((3, 4)) if form == "lil" else sparse.dok_array((3, 4))
    made[0, 1] = 5
    made[2, 3] = np.float32(1.5)
    return made


def unsorted():
    return sparse.csr_array((np.array([1.0, 2.0, 3.0]), np.array([3, 0, 1]), np.array([0, 2, 3])), shape=(2, 4))


def wide_indices():
    made = sparse.csr_array(GRID)
    made.indices, made.indptr = made.indices.astype("i8"), made.indptr.astype("i8")
    return made


VALUES = {
    "unsorted": unsorted,
    "wide indices": wide_indices,
    "explicit zeros": lambda: sparse.csr_array(
        (np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2)
    ),
    "duplicates": lambda: sparse.coo_array((np.array([1, 2]), (np.array([0, 0]), np.array([1, 1]))), shape=(2, 2)),
    "duplicates in rows": lambda: sparse.csr_array(
        (np.array([1, 2]), np.array([1, 1]), np.array([0, 2])), shape=(1, 2)
    ),
    "blocks": lambda: sparse.bsr_array(GRID, blocksize=(2, 3)),
    "diagonals": lambda: sparse.diags([[1.0, 2.0, 3.0], [4.0, 5.0]], [0, 1]),
    "identity": lambda: sparse.identity(5, format="csc"),
    "random": lambda: sparse.random(50, 70, 0.1, format="csr", random_state=np.random.default_rng(5)),
    "row of a matrix": lambda: sparse.csr_matrix(GRID)[1],
    "transposed": lambda: sparse.csr_matrix(GRID).T,
    "one dimension": lambda: sparse.coo_array(GRID[0]),
    "one dimension of rows": lambda: sparse.csr_array(GRID[0]),
    "one dimension of keys": lambda: sparse.dok_array(GRID[0]),
    "edited lists": lambda: edited("lil"),
    "edited keys": lambda: edited("dok"),
    "huge and empty": lambda: sparse.coo_array((2**40, 2**40)),
    "in a dict": lambda: {"m": sparse.csr_array(GRID), "l": [sparse.coo_matrix(GRID)]},
}
DENSE_IS_TOO_LARGE = {"huge and empty"}


@pytest.mark.parametrize("kind", [bytes, bytearray])
@each("name", sorted(set(VALUES) - DENSE_IS_TOO_LARGE))
def test_values_come_back_the_same(name, kind):
    assert_same(again(VALUES[name](), kind), VALUES[name]())


def test_a_huge_and_empty_array_comes_back():
    made = again(VALUES["huge and empty"]())
    assert (type(made), made.shape, made.nnz) == (sparse.coo_array, (2**40, 2**40), 0)


@pytest.mark.skipif(not hasattr(sparse.coo_array, "tensordot"), reason="this scipy has two dimensions at most")
def test_three_dimensions_come_back():
    value = sparse.coo_array(np.arange(8).reshape(2, 2, 2))
    assert_same(again(value), value)


def test_a_value_of_a_graph_comes_back_the_same():
    value = [sparse.csr_array(GRID), sparse.lil_matrix(GRID)]
    value.append(value)
    encoded = PLUGIN.dumps(value)
    made = PLUGIN.loads(encoded)
    assert not encoded.is_code
    assert_same(made[:2], value[:2])


@pytest.mark.parametrize("name", NAMES)
def test_an_array_works_on(name):
    value = getattr(sparse, name)(GRID)
    made = again(value)
    assert ((made @ GRID.T).tolist(), (made * 2).toarray().tolist()) == ((GRID @ GRID.T).tolist(), (GRID * 2).tolist())


def test_content_is_writable():
    made = again(sparse.csr_array(GRID), bytes)
    made.data[0] = 9
    assert made[0, 1] == 9


def test_numbers_are_not_copied_when_written():
    value = sparse.random(300, 300, 0.1, format="csr", random_state=np.random.default_rng(5))
    data = write(value).buffers[0]
    assert np.shares_memory(np.frombuffer(data), value.data)


class Child(sparse.csr_array):
    pass


def test_a_subclass_and_an_attribute_are_no_data():
    named = sparse.csr_array(GRID)
    named.name = "x"
    for value in (Child(GRID), named):
        with pytest.raises(NeedsGraph):
            write(value)


ONES = np.ones(2)
MALFORMED = {
    "index beyond": ["csr_array", [1, 2], 50, [ONES, np.array([0, 2]), np.array([0, 2])]],
    "index before": ["csr_array", [1, 2], 50, [ONES, np.array([0, -1]), np.array([0, 2])]],
    "pointer beyond": ["csr_array", [1, 2], 50, [ONES, np.array([0, 1]), np.array([0, 9])]],
    "pointer before": ["csr_array", [2, 2], 50, [ONES, np.array([0, 1]), np.array([0, -1, 2])]],
    "pointers out of order": ["csr_array", [3, 2], 50, [ONES, np.array([0, 1]), np.array([0, 2, 1, 2])]],
    "first pointer": ["csr_array", [1, 2], 50, [ONES, np.array([0, 1]), np.array([1, 2])]],
    "too few pointers": ["csr_array", [2**40, 2], 50, [ONES, np.array([0, 1]), np.array([0, 2])]],
    "no pointers": ["csr_array", [0, 2], 50, [ONES[:0], np.array([], "i4"), np.array([], "i4")]],
    "too few numbers": ["csr_array", [1, 2], 50, [ONES[:1], np.array([0, 1]), np.array([0, 2])]],
    "index of no integers": ["csr_array", [1, 2], 50, [ONES, np.array([0.0, 1.0]), np.array([0, 2])]],
    "index of small integers": ["csr_array", [1, 2], 50, [ONES, np.array([0, 1], "u1"), np.array([0, 2])]],
    "three sides": ["csr_array", [1, 2, 3], 50, [ONES, np.array([0, 1]), np.array([0, 2])]],
    "no side": ["csr_array", [], 50, [ONES, np.array([0, 1]), np.array([0, 2])]],
    "column beyond": ["csc_matrix", [1, 2], 50, [ONES, np.array([0, 1]), np.array([0, 1, 2])]],
    "block beyond": ["bsr_array", [2, 2], 50, [np.ones((1, 2, 2)), np.array([1]), np.array([0, 1])]],
    "block that does not fit": ["bsr_array", [3, 2], 50, [np.ones((1, 2, 2)), np.array([0]), np.array([0, 1])]],
    "block of nothing": ["bsr_array", [2, 2], 50, [np.ones((1, 0, 2)), np.array([0]), np.array([0, 1])]],
    "coordinate beyond": ["coo_array", [2, 2], 50, [ONES, [np.array([0, 1]), np.array([0, 2])], True]],
    "coordinates of one length": ["coo_array", [2, 2], 50, [ONES, [np.array([0]), np.array([0, 1])], True]],
    "a coordinate less": ["coo_array", [2, 2], 50, [ONES, [np.array([0, 1])], True]],
    "diagonal beyond": ["dia_array", [2, 2], 50, [np.ones((1, 2)), np.array([9])]],
    "diagonals of one offset": ["dia_array", [2, 2], 50, [np.ones((2, 2)), np.array([0])]],
    "same diagonals": ["dia_array", [2, 2], 50, [np.ones((2, 2)), np.array([0, 0])]],
    "list beyond": [
        "lil_array",
        [1, 2],
        50,
        [np.dtype("f8"), np.fromiter([[5]], object, 1), np.fromiter([[1.0]], object, 1)],
    ],
    "list out of order": [
        "lil_array",
        [1, 2],
        50,
        [np.dtype("f8"), np.fromiter([[1, 0]], object, 1), np.fromiter([[1.0, 2.0]], object, 1)],
    ],
    "list of text": [
        "lil_array",
        [1, 2],
        50,
        [np.dtype("f8"), np.fromiter([[1]], object, 1), np.fromiter([["x"]], object, 1)],
    ],
    "more rows than lists": [
        "lil_array",
        [2**40, 2],
        50,
        [np.dtype("f8"), np.fromiter([[1]], object, 1), np.fromiter([[1.0]], object, 1)],
    ],
    "key beyond": ["dok_array", [2, 2], 50, [[np.array([0]), np.array([2])], np.ones(1)]],
    "a key less": ["dok_array", [2, 2], 50, [[np.array([0]), np.array([1])], ONES]],
    "unknown class": ["save_npz", [2, 2], 50, [ONES]],
    "long side": ["coo_array", [2**70, 2], 50, [ONES, [np.array([0, 1]), np.array([0, 1])], True]],
    "objects": ["csr_array", [1, 2], 50, [[1, 2], np.array([0, 1]), np.array([0, 2])]],
}


@each("name", MALFORMED)
def test_a_malformed_array_is_corrupt(name):
    with pytest.raises(CorruptEntry):
        restore("sp.sparse", MALFORMED[name], [])


def test_a_missing_scipy_gives_the_pip_line(monkeypatch):
    import sys

    from hashstash.errors import MissingDependency
    from hashstash.serializers.hashstash import types

    encoded = write(sparse.csr_array(GRID))
    monkeypatch.setattr(types, "_found_by_tag", {})
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingDependency, match=r"pip install 'hashstash\[scipy\]'"):
        read(encoded.document, encoded.buffers)
