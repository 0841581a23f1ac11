"""A stash on every engine that there is, and copies between them."""

import pytest

from hashstash.engine import Capability
from hashstash.registry import ENGINES
from hashstash.testing.stash import StashContract

pytestmark = pytest.mark.once


class TestStash(StashContract):
    @pytest.fixture
    def opened(self, open_on, every_engine):
        return lambda **options: open_on(every_engine, **options)

    test_a_function_runs_once_for_several_processes = pytest.mark.engines("lmdb", "redis", "diskcache")(
        StashContract.test_a_function_runs_once_for_several_processes
    )
    test_several_processes_write = pytest.mark.engines("pairtree", "sqlite", "mongo")(
        StashContract.test_several_processes_write
    )


KINDS = {"files": "pairtree", "embedded": "lmdb", "server": "redis", "process": "memory", "database": "sqlite"}


@pytest.mark.parametrize("target", KINDS.values())
@pytest.mark.parametrize("source", KINDS.values())
def test_everything_moves_from_one_engine_to_another(open_on, source, target):
    one, other = open_on(source, dbname="one", append_mode=True), open_on(target, dbname="other", append_mode=True)
    for number in range(30):
        one["key", number] = [number] * (5 if number % 10 else 20_000)
    for value in ("first", "second", [3] * 20_000):
        one["versions"] = value
    one[{"a": {1, 2}}] = len
    one.put("timed", 1, ttl=3600)
    assert one.copy_to(other) is other
    assert dict(_hashable(other)) == dict(_hashable(one))
    assert len(other) == len(one) == 33
    assert other.get_all("versions") == ["first", "second", [3] * 20_000]
    assert [version["_version"] for version in other.get_all("versions", with_metadata=True)] == [1, 2, 3]
    assert next(entry.expires_at for entry in other.entries() if entry.key == "timed")
    one.clear()
    assert len(other) == 33
    other.clear()


def _hashable(stash):
    return ((str(key), value) for key, value in stash.items())


@pytest.mark.parametrize("name", ENGINES.names())
def test_an_engine_is_named_as_its_file_and_says_what_it_promises(name):
    kind = ENGINES.load(name)
    assert kind.name == name
    assert kind.title
    assert isinstance(kind.capabilities, Capability)
    assert kind.__module__ == f"hashstash.engines.{name}"
