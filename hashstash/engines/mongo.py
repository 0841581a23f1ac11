"""Rows as documents of a MongoDB server: one collection per stash and section, ``_id`` is the address in hexadecimal.

A document is changed by one update, so that readers see the old row or the new one; a large blob is uploaded under a new name
first and the old one removed afterwards.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from hashstash import credentials
from hashstash.engine import WRITE_ID
from hashstash.engines._mongo_names import LONG_NAMES, collection_of, place_of
from hashstash.engines._remote import LEASES, Dropped, RemoteEngine, Server, in_groups, is_address, last_parts
from hashstash.errors import MissingDependency, ServerUnavailable

try:
    import pymongo  # noqa: F401
except ImportError as error:
    raise MissingDependency("the mongo engine needs the package 'pymongo': pip install 'hashstash[mongo]'") from error

# The parts of this engine, which need the package as well.
from hashstash.engines._mongo_client import connect, settled_url
from hashstash.engines._mongo_rows import LARGEST_DOCUMENT, LISTED, Rows, fields_of, head_of, size_in, what_is_missing
from hashstash.engines._mongo_words import explained, is_silence

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping

    from hashstash.engine import Engine, WriteId

_END = "g"  # behind the last hexadecimal digit
_BATCH = 500
_BATCH_BYTES = 4 << 20
_YOUNGEST_ORPHAN = 3600.0


class MongoEngine(RemoteEngine):
    """Rows in the database of *url*, or in *db* (``hashstash``) at *host* and *port* (27017), as *username* with *password*.

    ``mongodb://host/db/name`` and ``mongodb+srv://``, with MongoDB's own parameters behind ``?``. *timeout*: seconds to wait for
    an answer. *lease*: seconds after which the lock of a process that died is free.
    """

    name = "mongo"
    title = "Mongo"
    options = ("url", "host", "port", "db", "username", "password", "timeout", "lease")
    settings = ("durable",)
    default_url = "mongodb://localhost:27017"

    def __init__(self, place: str, *, section: str = "", durable: bool = False, **options: Any) -> None:
        self._durable = durable
        super().__init__(place, section=section, **options)
        self._collection_name, self._is_long = collection_of(self._place, section)
        self._is_listed = not self._is_long or section == LEASES
        self._expires = False

    def _make_section(self, name: str) -> Engine:
        return MongoEngine(self._place, section=name, durable=self._durable, **self._options)

    # ---- where -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_url(cls, url: str) -> tuple[str, dict[str, Any]]:
        parsed = credentials.parse_url(url)
        found: dict[str, Any] = {"url": parsed._replace(path=parsed.path[:1], password=None).bare()}
        if parsed.password is not None:
            found["password"] = parsed.password
        return "/".join(parsed.path[1:]), found

    @classmethod
    def _settled_url(cls, parsed: credentials.ServerUrl, options: dict[str, Any]) -> credentials.ServerUrl:
        return settled_url(parsed, options)

    def _connect(self, url: credentials.ServerUrl, password: str | None, timeout: float) -> Server[Any]:
        return connect(url, password, timeout)

    @classmethod
    def stashes_below(cls, folder: str, options: Mapping[str, Any]) -> list[str]:
        return last_parts([place for place, _ in cls("", **options).listed()], folder)

    def listed(self) -> list[tuple[str, str]]:
        """The places and sections that have collections."""

        def ask(client: Any) -> list[tuple[str, str]]:
            database = client[self._database]
            found = [place_of(name) for name in database.list_collection_names()]
            found += [(long["place"], long["section"]) for long in database[LONG_NAMES].find({})]
            return [place for place in found if place is not None]

        return self._ask(ask)

    def section_names(self) -> list[str]:
        found = {section for place, section in self.listed() if place == self._place and section}
        return sorted({*super().section_names(), *found} - {LEASES})

    def _list(self) -> None:
        """Note what a collection with a shortened name is for."""
        document = {"place": self._place, "section": self._section_name}
        self._ask(
            lambda client: client[self._database][LONG_NAMES].update_one(
                {"_id": self._collection_name}, {"$set": document}, upsert=True
            ),
            writing=True,
        )
        self._is_listed = True

    @property
    def _database(self) -> str:
        return credentials.parse_url(self._url).path[0]

    def _rows(self, client: Any) -> Rows:
        return Rows(client[self._database], self._collection_name, location=self.location(), durable=self._durable)

    # ---- rows ------------------------------------------------------------------------------------------------------

    def get(self, address: bytes) -> bytes | None:
        return self._get(address, -1)

    def peek(self, address: bytes, size: int) -> bytes | None:
        return self._get(address, max(size, 1))

    def _get(self, address: bytes, size: int) -> bytes | None:
        return self._ask(lambda client: self._rows(client).get(address.hex(), size))

    def has(self, address: bytes) -> bool:
        return self._ask(lambda client: self._rows(client).has(address.hex()))

    def put(self, address: bytes, blob: bytes) -> None:
        self._store({"_id": address.hex()}, blob)

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        return self._swap(address, expected, blob)

    def swap_for(self, address: bytes, expected: WriteId | None, blob: bytes, seconds: float) -> bool:
        self._let_expire()
        when = self._ask(lambda client: client.by_its_clock(seconds))
        return self._swap(address, expected, blob, expires=when)

    def _swap(
        self, address: bytes, expected: WriteId | None, blob: bytes, *, expires: dt.datetime | None = None
    ) -> bool:
        is_new = expected is None
        filters = _filters(address, expected)
        return self._store(filters, blob, only_if_absent=is_new, only_if_there=not is_new, expires=expires)

    def _store(
        self,
        filters: dict[str, str],
        blob: bytes,
        *,
        only_if_absent: bool = False,
        only_if_there: bool = False,
        expires: dt.datetime | None = None,
    ) -> bool:
        """Store *blob* in the document of *filters*; return whether that was done."""
        if not self._is_listed:
            self._list()
        is_stored = False
        fields, file = self._fields(blob)
        if expires is not None:
            fields["e"] = expires
        try:
            if only_if_absent:
                is_stored = self._insert({**filters, **fields}, blob)
            else:
                is_stored = self._update(filters, fields, blob, is_swap=only_if_there)
        finally:
            if file is not None and not is_stored:
                self._remove_unused(file, filters["_id"])
        return is_stored

    def _fields(self, blob: bytes) -> tuple[dict[str, Any], Any]:
        if len(blob) <= LARGEST_DOCUMENT:
            return fields_of(blob), None
        file = self._ask(lambda client: self._rows(client).upload(blob), writing=True, size=len(blob))
        return {**head_of(blob), "f": file}, file

    def _insert(self, document: dict[str, Any], blob: bytes) -> bool:
        def insert(client: Any) -> bool:
            return self._rows(client).insert(document)

        try:
            return self._ask_once(insert, writing=True, size=len(blob))
        except Dropped as error:
            return self._ask_again(insert, writing=True, size=len(blob)) or self._is_ours(document["_id"], blob, error)

    def _update(self, filters: dict[str, str], fields: dict[str, Any], blob: bytes, *, is_swap: bool) -> bool:
        def update(client: Any) -> Any:
            return self._rows(client).update(filters, fields, is_swap=is_swap)

        try:
            old = self._ask_once(update, writing=True, size=len(blob))
        except Dropped as error:
            old = self._ask_again(update, writing=True, size=len(blob))
            if old is None and is_swap:
                return self._is_ours(filters["_id"], blob, error)
        if old is not None and old.get("f") is not None and old["f"] != fields.get("f"):
            self._remove_file(old["f"])
        return old is not None or not is_swap

    def _is_ours(self, name: str, blob: bytes, error: Exception) -> bool:
        """Whether what was stored before the connection dropped is *blob*; ServerUnavailable if that cannot be known."""
        if self.get(bytes.fromhex(name)) == blob:
            return True
        raise self._nobody_knows("whether the row was stored before that is not known") from error.__cause__

    def _remove_unused(self, file: Any, name: str) -> None:
        """Remove an uploaded file, unless the row points at it all the same."""
        try:
            if self._ask(lambda client: self._rows(client).file_of(name)) != file:
                self._remove_file(file)
        except OSError:
            pass  # compact() sweeps it up

    def _remove_file(self, file: Any) -> None:
        self._ask(lambda client: self._rows(client).remove_file(file), writing=True)

    def delete(self, address: bytes) -> bool:
        return self._remove({"_id": address.hex()}, "whether there was a row is not known; now there is none")

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        nobody_knows = "whether the row was there is not known; now it is not"
        if self._remove(_filters(address, expected), nobody_knows):
            return True
        # By damage, a document may say another write id than its blob has.
        said = self._ask(lambda client: self._rows(client).said_id(address.hex()))
        if said == expected.hex() or (self.peek(address, WRITE_ID.stop) or b"")[WRITE_ID] != expected:
            return False
        return self._remove({"_id": address.hex(), "w": {"$eq": said}}, nobody_knows)

    def _remove(self, filters: dict[str, Any], nobody_knows: str) -> bool:
        def remove(client: Any) -> Any:
            return self._rows(client).remove(filters)

        try:
            old = self._ask_once(remove, writing=True)
        except Dropped as error:
            old = self._ask_again(remove, writing=True)
            if old is None:
                raise self._nobody_knows(nobody_knows) from error.__cause__
        if old is not None and old.get("f") is not None:
            self._remove_file(old["f"])
        return old is not None

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        batch: dict[str, bytes] = {}
        size = 0
        for address, blob in rows:
            if len(blob) > LARGEST_DOCUMENT:
                batch.pop(address.hex(), None)
                self.put(address, blob)
                continue
            batch[address.hex()] = blob
            size += len(blob)
            if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                self._put_batch(batch)
                batch, size = {}, 0
        if batch:
            self._put_batch(batch)

    def _put_batch(self, batch: dict[str, bytes]) -> None:
        if not self._is_listed:
            self._list()
        old = self._ask(lambda client: self._rows(client).with_files(list(batch)))
        size = sum(map(len, batch.values()))
        self._ask(lambda client: self._rows(client).put_batch(batch), writing=True, size=size)
        for document in old:
            self._remove_file(document["f"])

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        wanted = iter(addresses)
        while batch := [address.hex() for address in islice(wanted, _BATCH)]:
            found = self._found(batch)
            for name in batch:
                yield found.get(name)

    def _found(self, names: list[str]) -> dict[str, bytes]:
        return self._ask(lambda client: self._rows(client).get_each(names))

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        for page in self._pages(prefix.hex()):
            for document in page:
                yield bytes.fromhex(document["_id"])

    def _pages(self, prefix: str = "", fields: tuple[str, ...] = ()) -> Iterator[list[dict[str, Any]]]:
        """Addresses and some *fields* in order and in batches: no cursor stays open while the caller works."""
        bounds = {"$gte": prefix, "$lt": prefix + _END}
        while True:
            page = self._ask(lambda client, bounds=bounds: self._rows(client).page(bounds, fields))  # type: ignore[misc]
            if not page:
                return
            yield [document for document in page if is_address(document["_id"].encode("utf-8", "surrogatepass"))]
            if len(page) < LISTED:
                return
            bounds = {"$gt": page[-1]["_id"], "$lt": prefix + _END}

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        for page in self._pages(fields=("n",)):
            for group in in_groups([document["_id"] for document in page], list(map(size_in, page)), _BATCH_BYTES):
                for name, blob in self._found(group).items():
                    yield bytes.fromhex(name), blob

    def count(self) -> int:
        return self._ask(lambda client: self._rows(client).count())

    def size_bytes(self) -> int:
        return sum(
            len(document["_id"]) // 2 + size_in(document) for page in self._pages(fields=("n",)) for document in page
        )

    def expire(self, address: bytes, moment: int, expected: WriteId | None = None) -> None:
        self._let_expire()

        def ask(client: Any) -> None:
            when = client.by_its_clock((moment - time.time_ns()) / 1e9)
            self._rows(client).expire(_filters(address, expected), when)

        self._ask(ask, writing=True)

    def _let_expire(self) -> None:
        """Have the server look for rows whose time is over."""
        if not self._expires:
            self._ask(lambda client: self._rows(client).let_expire(), writing=True)
            self._expires = True

    # ---- the whole -------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        if not self._section_name:
            for name in self.section_names():
                self.section(name).clear()
        files = [document["f"] for document in self._with_files()]
        self._ask(lambda client: self._rows(client).remove_all(), writing=True)
        for file in files:
            self._remove_file(file)

    def _with_files(self) -> list[dict[str, Any]]:
        return self._ask(lambda client: self._rows(client).with_files())

    def _uploads(self) -> dict[Any, float]:
        return self._ask(lambda client: self._rows(client).uploads())

    def compact(self) -> None:
        """Remove files that no row points at: those of rows that have expired, and of writers that died."""
        files = self._uploads()
        used = {document["f"] for document in self._with_files()}
        for file, uploaded in files.items():
            if file not in used and time.time() - uploaded > _YOUNGEST_ORPHAN:
                self._remove_file(file)

    def check(self) -> list[str]:
        files = self._uploads()
        return [
            f"{self.location()}: {what_is_missing(document['_id'])}"
            for document in self._with_files()
            if document["f"] not in files
        ]

    def _explained(self, error: Exception, *, writing: bool) -> Exception:
        found = explained(error, self._url, self._timeout, writing=writing)
        if is_silence(error) and isinstance(found, ServerUnavailable) and self._server is not None:
            self._server.has_been_silent(found)
        return found


def _filters(address: bytes, expected: WriteId | None) -> dict[str, str]:
    """What the document at *address* has to be like, whose write id is *expected* if that is one."""
    return {"_id": address.hex()} if expected is None else {"_id": address.hex(), "w": expected.hex()}


PLUGIN = MongoEngine
