"""What a line behind ``%run`` says."""

from __future__ import annotations

import pytest

from hashstash.cells.run_lines import read

OUTSIDE = {
    "t.py": "t.py",
    "t": "t",
    "-n t.py -i": "t.py",
    "'my s.py' one": "my s.py",
    "-N 3 -t t.py": "t.py",
    "-e -- t.py $x": "t.py",
    "t.py {x}": "t.py",
}
INSIDE = {
    "-i t.py": "t.py",
    '-i "my s.py"': "my s.py",
    "-ni t.py": "t.py",
    "-i -N 3 t.py": "t.py",
    "-tN3 -i t.py": "t.py",
}
ONLY_RUNNING_TELLS = [
    "$t",
    "-{flags} t.py",
    "o.ipynb",
    "-n 'my o.IPY'",
    "-i -m pack",
    "-x t.py",
    "'t.py",
    "-i",
    "-N $n t.py",
]


@pytest.mark.parametrize("line", OUTSIDE)
def test_a_script_runs_for_itself(line):
    assert read(line) == (OUTSIDE[line], False)


@pytest.mark.parametrize("line", INSIDE)
def test_a_script_runs_among_the_notebooks_variables(line):
    assert read(line) == (INSIDE[line], True)


@pytest.mark.parametrize("line", ONLY_RUNNING_TELLS)
def test_what_only_running_tells_may_read_every_variable(line):
    assert read(line) == (None, True)


@pytest.mark.parametrize("line", ["-m pack", "", "-m pack -i"])
def test_a_module_runs_for_itself(line):
    assert read(line).script is None
