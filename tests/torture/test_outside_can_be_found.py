"""The check of archives, facts, folders and names fails where the product believes them."""

import pytest

pytest.importorskip("numpy")  # by which keys are made that a stash hashes

from torture.hostile.outside import said_of  # noqa: E402
from torture.places import place  # noqa: E402
from torture.report import Budget  # noqa: E402

pytestmark = [pytest.mark.once, pytest.mark.slow]
BROKEN = ("everybody", "any size", "unread", "without end", "raw names", "deep", "any engine")
FAILURES = {
    "signatures that always count": "code is decoded",
    "directories that are believed": "'bombs, ",
    "checksums that are not looked at": "' is ",
    "streams that have no end": "reading it takes",
    "names that steer": "shows '\\x07'",
    "facts of any kind": "raises TypeError",
    "engines that folders name": "socket.connect",
}


@pytest.fixture(scope="module")
def found():
    """What is found of a product that is broken in all of these ways at once."""
    parts = {
        "archives": 97,
        "damage": 9,
        "bombs": 8,
        "streams": 41,
        "facts": 61,
        "labels": 5,
        **dict.fromkeys(BROKEN, 1),
    }
    with place("pairtree") as where:
        _, _, _, wrong, _, seen = said_of(where, Budget(is_full=False), "torture.hostile.trusting", parts)
    return [*wrong, *seen]


@pytest.mark.parametrize("what", FAILURES)
def test_it_finds(found, what):
    assert any(FAILURES[what] in failure for failure in found), "\n".join(found)
