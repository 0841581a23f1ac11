import time

import pytest

from hashstash.engines.memory import MemoryEngine
from hashstash.testing.engine import ADDRESS, OTHER, row
from hashstash.wrappers.retry import RetryWrapper

pytestmark = pytest.mark.once


class Flaky(MemoryEngine):
    """Loses the connection as often as it was told to, before or after it has done what it was asked."""

    def __init__(self, folder):
        super().__init__(folder)
        self.failures = 0
        self.error = ConnectionResetError
        self.is_done_before = self.is_answering = False
        self.calls = []

    def _answer(self, name, arguments):
        if self.is_answering:  # a default of Engine that is made of other methods
            return getattr(MemoryEngine, name)(self, *arguments)
        self.calls.append(name)
        lost = self.failures > 0
        self.failures -= lost
        if lost and not self.is_done_before:
            raise self.error("lost")
        self.is_answering = True
        result = getattr(MemoryEngine, name)(self, *arguments)
        self.is_answering = False
        if lost:
            raise self.error("lost")
        return result


def _flaky(name):
    return lambda self, *arguments: self._answer(name, arguments)


for name in (
    "get",
    "put",
    "delete",
    "scan",
    "swap",
    "clear",
    "count",
    "size_bytes",
    "has",
    "peek",
    "get_many",
    "put_many",
    "rows",
    "expire",
):
    setattr(Flaky, name, _flaky(name))


@pytest.fixture
def storage(tmp_path):
    storage = Flaky(str(tmp_path))
    storage.put(ADDRESS, row("a"))
    storage.calls.clear()
    return storage


@pytest.fixture
def engine(storage):
    return RetryWrapper(storage, attempts=3, pause=0.001)


REPEATED = {
    "get": (lambda engine: engine.get(ADDRESS), row("a")),
    "has": (lambda engine: engine.has(ADDRESS), True),
    "peek": (lambda engine: engine.peek(ADDRESS, 16)[:16], row("a")[:16]),
    "get_many": (lambda engine: list(engine.get_many([OTHER, ADDRESS])), [None, row("a")]),
    "scan": (lambda engine: list(engine.scan()), [ADDRESS]),
    "rows": (lambda engine: list(engine.rows()), [(ADDRESS, row("a"))]),
    "count": (lambda engine: engine.count(), 1),
    "size_bytes": (lambda engine: engine.size_bytes(), 16 + len(row("a"))),
    "put": (lambda engine: engine.put(ADDRESS, row("b")), None),
    "put_many": (lambda engine: engine.put_many(iter([(ADDRESS, row("b")), (OTHER, row("c"))])), None),
    "clear": (lambda engine: engine.clear(), None),
    "expire": (lambda engine: engine.expire(ADDRESS, 1 << 62), None),
}


@pytest.mark.parametrize("is_done_before", [False, True])
@pytest.mark.parametrize("name", REPEATED)
def test_what_may_be_done_twice_is_tried_again(storage, engine, name, is_done_before):
    use, expected = REPEATED[name]
    storage.failures, storage.is_done_before = 2, is_done_before
    assert use(engine) == expected
    assert storage.calls.count(name) == 3


@pytest.mark.parametrize("name", REPEATED)
def test_attempts_are_bounded_and_the_last_error_is_raised(storage, engine, name):
    storage.failures = 100
    with pytest.raises(ConnectionResetError, match="lost"):
        REPEATED[name][0](engine)
    assert storage.calls.count(name) == 3


def test_a_batch_is_written_whole_after_it_was_lost(storage, engine):
    storage.failures, storage.is_done_before = 1, True
    engine.put_many((number.to_bytes(16, "big"), row(str(number))) for number in range(2500))
    assert storage.count() == 2501


@pytest.mark.parametrize(
    "change", [lambda engine: engine.swap(OTHER, None, row("b")), lambda engine: engine.delete(ADDRESS)]
)
def test_what_cannot_be_told_apart_when_it_is_done_twice_is_tried_once(storage, engine, change):
    storage.failures, storage.is_done_before = 1, True
    with pytest.raises(ConnectionResetError):
        change(engine)
    assert len(storage.calls) == 1


@pytest.mark.parametrize("error", [ConnectionRefusedError, BrokenPipeError, TimeoutError])
def test_errors_of_the_network_are_transient(storage, engine, error):
    storage.failures, storage.error = 1, error
    assert engine.get(ADDRESS) == row("a")


@pytest.mark.parametrize("error", [ValueError, PermissionError, KeyboardInterrupt])
def test_other_errors_are_raised_at_once(storage, engine, error):
    storage.failures, storage.error = 1, error
    with pytest.raises(error):
        engine.get(ADDRESS)
    assert storage.calls == ["get"]


def test_a_scan_that_breaks_off_in_the_middle_is_not_begun_again(storage, engine):
    storage.put(OTHER, row("b"))

    def broken(prefix=b""):
        yield ADDRESS
        raise ConnectionResetError("lost")

    storage.scan = broken
    found = engine.scan()
    assert next(found) == ADDRESS
    with pytest.raises(ConnectionResetError):
        next(found)


def test_pauses_grow(storage):
    engine = RetryWrapper(storage, attempts=4, pause=0.02)
    storage.failures = 3
    start = time.perf_counter()
    engine.get(ADDRESS)
    assert 0.5 * (0.02 + 0.04 + 0.08) <= time.perf_counter() - start


def test_sections_are_tried_again_as_well(storage, engine):
    section = engine.section("history")
    assert (section.attempts, section.pause) == (3, 0.001)


def test_no_attempt_is_a_mistake(storage):
    with pytest.raises(ValueError, match="attempts=0"):
        RetryWrapper(storage, attempts=0)
