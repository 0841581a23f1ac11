"""What remembers a cell, each as the text of the cells that one would write.

A *work* is a body that binds variables from variables. Where a system remembers functions and no cells, the body is a
function, and the cell calls it.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.cell_kernel import NOTE


@dataclass(frozen=True, slots=True)
class Work:
    """What a cell does."""

    name: str
    title: str
    setup: str
    """Makes the inputs."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    body: str
    change: str
    """Changes the inputs to such as were never there; ``{number}`` is another one each time."""
    is_large: bool = False
    """Whether hashing the inputs is what costs."""

    @property
    def result(self) -> str:
        """The outputs, as a target or as a tuple."""
        return ", ".join(self.outputs) + ","

    @property
    def forget(self) -> str:
        """Removes the outputs, as a new kernel lacks them."""
        return f"for _name in {self.outputs!r}:\n    globals().pop(_name, None)"


_SMALL = """
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
table = pd.DataFrame(
    {"a": rng.random(10_000), "b": rng.integers(0, 9, 10_000), "name": [f"n{i % 97}" for i in range(10_000)]}
)
threshold = 0.5
settings = {"depth": 3, "rate": 0.1, "names": ["x", "y"]}
words = ["cat", "dog"] * 50
numbers = list(range(1000))


def clean(frame, least):
    return frame[frame["a"] > least]


def summary(frame, least):
    return clean(frame, least).groupby("b")["a"].mean()
"""
_ARRAY = """
import numpy as np

array = np.random.default_rng(0).random(12_500_000)
"""
_FRAME = """
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
frame = pd.DataFrame(
    {"number": rng.integers(0, 1000, {rows}), "value": rng.random({rows}), "name": [f"name {i % 5000}" for i in range({rows})]}
)
"""
ROWS = 1_000_000
SMALL = Work(
    "C1",
    "small cell",
    _SMALL,
    ("table", "threshold", "settings"),
    ("means", "kept", "report"),
    'note()\nmeans = summary(table, threshold)\nkept = clean(table, threshold)\n'
    'report = {"mean": float(means.mean()), "rate": settings["rate"]}\nprint("kept", len(kept))\nprint(report["rate"])\n',
    "threshold = 0.5 + {number} / 1e6",
)  # fmt: skip
ARRAY = Work(
    "C2",
    "100 MB array as input",
    _ARRAY,
    ("array",),
    ("total",),
    "note()\ntotal = float(array.sum())\n",
    "array[0] = {number}",
    is_large=True,
)


def frame_work(rows: int, name: str = "C3", title: str = "frame 1e6 x 3 as input") -> Work:
    """A frame with a column of text as input."""
    body = 'note()\ntotal = float(frame["value"].sum())\n'
    change = 'frame.loc[0, "value"] = {number}'
    return Work(name, title, _FRAME.replace("{rows}", str(rows)), ("frame",), ("total",), body, change, is_large=True)


class CellSystem:
    """One way to remember what a cell did."""

    name: ClassVar[str]
    package: ClassVar[str] = ""
    """What has to be installed for it."""
    remembers: ClassVar[bool] = True
    restores: ClassVar[bool] = True
    """Whether a hit brings back variables that are gone, as they are in a new kernel."""

    def setup(self, work: Work) -> str:
        """The cell that comes first, once."""
        return NOTE + work.setup

    def cell(self, work: Work) -> str:
        """The cell that runs, or is remembered."""
        raise NotImplementedError

    def hit(self, work: Work) -> str:
        """The cell of a hit."""
        return self.cell(work)

    def tidy(self) -> str:
        """The cell at the start of a round: few results of one cell are kept, as in use."""
        return "pass"


class Plain(CellSystem):
    """The body alone: nothing is remembered."""

    name = "plain cell"
    remembers = restores = False

    def cell(self, work: Work) -> str:
        return work.body


class ByHand(CellSystem):
    """The yardstick: what a hit and a miss cannot do without, written out with a stash.

    A hit decodes the values, a miss runs the body, hashes the inputs and encodes the values. Of large inputs a hit hashes
    them too.
    """

    name = "by hand"

    def setup(self, work: Work) -> str:
        return (
            super().setup(work)
            + "from hashstash import HashStash\nfrom hashstash.fingerprint import Fingerprinter\n"
            + 'by_hand = HashStash("by hand")\n'
        )

    def _hashing(self, work: Work) -> str:
        named = ", ".join(f'("{name}", {name})' for name in work.inputs)
        return f"digest = Fingerprinter().walk_all([{named}]).digest\n"

    def cell(self, work: Work) -> str:
        return f'{self._hashing(work)}{work.body}by_hand["values"] = ({work.result})\n'

    def hit(self, work: Work) -> str:
        return (self._hashing(work) if work.is_large else "") + f'{work.result} = by_hand["values"]\n'


class Ours(CellSystem):
    """``%%stash``."""

    name = "hashstash"

    def setup(self, work: Work) -> str:
        return "%load_ext hashstash\n" + super().setup(work)

    def cell(self, work: Work) -> str:
        return f"%%stash bench\n{work.body}"

    def tidy(self) -> str:
        return "%stash clear bench"


class Ipyflow(CellSystem):
    """ipyflow's ``%%memoize``, which knows by tracing every cell that nothing has changed, and forgets with its kernel."""

    name = "ipyflow"
    package = "ipyflow"
    restores = False

    def setup(self, work: Work) -> str:
        return "%load_ext ipyflow\n" + super().setup(work)

    def cell(self, work: Work) -> str:
        return f"%%memoize\n{work.body}"


class _Function(CellSystem):
    """A function that is remembered; what it prints is not."""

    remember: ClassVar[str]

    def setup(self, work: Work) -> str:
        body = textwrap.indent(f"{work.body}return {work.result}", "    ")
        return f"{super().setup(work)}\n\ndef work({', '.join(work.inputs)}):\n{body}\n\n\n{self.remember}\n"

    def cell(self, work: Work) -> str:
        return f"{work.result} = remembered({', '.join(work.inputs)})\n"


class Joblib(_Function):
    """A function of ``joblib.Memory``."""

    name = package = "joblib"
    remember = 'import joblib\nremembered = joblib.Memory("joblib", verbose=0).cache(work)'


class Marimo(_Function):
    """A function of ``marimo.persistent_cache``: its block form needs marimo's own kernel."""

    name = package = "marimo"
    remember = (
        "import logging, marimo\nlogging.getLogger('marimo').setLevel(logging.ERROR)\n"
        "remembered = marimo.persistent_cache(save_path='marimo')(work)"
    )


YARDSTICK = ByHand.name
SYSTEMS: dict[str, CellSystem] = {
    system.name: system for system in (ByHand(), Ours(), Plain(), Joblib(), Marimo(), Ipyflow())
}
