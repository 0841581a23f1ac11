"""What every stash must do, whatever its engine: subclass :class:`StashContract` with a fixture ``opened``.

::

    class TestStashOnMine(StashContract):
        @pytest.fixture
        def opened(self, tmp_path):
            return lambda **options: HashStash(tmp_path / "stash", **{"engine": "mine", **options})
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import time
from typing import TYPE_CHECKING, Any

import pytest

from hashstash.engine import Capability
from hashstash.errors import ReadOnlyStash
from hashstash.stash import HashStash
from hashstash.testing.engine.base import PATIENCE, run_alone, run_together

if TYPE_CHECKING:
    from collections.abc import Iterator

CODECS: list[dict[str, Any]] = [
    {"serializer": "hashstash", "compress": "raw"},
    {"serializer": "hashstash", "compress": "zlib", "b64": True},
    {"serializer": "pickle", "compress": "bz2"},
]
NAMES = [
    "plain",
    "with space",
    "ünïcödé/日本語",
    "v1.0",
    "trailing.",
    ".hidden",
    "CON",
    "nul.txt",
    "a*b?[c]",
    "%41",
    "{slot}",
    "$where",
    "quote'\"\\;--",
    "x" * 150,
    "UPPER",
    "upper",
]
KEYS: list[Any] = ["text", b"bytes", 1, 1.0, True, None, ("a", 1), frozenset({1, 2}), {"b": [1], "a": {2}}, ""]
LARGE = "a large value " * 20_000


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
class StashContract:
    """A dict, its settings, its neighbours and its processes."""

    @pytest.fixture
    def opened(self) -> Any:
        """A callable that opens the one stash of this test, with whatever settings: called twice, two on the same entries."""
        raise NotImplementedError("a contract is run by a subclass that says which engine is meant")

    @pytest.fixture
    def stash(self, opened: Any) -> Iterator[HashStash]:
        stash = opened()
        yield stash
        stash.clear()
        stash.close()

    def needs(self, stash: HashStash, capability: Capability) -> None:
        """Skip the test unless the stash's engine promises *capability*."""
        if capability not in stash.store.engine.capabilities:
            pytest.skip(f"{capability.name} is not promised")

    def source(self, stash: HashStash) -> str:
        """Python code that opens *stash* in another process."""
        engine = f"import {type(stash.store.engine).__module__}\n"
        opened = f"stash = HashStash.from_dict(json.loads({_settings(stash)!r}))\n"
        return f"import json\nfrom hashstash import HashStash\n{engine}{opened}"

    # ---- mapping -------------------------------------------------------------------------------------------------

    def test_it_is_a_dict(self, stash: HashStash) -> None:
        stash.update((key, number) for number, key in enumerate(KEYS))
        assert [stash[key] for key in KEYS] == list(range(len(KEYS)))
        assert len(stash) == len(KEYS) == len(list(stash)) == len(list(stash.items()))
        assert sorted(stash.values()) == sorted(range(len(KEYS)))
        assert all(key in stash for key in KEYS)
        assert stash.pop(1) == KEYS.index(1)
        del stash["text"]
        assert (1 in stash, True in stash, "text" in stash, len(stash)) == (False, True, False, len(KEYS) - 2)
        with pytest.raises(KeyError):
            stash["text"]

    def test_large_and_small_values_replace_each_other(self, stash: HashStash) -> None:
        for value in ("small", LARGE, [LARGE, LARGE], None, LARGE):
            stash["k"] = value
            assert stash["k"] == value
        assert len(stash) == 1
        assert stash.size_bytes() > 0

    def test_many_at_once(self, stash: HashStash) -> None:
        stash.set_many((number, [number] * 10) for number in range(3000))
        assert len(stash) == 3000
        assert stash.get_many(iter([5, "none", 2999]), default=0) == [[5] * 10, 0, [2999] * 10]
        assert {key: value[0] for key, value in stash.items()} == {number: number for number in range(3000)}

    def test_clear_empties_and_the_argument_does_so_at_opening(self, opened: Any, stash: HashStash) -> None:
        stash.update(a=1, b=LARGE)
        assert len(stash.clear()) == 0
        stash["c"] = 1
        assert len(opened(clear=True)) == 0
        assert "c" not in stash

    def test_a_time_to_live(self, stash: HashStash) -> None:
        stash.put("short", 1, ttl=0.05)
        stash.put("long", 2, ttl=3600)
        time.sleep(0.1)
        assert ("short" in stash, stash.get("short"), list(stash), len(stash)) == (False, None, ["long"], 1)
        stash.put("short", 2, ttl=0.05)
        stash["short"] = 3
        time.sleep(0.1)
        assert (stash["short"], stash["long"], len(stash)) == (3, 2, 2)

    def test_a_limit_to_the_number_of_entries(self, opened: Any) -> None:
        stash = opened(max_entries=3)
        for number in range(6):
            stash[number] = number
        assert sorted(stash) == [3, 4, 5]
        stash.clear()

    def test_a_sound_stash_is_checked_compacted_and_repaired_without_a_change(self, stash: HashStash) -> None:
        said = [str(problem) for problem in stash.check()]
        stash.update({"a": 1, "b": LARGE, "function": len, (1, 2): None})
        stash.run(len, "abc")
        stash["c"] = LARGE
        del stash["c"]
        before = {str(key): value for key, value in stash.items()}
        assert [str(problem) for problem in stash.check()] == said
        stash.compact()
        stash.repair()
        assert {str(key): value for key, value in stash.items()} == before
        assert [str(problem) for problem in stash.check()] == said
        assert stash.run(len, "abc") == 3

    # ---- settings ------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("write", CODECS)
    def test_other_settings_find_what_was_written(self, opened: Any, stash: HashStash, write: dict[str, Any]) -> None:
        writer = opened(**write)
        writer[{"a": (1, 2)}] = {"value": [1.5, None, "x" * 1000]}
        writer["large"] = LARGE
        writer.close()
        for read in CODECS:
            reader = opened(**read)
            assert reader[{"a": (1, 2)}] == {"value": [1.5, None, "x" * 1000]}
            assert (reader["large"], len(reader)) == (LARGE, 2)
            reader.close()

    def test_read_only(self, opened: Any, stash: HashStash) -> None:
        stash.update(a=1, b=LARGE)
        stash.close()
        reader = opened(read_only=True)
        assert (reader["a"], reader["b"], sorted(reader), len(reader)) == (1, LARGE, ["a", "b"], 2)
        with pytest.raises(ReadOnlyStash):
            reader["a"] = 2
        with pytest.raises(ReadOnlyStash):
            reader.clear()
        assert stash["a"] == 1

    def test_a_closed_stash_opens_again(self, stash: HashStash) -> None:
        with stash:
            stash["a"] = LARGE
        stash.close()
        assert stash["a"] == LARGE
        stash["b"] = 1
        assert len(stash) == 2

    def test_settings_rebuild_the_stash(self, stash: HashStash) -> None:
        stash["a"] = 1
        again = HashStash.from_dict(json.loads(_settings(stash)))
        assert (again["a"], again == stash, again.path) == (1, True, stash.path)
        again.close()

    # ---- neighbours ----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", NAMES)
    def test_a_stash_of_any_name(self, opened: Any, name: str) -> None:
        stash = opened(dbname=name)
        try:
            stash["k"] = name
            stash["large"] = LARGE
            stash.close()
            again = opened(dbname=name)
            assert (again["k"], again["large"], len(again)) == (name, LARGE, 2)
        finally:
            stash.clear()
            stash.close()
        assert len(opened(dbname=name)) == 0

    def test_names_that_begin_alike_are_stashes_of_their_own(self, opened: Any) -> None:
        names = [None, "a", "a/b", "ab", "a b", "A", "a%2Fb", "b", "a/b/c"]
        stashes = [opened(dbname=name) for name in names]
        for name, stash in zip(names, stashes, strict=True):
            stash["k"], stash["large"] = name, [name, LARGE]
        assert [stash["k"] for stash in stashes] == names
        assert [len(stash) for stash in stashes] == [2] * len(names)
        for index, stash in enumerate(stashes):
            stash.clear()
            rest = stashes[index + 1 :]
            assert len(stash) == 0
            assert [other["k"] for other in rest] == names[index + 1 :]
            assert all(other["large"][1] == LARGE for other in rest)

    def test_a_stash_below_another_is_separate(self, stash: HashStash) -> None:
        below = stash.sub("below")
        below["k"] = 2
        stash["k"] = 1
        stash.clear()
        assert ("k" in stash, below["k"]) == (False, 2)
        below.clear()

    def test_copying_to_another_stash_and_back(self, opened: Any, stash: HashStash, tmp_path: Any) -> None:
        stash.update({(1, 2): [LARGE], "b": {"c": 1}})
        stash.put("timed", 3, ttl=3600)
        other = HashStash(tmp_path / "another", engine="pairtree")
        assert stash.copy_to(other) is other
        stash.clear()
        other.copy_to(stash)
        assert (stash[1, 2], stash["b"], stash["timed"], len(stash)) == ([LARGE], {"c": 1}, 3, 3)
        (timed,) = [entry for entry in stash.entries() if entry.key == "timed"]
        assert timed.expires_at is not None

    # ---- functions and processes ---------------------------------------------------------------------------------

    def test_a_function_runs_once(self, stash: HashStash) -> None:
        calls: list[int] = []

        def double(number: int) -> int:
            calls.append(number)
            return 2 * number

        for number in (1, 2, 1, 2, 1):
            assert stash.run(double, number) == 2 * number
        assert calls == [1, 2]

    def test_a_function_runs_once_for_several_processes(self, stash: HashStash, tmp_path: Any) -> None:
        self.needs(stash, Capability.CROSS_PROCESS)
        code = (
            f"import os, time\n@stash.stashed_result\ndef slow(number, folder={str(tmp_path)!r}):\n"
            "    open(os.path.join(folder, f'ran.{number}.{os.getpid()}'), 'w').close()\n"
            "    time.sleep(0.3)\n    return number + 1\nprint(slow(1), slow(2))"
        )
        assert run_together(self.source(stash), code, 3) == ["2 3\n"] * 3
        assert len(list(tmp_path.glob("ran.1.*"))) == len(list(tmp_path.glob("ran.2.*"))) == 1

    def test_another_process_reads_and_writes(self, stash: HashStash) -> None:
        self.needs(stash, Capability.CROSS_PROCESS)
        stash.update(a=1, large=LARGE)
        code = "print(stash['a'], len(stash['large']), len(stash)); stash['there'] = [stash['large']]; stash['a'] = 2"
        assert run_alone(self.source(stash), code) == f"1 {len(LARGE)} 2\n"
        assert (stash["there"], stash["a"], len(stash)) == ([LARGE], 2, 3)

    def test_several_processes_write(self, stash: HashStash) -> None:
        self.needs(stash, Capability.SHARED_WRITERS)
        code = "for n in range(20): stash[int(sys.argv[1]), n] = [n] * (10 if n % 4 else 20_000)"
        run_together(self.source(stash), code, 3)
        expected = {(who, n): [n] * (10 if n % 4 else 20_000) for who, n in itertools.product(range(3), range(20))}
        assert dict(stash.items()) == expected
        assert len(stash) == 60

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_a_stash_is_given_to_a_worker(self, stash: HashStash, method: str) -> None:
        self.needs(stash, Capability.CROSS_PROCESS)
        stash["a"] = 1
        context: Any = multiprocessing.get_context(method)
        child = context.Process(target=_work, args=(stash,))
        child.start()
        child.join(PATIENCE)
        assert child.exitcode == 0
        assert (stash["there"], len(stash)) == ([1, LARGE], 2)


def _work(stash: HashStash) -> None:
    stash["there"] = [stash["a"], LARGE]


def _settings(stash: HashStash) -> str:
    return json.dumps(stash.to_dict())
