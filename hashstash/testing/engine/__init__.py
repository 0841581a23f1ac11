"""What every engine must do. Subclass :class:`EngineContract`, give it an engine and a second route to its rows.

::

    class TestMine(EngineContract):
        @pytest.fixture
        def make(self, tmp_path):
            return lambda: MyEngine(str(tmp_path / "stash"))

        def raw_get(self, engine, address):
            ...  # read the storage without the engine's own methods: a bug must not hide behind its own inverse

An engine that is not opened by ``PLUGIN(location)`` says how another process opens it (``source``) and what else may lie in
the same storage (``neighbour``). Such a process is a fork of one that has imported hashstash, and done nothing else. A
capability that is declared is tested; the tests of one that is not are skipped, and
``pytest_plugins = ["hashstash.testing.report"]`` prints a table of both. :class:`hashstash.testing.stash.StashContract` has
the tests for a whole stash on the engine.
"""

from hashstash.testing.engine.base import ContractBase
from hashstash.testing.engine.basics import BasicContract
from hashstash.testing.engine.life import LifeContract
from hashstash.testing.engine.processes import ProcessContract
from hashstash.testing.engine.promises import PromiseContract
from hashstash.testing.engine.scale import ScaleContract
from hashstash.testing.engine.threads import ThreadContract
from hashstash.testing.rows import ADDRESS, OTHER, row

__all__ = ["ADDRESS", "OTHER", "ContractBase", "EngineContract", "ScaleContract", "row"]


class EngineContract(
    BasicContract, LifeContract, ThreadContract, ProcessContract, PromiseContract, ScaleContract, ContractBase
):
    """All tests; a subclass defines the fixture ``make`` and the method ``raw_get``."""
