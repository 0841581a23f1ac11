"""Rows as documents of a MongoDB server: one collection per stash and section, ``_id`` is the address in hexadecimal.

::

    {_id: "0f3a...", w: the write id in hexadecimal, b: the blob, n: its size, e: when it expires}
    {_id: "0f3a...", w: ..., f: the id of a GridFS file, n: ..., e: ...}                            above 15 MB

A document is changed by one update, so that readers see the old row or the new one; a large blob is uploaded under a new name
first and the old one removed afterwards. Filters name addresses and write ids, both of our own making, and never a payload.
"""

from __future__ import annotations

import datetime as dt
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from hashstash import credentials
from hashstash.engine import WRITE_ID, Engine, WriteId
from hashstash.engines._mongo_names import LONG_NAMES, collection_of, place_of
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
from hashstash.errors import CorruptEntry, MissingDependency, ReadOnlyStash, ServerUnavailable, StashFull

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

try:
    import gridfs
    import pymongo
    from pymongo import errors as mongo_errors
except ImportError as error:
    raise MissingDependency("the mongo engine needs the package 'pymongo': pip install 'hashstash[mongo]'") from error

LARGEST_DOCUMENT = 15 << 20
_DATABASE = "hashstash"
_END = "g"  # behind the last hexadecimal digit
_BATCH = 500
_BATCH_BYTES = 4 << 20
_LISTED = 1000
_YOUNGEST_ORPHAN = 3600.0
_TRIES = 5
_DUPLICATE, _UNAUTHORIZED, _AUTHENTICATION, _NO_ROOM = 11000, 13, 18, (14031, 8000)
_REQUESTED = {"serverselectiontimeoutms", "connecttimeoutms", "sockettimeoutms"}


class _Client(pymongo.MongoClient[Any]):
    """A client whose server can be asked whether it is there."""

    def ping(self) -> None:
        """Ask for nothing."""
        self.admin.command("ping")


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
        if len(parsed.path) > 1:
            raise ValueError(
                "url= names a server and a database; the name of the stash is the first argument of HashStash"
            )
        query = parsed.query
        if not parsed.path and parsed.user and "authsource" not in {name.lower() for name, _ in query}:
            query = (*query, ("authSource", "admin"))  # what MongoDB takes when a URL names no database
        database = options.pop("db", None) or (parsed.path[0] if parsed.path else _DATABASE)
        if not isinstance(database, str):
            raise TypeError(f"db={database!r}; it is the name of a database")
        hosts = parsed.hosts
        if "host" in options or "port" in options or "," not in hosts:
            host, port = host_of(hosts, 27017)
            host = options.pop("host", host) or "localhost"
            port = whole_number(options.pop("port", port), "port")
            host = f"[{host}]" if ":" in host else host
            hosts = host if parsed.scheme == "mongodb+srv" else f"{host}:{port}"
        return parsed._replace(hosts=hosts, path=(database,), query=query)

    def _connect(self, url: credentials.ServerUrl, password: str | None, timeout: float) -> Server[Any]:
        milliseconds = int(timeout * 1000)
        ours: dict[str, Any] = {
            "serverSelectionTimeoutMS": min(2000, milliseconds),
            "connectTimeoutMS": min(int(CONNECT_TIMEOUT * 1000), milliseconds),
            "socketTimeoutMS": milliseconds,
            "retryReads": False,  # we know better what may be asked twice
            "retryWrites": False,
            "appname": "hashstash",
        }
        given = {name.lower() for name, _ in url.query} & _REQUESTED
        ours = {name: value for name, value in ours.items() if name.lower() not in given}
        if password is not None:
            ours["password"] = password
        if url.user:
            ours["username"] = url.user
        client = _Client(url.bare(), **ours)
        return Server(client, client.close, survives_interrupts=False)

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

    def _rows_of(self, client: Any) -> Any:
        concern = pymongo.WriteConcern(w=1, j=True) if self._durable else None
        return client[self._database].get_collection(self._collection_name, write_concern=concern)

    def _files_of(self, client: Any) -> Any:
        return gridfs.GridFSBucket(client[self._database], bucket_name=self._collection_name)

    # ---- rows ------------------------------------------------------------------------------------------------------

    def get(self, address: bytes) -> bytes | None:
        return self._ask(lambda client: self._get(client, address.hex(), -1))

    def peek(self, address: bytes, size: int) -> bytes | None:
        return self._ask(lambda client: self._get(client, address.hex(), max(size, 1)))

    def has(self, address: bytes) -> bool:
        return self._ask(lambda client: self._rows_of(client).find_one({"_id": address.hex()}, {"_id": 1})) is not None

    def _get(self, client: Any, name: str, size: int) -> bytes | None:
        """The blob, or the first *size* bytes of a large one."""
        tried = None
        for _ in range(_TRIES):
            document = self._rows_of(client).find_one({"_id": name})
            if document is None:
                return None
            file = document.get("f")
            if file is None:
                return _blob_in(document)
            if file == tried:
                break
            try:
                with self._files_of(client).open_download_stream(file) as stream:
                    return bytes(stream.read(size))
            except _FILE_ERRORS as error:
                if not _is_gone(error):
                    raise
                tried = file  # removed by whoever has just replaced the row
        raise CorruptEntry(f"{self.location()}: a part of the row {name} is missing in GridFS; delete the row")

    def put(self, address: bytes, blob: bytes) -> None:
        self._store({"_id": address.hex()}, blob)

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        name = address.hex()
        filters = {"_id": name} if expected is None else {"_id": name, "w": expected.hex()}
        return self._store(filters, blob, only_if_absent=expected is None, only_if_there=expected is not None)

    def _store(
        self, filters: dict[str, str], blob: bytes, *, only_if_absent: bool = False, only_if_there: bool = False
    ) -> bool:
        """Store *blob* in the document of *filters*; return whether that was done."""
        if not self._is_listed:
            self._list()
        is_stored = False
        fields, file = self._fields(blob)
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
        fields: dict[str, Any] = {"w": blob[WRITE_ID].hex(), "n": len(blob)}
        if len(blob) <= LARGEST_DOCUMENT:
            return {**fields, "b": bytes(blob)}, None
        file = self._ask(
            lambda client: self._files_of(client).upload_from_stream("row", blob), writing=True, size=len(blob)
        )
        return {**fields, "f": file}, file

    def _insert(self, document: dict[str, Any], blob: bytes) -> bool:
        def insert(client: Any) -> bool:
            try:
                self._rows_of(client).insert_one(document)
            except mongo_errors.DuplicateKeyError:
                return False
            return True

        try:
            return self._ask_once(insert, writing=True, size=len(blob))
        except Dropped as error:
            return self._ask_again(insert, writing=True, size=len(blob)) or self._is_ours(document["_id"], blob, error)

    def _update(self, filters: dict[str, str], fields: dict[str, Any], blob: bytes, *, is_swap: bool) -> bool:
        gone = {name: "" for name in ("b", "f", "e") if name not in fields}

        def update(client: Any) -> Any:
            rows = self._rows_of(client)
            for attempt in range(_TRIES):
                try:
                    return rows.find_one_and_update(
                        filters, {"$set": fields, "$unset": gone}, projection={"f": 1}, upsert=not is_swap
                    )
                except mongo_errors.DuplicateKeyError:  # two upserts of one address at a time: the second is an update
                    if attempt == _TRIES - 1:
                        raise
            return None

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
            row = self._ask(lambda client: self._rows_of(client).find_one({"_id": name}, {"f": 1}))
            if row is None or row.get("f") != file:
                self._remove_file(file)
        except OSError:
            pass  # compact() sweeps it up

    def _remove_file(self, file: Any) -> None:
        def remove(client: Any) -> None:
            try:
                self._files_of(client).delete(file)
            except _FILE_ERRORS as error:
                if not _is_gone(error):  # else another one was faster
                    raise

        self._ask(remove, writing=True)

    def delete(self, address: bytes) -> bool:
        def remove(client: Any) -> Any:
            return self._rows_of(client).find_one_and_delete({"_id": address.hex()}, projection={"f": 1})

        try:
            old = self._ask_once(remove, writing=True)
        except Dropped as error:
            old = self._ask_again(remove, writing=True)
            if old is None:
                raise self._nobody_knows("whether there was a row is not known; now there is none") from error.__cause__
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
        filters = {"_id": {"$in": list(batch)}, "f": {"$exists": True}}
        old = self._ask(lambda client: list(self._rows_of(client).find(filters, {"f": 1})))
        requests = [
            pymongo.UpdateOne(
                {"_id": name},
                {"$set": {"w": blob[WRITE_ID].hex(), "n": len(blob), "b": bytes(blob)}, "$unset": {"f": "", "e": ""}},
                upsert=True,
            )
            for name, blob in batch.items()
        ]

        def write(client: Any) -> None:
            for attempt in range(_TRIES):
                try:
                    self._rows_of(client).bulk_write(requests, ordered=False)
                    return
                except mongo_errors.BulkWriteError as error:
                    failed = (error.details or {}).get("writeErrors", [])
                    if attempt == _TRIES - 1 or any(each.get("code") != _DUPLICATE for each in failed):
                        raise

        self._ask(write, writing=True, size=sum(map(len, batch.values())))
        for document in old:
            self._remove_file(document["f"])

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        wanted = iter(addresses)
        while batch := [address.hex() for address in islice(wanted, _BATCH)]:
            found = self._found(batch)
            for name in batch:
                yield found.get(name)

    def _found(self, names: list[str]) -> dict[str, bytes]:
        def ask(client: Any) -> dict[str, bytes]:
            found = {}
            for document in self._rows_of(client).find({"_id": {"$in": names}}):
                name = document["_id"]
                blob = self._get(client, name, -1) if "f" in document else _blob_in(document)
                if blob is not None:
                    found[name] = blob
            return found

        return self._ask(ask)

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        for page in self._pages(prefix.hex()):
            for document in page:
                yield bytes.fromhex(document["_id"])

    def _pages(self, prefix: str = "", fields: tuple[str, ...] = ()) -> Iterator[list[dict[str, Any]]]:
        """Addresses and some *fields* in order and in batches: no cursor stays open while the caller works."""
        bounds = {"$gte": prefix, "$lt": prefix + _END}
        wanted = dict.fromkeys(("_id", *fields), 1)
        while True:

            def ask(client: Any, bounds: dict[str, str] = bounds) -> list[dict[str, Any]]:
                return list(self._rows_of(client).find({"_id": bounds}, wanted).sort("_id", 1).limit(_LISTED))

            page = self._ask(ask)
            if not page:
                return
            yield [document for document in page if is_address(document["_id"].encode("utf-8", "surrogatepass"))]
            if len(page) < _LISTED:
                return
            bounds = {"$gt": page[-1]["_id"], "$lt": prefix + _END}

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        for page in self._pages(fields=("n",)):
            for group in _in_groups(page):
                for name, blob in self._found(group).items():
                    yield bytes.fromhex(name), blob

    def count(self) -> int:
        return int(self._ask(lambda client: self._rows_of(client).estimated_document_count()))

    def size_bytes(self) -> int:
        return sum(
            len(document["_id"]) // 2 + _size_in(document) for page in self._pages(fields=("n",)) for document in page
        )

    def expire(self, address: bytes, moment: int, expected: WriteId | None = None) -> None:
        filters = {"_id": address.hex()} if expected is None else {"_id": address.hex(), "w": expected.hex()}
        when = dt.datetime.fromtimestamp(-(-moment // 10**9), dt.UTC)

        def ask(client: Any) -> None:
            rows = self._rows_of(client)
            if not self._expires:
                rows.create_index("e", expireAfterSeconds=0)
                self._expires = True
            rows.update_one(filters, {"$set": {"e": when}})

        self._ask(ask, writing=True)

    # ---- the whole -------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        if not self._section_name:
            for name in self.section_names():
                self.section(name).clear()
        files = [document["f"] for document in self._with_files()]
        self._ask(lambda client: self._rows_of(client).delete_many({}), writing=True)
        for file in files:
            self._remove_file(file)

    def _with_files(self) -> list[dict[str, Any]]:
        return self._ask(lambda client: list(self._rows_of(client).find({"f": {"$exists": True}}, {"f": 1})))

    def _stored_files(self, client: Any) -> dict[Any, Any]:
        """When which file was uploaded."""
        return {file._id: file.upload_date for file in self._files_of(client).find({})}  # noqa: SLF001

    def compact(self) -> None:
        """Remove files that no row points at: those of rows that have expired, and of writers that died."""
        for section in () if self._section_name else self.section_names():
            self.section(section).compact()
        files = self._ask(self._stored_files)
        used = {document["f"] for document in self._with_files()}
        for file, uploaded in files.items():
            if file not in used and time.time() - _seconds_of(uploaded) > _YOUNGEST_ORPHAN:
                self._remove_file(file)

    def check(self) -> list[str]:
        files = self._ask(self._stored_files)
        return [
            f"{self.location()}: a part of the row {document['_id']} is missing in GridFS; delete the row"
            for document in self._with_files()
            if document["f"] not in files
        ]

    # ---- errors ----------------------------------------------------------------------------------------------------

    def _explained(self, error: Exception, *, writing: bool) -> Exception:
        text = str(error)
        if isinstance(error, (mongo_errors.NetworkTimeout, mongo_errors.ExecutionTimeout)):
            text = f"no answer within {self._timeout:g} s; is the server overloaded, or paused? (timeout= sets this)"
            return self._silent(text)
        if isinstance(error, mongo_errors.ServerSelectionTimeoutError):
            return self._silent(_advice(text) or f"no server could be used: {text.partition(', Timeout:')[0]}")
        if isinstance(error, mongo_errors.AutoReconnect):
            return Dropped(text)
        if isinstance(error, mongo_errors.OperationFailure):
            return self._refused(error, text, writing=writing)
        if isinstance(error, mongo_errors.ConfigurationError) and "password" in text.lower():
            return PasswordNeeded(f"{self._url}: {_PASSWORD_NEEDED}")
        if isinstance(error, mongo_errors.PyMongoError):
            return ServerUnavailable(f"{self._url}: {text}")
        return error

    def _silent(self, text: str) -> ServerUnavailable:
        error = ServerUnavailable(f"{self._url}: {text}")
        if self._server is not None:
            self._server.has_been_silent(error)
        return error

    def _refused(self, error: Any, text: str, *, writing: bool) -> Exception:
        if error.code == _AUTHENTICATION:
            credentials.forget(self._url)
            return ServerUnavailable(
                f"{self._url}: wrong user name or password; give the right one in the URL, or as password="
            )
        if error.code == _UNAUTHORIZED:
            if not credentials.parse_url(self._url).user:
                return PasswordNeeded(f"{self._url}: {_PASSWORD_NEEDED}")
            kind = ReadOnlyStash if writing else ServerUnavailable
            return kind(f"{self._url}: this user may not do that; give it the role readWrite on {self._database!r}")
        if error.code in _NO_ROOM or "quota" in text or "OutOfDiskSpace" in text or "disk is full" in text:
            return StashFull(28, f"{self._url}: the server has no room left; clear a stash, or give it more")
        return ServerUnavailable(f"{self._url}: the server refused: {text.partition(', full error')[0]}")


_PASSWORD_NEEDED = (
    "a user and a password are needed, and this process knows none: give them in the URL, or set"
    f" {credentials.ENVIRONMENT}"
)
_ADVICE = {
    "refused": "nothing listens there (connection refused); start the server, or check host and port",
    "Name or service": "the name of the host is not known; check the URL",
    "name resolution": "the name of the host is not known; check the URL",
    "nodename nor": "the name of the host is not known; check the URL",
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not trusted; give ?tlsCAFile=file in the URL",
    "timed out": "it does not answer; is the server overloaded, or paused?",
}


def _advice(text: str) -> str:
    return next((advice for sign, advice in _ADVICE.items() if sign in text), "")


_FILE_ERRORS = (gridfs.NoFile, gridfs.errors.CorruptGridFile, mongo_errors.OperationFailure)


def _is_gone(error: Exception) -> bool:
    """Whether it says that a file, or a part of it, is not there; nx-27017 has words of its own for that."""
    return not isinstance(error, mongo_errors.OperationFailure) or "not found" in str(error)


def _in_groups(page: list[dict[str, Any]]) -> Iterator[list[str]]:
    """The addresses of *page* in groups whose rows are not too much at once."""
    group: list[str] = []
    total = 0
    for document in page:
        group.append(document["_id"])
        total += _size_in(document)
        if total >= _BATCH_BYTES or len(group) >= _BATCH:
            yield group
            group, total = [], 0
    if group:
        yield group


def _seconds_of(moment: Any) -> float:
    if isinstance(moment, str):  # as stand-ins of MongoDB give it
        moment = dt.datetime.fromisoformat(moment)
    aware: dt.datetime = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return aware.timestamp()


def _blob_in(document: dict[str, Any]) -> bytes:
    """The blob in a document; where anybody has put something else in its place, nothing at all, which is no entry."""
    blob = document.get("b")
    return bytes(blob) if isinstance(blob, bytes) else b""


def _size_in(document: dict[str, Any]) -> int:
    """How many bytes a document says that its blob has."""
    size = document.get("n")
    return size if isinstance(size, int) else 0


PLUGIN = MongoEngine
