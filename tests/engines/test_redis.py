import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings

import pytest
import servers

from hashstash import HashStash
from hashstash.errors import CorruptEntry, ReadOnlyStash, ServerUnavailable, StashFull, UnsupportedValue
from hashstash.testing.engine import ADDRESS, OTHER, EngineContract, ScaleContract, row

redis_engine = pytest.importorskip(
    "hashstash.engines.redis", reason="the package redis is not installed", exc_type=ImportError
)
RedisEngine = redis_engine.RedisEngine

pytestmark = pytest.mark.server
IN_TIME = 25.0
"""Seconds within which a server that is away is given up, on a machine that does much else."""


class TestRedis(EngineContract):
    many = 10_000

    @pytest.fixture
    def make(self, redis_url):
        return lambda: RedisEngine(redis_url)

    def raw_get(self, engine, address):
        with servers.raw_redis(engine._url) as client:
            return client.get(f"hashstash:{{{engine._place}}}:{address.hex()}")

    def neighbour(self, engine):
        return RedisEngine(engine.location() + "b")


@pytest.mark.heavy
class TestHundredThousandRows(ScaleContract):
    make, raw_get = TestRedis.make, TestRedis.raw_get


@pytest.fixture
def engine(redis_url):
    return RedisEngine(redis_url)


def soon(check, seconds=60.0):
    """Wait until *check* is true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def fails(kind, what, act):
    """The text of the error that *act* raises, in time."""
    started = time.monotonic()
    with pytest.raises(kind, match=what) as caught:
        act()
    assert time.monotonic() - started < IN_TIME
    return str(caught.value)


# ---- where rows lie ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url, bare, name",
    [
        ("redis://", "redis://localhost:6379/0", ""),
        ("redis://h", "redis://h:6379/0", ""),
        ("redis://h:1/2", "redis://h:1/2", ""),
        ("redis://h:1/2/name", "redis://h:1/2", "name"),
        ("redis://h/name/inner", "redis://h:6379/0", "name/inner"),
        ("redis://h/7up", "redis://h:6379/0", "7up"),
        ("redis://:secret@h/3/a", "redis://h:6379/3", "a"),
        ("redis://me:secret@h/3/a", "redis://me@h:6379/3", "a"),
        ("redis://me%40work:se%2Fcr%40et@h/3", "redis://me%40work@h:6379/3", ""),
        ("redis://h/1/with%20space", "redis://h:6379/1", "with space"),
        ("redis://[::1]:7/0/a", "redis://[::1]:7/0", "a"),
        ("rediss://h:6380/0/a?ssl_ca_certs=/ca.crt", "rediss://h:6380/0?ssl_ca_certs=/ca.crt", "a"),
        ("redis+cluster://h:7000/0/a", "redis+cluster://h:7000/0", "a"),
        ("redis+unix:///run/redis.sock", "redis+unix:///run/redis.sock/0", ""),
        ("redis+unix://me:secret@/run/redis.sock/2/a/b", "redis+unix://me@/run/redis.sock/2", "a/b"),
    ],
)
def test_a_url_names_server_database_and_stash(url, bare, name):
    stash = HashStash(url)
    assert stash.config.engine_options["url"] == bare
    assert stash.root_dir == (name or "default_stash").replace(" ", "%20")
    assert "secret" not in repr(stash)


def test_options_say_the_same_as_a_url():
    stash = HashStash("name", engine="redis", host="h", port=1, db=2, username="me", password="secret")
    assert stash.path == HashStash("redis://me:secret@h:1/2/name").path == "redis://me@h:1/2/name"
    assert HashStash("name", engine="redis").path == "redis://localhost:6379/0/name"
    assert HashStash("name", engine="redis", url="redis://h/4").path == "redis://h:6379/4/name"


@pytest.mark.parametrize(
    "options, kind",
    [
        ({"port": "x"}, ValueError),
        ({"port": -1}, ValueError),
        ({"db": "first"}, ValueError),
        ({"url": "redis://h/0/name"}, ValueError),
        ({"url": 5}, TypeError),
        ({"password": 5}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"lease": "long"}, ValueError),
        ({"hots": "h"}, TypeError),
        ({"url": "redis://h/0?sl=1"}, ValueError),
        ({"url": "redis+unix:///run/nothing"}, ValueError),
    ],
)
def test_wrong_options_are_said_so_at_once(options, kind):
    with pytest.raises(kind):
        HashStash("name", engine="redis", **options)


def test_a_temporary_stash_leaves_nothing(redis_url):
    with HashStash(redis_url).tmp() as stash:
        stash["a"] = 1
        assert len(stash) == 1
        place = stash.store.engine._place
    with servers.raw_redis(redis_url) as client:
        assert not [key for key in client.scan_iter(f"hashstash:{{{place}*", count=1000) if b"leases" not in key]
        assert place.encode() not in client.smembers("hashstash:places")


def test_the_constructor_asks_nothing_of_the_server():
    HashStash("redis://127.0.0.1:1/0/name")


def test_all_keys_of_a_stash_begin_with_its_place(redis_url):
    stash = HashStash(redis_url, append_mode=True)
    stash["a"] = 1
    stash["a"] = 2
    stash.run(len, [1])
    place = stash.root_dir
    with servers.raw_redis(redis_url) as client:
        keys = {key.decode() for key in client.scan_iter(f"*{place}*", count=1000)}
    assert keys
    assert all(
        key.startswith((f"hashstash:{{{place}}}:", f"hashstash:{{{place}@", f"hashstash:{{{place}/")) for key in keys
    )


def test_names_that_begin_alike_are_apart(redis_url):
    names = ["", "b", "/b", "%40history", "%25", ":rows"]
    stashes = [HashStash(redis_url + name) for name in names]
    for number, stash in enumerate(stashes):
        stash["number"] = number
        stash["again"] = number
    for number, stash in enumerate(stashes):
        assert (stash["number"], len(stash)) == (number, 2)
    stashes[1].clear()
    assert [len(stash) for stash in stashes] == [2, 0, 2, 2, 2, 2]
    for stash in stashes:
        stash.clear()


def test_clearing_leaves_nothing_of_the_stash_and_everything_else(redis_url):
    stash, other = HashStash(redis_url, append_mode=True), HashStash(redis_url + "b")
    with servers.raw_redis(redis_url) as client:
        client.set(f"{stash.root_dir}-not-ours", "1", ex=600)
        stash["a"], stash["a"], other["a"] = 1, 2, 3
        stash.run(len, [1])
        stash.put("over", 1, ttl=600)
        stash.clear()
        left = [key for key in client.scan_iter(f"*{{{stash.root_dir}[@}}/]*", count=1000) if b"leases" not in key]
        assert left == []
        assert client.getdel(f"{stash.root_dir}-not-ours") == b"1"
        assert not [place for place in client.smembers("hashstash:places") if place.decode() == stash.root_dir]
    assert other["a"] == 3


def test_clearing_reaches_the_functions_of_the_stash_from_another_process(redis_url):
    stash = HashStash(redis_url)
    stash.run(len, [1, 2])
    code = f"from hashstash import HashStash; HashStash({redis_url!r}).clear()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert len(len_stash(stash)) == 0


def len_stash(stash):
    from hashstash.functions.function_stash import MemoOptions, memo_of

    return memo_of(len, stash, MemoOptions()).stash


# ---- what the server does ------------------------------------------------------------------------------------------


def test_rows_that_the_server_has_expired_are_not_counted_and_not_listed(engine):
    engine.put(ADDRESS, row("stays"))
    engine.put(OTHER, row("goes"))
    assert engine.count() == 2
    engine.expire(OTHER, time.time_ns() + 200_000_000)
    soon(lambda: engine.get(OTHER) is None)
    assert engine.count() == 1
    assert list(engine.scan()) == [ADDRESS]
    assert dict(engine.rows()) == {ADDRESS: row("stays")}


def test_another_put_revokes_the_expiry(engine):
    engine.put(ADDRESS, row("a"))
    engine.expire(ADDRESS, time.time_ns() + 200_000_000)
    engine.put(ADDRESS, row("b"))
    time.sleep(0.4)
    assert engine.get(ADDRESS) == row("b")
    assert engine.count() == 1


def test_a_row_that_was_replaced_meanwhile_does_not_expire(engine):
    engine.put(ADDRESS, row("a", 1))
    engine.put(ADDRESS, row("b", 2))
    engine.expire(ADDRESS, time.time_ns() - 1, row("a", 1)[8:16])
    assert engine.get(ADDRESS) == row("b", 2)


def test_a_stash_of_which_everything_expires_leaves_nothing(engine, redis_url):
    engine.put_many([(bytes([number]) * 16, row("a")) for number in range(30)])
    for number in range(30):
        engine.expire(bytes([number]) * 16, time.time_ns() + 200_000_000)
    with servers.raw_redis(redis_url) as client:
        soon(lambda: not list(client.scan_iter(f"hashstash:{{{engine._place}}}*", count=1000)))
    assert engine.count() == 0


def test_an_expiry_counts_by_the_servers_clock(engine, monkeypatch):
    """A process whose clock is slow does not lose at once what it stores for a while."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() - 10 * 86_400 * 10**9)
    engine.put(ADDRESS, row("a"))
    engine.expire(ADDRESS, time.time_ns() + 600 * 10**9)
    left = engine._ask(lambda client: client.pttl(engine._base + ADDRESS.hex()))
    assert 500_000 < left <= 601_000


def test_a_row_swapped_in_for_a_while_goes_with_its_address(engine, redis_url):
    assert engine.swap_for(ADDRESS, None, row("a", 1), 0.2)
    assert not engine.swap_for(ADDRESS, None, row("b", 2), 600.0)
    soon(lambda: engine.get(ADDRESS) is None)
    with servers.raw_redis(redis_url) as client:
        soon(lambda: not list(client.scan_iter(f"hashstash:{{{engine._place}}}*", count=1000)))


def test_another_swap_revokes_the_expiry(engine):
    assert engine.swap_for(ADDRESS, None, row("a", 1), 600.0)
    assert engine.swap(ADDRESS, row("a", 1)[8:16], row("b", 2))
    assert engine._ask(lambda client: client.pttl(engine._base + ADDRESS.hex())) == -1


def test_swaps_for_a_while_forget_the_addresses_of_what_is_over(engine, redis_url):
    engine.put(OTHER, row("stays"))
    for number in range(5):
        assert engine.swap_for(bytes([number]) * 16, None, row("a"), 0.1)
    soon(lambda: engine.count() == 1)
    assert engine.swap_for(ADDRESS, None, row("a"), 600.0)
    with servers.raw_redis(redis_url) as client:
        assert client.zcard(engine._index) == 2
        assert client.zcard(engine._expiring) == 1


def test_the_row_of_a_lease_goes_by_itself(engine):
    leases = engine.section("leases")

    def left():
        (address,) = leases.scan()
        return leases._ask(lambda client: client.pttl(leases._base + address.hex()))

    with engine.lock("a"):
        assert 3_600_000 < left() <= 86_400_000
    assert 0 < left() <= 60_000


def test_a_time_to_live_is_kept_by_the_server_too(redis_url):
    stash = HashStash(redis_url)
    stash["long"] = 2
    with servers.raw_redis(redis_url) as client:
        key = f"hashstash:{{{stash.root_dir}}}:{stash.store.keys.address('short').hex()}"
        stash.put("short", 1, ttl=600)
        assert 0 < client.pttl(key) <= 600_000
        stash.put("short", 1, ttl=0.3)
        soon(lambda: not client.exists(key))
    assert stash.get("short") is None
    assert list(stash) == ["long"]


def test_versions_do_not_expire_one_by_one(redis_url):
    stash = HashStash(redis_url, append_mode=True, ttl=600)
    stash["a"] = 1
    with servers.raw_redis(redis_url) as client:
        assert client.pttl(f"hashstash:{{{stash.root_dir}}}:{stash.store.keys.address('a').hex()}") == -1


def test_compacting_forgets_what_has_expired(engine, redis_url):
    engine.put_many([(bytes([number]) * 16, row("a")) for number in range(60)])
    for number in range(59):
        engine.expire(bytes([number]) * 16, time.time_ns() + 100_000_000)
    soon(lambda: engine.count() == 1)
    engine.compact()
    with servers.raw_redis(redis_url) as client:
        assert client.zcard(engine._index) == 1
        assert not client.exists(engine._expiring)


def test_listing_asks_for_this_stash_only(engine, redis_url):
    """Never KEYS, nor a SCAN of the whole server: the cost is that of the stash."""
    engine.put(ADDRESS, row("a"))
    with servers.raw_redis(redis_url) as client:
        client.config_resetstat()
        list(engine.scan())
        engine.count()
        engine.clear()
        asked = set(client.info("commandstats"))
    assert not asked & {"cmdstat_keys", "cmdstat_scan", "cmdstat_flushdb", "cmdstat_flushall"}


def test_counting_and_asking_for_many_take_few_requests(engine, redis_url):
    addresses = [number.to_bytes(16, "big") for number in range(2000)]
    engine.put_many((address, row("a")) for address in addresses)
    with servers.raw_redis(redis_url) as client:
        client.config_resetstat()
        assert engine.count() == 2000
        assert None not in list(engine.get_many(addresses))
        calls = {name: values["calls"] for name, values in client.info("commandstats").items()}
    assert calls["cmdstat_mget"] == 10
    assert calls["cmdstat_zcard"] == 1
    assert "cmdstat_get" not in calls


def test_a_blob_that_is_too_large_for_redis_is_refused_before_it_is_sent(engine):
    with pytest.raises(UnsupportedValue, match="512 MB"):
        engine.put(ADDRESS, bytes((512 << 20) + 1))
    assert engine.get(ADDRESS) is None


def test_scripts_are_loaded_again_after_a_restart(start_redis):
    server = start_redis()
    engine = RedisEngine(server.url + "/name")
    engine.put(ADDRESS, row("a"))
    server.stop()
    server.start(server.port)
    engine.put(OTHER, row("b"))
    assert engine.swap(ADDRESS, None, row("c"))
    assert dict(engine.rows()) == {OTHER: row("b"), ADDRESS: row("c")}


# ---- what goes wrong -----------------------------------------------------------------------------------------------


def test_nobody_listens():
    engine = RedisEngine(f"redis://127.0.0.1:{servers.free_port()}/0/name")
    text = fails(ServerUnavailable, "connection refused.*start the server", lambda: engine.get(ADDRESS))
    assert engine._url in text
    fails(ConnectionError, "refused", lambda: engine.put(ADDRESS, row("a")))


def test_the_host_is_not_known():
    engine = RedisEngine("redis://no-such-host.invalid:6379/0/name")
    fails(ServerUnavailable, "host is not known", lambda: engine.get(ADDRESS))


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:{}/0/name", "redis://:wrong@127.0.0.1:{}/0/name", "redis://who:wrong@127.0.0.1:{}/0/name"],
)
def test_a_missing_and_a_wrong_password(start_redis, url):
    server = start_redis("--requirepass", "right")
    engine = RedisEngine(url.format(server.port))
    text = fails(ServerUnavailable, "password", lambda: engine.get(ADDRESS))
    assert "wrong@" not in text
    fails(ServerUnavailable, "password", lambda: engine.put(ADDRESS, row("a")))


def test_the_right_password_after_a_wrong_one(start_redis):
    server = start_redis("--requirepass", "right")
    with pytest.raises(ServerUnavailable):
        RedisEngine(f"redis://:wrong@127.0.0.1:{server.port}/0/name").get(ADDRESS)
    engine = RedisEngine(f"redis://:right@127.0.0.1:{server.port}/0/name")
    engine.put(ADDRESS, row("a"))
    assert engine.get(ADDRESS) == row("a")


def test_a_password_for_a_server_that_has_none(redis_base):
    if servers.REDIS_URL:
        pytest.skip("a server of our own is known to have no password")
    scheme, _, rest = redis_base.partition("://")
    engine = RedisEngine(f"{scheme}://:secret@{rest}/name")
    fails(ServerUnavailable, "no password; leave it out", lambda: engine.get(ADDRESS))


def test_users_of_access_lists(start_redis):
    server = start_redis(
        "--user",
        "writer on >w ~hashstash:* +@all -@admin -@dangerous",
        "--user",
        "reader on >r ~hashstash:* +@read +@connection",
    )
    address = f"127.0.0.1:{server.port}/0/name"
    writer, reader = RedisEngine(f"redis://writer:w@{address}"), RedisEngine(f"redis://reader:r@{address}")
    writer.put_many([(ADDRESS, row("a")), (OTHER, row("b"))])
    assert writer.swap(OTHER, row("b")[8:16], row("c", 5))
    assert dict(reader.rows()) == {ADDRESS: row("a"), OTHER: row("c", 5)}
    assert reader.count() == 2
    for act in (
        lambda: reader.put(ADDRESS, row("x")),
        lambda: reader.delete(ADDRESS),
        lambda: reader.swap(ADDRESS, None, row("x")),
        reader.clear,
    ):
        fails(ReadOnlyStash, "this user may not do that.*ACL SETUSER", act)
    writer.clear()
    assert reader.count() == 0


def test_a_user_who_may_only_read_still_computes(start_redis):
    server = start_redis("--user", "reader on >r ~hashstash:* +@read +@connection")
    stash = HashStash(f"redis://reader:r@127.0.0.1:{server.port}/0/name")
    with pytest.warns(RuntimeWarning, match="could not be stored"):
        assert stash.run(len, [1, 2, 3]) == 3


def test_a_user_who_may_nothing(start_redis):
    server = start_redis("--user", "nobody on >n +@connection")
    engine = RedisEngine(f"redis://nobody:n@127.0.0.1:{server.port}/0/name")
    fails(ServerUnavailable, "this user may not do that", lambda: engine.get(ADDRESS))


def test_a_server_that_does_not_answer(start_redis):
    server = start_redis()
    engine = RedisEngine(server.url + "/name")
    engine.put(ADDRESS, row("a"))
    server.pause()
    try:
        text = fails(ServerUnavailable, "no answer within 4 s", lambda: engine.get(ADDRESS))
        assert str(server.port) in text
        started = time.monotonic()
        with pytest.raises(ServerUnavailable, match="asked again"):
            engine.put(ADDRESS, row("b"))
        assert time.monotonic() - started < 3.5
        engine.close()
    finally:
        server.resume()
    soon(lambda: _answers(engine))
    assert engine.get(ADDRESS) == row("a")


def _answers(engine):
    try:
        return engine.get(ADDRESS) is not None
    except ServerUnavailable:
        return False


def test_a_new_connection_to_a_server_that_does_not_answer(start_redis):
    server = start_redis()
    server.pause()
    try:
        fails(ServerUnavailable, "no answer", lambda: RedisEngine(server.url + "/name").get(ADDRESS))
    finally:
        server.resume()


def test_the_timeout_may_be_chosen(start_redis):
    server = start_redis()
    server.pause()
    try:
        started = time.monotonic()
        with pytest.raises(ServerUnavailable, match="within 0.3 s"):
            HashStash("name", engine="redis", url=server.url, timeout=0.3).get("a")
        assert time.monotonic() - started < 3.5
    finally:
        server.resume()


def test_a_server_that_was_restarted_is_used_again(start_redis):
    server = start_redis("--appendonly", "yes", "--appendfsync", "always")
    stash = HashStash(server.url + "/name")
    stash["a"] = 1
    server.stop()
    fails(ServerUnavailable, "refused|lost", lambda: stash["a"])
    server.start(server.port)
    assert stash["a"] == 1
    stash["b"] = 2
    assert len(stash) == 2


def test_a_full_server(start_redis):
    server = start_redis("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    stash = HashStash(server.url + "/name", compress=False)
    noise = os.urandom(100_000)

    def fill():
        for number in range(100):
            stash[number] = noise

    text = fails(StashFull, "maxmemory", fill)
    assert str(server.port) in text
    number = len(stash)
    assert number
    assert sum(1 for value in stash.values() if value == noise) == number
    with pytest.raises(StashFull):
        stash.set_many(dict.fromkeys(range(100), noise))
    del stash[0]
    assert 0 not in stash
    with pytest.warns(RuntimeWarning, match="returned its result, which could not be stored.*maxmemory"):
        assert stash.run(bytes, 5_000_000) == bytes(5_000_000)
    stash.clear()
    soon(lambda: _stores(stash, noise))  # the server gives its memory back a little later
    assert stash["fits"] == noise


def _stores(stash, value):
    try:
        stash["fits"] = value
    except StashFull:
        return False
    return True


def test_a_read_only_replica(start_redis):
    primary = start_redis()
    HashStash(primary.url + "/name")["a"] = 1
    replica = start_redis("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0")
    stash = HashStash(replica.url + "/name")
    soon(lambda: stash.get("a") == 1)
    assert dict(stash) == {"a": 1}
    assert len(stash) == 1
    for act in (lambda: stash.__setitem__("b", 2), lambda: stash.discard("a"), stash.clear):
        fails(ReadOnlyStash, "read-only replica", act)
    with pytest.warns(RuntimeWarning, match="could not be stored.*replica"):
        assert stash.run(len, [1]) == 1


def test_a_function_gives_its_result_when_the_server_is_away():
    stash = HashStash(f"redis://127.0.0.1:{servers.free_port()}/0/name")
    calls = []

    @stash.stashed_result
    def double(number):
        calls.append(number)
        return 2 * number

    with pytest.warns(RuntimeWarning, match="refused") as warned:
        assert double(2) == 4
    assert len(warned) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert double(2) == 4
    assert calls == [2, 2]


def test_a_function_waits_once_for_a_server_that_does_not_answer(start_redis):
    server = start_redis()
    stash = HashStash(server.url + "/name")
    stash["a"] = 1
    server.pause()
    try:
        started = time.monotonic()
        with pytest.warns(RuntimeWarning, match="no answer"):
            assert stash.run(len, [1]) == 1
        assert time.monotonic() - started < IN_TIME
    finally:
        server.resume()


def test_what_loses_data_is_said_by_check(start_redis):
    server = start_redis("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    problems = RedisEngine(server.url + "/name").check()
    assert len(problems) == 2
    assert "allkeys-lru" in problems[0]
    assert "restart loses everything" in problems[1]
    assert RedisEngine(start_redis("--appendonly", "yes").url + "/name").check() == []


def test_a_database_that_does_not_exist(start_redis):
    engine = RedisEngine(f"redis://127.0.0.1:{start_redis().port}/99/name")
    fails(ServerUnavailable, "no database of that number", lambda: engine.get(ADDRESS))


class Proxy:
    """Passes bytes on to a server, and drops the connection after the next request has been passed on, if it is told to."""

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.drops = 0
        self.before_drop = lambda: None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client, server):
        drops = False
        with client, server:
            while True:
                for side in select.select([client, server], [], [])[0]:
                    data = side.recv(1 << 20)
                    if not data:
                        return
                    if side is client:
                        server.sendall(data)
                        if self.drops and b"EVAL" in data:
                            self.drops, drops = self.drops - 1, True
                    elif drops:
                        self.before_drop()
                        return
                    else:
                        client.sendall(data)

    def close(self):
        self._listener.close()


@pytest.fixture
def proxy(start_redis):
    proxy = Proxy(start_redis().port)
    yield proxy
    proxy.close()


@pytest.fixture
def through(proxy):
    """An engine whose answers may get lost, its scripts known to the server."""
    engine = RedisEngine(f"redis://127.0.0.1:{proxy.port}/0/name")
    engine.put(b"warm", row("up"))
    engine.swap(b"warm", row("up")[8:16], row("up", 2))
    engine.delete(b"warm")
    return engine


def test_a_write_whose_answer_was_lost_is_written_once_more(through, proxy):
    proxy.drops = 1
    through.put(ADDRESS, row("a"))
    assert through.get(ADDRESS) == row("a")


def test_a_swap_whose_answer_was_lost_is_known_to_have_happened(through, proxy):
    through.put(ADDRESS, row("a", 1))
    proxy.drops = 1
    assert through.swap(ADDRESS, row("a", 1)[8:16], row("b", 2)) is True
    assert through.get(ADDRESS) == row("b", 2)


def test_a_swap_of_which_nobody_knows_says_so(through, proxy):
    other = RedisEngine(f"redis://127.0.0.1:{proxy._target}/0/name")
    through.put(ADDRESS, row("a", 1))
    proxy.before_drop = lambda: other.put(ADDRESS, row("c", 3))
    proxy.drops = 1
    fails(ServerUnavailable, "not known", lambda: through.swap(ADDRESS, row("a", 1)[8:16], row("b", 2)))
    assert through.get(ADDRESS) == row("c", 3)


def test_a_connection_that_is_lost_twice_is_an_error(through, proxy):
    proxy.drops = 2
    fails(ServerUnavailable, "lost twice", lambda: through.put(ADDRESS, row("a")))


def test_an_idle_connection_that_the_server_has_closed(start_redis):
    server = start_redis("--timeout", "1")
    stash = HashStash(server.url + "/name")
    stash["a"] = 1
    time.sleep(2.5)
    assert stash["a"] == 1
    stash["b"] = 2


INTERRUPTED = """
import random, signal, sys, time
from hashstash.engines.redis import RedisEngine
from hashstash.testing.rows import row
engine = RedisEngine(sys.argv[1])
rows = {bytes([number]) * 16: row(f"value {number}") for number in range(50)}
engine.put_many(rows.items())
wrong = []
def read():
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0002, 0.004))
    swallowed = time.monotonic() + 0.1  # an interrupt in a finalizer of redis-py is only printed
    while time.monotonic() < swallowed:
        address = random.choice(list(rows))
        if engine.get(address) != rows[address]: wrong.append(address)
interrupts, deadline = 0, time.monotonic() + 60
while interrupts < 200 and time.monotonic() < deadline:
    try: read()  # a call of its own: Python 3.13 does not count the jump at a loop's end to the try around it
    except KeyboardInterrupt: interrupts += 1
print(len(wrong), interrupts >= 50)
"""


@pytest.mark.slow
def test_after_an_interrupt_no_answer_is_taken_for_that_to_another_question(proxy):
    """The proxy is slow enough for interrupts to come between a question and its answer."""
    code = "import signal; signal.signal(signal.SIGALRM, signal.default_int_handler)\n" + INTERRUPTED
    command = [sys.executable, "-c", code, f"redis://127.0.0.1:{proxy.port}/0/name"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "0 True\n", done.stderr


def test_a_process_that_ends_says_nothing(redis_url):
    code = (
        f"from hashstash import HashStash; stash = HashStash({redis_url!r}); stash['a'] = 1\n"
        "with stash.lock('a'): pass\n"
        "assert stash.run(len, [1]) == 1"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# ---- ways to the server --------------------------------------------------------------------------------------------


def test_a_socket_of_the_file_system(start_redis, tmp_path):
    path = f"/tmp/hashstash-{os.urandom(4).hex()}.sock"
    start_redis("--unixsocket", path)
    try:
        stash = HashStash(f"redis+unix://{path}/1/name")
        stash["a"] = 1
        assert stash.path == f"redis+unix://{path}/1/name"
        assert HashStash(stash.path)["a"] == 1
        assert HashStash(f"redis+unix://{path}/0/name").get("a") is None
    finally:
        os.unlink(path)
    engine = RedisEngine(f"redis+unix://{tmp_path}/none.sock/0/name")
    fails(ServerUnavailable, "no such socket", lambda: engine.get(ADDRESS))


def test_encrypted_connections(start_redis, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: there is no certificate")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    files = (
        "--tls-cert-file",
        f"{tmp_path}/cert",
        "--tls-key-file",
        f"{tmp_path}/key",
        "--tls-ca-cert-file",
        f"{tmp_path}/cert",
    )
    server = start_redis("--tls-port", *files, "--tls-auth-clients", "no", "--requirepass", "pass")
    address = f":pass@127.0.0.1:{server.port}/0/name"
    stash = HashStash(f"rediss://{address}?ssl_ca_certs={tmp_path}/cert")
    stash["a"] = 1
    assert stash["a"] == 1
    assert HashStash(stash.path)["a"] == 1
    fails(ServerUnavailable, "certificate is not trusted", lambda: HashStash(f"rediss://{address}").get("a"))
    fails(ServerUnavailable, "lost", lambda: HashStash(f"redis://{address}").get("a"))


@pytest.fixture
def cluster(start_redis):
    """The port of a node of a cluster of three."""
    if shutil.which("redis-cli") is None:
        pytest.skip("redis-cli is not installed: no cluster can be made")
    nodes = [
        start_redis(
            "--cluster-enabled", "yes", "--cluster-port", str(servers.free_port()), "--cluster-node-timeout", "2000"
        )
        for _ in range(3)
    ]
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    subprocess.run(
        ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], check=True, capture_output=True, timeout=60
    )
    for node in nodes:
        with servers.raw_redis(node.url) as client:
            soon(lambda client=client: client.cluster("info")["cluster_state"] == "ok")
    return nodes[0].port


@pytest.mark.slow
def test_a_cluster(cluster):
    stashes = [
        HashStash(f"redis+cluster://127.0.0.1:{cluster}/0/name{number}", append_mode=True) for number in range(8)
    ]
    for number, stash in enumerate(stashes):
        stash.set_many({key: key for key in range(50)})
        stash["a"] = number
        stash["a"] = number + 1
        stash.put("short", 1, ttl=600)
        assert stash.get_all("a") == [number, number + 1]
        assert stash.get_many(range(50)) == list(range(50))
        assert len(stash) == len(list(stash)) == 52
        assert stash.run(len, [number]) == 1
    stashes[0].clear()
    assert [len(stash) for stash in stashes] == [0] + 7 * [52]
    assert stashes[1].store.engine.check()
    fails(
        ServerUnavailable,
        r"redis\+cluster://",
        lambda: [HashStash(f"redis://127.0.0.1:{cluster}/0/{n}").get("a") for n in range(20)],
    )


def test_a_server_that_is_no_cluster(start_redis):
    engine = RedisEngine(f"redis+cluster://127.0.0.1:{start_redis().port}/0/name")
    fails(ServerUnavailable, "no cluster", lambda: engine.get(ADDRESS))


# ---- processes -----------------------------------------------------------------------------------------------------


def test_stashes_of_one_server_share_their_connections(redis_url):
    one, two = RedisEngine(redis_url), RedisEngine(redis_url + "b")
    one.get(ADDRESS)
    two.section("history").get(ADDRESS)
    assert one._server is two.section("history")._server


def test_a_killed_writer_leaves_whole_batches(redis_url):
    code = (
        "import sys, os; from hashstash.engines.redis import RedisEngine; from hashstash.testing.rows import row\n"
        f"engine = RedisEngine({redis_url!r})\n"
        "print('ready', flush=True)\n"
        "while True: engine.put_many([(os.urandom(16), row('x' * 500)) for _ in range(100)])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    engine = RedisEngine(redis_url)
    soon(lambda: engine.count() > 0)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    assert engine.count() == len(dict(engine.rows())) > 0
    assert engine.count() % 100 == 0


# ---- what is no row --------------------------------------------------------------------------------------------------


@pytest.fixture
def with_a_list(redis_url):
    """A stash with a row for "a" and one for "b", of which somebody has made a list."""
    stash = HashStash(redis_url)
    stash.update({"a": 1, "b": 2})
    engine = stash.store.engine
    with servers.raw_redis(engine._url) as client:
        key = engine._base + stash.store.keys.address("b").hex()
        client.delete(key)
        client.rpush(key, "no row")
    return stash


def test_what_is_no_row_is_a_damaged_one(with_a_list):
    with pytest.raises(CorruptEntry, match="the row is cut off: 0 bytes"):
        with_a_list["b"]
    engine, address = with_a_list.store.engine, with_a_list.store.keys.address("b")
    assert engine.peek(address, 10) == dict(engine.rows())[address] == dict(engine.heads(10))[address] == b""


def test_it_does_not_hide_the_others(with_a_list):
    with pytest.warns(RuntimeWarning, match="1 entry that cannot be read"):
        assert dict(with_a_list) == {"a": 1}


def test_it_is_found_and_moved_aside(with_a_list):
    assert len(with_a_list.check()) == 1
    assert len(with_a_list.repair().moved) == 1
    assert not with_a_list.check()


def test_it_may_be_written_over(with_a_list):
    with_a_list["b"] = 3
    assert with_a_list["b"] == 3
