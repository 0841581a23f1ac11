"""``%stash auto`` in a shell in this process: what it says, what looking costs, and what must not disturb a cell."""

from __future__ import annotations

import errno
import os
import re
import sys
import threading
from unittest.mock import Mock

import pytest
from IPython.core.error import UsageError

from hashstash.cells.rows import Rows
from hashstash.cells.run import CellRun

DEAR = """
import os, signal, time
walks = []
class Dear:
    def __init__(self, number, pause=0.2):
        self.number, self.pause = number, pause
    def __hashstash_fingerprint__(self):
        walks.append(self.number)
        return work(self)
class Slow(Dear):
    def __hashstash_fingerprint__(self):
        return work(self)
def work(dear):
    end = time.thread_time() + dear.pause
    while time.thread_time() < end:
        pass
    return dear.number
class Stops:
    def __hashstash_fingerprint__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10**9):
            pass
"""


def why(session) -> str:
    session.run("%stash why")
    return session.status()


def test_alone_it_turns_on_then_tells_how_it_stands(session):
    session.run("%stash auto --min 2m --max-size 1GB --skip live --skip slow")
    session.run("%stash auto")
    assert "auto is on: cells that take longer than 2 min are recorded, up to 1 GB each" in session.status()
    assert "the tag live or slow" in session.status()


def test_the_tally_is_told(session):
    session.run("%stash auto --min 0")
    session.run("a = len('x')")
    session.run("a = len('x')")
    session.run("%stash auto")
    assert "1 recorded, 1 cell restored" in session.status()


def test_off_says_so_and_leaves_the_shell_as_it_was(session):
    before = vars(session.shell).keys(), session.shell.run_ast_nodes
    session.run("%stash auto")
    session.run("%stash auto --off")
    assert "auto: off" in session.status()
    assert (vars(session.shell).keys(), session.shell.run_ast_nodes) == before


def test_off_passes_cells_on_if_somebody_wrapped_the_shell_after_us(session):
    session.run("%stash auto --min 0")
    ours, seen = session.shell.run_ast_nodes, []

    async def wrapped(*arguments, **keywords):
        seen.append(1)
        return await ours(*arguments, **keywords)

    session.shell.run_ast_nodes = wrapped
    session.run("%stash auto --off")
    session.run("a = len('x')")
    assert session["a"] == 1
    assert seen
    assert session.status() == ""
    session.run("%stash auto --min 0")
    session.run("a = len('xy')")
    assert "stored 1 variable" in session.status()


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        ("--off --min 1s", "--off takes no other flags"),
        ("--min soon", "--min"),
        ("--max-size much", "--max-size"),
        ("-q -v", "exclude one another"),
        ("--of", "--of"),
        ("notebook", "notebook"),
    ],
)
def test_a_wrong_line_is_refused_by_name_and_changes_nothing(session, flags, part):
    error = session.fail(f"%stash auto {flags}")
    assert isinstance(error, UsageError)
    assert part in str(error)
    assert session.shell._hashstash_magics[0].auto.options is None


def test_cells_that_are_not_typed_are_left_alone(session):
    session.run("%stash auto --min 0")
    for _ in range(2):
        session.displays.clear()
        session.shell.run_cell("a = len('x')", store_history=False)
        session.shell.run_cell("a = len('x')", store_history=True, silent=True)
        assert session.status() == ""


def test_cells_of_another_thread_are_left_alone(session):
    session.run("%stash auto --min 0")
    session.displays.clear()
    thread = threading.Thread(target=session.shell.run_cell, args=("a = len('x')",), kwargs={"store_history": True})
    thread.start()
    thread.join()
    assert session["a"] == 1
    assert session.status() == ""


def test_looking_at_the_inputs_of_an_unknown_cell_is_given_up_after_a_time(session):
    session.run("%stash auto --min 1h")
    session.run(DEAR)
    session.run("inputs = [Dear(number) for number in range(50)]")
    session.run("n = len(inputs)")
    assert session["n"] == 50
    assert 0 < len(session["walks"]) < 10
    assert "looking at its inputs takes longer than 0.5 s" in why(session)


def test_of_a_cell_that_is_known_to_be_quick_next_to_nothing_is_looked_at(session):
    session.run("%stash auto --min 1h")
    session.run(DEAR)
    session.run("inputs = [Dear(number) for number in range(50)]")
    session.run("n = len(inputs)")
    session["walks"].clear()
    session.run("n = len(inputs)")
    assert len(session["walks"]) <= 2


@pytest.mark.slow
def test_a_cell_that_turned_out_to_take_long_is_looked_at_as_long_as_it_ran(session):
    session.run("%stash auto --min 0.5s")
    session.run(DEAR)
    session.run("inputs = [Slow(number, 0.1) for number in range(6)]")
    cell = "time.sleep(3)\nn = len(inputs)"
    session.run(cell)
    assert session.status() == ""
    session.run(cell)
    assert "stored 1 variable" in session.status()
    session.run(cell)
    assert "hit" in session.status()


def test_a_stash_that_cannot_be_used_is_told_once_and_disturbs_no_cell(session, home):
    session.run("%stash auto --min 0")
    session.shell._hashstash_magics[0].root = str(home / "folder")
    (home / "folder").touch()
    session.run("a = len('x')")
    assert "could not be used" in session.status()
    session.run("b = len('xy')")
    assert session.status() == ""
    assert (session["a"], session["b"]) == (1, 2)


def test_a_failure_that_another_warning_names_is_told_all_the_same(session, monkeypatch):
    def begin(run, begin=CellRun.begin):
        begin(run)
        run.report.warnings.append("a record was left out: Input/output error (5)")

    monkeypatch.setattr(CellRun, "begin", begin)
    monkeypatch.setattr(Rows, "add", Mock(side_effect=OSError(errno.EIO, "Input/output error")))
    session.run("%stash auto --min 0")
    session.run("a = len('x')")
    assert "were not stored: Input/output error" in session.status()


def test_an_error_of_ours_does_not_reach_the_cell(session, monkeypatch):
    session.run("%stash auto --min 0")
    monkeypatch.setattr("hashstash.cells.run.CellRun.finish", lambda run: 1 / 0)
    session.run("a = len('x')")
    assert session["a"] == 1
    assert "the cell was not recorded: ZeroDivisionError" in session.status()


def test_an_error_of_ours_before_the_cell_does_not_keep_it_from_running(session, monkeypatch):
    session.run("%stash auto --min 0")
    monkeypatch.setattr("hashstash.cells.run.CellRun.begin", lambda run: 1 / 0)
    session.run("a = len('x')\na")
    assert session["a"] == 1
    assert session["_"] == 1


def test_an_interrupt_while_inputs_are_looked_at_is_one_of_the_cell(session, capsys):
    session.run("%stash auto --min 1h")
    session.run(DEAR)
    session.run("stops = Stops()")
    error = session.fail("n = [stops]")
    assert isinstance(error, KeyboardInterrupt)
    assert "n" not in session.shell.user_ns
    shown = "".join(capsys.readouterr())
    assert "KeyboardInterrupt" in shown
    assert "hashstash" not in shown
    session.run("# stash: on\nm = len('x')")
    assert "stored" in session.status()


def test_an_interrupted_cell_is_not_recorded(session):
    session.run("%stash auto --min 0")
    session.run("import os, signal")
    error = session.fail("done = len('x')\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(10**9):\n    pass")
    assert isinstance(error, KeyboardInterrupt)
    assert session["done"] == 1
    assert session.status() == ""
    assert "it was interrupted" in why(session)


def test_a_failing_cell_shows_its_own_lines_alone(session, capsys):
    session.run("%stash auto --min 0")
    session.run("def fails():\n    raise KeyError('k')")
    assert isinstance(session.fail("x = len('x')\nfails()"), KeyError)
    shown = "".join(capsys.readouterr())
    assert "fails()" in re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert "hashstash" not in shown
    assert "run_ast_nodes" not in shown
    files = {frame.f_code.co_filename for frame, _line in _frames(sys.last_value.__traceback__)}
    assert not any("hashstash" in os.path.basename(os.path.dirname(file)) for file in files)


def _frames(trace):
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def test_streams_and_hooks_are_left_as_they_were(session):
    before = vars(sys.stdout).copy(), sys.displayhook, vars(session.shell.displayhook).keys()
    session.run("%stash auto --min 0")
    session.run("print('x')\n1")
    session.fail("1 / 0")
    session.run("print('x')\n1")
    assert (vars(sys.stdout).keys(), sys.displayhook, vars(session.shell.displayhook).keys()) == (
        before[0].keys(), before[1], before[2],
    )  # fmt: skip


def test_a_value_is_formatted_once(session):
    session.run("%stash auto --min 0")
    session.run("shown = []\nclass Loud:\n    def __repr__(self):\n        shown.append(1)\n        return 'loud'")
    session.run("loud = Loud()\nloud")
    assert session["shown"] == [1]


def test_a_cell_and_a_stash_cell_of_one_text_share_their_record(session):
    session.run("%%stash\na = len('x')\na")
    session.run("%stash auto --min 0")
    session.run("a = len('x')\na")
    assert "hit" in session.status()
    assert session["_"] == 1
    session.run("b = len('xy')\nb")
    session.run("%stash auto --off")
    session.run("%%stash\nb = len('xy')\nb")
    assert "hit" in session.status()
    assert session["_"] == 2


def test_terminal_output_of_a_restored_cell_is_that_of_its_run(session, capsys):
    session.run("%stash auto --min 0")
    capsys.readouterr()
    session.run("print('a')\n6 * 7")
    first = capsys.readouterr().out
    session.run("print('a')\n6 * 7")
    assert "hit" in session.status()
    again = capsys.readouterr().out
    assert first.splitlines()[0] == again.splitlines()[0] == "a"
    assert first.count("42") == again.count("42") == 1


def test_a_word_that_means_nothing_is_warned_of_once(session):
    session.run("%stash auto --min 1h")
    session.run("# stash: of\nlen('x')")
    assert "means nothing" in session.status()
    session.run("# stash: of\nlen('x')")
    assert session.status() == ""


def test_a_transformed_cell_that_is_typed_through_is_recorded_as_typed(session):
    session.run("%stash auto --min 0")
    session.run("%time x = len('ab')")
    session.run("%time x = len('ab')")
    assert "hit" in session.status()
    assert session.shell.user_ns["In"][-1].startswith("get_ipython().run_line_magic")


def test_what_no_flag_says_is_as_the_settings_say_now_and_later(session):
    session.run("%config StashMagics.auto_min = '2m'")
    session.run("%config StashMagics.auto_max_size = '3 MB'")
    session.run("%config StashMagics.auto_skip = 'live, slow'")
    session.run("%stash auto --max-size 1GB")
    assert "longer than 2 min are recorded, up to 1 GB each" in session.status()
    assert "the tag live or slow" in session.status()
    session.run("%config StashMagics.auto_min = '0'")
    session.run("a = len('x')")
    assert "stored 1 variable" in session.status()
    session.run("%stash config auto_min 3m")
    session.run("%stash auto")
    assert "longer than 3 min" in session.status()


@pytest.mark.parametrize(("name", "value"), [("auto_min", "soon"), ("auto_max_size", "much")])
def test_a_setting_that_is_no_amount_is_refused_by_name(session, name, value):
    session.run("%stash auto")
    before = session.shell._hashstash_magics[0].auto.options
    assert name in str(session.fail(f"%stash config {name} {value}"))
    assert session.shell._hashstash_magics[0].auto.options == before
