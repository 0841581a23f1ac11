"""Below the frame: links and pipes in a stash's folder, and the formats of engines filled with what no engine wrote."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import signal
import socket
import sqlite3
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hashstash import HashStash
from hashstash.errors import StashError
from torture.children import say
from torture.hostile.canary import WORD, Canary
from torture.hostile.plain import f
from torture.hostile.stranger import store_by_the_front_door
from torture.places import Place

SECONDS = 20
OLD = 1_000_000_000
DATA = "data.db"


class Hang(BaseException):
    """An operation took longer than anything should."""


def folder_of(root: str) -> Path:
    """Where the engine's files lie."""
    return next(path for path in sorted(Path(root).glob(f"*/{DATA}")) if path.is_dir())


def fill(place: str) -> None:
    """In a child with the stranger's home: a small store of all kinds."""
    stash = Place.loads(place).open(append_mode=True)
    store_by_the_front_door(stash)
    stash["data"] = {"a": 2}
    stash["blob"] = bytes(range(256)) * 400
    stash.check()
    stash.close()
    say("filled")


# ---- what leads away -----------------------------------------------------------------------------------------------------


def links(folder: Path, outside: Path) -> Iterator[tuple[str, Callable[[Path, Path], None]]]:
    """Each file and folder of the store in turn replaced by a link to what was moved outside, a pipe, and so on."""
    found = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if not path.is_symlink()]
    some = {path.parts[:1]: path for path in found}.values()
    deeper = [path for path in found if len(path.parts) > 1]
    for path in [*some, *deeper[:: max(1, len(deeper) // 12)]]:
        yield f"link {path}", lambda f, o, path=path: _moved(f / path, o)
        yield f"dangling link {path}", lambda f, o, path=path: _instead(f / path, lambda p: p.symlink_to(o / "nowhere"))
        yield f"pipe {path}", lambda f, o, path=path: _instead(f / path, os.mkfifo)
        yield f"socket {path}", lambda f, o, path=path: _instead(f / path, _socket)
        yield f"folder {path}", lambda f, o, path=path: _instead(f / path, os.mkdir)
        yield f"link to itself {path}", lambda f, o, path=path: _instead(f / path, lambda p: p.symlink_to(p.name))
    for name in (
        "tmp",
        "blobs",
        "locks",
        "leases",
        "@bad",
        "@history",
        "@meta",
        "@x",
        "reserve",
        "current",
        "rows.sqlite-wal",
        "ab",
    ):
        if not (folder / name).exists():
            yield f"link to a folder named {name}", lambda f, o, name=name: (f / name).symlink_to(o)
    yield "the whole folder a link", lambda f, o: _moved(f, o)
    if os.getuid() == 0:
        yield (
            "a device",
            lambda f, o: _instead(f / found[-1], lambda p: os.mknod(p, 0o666 | stat.S_IFCHR, os.makedev(1, 5))),
        )


def _moved(path: Path, outside: Path) -> None:
    target = outside / f"moved-{path.name}"
    shutil.move(str(path), target)
    path.symlink_to(target)


def _instead(path: Path, make: Callable[[Path], Any]) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    make(path)


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def precious(folder: Path) -> None:
    """What a user has elsewhere: old files under names that stashes use as well."""
    (folder / "ab").mkdir(parents=True)
    for name in ("letter.txt", "12.0123456789abcdef", "ab/" + "ab" * 16, "tmp", "locks"):
        (folder / name).write_text(f"precious {name}")
        os.utime(folder / name, (OLD, OLD))
    connection = sqlite3.connect(folder / "other.sqlite")
    connection.execute("CREATE TABLE mine (a)")
    connection.commit()
    connection.close()


def snapshot(folder: Path) -> dict[str, Any]:
    """All that lies there."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            found[str(path)] = path.read_bytes()
        else:
            found[str(path)] = os.lstat(path).st_mode
    return found


def meet_links(place: str, folder: str, mark: str, most: int, seed: int) -> None:
    """In a child with the victim's home: each link in a fresh copy of the store, and all that a user does."""
    warnings.simplefilter("ignore")
    where = Place.loads(place)
    outside, base = Path(folder) / "outside", Path(folder) / "copy"
    all_of_them = list(links(folder_of(where.root), outside))
    chosen = all_of_them[seed % max(1, len(all_of_them) // most) :: max(1, len(all_of_them) // most)]
    failures: list[str] = []
    canary = Canary(mark, [folder, *(os.environ[f"XDG_{kind}_HOME"] for kind in ("CACHE", "STATE", "CONFIG"))])
    for number, (name, plant) in enumerate(chosen):
        for used in (outside, base):
            shutil.rmtree(used, ignore_errors=True)
        precious(outside)
        shutil.copytree(where.root, base)
        plant(folder_of(str(base)), outside)
        before = snapshot(outside)
        copy = Place(where.engine, str(base), where.options)
        with canary:
            failures += [f"{name}: {what}" for what in _used(copy, number)]
        after = snapshot(outside)
        failures += [f"{name}: {path} outside was changed" for path in before if after.get(path) != before[path]]
        failures += [f"{name}: {path} outside was made" for path in after if path not in before]
    say("met", len(chosen), failures, canary.seen(), [])


def _used(place: Place, number: int) -> list[str]:
    """What a user does with a store, each within its time; what went wrong."""
    wrong = []
    held: list[HashStash] = []

    def opened() -> HashStash:
        if not held:
            held.append(place.open(append_mode=bool(number % 2)))
        return held[0]

    for name, action in {
        "open": opened,
        "get": lambda: [opened().get(key) for key in ("data", "large", "blob", "function", "absent")],
        "items": lambda: list(opened().items()),
        "len": lambda: len(opened()),
        "entries": lambda: repr(opened().entries()),
        "html": lambda: opened()._repr_html_(),
        "check": lambda: repr(opened().check()),
        "set": lambda: opened().update({"data": 3, "new": "x" * 100_000, "more": b"y" * 2_000_000}),
        "overwrite": lambda: opened().update({"blob": b"z" * 100_000, "data": 4}),
        "run": lambda: opened().run(f, 5),
        "lock": lambda: opened().lock("data").__enter__().release(),
        "delete": lambda: opened().discard("large"),
        "prune": lambda: opened().prune(older_than=0.001),
        "repair": lambda: opened().repair(),
        "compact": lambda: opened().compact(),
        "stats": lambda: repr(opened().stats.total),
        "close": lambda: opened().close(),
        "clear": lambda: place.open().clear(),
    }.items():
        try:
            with in_time(SECONDS):
                action()
        except (StashError, KeyError):
            pass
        except OSError as error:
            if error.errno is None:
                wrong.append(f"{name} raises {error!r:.200}")
        except Hang:
            wrong.append(f"{name} hangs")
            held.clear()
        except Exception as error:
            wrong.append(f"{name} raises {error!r:.200}")
    return wrong


@contextlib.contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """Raise :class:`Hang` in a block that takes longer."""

    def late(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- formats of engines --------------------------------------------------------------------------------------------------


class Runs:
    """What a pickle of an engine's own would run."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark} # {WORD}",)


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"


def _sql(*statements: str, file: str) -> Callable[[Path, str], None]:
    def attack(folder: Path, mark: str) -> None:
        connection = sqlite3.connect(folder / file, isolation_level=None)
        connection.execute("PRAGMA journal_mode = delete").fetchall()
        evil = pickle.dumps(Runs(mark))
        for statement in statements:
            connection.execute(statement, {"evil": evil} if ":evil" in statement else {})
        connection.close()

    return attack


def sqlite_attacks(file: str, table: str, key: str, value: str) -> dict[str, Callable[[Path, str], None]]:
    """For whatever keeps rows in a table."""

    def sql(*statements: str) -> Callable[[Path, str], None]:
        return _sql(*statements, file=file)

    rename = f"ALTER TABLE {table} RENAME TO was"
    return {
        "pickles": sql(f"UPDATE {table} SET {value} = :evil"),
        "text": sql(f"UPDATE {table} SET {value} = 'text'"),
        "numbers": sql(f"UPDATE {table} SET {value} = 17"),
        "floats": sql(f"UPDATE {table} SET {value} = 1e999"),
        "empty": sql(f"UPDATE {table} SET {value} = x''"),
        "zeros": sql(f"UPDATE {table} SET {value} = zeroblob(50000000) WHERE rowid = (SELECT max(rowid) FROM {table})"),
        "keys of text": sql(f"UPDATE OR IGNORE {table} SET {key} = 'a' || rowid"),
        "keys of numbers": sql(f"UPDATE OR IGNORE {table} SET {key} = rowid"),
        "long keys": sql(f"UPDATE OR IGNORE {table} SET {key} = CAST(zeroblob(100000) || rowid AS BLOB)"),
        "a trigger that deletes": sql(f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END"),
        "an endless trigger": sql(
            f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table} WHERE {key} IN ({ENDLESS} SELECT x FROM c); END"
        ),
        "an endless trigger of updates": sql(
            f"CREATE TRIGGER t AFTER UPDATE ON {table} BEGIN DELETE FROM {table} WHERE {key} IN ({ENDLESS} SELECT x FROM c); END"
        ),
        "a view in its place": sql(rename, f"CREATE VIEW {table} AS SELECT * FROM was"),
        "an endless view in its place": sql(
            rename, f"CREATE VIEW {table} AS {ENDLESS} SELECT x AS {key}, x AS {value}, x AS raw FROM c"
        ),
        "generated columns": sql(rename, f"CREATE TABLE {table} ({key} BLOB, {value} AS (zeroblob(100000000)))"),
        "a virtual table": sql(rename, f"CREATE VIRTUAL TABLE {table} USING fts5({key}, {value})"),
        "an expression index": sql(f"CREATE INDEX i ON {table} (abs({key}))"),
        "a check": sql(rename, f"CREATE TABLE {table} ({key} BLOB UNIQUE, {value} BLOB, CHECK (length({value}) < 3))"),
        "a default that loads": sql(f"CREATE TABLE more (a DEFAULT (load_extension('{file}')))"),
        "odd numbers": sql("PRAGMA user_version = 77", "PRAGMA application_id = 12345"),
        "nothing left": sql(f"DROP TABLE {table}"),
        "another encoding": lambda folder, mark: _other_encoding(folder / file, table, key, value),
        "damaged schema": sql(
            "PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = 'CREATE TABLE ' || hex(zeroblob(9999))"
        ),
    }


def _other_encoding(path: Path, table: str, key: str, value: str) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA encoding = 'UTF-16'")
    connection.execute(f"CREATE TABLE {table} ({key} TEXT, {value} TEXT)")
    connection.execute(f"INSERT INTO {table} VALUES ('a', 'b')")
    connection.commit()
    connection.close()


def diskcache_attacks() -> dict[str, Callable[[Path, str], None]]:
    def sql(*statements: str) -> Callable[[Path, str], None]:
        return _sql(*statements, file="cache.db")

    return {
        **sqlite_attacks("cache.db", "Cache", "key", "value"),
        "mode pickle": sql("UPDATE Cache SET value = :evil, mode = 4"),
        "mode text": sql("UPDATE Cache SET mode = 3, filename = '../../../../etc/passwd', value = NULL"),
        "mode file": sql("UPDATE Cache SET mode = 2, filename = '/etc/passwd', value = NULL"),
        "pickled keys": sql("UPDATE OR IGNORE Cache SET key = :evil, raw = 0"),
        "tags and times": sql("UPDATE Cache SET tag = :evil, expire_time = 1, store_time = 'x', access_count = 'y'"),
        "settings": sql(
            "INSERT OR REPLACE INTO Settings VALUES ('disk', 'zq_canary_module.fire')",
            "INSERT OR REPLACE INTO Settings VALUES ('disk_pickle_protocol', :evil)",
            "INSERT OR REPLACE INTO Settings VALUES ('_disk', :evil)",
            "INSERT OR REPLACE INTO Settings VALUES ('eviction_policy', 'zq_canary_module')",
            "INSERT OR REPLACE INTO Settings VALUES ('sqlite_journal_mode', 'off; ATTACH DATABASE ''x'' AS y')",
            "INSERT OR REPLACE INTO Settings VALUES ('count', :evil)",
            "INSERT OR REPLACE INTO Settings VALUES ('__class__', 'x')",
            "INSERT OR REPLACE INTO Settings VALUES ('_con', 'x')",
        ),
        "no settings": sql("DELETE FROM Settings"),
    }


def _files(change: Callable[[bytes, str], bytes]) -> Callable[[Path, str], None]:
    def attack(folder: Path, mark: str) -> None:
        for path in folder.iterdir():
            if path.is_file() and path.name not in ("rows.lock", "reserve"):
                path.write_bytes(change(path.read_bytes(), mark))

    return attack


def _json(change: Callable[[dict[str, Any], str], Any]) -> Callable[[Path, str], None]:
    def attack(folder: Path, mark: str) -> None:
        rows = json.loads((folder / "rows.json").read_text())
        made = change(rows, mark)
        (folder / "rows.json").write_text(made if isinstance(made, str) else json.dumps(made))

    return attack


ANY_FILE: dict[str, Callable[[Path, str], None]] = {
    "a pickle": _files(lambda content, mark: pickle.dumps(Runs(mark))),
    "nothing": _files(lambda content, mark: b""),
    "python": _files(lambda content, mark: f"__import__('os').system('touch {mark} # {WORD}')".encode()),
    "twice": _files(lambda content, mark: content * 2),
    "the first half": _files(lambda content, mark: content[: len(content) // 2]),
    "ones": _files(lambda content, mark: b"\xff" * len(content)),
}
PICKLEDB: dict[str, Callable[[Path, str], None]] = {
    "deep": lambda folder, mark: (folder / "rows.json").write_text("[" * 200_000) and None,
    "deep and whole": lambda folder, mark: (
        (folder / "rows.json").write_text('{"a":' * 50_000 + "1" + "}" * 50_000) and None
    ),
    "types": _json(lambda rows, mark: dict.fromkeys(rows, {"a": [1, None]})),
    "numbers": _json(lambda rows, mark: dict.fromkeys(rows, 17)),
    "pickles": _json(lambda rows, mark: dict.fromkeys(rows, pickle.dumps(Runs(mark), 0).decode("latin1"))),
    "names": _json(lambda rows, mark: {**rows, "../../x": "y", "": "", "\0": "z", "g" * 10_000: 1}),
    "a list": _json(lambda rows, mark: list(rows.values())),
    "nan": _json(lambda rows, mark: '{"a": NaN, "b": Infinity}'),
}


def pairtree_attacks() -> dict[str, Callable[[Path, str], None]]:
    def sparse(folder: Path, mark: str) -> None:
        for path in _row_files(folder):
            os.truncate(path, 40 << 30)

    def sparse_blobs(folder: Path, mark: str) -> None:
        for path in (folder / "blobs").rglob("*"):
            if path.is_file():
                os.truncate(path, 2 << 30)

    def strays(folder: Path, mark: str) -> None:
        for name in ("zz", "ab", "abc", "00", "\udcff", "ab\n"):
            with contextlib.suppress(OSError):
                (folder / name).mkdir(exist_ok=True)
                for row in ("", "ab", "a" * 200, "g" * 32, "ab" * 16 + ".tmp", "\x1b[2J", "-rf"):
                    with contextlib.suppress(OSError):
                        (folder / name / row).write_bytes(pickle.dumps(Runs(mark)))

    def pickles(folder: Path, mark: str) -> None:
        for path in _row_files(folder):
            path.write_bytes(pickle.dumps(Runs(mark)))

    return {"sparse rows": sparse, "sparse blobs": sparse_blobs, "strays": strays, "pickles": pickles}


def _row_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("??/*") if path.is_file()]


def lmdb_attacks() -> dict[str, Callable[[Path, str], None]]:
    def rows(change: Callable[[bytes, bytes, str], tuple[bytes, bytes] | None]) -> Callable[[Path, str], None]:
        def attack(folder: Path, mark: str) -> None:
            import lmdb

            with (
                lmdb.open(str(folder), map_size=1 << 30, max_dbs=10) as environment,
                environment.begin(write=True) as transaction,
            ):
                for key, value in list(transaction.cursor()):
                    made = change(key, value, mark)
                    if made is not None:
                        transaction.put(*made)

        return attack

    def databases(folder: Path, mark: str) -> None:
        import lmdb

        with lmdb.open(str(folder), map_size=1 << 30, max_dbs=10) as environment:
            for name in (b"named", b"\0" * 16, b"stash"):
                with contextlib.suppress(lmdb.Error):
                    environment.open_db(name, dupsort=True)

    return {
        "pickles": rows(lambda key, value, mark: (key, pickle.dumps(Runs(mark)))),
        "empty": rows(lambda key, value, mark: (key, b"")),
        "long keys": rows(lambda key, value, mark: (key + b"x" * 300, value)),
        "short keys": rows(lambda key, value, mark: (key[:1], value)),
        "large": rows(lambda key, value, mark: (key, value + bytes(5_000_000))),
        "named databases": databases,
    }


def server_attacks(where: Place) -> dict[str, Callable[[Path, str], None]]:
    """Rows of another type, from somebody else with the password."""
    if where.engine == "redis":
        import redis

        client = redis.Redis.from_url(where.options["url"])

        def each(change: Callable[[Any, bytes, str], Any]) -> Callable[[Path, str], None]:
            def attack(folder: Path, mark: str) -> None:
                for key in client.scan_iter("hashstash:*"):
                    change(client, key, mark)

            return attack

        def instead(make: Callable[[Any, bytes], Any]) -> Callable[[Path, str], None]:
            return each(lambda client, key, mark: (client.delete(key), make(client, key)))

        return {
            "pickles": each(
                lambda client, key, mark: (
                    client.set(key, pickle.dumps(Runs(mark))) if client.type(key) == b"string" else 0
                )
            ),
            "a list": instead(lambda client, key: client.rpush(key, "a", "b")),
            "a hash": instead(lambda client, key: client.hset(key, "a", "b")),
            "a set": instead(lambda client, key: client.sadd(key, "a", "b")),
            "a stream": instead(lambda client, key: client.xadd(key, {"a": "b"})),
            "a sorted set": instead(
                lambda client, key: client.zadd(key, {"../../x": 1, "zz": float("inf"), "\x1b[2J": 2})
            ),
            "text": instead(lambda client, key: client.set(key, "redis.call('FLUSHALL')")),
            "large": instead(lambda client, key: client.setrange(key, 50_000_000, "x")),
        }
    import bson
    import pymongo

    client = pymongo.MongoClient(where.options["url"])

    def documents(change: Callable[[dict[str, Any], str], dict[str, Any]]) -> Callable[[Path, str], None]:
        def attack(folder: Path, mark: str) -> None:
            for name in client.list_database_names():
                if name not in ("admin", "local", "config"):
                    for collection in client[name].list_collection_names():
                        for document in list(client[name][collection].find()):
                            client[name][collection].replace_one({"_id": document["_id"]}, change(document, mark))

        return attack

    def others(value: Callable[[str], Any]) -> Callable[[Path, str], None]:
        return documents(
            lambda document, mark: {key: one if key == "_id" else value(mark) for key, one in document.items()}
        )

    return {
        "pickles": others(lambda mark: pickle.dumps(Runs(mark))),
        "text": others(lambda mark: "text"),
        "numbers": others(lambda mark: 2**60),
        "nothing": others(lambda mark: None),
        "code": others(lambda mark: bson.Code("function() { return 1 }")),
        "references": others(lambda mark: bson.DBRef("system", 1)),
        "nested": others(lambda mark: {"$where": "sleep(100000)", "a": [{"b": [1]}]}),
        "lists": others(lambda mark: [1, "a", None]),
        "dates": others(lambda mark: bson.datetime_ms.DatetimeMS(2**62)),
        "only ids": documents(lambda document, mark: {"_id": document["_id"]}),
    }


def attacks(where: Place) -> dict[str, Callable[[Path, str], None]]:
    """What can be done to the rows of that engine."""
    if where.engine in ("redis", "mongo"):
        return server_attacks(where)
    return {
        "sqlite": lambda: {**sqlite_attacks("rows.sqlite", "rows", "address", "blob"), **ANY_FILE},
        "sqlitedict": lambda: {**sqlite_attacks("rows.sqlite", "unnamed", "key", "value"), **ANY_FILE},
        "diskcache": lambda: {**diskcache_attacks(), **ANY_FILE},
        "shelve": lambda: ANY_FILE,
        "pickledb": lambda: {**PICKLEDB, **ANY_FILE},
        "pairtree": pairtree_attacks,
        "lmdb": lmdb_attacks,
    }[where.engine]()


def _emptied(where: Place) -> None:
    """Begin with a server that holds nothing."""
    if where.engine == "redis":
        import redis

        redis.Redis.from_url(where.options["url"]).flushall()
        return
    import pymongo

    client = pymongo.MongoClient(where.options["url"])
    for name in client.list_database_names():
        if name not in {"admin", "local", "config"}:
            client.drop_database(name)


def attack(place: str, folder: str, mark: str, name: str) -> None:
    """In a child with the stranger's home: one attack."""
    where = Place.loads(place)
    attacks(where)[name](folder_of(where.root) if where.engine not in ("redis", "mongo") else Path(folder), mark)
    say("attacked")


def meet_attacks(place: str, folder: str, mark: str, names: list[str], port: int) -> None:
    """In a child with the victim's home: each attack on a fresh copy (or, on a server, on the store filled anew)."""
    warnings.simplefilter("ignore")
    where = Place.loads(place)
    failures: list[str] = []
    homes = [os.environ[f"XDG_{kind}_HOME"] for kind in ("CACHE", "STATE", "CONFIG")]
    canary = Canary(mark, [folder, *homes], (port,))
    known = attacks(where)
    untried: list[str] = []
    for number, name in enumerate(names):
        copy = where
        if where.engine in ("redis", "mongo"):
            _emptied(where)
            stash = where.open()
            store_by_the_front_door(stash)
            try:
                known[name](Path(folder), mark)
            except Exception as error:  # the stand-in of a server does not store everything that a server does
                untried.append(f"{name} ({type(error).__name__})")
                continue
        else:
            base = Path(folder) / f"attacked-{number}"
            shutil.copytree(where.root, base)
            known[name](folder_of(str(base)), mark)
            copy = Place(where.engine, str(base), where.options)
        with canary:
            failures += [f"{name}: {what}" for what in _used(copy, number)]
        if copy is not where:
            shutil.rmtree(copy.root, ignore_errors=True)
    say("met", len(names) - len(untried), failures, canary.seen(), untried)
