"""Settings of libraries as facts and effects of cells; scenarios/settings.json tells it to real kernels."""

from __future__ import annotations

import ast
import decimal

import pytest

from hashstash.cells import settings
from hashstash.cells.set_first import sets_first
from hashstash.errors import StashError


@pytest.fixture
def context():
    with decimal.localcontext(decimal.Context()) as one:
        yield one


def test_what_is_set_is_found_by_name_told_and_set_again(context):
    before = settings.look()
    context.prec = 7
    changed = settings.changes(before, settings.look())
    assert changed == {"decimal": {"prec": 7}}
    context.prec = 28
    settings.repeat(changed)
    assert context.prec == 7
    assert list(settings.differences("decimal", {})) == ["decimal's `prec` changed: default -> 7"]
    assert list(settings.differences("decimal", {"prec": "7"})) == []


def test_what_is_about_to_be_set_can_be_put_back(context):
    context.prec = 9
    kept = settings.current({"decimal": {"prec": 3, "traps": []}})
    context.prec = 3
    settings.repeat(kept)
    assert context.prec == 9


def test_a_default_that_was_set_again_is_a_change(context):
    context.prec = 9
    before = settings.look()
    context.prec = decimal.DefaultContext.prec
    assert settings.changes(before, settings.look()) == {"decimal": {"prec": decimal.DefaultContext.prec}}


def test_a_function_that_is_set_is_named_as_what_no_record_holds():
    np = pytest.importorskip("numpy")
    before = settings.look()
    with np.printoptions(formatter={"float": str}), pytest.raises(settings.Unsettable, match="numpy's `formatter`"):
        settings.changes(before, settings.look())


def test_a_library_of_a_later_version_is_refused():
    with pytest.raises(StashError, match="nosuch"):
        settings.repeat({"nosuch": {"a": 1}})
    assert list(settings.differences("nosuch", {"a": "1"})) == []


FIRST = {
    "plt.style.use('ggplot')\nplt.plot(x)": True,
    "import numpy as np\nnp.set_printoptions(precision=3)\nprint(a)": True,
    "plt.rcParams['figure.dpi'] = 90\nplt.plot(x)": True,
    "plt.rcParams.update({'figure.dpi': 90})\nplt.plot(x)": True,
    "pd.options.display.max_rows = 5\ndf": True,
    "old = np.seterr(all='ignore')\nb = 1 / a": True,
    "'''Doc.'''\ndecimal.getcontext().prec = 5\nd(1) / d(7)": True,
    "plt.plot(x)\nplt.style.use('ggplot')": False,
    "plt.style.use('ggplot')\nplt.plot(x)\nplt.rcParams['figure.dpi'] = 90": False,
    "plt.style.use(chosen)\nplt.plot(x)": False,
    "plt.rcParams[name] = 90\nplt.plot(x)": False,
    "plt.plot(x)": False,
}


@pytest.mark.parametrize("code", FIRST)
def test_a_cell_that_sets_settings_before_all_else_does_not_depend_on_them(code):
    assert sets_first(ast.parse(code), ()) is FIRST[code]


def test_a_function_that_sets_settings_may_do_so_after_they_were_read():
    assert not sets_first(ast.parse("plt.style.use('ggplot')\ndraw()"), ["plot", "rcParams"])
