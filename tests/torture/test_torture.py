"""The bounded part of the torture; the whole is `make torture`."""

import pytest

pytest.importorskip("numpy")  # which the stores of some checks hold arrays of

from torture import CHECKS  # noqa: E402
from torture.__main__ import attempt  # noqa: E402
from torture.places import why_not  # noqa: E402
from torture.report import Budget, line  # noqa: E402

pytestmark = [pytest.mark.once, pytest.mark.slow]

BUDGET = Budget(is_full=False)


def cases():
    """Each check on one of the engines of its bounded part, the next check on the next; all of them with `make test-all`."""
    for number, check in enumerate(CHECKS):
        engines = check.engines_for(BUDGET)
        for place, engine in enumerate(engines):
            marks = () if place == number % len(engines) else pytest.mark.heavy
            yield pytest.param(check, engine, id=f"{check.name}-{engine}", marks=marks)


@pytest.mark.parametrize(("check", "engine"), list(cases()))
def test_it_holds(check, engine):
    if missing := why_not(engine):
        pytest.skip(missing)
    finding = attempt(check, engine, BUDGET)
    print(line(check, engine, finding))
    assert not finding.failures, "\n".join([line(check, engine, finding), *finding.failures])
