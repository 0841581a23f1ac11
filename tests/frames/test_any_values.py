"""For any values: batches read at once give what each value gives alone, and a choice gives a part of the whole."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashstash import HashStash
from hashstash.frames import flatten

NAMES = st.sampled_from(["a", "b", "a.b", "a_2", "b.a", "_value", "_version", ""])
LEAVES = st.sampled_from([1, 2, "x", None, True, 0.5, b"y", (1, 2), [1, {"a": 1}], {}])
DICTS = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)
SHAPES = st.lists(st.one_of(DICTS, st.lists(DICTS, max_size=3)), min_size=1, max_size=3)
ANY = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def stash(tmp_path_factory):
    return HashStash(tmp_path_factory.mktemp("any values") / "stash", engine="memory")


def filled(stash, shapes):
    """Forty entries, those of one shape behind each other."""
    values = {number: shapes[number * len(shapes) // 40] for number in range(40)}
    stash.clear()
    stash.update(values)
    return values


@ANY
@given(SHAPES)
def test_a_stash_has_the_rows_of_its_values(stash, shapes):
    values = filled(stash, shapes)
    expected = [{"_key": number, **row} for number, value in values.items() for row in flatten(value)]
    assert stash.ld == sorted(expected, key=lambda row: list(stash).index(row["_key"]))


@ANY
@given(SHAPES, st.lists(NAMES, max_size=3, unique=True))
def test_chosen_columns_are_a_part_of_all(stash, shapes, columns):
    filled(stash, shapes)
    rows = stash.ld
    known = [
        column
        for column in columns
        if any(name == column or name.startswith(f"{column}.") for row in rows for name in row)
    ]
    taken = [
        {
            name: row[name]
            for name in row
            if name == "_key" or any(name == column or name.startswith(f"{column}.") for column in known)
        }
        for row in rows
    ]
    assert stash.assemble_ld(columns=known) == taken


@ANY
@given(SHAPES, NAMES, st.sampled_from([1, "x", None, True, (1, 2)]))
def test_conditions_mean_the_same_as_functions_of_the_row(stash, shapes, name, operand):
    filled(stash, shapes)
    assert stash.assemble_ld(where={f"{name or 'a'}__eq": operand}) == stash.assemble_ld(
        where=lambda row: row.get(name or "a") == operand
    )


@ANY
@given(SHAPES)
def test_a_frame_has_the_cells_of_the_rows(stash, shapes):
    pd = pytest.importorskip("pandas")
    filled(stash, shapes)
    rows, frame = stash.ld, stash.df
    assert frame.index.tolist() == [row["_key"] for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row if name != "_key"))
    assert frame.columns.tolist() == names
    for name in names:
        for row, cell in zip(rows, frame[name].tolist(), strict=True):
            expected = row.get(name)
            assert pd.isna(cell) if expected is None else cell == expected and type(cell) in {type(expected), float}
