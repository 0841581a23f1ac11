"""The checks of hostile stores: each makes a stranger, then a victim, and counts what ran."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Any

from hashstash.trust import own_key, signer_of
from torture.children import TESTS, Child, Hangs
from torture.hostile.canary import make_gadgets
from torture.places import EVERY, FILES, SERVERS, Place
from torture.report import Budget, Check, Finding

PATIENCE = 1200.0
PATH = os.pathsep.join(
    [TESTS, os.path.dirname(TESTS)]
)  # without an empty part, which would be the folder with the gadgets
UNHEARD = "Exception ignored"
"""How Python says on stderr that an object failed while it was given up."""
TEMPTED = ("torture.hostile.victim", "torture.hostile.notebooks", "torture.hostile.outside", "torture.hostile.trusting")
"""What is done in the folder with the gadgets."""
SLOW = ("shelve", "pickledb", "sqlitedict", "mongo", "redis")


class Scene:
    """The folders of one check: the homes of two users, a folder with gadgets, the file that payloads touch."""

    def __init__(self, place: Place) -> None:
        self.folder = f"{os.path.dirname(place.root)}/scene"
        self.beside, self.mark = f"{self.folder}/beside", f"{self.folder}/mark"
        os.makedirs(self.folder, exist_ok=True)
        make_gadgets(self.beside, self.mark)

    def home(self, who: str, **more: str) -> dict[str, str]:
        """The environment of a user with a key of his own; caches are shared, as a downloaded folder is."""
        places = {f"XDG_{kind}_HOME": f"{self.folder}/{who}/{kind.lower()}" for kind in ("STATE", "CONFIG")}
        os.makedirs(f"{self.folder}/{who}/tmp", exist_ok=True)
        shared = {
            "XDG_CACHE_HOME": f"{self.folder}/cache",
            "TMPDIR": f"{self.folder}/{who}/tmp",
            "HOME": f"{self.folder}/{who}",
        }
        return {**places, **shared, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": PATH, **more}

    def signer(self, who: str) -> str:
        """The id under which that user signs."""
        return signer_of(own_key(f"{self.folder}/{who}/state/hashstash")).hex()

    def child(
        self, function: str, *arguments: Any, who: str, module: str = "torture.hostile.victim", **more: str
    ) -> list[Any]:
        """What a process of that user says last; a Hangs or a crash is told as it is."""
        child = Child(
            module,
            function,
            *arguments,
            cwd=self.beside if who == "victim" and module in TEMPTED else self.folder,
            **self.home(who, **more),
        )
        last = None
        try:
            while (said := child.hear(PATIENCE)) is not None:
                last = said
            code = child.end()
        except Hangs as error:
            child.drop()
            raise Broken(f"{function} hangs after {last}: {error}") from error
        errors = child.errors()
        if code or last is None or UNHEARD in errors:
            raise Broken(f"{function} ended with {code} after {last!s:.200}: {errors[:400]} ... {errors[-900:]}")
        if os.environ.get("TORTURE_TIMES"):
            print(errors[-3000:])
        return last


def gathered(failures: list[str]) -> dict[str, list[str]]:
    """For each thing that went wrong, where."""
    found: dict[str, list[str]] = {}
    for failure in failures:
        where, _, what = failure.partition(": ")
        found.setdefault(re.sub(r"/tmp/\S+", "PATH", what), []).append(where)
    return found


class Broken(Exception):
    """A process of the check crashed."""


def report(finding: Finding, said: list[Any]) -> None:
    """Put what a victim said into *finding*."""
    _, done, refused, values, unclear, shown, seen = said
    finding.counts["things done"] += done
    finding.counts["refused"] += refused
    finding.counts["values read"] += values
    finding.counts["executions"] += 0
    for what in seen:
        finding.wrong(what, kind="executions")
    for what in shown:
        finding.wrong(what, kind="shown")
    for what, number in unclear.items():
        finding.wrong(f"{number} x {what}", kind="unclear errors")


def rows(place: Place, budget: Budget, options: dict[str, Any] | None = None) -> Finding:
    """Rows with payloads of every kind, read in every way."""
    finding = Finding()
    stride = budget(full=24 if place.engine == "mongo" else 12 if place.engine in SLOW else 4, short=41)
    scene = Scene(place)
    with finding.timed(), suppress(KeyboardInterrupt):
        told = f"{scene.folder}/told.json"
        in_process = place.engine == "memory"
        arguments = (place.dumps(), scene.mark, told, stride, budget.seed, scene.signer("victim"), not in_process)
        try:
            said = scene.child("plant", *arguments, who="stranger", module="torture.hostile.stranger")
            finding.counts["payloads"], finding.counts["rows"] = said[1:]
            report(finding, scene.child("visit", place.dumps(), told, scene.mark, scene.folder, options, who="victim"))
        except (Hangs, Broken) as error:
            finding.wrong(str(error), kind="crashes")
    return finding


def leading_away(place: Place, budget: Budget) -> Finding:
    """Links, pipes, sockets, devices in the place of each file and folder."""
    return _below(place, "links", "meet_links", budget(full=10_000, short=12), budget.seed)


def below(place: Place, budget: Budget) -> Finding:
    """The engine's own format, filled with what no engine of ours wrote."""
    from torture.hostile.formats import attacks

    names = sorted(attacks(place))
    port = int((re.findall(r":(\d+)", str(place.options.get("url", ""))) or ["0"])[0])
    return _below(place, "formats", "meet_attacks", names if budget.is_full else names[::6], port)


def _below(place: Place, module: str, function: str, *arguments: Any) -> Finding:
    finding = Finding()
    scene = Scene(place)
    with finding.timed():
        try:
            if place.engine not in ("redis", "mongo"):
                scene.child("fill", place.dumps(), who="stranger", module="torture.hostile.used")
            said = scene.child(
                function,
                place.dumps(),
                scene.folder,
                scene.mark,
                *arguments,
                who="victim",
                module=f"torture.hostile.{module}",
            )
        except (Hangs, Broken) as error:
            finding.wrong(str(error), kind="crashes")
            return finding
    finding.counts["kinds"] = said[1]
    for what, where in gathered(said[2]).items():
        finding.wrong(f"{what} ({len(where)} x: {', '.join(where[:4])})", kind="wrong")
    for what in said[3]:
        finding.wrong(what, kind="executions or writes elsewhere")
    if said[4]:
        finding.notes.append(f"not tried: {', '.join(said[4])}")
    return finding


def imports(place: Place, budget: Budget) -> Finding:
    """Modules beside the notebook that are called like packages and plug-ins."""
    finding = Finding()
    scene = Scene(place)
    module = "torture.hostile.beside"
    with finding.timed():
        scene.child("store", place.dumps(), who="stranger", module=module)
        for site in (True, False) if budget.is_full else (False,):
            said = scene.child(
                "read", place.dumps(), f"{scene.folder}/here", scene.mark, site, who="victim", module=module
            )
            _, words, errors, seen = said
            if errors:
                finding.wrong(errors, kind="crashes")
                continue
            finding.counts["things done"] += int(words[0])
            for what in [*seen, *(f"{name} is there" for name in words[1].strip("[]\n").split(", ") if name)]:
                finding.wrong(f"{'with' if site else 'without'} packages: {what}", kind="imports")
    return finding


def replays(place: Place, budget: Budget) -> Finding:
    """Rows that the user signed, at another place or changed."""
    finding = Finding()
    with finding.timed():
        _, tried, failures = Scene(place).child("replay", place.dumps(), who="victim", module="torture.hostile.replays")
    finding.counts["reads"] = tried
    for what in failures:
        finding.wrong(what)
    return finding


def notebooks(place: Place, budget: Budget) -> Finding:
    """Cells recorded by a stranger, as he recorded them and with records that lie."""
    finding = Finding()
    module = "torture.hostile.notebooks"
    with finding.timed():
        for planted in (False, True) if budget.is_full else (False,):
            scene = Scene(place.fresh(f"planted-{planted}"))
            os.makedirs(f"{scene.folder}/beside", exist_ok=True)
            finding.counts["records"] += scene.child("record", planted, scene.mark, who="stranger", module=module)[1]
            _, done, hits, wrong, seen = scene.child("meet", scene.mark, scene.folder, who="victim", module=module)
            finding.counts["cells and lines"] += done
            finding.counts["brought back"] += hits
            for what in (*wrong, *seen):
                finding.wrong(f"{'planted' if planted else 'recorded'}: {what}")
    return finding


def welcome(place: Place, budget: Budget) -> Finding:
    """Everything that is data, from a stranger."""
    finding = Finding()
    scene, module = Scene(place), "torture.hostile.welcome"
    with finding.timed():
        if place.engine == "memory":
            _, taken, wrong = scene.child("give_and_take", place.dumps(), who="victim", module=module)
        else:
            scene.child("give", place.dumps(), who="stranger", module=module)
            _, taken, wrong = scene.child("take", place.dumps(), who="victim", module=module)
    finding.counts["values"] = taken
    for what in wrong:
        finding.wrong(what)
    return finding


def bombs(place: Place, budget: Budget) -> Finding:
    """For each compressor a payload that inflates to 1 GiB, beside an honest one, and one in another."""
    finding = Finding()
    scene, module = Scene(place), "torture.hostile.bombs"
    with finding.timed():
        scene.child("plant", place.dumps(), who="stranger", module=module)
        _, refused, wrong, extra = scene.child("meet", place.dumps(), who="victim", module=module)
    finding.counts["refused"] = refused
    finding.counts["MB more at most"] = extra >> 20
    for what in wrong:
        finding.wrong(what)
    return finding


HOSTILE: tuple[Check, ...] = (
    Check(
        "hostile rows",
        rows,
        EVERY,
        "no payload in a row runs, whatever it says of itself and however it is read",
        ("lmdb",),
    ),
    Check("hostile imports", imports, ("pairtree",), "what lies beside the notebook is not imported for an entry", ()),
    Check(
        "hostile replays",
        replays,
        EVERY,
        "a signed row is worth nothing under another key or namespace, or changed",
        ("memory",),
    ),
    Check(
        "hostile cells", notebooks, ("lmdb",), "a stranger's cells bring back data, text and images, and nothing else"
    ),
    Check(
        "hostile links",
        leading_away,
        FILES,
        "nothing outside is read, written, swept or waited for through a link",
        ("pairtree",),
    ),
    Check(
        "hostile formats",
        below,
        (*FILES, *SERVERS),
        "an engine's own format runs nothing and hangs nothing",
        (),
    ),
    Check("hostile bombs", bombs, ("pairtree",), "what inflates to 1 GiB is refused, with less than 64 MB", ()),
    Check(
        "foreign data",
        welcome,
        EVERY,
        "a stranger's data come back equal, without trust and without a word",
        ("memory",),
    ),
)
