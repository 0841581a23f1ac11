"""From the URL of a Redis server to a client for it: a server, one behind TLS or a socket of the file system, or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hashstash.engines._options import seconds, text, whole_number
from hashstash.engines._remote import CONNECT_TIMEOUT, Server, host_of

if TYPE_CHECKING:
    from hashstash.credentials import ServerUrl

_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_FALSE = ("0", "false", "no", "none")


def settled_url(parsed: ServerUrl, options: dict[str, Any]) -> ServerUrl:
    """The URL of the server, with what *options* say of it, which are taken out of them."""
    path, db, rest = split_path(parsed)
    if rest:
        raise ValueError("url= names a server; the name of the stash is the first argument of HashStash")
    if "db" in options:
        db = str(whole_number(options.pop("db"), "db"))
    query = []
    for name, value in parsed.query:
        if name == "timeout":
            options.setdefault("timeout", seconds(value, "timeout"))
        elif name in _TLS:
            query.append((name, value))
        else:
            raise ValueError(f"a redis URL has no parameter {name!r}; known: timeout, {', '.join(_TLS)}")
    hosts = parsed.hosts
    if not parsed.scheme.endswith("unix"):
        host, port = host_of(hosts, 6379)
        host = text(options.pop("host", host), "host") or "localhost"
        port = whole_number(options.pop("port", port), "port")
        hosts = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return parsed._replace(hosts=hosts, path=(*path, db), query=tuple(query))


def connect(url: ServerUrl, password: str | None, timeout: float) -> Server[Any]:
    """The server at a settled *url*; only a cluster is asked for something now."""
    path, db, _ = split_path(url)
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
        return _server(redis.RedisCluster(host=host, port=port, **options))
    return _server(redis.Redis(host=host, port=port, db=int(db), **options))


def _server(client: Any) -> Server[Any]:
    """*client*, which after an interrupt must not take the answer to one question for that to the next."""

    def let_go() -> None:
        nodes = client.get_nodes() if hasattr(client, "get_nodes") else [None]  # the first is a cluster
        for each in [client if node is None else node.redis_connection for node in nodes]:
            if each is not None:
                each.connection_pool.disconnect(inuse_connections=False)

    return Server(client, client.close, let_go_of_idle=let_go)


def split_path(url: ServerUrl) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
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


def first(answer: Any) -> Any:
    """The answer of one node, where a cluster gives one of each."""
    return next(iter(answer.values())) if isinstance(answer, dict) else answer
