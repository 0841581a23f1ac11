"""Maps beside, within and after each other: nothing is computed twice without need, nothing waits for ever."""

import asyncio
import threading
import time

import pytest

from hashstash import HashStash

WORKERS = ["serial", "threads", "processes"]


def triple(x):
    return x * 3


def inner_sum(n, settings):
    """Maps within a map."""
    return sum(HashStash.from_dict(settings).map(triple, range(n), num_proc=2, progress=False))


def slowly(x):
    time.sleep(0.002)
    return x


class Watching:
    """A progress that maps something else whenever it is told anything."""

    def __init__(self, stash, executor):
        self.stash, self.executor, self.seen = stash, executor, []

    def start(self, label, tally):
        self.seen.append(("start", tally.done))
        self._map()

    def update(self, tally):
        if len(self.seen) < 5:
            self.seen.append(("update", tally.done))
            self._map()

    def close(self, tally, *, interrupted=False):
        self.seen.append(("close", tally.done))
        self._map()

    def _map(self):
        assert self.stash.map(abs, [-1, -2], executor=self.executor, num_proc=2, progress=False).results == [1, 2]


@pytest.fixture(params=WORKERS)
def workers(request):
    return {"executor": request.param, "num_proc": 2, "progress": False}


def test_many_maps_one_after_the_other_with_warm_workers(stash, workers):
    for number in range(20):
        assert stash.map(triple, [number, number + 1], **workers).results == [3 * number, 3 * number + 3]


def test_maps_of_one_function_at_once(stash, workers):
    maps = [stash.map(triple, range(20), **workers) for _ in range(4)]
    assert [made.results for made in maps] == [[3 * x for x in range(20)]] * 4


def test_maps_from_many_threads(stash, workers):
    found = []

    def work(number):
        found.append(
            stash.map(triple, range(number, number + 10), **workers).results
            == [3 * x for x in range(number, number + 10)]
        )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found == [True] * 6


def test_a_map_within_a_map(stash, workers):
    made = stash.map(inner_sum, [2, 3, 4], settings=stash.to_dict(), **workers)
    assert made.results == [3, 9, 18]


@pytest.mark.parametrize("inner", WORKERS)
def test_a_map_from_what_watches_another(stash, workers, inner):
    watching = Watching(stash, inner)
    assert stash.map(triple, [1, 2, 3], **{**workers, "progress": watching}).results == [3, 6, 9]
    kinds = [kind for kind, _ in watching.seen]
    assert kinds[0] == "start"
    assert kinds[-1] == "close"


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_a_map_from_a_callback_of_a_future(stash, executor):
    from concurrent.futures import ThreadPoolExecutor

    found = threading.Event()

    def called_back(_):
        stash.map(triple, [1, 2], executor=executor, num_proc=2, progress=False).wait()
        found.set()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(triple, 1).add_done_callback(called_back)
        assert found.wait(60)


def test_a_map_in_an_async_cell(stash, workers):
    async def cell():
        made = stash.map(triple, [1, 2], **workers)
        return await asyncio.to_thread(lambda: made.results)

    assert asyncio.run(cell()) == [3, 6]


def test_progress_is_told_of_every_map_once_from_start_to_close(stash, workers):
    class Listening:
        def __init__(self):
            self.seen = []

        def start(self, label, tally):
            self.seen.append(("start", label, tally.total))

        def update(self, tally):
            assert tally.done <= tally.total

        def close(self, tally, *, interrupted=False):
            self.seen.append(("close", tally.cached, tally.computed, tally.failed, interrupted))

    for cached in (0, 3):
        listening = Listening()
        stash.map(triple, [1, 2, 3], **{**workers, "progress": listening}).wait()
        (start, label, total), *rest = listening.seen
        assert (start, total) == ("start", 3)
        assert "triple across 3 objects [" in label
        assert rest == [("close", cached, 3 - cached, 0, False)]


def test_a_description_takes_the_place_of_the_label(stash):
    labels = []

    class Listening:
        def start(self, label, tally):
            labels.append(label)

        def update(self, tally):
            pass

        def close(self, tally, *, interrupted=False):
            pass

    stash.map(triple, [1], num_proc=1, progress=Listening(), desc="Pets")
    assert labels == ["Pets"]


@pytest.mark.slow
def test_readers_writers_and_cancellers_at_once(stash):
    """Ten maps of 60 items, read, cancelled and resumed from three threads each: in the end all values are right."""
    wrong = []

    def reading(made):
        for index, value in enumerate(made):
            if value != index:
                wrong.append((index, value))

    def stopping(made):
        made.cancel()
        made.resume()

    for number in range(10):
        made = stash.map(slowly, range(60), executor=WORKERS[1 + number % 2], num_proc=2, progress=False, force=True)
        stopper = threading.Thread(target=stopping, args=(made,))
        stopper.start()
        stopper.join(60)
        readers = [threading.Thread(target=reading, args=(made,)) for _ in range(3)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(60)
        assert made.results == list(range(60))
    assert wrong == []
