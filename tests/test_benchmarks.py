"""The benchmarks run and print their tables; what they measure is not tested, since times are no promise of a machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("lmdb")
pytest.importorskip("pandas")

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(PROJECT)  # for whoever calls pytest itself; "python -m pytest" has it there already

from benchmarks import mapped, maps_worker  # noqa: E402
from benchmarks import original as first_release  # noqa: E402
from benchmarks.encoders import ENCODERS, Encoder, Unsupported  # noqa: E402
from benchmarks.mappers import LruCache, Mapper  # noqa: E402
from benchmarks.serializers_worker import TooLong, judge, limited  # noqa: E402
from benchmarks.unchecked import unchecked  # noqa: E402
from benchmarks.values import KINDS, Sample  # noqa: E402
from hashstash import HashStash  # noqa: E402
from hashstash.errors import CorruptEntry  # noqa: E402

OPERATIONS = ["get", "miss", "set again", "set new"]
EXACT = [name for name, kind in KINDS.items() if kind.is_usable()]


def run(*arguments, timeout=120):
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=timeout
    )


@pytest.fixture(scope="module")
def table():
    done = run("benchmarks", "--quick", "--rounds", "1", "--only", "W1", "--systems", "raw lmdb", "hashstash")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_quick_run_prints_a_row_with_times_ratio_and_verdict(table, operation):
    (row,) = [line for line in table.splitlines() if line.startswith(f"W1   small dict, str key: {operation} ")]
    assert " us" in row or " ns" in row or " ms" in row
    assert "x" in row
    assert "reached" in row or "MISSED" in row


@pytest.mark.slow
def test_summary_names_exactly_the_missed_operations(table):
    missed = {
        line.removeprefix("W1   small dict, str key: ").partition("  ")[0]
        for line in table.splitlines()
        if "MISSED" in line
    }
    (summary,) = [line for line in table.splitlines() if line.startswith("targets missed: ")]
    named = summary.removeprefix("targets missed: ").replace("W1 ", "").split(", ")
    assert set(named) == (missed or {"none"})


@pytest.mark.slow
def test_unknown_workload_is_refused_with_the_known_ones():
    done = run("benchmarks", "--only", "W99")
    assert done.returncode == 2
    assert "W1" in done.stderr


# ---- the table of maps -------------------------------------------------------------------------------------------

MAP_ROWS = ["cold pool", "warm, new inputs", "all cached", "40 x 20 ms"]


@pytest.fixture(scope="module")
def map_table():
    done = run("benchmarks.maps", "--quick", "--systems", "hashstash", "lru_cache", timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def map_row(table, operation):
    (row,) = [line for line in table.splitlines() if line.startswith("W9 ") and f": {operation} " in line]
    return row


@pytest.mark.slow
@pytest.mark.parametrize("operation", MAP_ROWS)
def test_each_operation_of_a_map_has_a_time_of_each_system_that_can_do_it(map_table, operation):
    pool_too = operation != "all cached"
    assert map_row(map_table, operation).count("±") == 2 + pool_too


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["warm, new inputs", "all cached"])
def test_operations_of_maps_with_a_target_have_a_verdict(map_table, operation):
    row = map_row(map_table, operation)
    assert "reached" in row or "MISSED" in row
    (summary,) = [line for line in map_table.splitlines() if line.startswith("targets missed: ")]
    assert (operation in summary) == ("MISSED" in row)


@pytest.mark.slow
def test_the_map_table_ends_with_the_efficiency_of_each_system(map_table):
    (line,) = [line for line in map_table.splitlines() if line.startswith("raw pool ") and "%, " in line]
    assert [part.split()[-2] for part in line.split(", ")] == ["pool", "hashstash", "lru_cache"]


class Forgetful(Mapper):
    """Computes all anew."""

    name = "forgetful"

    def map(self, function, items, chunksize):
        return [function(*item) for item in items]


class Careless(LruCache):
    """Calls the function twice."""

    name = "lru_cache"

    def map(self, function, items, chunksize):
        for item in items:
            function(*item)
        return super().map(function, items, chunksize)


class Wrong(Mapper):
    """Gives the results in another order."""

    name = "wrong"

    def map(self, function, items, chunksize):
        return [function(*item) for item in reversed(items)]


class Stuck(Mapper):
    """Never comes back."""

    name = "stuck"

    def map(self, function, items, chunksize):
        threading.Event().wait()


def test_a_map_that_remembers_is_known_by_the_calls_that_it_leaves_out(tmp_path):
    assert maps_worker.remembers(LruCache(str(tmp_path)))


def test_a_map_that_computes_all_anew_is_known(tmp_path):
    assert not maps_worker.remembers(Forgetful(str(tmp_path)))


def test_a_map_that_calls_the_function_too_often_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="20 calls for 10 items"):
        maps_worker.remembers(Careless(str(tmp_path)))


def test_a_map_with_wrong_results_is_refused(tmp_path):
    with pytest.raises(AssertionError):
        maps_worker.measure(Wrong(str(tmp_path)), mapped.increment, maps_worker.items_of(0, 10), 1)


def test_no_two_rounds_have_an_item_in_common():
    rounds = [maps_worker.items_of(number, 1000) for number in (-2, -1, 0, 1)]
    assert len(set().union(*rounds)) == 4000


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no alarms")
def test_a_map_that_does_not_come_back_is_given_up(tmp_path):
    program = (
        "import sys; from tests.test_benchmarks import Stuck, maps_worker;"
        " maps_worker.MAPPERS['stuck'] = Stuck; maps_worker.LONGEST = 1; maps_worker.main(['stuck', sys.argv[1]])"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.stdout == "null\n", done.stderr


def test_the_function_that_keeps_a_core_busy_takes_its_time():
    started = time.thread_time()
    assert mapped.work(1) == 2
    assert time.thread_time() - started >= mapped.BUSY


def test_a_system_without_its_package_is_left_out_and_named(capsys):
    assert not first_release.is_usable("fast cache", "no_such_package")
    assert "fast cache is left out, since no_such_package is not installed" in capsys.readouterr().err


def test_the_first_release_is_left_out_where_its_environment_cannot_be_made(monkeypatch, capsys):
    def fail():
        raise first_release.NotThere("no network")

    monkeypatch.setattr(first_release, "interpreter", fail)
    assert not first_release.is_usable(first_release.NAME)
    assert "its environment cannot be made: no network" in capsys.readouterr().err


# ---- the table of serializers ------------------------------------------------------------------------------------

OURS = ["hashstash", "hashstash.encode"]
SYSTEMS = [*OURS, "pickle 5", "jsonpickle"]
HARD = ["lambda with a closure", "class made in a function"]
FEW = [
    "small dict",
    "tuples, sets, int keys (1000)",
    "array, 8 MB of floats",
    "mixed frame, 1e5 rows",
    "1000 objects with cycles",
]
SHOWN = [kind for kind in EXACT if kind in FEW or os.environ.get("HASHSTASH_ALL_SCENARIOS")]
"""The kinds whose rows are looked at: one of each origin, or all; whether a kind is judged rightly is tested below for all."""


@pytest.fixture(scope="module")
def cells():
    """The quick table as ``{(kind, system): cell}``, and the lines after it."""
    pytest.importorskip("jsonpickle")
    found, text = {}, ""
    for options in (["--systems", *OURS, "--kinds", *SHOWN], ["--systems", *SYSTEMS, "--kinds", *HARD]):
        done = run("benchmarks.serializers", "--quick", *options, timeout=240)
        assert done.returncode == 0, done.stderr
        head, *rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
        assert head == ["value", *(system for system in SYSTEMS if system in options)]
        found |= {(row[0], system): cell for row in rows for system, cell in zip(head[1:], row[1:], strict=True)}
        text += done.stdout
    return found, text


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("kind", SHOWN)
@pytest.mark.parametrize("system", OURS)
def test_the_table_has_times_and_a_size_for_every_kind_of_value_of_ours(cells, system, kind):
    encode, _, rest = cells[0][kind, system].partition(" / ")
    decode, _, size = rest.partition(", ")
    assert encode.split()[1] in {"us", "ms", "ns"}
    assert decode.split()[1] in {"us", "ms", "ns"}
    assert size.split()[1] in {"B", "kB", "MB"}


@pytest.mark.slow
@pytest.mark.heavy
def test_the_table_says_which_error_there_was(cells):
    found, text = cells
    assert found["lambda with a closure", "pickle 5"].startswith("fails: ")
    assert "lambda with a closure, pickle 5: fails: " in text


@pytest.mark.slow
@pytest.mark.heavy
def test_the_table_says_what_came_back_as_something_else(cells):
    found, text = cells
    assert found["class made in a function", "jsonpickle"] == "wrong"
    assert "class made in a function, jsonpickle: wrong: " in text


class Lossy(Encoder):
    """Changes values on their way, as *change* says."""

    def __init__(self, change):
        self.change = change

    def encode(self, value):
        return [value]

    def decode(self, data):
        return self.change(data[0])


def verdict(encoder, kind):
    return judge(encoder, KINDS[kind].make(100), KINDS[kind].check)


@pytest.mark.parametrize("kind", EXACT)
def test_a_value_that_comes_back_as_it_was_is_judged_so(kind):
    assert verdict(Lossy(lambda value: value), kind) == {"size": 1}


@pytest.mark.parametrize("kind", EXACT)
def test_a_value_that_comes_back_as_text_is_wrong(kind):
    assert verdict(Lossy(str), kind)["verdict"] == "wrong"


@pytest.mark.parametrize("kind", EXACT)
def test_a_value_that_does_not_come_back_is_wrong(kind):
    assert verdict(Lossy(lambda value: None), kind)["verdict"] == "wrong"


CHANGES = {
    "a number of another type": ("small dict", lambda value: {**value, "id": float(value["id"])}),
    "a number that is a flag": ("small dict", lambda value: {**value, "ok": int(value["ok"])}),
    "a number a hair off": ("list of 1e5 floats", lambda value: [*value[:-1], value[-1] * (1 + 1e-15)]),
    "keys in another order": ("small dict", lambda value: dict(reversed(value.items()))),
    "a key as text": ("tuples, sets, int keys (1000)", lambda value: {str(key): part for key, part in value.items()}),
    "a list for a tuple": ("tuples, sets, int keys (1000)", lambda value: {k: list(part) for k, part in value.items()}),
    "a zone by its offset": (
        "datetimes, zones (1000)",
        lambda value: [part.astimezone() if getattr(part, "tzinfo", None) else part for part in value],
    ),
    "a decimal with other digits": (
        "Decimal, UUID (2000)",
        lambda value: [part.normalize() + 0 * 1 if hasattr(part, "normalize") else str(part) for part in value],
    ),
    "an array of another type": ("array, 8 MB of floats", lambda value: value.astype("f4").astype("f8")),
    "an array of another shape": ("array, 8 MB int ramp", lambda value: value.reshape(1, -1)),
    "a masked array without its mask": ("masked array, 1 MB", lambda value: value.data),
    "a masked array with another fill value": (
        "masked array, 1 MB",
        lambda value: type(value)(value.data, value.mask, fill_value=0),
    ),
    "a frame with a column as objects": ("mixed frame, 1e5 rows", lambda value: value.astype({"kind": object})),
    "a frame without its attributes": ("frame with MultiIndex, 1e4 rows", lambda value: without_attributes(value)),
    "a frame without unused categories": (
        "categorical frame, 1e5 rows",
        lambda value: value.assign(size=value["size"].cat.remove_unused_categories()),
    ),
    "a table without its notes": ("pyarrow table, 1e5 rows", lambda value: value.replace_schema_metadata(None)),
    "a matrix in another layout": ("sparse matrix, 1e5 entries", lambda value: value.tocsc()),
    "instances as dicts": ("dataclass instances (1000)", lambda value: list(map(vars, value))),
    "instances with lists for tuples": (
        "dataclass instances (1000)",
        lambda value: [Sample(**{**vars(part), "tags": list(part.tags)}) for part in value],
    ),
    "a function with another closure": ("lambda with a closure", lambda value: KINDS["lambda with a closure"].make),
    "objects without their cycles": ("1000 objects with cycles", lambda value: orphaned(value)),
}


def without_attributes(frame):
    copy = frame.copy()
    copy.attrs = {}
    return copy


def orphaned(root):
    copy = type(root)(root.name, None)
    copy.children = [type(root)(child.name, None) for child in root.children]
    for child, original in zip(copy.children, root.children, strict=True):
        child.children = original.children
    return copy


@pytest.mark.parametrize("change", CHANGES)
def test_a_lossy_serializer_is_caught(change):
    kind, work = CHANGES[change]
    if not KINDS[kind].is_usable():
        pytest.skip(f"{KINDS[kind].packages} are not installed")
    found = verdict(Lossy(work), kind)
    assert found["verdict"] == "wrong"
    assert found["reason"]


def raise_(error):
    raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ValueError("no"), "fails: ValueError"), (RecursionError(), "fails: RecursionError"), (Unsupported(), "-")],
)
def test_a_serializer_that_raises_is_named_with_its_error(error, expected):
    assert verdict(Lossy(lambda value: raise_(error)), "small dict")["verdict"] == expected


def test_what_takes_too_long_ends():
    with pytest.raises(TooLong), limited(1):
        while True:
            pass


def test_every_serializer_has_a_name_of_its_own():
    assert len(ENCODERS) == len({encoder.name for encoder in ENCODERS.values()}) == 10


@pytest.mark.slow
def test_the_price_of_the_checks_is_printed_with_a_verdict():
    done = run("benchmarks.safety", "--rounds", "2", "--engines", "memory", "--kinds", "records", "--sizes", "1000")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("memory ")]
    assert [row.split(" B  ")[1].split()[0] for row in rows] == ["first", "repeated"]
    assert all("reached" in row or "MISSED" in row for row in rows)


@pytest.mark.parametrize("serializer", ["hashstash", "pickle"])
def test_nothing_is_checked_while_the_price_is_measured_and_everything_afterwards(serializer, tmp_path):
    with HashStash(tmp_path, engine="pairtree", serializer=serializer, compress="raw") as stash:
        stash["key"] = "value"
        address = stash.store.keys.address("key")
        row = stash.store.engine.get(address)
        stash.store.engine.put(address, row.replace(b"value", b"velue"))
        with unchecked():
            assert stash["key"] == "velue"
        with pytest.raises(CorruptEntry):
            stash["key"]
