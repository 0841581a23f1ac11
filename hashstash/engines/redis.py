"""Rows on a Redis server, shared by everybody who may use it.

Each row is a string of its own, so that the server can let it expire; a sorted set of the addresses beside it gives the number of
rows and their order, and a second one holds what will expire and when. All keys of one section carry the section's name in
braces: in a cluster they lie on one node, where scripts and ``MGET`` may touch many of them at once. Writes are small scripts
on the server, each of them atomic. Whatever a stash writes begins with ``hashstash:``; nothing else is ever looked at.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from hashstash import credentials
from hashstash.engines._remote import LEASES, Dropped, RemoteEngine, Server, in_groups, is_address, last_parts
from hashstash.errors import CorruptEntry, MissingDependency, ServerUnavailable, UnsupportedValue

try:
    import redis
    from redis.exceptions import RedisClusterException, RedisError
except ImportError as error:
    raise MissingDependency("the redis engine needs the package 'redis': pip install 'hashstash[redis]'") from error

# The parts of this engine, which need the package as well.
from hashstash.engines import _redis_scripts as scripts
from hashstash.engines._redis_client import connect, first, settled_url, split_path
from hashstash.engines._redis_losses import losses
from hashstash.engines._redis_words import OtherKind, explained, is_of_other_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hashstash.engine import Change, WriteId

_PREFIX = "hashstash:"
_PLACES = _PREFIX + "places"
_LARGEST_BLOB = 512 << 20
_BATCH = 500
_BATCH_BYTES = 4 << 20
_FOUND = 200
_LISTED = 1000
_END = "g"  # behind the last hexadecimal digit


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
        path, db, rest = split_path(parsed)
        found: dict[str, Any] = {"url": parsed._replace(path=(*path, db), password=None).bare()}
        if parsed.password is not None:
            found["password"] = parsed.password
        return "/".join(rest), found

    @classmethod
    def _settled_url(cls, parsed: credentials.ServerUrl, options: dict[str, Any]) -> credentials.ServerUrl:
        return settled_url(parsed, options)

    def _connect(self, url: credentials.ServerUrl, password: str | None, timeout: float) -> Server[Any]:
        try:
            return connect(url, password, timeout)
        except (RedisError, RedisClusterException, OSError) as error:
            raise self._explained(error.__cause__ or error, writing=False) from error  # type: ignore[arg-type]

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
        try:
            return self._ask(lambda client: client.get(key))  # type: ignore[no-any-return]
        except OtherKind:
            return b""  # a damaged row, for whoever reads it

    def has(self, address: bytes) -> bool:
        return bool(self._ask(lambda client: client.exists(self._base + address.hex())))

    def peek(self, address: bytes, size: int) -> bytes | None:
        key = self._base + address.hex()
        try:
            return self._ask(lambda client: client.getrange(key, 0, max(size, 1) - 1)) or self.get(address)
        except OtherKind:
            return b""

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
        was_empty = self._ask(lambda client: scripts.PUT.run(client, keys, *values), writing=True, size=size) == 2
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
        return self._swap(scripts.SWAP, address, expected, blob)

    def swap_for(self, address: bytes, expected: WriteId | None, blob: bytes, seconds: float) -> bool:
        return self._swap(scripts.SWAP_FOR, address, expected, blob, int(seconds * 1000), self._base)

    def _swap(
        self, script: scripts.Script, address: bytes, expected: WriteId | None, blob: bytes, *rest: str | int
    ) -> bool:
        if not self._is_listed:
            self._list()
        name = address.hex()
        keys = [self._index, self._expiring, self._base + name]
        values = (self._fitting(blob), name, b"" if expected is None else expected)
        is_there = int(expected is not None)
        try:
            answer = self._ask_once(
                lambda client: script.run(client, keys, *values, 0, is_there, *rest), writing=True, size=len(blob)
            )
        except Dropped as error:
            answer = self._ask_again(
                lambda client: script.run(client, keys, *values, 1, is_there, *rest), writing=True, size=len(blob)
            )
            if not answer:
                raise self._nobody_knows("whether the row was stored before that is not known") from error.__cause__
        if answer == 2 and self._section_name != LEASES:
            self._list()
        return bool(answer)

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        stored: list[bool] = []
        batch: list[Change] = []
        size = 0
        for change in changes:
            batch.append(change)
            size += len(change[2])
            if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                stored += self._swap_batch(batch)
                batch, size = [], 0
        return stored + self._swap_batch(batch) if batch else stored

    def _swap_batch(self, batch: list[Change]) -> list[bool]:
        if not self._is_listed:
            self._list()
        keys = [self._index, self._expiring]
        values: list[bytes | str | int] = []
        for address, expected, blob in batch:
            name = address.hex()
            keys.append(self._base + name)
            values += [self._fitting(blob), name, expected or b"", int(expected is not None)]
        size = sum(len(blob) for _, _, blob in batch)
        try:
            answers = self._ask_once(
                lambda client: scripts.SWAP_MANY.run(client, keys, 0, *values), writing=True, size=size
            )
        except Dropped:  # what was stored before it dropped, and is there still, counts
            answers = self._ask_again(
                lambda client: scripts.SWAP_MANY.run(client, keys, 1, *values), writing=True, size=size
            )
        *stored, was_there = map(bool, answers)
        if not was_there and self._section_name != LEASES:
            self._list()
        return stored

    def delete(self, address: bytes) -> bool:
        name = address.hex()
        keys = [self._index, self._expiring, self._base + name]
        try:
            return bool(self._ask_once(lambda client: scripts.DELETE.run(client, keys, name), writing=True))
        except Dropped as error:
            if self._ask_again(lambda client: scripts.DELETE.run(client, keys, name), writing=True):
                return True
            raise self._nobody_knows("whether there was a row is not known; now there is none") from error.__cause__

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        name = address.hex()
        keys = [self._index, self._expiring, self._base + name]
        try:
            return bool(
                self._ask_once(lambda client: scripts.DELETE_IF.run(client, keys, name, expected), writing=True)
            )
        except Dropped as error:
            if self._ask_again(lambda client: scripts.DELETE_IF.run(client, keys, name, expected), writing=True):
                return True
            raise self._nobody_knows("whether the row was there is not known; now it is not") from error.__cause__

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
        """What *command* gives for each row; 0 for what is no row, but of another kind."""

        def ask(client: Any) -> Any:
            pipe = client.pipeline(transaction=False)
            for name in names:
                command(pipe, self._base + name)
            found = [0 if is_of_other_kind(answer) else answer for answer in pipe.execute(raise_on_error=False)]
            failed = next((answer for answer in found if isinstance(answer, Exception)), None)
            if failed is not None:
                raise failed
            return found

        return self._ask(ask) if names else []

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        for names in self._pages():
            for group in in_groups(names, self._of_each(names, lambda pipe, key: pipe.strlen(key)), _BATCH_BYTES):
                addresses = [bytes.fromhex(name) for name in group]
                for address, found in zip(addresses, self.get_many(addresses), strict=True):
                    blob = self.get(address) if found is None else found  # which says that it is of another kind
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
        seconds, micros = self._ask(lambda client: first(client.time()))
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
        values = (self._base, name, milliseconds, b"" if expected is None else expected, now)
        self._ask(lambda client: scripts.EXPIRE.run(client, keys, *values), writing=True)

    # ---- the whole -------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        if not self._section_name:
            for name in self.section_names():
                self.section(name).clear()
        # First off the list: whoever writes into the emptied section puts it there again.
        self._ask(lambda client: client.srem(_PLACES, self._section_place), writing=True)
        keys = [self._index, self._expiring]
        left = self._ask(lambda client: client.zcard(self._index))
        while left > 0 and self._ask(lambda client: scripts.CLEAR.run(client, keys, _BATCH, self._base), writing=True):
            left -= _BATCH

    def compact(self) -> None:
        for section in () if self._section_name else self.section_names():
            self.section(section).compact()
        keys = [self._index, self._expiring]
        while self._ask(lambda client: scripts.COMPACT.run(client, keys, self._base, _BATCH), writing=True):
            pass

    def check(self) -> list[str]:
        return [f"{self._url}: {problem}" for problem in self._ask(losses)]

    def _explained(self, error: Exception, *, writing: bool) -> Exception:
        found = explained(error, self._url, self._timeout, writing=writing)
        if isinstance(error, redis.TimeoutError) and isinstance(found, ServerUnavailable) and self._server is not None:
            self._server.has_been_silent(found)
        return found


PLUGIN = RedisEngine
