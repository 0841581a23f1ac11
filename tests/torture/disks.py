"""Disks that fill up, quotas, files that may not grow, and folders that can only be read."""

from __future__ import annotations

import errno
import os
import random
import re
import resource
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hashstash.errors import StashError, StashFull
from torture import mounts
from torture.children import Child, say
from torture.faults import FAULTS, Preloaded, compiled
from torture.places import FILES, Place
from torture.report import Budget, Check, Finding
from torture.values import LARGE, MIDDLE, SMALL, Torn, made, verified

DISK = 6_000_000
SIZES = (SMALL, MIDDLE, SMALL, 40_000, MIDDLE, LARGE)
_NOISE = 1_200_000
WRITTEN_WHOLE = ("pickledb",)
"""Each change writes the whole file anew, so that on a full disk only all entries at once can go."""
_ROWS = 400
_PATIENCE = 300.0


class Wrong:
    """What a child finds, told at once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, what: str) -> None:
        say("wrong", what)

    def count(self, what: str, number: int = 1) -> None:
        self.numbers[what] = self.numbers.get(what, 0) + number

    def tell(self) -> None:
        say("numbers", self.numbers)


def doubled(number: int) -> int:
    """What is memoized."""
    return 2 * number


def long_noise(number: int) -> bytes:
    """What is memoized and does not fit, as nothing makes it shorter."""
    return b"%08d" % number + random.Random(number).randbytes(_NOISE - 8)


# ---- in children -----------------------------------------------------------------------------------------------------


def fills(place: str, rounds: int, seed: int) -> None:
    """In a child on a small disk: fill it up, look, compute, delete, and store again; then with not a byte left."""
    where, wrong = Place.loads(place), Wrong()
    live(where)
    dice = random.Random(seed)
    for _ in range(rounds):
        kept = _fill(where, wrong, dice)
        _is_kept(where, kept, wrong)
        _in_fork(lambda: _computes(where, wrong), wrong)  # a process is told once
        _makes_room(where, kept, wrong, dice)
    if where.engine not in WRITTEN_WHOLE:
        _with_nothing_left(where, wrong, dice)
        _one_by_one(where.fresh("rows"), wrong)
    wrong.tell()


def _fill(where: Place, wrong: Wrong, dice: random.Random) -> dict[str, int]:
    """Store until there is no room any more, and then even less; which number each key has."""
    stash, kept = where.open(), {str(key): 0 for key in where.open() if str(key).startswith("key")}
    kept = {key: stash[key]["number"] for key in kept}
    for size in (*dice.choices(SIZES, k=2_000), *[MIDDLE] * 100, *[SMALL] * 100):
        key, number = f"key {dice.randrange(400)}", dice.randrange(10**9)
        try:
            stash[key] = made(key, 0, number, size)
        except StashFull as error:
            _judge(error, where, wrong, (errno.ENOSPC,))
            wrong.count("refused")
            if wrong.numbers["refused"] % 12 == 0:
                break
        except Exception as error:  # noqa: BLE001
            wrong(f"a full disk raises {error!r}")
            return kept
        else:
            kept[key] = number
            wrong.count("stored")
    else:
        wrong(f"a disk of {DISK} bytes took {wrong.numbers} values")
    stash.close()
    return kept


def _judge(error: StashFull, where: Place, wrong: Wrong, numbers: tuple[int, ...]) -> None:
    """Whether the error says what a user needs to know."""
    text = str(error)
    if error.errno not in numbers:
        wrong(f"errno {error.errno} instead of {numbers}: {text}")
    if where.root not in text:
        wrong(f"the error does not say where: {text}")
    if not re.search(r"\d bytes", text) or "free" not in text:
        wrong(f"the error does not say how much is needed, and how much there is: {text}")


def _is_kept(where: Place, kept: dict[str, int], wrong: Wrong) -> None:
    """Whether exactly what was acknowledged is there, for another process, too."""
    for stash in (where.open(), None):
        if stash is None:
            _in_fork(lambda: _is_kept_in(where.open(), kept, wrong), wrong)
        else:
            _is_kept_in(stash, kept, wrong)
            stash.close()


def _is_kept_in(stash: Any, kept: dict[str, int], wrong: Wrong) -> None:
    try:
        for key, number in kept.items():
            if verified(key, stash[key])[1] != number:
                wrong(f"{key} is not what was acknowledged last")
        if found := {str(key) for key in stash if str(key).startswith("key")} ^ set(kept):
            wrong(f"keys were lost or came from nowhere: {sorted(found)[:5]}")
        if problems := list(stash.check()):
            wrong(f"check() says {problems[:3]}")
    except (StashError, OSError, Torn, KeyError) as error:
        wrong(f"reading fails: {error!r}")


def _computes(where: Place, wrong: Wrong) -> None:
    """Functions and maps have results whether or not they can be kept, and say so once."""
    stash = where.open()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        if [len(stash.run(long_noise, number)) for number in range(20)] != [_NOISE] * 20:
            wrong("a function's result was lost")
    _once(warned, "a function", wrong)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        mapped = stash.map(long_noise, range(20, 32), num_proc=1, progress=False)
        if [int(noise[:8]) for noise in mapped] != list(range(20, 32)):
            wrong("a map's results were lost")
    _once(warned, "a map", wrong)
    long_noise.stash.clear()  # type: ignore[attr-defined]
    stash.close()


def _once(warned: list[Any], what: str, wrong: Wrong) -> None:
    texts = [str(warning.message) for warning in warned if warning.category is RuntimeWarning]
    if len(texts) != 1:
        wrong(f"{what} that could not be kept warned {len(texts)} times: {texts[:2]}")


def _makes_room(where: Place, kept: dict[str, int], wrong: Wrong, dice: random.Random) -> None:
    """Deleting works, and then storing does."""
    stash = where.open()
    gone = dice.sample(sorted(kept), len(kept) // 2)
    try:
        for key in gone:
            del stash[key]
            del kept[key]
        stash.compact()
    except Exception as error:  # noqa: BLE001
        if where.engine not in WRITTEN_WHOLE or not isinstance(error, StashFull):
            wrong(f"deleting on a full disk raises {error!r}")
        _is_kept(where, kept, wrong)
        stash.clear()
        return
    wrong.count("deleted", len(gone))
    try:
        for key in gone[: len(gone) // 4]:
            stash[key] = made(key, 1, 1, SMALL)
            kept[key] = 1
    except Exception as error:  # noqa: BLE001
        wrong(f"storing after deleting raises {error!r}")
    stash.close()
    _is_kept(where, kept, wrong)


def _with_nothing_left(where: Place, wrong: Wrong, dice: random.Random) -> None:
    """Somebody else takes every last byte: reading and deleting go on, storing and a new stash are refused."""
    kept = _fill(where, wrong, dice)
    with _taken(os.path.dirname(where.root)):
        _is_kept(where, kept, wrong)
        for refused in (where, where.fresh("new")):
            try:
                with _taken(os.path.dirname(where.root)):  # whoever closed a stash has given its log's room back
                    refused.open()["new"] = dice.randbytes(70_000)
                wrong("with not a byte left, something was stored")
            except StashFull as error:
                _judge(error, where, wrong, (errno.ENOSPC,))
            except Exception as error:  # noqa: BLE001
                wrong(f"with not a byte left, storing raises {error!r}")
        if where.open().run(doubled, 4) != 8:
            wrong("a computation was refused")
        stash = where.open()
        try:
            for key in dice.sample(sorted(kept), min(20, len(kept))):
                del stash[key]
                del kept[key]
        except Exception as error:  # noqa: BLE001
            wrong(f"with not a byte left, deleting raises {error!r}")
        _is_kept(where, kept, wrong)
        try:
            stash.clear()
        except Exception as error:  # noqa: BLE001
            wrong(f"with not a byte left, clear() raises {error!r}")
        stash.close()
    if len(where.open()):
        wrong("clear() on a full disk left something")
    where.open()["key"] = made("key", 0, 0, LARGE)
    _is_kept(where, {"key": 0}, wrong)


def _one_by_one(where: Place, wrong: Wrong) -> None:
    """Rows without files of their own, and whatever becomes free is gone at once: each of them can be deleted all the same."""
    stash = where.open()
    for number in range(_ROWS):
        stash[f"key {number}"] = made(f"key {number}", 0, number, SMALL)
    stash.close()
    stash = where.open()
    for start in range(0, _ROWS, _ROWS // 8):
        with _taken(os.path.dirname(where.root)):
            try:
                for number in range(start, start + _ROWS // 8):
                    del stash[f"key {number}"]
                    wrong.count("deleted one by one")
            except Exception as error:  # noqa: BLE001
                wrong(f"deleting row {number} with not a byte left raises {error!r}")
                return
    if len(stash) or list(stash):
        wrong(f"{len(stash)} rows are left of which each was deleted")
    with _taken(os.path.dirname(where.root)):
        try:
            stash.clear()
        except Exception as error:  # noqa: BLE001
            wrong(f"with not a byte left, clear() raises {error!r}")
    stash["key"] = made("key", 0, 7, MIDDLE)
    stash.close()
    _is_kept(where, {"key": 7}, wrong)


@contextmanager
def _taken(folder: str) -> Iterator[None]:
    """All that is free below *folder*, until the end."""
    path = os.path.join(folder, f"somebody's {os.urandom(4).hex()}")
    with open(path, "wb", buffering=0) as file:
        for piece in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(piece))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    try:
        yield
    finally:
        os.unlink(path)


def is_limited(place: str, means: str, seed: int) -> None:
    """In a child whose quota is used up, or whose files may not grow: what is there stays, and it goes on afterwards."""
    where, wrong = Place.loads(place), Wrong()
    live(where)
    dice, kept = random.Random(seed), {}
    stash = where.open()
    for number in range(30):
        key = f"key {number}"
        stash[key], kept[key] = made(key, 0, number, SIZES[number % len(SIZES)]), number
    stash.run(doubled, 1)
    number = errno.EDQUOT if means == "quota" else errno.EFBIG
    with _quota(where) if means == "quota" else _small_files():
        for size in (1_500_000, LARGE * 4, 900_000):
            key = dice.choice(sorted(kept))
            try:
                stash[key] = made(key, 0, 10**9, size)
                if means == "quota":
                    wrong("something was stored beyond the quota")
                kept[key] = 10**9
            except StashFull as error:
                _judge(error, where, wrong, (number,)) if means == "quota" else wrong.count(
                    "refused", error.errno == number
                )
                if error.errno != number:
                    wrong(f"errno {error.errno} instead of {number}: {error}")
                wrong.count("refused")
            except Exception as error:  # noqa: BLE001
                wrong(f"{means}: storing raises {error!r}")
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            if [len(stash.run(long_noise, number)) for number in range(3)] != [_NOISE] * 3:
                wrong(f"{means}: a function's result was lost")
        _once(warned, "a function", wrong)
        _is_kept_in(stash, kept, wrong)
    stash.close()
    _is_kept(where, kept, wrong)
    stash = where.open()
    stash["key 1"], kept["key 1"] = made("key 1", 0, 5, LARGE), 5
    stash.close()
    _is_kept(where, kept, wrong)
    wrong.count("kept", len(kept))
    wrong.tell()


@contextmanager
def _quota(where: Place) -> Iterator[None]:
    faults = Preloaded()
    faults.arm(where.root, next(fault for fault in FAULTS if fault.name == "EDQUOT for good"), 1)
    try:
        yield
    finally:
        faults.disarm()


@contextmanager
def _small_files() -> Iterator[None]:
    """No file may grow beyond what the largest one needs now; Python ignores the signal, so that the error number says it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def live(where: Place) -> None:
    os.environ["HOME"] = os.path.dirname(where.root)
    for name in ("CACHE", "STATE", "CONFIG"):
        os.environ[f"XDG_{name}_HOME"] = os.path.join(os.path.dirname(where.root), name.lower())


def _in_fork(work: Callable[[], Any], wrong: Wrong) -> None:
    process = os.fork()
    if not process:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - nothing but this process's end may follow
            wrong(f"a forked process ends with {error!r}")
        finally:
            os._exit(0)
    if status := os.waitpid(process, 0)[1]:
        wrong(f"a forked process ends with status {status}")


# ---- checks ----------------------------------------------------------------------------------------------------------


def full_disk(where: Place, budget: Budget) -> Finding:
    if reason := mounts.why_no_mounts():
        return Finding(notes=[f"skipped: {reason}"])
    folder = os.path.dirname(where.root)
    under = mounts.with_small_disk(folder, DISK)
    return found("fills", where.dumps(), budget(full=4, short=1), budget.seed, under=under)


def quota(where: Place, budget: Budget) -> Finding:
    path, reason = compiled(os.path.dirname(where.root))
    if reason:
        return Finding(notes=[f"skipped: {reason}"])
    return found("is_limited", where.dumps(), "quota", budget.seed, LD_PRELOAD=path)


def small_files(where: Place, budget: Budget, module: str = "torture.disks") -> Finding:
    return found("is_limited", where.dumps(), "file size", budget.seed, module=module)


def found(
    function: str, *arguments: Any, under: list[str] | None = None, module: str = "torture.disks", **environment: str
) -> Finding:
    finding = Finding()
    with finding.timed():
        child = Child(module, function, *arguments, under=under or (), **environment)
        for kind, said in child.hear_all(_PATIENCE):
            if kind == "wrong":
                finding.wrong(said)
            else:
                finding.counts.update(said)
        child.end_well(finding)
    return finding


DISKS = (
    Check(
        "full_disk",
        full_disk,
        FILES,
        "a full disk costs what does not fit, and nothing else; deleting makes room",
        ("diskcache", "lmdb", "shelve", "sqlite"),
    ),
    Check("quota", quota, FILES, "a used up quota costs what does not fit, and nothing else", ("diskcache",)),
    Check(
        "small_files",
        small_files,
        FILES,
        "where files may not grow, what does not fit is refused, and nothing else",
        ("pairtree",),
    ),
)
