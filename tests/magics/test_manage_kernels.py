"""``%stash`` in real kernels: what front ends are sent, what they may complete, what two kernels see of one another."""

from __future__ import annotations

import keyword
from pathlib import Path

import pytest

pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

import driver  # noqa: E402

PYTHONS = driver.PYTHONS
PATIENCE = 60.0
DATA = "%%stash data\ny = [x, {'a': (2, 3)}]"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Notebook:
    """A kernel with the extension loaded."""

    def __init__(self, python: Path, folder: Path, account: str = "mine") -> None:
        homes = {f"XDG_{kind}_HOME": str(folder / account / kind.lower()) for kind in ("STATE", "CACHE", "CONFIG")}
        self.kernel = driver.Kernel(str(python), folder, {"HASHSTASH_STATUS": "line", **homes})
        self.run("%load_ext hashstash")

    def run(self, code: str) -> driver.Answer:
        answer = self.kernel.run(code)
        assert answer.error is None, answer.traceback
        return answer

    def status(self, code: str) -> str:
        return "\n".join(text for _, text in self.run(code).statuses)

    def completions(self, code: str) -> list[str]:
        reply = self.kernel.client.complete(code, len(code), reply=True, timeout=PATIENCE)["content"]
        return [match for match in reply["matches"] if not match.startswith("%") and not keyword.iskeyword(match)]


@pytest.fixture(scope="module", params=list(PYTHONS))
def python(request):
    if not PYTHONS[request.param].exists():
        pytest.skip(f"there is no {PYTHONS[request.param]}")
    return PYTHONS[request.param]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, python):
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def notebook(python, folder):
    notebook = Notebook(python, folder)
    notebook.run("x = 1")
    notebook.run(DATA)
    notebook.run("%%stash code\nclass A:\n    n = 3\na = A()")
    yield notebook
    notebook.kernel.stop()


@pytest.fixture(scope="module")
def other(python, folder, notebook):
    """A kernel of somebody else, who has been sent what the first has stored."""
    notebook.run("%stash export sent.stash --all")
    other = Notebook(python, folder, "other")
    yield other
    other.kernel.stop()


def test_lists_are_tables_that_are_marked_as_no_output_of_the_cell(notebook):
    ((facts, text),) = notebook.run("%stash ls data").statuses
    assert facts["title"] == "1 record in stash data"
    assert "y = [x, {'a': (2, 3)}]" in text


def test_a_value_is_the_output_of_the_cell(notebook):
    assert notebook.run("%stash get data y").data() == [{"text/plain": "[1, {'a': (2, 3)}]"}]


def test_an_instance_comes_back_with_its_class(notebook):
    notebook.run("b = %stash get code a")
    assert notebook.kernel.evaluate({"n": "b.n"}) == {"n": "3"}


@pytest.mark.parametrize(
    "line", ["ls nosuch", "lss", "get data nosuch", "config engine nosuch", "use ../up", "clear", "export . data"]
)
def test_a_wrong_line_ends_run_all(notebook, line):
    assert notebook.kernel.run(f"%stash {line}").error == "UsageError"


@pytest.mark.parametrize(
    "line, expected",
    [
        ("%stash tr", ["trust"]),
        ("%stash get data ", ["y", "--root", "--engine", "--help"]),
        ("x = 1\nv = %stash get dat", ["data"]),
        ("%%stash dat", ["data"]),
        ("%stash config default", ["default_name"]),
        ("%stash use data --engine sqlited", ["sqlitedict"]),
    ],
)
def test_a_front_end_is_offered_what_fits(notebook, line, expected):
    assert notebook.completions(line) == expected


def test_what_another_account_has_sent_is_restored_and_its_code_is_not(other):
    assert "%stash trust code" in other.status("%stash import sent.stash")
    other.run("x = 1")
    assert "hit" in other.status(DATA)
    assert other.kernel.run("%stash get code a").error == "UsageError"
    assert "3 rows of others" in other.status("%stash trust code")
    assert "trusted from now on" in other.status("%stash trust code --yes")
    other.run("a = %stash get code a")
    assert other.kernel.evaluate({"n": "a.n"}) == {"n": "3"}


def test_what_is_removed_here_is_gone_in_the_other_kernel(python, folder, notebook):
    notebook.run("%%stash shared\nq = 1")
    second = Notebook(python, folder)
    try:
        assert second.run("%stash get shared q").data() == [{"text/plain": "1"}]
        notebook.run("%stash rm shared 1")
        assert second.kernel.run("%stash get shared q").error == "UsageError"
    finally:
        second.kernel.stop()
