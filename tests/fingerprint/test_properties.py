"""For any data: equal values, and no others, have equal digests."""

import math

import pytest

from hashstash.fingerprint import Fingerprinter

pytest.importorskip("hypothesis")
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402


def strict(value):
    """A value as text that equal values of equal types have in common, and no others."""
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(strict, value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{strict(key)}: {strict(item)}' for key, item in value.items())})"
    return f"{type(value).__name__} {value!r}"


ATOMS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=3)
)
JSON_LIKE = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2) | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON_LIKE, JSON_LIKE)
def test_equal_values_and_no_others_have_equal_digests(one, other):
    fingerprinter = Fingerprinter()
    assert (fingerprinter.digest(one) == fingerprinter.digest(other)) == (strict(one) == strict(other))


@given(JSON_LIKE)
def test_a_rebuilt_value_has_the_same_digest(value):
    rebuilt = eval(repr(value), {"inf": math.inf, "nan": math.nan})
    assert Fingerprinter().digest(value) == Fingerprinter().digest(rebuilt)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6))
def test_any_pattern_of_sharing_has_a_digest_of_its_own(pattern):
    pool = [[0], [0], [0]]
    value = [pool[number] for number in pattern]
    renamed = [pool[(number + 1) % 3] for number in pattern]
    apart = [[0] for _ in pattern]
    assert Fingerprinter().digest(value) == Fingerprinter().digest(renamed)
    assert (Fingerprinter().digest(value) == Fingerprinter().digest(apart)) == (len(set(pattern)) == len(pattern))
