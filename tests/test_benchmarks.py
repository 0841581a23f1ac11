"""The benchmarks run and print their tables; what they measure is not tested, since times are no promise of a machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("lmdb")
pytest.importorskip("pandas")

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(PROJECT)  # for whoever calls pytest itself; "python -m pytest" has it there already

from benchmarks.encoders import ENCODERS, Encoder, Unsupported  # noqa: E402
from benchmarks.serializers_worker import TooLong, judge, limited  # noqa: E402
from benchmarks.values import KINDS, Sample  # noqa: E402

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


# ---- the table of serializers ------------------------------------------------------------------------------------

OURS = ["hashstash", "hashstash.encode"]
SYSTEMS = [*OURS, "pickle 5", "jsonpickle"]
HARD = ["lambda with a closure", "class made in a function"]


@pytest.fixture(scope="module")
def cells():
    """The quick table as ``{(kind, system): cell}``, and the lines after it."""
    pytest.importorskip("jsonpickle")
    found, text = {}, ""
    for options in (["--systems", *OURS], ["--systems", *SYSTEMS, "--kinds", *HARD]):
        done = run("benchmarks.serializers", "--quick", *options, timeout=240)
        assert done.returncode == 0, done.stderr
        head, *rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
        assert head == ["value", *(system for system in SYSTEMS if system in options)]
        found |= {(row[0], system): cell for row in rows for system, cell in zip(head[1:], row[1:], strict=True)}
        text += done.stdout
    return found, text


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("system", OURS)
def test_the_table_has_times_and_a_size_for_every_kind_of_value_of_ours(cells, system, kind):
    encode, _, rest = cells[0][kind, system].partition(" / ")
    decode, _, size = rest.partition(", ")
    assert encode.split()[1] in {"us", "ms", "ns"}
    assert decode.split()[1] in {"us", "ms", "ns"}
    assert size.split()[1] in {"B", "kB", "MB"}


@pytest.mark.slow
def test_the_table_says_which_error_there_was(cells):
    found, text = cells
    assert found["lambda with a closure", "pickle 5"].startswith("fails: ")
    assert "lambda with a closure, pickle 5: fails: " in text


@pytest.mark.slow
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
