"""Values that take a few hundred bytes and have no end when they are written out, and tables of little but empty cells."""

import warnings

import pytest

from hashstash.frames import flatten
from hashstash.frames import rest as rest_module
from hashstash.frames.columns import Columns
from hashstash.frames.folded import Folded

pytestmark = pytest.mark.filterwarnings("ignore:.*the same dicts over and over")


def doubled(make, levels=60):
    value = make([1, 2])
    for _ in range(levels):
        value = make([value, value])
    return value


KINDS = {"list": list, "tuple": tuple, "dict": lambda pair: {"a": pair[0], "b": pair[1]}}


@pytest.fixture(params=KINDS)
def value(request):
    return doubled(KINDS[request.param])


def test_a_frame_shows_its_beginning_and_keeps_it(stash, value):
    pytest.importorskip("pandas")
    stash["folded"] = [value]
    frame = stash.df
    assert len(repr(frame)) + len(frame.to_html()) < 100_000
    cells = [cell for cell in frame.to_numpy().flat if isinstance(cell, Folded)]
    assert cells
    assert all(len(repr(cell)) < 100 and type(cell.value) is type(value) for cell in cells)


def test_arrow_and_polars_get_its_beginning(stash, value):
    pytest.importorskip("polars")
    stash["folded"] = {"field": value}
    assert stash.to_arrow().num_rows == 1
    assert stash.to_polars().height == 1


def test_a_key_that_holds_it_finds_its_row(stash):
    pytest.importorskip("pandas")
    key = doubled(tuple, levels=17)  # more would be refused as a key
    stash[key] = {"a": 1}
    frame = stash.df
    assert frame["a"].tolist() == [1]
    assert len(repr(frame.index)) < 10_000


def test_many_rows_of_dicts_that_hold_one_dict_twice_have_an_end_of_columns(stash):
    pytest.importorskip("pandas")
    stash.update({number: [doubled(KINDS["dict"], levels=40 + number % 3)] for number in range(60)})
    assert stash.df.shape[0] == 60
    assert stash.df.shape[1] < 5_000


def test_that_a_dict_is_not_taken_apart_is_said_once(stash):
    stash.update({number: doubled(KINDS["dict"]) for number in range(3)})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert len(stash.ld) == 3
    assert [str(one.message).partition(": ")[2] for one in told] == [
        "some rows hold the same dicts over and over, names without end or millions of empty rows: these are not taken apart"
    ]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(rest_module, "_FREE_CELLS", 10_000)


class TestLittleButEmptyCells:
    ROWS = {number: {"id": number, **{f"{number}.{field}": field for field in range(20)}} for number in range(200)}

    def test_the_rarest_columns_stand_together(self, stash, small):
        pytest.importorskip("pandas")
        stash.update(self.ROWS)
        with pytest.warns(RuntimeWarning, match=r"rarest stand together as dicts in '_rest'"):
            frame = stash.df
        assert frame.shape[1] < 1000
        assert frame["id"].tolist() == list(self.ROWS)
        for key, row in zip(frame.index, frame.to_dict("records"), strict=True):
            rest = row.pop("_rest")
            found = {name: cell for name, cell in row.items() if cell is not None and cell == cell} | (
                rest if isinstance(rest, dict) else {}
            )
            assert found == self.ROWS[key]

    def test_arrow_has_them_too(self, stash, small):
        pytest.importorskip("pyarrow")
        stash.update(self.ROWS)
        with pytest.warns(RuntimeWarning, match="rarest"):
            table = stash.to_arrow()
        assert "_rest" in table.column_names
        assert table.num_rows == 200

    def test_columns_that_are_asked_for_stay(self, stash, small):
        pytest.importorskip("pandas")
        stash.update(self.ROWS)
        frame = stash.assemble_df(columns=["199.3"])
        assert frame["199.3"].dropna().tolist() == [3]

    def test_rows_keep_all_their_fields(self, stash, small):
        stash.update(self.ROWS)
        assert sorted(map(len, stash.ld)) == [22] * 200

    def test_full_columns_are_never_too_many(self, stash, small):
        pytest.importorskip("pandas")
        stash.update({number: {f"c{field}": field for field in range(500)} for number in range(300)})
        assert stash.df.shape == (300, 500)

    def test_thousands_of_columns_in_a_few_rows_are_not_too_many(self, stash):
        pytest.importorskip("pandas")
        stash.update({number: {f"c{field}": field for field in range(2000)} for number in range(3)})
        assert stash.df.shape == (3, 2000)


def test_a_gap_in_a_column_is_missing_and_nothing_else(stash):
    pytest.importorskip("pandas")
    stash.update(
        {number: {"often": number, **({"rare": number} if number in (0, 50, 99) else {})} for number in range(100)}
    )
    frame = stash.df
    assert frame["rare"].dropna().to_dict() == {0: 0, 50: 50, 99: 99}
    assert frame["often"].tolist() == list(range(100))


def test_rows_of_such_values_are_flat_dicts():
    assert all(len(row) < 600 for row in flatten([doubled(KINDS["dict"])] * 3))


def test_of_columns_that_are_as_rare_the_first_stay(monkeypatch):
    monkeypatch.setattr(rest_module, "_FREE_CELLS", 0)
    monkeypatch.setattr(rest_module, "_CELLS_PER_VALUE", 20)
    columns = Columns()
    names = [f"field {number}" for number in range(100)]
    for row, name in enumerate(names):
        columns.column(name).add_one(row, 1)
    columns.length = len(names)
    folded = rest_module.fold(columns, [])
    assert 0 < folded < 100
    assert list(columns.by_name) == [*names[: 100 - folded], "_rest"]
