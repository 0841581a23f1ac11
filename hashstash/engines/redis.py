"""Rows on a Redis server, shared by everybody who may use it.

Each row is a string of its own, so that the server can let it expire; a sorted set of the addresses beside it gives the number of
rows and their order, and a second one holds what will expire and when. All keys of one section carry the section's name in
braces: in a cluster they lie on one node, where scripts and ``MGET`` may touch many of them at once. Writes are small scripts
on the server, each of them atomic. Whatever a stash writes begins with ``hashstash:``; nothing else is ever looked at.
"""

from __future__ import annotations

import hashlib
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from hashstash import credentials
from hashstash.engines import _redis_scripts as scripts
from hashstash.engines import _redis_words as words
from hashstash.engines._remote import (
    CONNECT_TIMEOUT,
    LEASES,
    Dropped,
    PasswordNeeded,
    RemoteEngine,
    Server,
    host_of,
    is_address,
    last_parts,
    whole_number,
)
from hashstash.errors import (
    CorruptEntry,
    MissingDependency,
    ReadOnlyStash,
    ServerUnavailable,
    StashFull,
    UnsupportedValue,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hashstash.engine import WriteId

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisClusterException, RedisError
    from redis.retry import Retry
except ImportError as error:
    raise MissingDependency("the redis engine needs the package 'redis': pip install 'hashstash[redis]'") from error

_PREFIX = "hashstash:"
_PLACES = _PREFIX + "places"
_LARGEST_BLOB = 512 << 20
_BATCH = 500
_BATCH_BYTES = 4 << 20
_FOUND = 200
_LISTED = 1000
_END = "g"  # behind the last hexadecimal digit
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_FALSE = ("0", "false", "no", "none")


class _Script:
    """A script that runs on the server as one step."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def run(self, client: Any, keys: list[str], *values: bytes | str | int) -> Any:
        try:
            return client.evalsha(self.digest, len(keys), *keys, *values)
        except redis.exceptions.NoScriptError:  # a new server, or one that was restarted
            return client.eval(self.text, len(keys), *keys, *values)


_PUT, _SWAP, _DELETE = map(_Script, (scripts.PUT, scripts.SWAP, scripts.DELETE))
_EXPIRE, _COMPACT, _CLEAR = map(_Script, (scripts.EXPIRE, scripts.COMPACT, scripts.CLEAR))


class RedisEngine(RemoteEngine):
    """Rows on the server at *url*, or at *host*, *port* (6379) and *db* (0), as *username* with *password*.

    ``redis://``, ``rediss://`` (TLS; ``?ssl_ca_certs=file``), ``redis+unix:///path/to.sock`` and ``redis+cluster://``. *timeout*:
    seconds to wait for an answer. *lease*: seconds after which the lock of a process that died is free.
    """

    name = "redis"
    title = "Redis"
    options = ("url", "host", "port", "db", "username", "password", "timeout", "lease")
    default_url = "redis://localhost:6379/0"

    def __init__(self, place: str, *, section: str = "", **options: Any) -> None:
        super().__init__(place, section=section, **options)
        self._section_place = f"{self._place}@{section}" if section else self._place
        self._base = f"{_PREFIX}{{{self._section_place}}}:"
        self._index = self._base + "rows"
        self._expiring = self._base + "expiring"
        self._is_listed = section == LEASES

    # ---- where -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_url(cls, url: str) -> tuple[str, dict[str, Any]]:
        parsed = credentials.parse_url(url)
        path, db, rest = _split_path(parsed)
        found: dict[str, Any] = {"url": parsed._replace(path=(*path, db), password=None).bare()}
        if parsed.password is not None:
            found["password"] = parsed.password
        return "/".join(rest), found

    @classmethod
    def _settled_url(cls, parsed: credentials.ServerUrl, options: dict[str, Any]) -> credentials.ServerUrl:
        path, db, rest = _split_path(parsed)
        if rest:
            raise ValueError("url= names a server; the name of the stash is the first argument of HashStash")
        if "db" in options:
            db = str(whole_number(options.pop("db"), "db"))
        query = []
        for name, value in parsed.query:
            if name == "timeout":
                options.setdefault("timeout", float(value))
            elif name in _TLS:
                query.append((name, value))
            else:
                raise ValueError(f"a redis URL has no parameter {name!r}; known: timeout, {', '.join(_TLS)}")
        hosts = parsed.hosts
        if not parsed.scheme.endswith("unix"):
            host, port = host_of(hosts, 6379)
            host = options.pop("host", host) or "localhost"
            port = whole_number(options.pop("port", port), "port")
            hosts = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return parsed._replace(hosts=hosts, path=(*path, db), query=tuple(query))

    def _connect(self, url: credentials.ServerUrl, password: str | None, timeout: float) -> Server[Any]:
        path, db, _ = _split_path(url)
        options: dict[str, Any] = {
            "password": password if password is not None or not url.user else "",
            "username": url.user or None,
            "socket_timeout": timeout,
            "socket_connect_timeout": min(CONNECT_TIMEOUT, timeout),
            "retry": Retry(NoBackoff(), 0),  # we know better what may be asked twice
            "protocol": 2,
        }
        if url.scheme.endswith("unix"):
            client = redis.Redis(unix_socket_path="/" + "/".join(path), db=int(db), **options)
            return _server(client)
        if url.scheme.startswith("rediss"):
            options["ssl"] = True
            options.update((name, _setting(value) if name.endswith("name") else value) for name, value in url.query)
        host, port = host_of(url.hosts, 6379)
        if url.scheme.endswith("+cluster"):
            return self._connect_cluster(host, port, options)
        return _server(redis.Redis(host=host, port=port, db=int(db), **options))

    def _connect_cluster(self, host: str, port: int, options: dict[str, Any]) -> Server[Any]:
        try:
            cluster = redis.RedisCluster(host=host, port=port, **options)
        except (RedisError, RedisClusterException, OSError) as error:
            raise self._explained(error.__cause__ or error, writing=False) from error  # type: ignore[arg-type]
        return _server(cluster)

    @classmethod
    def stashes_below(cls, folder: str, options: Mapping[str, Any]) -> list[str]:
        # A stash of which only a section has rows is one, too; in names of places, an @ is percent-encoded.
        return last_parts([place.partition("@")[0] for place in cls("", **options).listed()], folder)

    def listed(self) -> list[str]:
        """The places in which rows may lie."""
        return [place.decode() for place in self._ask(lambda client: client.smembers(_PLACES))]

    def section_names(self) -> list[str]:
        prefix = self._place + "@"
        found = {place[len(prefix) :] for place in self.listed() if place.startswith(prefix)}
        return sorted({*super().section_names(), *found} - {LEASES})

    def _list(self) -> None:
        self._ask(lambda client: client.sadd(_PLACES, self._section_place), writing=True)
        self._is_listed = True

    # ---- rows ------------------------------------------------------------------------------------------------------

    def get(self, address: bytes) -> bytes | None:
        key = self._base + address.hex()
        return self._ask(lambda client: client.get(key))  # type: ignore[no-any-return]

    def has(self, address: bytes) -> bool:
        return bool(self._ask(lambda client: client.exists(self._base + address.hex())))

    def peek(self, address: bytes, size: int) -> bytes | None:
        key = self._base + address.hex()
        return self._ask(lambda client: client.getrange(key, 0, max(size, 1) - 1)) or self.get(address)

    def put(self, address: bytes, blob: bytes) -> None:
        self._put_rows([(address, blob)])

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        batch: list[tuple[bytes, bytes]] = []
        size = 0
        for address, blob in rows:
            batch.append((address, blob))
            size += len(blob)
            if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                self._put_rows(batch)
                batch, size = [], 0
        if batch:
            self._put_rows(batch)

    def _put_rows(self, rows: list[tuple[bytes, bytes]]) -> None:
        if not self._is_listed:
            self._list()
        keys = [self._index, self._expiring]
        values: list[bytes | str] = []
        for address, blob in rows:
            name = address.hex()
            keys.append(self._base + name)
            values += (self._fitting(blob), name)
        size = sum(map(len, values))
        was_empty = self._ask(lambda client: _PUT.run(client, keys, *values), writing=True, size=size) == 2
        if was_empty and self._section_name != LEASES:
            self._list()  # whoever emptied it took it off the list

    def _fitting(self, blob: bytes) -> bytes:
        if len(blob) > _LARGEST_BLOB:
            raise UnsupportedValue(
                f"{self._url}: {len(blob):,} bytes are more than the 512 MB that Redis takes as one value; keep it in a stash"
                " on files, or in parts"
            )
        return blob if type(blob) is bytes else bytes(blob)

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        if not self._is_listed:
            self._list()
        name = address.hex()
        keys = [self._index, self._expiring, self._base + name]
        values = (self._fitting(blob), name, b"" if expected is None else expected)
        is_there = int(expected is not None)
        try:
            answer = self._ask_once(
                lambda client: _SWAP.run(client, keys, *values, 0, is_there), writing=True, size=len(blob)
            )
        except Dropped as error:
            answer = self._ask_again(
                lambda client: _SWAP.run(client, keys, *values, 1, is_there), writing=True, size=len(blob)
            )
            if not answer:
                raise self._nobody_knows("whether the row was stored before that is not known") from error.__cause__
        if answer == 2 and self._section_name != LEASES:
            self._list()
        return bool(answer)

    def delete(self, address: bytes) -> bool:
        name = address.hex()
        keys = [self._index, self._expiring, self._base + name]
        try:
            return bool(self._ask_once(lambda client: _DELETE.run(client, keys, name), writing=True))
        except Dropped as error:
            if self._ask_again(lambda client: _DELETE.run(client, keys, name), writing=True):
                return True
            raise self._nobody_knows("whether there was a row is not known; now there is none") from error.__cause__

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        wanted = iter(addresses)
        while batch := [self._base + address.hex() for address in islice(wanted, _FOUND)]:
            yield from self._ask(lambda client, batch=batch: client.mget(batch))  # type: ignore[misc]

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        for names in self._pages(prefix.hex()):
            yield from map(bytes.fromhex, names)

    def _pages(self, prefix: str = "") -> Iterator[list[str]]:
        """The addresses in hexadecimal, in order and in batches; those whose rows have expired are left out."""
        start, end = (f"[{prefix}" if prefix else "-").encode(), f"({prefix}{_END}"
        while True:

            def ask(client: Any, start: bytes = start) -> Any:
                pipe = client.pipeline(transaction=False)
                pipe.zrangebylex(self._index, start, end, 0, _LISTED)
                pipe.exists(self._expiring)
                return pipe.execute()

            found, some_expire = self._ask(ask)
            if not found:
                return
            if (
                start[:1] == b"(" and found[-1] <= start[1:]
            ):  # else a list that somebody has disordered would have no end
                raise CorruptEntry(f"{self.location()}: the list of its rows is out of order; clear the stash")
            start = b"(" + found[-1]
            names = [name.decode() for name in found if is_address(name)]
            yield self._present(names) if some_expire else names

    def _present(self, names: list[str]) -> list[str]:
        there = self._of_each(names, lambda pipe, key: pipe.exists(key))
        return [name for name, is_there in zip(names, there, strict=True) if is_there]

    def _of_each(self, names: list[str], command: Callable[[Any, str], Any]) -> list[Any]:
        def ask(client: Any) -> Any:
            pipe = client.pipeline(transaction=False)
            for name in names:
                command(pipe, self._base + name)
            return pipe.execute()

        return self._ask(ask) if names else []

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        for names in self._pages():
            for group in _in_groups(names, self._of_each(names, lambda pipe, key: pipe.strlen(key))):
                addresses = [bytes.fromhex(name) for name in group]
                for address, blob in zip(addresses, self.get_many(addresses), strict=True):
                    if blob is not None:
                        yield address, blob

    def heads(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        for names in self._pages():
            found = self._of_each(names, lambda pipe, key: pipe.getrange(key, 0, size - 1))
            for address, head in zip(map(bytes.fromhex, names), found, strict=True):
                blob = head or self.get(address)  # of no row, or of an empty one
                if blob is not None:
                    yield address, blob

    def count(self) -> int:
        def ask(client: Any) -> Any:
            pipe = client.pipeline(transaction=False)
            pipe.zcard(self._index)
            pipe.exists(self._expiring)
            return pipe.execute()

        number, some_expire = self._ask(ask)
        return number - self._over() if some_expire else number  # type: ignore[no-any-return]

    def _over(self) -> int:
        """How many rows have expired and are still among the addresses."""
        seconds, micros = self._ask(lambda client: _first(client.time()))
        return self._ask(  # type: ignore[no-any-return]
            lambda client: client.zcount(self._expiring, "-inf", seconds * 1000 + micros // 1000)
        )

    def size_bytes(self) -> int:
        return sum(
            sum(len(name) // 2 for name in names) + sum(self._of_each(names, lambda pipe, key: pipe.strlen(key)))
            for names in self._pages()
        )

    def expire(self, address: bytes, moment: int, expected: WriteId | None = None) -> None:
        name = address.hex()
        keys = [self._index, self._expiring, self._base + name]
        milliseconds, now = -(-moment // 10**6), time.time_ns() // 10**6
        values = (10, self._base, name, milliseconds, b"" if expected is None else expected, now)
        self._ask(lambda client: _EXPIRE.run(client, keys, *values), writing=True)

    # ---- the whole -------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        if not self._section_name:
            for name in self.section_names():
                self.section(name).clear()
        # First off the list: whoever writes into the emptied section puts it there again.
        self._ask(lambda client: client.srem(_PLACES, self._section_place), writing=True)
        keys = [self._index, self._expiring]
        left = self._ask(lambda client: client.zcard(self._index))
        while left > 0 and self._ask(lambda client: _CLEAR.run(client, keys, _BATCH, self._base), writing=True):
            left -= _BATCH

    def compact(self) -> None:
        for section in () if self._section_name else self.section_names():
            self.section(section).compact()
        keys = [self._index, self._expiring]
        while self._ask(lambda client: _COMPACT.run(client, keys, _BATCH, self._base), writing=True):
            pass

    def check(self) -> list[str]:
        found = self._ask(_first_node_info)
        policy = str(found.get("maxmemory_policy", "noeviction"))
        problems = []
        if policy != "noeviction":
            problems.append(
                f"{self._url}: its maxmemory-policy is {policy}: when its memory is full it removes entries without a word;"
                " set it to noeviction"
            )
        if not found.get("aof_enabled") and not found.get("rdb_saves_by_itself", 1):
            problems.append(
                f"{self._url}: it writes nothing to a disk: a restart loses everything; set 'appendonly yes', or 'save'"
            )
        if found.get("rdb_last_bgsave_status", "ok") != "ok" or found.get("aof_last_write_status", "ok") != "ok":
            problems.append(f"{self._url}: its last attempt to write to its disk failed; look into its log")
        return problems

    # ---- errors ----------------------------------------------------------------------------------------------------

    def _explained(self, error: Exception, *, writing: bool) -> Exception:
        text = str(error)
        if isinstance(error, redis.TimeoutError):
            silent = ServerUnavailable(
                f"{self._url}: no answer within {self._timeout:g} s; is the server overloaded, or paused? (timeout= sets this)"
            )
            if self._server is not None:
                self._server.has_been_silent(silent)
            return silent
        if not isinstance(error, (RedisError, RedisClusterException, OSError)):
            return error
        if isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM command" in text:
            return StashFull(
                28, f"{self._url}: the server has reached its maxmemory; clear a stash, or raise maxmemory"
            )
        if isinstance(error, redis.ReadOnlyError) or "READONLY" in text:
            return ReadOnlyStash(
                f"{self._url} is a read-only replica; open the stash at the primary server to change it"
            )
        if isinstance(error, redis.exceptions.MovedError):
            return ServerUnavailable(
                f"{self._url}: the server is a cluster; write redis+cluster:// instead of redis://"
            )
        advice = words.advice(text, writing=writing)
        if advice in (words.WRONG, words.UNWANTED):
            credentials.forget(self._url)
        if words.is_forbidden(text):
            kind = ReadOnlyStash if writing else ServerUnavailable
            return kind(f"{self._url}: {advice}")
        if isinstance(error, redis.ConnectionError) and not advice and _is_dropped(error):
            return Dropped(text)
        kind = PasswordNeeded if advice == words.MISSING else ServerUnavailable
        return kind(f"{self._url}: {advice or text}")


def _server(client: Any) -> Server[Any]:
    """*client*, which after an interrupt must not take the answer to one question for that to the next."""

    def let_go() -> None:
        nodes = client.get_nodes() if hasattr(client, "get_nodes") else [None]  # the first is a cluster
        for each in [client if node is None else node.redis_connection for node in nodes]:
            if each is not None:
                each.connection_pool.disconnect(inuse_connections=False)

    return Server(client, client.close, let_go_of_idle=let_go)


def _is_dropped(error: Exception) -> bool:
    """Whether a connection was lost that had been there."""
    if isinstance(error, (redis.AuthenticationError, redis.exceptions.AuthorizationError, redis.BusyLoadingError)):
        return False
    return "connecting to" not in str(error) and "MaxConnections" not in type(error).__name__


def _split_path(url: credentials.ServerUrl) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """The path of the socket, the number of the database, and the parts of the name in the path of a URL."""
    path = url.path
    socket: tuple[str, ...] = ()
    if url.scheme.endswith("unix"):
        ends = [number for number, part in enumerate(path, 1) if part.endswith(".sock")]
        if not ends:
            raise ValueError("a redis+unix:// URL holds the path of a socket that ends with .sock, then /db/name")
        socket, path = path[: ends[0]], path[ends[0] :]
    has_db = bool(path) and path[0].isascii() and path[0].isdigit()
    return socket, (path[0] if has_db else "0"), path[1:] if has_db else path


def _setting(value: str) -> bool:
    return value.lower() not in _FALSE


def _in_groups(names: list[str], sizes: list[int]) -> Iterator[list[str]]:
    """*names* in groups whose rows are not too much at once."""
    group: list[str] = []
    total = 0
    for name, size in zip(names, sizes, strict=True):
        group.append(name)
        total += size
        if total >= _BATCH_BYTES:
            yield group
            group, total = [], 0
    if group:
        yield group


def _first(answer: Any) -> Any:
    """The answer of one node, where a cluster gives one of each."""
    return next(iter(answer.values())) if isinstance(answer, dict) else answer


def _first_node_info(client: Any) -> dict[str, Any]:
    info = client.info()
    if info and all(isinstance(value, dict) for value in info.values()):
        info = next(iter(info.values()))
    try:
        saves = _first_config(client.config_get("save"))
    except RedisError:
        return dict(info)  # not every user may ask; managed servers allow it to nobody
    return {**info, "rdb_saves_by_itself": bool(saves)}


def _first_config(found: Any) -> str:
    value = found.get("save")
    if value is None:
        value = next((inner["save"] for inner in found.values() if isinstance(inner, dict)), "")
    return str(value)


PLUGIN = RedisEngine
