"""The bounded part of the torture; the whole is `make torture`."""

import pytest

pytest.importorskip("numpy")  # which the stores of some checks hold arrays of

from torture import CHECKS  # noqa: E402
from torture.__main__ import attempt  # noqa: E402
from torture.places import why_not  # noqa: E402
from torture.report import Budget, line  # noqa: E402

pytestmark = [pytest.mark.once, pytest.mark.slow]

BUDGET = Budget(is_full=False)
CASES = [(check, engine) for check in CHECKS for engine in check.engines_for(BUDGET)]


@pytest.mark.parametrize(("check", "engine"), CASES, ids=[f"{check.name}-{engine}" for check, engine in CASES])
def test_it_holds(check, engine):
    if missing := why_not(engine):
        pytest.skip(missing)
    finding = attempt(check, engine, BUDGET)
    print(line(check, engine, finding))
    assert not finding.failures, "\n".join([line(check, engine, finding), *finding.failures])
