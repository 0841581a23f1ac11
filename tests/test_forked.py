"""The processes of the contracts: forks of a process that has done nothing, which find what a new interpreter would find."""

import os
import signal

import pytest

from hashstash.testing.engine.base import Worker, run_alone, run_together
from hashstash.testing.forked import Forker, forker

pytestmark = pytest.mark.once


def test_a_process_is_a_main_program_with_its_arguments():
    code = "print(__name__, sys.modules['__main__'].sys is sys, sys.argv, sys.path[0] == '')"
    assert run_alone("", code, "a", 1) == "__main__ True ['-c', 'a', '1'] True\n"


def test_it_has_the_environment_and_the_folder_of_this_moment(tmp_path, monkeypatch):
    run_alone("", "")  # so that the process that is forked runs already
    monkeypatch.setenv("HASHSTASH_WORD", "here")
    monkeypatch.chdir(tmp_path)
    code = "import os; print(os.environ.get('HASHSTASH_WORD'), os.getcwd())"
    assert run_alone("", code) == f"here {os.path.realpath(tmp_path)}\n"
    monkeypatch.delenv("HASHSTASH_WORD")
    assert run_alone("", code).startswith("None ")


def test_what_one_changes_no_other_sees():
    code = "import hashstash.engine as engine; print(hasattr(engine, 'changed')); engine.changed = sys.argv"
    assert run_together("from hashstash.engine import Engine", code, 3) == ["False\n"] * 3
    assert run_alone("from hashstash.engine import Engine", code) == "False\n"


def test_it_hashes_with_another_seed():
    assert run_alone("", "print(hash('a text'))") != f"{hash('a text')}\n"


def test_an_error_fails_the_test_with_its_traceback():
    with pytest.raises(pytest.fail.Exception, match=r"ended with 1:\n(.*\n)*ZeroDivisionError"):
        run_alone("", "1 / 0")


def test_an_error_before_the_start_fails_the_test_too():
    with pytest.raises(pytest.fail.Exception, match="No module named 'missing'"):
        run_alone("import missing", "")


def test_a_process_that_is_killed_fails_the_test_with_the_signal():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(pytest.fail.Exception, match=f"ended with -{int(signal.SIGKILL)}:"):
        run_alone("", code)


def test_what_a_module_does_at_the_end_is_done():
    code = "import atexit; atexit.register(print, 'the end'); print('the code')"
    assert run_alone("", code) == "the code\nthe end\n"


def test_a_process_runs_until_it_is_killed():
    with Worker("", "import time\nprint('waits', flush=True)\ntime.sleep(1000)") as worker:
        worker.go()
        assert worker.line() == "waits"
        assert worker.is_running()
        worker.kill()
        assert not worker.is_running()


def test_nothing_is_left_of_processes_that_have_ended():
    run_together("", "", 3)
    folder = f"/proc/{forker()._process.pid}/task/{forker()._process.pid}/children"
    if not os.path.exists(folder):
        pytest.skip("the system does not list the children of a process")
    with open(folder) as file:
        assert file.read() == ""


def test_a_module_that_cannot_be_imported_is_an_error_of_that_request_only():
    forks = Forker()
    try:
        with open(os.devnull, "r+") as nothing:
            standard = (nothing.fileno(),) * 3
            with pytest.raises(ImportError, match=r"missing cannot be imported: ModuleNotFoundError: No module named"):
                forks.start("", [], ["missing"], standard)
            assert forks.status(forks.start("", [], ["json"], standard), wait=True) == 0
    finally:
        forks.close()
