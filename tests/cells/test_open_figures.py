"""Figures that pyplot keeps open, while a cell runs and while its record is looked at."""

from __future__ import annotations

import sys

import pytest

from hashstash.cells.figures import OpenFigures
from hashstash.cells.journal import nothing_changes


@pytest.fixture
def pyplot(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    figures = [pyplot.figure(), pyplot.figure()]
    yield pyplot
    for figure in figures:
        pyplot.close(figure)


def test_a_cell_that_unloads_matplotlib_leaves_the_class_as_it_was(pyplot, monkeypatch):
    managers = sys.modules["matplotlib._pylab_helpers"].Gcf
    before = dict(vars(managers))
    with OpenFigures():
        assert vars(managers)["get_active"] is not before["get_active"]
        monkeypatch.delitem(sys.modules, "matplotlib._pylab_helpers")
    assert vars(managers)["get_active"] is before["get_active"]
    assert vars(managers)["get_fig_manager"] is before["get_fig_manager"]


def test_what_closes_a_figure_meanwhile_fails_nothing(pyplot):
    first, second = pyplot.get_fignums()[-2:]
    with nothing_changes([]):
        pyplot.close(first)
    assert pyplot.get_fignums()[-1:] == [second]
    assert first not in pyplot.get_fignums()
