"""Folders 0700, files 0600, under any umask and after everything that can be done; nothing outside; others' folders are noticed."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import hashstash
from hashstash import HashStash
from hashstash import trust as hashstash_trust
from hashstash.command_line import main
from hashstash.errors import StashError, UntrustedEntry
from torture.children import say
from torture.hostile.canary import Canary
from torture.hostile.checks import Broken, Scene
from torture.hostile.plain import f
from torture.places import FILES, Place
from torture.report import Budget, Check, Finding

UMASKS = (0o000, 0o022, 0o077, 0o027)
SLOW = ("map", "profile")
NOBODY, SOMEBODY = 65534, 12345


def too_open(folder: str) -> list[str]:
    """Whatever below *folder* others than its owner may look into or write to."""
    found = []
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            mode = stat.S_IMODE(os.lstat(os.path.join(path, name)).st_mode)
            if mode != (0o700 if name in folders else 0o600):
                found.append(f"{os.path.relpath(os.path.join(path, name), folder)} has {mode:o}")
    return found


def everything(place: Place, folder: str) -> dict[str, Callable[[], Any]]:
    """What leaves files behind, in order; each is done with a fresh object."""

    def opened(**options: Any) -> HashStash:
        return place.open(**options)

    def damage() -> None:
        stash = opened()
        stash.store.engine.put(stash.store.keys.address("bad"), b"no entry")
        with contextlib.suppress(StashError):
            stash["bad"]
        stash["bad"] = "written over"

    return {
        "set": lambda: opened().update({"small": 1, "middle": "x" * 5000, "large": os.urandom(200_000)}),
        "get": lambda: [opened().get(key) for key in ("small", "middle", "large", "absent")],
        "code": lambda: opened().update({"code": f, ("a", 1): f}),
        "versions": lambda: [opened(append_mode=True).update({"v": number}) for number in range(3)],
        "time to live": lambda: opened().put("soon", 1, ttl=0.01),
        "large key": lambda: opened().update({b"x" * 200_000: 1}),
        "run": lambda: opened().run(f, 1),
        "map": lambda: list(opened().map(f, [1, 2, 3], num_proc=2, progress=False)),
        "lock": lambda: opened().lock("k").__enter__().release(),
        "held lock": lambda: _held(opened(), folder),
        "sub": lambda: opened().sub("below/it").update({"a": bytes(100_000)}),
        "limit": lambda: opened(max_entries=50).update({str(number): number for number in range(60)}),
        "touch": lambda: opened().touch("small", ttl="1d"),
        "damage": damage,
        "check": lambda: opened().check(),
        "repair": lambda: opened().repair(),
        "delete": lambda: opened().discard("large"),
        "prune": lambda: opened().prune(older_than=0.001) if place.engine == "pairtree" else None,
        "compact": lambda: opened().compact(),
        "sync": lambda: opened().sync(),
        "export": lambda: opened().export_to(f"{folder}/made/archive.stash"),
        "import": lambda: HashStash(f"{folder}/made/imported", engine=place.engine).import_from(
            f"{folder}/made/archive.stash"
        ),
        "profile": lambda: opened().profile(engine=[place.engine], compress=["raw"], size=1000, progress=False),
        "serialize": lambda: hashstash.serialize(f),
        "command line": lambda: [
            main(line) for line in (["ls"], ["ls", "--entries", place.root], ["check", place.root])
        ],
        "export by the command line": lambda: main(["export", f"{folder}/made/second.stash", place.root]),
        "get into a file": lambda: main(["get", place.root, "small"]),
        "close": lambda: opened().close(),
        "clear": lambda: opened().clear(),
    }


def _held(stash: HashStash, folder: str) -> None:
    with stash.lock("another"):
        found = too_open(folder)
    if found:
        raise AssertionError(found[0])


def look(place: str, folder: str, mark: str, whole: bool) -> None:
    """In a child: everything under each umask, and what it left too open or elsewhere."""
    warnings.simplefilter("ignore")
    wrong: list[str] = []
    done = 0
    where = Place.loads(place)
    canary = Canary(mark, [folder])
    for mask in UMASKS if whole else UMASKS[:1]:
        os.umask(mask)
        home = f"{folder}/u{mask:o}"
        os.mkdir(home, 0o700)
        os.mkdir(f"{home}/made", 0o700)
        for kind in ("CACHE", "STATE", "CONFIG"):
            os.environ[f"XDG_{kind}_HOME"] = f"{home}/{kind.lower()}"
        hashstash_trust._keyrings.clear()
        here = Place(where.engine, f"{home}/stash", where.options)
        known: set[str] = set()
        for name, action in everything(here, home).items():
            if name in SLOW and not whole:
                continue
            done += 1
            with canary, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                try:
                    action()
                except StashError as error:
                    wrong.append(f"umask {mask:o}, {name}: {error!r:.150}")
            for what in set(too_open(home)) - known:
                known.add(what)
                wrong.append(f"umask {mask:o}, after {name}: {what}")
    say(
        "looked",
        done,
        wrong,
        [
            one
            for one in canary.seen()
            if not one.startswith(("os.posix_spawn", "subprocess", "ctypes", "os.putenv", "os.kill"))
        ],
    )


def permissions(place: Place, budget: Budget) -> Finding:
    """Modes under every umask."""
    finding = Finding()
    scene = Scene(place)
    with finding.timed():
        try:
            said = scene.child(
                "look",
                place.dumps(),
                f"{scene.folder}/victim",
                scene.mark,
                budget.is_full,
                who="victim",
                module="torture.permissions",
            )
        except Broken as error:
            finding.wrong(str(error))
            return finding
    finding.counts["things done"] = said[1]
    for what in said[2]:
        finding.wrong(what)
    for what in said[3]:
        finding.wrong(what, kind="outside")
    return finding


def _become(uid: int) -> None:
    """Be another user from here on; what is imported lazily is imported before, since that user may not look into our home."""
    home = os.environ["XDG_STATE_HOME"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        stash = HashStash(folder, engine="pairtree")
        stash.update({"data": {"a": [1, 2]}, "code": f})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for key in ("data", "code", "absent"):
                repr(stash.get(key))
            stash.store.engine.put(stash.store.keys.address("bad"), b"no entry")
            list(stash.items())
        stash.close()
    os.environ["XDG_STATE_HOME"] = home
    hashstash_trust._keyrings.clear()
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def store_as(place: str, uid: int) -> None:
    """In a child that becomes the user *uid*: data and code."""
    _become(uid)
    stash = Place.loads(place).open()
    stash["data"] = {"a": [1, 2]}
    stash["code"] = f
    stash.close()
    say("stored")


def visit_as(place: str, uid: int) -> None:
    """In a child that becomes *uid*: what it reads, what is refused, how often it is warned."""
    _become(uid)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        stash = Place.loads(place).open()
        data = stash["data"]
        try:
            code = repr(stash["code"])
        except UntrustedEntry:
            code = "refused"
        len(stash), list(stash.items())
    texts = [str(one.message) for one in heard if "other users" in str(one.message)]
    say("visited", data, code, len(texts))


def others(place: Place, budget: Budget) -> Finding:
    """Folders that belong to somebody else, or that everybody may write to."""
    finding = Finding()
    if os.getuid():
        finding.notes.append("needs to run as root, to be several users")
        return finding
    scene = Scene(place)
    os.chmod(os.path.dirname(place.root), 0o755)
    with finding.timed():
        for what, owner, mode, warnings_expected in (
            ("my own", NOBODY, 0o700, 0),
            ("somebody else's", SOMEBODY, 0o755, 1),
            ("everybody's", NOBODY, 0o777, 1),
            ("everybody's with the sticky bit", NOBODY, 0o1777, 0),
        ):
            root = f"{os.path.dirname(place.root)}/{owner}-{mode:o}"
            here = Place(place.engine, f"{root}/stash", place.options)
            os.makedirs(root)
            os.chown(root, owner, owner)
            for who, uid in (("writer", owner), ("reader", NOBODY)):
                home = f"{scene.folder}/{who}-{owner}-{mode:o}"
                os.makedirs(home, exist_ok=True)
                os.chown(home, uid, uid)
                for folder, _, _ in os.walk(home):
                    os.chown(folder, uid, uid)
            module = "torture.permissions"
            os.chmod(scene.folder, 0o755)
            environment = {
                f"XDG_{kind}_HOME": f"{scene.folder}/writer-{owner}-{mode:o}/{kind.lower()}"
                for kind in ("CACHE", "STATE", "CONFIG")
            }
            scene.child("store_as", here.dumps(), owner, who="writer", module=module, **environment)
            _opened_up(root, here.root, mode)
            environment = {name: path.replace("/writer-", "/reader-") for name, path in environment.items()}
            _, data, code, warned = scene.child(
                "visit_as", here.dumps(), NOBODY, who="reader", module=module, **environment
            )
            finding.counts["folders"] += 1
            if data != {"a": [1, 2]} or code != "refused" or warned != warnings_expected:
                finding.wrong(
                    f"{what}: data {data!r}, code {code!r}, {warned} warnings where {warnings_expected} belong"
                )
    return finding


def _opened_up(top: str, root: str, mode: int) -> None:
    """Let others read all of it, and give the root that mode."""
    for path, _, files in os.walk(top):
        os.chmod(path, 0o755)
        for name in files:
            os.chmod(os.path.join(path, name), 0o644)
    os.chmod(root, mode)


def key_folder(place: Place, budget: Budget) -> Finding:
    """A key that others may read, replace, or lead elsewhere is refused, with the remedy."""
    finding = Finding()
    scene = Scene(place)
    with finding.timed():
        said = scene.child("refuse_keys", f"{scene.folder}/keys", who="victim", module="torture.permissions")
    finding.counts["kinds"] = said[1]
    for what in said[2]:
        finding.wrong(what)
    return finding


def refuse_keys(folder: str) -> None:
    """In a child: each way in which a key's place may be wrong."""
    spoils: dict[str, tuple[Callable[[str], Any], str]] = {
        "a folder for the group": (lambda state: os.chmod(state, 0o770), "chmod 700"),
        "a folder for all": (lambda state: os.chmod(state, 0o777), "chmod 700"),
        "a key for the group": (lambda state: _key(state, 0o640), "chmod 600"),
        "a key for all": (lambda state: _key(state, 0o644), "chmod 600"),
        "a linked key": (
            lambda state: (_key(folder, 0o600), os.symlink(f"{folder}/key", f"{state}/key")),
            "symbolic link",
        ),
        "an empty key": (lambda state: _key(state, 0o600, b""), "32 bytes"),
        "a pipe": (lambda state: os.mkfifo(f"{state}/key", 0o600), "key"),
        "a folder as the key": (lambda state: os.mkdir(f"{state}/key", 0o600), "key"),
    }
    wrong = []
    os.makedirs(folder)
    for number, (what, (spoil, remedy)) in enumerate(spoils.items()):
        os.environ["XDG_STATE_HOME"] = f"{folder}/{number}"
        state = f"{folder}/{number}/hashstash"
        os.makedirs(state, 0o700)
        spoil(state)
        try:
            HashStash(f"{folder}/stash", engine="pairtree")["code"] = f
        except (StashError, OSError) as error:
            if remedy not in str(error):
                wrong.append(f"{what}: {error}")
        else:
            wrong.append(f"{what} is taken")
        stash = HashStash(f"{folder}/stash", engine="pairtree")
        stash["data"] = 1
        if stash["data"] != 1:
            wrong.append(f"{what}: data cannot be read")
    say("refused", len(spoils), wrong)


def _key(folder: str, mode: int, content: bytes = bytes(32)) -> None:
    with open(f"{folder}/key", "wb") as file:
        file.write(content)
    os.chmod(f"{folder}/key", mode)


PERMISSIONS: tuple[Check, ...] = (
    Check(
        "permissions",
        permissions,
        FILES,
        "folders are 0700 and files 0600 under any umask, and nothing lies outside",
        ("sqlite",),
    ),
    Check(
        "others' folders",
        others,
        ("pairtree",),
        "a folder that others own or may write to is noticed once, its data are read",
        (),
    ),
    Check(
        "key", key_folder, ("pairtree",), "a signing key that others may read or replace is refused, with the remedy"
    ),
)
