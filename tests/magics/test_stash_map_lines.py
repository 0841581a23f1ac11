"""``%stash_map``: lines that are wrong, what tracebacks show, help, completion, loading and unloading."""

from __future__ import annotations

import re
import warnings

import pytest
from IPython.core.error import UsageError

from hashstash.errors import StashError


def shown(error: BaseException) -> str:
    """The traceback as the shell shows it."""
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error._render_traceback_()))


@pytest.mark.parametrize(
    "line, part",
    [
        ("", "%stash_map f range(10)"),
        ("f", "not f"),
        ("f(xs)", "not f(xs)"),
        ("f xs; f xs", "not f xs; f xs"),
        ("--nonsense f xs", "--nonsense"),
        ("f xs --nonsense", "--nonsense"),
        ("-j 0 f xs", "-j is 0"),
        ("-j -1 f xs", "-j is -1"),
        ("-j two f xs", "two"),
        ("--chunk 0 f xs", "--chunk is 0"),
        ("--total 0 f xs", "--total is 0"),
        ("--serial --threads f xs", "--threads and --serial"),
        ("--serial -j 2 f xs", "--serial and -j"),
        ("--star --no-star f xs", "--star and --no-star"),
        ("--errors never f xs", "never"),
        ("--kw 3 f xs", "--kw 3"),
        ("--kw b=,c f xs", "--kw b=,c"),
        ("--kw b=1,b=2 f xs", "--kw b=1,b=2"),
        ("--kw b=1)+dict(c=2 f xs", "not --kw"),
        ("-n ../up f xs", ".."),
        ("-n f", "not -n f"),
        ("--thread f xs", "no flag --thread, did you mean --threads?; %stash_map --help lists all flags"),
    ],
)
def test_a_wrong_line_is_a_usage_error_that_names_the_fault_and_calls_nothing(defined, line, part):
    error = defined.fail(f"%stash_map {line}")
    assert isinstance(error, UsageError)
    assert part in str(error)
    assert defined["calls"] == []


@pytest.mark.parametrize("line", ["nosuch xs", "f nosuch", "--kw b=nosuch f xs", "--executor nosuch f xs"])
def test_an_unknown_name_is_the_expressions_own_name_error(defined, line):
    error = defined.fail(f"%stash_map {line}")
    assert isinstance(error, NameError)
    assert "name 'nosuch' is not defined" in shown(error)
    assert "hashstash/" not in shown(error)


def test_the_traceback_of_a_collection_that_fails_shows_the_cells_line_and_the_users_code(session):
    error = session.fail("def items():\n    yield 1\n    raise KeyError('inside')\n%stash_map --serial str items()")
    text = shown(error)
    assert "raise KeyError('inside')" in text
    assert "run_line_magic('stash_map'" in text
    assert "hashstash/" not in text


def test_the_traceback_is_as_short_within_a_stashed_cell(session):
    session.run("def items():\n    yield 1\n    raise KeyError('inside')")
    error = session.fail("%%stash t\nr = %stash_map --serial str items()")
    assert "raise KeyError('inside')" in shown(error)
    assert "hashstash/" not in shown(error)


@pytest.mark.parametrize(
    "line, words", [("3 [1]", "not callable"), ("str 3", "cannot be iterated"), ("3 xs", "not callable")]
)
def test_what_is_no_function_or_no_collection_is_a_type_error_without_our_frames(defined, line, words):
    error = defined.fail(f"%stash_map {line}")
    assert isinstance(error, TypeError)
    assert words in str(error)
    assert "hashstash/" not in shown(error)


def test_a_stash_that_cannot_be_opened_is_an_error_that_says_so(defined, monkeypatch):
    monkeypatch.setenv("HASHSTASH_ENGINE", "nosuch")
    error = defined.fail("%stash_map --serial f xs")
    assert isinstance(error, UsageError | StashError)
    assert "nosuch" in str(error)


# ---- help, completion, loading


@pytest.mark.parametrize("line", ["--help", "-h", "-j 2 --help", "f xs --help"])
def test_help(defined, capsys, line):
    assert defined.run(f"%stash_map {line}") is None
    text = capsys.readouterr().out
    assert "%stash_map" in text
    assert "--errors" in text
    assert defined["calls"] == []


def test_a_question_mark_shows_help(session, capsys):
    session.run("%stash_map?")
    assert "ITERABLE" in capsys.readouterr().out


def test_it_is_listed_among_the_magics(session):
    assert "stash_map" in str(session.run("%lsmagic"))


def completions(session, line: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # IPython's own name for the synchronous way
        return session.shell.complete(None, line, len(line))[1]


def test_completion_begins_with_flags_and_functions(defined):
    defined.run("import math")
    found = completions(defined, "%stash_map ")
    assert {"--errors", "-j", "f", "math"} <= {*found}
    assert not {"xs", "calls"} & {*found}


@pytest.mark.parametrize(
    "line, words",
    [
        ("%stash_map --err", ["--errors"]),
        ("%stash_map fir", ["first_of_all"]),
        ("r = %stash_map fir", ["first_of_all"]),
        ("r['a b'] = %stash_map -j 2 fir", ["first_of_all"]),
        ("%stash_map first_of_all fir", ["first_list"]),
        ("%stash_map partial(first_of_all, 1) fir", ["first_list"]),
        ("%stash_map first_of_all ran", ["range"]),
        ("%stash_map first_of_all first_list --er", ["--errors"]),
        ("%stash_map --errors s", ["store", "skip"]),
        ("%stash_map math.sqr", ["math.sqrt"]),
        ("%stash_map -n mi", ["mine"]),
        ("r = %stash_map first_of_all first_list -n mi", ["mine"]),
    ],
)
def test_completion_offers_what_fits_the_place(session, line, words):
    session.run("import math\ndef first_of_all(x): return x\nfirst_list = [1]")
    session.run("%stash_map -n mine --serial --no-progress first_of_all first_list;")
    assert completions(session, line) == words


def test_completion_of_other_lines_is_left_alone(defined):
    defined.shell.Completer.use_jedi = False
    assert "range" in completions(defined, "y = ran")


def test_unload_takes_everything_away_and_load_brings_it_back(defined):
    shell = defined.shell
    before = len(shell.input_transformers_post)
    shell.run_line_magic("unload_ext", "hashstash")
    assert "stash_map" not in shell.magics_manager.magics["line"]
    assert len(shell.input_transformers_post) == before - 1
    hooks = shell.strdispatchers["complete_command"]
    assert "hashstash" not in repr([chain.chain for chain in (*hooks.strs.values(), *hooks.regexs.values())])
    shell.run_line_magic("load_ext", "hashstash")
    shell.run_line_magic("reload_ext", "hashstash")
    assert list(defined.run("%stash_map --serial f xs")) == [2, 3, 4]
    assert len(shell.input_transformers_post) == before
