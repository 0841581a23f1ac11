"""What a long run watches tells growth from noise, and sees what was left."""

import subprocess
import sys

import pytest

from torture.places import Place
from torture.soak_watch import MARK, Trend, Watch, processes_of

pytestmark = pytest.mark.once


def trend(values, **options):
    return Trend(
        **{"factor": 1.0, "slack": 4, **options},
        samples=[(float(moment), value) for moment, value in enumerate(values)],
    )


@pytest.mark.parametrize(
    ("values", "kills", "grows"),
    [
        ([0] * 10 + [50] * 30, 0, False),
        ([10] * 20 + [10, 10, 900, 10] * 5, 0, False),
        (list(range(40)), 0, True),
        ([10] * 30 + [15] * 10, 0, True),
        ([10] * 30 + [15] * 10, 4, False),
    ],
    ids=["warming up", "peaks", "a steady leak", "more at the end", "what killed processes leave"],
)
def test_only_a_last_quarter_well_above_the_second_is_growth(values, kills, grows):
    assert trend(values, per_kill=1.0).grows(kills) is grows


def test_processes_that_are_left_are_found_by_their_mark():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={MARK: "here"}) as left:
        assert list(processes_of("here")) == [left.pid]
        assert not processes_of("elsewhere")
        left.kill()


def test_files_that_are_left_are_told(tmp_path):
    root, temporary = tmp_path / "stash", tmp_path / "temporary"
    (root / "locks").mkdir(parents=True)
    temporary.mkdir()
    watch = Watch(Place("pairtree", str(root)), str(temporary))
    assert list(watch.left_after_clearing(kills=1)) == []
    for number in range(20):
        (root / "locks" / f"{number}.lock").touch()
    (temporary / "forgotten.txt").touch()
    assert len(list(watch.left_after_clearing(kills=1))) == 2
