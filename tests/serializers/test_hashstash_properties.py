"""What holds for all data, and for all bytes that claim to be data."""

import datetime as dt
import random

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashstash.errors import BadEntry, MissingDependency
from hashstash.serializers.hashstash import PLUGIN
from hashstash.serializers.hashstash.document import plain_python, read, write
from hashstash.testing.corpus import DATA
from hashstash.testing.equality import assert_same

QUICK = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**66), 2**66),
    st.floats(allow_nan=True),
    st.text(st.characters(codec=None, exclude_categories=()), max_size=40),
    st.binary(max_size=40),
    st.complex_numbers(),
    st.decimals(allow_nan=True),
    st.fractions(),
    st.uuids(),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.none() | st.just(dt.UTC)),
    st.timedeltas(),
)
KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.binary(max_size=10),
    st.dates(),
    st.uuids(),
    st.tuples(st.integers(), st.text(max_size=5)),
    st.frozensets(st.integers(), max_size=3),
)
VALUES = st.recursive(
    SCALARS | st.binary(max_size=20).map(bytearray) | st.frozensets(st.integers(), max_size=4),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(KEYS, inner, max_size=5),
        st.sets(st.integers() | st.text(max_size=5), max_size=5),
    ),
    max_leaves=20,
)


@QUICK
@given(VALUES)
def test_data_comes_back_the_same_from_both_readers(value):
    encoded = write(value)
    assert not encoded.is_code
    assert_same(read(encoded.document, encoded.buffers), value)
    assert_same(PLUGIN.loads_plain(encoded.document), value)
    with plain_python():
        assert_same(read(encoded.document, encoded.buffers), value)


@QUICK
@given(VALUES)
def test_both_writers_write_the_same_bytes(value):
    pytest.importorskip("msgpack")
    with plain_python():
        ours = bytes(write(value).document)
    assert ours == bytes(write(value).document)


def frames():
    np = pytest.importorskip("numpy")
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(
        {
            "a": np.arange(5.0),
            "b": pd.Categorical(list("xyxyx")),
            "c": pd.date_range("2020", periods=5),
            "d": ["é", "b", None, "d", "e"],
            "e": pd.array([1, None, 3, 4, 5], dtype="Int64"),
            "f": pd.arrays.SparseArray([0, 0, 1, 0, 0]),
            "g": pd.period_range("2020", periods=5, freq="M"),
        },
        index=pd.MultiIndex.from_product([["u"], range(5)]),
    )


def arrays():
    np = pytest.importorskip("numpy")
    fields = np.dtype([("x", "i4"), ("y", "U2"), ("z", "O")])
    return [np.arange(4), np.array(["a", None], object), np.zeros(2, fields), np.random.default_rng(1), np.float32(1)]


SAMPLES = {
    **{
        name: DATA[name]
        for name in ("mixed", "exceptions", "arrays", "patterns", "aware datetimes", "default dicts", "random")
    },
    **{
        name: DATA[name]
        for name in ("surrogates", "dict keys", "memoryview", "chain map", "addresses", "paths", "big integers")
    },
    "arrays of numpy": arrays,
    "frame": frames,
}


def mutated(document, dice):
    """*document* with a few bytes changed, cut out, or repeated."""
    data = bytearray(document)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(data) + 1)
        kind = dice.randrange(5)
        if kind <= 1 and place < len(data):
            data[place] = dice.choice((dice.randrange(256), data[place] ^ 1, 0xFF, 0x00, 0xC7, 0xDD))
        elif kind == 2:
            del data[place : place + dice.randint(1, 8)]
        elif kind == 3:
            data[place:place] = data[max(0, place - dice.randint(1, 20)) : place]
        else:
            data[place:place] = dice.randbytes(dice.randint(1, 4))
    return bytes(data)


def only_our_errors(document, buffers):
    try:
        read(document, buffers)
    except (BadEntry, MissingDependency):
        pass


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.filterwarnings("ignore")
def test_mutated_documents_raise_our_errors_only(name):
    encoded = write(SAMPLES[name]())
    dice = random.Random(name)
    for _ in range(150):
        document = mutated(bytes(encoded.document), dice)
        only_our_errors(document, encoded.buffers)
        with plain_python():
            only_our_errors(document, encoded.buffers)


@settings(QUICK, max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_raise_our_errors_only(document):
    only_our_errors(document, [])
    with plain_python():
        only_our_errors(document, [])
