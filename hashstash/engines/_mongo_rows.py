"""What is asked of the collection of one section: its documents, and the GridFS files of those whose blobs are large.

::

    {_id: "0f3a...", w: the write id in hexadecimal, b: the blob, n: its size, e: when it expires}
    {_id: "0f3a...", w: ..., f: the id of a GridFS file, n: ..., e: ...}                            above 15 MB

Filters name addresses and write ids, both of our own making, and never a payload.
"""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import Any

import gridfs
import pymongo
from pymongo import errors as mongo_errors

from hashstash.engine import WRITE_ID
from hashstash.errors import CorruptEntry

LARGEST_DOCUMENT = 15 << 20
LISTED = 1000
_TRIES = 5
_DUPLICATE = 11000
_FILE_ERRORS = (gridfs.NoFile, gridfs.errors.CorruptGridFile, mongo_errors.OperationFailure)


class Rows:
    """The collection *name* of *database*, as one client sees it; *location* is what errors call it."""

    def __init__(self, database: Any, name: str, *, location: str, durable: bool) -> None:
        self._database = database
        self._name = name
        self._location = location
        self._documents = database.get_collection(name, write_concern=_JOURNALED if durable else None)

    @cached_property
    def _files(self) -> Any:
        return gridfs.GridFSBucket(self._database, bucket_name=self._name)

    def get(self, name: str, size: int = -1) -> bytes | None:
        """The blob at an address, or the first *size* bytes of a large one."""
        tried = None
        for _ in range(_TRIES):
            document = self._documents.find_one({"_id": name})
            if document is None:
                return None
            file = document.get("f")
            if file is None:
                return _blob_in(document)
            if file == tried:
                break
            try:
                with self._files.open_download_stream(file) as stream:
                    return bytes(stream.read(size))
            except _FILE_ERRORS as error:
                if not _is_gone(error):
                    raise
                tried = file  # removed by whoever has just replaced the row
        raise CorruptEntry(f"{self._location}: {what_is_missing(name)}")

    def has(self, name: str) -> bool:
        """Whether there is a document at an address."""
        return self._documents.find_one({"_id": name}, {"_id": 1}) is not None

    def get_each(self, names: list[str]) -> dict[str, bytes]:
        """The blobs at those addresses at which there is one."""
        found = {}
        for document in self._documents.find({"_id": {"$in": names}}):
            name = document["_id"]
            blob = self.get(name) if "f" in document else _blob_in(document)
            if blob is not None:
                found[name] = blob
        return found

    def page(self, bounds: dict[str, str], fields: tuple[str, ...]) -> list[dict[str, Any]]:
        """The next documents within *bounds* in the order of their addresses, with some of their *fields*."""
        wanted = dict.fromkeys(("_id", *fields), 1)
        return list(self._documents.find({"_id": bounds}, wanted).sort("_id", 1).limit(LISTED))

    def count(self) -> int:
        """How many documents there are."""
        return int(self._documents.estimated_document_count())

    def insert(self, document: dict[str, Any]) -> bool:
        """Add a document; whether there was none at its address."""
        try:
            self._documents.insert_one(document)
        except mongo_errors.DuplicateKeyError:
            return False
        return True

    def update(self, filters: dict[str, str], fields: dict[str, Any], *, is_swap: bool) -> Any:
        """Replace the document of *filters*, or add one unless *is_swap*; the id and the file of what was there before."""
        gone = {name: "" for name in ("b", "f", "e") if name not in fields}
        for attempt in range(_TRIES):
            try:
                return self._documents.find_one_and_update(
                    filters, {"$set": fields, "$unset": gone}, projection={"f": 1}, upsert=not is_swap
                )
            except mongo_errors.DuplicateKeyError:  # two upserts of one address at a time: the second is an update
                if attempt == _TRIES - 1:
                    raise
        return None

    def put_batch(self, batch: dict[str, bytes]) -> None:
        """Store small blobs, each at its address."""
        requests = [
            pymongo.UpdateOne({"_id": name}, {"$set": fields_of(blob), "$unset": {"f": "", "e": ""}}, upsert=True)
            for name, blob in batch.items()
        ]
        for attempt in range(_TRIES):
            try:
                self._documents.bulk_write(requests, ordered=False)
                return
            except mongo_errors.BulkWriteError as error:
                failed = (error.details or {}).get("writeErrors", [])
                if attempt == _TRIES - 1 or any(each.get("code") != _DUPLICATE for each in failed):
                    raise

    def said_id(self, name: str) -> Any:
        """The write id that the document at an address says its blob has; ``None`` if there is none, or it says nothing."""
        document = self._documents.find_one({"_id": name}, {"w": 1})
        return None if document is None else document.get("w")

    def remove(self, filters: dict[str, Any]) -> Any:
        """Remove the document of *filters*; the id and the file of what was there."""
        return self._documents.find_one_and_delete(filters, projection={"f": 1})

    def remove_all(self) -> None:
        """Remove every document, and no file."""
        self._documents.delete_many({})

    def let_expire(self) -> None:
        """Have the server look for documents whose time is over."""
        self._documents.create_index("e", expireAfterSeconds=0)

    def expire(self, filters: dict[str, str], when: Any) -> None:
        """Let the document of *filters* be over at a moment."""
        self._documents.update_one(filters, {"$set": {"e": when}})

    # ---- files ---------------------------------------------------------------------------------------------------

    def upload(self, blob: bytes) -> Any:
        """A new file with *blob*, which no document points at yet."""
        return self._files.upload_from_stream("row", blob)

    def remove_file(self, file: Any) -> None:
        """Remove a file, unless another one was faster."""
        try:
            self._files.delete(file)
        except _FILE_ERRORS as error:
            if not _is_gone(error):
                raise

    def file_of(self, name: str) -> Any:
        """The file that the document at an address points at, if there is one."""
        document = self._documents.find_one({"_id": name}, {"f": 1})
        return None if document is None else document.get("f")

    def with_files(self, names: list[str] | None = None) -> list[dict[str, Any]]:
        """All documents that point at files, or those of them at *names*, without their other fields."""
        those = {} if names is None else {"_id": {"$in": names}}
        return list(self._documents.find({**those, "f": {"$exists": True}}, {"f": 1}))

    def uploads(self) -> dict[Any, float]:
        """When which file was uploaded, in seconds since 1970."""
        return {file._id: seconds_of(file.upload_date) for file in self._files.find({})}  # noqa: SLF001


_JOURNALED = pymongo.WriteConcern(w=1, j=True)


def fields_of(blob: bytes) -> dict[str, Any]:
    """What a document says of a small *blob*."""
    return {**head_of(blob), "b": bytes(blob)}


def head_of(blob: bytes) -> dict[str, Any]:
    """What every document says of its blob."""
    return {"w": blob[WRITE_ID].hex(), "n": len(blob)}


def what_is_missing(name: str) -> str:
    """What is wrong with the row at an address whose file is gone."""
    return f"a part of the row {name} is missing in GridFS; delete the row"


def _is_gone(error: Exception) -> bool:
    """Whether it says that a file, or a part of it, is not there; nx-27017 has words of its own for that."""
    return not isinstance(error, mongo_errors.OperationFailure) or "not found" in str(error)


def _blob_in(document: dict[str, Any]) -> bytes:
    """The blob in a document; where anybody has put something else in its place, nothing at all, which is no entry."""
    blob = document.get("b")
    return bytes(blob) if isinstance(blob, bytes) else b""


def size_in(document: dict[str, Any]) -> int:
    """How many bytes a document says that its blob has."""
    size = document.get("n")
    return size if isinstance(size, int) else 0


def seconds_of(moment: Any) -> float:
    """A moment of the server's in seconds since 1970."""
    if isinstance(moment, str):  # as stand-ins of MongoDB give it
        moment = dt.datetime.fromisoformat(moment)
    aware: dt.datetime = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return aware.timestamp()
