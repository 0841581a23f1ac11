"""What lies beside the rows: archives, and the key that signs what needs code."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time

from hashstash import HashStash
from hashstash.errors import StashError, UntrustedEntry
from torture import bytes_stores as stores
from torture.bytes_damages import MASKS, REPLACED, Damage, do
from torture.bytes_examined import LIMIT
from torture.places import Place
from torture.report import Budget, Check, Finding

_ALONE = ("pairtree",)
"""These files are the same for all engines."""


def _spread(damages: list[Damage], most: int) -> list[Damage]:
    return [damages[number * len(damages) // most] for number in range(most)] if len(damages) > most else damages


def _of_file(file: str, size: int, seed: int) -> list[Damage]:
    found = [Damage("flip", file, at, MASKS[(at + seed) % len(MASKS)]) for at in range(size)]
    found += [Damage(kind, file, length) for kind in ("cut", "zero the end of") for length in range(size)]
    return found


def _archives(where: Place, budget: Budget) -> Finding:
    finding = Finding()
    with finding.timed():
        stores.fill(where)
        archive = f"{where.root}.hashstash"
        with contextlib.closing(where.open()) as stash:
            stash.export_to(archive)
        damages = _of_file("archive", os.path.getsize(archive), budget.seed)
        chosen = _spread(damages, budget(full=4000, short=40))
        chosen += [Damage("append to", "archive", size) for size in (1, 22, 5000)]
        folder = f"{where.root}-archives"
        for number, damage in enumerate([*chosen, *(Damage(kind, "archive") for kind in REPLACED)]):
            os.mkdir(folder)
            shutil.copy(archive, f"{folder}/archive")
            do(folder, damage)
            finding.counts[_imported(f"{folder}/archive", number, damage, finding)] += 1
            shutil.rmtree(folder)
    return finding


def _imported(archive: str, number: int, damage: Damage, finding: Finding) -> str:
    """What importing a damaged archive comes to: everything or nothing."""
    target = HashStash(f"torture-import-{os.getpid()}-{number}", engine="memory")
    expected = stores.expected()
    began = time.monotonic()
    try:
        target.import_from(archive)
    except (StashError, OSError) as error:
        if len(target) or len(str(error)) < 20:
            finding.wrong(f"{damage}: {len(target)} entries came in, and {error!r}")
        return "refused"
    finally:
        if time.monotonic() - began > 3 * LIMIT:
            finding.wrong(f"{damage}: importing takes {time.monotonic() - began:.1f} s", kind="hangs")
    found = {key: stores.told(target[key]) for key in expected}
    if found != expected or len(target) != len(expected):
        finding.wrong(f"{damage}: what comes in is {found}")
    target.clear()
    return "without effect"


def _keys(where: Place, budget: Budget) -> Finding:
    finding = Finding()
    home = os.environ.get("XDG_STATE_HOME")
    original = f"{where.root}-state"
    with finding.timed():
        try:
            os.environ["XDG_STATE_HOME"] = original
            stores.fill(where)
            size = os.path.getsize(f"{original}/hashstash/key")
            damages = [*_of_file("hashstash/key", size, budget.seed), Damage("append to", "hashstash/key", 1)]
            random.Random(budget.seed).shuffle(damages)
            damages = [*damages[: budget(full=1000, short=12)], *(Damage(kind, "hashstash/key") for kind in REPLACED)]
            for number, damage in enumerate(damages):
                os.environ["XDG_STATE_HOME"] = state = f"{original}-{number}"
                shutil.copytree(original, state)
                do(state, damage)
                began = time.monotonic()
                finding.counts[_with_key(where, damage, finding)] += 1
                if time.monotonic() - began > 3 * LIMIT:
                    finding.wrong(f"{damage}: it takes {time.monotonic() - began:.1f} s", kind="hangs")
                shutil.rmtree(state)
        finally:
            os.environ.pop("XDG_STATE_HOME")
            if home is not None:
                os.environ["XDG_STATE_HOME"] = home
    return finding


def _with_key(where: Place, damage: Damage, finding: Finding) -> str:
    """What a user with a damaged key sees: data as ever, code refused, and a word about the key where he stores code."""
    expected = stores.expected()
    outcome = "without effect"
    with contextlib.closing(where.open()) as stash:
        for key in expected:
            try:
                if stores.told(stash[key]) != expected[key]:
                    finding.wrong(f"{damage}: {key!r} is {stores.told(stash[key])}")
            except StashError as error:
                outcome = "refused"
                if key != stores.CODE:
                    finding.wrong(f"{damage}: {key!r}, which is data, raises {error!r}")
                elif not isinstance(error, UntrustedEntry) and "key" not in str(error):
                    finding.wrong(f"{damage}: {error!r}")
        try:
            stash["another"] = len
            if stash["another"] is not len:
                finding.wrong(f"{damage}: what is stored now is not read")
            del stash["another"]
        except StashError as error:
            if "key" not in str(error):
                finding.wrong(f"{damage}: storing code raises {error!r}")
    return outcome


OTHERS: tuple[Check, ...] = (
    Check("bytes_of_archives", _archives, _ALONE, "a damaged archive is refused before anything of it is stored"),
    Check(
        "bytes_of_keys", _keys, _ALONE, "with a damaged key data are read as ever, and code is refused in plain words"
    ),
)
