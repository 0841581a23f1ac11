"""Tables of pyarrow and polars, alone and within objects of a notebook."""

from skips import needs

needs("polars", "pyarrow")

DEFINITIONS = """
import datetime
import decimal

import polars as pl
import pyarrow as pa

arrow = pa.table(
    {"n": pa.array(range(5000)), "s": ["a", "b"] * 2500, "l": pa.array([[1], []] * 2500), "d": pa.array(["p", "q"] * 2500).dictionary_encode()},
)
frame = pl.DataFrame(
    {
        "n": range(5000),
        "s": ["a", None] * 2500,
        "t": [datetime.datetime(2024, 1, 1)] * 5000,
        "l": [[1, 2], []] * 2500,
        "c": pl.Series(["x", "y"] * 2500, dtype=pl.Categorical),
    }
)


class Holder:
    def __init__(self, table):
        self.table = self.again = table
"""
CASES = {
    "arrow": ("arrow", "v.to_pydict()", False, "v.schema.field('d').type.index_type.bit_width == 32", True, 40_000),
    "arrow batch": ("arrow.to_batches()[0]", "v.to_pydict()", False),
    "arrow array": ("pa.array([1, None, 3])", "v.to_pylist()", False, "v.null_count == 1"),
    "arrow schema": ("arrow.schema", "str(v)", False),
    "polars": (
        "frame",
        "v.to_dict(as_series=False)",
        False,
        "str(v.schema['c']).startswith('Categorical') and v.filter(__import__('polars').col('n') > 4990).height == 9",
        True,
        40_000,
    ),
    "polars series": ("frame['l']", "v.to_list()", False),
    "held twice": ("Holder(arrow)", "v.table.num_rows", True, "v.table is v.again", True, 40_000),
    "polars held twice": ("Holder(frame)", "v.table.height", True, "v.table is v.again", True, 40_000),
    "polars expression": (
        "pl.col('n').sum() * 2",
        "__import__('polars').DataFrame({'n': [1, 2]}).select(v).item()",
        True,
    ),
}


def test_comes_back(zoo, case):
    assert zoo[case] == []
