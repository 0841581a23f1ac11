import array
import collections
import dataclasses
import json
import math
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashstash import HashStash, keys
from hashstash.errors import VolatileKey
from hashstash.fingerprint import Fingerprinter
from hashstash.keys import canonical

HERE = pathlib.Path(__file__).parent
GOLDEN = json.loads((HERE / "golden_keys.json").read_text())


def _load_samples():
    import importlib.util

    spec = importlib.util.spec_from_file_location("key_samples", HERE / "key_samples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


samples = _load_samples()
address = samples.address
KEYS = samples.KEYS


@pytest.fixture(params=["plain", "fast"], autouse=True)
def writer(request, monkeypatch):
    """Every test runs with both writers."""
    monkeypatch.setattr(keys, "write", keys.write_plain if request.param == "plain" else keys._write_fast)


def test_the_fast_writer_is_chosen_where_it_writes_the_golden_vector():
    assert keys._choose_writer() is keys._write_fast


def test_a_writer_that_writes_other_bytes_is_not_chosen(monkeypatch):
    monkeypatch.setattr(keys, "_write_fast", lambda tree: b"other")
    assert keys._choose_writer() is keys.write_plain


@pytest.mark.parametrize("name", KEYS)
def test_addresses_never_change(name):
    assert address(KEYS[name]).hex() == GOLDEN[name]


def test_the_golden_vectors_are_of_these_keys():
    assert set(GOLDEN) == set(KEYS)


def test_no_two_samples_share_an_address():
    assert len(set(GOLDEN.values())) == len(GOLDEN)


@pytest.mark.parametrize(
    "tree, data",
    [
        (None, b"N"),
        (True, b"T"),
        (False, b"F"),
        (1, b"i\x01\0\0\0"),
        (-(2**31), b"i\0\0\0\x80"),
        (2**31, b"l\x03\0\0\0\0\0\0\0\x02\0"),
        (-(2**31) - 1, b"l\xfd\xff\xff\xff\x01\0\0\0\x02\0"),
        (1.0, b"g\0\0\0\0\0\0\xf0?"),
        (1j, b"y\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0?"),
        ("é", b"u\x02\0\0\0\xc3\xa9"),
        ("\ud800", b"u\x03\0\0\0\xed\xa0\x80"),
        (b"a", b"s\x01\0\0\0a"),
        ((1,), b"(\x01\0\0\0i\x01\0\0\0"),
        ([], b"[\0\0\0\0"),
    ],
)
def test_the_frozen_format(tree, data):
    assert keys.write(tree) == data


@pytest.mark.parametrize(
    "family",
    [
        [1, 1.0, True, 1 + 0j, "1", b"1"],
        [0, 0.0, -0.0, False, None, "", b"", (), [], {}, set(), frozenset(), bytearray()],
        [[1, 2], (1, 2), {1, 2}, frozenset({1, 2}), {1: 2}, collections.deque([1, 2])],
        ["a", b"a", bytearray(b"a"), ["a"], ("a",)],
        [{}, collections.OrderedDict(), collections.Counter(), collections.defaultdict(int)],
        [float("nan"), float("inf"), float("-inf"), "nan", ["nan"], ("nan",)],
        [["list"], ["list", ["list"]], ("list",), "list"],
        [["dict", (), ()], {}, ("dict", (), ())],
        [{"a": None}, {"a": [None]}, {("a",): None}, ["dict", ("a",), (None,)]],
        [(1, (2, 3)), ((1, 2), 3), (1, 2, 3)],
        [["object", b"x"], ("object", b"x")],
        [array.array("i", [1]), array.array("l", [1]), array.array("d", [1])],
        ["\U0001f600", "\ud83d\ude00"],
        [0j, complex(0.0, -0.0), complex(-0.0, 0.0)],
    ],
)
def test_types_are_told_apart(family):
    assert len({address(key) for key in family}) == len(family)


@pytest.mark.parametrize(
    "wrap", [lambda key: (key,), lambda key: [key], lambda key: {"k": key}, lambda key: {"k": [(key,)]}]
)
def test_types_are_told_apart_at_any_depth(wrap):
    family = [1, 1.0, True, "1", b"1", (1,), [1]]
    assert len({address(wrap(key)) for key in family}) == len(family)


def test_nan_equals_itself():
    assert address(float("nan")) == address(-float("nan")) == address(math.nan)
    assert address((math.nan, 1)) == address((float("nan"), 1))


def test_dicts_in_another_order_are_one_key():
    assert address({"a": 1, "b": {"c": 2, "d": 3}}) == address({"b": {"d": 3, "c": 2}, "a": 1})
    assert address({1: "a", "x": "b", None: 3}) == address({None: 3, "x": "b", 1: "a"})


def test_ordered_dicts_in_another_order_are_two_keys():
    one, other = collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)
    assert address(one) != address(other)


def test_a_subclass_is_never_its_base():
    class Text(str):
        pass

    class Number(int):
        pass

    class Names(dict):
        pass

    assert address(Text("a")) != address("a")
    assert address(Number(1)) != address(1)
    assert address(Names(a=1)) != address({"a": 1})


def test_named_tuples_are_keyed_by_class_and_content():
    point = samples.Point(1, {"b": 1, "a": 2})
    assert address(point) == address(samples.Point(1, {"a": 2, "b": 1}))
    assert address(point) != address((1, {"b": 1, "a": 2}))


# ---- properties ------------------------------------------------------------------------------------------------------

SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.binary(max_size=8)),
    st.text(st.characters(codec=None, exclude_categories=()), max_size=8),
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
ANY_KEY = st.recursive(
    HASHABLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HASHABLE, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)
FAST = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def _strict(key):
    """A text that two keys share when they are equal in type and content: the properties' own notion of equality."""
    if isinstance(key, float):
        return "float nan" if math.isnan(key) else f"float {key.hex()}"
    if isinstance(key, complex):
        return f"complex {_strict(key.real)} {_strict(key.imag)}"
    if isinstance(key, (list, tuple)):
        return f"{type(key).__name__} [{', '.join(map(_strict, key))}]"
    if isinstance(key, (set, frozenset)):
        return f"{type(key).__name__} [{', '.join(sorted(map(_strict, key)))}]"
    if isinstance(key, dict):
        pairs = sorted((_strict(name), _strict(value)) for name, value in key.items())
        return f"dict {pairs}"
    return f"{type(key).__name__} {ascii(key)}"


@FAST
@given(ANY_KEY, ANY_KEY)
def test_equal_keys_and_no_others_share_an_address(one, other):
    assert (address(one) == address(other)) == (_strict(one) == _strict(other))


@FAST
@given(ANY_KEY)
def test_both_writers_write_the_same(key):
    tree = canonical(key, Fingerprinter().digest)
    assert keys.write_plain(tree) == keys._write_fast(tree)


@FAST
@given(st.dictionaries(HASHABLE, ANY_KEY, max_size=6), st.randoms())
def test_the_order_of_a_dict_does_not_matter(key, random):
    items = list(key.items())
    random.shuffle(items)
    assert address(dict(items)) == address(key)


@FAST
@given(st.lists(HASHABLE, max_size=8, unique_by=_strict), st.randoms())
def test_the_order_of_a_set_does_not_matter(items, random):
    key = set(items)
    random.shuffle(items)
    assert address(set(items)) == address(key)


@FAST
@given(st.integers())
def test_integers_of_any_size(number):
    assert keys.write_plain(number) == keys._write_fast(number)
    assert address(number) != address(number + 1)


# ---- numbers and frames ----------------------------------------------------------------------------------------------


def test_numpy_scalars_are_keyed_by_dtype_and_value():
    np = pytest.importorskip("numpy")
    family = [1, np.int64(1), np.int32(1), np.float64(1), np.float32(1), np.bool_(True), np.array(1), np.array([1])]
    assert len({address(key) for key in family}) == len(family)
    assert address(np.int64(1)) == address(np.int64(1))


def test_numpy_scalars_in_containers_are_never_taken_for_buffers():
    np = pytest.importorskip("numpy")
    assert address((np.float64(1.0),)) != address((np.int64(4607182418800017408),))
    assert address((np.float64(1.0),)) != address((1.0,))


def test_arrays_are_keyed_by_content():
    np = pytest.importorskip("numpy")
    one = np.arange(20_000.0).reshape(100, 200)
    assert address({"a": one}) == address({"a": one.copy()})
    assert address({"a": one}) != address({"a": one.reshape(200, 100)})
    assert address({"a": one}) != address({"a": one.astype("f4")})


def test_frames_are_keyed_by_content():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert address(frame) == address(frame.copy())
    assert address(frame) != address(frame.rename(columns={"a": "c"}))


# ---- what cannot be a key --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, key", [("generator", (i for i in ())), ("lock", threading.Lock()), ("iterator", iter([1]))]
)
@pytest.mark.parametrize("wrap", [lambda key: key, lambda key: ("a", {"b": [key]})], ids=["itself", "inside"])
def test_volatile_state_is_refused_with_a_type_error_that_names_it(kind, key, wrap):
    with pytest.raises(VolatileKey, match=kind) as caught:
        address(wrap(key))
    assert isinstance(caught.value, TypeError)


def test_an_open_file_is_refused(tmp_path):
    with open(tmp_path / "x", "w") as file, pytest.raises(VolatileKey):
        address(file)


def _nested(depth):
    key = []
    for _ in range(depth):
        key = [key]
    return key


def _cyclic():
    key = []
    key.append(key)
    return key


@pytest.mark.parametrize("key", [_nested(250), _nested(5000), _cyclic()], ids=["deep", "very deep", "cyclic"])
def test_a_key_without_a_bottom_is_refused(key):
    with pytest.raises(VolatileKey, match="nests deeper than"):
        address(key)


def test_a_deep_key_has_an_address():
    assert address(_nested(100)) != address(_nested(101))


def test_a_key_of_the_deepest_kind_in_a_deep_call_is_refused_and_not_a_crash():
    def call(depth):
        return address(_nested(150)) if not depth else call(depth - 1)

    with pytest.raises(VolatileKey):
        call(sys.getrecursionlimit() - 300)


# ---- other Pythons ---------------------------------------------------------------------------------------------------


def _interpreter(version):
    """An interpreter of that version that runs, or None."""
    candidates = [
        shutil.which(f"python{version}"),
        *pathlib.Path.home().glob(f".pyenv/versions/{version}.*/bin/python"),
    ]
    check = f"import sys; sys.exit('%d.%d' % sys.version_info[:2] != {version!r})"
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-S", "-c", check], capture_output=True, timeout=60).returncode == 0:
            return candidate
    return None


@pytest.mark.parametrize("seed", ["0", "1234"])
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_every_python_gives_the_same_addresses(version, seed, request):
    if "plain" in request.node.name:
        pytest.skip("the other process chooses its writer by itself")
    interpreter = _interpreter(version)
    if interpreter is None:
        pytest.skip(f"Python {version} is not installed")

    environ = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(HERE.parent)}
    command = [interpreter, "-S", str(HERE / "key_samples.py")]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == GOLDEN


# ---- through a stash -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEYS)
def test_every_kind_of_key_is_found_and_given_back(name):
    stash = HashStash("keys", engine="memory", clear=True)
    stash[KEYS[name]] = name
    assert stash[KEYS[name]] == name
    (found,) = stash
    assert address(found) == address(KEYS[name])


def _doubled(make, levels=60):
    key = make([1, 2])
    for _ in range(levels):
        key = make([key, key])
    return key


@pytest.mark.parametrize(
    "key",
    [
        _doubled(list),
        _doubled(tuple),
        _doubled(lambda pair: {"a": pair[0], "b": pair[1]}),
        _doubled(lambda pair: {1: pair[0], 2: pair[1]}),
        _doubled(lambda pair: collections.OrderedDict(a=pair[0], b=pair[1])),
        [["x" * 10**6] * 1000] * 1000,
        [["x" * 10**7] * 1000] * 2,
        [[1 << 10**8] * 1000] * 2,
        ["x" * 10**7] * 900,
        ("x" * 10**7,) * 900,
        {tuple(["x" * 10**7] * 900 + [number]) for number in range(2)},
        {tuple(["x" * 10**7] * 900): 1, 1: 2},
    ],
    ids=["list", "tuple", "dict", "dict of numbers", "OrderedDict", "many texts", "texts", "integers"]
    + ["some texts", "a tuple of texts", "in a set", "in a key of a dict"],
)
def test_a_key_whose_bytes_have_no_end_is_refused(key):
    with pytest.raises(VolatileKey, match=r"the same parts over and over.*more than [\d,]+ (parts|bytes)"):
        address(key)


@dataclasses.dataclass
class Settings:
    values: list


def test_an_object_that_stands_in_a_key_over_and_over_counts_once_each():
    setting = Settings(list(range(200)))
    assert address([setting] * 150_000) != address([setting] * 150_001)


def test_a_large_key_is_the_same_whether_its_parts_are_shared_or_not():
    part = list(range(1000))
    assert address([part] * 300) == address([list(part) for _ in range(300)])


def test_a_large_key_with_texts_of_its_own_has_an_address(monkeypatch):
    key = [f"{number}" * 100 for number in range(1100)]
    expected = address(key)
    monkeypatch.setattr(keys, "_MOST_BYTES", 10_000)
    assert address(key) == expected


def test_an_object_that_stands_in_a_key_many_times_is_digested_once():
    digested = []

    def fingerprint(value):
        digested.append(value)
        return b"digest"

    thing = object()
    keys.address_of([[thing, thing], thing], fingerprint)
    assert digested == [thing]


def too_large_for_marshal(tree, version):
    raise ValueError("unmarshallable object")


def test_what_marshal_cannot_count_is_written_by_the_definition(monkeypatch):
    usual = keys.write_plain(("a", b"b", 1))
    monkeypatch.setattr(keys.marshal, "dumps", too_large_for_marshal)
    assert keys._write_fast(("a", b"b", 1)) == usual


def test_what_the_format_cannot_count_is_no_key(monkeypatch):
    def refuse(tree):
        raise struct.error("argument out of range")

    monkeypatch.setattr(keys.marshal, "dumps", too_large_for_marshal)
    monkeypatch.setattr(keys, "write_plain", refuse)
    with pytest.raises(VolatileKey, match="4 GiB or more; use a part of it"):
        keys._write_fast(b"as if it were large")
