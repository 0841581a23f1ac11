"""From the URL of a MongoDB server to a client for it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pymongo

from hashstash.engines._options import text, whole_number
from hashstash.engines._remote import CONNECT_TIMEOUT, Server, host_of

if TYPE_CHECKING:
    from hashstash.credentials import ServerUrl

_DATABASE = "hashstash"
_FAR_AWAY = 1e9
"""Seconds; a time that is not in the calendar any more cannot be told to the server."""
_REQUESTED = {"serverselectiontimeoutms", "connecttimeoutms", "sockettimeoutms"}


class _Client(pymongo.MongoClient[Any]):
    """A client whose server can be asked whether it is there, and what time it is."""

    def ping(self) -> None:
        """Ask for nothing."""
        self.admin.command("ping")

    def by_its_clock(self, seconds: float) -> dt.datetime:
        """The time *seconds* from now, or a little later, as the server will have it, whose clock may go otherwise."""
        told = self.admin.command("hello").get("localTime")
        now = dt.datetime.now(dt.UTC) if told is None else told.replace(tzinfo=dt.UTC)
        return (now + dt.timedelta(seconds=min(seconds, _FAR_AWAY) + 1)).replace(microsecond=0)


def settled_url(parsed: ServerUrl, options: dict[str, Any]) -> ServerUrl:
    """The URL of the server and the database, with what *options* say of them, which are taken out of them."""
    if len(parsed.path) > 1:
        raise ValueError("url= names a server and a database; the name of the stash is the first argument of HashStash")
    query = parsed.query
    if not parsed.path and parsed.user and "authsource" not in {name.lower() for name, _ in query}:
        query = (*query, ("authSource", "admin"))  # what MongoDB takes when a URL names no database
    database = options.pop("db", None) or (parsed.path[0] if parsed.path else _DATABASE)
    if not isinstance(database, str):
        raise TypeError(f"db={database!r}; it is the name of a database")
    hosts = parsed.hosts
    if "host" in options or "port" in options or "," not in hosts:
        host, port = host_of(hosts, 27017)
        host = text(options.pop("host", host), "host") or "localhost"
        port = whole_number(options.pop("port", port), "port")
        host = f"[{host}]" if ":" in host else host
        hosts = host if parsed.scheme == "mongodb+srv" else f"{host}:{port}"
    return parsed._replace(hosts=hosts, path=(database,), query=query)


def connect(url: ServerUrl, password: str | None, timeout: float) -> Server[Any]:
    """The server at a settled *url*, which is not asked for anything yet."""
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
