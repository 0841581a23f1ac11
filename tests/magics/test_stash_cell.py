"""``%%stash`` in a shell of this process; the scenarios in tests/cells run in real kernels."""

from __future__ import annotations

import re
import sys
import threading
import warnings

import pytest
from IPython.core.error import UsageError

from hashstash.errors import StashError


def test_second_run_is_a_hit(session):
    session.run("x = 2\nruns = []")
    session.run("%%stash t --ignore runs -x runs\nruns.append(1)\ny = x + 1")
    assert "ran in" in session.status()
    session.run("y = None")
    session.run("%%stash t --ignore runs -x runs\nruns.append(1)\ny = x + 1")
    assert "t: hit, 1 variable" in session.status()
    assert session["y"] == 3
    assert session["runs"] == [1]


def test_default_name_is_notebook(session):
    session.run("%%stash\ny = 1")
    assert session.status().startswith("stash notebook: ran")


def test_the_last_value_is_returned_hit_or_miss(session):
    assert session.run("%%stash t\n[1, 2]") == [1, 2]
    assert session.run("%%stash t\n[1, 2]") == [1, 2]
    assert "hit" in session.status()


def test_semicolon_hides_the_last_value(session):
    assert session.run("%%stash t\n[1, 2];") is None
    assert session.run("%%stash t\n[1, 2]; # shown? no") is None


def test_status_is_html_in_the_notebooks_own_colours(session):
    session.run("%%stash t\ny = '<b>'")
    data, metadata = session.displays[-1]
    assert metadata["hashstash"]["outcome"] == "stored"
    assert "color:" not in data["text/html"]
    assert "<b>" not in data["text/html"]


@pytest.mark.parametrize("level, lines", [("none", 0), ("line", 1), ("full", 3)])
def test_status_levels(session, level, lines):
    session.run(f"%config StashMagics.status = {level!r}")
    session.run("%%stash t\ny = 1")
    assert len(session.status().splitlines()) == lines


@pytest.mark.parametrize(
    "line, part",
    [("--nonsense", "--nonsense"), ("a b", "b"), ("--ttl soon", "--ttl"), ("-o 1x", "1x"), ("--forc", "--forc"), ("../up", ".."),
     ("--root redis://somewhere", "is no folder; for a server set engine"), ("--root", "%%stash --help lists all flags"),
     ("--engine nosuch", "nosuch"), ("--compress nosuch", "nosuch"), ("--files --no-files", "--no-files"), ("-f -r", "--read")],
)  # fmt: skip
def test_a_wrong_line_is_a_usage_error_and_runs_nothing(session, line, part):
    error = session.fail(f"%%stash {line}\nran = 1")
    assert isinstance(error, UsageError)
    assert part in str(error)
    assert "ran" not in session.shell.user_ns


def test_read_without_a_record_is_a_usage_error_that_says_why(session):
    session.run("x = 1")
    session.run("%%stash t\ny = x")
    session.run("x = 2")
    error = session.fail("%%stash t --read\ny = x")
    assert isinstance(error, UsageError)
    assert "`x` changed" in str(error)


def test_dry_run_changes_nothing(session):
    session.run("%%stash t --dry-run\ny = 1")
    assert "would run: this code has not run before" in session.status()
    session.run("%%stash t\ny = 1")
    session.run("del y")
    session.run("%%stash t --dry-run\ny = 1")
    assert "would be restored" in session.status()
    assert "y" not in session.shell.user_ns


def test_an_error_propagates_and_is_not_stored(session):
    session.run("bad = True")
    assert isinstance(session.fail("%%stash t\npart = 1\nif bad: raise ValueError('no')"), ValueError)
    assert session["part"] == 1
    assert isinstance(session.fail("%%stash t\npart = 1\nif bad: raise ValueError('no')"), ValueError)


def shown(session, error: BaseException) -> str:
    """The traceback as the shell shows it."""
    lines = session.shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__, tb_offset=1)
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(lines))


def test_traceback_starts_at_the_cell(session):
    error = session.fail("%%stash t\nx = 1\n1 / 0")
    text = shown(session, error)
    assert "1 / 0" in text
    assert "run_cell_magic" not in text
    assert "hashstash" not in text


def test_traceback_names_the_cells_own_number(session):
    session.run("x = 1")
    error = session.fail("%%stash t\n1 / 0")
    text = shown(session, error)
    number = len(session["In"]) - 1
    assert re.findall(r"(?:In ?\[|ipython-input-)(\d+)", text) == [str(number)]


def test_what_cannot_be_stored_is_named(session):
    session.run("%%stash t\nimport threading\nlk = threading.Lock()")
    assert "not cached: `lk` is a lock" in session.status()
    assert "-x lk" in session.status()
    assert session["lk"].acquire(blocking=False)


def test_a_volatile_input_is_named(session):
    session.run("g = (v for v in range(3))")
    session.run("%%stash t\ny = next(g)")
    assert "not cached: `g` is a generator" in session.status()


def test_streams_are_replayed_in_order(session, capsys):
    cell = "%%stash t\nimport sys\nprint('a')\nprint('b', file=sys.stderr)\nprint('c')"
    session.run(cell)
    first = capsys.readouterr()
    session.run(cell)
    assert "hit" in session.status()
    assert capsys.readouterr() == first


def test_own_streams_are_left_as_they_were(session):
    before = vars(sys.stdout).copy(), sys.displayhook
    session.run("%%stash t\nprint('x')")
    session.fail("%%stash t\n1 / 0")
    assert (vars(sys.stdout).keys(), sys.displayhook) == (before[0].keys(), before[1])


def test_displays_are_replayed_with_metadata(session):
    cell = "%%stash t\nfrom IPython.display import display, HTML\ndisplay(HTML('<i>x</i>'), metadata={'k': {'v': 1}})"
    session.run(cell)
    first = [entry for entry in session.displays if "hashstash" not in entry[1]]
    session.run(cell)
    assert "hit" in session.status()
    assert [entry for entry in session.displays if "hashstash" not in entry[1]] == first
    assert first[0][1]["k"] == {"v": 1}


def test_top_level_await(session):
    session.run("import asyncio")
    cell = "%%stash t\ny = await asyncio.sleep(0, 7)\ny"
    assert session.run(cell) == 7
    session.run("y = 0")
    assert session.run(cell) == 7
    assert "hit" in session.status()
    assert session["y"] == 7


def test_in_holds_an_awaiting_cell_as_it_was_typed(session):
    session.run("import asyncio")
    cell = "%%stash t --also asyncio\ny = await asyncio.sleep(0, 7)\ny"
    session.run(cell)
    assert session["In"][-1].rstrip() == cell


def test_a_syntax_error_is_the_shells_own(session):
    assert isinstance(session.fail("%%stash t\ny = = 1"), SyntaxError)


def test_unload_takes_everything_away(session):
    shell = session.shell
    shell.run_line_magic("unload_ext", "hashstash")
    assert "stash" not in shell.magics_manager.magics["cell"]
    assert "stash" not in shell.magics_manager.magics["line"]
    assert not [hook for hook in shell.input_transformers_cleanup if "rewrite" in getattr(hook, "__name__", "")]
    assert not [name for name in vars(shell) if name.startswith("_hashstash")]
    assert "StashMagics" not in [type(part).__name__ for part in shell.configurables]
    shell.run_line_magic("load_ext", "hashstash")
    session.run("%%stash t\ny = 1")


def test_load_twice_and_reload(session):
    session.shell.run_line_magic("load_ext", "hashstash")
    session.shell.run_line_magic("reload_ext", "hashstash")
    session.run("%%stash t\ny = 1")
    session.run("%%stash t\ny = 1")
    assert session.status().count("hit") == 1


def test_help(session, capsys):
    session.run("%%stash --help\ny = 1")
    assert "--ttl" in capsys.readouterr().out
    assert "y" not in session.shell.user_ns


def completions(session, line: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # IPython's own name for the synchronous way
        return session.shell.complete(None, line, len(line))[1]


def test_completion(session):
    session.run("%%stash first_name\ny = 1")
    names = completions(session, "%%stash first")
    flags = completions(session, "%%stash first_name --for")
    commands = completions(session, "%stash cl")
    assert (names, flags, commands) == (["first_name"], ["--force"], ["clear"])


def test_ttl(session):
    session.run("%%stash t --ttl 0.01s\ny = 1")
    threading.Event().wait(0.02)
    session.run("%%stash t -v\ny = 1")
    assert "time to live is over" in session.status()


def test_a_failing_store_keeps_the_results_and_warns_once(session, monkeypatch):
    monkeypatch.setattr("hashstash.cells.rows.Rows.add", _disk_full)
    session.run("%%stash t\ny = 1")
    assert session["y"] == 1
    assert session.status().count("warning") == 1
    assert "No space left" in session.status()


def _disk_full(*_arguments):
    raise OSError(28, "No space left on device")


def test_the_environment_chooses_the_status(session, monkeypatch):
    monkeypatch.setenv("HASHSTASH_STATUS", "none")
    session.shell.run_line_magic("reload_ext", "hashstash")
    session.run("%%stash t\ny = 1")
    assert session.status() == ""


def test_an_unknown_status_is_named_when_loading(session, monkeypatch):
    monkeypatch.setenv("HASHSTASH_STATUS", "loud")
    session.shell.run_line_magic("unload_ext", "hashstash")
    with pytest.raises(StashError, match="loud"):
        session.shell.run_line_magic("load_ext", "hashstash")
    monkeypatch.setenv("HASHSTASH_STATUS", "line")
    session.shell.run_line_magic("load_ext", "hashstash")


def last_line(error: BaseException) -> int:
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_lineno


def test_lines_are_numbered_as_typed(session):
    assert last_line(session.fail("%%stash t\nx = 1\n1 / 0")) == 3
    assert last_line(session.fail("%%stash t\nimport asyncio\nawait asyncio.sleep(0)\n1 / 0")) == 4
    assert session.fail("%%stash t\nx = 1\ny = = 2").lineno == 3
    assert session.fail("%%stash t\nx = 1\nreturn x").lineno == 3


def test_where_code_runs_the_magic_lines_are_numbered_below_it(session):
    assert last_line(session.fail("get_ipython().run_cell_magic('stash', 't', 'x = 1\\n1 / 0')")) == 2


def test_plain_cells_run_without_a_frame_of_ours(session):
    session.run(
        "import sys\nframe, files = sys._getframe(), []\n"
        "while frame := frame.f_back:\n    files.append(frame.f_code.co_filename)"
    )
    assert not any("hashstash/magics" in file for file in session["files"])


def test_a_restored_function_has_the_lines_of_its_cell(session):
    cell = "%%stash t\nx = 1\n\ndef f():\n    return 1 / 0"
    session.run(cell)
    session.run("del f")
    session.run(cell)
    assert "hit" in session.status()
    assert last_line(session.fail("f()")) == 5


@pytest.mark.parametrize("flag", ["--only", "--exclude", "--inputs", "--also", "--ignore"])
def test_a_name_in_a_flag_that_does_not_exist_is_told(session, flag):
    session.run(f"%%stash t {flag} totl\ntotal = 1")
    assert f"warning: {flag} totl: the cell is over, and there is no such variable; " in session.status()
    assert session["total"] == 1


@pytest.mark.parametrize("name", ["number", "_", "missing"])
def test_a_name_that_may_rightly_be_missing_when_the_cell_is_over_is_not_told(session, name):
    session.run("number = 1")
    session.run(f"%%stash t --ignore {name}\nif not number:\n    missing = 2\ndel number")
    assert "stored" in session.status()
    assert "warning" not in session.status()
