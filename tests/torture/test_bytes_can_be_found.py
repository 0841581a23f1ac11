"""The checks of damaged bytes fail where the product does not look at them."""

import os
import struct
from pathlib import Path

import pytest

pytest.importorskip("numpy")  # which the stores of some checks hold arrays of

from torture import bytes_stores as stores  # noqa: E402
from torture.bytes_damages import PAGE, Damage, files_in  # noqa: E402
from torture.bytes_flips import Trials  # noqa: E402
from torture.places import place, why_not  # noqa: E402
from torture.report import Finding  # noqa: E402

pytestmark = [pytest.mark.once, pytest.mark.slow]


def found(engine, broken, damage_in):
    """What is found of one damage by the product broken so."""
    finding = Finding()
    with place(engine) as where:
        stores.fill(where)
        Trials(where, finding, "torture.bytes_broken", broken, most_ends=1).run([damage_in(where.root)])
    return finding


def end_of_a_row(root):
    """The flip of a byte of the shortest row's value."""
    rows = {file: size for file, size in files_in(root).items() if "@" not in file and "blobs" not in file}
    file = min(rows, key=rows.get)
    return Damage("flip", file, rows[file] - 5, 0x01)


def number_of_a_transaction(root):
    """The flip that makes the last transaction but one the last: each of the two first pages says which one has made it."""
    (file,) = [file for file in files_in(root) if file.endswith("data.mdb") and "@" not in file]
    content = Path(os.path.join(root, file)).read_bytes()
    older = min((0, PAGE), key=lambda start: struct.unpack_from("<Q", content, start + 144))
    return Damage("flip", file, older + 144, 0x80)


def test_checksums_that_are_not_looked_at():
    """A value comes back that nobody stored."""
    assert found("pairtree", "unchecked", end_of_a_row).failures


def test_damage_that_checking_does_not_report():
    assert any("check finds nothing" in what for what in found("pairtree", "blind", end_of_a_row).failures)


def test_pages_that_are_believed():
    """An old state is taken for the last one."""
    if why_not("lmdb"):
        pytest.skip(why_not("lmdb"))
    assert found("lmdb", "trusting", number_of_a_transaction).failures
