import pytest

from hashstash.fingerprint import Fingerprinter, alias_signature

np = pytest.importorskip("numpy")


def test_dtype_shape_and_content_count(digest):
    arrays = [
        np.zeros(4),
        np.zeros(4, dtype="f4"),
        np.zeros(4, dtype="i8"),
        np.zeros(4, dtype=">f8"),
        np.zeros((2, 2)),
        np.zeros((4, 1)),
        np.zeros(5),
        np.ones(4),
        -np.zeros(4),
        np.zeros(0),
        np.zeros((0, 2)),
        np.array(0.0),
        np.zeros(4, dtype="M8[s]"),
        np.zeros(4, dtype="M8[ms]"),
        np.zeros(4, dtype="m8[s]"),
        np.zeros(4, dtype=bool),
        np.array(["a"]),
        np.array([b"a"]),
        np.array(["a"], dtype=object),
    ]
    assert len({digest(array) for array in arrays}) == len(arrays)


def test_order_in_memory_does_not_count(digest):
    array = np.arange(12.0).reshape(3, 4)
    assert digest(array) == digest(np.asfortranarray(array))
    assert digest(array) == digest(np.repeat(array, 2, axis=1)[:, ::2])


def test_no_sampling_of_large_arrays(digest):
    large, changed = np.zeros(300_000), np.zeros(300_000)
    changed[123_456] = 5
    assert digest(large) != digest(changed)
    assert digest(large) == digest(np.zeros(300_000))


def test_object_arrays_count_by_content(digest):
    array = np.array([{"k": 1}, "b", None], dtype=object)
    before = digest(array)
    assert before == digest(np.array([{"k": 1}, "b", None], dtype=object))
    array[0]["k"] = 2
    assert digest(array) != before


def test_an_array_that_holds_itself_ends(digest):
    array = np.empty(1, dtype=object)
    array[0] = array
    assert digest(array) == digest(array)


def test_padding_in_structures_does_not_count(digest):
    kind = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    one, other = np.zeros(3, dtype=kind), np.frombuffer(b"\xff" * kind.itemsize * 3, dtype=kind).copy()
    other["a"], other["b"] = 0, 0
    assert digest(one) == digest(other)
    other["b"][1] = 1
    assert digest(one) != digest(other)


def test_long_doubles(digest):
    kind = np.longdouble
    assert digest(kind(1) / 3) == digest(kind(1) / 3)
    assert digest(np.array([kind(1) / 3])) != digest(np.array([kind(np.float64(1) / 3)]))
    assert digest(np.array([kind(np.inf)])) != digest(np.array([kind(-np.inf)])) != digest(np.array([kind(np.nan)]))


def test_masked_arrays(digest):
    one = np.ma.array([1, 2, 3], mask=[0, 1, 0])
    same = np.ma.array([1, 5, 3], mask=[0, 1, 0], fill_value=one.fill_value)
    assert digest(one) == digest(same)
    assert digest(one) != digest(np.ma.array([1, 2, 3], mask=[0, 0, 1]))
    assert digest(one) != digest(np.array([1, 2, 3]))


def test_scalars_count_by_dtype_and_value(digest):
    scalars = [
        np.float64(1),
        np.float32(1),
        np.int64(1),
        np.bool_(True),
        np.str_("1"),
        np.datetime64("2020"),
        np.float64(2),
        1,
        1.0,
    ]
    assert len({digest(scalar) for scalar in scalars}) == len(scalars)
    assert digest(np.float64("nan")) == digest(-np.float64("nan"))


def test_random_generators_count_by_state(digest):
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    before = digest(one)
    assert before == digest(other)
    one.random()
    assert digest(one) != before
    other.spawn(1)
    assert digest(other) != before


def test_the_legacy_random_state_counts(digest):
    one, other = np.random.RandomState(3), np.random.RandomState(3)
    assert digest(one) == digest(other)
    one.normal()
    assert digest(one) != digest(other)


def test_ufuncs_count_by_name(digest):
    assert digest(np.add) != digest(np.subtract)
    assert Fingerprinter().walk(np.frompyfunc(len, 1, 1), "u").volatile


def test_functions_of_numpy_count_by_name_and_version():
    walk = Fingerprinter().walk(np.mean)
    assert walk.packages == {"numpy": np.__version__}
    assert walk.digest != Fingerprinter().walk(np.sum).digest


def test_attributes_of_a_subclass_count(digest):
    class Tagged(np.ndarray):
        pass

    one, other = np.zeros(2).view(Tagged), np.zeros(2).view(Tagged)
    assert digest(one) == digest(other) != digest(np.zeros(2))
    other.tag = 1
    assert digest(one) != digest(other)


def test_a_view_is_not_a_copy(digest):
    array = np.zeros(4)
    assert digest([array, array[:2]]) != digest([array, array[:2].copy()])
    assert digest([array, array[:2]]) != digest([array, array[1:3]])


def test_views_that_do_not_overlap_share_nothing(digest):
    array = np.zeros(4)
    assert digest([array[:2], array[2:]]) == digest([np.zeros(2), np.zeros(2)])


def test_views_between_roots_are_signed():
    array = np.zeros(4)
    walk = Fingerprinter().walk
    views = alias_signature({"a": walk(array), "b": walk(array[:2])})
    shifted = alias_signature({"a": walk(array), "b": walk(array[2:])})
    copies = alias_signature({"a": walk(array), "b": walk(array[:2].copy())})
    assert len({views, shifted, copies}) == 3
    assert copies == alias_signature({})


def test_arrays_are_listed_as_containers():
    array = np.zeros(4)
    assert Fingerprinter().walk({"a": array}).containers[1] is array


def test_a_new_fingerprinter_sees_a_change_in_place():
    array = np.zeros(100_000)
    before = Fingerprinter().digest(array)
    array[5] = 1
    assert Fingerprinter().digest(array) != before


def test_a_memory_mapped_array_counts_by_content(tmp_path, digest):
    mapped = np.memmap(tmp_path / "a", dtype="u1", mode="w+", shape=(4,))
    before = digest(mapped)
    mapped[0] = 1
    assert digest(mapped) != before


def test_drawing_random_numbers_does_not_change_a_function_that_draws(digest):
    before = digest(np.random.rand)
    np.random.rand()
    assert digest(np.random.rand) == before


@pytest.mark.parametrize("shape", [(40_000,), (300, 400), (3, 5, 7000), (100_000, 2), (2, 600_000), (40, 50, 60)])
@pytest.mark.parametrize(
    "lay_out",
    [
        np.asfortranarray,
        lambda array: array[::-1],
        lambda array: array[..., ::3],
        lambda array: array.T,
        lambda array: np.broadcast_to(array[:1], array.shape),
        lambda array: array[1:],
    ],
)
def test_a_large_array_in_any_layout_is_its_copy_in_c_order(digest, shape, lay_out):
    array = lay_out(np.random.default_rng(0).random(shape))
    assert digest(array) == digest(array.copy(order="C"))


def test_titles_of_fields_count(digest):
    titled = np.dtype({"names": ["a"], "formats": ["i4"], "titles": ["t"]})
    assert digest(np.zeros(1, titled)) != digest(np.zeros(1, [("a", "i4")]))


def test_calendars_of_business_days_count(digest):
    one, other = (np.busdaycalendar(holidays=[day]) for day in ("2024-01-01", "2024-01-02"))
    assert digest(one) == digest(np.busdaycalendar(holidays=["2024-01-01"])) != digest(other)
