import functools
from contextlib import ExitStack

import pytest


@pytest.fixture(scope="session")
def nurseries():
    """The two processes of a Python of which kernels are forked; all tests of this worker share them."""
    import driver

    with ExitStack() as stack:

        @functools.cache
        def of(python):
            return stack.enter_context(driver.two_nurseries(python, are_wanted=True))

        yield lambda python: of(str(python))
