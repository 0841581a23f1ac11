"""A map as a data frame."""

import pytest

pandas = pytest.importorskip("pandas", reason="the package pandas is not installed")


def mapped(stash, *args, **options):
    return stash.map(*args, **{"num_proc": 1, "progress": False, **options})


def rows(frame):
    return frame.to_dict("records")


def scores(name, times=1, *, scale=1):
    return {"length": len(name) * times, "score": {"a": scale}}


def test_arguments_come_by_their_names_then_the_fields_of_the_result(stash):
    frame = mapped(stash, scores, ["ab", ("c", 3)], scale=2).df
    assert list(frame.columns) == ["name", "scale", "length", "score.a", "times"]
    assert frame.name.tolist() == ["ab", "c"]
    assert frame.length.tolist() == [2, 3]
    assert frame["score.a"].tolist() == [2, 2]
    assert pandas.isna(frame.times[0])
    assert frame.times[1] == 3


def test_a_scalar_is_the_value(stash):
    assert rows(mapped(stash, len, ["ab"]).df) == [{"obj": "ab", "_value": 2}]


def test_arguments_without_a_name_are_numbered(stash):
    def shown(*args, **kwargs):
        return len(args)

    assert rows(mapped(stash, shown, [(1, 2)], k=3).df) == [{"_arg1": 1, "_arg2": 2, "k": 3, "_value": 2}]


def test_builtins_without_a_signature_are_numbered(stash):
    assert rows(mapped(stash, int, ["7"]).df)[0]["_value"] == 7


def test_a_field_called_like_an_argument_gets_a_number(stash):
    def f(x, x_2=None):
        return {"x": -x, "y": x}

    assert rows(mapped(stash, f, [1]).df) == [{"x": 1, "x_2": -1, "y": 1}]
    assert rows(mapped(stash, f, [(1, 5)]).df) == [{"x": 1, "x_2": 5, "x_3": -1, "y": 1}]


def test_a_keyword_called_like_a_positional_parameter_is_kept(stash):
    def f(x, /, **others):
        return 0

    assert rows(mapped(stash, f, [1], kwargs={"x": 2}).df) == [{"x": 1, "_kw.x": 2, "_value": 0}]


def test_a_result_of_several_rows_has_them_all(stash):
    def f(x):
        return [{"n": number} for number in range(x)]

    assert rows(mapped(stash, f, [2, 0]).df)[:2] == [{"x": 2, "n": 0}, {"x": 2, "n": 1}]
    assert len(mapped(stash, f, [2, 0]).df) == 3


def test_frames_as_results_are_put_together(stash):
    def f(x):
        return pandas.DataFrame({"n": range(x)})

    assert rows(mapped(stash, f, [1, 2]).df) == [{"x": 1, "n": 0}, {"x": 2, "n": 0}, {"x": 2, "n": 1}]


def test_what_a_method_is_bound_to_is_left_out(stash):
    class Model:
        def scaled(self, x):
            return x * 2

    assert rows(mapped(stash, Model().scaled, [3]).df) == [{"x": 3, "_value": 6}]


def test_equal_items_are_rows_each(stash):
    assert mapped(stash, abs, [-1, -1]).df._value.tolist() == [1, 1]


def test_failed_items_raise(stash):
    with pytest.raises(ZeroDivisionError):
        mapped(stash, lambda x: 1 / x, [0, 1]).df


def test_or_have_their_exception_in_a_column_of_its_own(stash):
    frame = mapped(stash, lambda x: 1 / x, [0, 1], errors="return").df
    assert type(frame._error[0]) is ZeroDivisionError
    assert pandas.isna(frame._value[0])
    assert frame._value[1] == 1
    assert pandas.isna(frame._error[1])


def test_or_are_left_out(stash):
    assert mapped(stash, lambda x: 1 / x, [0, 1], errors="skip").df.x.tolist() == [1]


def test_an_empty_map_is_an_empty_frame(stash):
    assert len(mapped(stash, abs, []).df) == 0


def test_a_copy_of_a_map_has_the_same_frame(stash):
    import copy

    made = mapped(stash, scores, ["ab"], scale=2)
    pandas.testing.assert_frame_equal(copy.copy(made).df, made.df)


def test_large_arguments_stay_whole(stash):
    numpy = pytest.importorskip("numpy", reason="the package numpy is not installed")
    frame = mapped(stash, numpy.sum, [numpy.ones(3)]).df
    assert frame._value[0] == 3
    assert len(frame.iloc[0, 0]) == 3
