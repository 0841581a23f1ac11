"""Settings of libraries as facts and effects of cells; scenarios/settings.json tells it to real kernels."""

from __future__ import annotations

import ast
import decimal
import logging
import logging.handlers
import sys
from contextlib import contextmanager

import pytest

from hashstash.cells import process_settings, settings
from hashstash.cells.set_first import first
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
    "import pathlib\nn = len(str(pathlib.Path('a')))\nprint('start', n)\nplt.style.use('ggplot')\nplt.plot(n)": True,
    "__import__('os').getpid()\nnp.random.seed(1)\nnp.set_printoptions(precision=3)": True,
    "__import__('numpy').array([1.5]).tolist()\nnp.set_printoptions(precision=3)": False,
    "print(x)\nnp.set_printoptions(precision=3)": False,
    "import numpy as np\na = np.array([1])\nnp.set_printoptions(precision=3)": False,
}
ADDS = {
    "logging.basicConfig(level=logging.INFO)\nlogging.info('x')": True,
    "import warnings\nwarnings.filterwarnings('ignore', category=UserWarning)\nwarnings.warn('x')": True,
    "warnings.warn('x')\nwarnings.simplefilter('ignore')": False,
    "logging.basicConfig(level=chosen)\nlogging.info('x')": False,
    "logging.info('x')": False,
}


@pytest.mark.parametrize("code", FIRST)
def test_a_cell_that_sets_settings_before_all_else_does_not_depend_on_them(code):
    assert first(ast.parse(code), ()).sets is FIRST[code]


@pytest.mark.parametrize("code", ADDS)
def test_a_cell_that_adds_to_settings_before_all_else_does_the_same_where_they_have_been_added(code):
    assert first(ast.parse(code), ()) == (False, ADDS[code])


def test_one_of_several_values_is_no_difference(context):
    context.prec = 9
    assert list(settings.differences("decimal", {"prec": ["default", "9"]})) == []
    assert list(settings.differences("decimal", {"prec": ["default", "8"]})) == [
        "decimal's `prec` changed: default -> 9"
    ]


@pytest.fixture
def fresh_logger():
    logger = logging.getLogger("tests.of.settings")
    yield logger
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()


def test_a_logger_that_is_asked_by_name_is_told_in_words(fresh_logger):
    before = settings.look(["info"]).get("logging", {})
    asked = process_settings.loggers_asked(logging, before, {fresh_logger.name, "no logger"})
    assert asked[f"logger {fresh_logger.name}"] == "as it comes"
    assert {"logger tests", "logger "} <= asked.keys()
    then = {name: settings.text_of(value) for name, value in asked.items()}
    fresh_logger.setLevel(logging.ERROR)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    fresh_logger.addHandler(handler)
    told = [text for text in settings.differences("logging", then) if fresh_logger.name in text]
    assert told == [
        f"logging's `logger {fresh_logger.name}` changed: 'as it comes' -> \"level ERROR, StreamHandler '<%(message)s>'\""
    ]


def test_a_logger_that_is_set_up_meanwhile_is_not_asked(fresh_logger):
    before = settings.look(["info"]).get("logging", {})
    fresh_logger.setLevel(logging.ERROR)
    assert f"logger {fresh_logger.name}" not in process_settings.loggers_asked(logging, before, {fresh_logger.name})


@contextmanager
def first_logger():
    """The first logger without the handlers that pytest gives it for each test."""
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level
    root.handlers.clear()
    try:
        yield root
    finally:
        root.handlers[:] = kept
        root.setLevel(level)


def test_what_basic_config_has_set_up_is_set_up_again():
    with first_logger() as logger:
        before = settings.look(["basicConfig"])
        logging.basicConfig(format="%(levelname)s|%(message)s", stream=sys.stderr)
        changed = settings.changes(before, settings.look(["basicConfig"]))
        assert changed == {"logging": {"basicConfig": ["stderr", "%(levelname)s|%(message)s", None, 0]}}
        logger.handlers.clear()
        settings.repeat(changed)
        record = logging.LogRecord("a", logging.INFO, "f.py", 1, "text", (), None)
        assert [handler.format(record) for handler in logger.handlers] == ["INFO|text"]
        assert logger.handlers[0].stream is sys.stderr


def test_setting_up_again_and_putting_back_leave_the_handlers_of_the_user():
    with first_logger() as logger:
        before = settings.look(["basicConfig"])
        logging.basicConfig(stream=sys.stderr)
        changed = settings.changes(before, settings.look(["basicConfig"]))
        logger.handlers.clear()
        own = logging.handlers.MemoryHandler(1)
        logger.addHandler(own)
        kept = settings.current(changed)
        settings.repeat(changed)
        assert logger.handlers == [own]
        settings.repeat(kept)
        assert logger.handlers == [own]


def test_a_handler_of_another_kind_cannot_be_set_up_again():
    with first_logger() as logger:
        before = settings.look(["addHandler"])
        logger.addHandler(logging.handlers.MemoryHandler(1))
        with pytest.raises(settings.Unsettable, match="handlers"):
            settings.changes(before, settings.look(["addHandler"]))


def test_a_function_that_sets_settings_may_do_so_after_they_were_read():
    assert not first(ast.parse("plt.style.use('ggplot')\ndraw()"), ["plot", "rcParams"]).sets
