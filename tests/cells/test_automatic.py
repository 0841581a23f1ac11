"""Which plain cells are fit to be recorded, by their text and by what they left behind."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import threading
import warnings
from types import ModuleType

import pytest

pytest.importorskip("IPython")

import IPython
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from hashstash.cells.aftermath import Aftermath, listing
from hashstash.cells.automatic import comment_says, reason_to_run, runs_commands
from hashstash.cells.cell import Cell

needs_8 = pytest.mark.skipif(
    IPython.version_info < (8,), reason="IPython 7 cannot read such a line with Python 3.12 or later"
)


@pytest.fixture(scope="module")
def shell():
    config = Config()
    config.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    yield shell
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


def reason(shell, text, **namespace):
    return reason_to_run(Cell.parse(shell, text), namespace)


@pytest.mark.parametrize(
    "text",
    [
        "x = 1 + y",
        "y = f(2)",
        "%time x = f(2)",
        "%timeit -n 1 -r 2 f(2)",
        "%%time\nx = f(2)",
        "%%capture out\nprint(f(2))",
        "%%bash\nls",
        "!ls *.csv",
        pytest.param("files = !ls", marks=needs_8),
        "x = %stash_map f range(3)",
        "for i in range(3):\n    rows.append(i)",
        "s = set(xs)",
        "frame.set_index('a')",
        "import os\nos.environ['A'] = '1'",
        "import sys\nsys.path.insert(0, '.')",
        "import random\nrandom.seed(1)",
        "import numpy as np\nnp.random.seed(1)\nx = np.append(y, 1)",
        "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('ignore')\n    f(2)",
        "import matplotlib.pyplot as plt\nwith plt.rc_context():\n    plt.rcParams['figure.dpi'] = 9\n    plt.plot(y)",
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.set_title('t')\nplt.show()",
        "import networkx as nx\nnx.set_node_attributes(graph, values)",
        "await f(2)",
    ],
)
def test_a_cell_whose_effects_are_in_the_record_may_be_recorded(shell, text):
    assert reason(shell, text) is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("import numpy as np\nLIMIT = 3\ndef f(x):\n    return x", "only imports"),
        ("class A:\n    limit: int = 3\n    def f(self): ...", "only imports"),
        ("%cd /tmp\nf()", "%cd"),
        ("cd /tmp", "%cd"),
        ("%matplotlib inline\nf()", "%matplotlib"),
        ("%load_ext x\nf()", "%load_ext"),
        ("%stash ls", "%stash"),
        ("%run script.py", "%run"),
        ("%pip install x\nf()", "%pip"),
        ("%autoreload 2\nf()", "%autoreload"),
        ("frame?", "%pinfo"),
        ("%time %cd /tmp", "%cd"),
        ("%%time\n%cd /tmp", "%cd"),
        ("%%capture\nimport numpy as np\nnp.seterr(all='ignore')", "np.seterr"),
        ("get_ipython().ast_node_interactivity = 'all'", "shell"),
        ("get_ipython().run_line_magic(name, '')", "holds"),
        ("shell = get_ipython()", "shell"),
        ("!pip install x", "pip"),
        ("!cd sub && git pull", "git"),
        ("!python -m pip install x", "pip"),
        ("!sleep 9 &", "goes on"),
        ("%%bash --bg\nsleep 9", "goes on"),
        ("!rm -r data", "rm"),
        ("import pandas as pd\npd.set_option('display.max_rows', 3)", "pd.set_option"),
        ("import pandas as pd\npd.options.display.max_rows = 3", "pandas.options.display"),
        ("import pandas as pd\npd.DataFrame.total = lambda self: 1", "pandas.DataFrame"),
        ("import seaborn as sns\nsns.set_theme()\nf()", "sns.set_theme"),
        ("from seaborn import set_theme as st\nfrom seaborn import set_theme\nset_theme()", "set_theme"),
        ("import matplotlib.pyplot as plt\nplt.rcParams['figure.dpi'] = 9", "rcParams"),
        ("import matplotlib.pyplot as plt\nplt.rcParams.update(x)", "update"),
        ("import matplotlib.pyplot as plt\nplt.style.use('ggplot')", "plt.style.use"),
        ("from tqdm.auto import tqdm\ntqdm.pandas()", "tqdm.pandas"),
        ("import torch\ntorch.manual_seed(0)\nf()", "torch.manual_seed"),
        ("import logging\nlogging.basicConfig()\nf()", "logging.basicConfig"),
        ("import warnings\nwarnings.filterwarnings('ignore')\nf()", "warnings.filterwarnings"),
        ("import math\nmath.x = 1", "math"),
        ("import math\ndel math.pi", "math"),
        ("import math\na, math.x = 1, 2", "math"),
        ("import math\nsetattr(math, 'x', 1)", "math"),
        ("name = input()", "asks"),
        ("import getpass\nkey = getpass.getpass()", "asks"),
        ("breakpoint()", "asks"),
        ("import mlflow\nmlflow.sklearn.autolog()", "autolog"),
        ("%time import pandas as pd; pd.set_option('display.max_rows', 3)", "pd.set_option"),
    ],
)
def test_a_cell_that_changes_what_no_record_holds_is_run(shell, text, part):
    assert part in (reason(shell, text) or "")


def test_modules_and_classes_that_are_variables_count_too(shell):
    assert "math" in reason(shell, "m.x = 1", m=math)
    assert "Thread" in reason(shell, "Thread.x = 1", Thread=threading.Thread)


def test_the_users_own_modules_and_classes_are_no_settings(shell):
    own = type("Own", (), {"__module__": "__main__"})
    assert (
        reason(shell, "own.set_up()\nOwn.x = 1\nhelpers.set_up()", Own=own, own=own(), helpers=ModuleType("h")) is None
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# stash: off\nx = 1", "off"),
        ("x = 1  # stash: on", "on"),
        ("#stash:OFF", "off"),
        ("# Stash of x\nx = 1", None),
        ("x = '# stash: off'", None),
        ("# stash: of", "of"),
        ("x = (1,\n# stash: off\n)", "off"),
    ],
)
def test_comments_opt_in_and_out(text, said):
    assert comment_says(text) == said


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("!ls", True),
        pytest.param("x = !ls", True, marks=needs_8),
        ("%%bash\nls", True),
        ("%time !ls", True),
        ("import subprocess\nsubprocess.run(['ls'])", True),
        ("import os\nos.system('ls')", True),
        ("%time x = 1", False),
        ("system = 1\nf(system)", False),
    ],
)
def test_cells_that_start_commands(shell, text, does):
    assert runs_commands(Cell.parse(shell, text)) is does


def test_nothing_is_left_behind_by_nothing():
    assert Aftermath.look({}).what_stays(frozenset()) is None


def test_changed_warning_filters_are_seen():
    with warnings.catch_warnings():
        before = Aftermath.look({})
        warnings.simplefilter("ignore", ResourceWarning)
        assert before.what_stays(frozenset()) == "changed the warning filters"


def test_a_new_handler_of_a_logger_is_seen():
    logger = logging.getLogger("tests.cells.aftermath")
    before = Aftermath.look({})
    logger.addHandler(logging.NullHandler())
    try:
        assert before.what_stays(frozenset()) == "changed the log levels and handlers"
    finally:
        logger.handlers.clear()


def test_settings_of_a_library_are_seen():
    numpy = pytest.importorskip("numpy")
    before = Aftermath.look({})
    with numpy.printoptions(precision=3):
        assert before.what_stays(frozenset()) == "changed the settings of numpy"


def test_what_libraries_set_while_they_are_imported_is_no_change(monkeypatch):
    with warnings.catch_warnings():
        before = Aftermath.look({})
        warnings.simplefilter("ignore", ResourceWarning)
        monkeypatch.setitem(sys.modules, "freshly_imported", ModuleType("freshly_imported"))
        assert before.what_stays(frozenset()) is None


def test_a_function_that_names_a_setter_is_not_trusted():
    assert "filterwarnings" in Aftermath.look({}).what_stays(frozenset({"filterwarnings", "print"}))


def test_a_thread_of_the_users_that_goes_on_is_seen():
    namespace: dict = {}
    exec("import threading\nend = threading.Event()\ndef work():\n    end.wait(60)", namespace)  # noqa: S102 - a cell
    before = Aftermath.look(namespace)
    thread = threading.Thread(target=namespace["work"])
    thread.start()
    try:
        assert before.what_stays(frozenset()) == "left a thread running"
    finally:
        namespace["end"].set()
        thread.join()
    assert before.what_stays(frozenset()) is None


def test_the_files_of_a_folder_without_notebooks_and_hidden_ones(tmp_path):
    for name in ("a.csv", ".hidden", "n.ipynb"):
        (tmp_path / name).touch()
    (tmp_path / "inner").mkdir()
    assert list(listing(str(tmp_path))) == [str(tmp_path / "a.csv")]


def test_a_folder_that_cannot_be_listed_has_no_listing(tmp_path):
    assert listing(str(tmp_path / "none")) is None


def test_the_way_to_start_processes_may_be_settled_without_being_changed():
    code = (
        "import multiprocessing\nfrom hashstash.cells.aftermath import Aftermath\nbefore = Aftermath.look({})\n"
        "multiprocessing.get_context().get_start_method()\nmultiprocessing.get_start_method()\n"
        "print(before.what_stays(frozenset()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
