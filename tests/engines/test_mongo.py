import importlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import servers

from hashstash import HashStash
from hashstash.errors import ReadOnlyStash, ServerUnavailable, StashFull
from hashstash.testing.engine import ADDRESS, OTHER, EngineContract, row

mongo_engine = pytest.importorskip(
    "hashstash.engines.mongo", reason="the package pymongo is not installed", exc_type=ImportError
)
MongoEngine = mongo_engine.MongoEngine
seconds_of = importlib.import_module("hashstash.engines._mongo_rows").seconds_of

pytestmark = pytest.mark.server
IN_TIME = 25.0
"""Seconds within which a server that is away is given up, on a machine that does much else."""


class TestMongo(EngineContract):
    many = 100_000 if servers.MONGO_URI else 4_000  # the stand-in takes half a millisecond for each row

    @pytest.fixture
    def make(self, mongo_url):
        return lambda: MongoEngine(mongo_url)

    def raw_get(self, engine, address):
        document = documents(engine).find_one({"_id": address.hex()})
        if document is None or "b" in document:
            return document and bytes(document["b"])
        return files(engine).open_download_stream(document["f"]).read()

    @pytest.mark.skipif(
        servers.MONGO_URI is None,
        reason="nx-27017 sends all parts of a file as one message, which pymongo refuses above 48 MB; test_a_blob_of_40_mb",
    )
    def test_a_blob_of_50_mb(self, engine):
        super().test_a_blob_of_50_mb(engine)

    def test_a_blob_of_40_mb(self, engine):
        blob = row("") + os.urandom(40 << 20)
        engine.put(ADDRESS, blob)
        assert engine.get(ADDRESS) == blob

    def neighbour(self, engine):
        return MongoEngine(
            engine.location().replace("?", "b?") if "?" in engine.location() else engine.location() + "b"
        )


def documents(engine):
    """The collection of an engine, by a client of its own."""
    import pymongo

    client = pymongo.MongoClient(servers.MONGO_URI or engine._url)
    _clients.append(client)
    return client[engine._database][engine._collection_name]


def files(engine):
    import gridfs

    collection = documents(engine)
    return gridfs.GridFSBucket(collection.database, bucket_name=collection.name)


_clients = []


@pytest.fixture(autouse=True)
def closed_clients():
    yield
    while _clients:
        _clients.pop().close()


@pytest.fixture
def engine(mongo_url):
    return MongoEngine(mongo_url)


def fails(kind, what, act):
    """The text of the error that *act* raises, in time."""
    started = time.monotonic()
    with pytest.raises(kind, match=what) as caught:
        act()
    assert time.monotonic() - started < IN_TIME
    return str(caught.value)


def soon(check, seconds=60.0):
    """Wait until *check* is true, of a server that comes back."""
    deadline = time.monotonic() + seconds
    while not _holds(check):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def _holds(check):
    try:
        return check()
    except ServerUnavailable:
        return False


def large(letter):
    return row(letter) + os.urandom(1) + letter.encode() * mongo_engine.LARGEST_DOCUMENT


# ---- where rows lie ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url, bare, name",
    [
        ("mongodb://h", "mongodb://h:27017/hashstash", ""),
        ("mongodb://h:1/db", "mongodb://h:1/db", ""),
        ("mongodb://h:1/db/name/inner", "mongodb://h:1/db", "name/inner"),
        ("mongodb://me:secret@h/db/name", "mongodb://me@h:27017/db", "name"),
        ("mongodb://me:secret@h", "mongodb://me@h:27017/hashstash?authSource=admin", ""),
        ("mongodb://a:1,b:2/db/name?replicaSet=rs", "mongodb://a:1,b:2/db?replicaSet=rs", "name"),
        ("mongodb+srv://me:secret@h.example/db/name", "mongodb+srv://me@h.example/db", "name"),
    ],
)
def test_a_url_names_server_database_and_stash(url, bare, name):
    stash = HashStash(url)
    assert stash.config.engine_options["url"] == bare
    assert stash.root_dir == (name or "default_stash")
    assert "secret" not in repr(stash)


def test_options_say_the_same_as_a_url():
    stash = HashStash("name", engine="mongo", host="h", port=1, db="db", username="me", password="secret")
    assert stash.path == "mongodb://me@h:1/db/name?authSource=admin"
    assert HashStash("name", engine="mongo").path == "mongodb://localhost:27017/hashstash/name"


@pytest.mark.parametrize(
    "options, kind",
    [
        ({"port": "x"}, ValueError),
        ({"db": 3}, TypeError),
        ({"url": "mongodb://h/db/name"}, ValueError),
        ({"url": "mongodb://h/db?tlsCertificateKeyFilePassword=x"}, ValueError),
    ],
)
def test_wrong_options_are_said_so_at_once(options, kind):
    with pytest.raises(kind):
        HashStash("name", engine="mongo", **options)


@pytest.mark.parametrize("place", ["a", "A", "a-b_c.d", "%C3%A9", "x/y/z", "a/" + "b" * 200])
@pytest.mark.parametrize("section", ["", "history", "%40odd"])
def test_collections_have_plain_names_that_lead_back_to_the_place(place, section):
    name, is_cut = mongo_engine.collection_of(place, section)
    assert name.isascii()
    assert name.replace("_", "").isalnum()
    assert name == name.lower()
    assert len(name) <= 120
    assert is_cut or mongo_engine.place_of(name) == (place, section)


def test_names_that_begin_alike_are_apart(mongo_url):
    address, question, query = mongo_url.partition("?")
    names = ["", "b", "/b", "B", "%40history", "b" * 150, "b" * 151]
    stashes = [HashStash(address + name + question + query) for name in names]
    for number, stash in enumerate(stashes):
        stash["number"] = number
    assert [(stash["number"], len(stash)) for stash in stashes] == [(number, 1) for number in range(len(names))]
    stashes[1].clear()
    assert [len(stash) for stash in stashes] == [1, 0, 1, 1, 1, 1, 1]


def test_clearing_reaches_sections_and_functions_with_long_names(mongo_url):
    stash = HashStash(mongo_url, dbname="a/" + "long" * 40, append_mode=True)
    stash["a"], stash["a"] = 1, 2
    assert stash.run(len, [1]) == 1
    inner = stash.sub("stashed_result/builtins.len")
    assert len(inner) == 1
    HashStash(mongo_url, dbname="a/" + "long" * 40).clear()
    assert len(inner) == 0
    assert stash.get_all("a") == []


def test_payloads_are_never_part_of_a_filter(engine):
    """A blob that looks like an operator is stored as it is, and found by its address only."""
    blob = row('{"$ne": null}')
    engine.put(ADDRESS, blob)
    assert documents(engine).find_one({"_id": ADDRESS.hex()})["b"] == blob
    assert engine.get(b"\x00") is None


@pytest.mark.parametrize("said", ["00" * 8, None, 7])
def test_a_row_goes_by_the_write_id_of_its_blob_whatever_damage_has_made_of_the_other(engine, said):
    engine.put(ADDRESS, row("a", 1))
    documents(engine).update_one({"_id": ADDRESS.hex()}, {"$set": {"w": said}})
    assert not engine.delete_if(ADDRESS, row("", 2)[8:16])
    assert engine.delete_if(ADDRESS, row("", 1)[8:16])
    assert not engine.delete_if(ADDRESS, row("", 1)[8:16])
    assert engine.get(ADDRESS) is None


# ---- large blobs ---------------------------------------------------------------------------------------------------


def test_a_large_blob_lies_in_gridfs_and_goes_with_its_row(engine):
    one, two = large("a"), large("b")
    engine.put(ADDRESS, one)
    assert "b" not in documents(engine).find_one({"_id": ADDRESS.hex()})
    engine.put(ADDRESS, two)
    assert engine.get(ADDRESS) == two
    assert engine.peek(ADDRESS, 50) == two[:50]
    assert dict(engine.rows()) == {ADDRESS: two}
    assert list(engine.get_many([OTHER, ADDRESS])) == [None, two]
    assert len(list(files(engine).find({}))) == 1
    engine.put_many([(ADDRESS, row("small"))])
    assert engine.get(ADDRESS) == row("small")
    assert list(files(engine).find({})) == []


def test_a_large_blob_that_loses_a_swap_leaves_no_file(engine):
    engine.put(ADDRESS, row("a", 1))
    assert not engine.swap(ADDRESS, None, large("b"))
    assert not engine.swap(ADDRESS, row("", 9)[8:16], large("b"))
    assert list(files(engine).find({})) == []
    assert engine.swap(ADDRESS, row("", 1)[8:16], large("c"))
    assert engine.delete(ADDRESS)
    assert list(files(engine).find({})) == []


@pytest.mark.slow
def test_readers_of_a_large_row_see_the_old_one_or_the_new_one(mongo_url):
    engine, other = MongoEngine(mongo_url), MongoEngine(mongo_url)
    blobs = [large("a"), large("b"), row("small")]
    engine.put(ADDRESS, blobs[0])
    stop, wrong = threading.Event(), []

    def read():
        while not stop.is_set():
            if other.get(ADDRESS) not in blobs:
                wrong.append(1)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(9):
        engine.put(ADDRESS, blobs[number % 3])
    stop.set()
    thread.join(60)
    assert not wrong


def test_a_part_that_is_missing_is_said_so(engine):
    engine.put(ADDRESS, large("a"))
    (file,) = files(engine).find({})
    files(engine).delete(file._id)
    assert len(engine.check()) == 1
    assert ADDRESS.hex() in engine.check()[0]
    with pytest.raises(Exception, match="missing in GridFS; delete the row"):
        engine.get(ADDRESS)
    assert engine.delete(ADDRESS)
    assert engine.check() == []


def test_compacting_sweeps_up_old_files_that_no_row_points_at(engine, monkeypatch):
    blob = large("a")
    engine.put(ADDRESS, blob)
    files(engine).upload_from_stream("row", b"left behind")
    engine.compact()
    assert len(list(files(engine).find({}))) == 2
    monkeypatch.setattr(mongo_engine, "_YOUNGEST_ORPHAN", -1.0)
    engine.compact()
    assert len(list(files(engine).find({}))) == 1
    assert engine.get(ADDRESS) == blob


# ---- what the server does ------------------------------------------------------------------------------------------


def test_an_expiry_is_written_for_the_server_and_revoked_by_another_put(engine):
    engine.put(ADDRESS, row("a", 1))
    engine.expire(ADDRESS, time.time_ns() + 3600 * 10**9, row("", 2)[8:16])
    assert "e" not in documents(engine).find_one({"_id": ADDRESS.hex()})
    engine.expire(ADDRESS, time.time_ns() + 3600 * 10**9, row("", 1)[8:16])
    assert "e" in documents(engine).find_one({"_id": ADDRESS.hex()})
    assert any("expireAfterSeconds" in index for index in documents(engine).list_indexes())
    engine.put(ADDRESS, row("b", 2))
    assert "e" not in documents(engine).find_one({"_id": ADDRESS.hex()})


def test_an_expiry_counts_by_the_servers_clock(engine, monkeypatch):
    """A process whose clock is slow does not lose at once what it stores for a while."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() - 10 * 86_400 * 10**9)
    engine.put(ADDRESS, row("a"))
    engine.expire(ADDRESS, time.time_ns() + 600 * 10**9)
    moment = documents(engine).find_one({"_id": ADDRESS.hex()})["e"]
    assert 500 < seconds_of(moment) - now() / 1e9 < 700


def test_the_row_of_a_lease_goes_by_itself(engine):
    with engine.lock("a"):
        held = documents(engine.section("leases")).find_one({})["e"]
    released = documents(engine.section("leases")).find_one({})["e"]
    assert 3600 < seconds_of(held) - time.time() < 90_000
    assert 0 < seconds_of(released) - time.time() < 90


def test_looking_after_a_stash_makes_no_more_collections_each_time(mongo_url):
    stash = HashStash(mongo_url)
    stash["a"] = 1

    def look():
        stash.check()
        stash.compact()
        return stash.store.engine._ask(
            lambda client: sorted(client[stash.store.engine._database].list_collection_names())
        )

    assert look() == look()
    assert stash.store.engine.section_names() == ["bad", "history", "meta"]


def test_counting_and_listing_ask_for_no_payload(engine):
    engine.put(ADDRESS, large("a"))
    for file in files(engine).find({}):
        files(engine).delete(file._id)  # whoever reads the payload now fails
    assert engine.count() == 1
    assert list(engine.scan()) == [ADDRESS]
    assert engine.size_bytes() > mongo_engine.LARGEST_DOCUMENT


# ---- what goes wrong -----------------------------------------------------------------------------------------------


def test_nobody_listens():
    engine = MongoEngine(f"mongodb://127.0.0.1:{servers.free_port()}/db/name")
    text = fails(ServerUnavailable, "connection refused.*start the server", lambda: engine.get(ADDRESS))
    assert engine._url in text


def test_the_host_is_not_known():
    engine = MongoEngine("mongodb://no-such-host.invalid/db/name")
    fails(ServerUnavailable, "host is not known", lambda: engine.get(ADDRESS))


def test_a_server_that_does_not_answer(start_mongo):
    server = start_mongo()
    engine = MongoEngine(server.url + "/db/name")
    engine.put(ADDRESS, row("a"))
    server.pause()
    try:
        fails(ServerUnavailable, "no answer within 4 s|does not answer", lambda: engine.get(ADDRESS))
        fails(ServerUnavailable, "asked again", lambda: engine.put(ADDRESS, row("b")))
    finally:
        server.resume()
    soon(lambda: engine.get(ADDRESS) == row("a"))


def test_a_server_that_was_restarted_is_used_again(start_mongo):
    server = start_mongo()
    stash = HashStash(server.url + "/db/name")
    stash["a"] = 1
    server.stop()
    fails(ServerUnavailable, "refused|lost", lambda: stash["a"])
    with pytest.warns(RuntimeWarning, match="computed anew"):
        assert stash.run(len, [1]) == 1
    server.start(server.port)
    soon(lambda: stash["a"] == 1)
    stash["b"] = 2
    assert len(stash) == 2


@pytest.mark.parametrize(
    "user, code, text, kind, what",
    [
        ("", 13, "command find requires authentication", ServerUnavailable, "a password are needed"),
        ("me@", 18, "Authentication failed.", ServerUnavailable, "wrong user name or password"),
        ("me@", 13, "not authorized on db to execute command", ReadOnlyStash, "readWrite on 'db'"),
        ("me@", 14031, "available disk space is less than required", StashFull, "no room left"),
        ("me@", 8000, "you are over your space quota", StashFull, "no room left"),
        ("me@", 11600, "interrupted at shutdown", ServerUnavailable, "interrupted"),
    ],
)
def test_what_a_real_server_refuses_is_explained(user, code, text, kind, what):
    """The stand-in knows neither users nor limits, so that its answers are made up here."""
    engine = MongoEngine(f"mongodb://{user}h/db/name")
    explained = engine._explained(_failure(code, text), writing=True)
    assert isinstance(explained, kind)
    assert what in str(explained)
    assert engine._url in str(explained)


def _failure(code, text):
    from pymongo.errors import OperationFailure

    return OperationFailure(text, code, {"ok": 0})


def test_a_user_without_a_password(mongo_base):
    if servers.MONGO_URI:
        pytest.skip("only a server of our own is known to be there")
    rest = mongo_base.partition("://")[2]
    engine = MongoEngine(f"mongodb://me@{rest}/db/name")
    fails(ServerUnavailable, "this process knows none", lambda: engine.get(ADDRESS))


def test_a_killed_writer_leaves_whole_rows(mongo_url):
    code = (
        "import os; from hashstash.engines.mongo import MongoEngine; from hashstash.testing.rows import row\n"
        f"engine = MongoEngine({mongo_url!r})\n"
        "print('ready', flush=True)\n"
        "while True: engine.put(os.urandom(16), row('x' * 500))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    engine = MongoEngine(mongo_url)
    soon(lambda: engine.count() > 0)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    rows = dict(engine.rows())
    assert engine.count() == len(rows) > 0
    assert set(rows.values()) == {row("x" * 500)}


def test_a_process_that_ends_says_nothing(mongo_url):
    code = (
        f"from hashstash import HashStash; stash = HashStash({mongo_url!r}); stash['a'] = 1\n"
        "with stash.lock('a'): pass\n"
        "assert stash.run(len, [1]) == 1"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
