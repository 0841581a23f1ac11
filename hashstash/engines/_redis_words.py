"""What an error of a Redis server means, and what to do about it."""

from __future__ import annotations

import redis
from redis.exceptions import RedisClusterException, RedisError

from hashstash import credentials
from hashstash.engines._remote import Dropped, PasswordNeeded
from hashstash.errors import CorruptEntry, ReadOnlyStash, ServerUnavailable, StashFull

_WRONG = "wrong user name or password; give the right one in the URL, or as password="
_UNWANTED = "the server has no password; leave it out of the URL"
_MISSING = f"a password is needed, and this process knows none: give it in the URL, or set {credentials.ENVIRONMENT}"
_BY_SIGN = {
    "refused": "nothing listens there (connection refused); start the server, or check host and port",
    "No such file": "there is no such socket; start the server, or check the path",
    "Name or service": "the name of the host is not known; check the URL",
    "name resolution": "the name of the host is not known; check the URL",
    "nodename nor": "the name of the host is not known; check the URL",
    "No address": "the name of the host is not known; check the URL",
    "WRONGPASS": _WRONG,
    "invalid username-password": _WRONG,
    "invalid password": _WRONG,
    "without any password": _UNWANTED,
    "uthentication required": _MISSING,
    "NOAUTH": _MISSING,
    "LOADING": "the server is still loading its data; try again in a moment",
    "loading the dataset": "the server is still loading its data; try again in a moment",
    "MISCONF": "the server takes no writes, since it cannot save to its own disk; look into its log",
    "DB index is out of range": "the server has no database of that number",
    "max number of clients": "the server has reached its maxclients; close other connections, or raise it",
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not trusted; give ?ssl_ca_certs=file in the URL",
    "unreachable": "the network does not lead there; check host and network",
    "cluster mode is not enabled": "the server is no cluster; write redis:// instead of redis+cluster://",
    "Cluster mode is not enabled": "the server is no cluster; write redis:// instead of redis+cluster://",
}


class OtherKind(CorruptEntry):
    """Where a row was, somebody has put a list, a hash or the like, which nobody can read as one."""


def explained(error: Exception, url: str, timeout: float, *, writing: bool) -> Exception:
    """What an error of the client for *url*, that waits *timeout* seconds for an answer, means for the user."""
    text = str(error)
    if isinstance(error, redis.TimeoutError):
        # A server without TLS takes the beginning of a handshake for a command that is still being written.
        plain = "does it speak TLS there, or does the URL begin with redis:// instead of rediss://? If it does, "
        first = plain if url.startswith("rediss") else ""
        return ServerUnavailable(
            f"{url}: no answer within {timeout:g} s; {first}is the server overloaded, or paused? (timeout= sets this)"
        )
    if not isinstance(error, (RedisError, RedisClusterException, OSError)):
        return error
    if isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM command" in text:
        return StashFull(28, f"{url}: the server has reached its maxmemory; clear a stash, or raise maxmemory")
    if isinstance(error, redis.ReadOnlyError) or "READONLY" in text:
        return ReadOnlyStash(f"{url} is a read-only replica; open the stash at the primary server to change it")
    if is_of_other_kind(error):
        return OtherKind(
            f"{url}: in the place of a row is something else, which is none of a stash; overwrite or delete it"
        )
    if isinstance(error, redis.exceptions.MovedError):
        return ServerUnavailable(f"{url}: the server is a cluster; write redis+cluster:// instead of redis://")
    advice = _advice(text, writing=writing)
    if advice in (_WRONG, _UNWANTED):
        credentials.forget(url)
    if _is_forbidden(text):
        kind = ReadOnlyStash if writing else ServerUnavailable
        return kind(f"{url}: {advice}")
    if isinstance(error, redis.ConnectionError) and not advice and _is_dropped(error):
        return Dropped(text)
    kind = PasswordNeeded if advice == _MISSING else ServerUnavailable
    return kind(f"{url}: {advice or text}")


def _advice(text: str, *, writing: bool) -> str:
    """What to tell the user about an error of the server that says *text*; empty if there is nothing to add."""
    for sign, words in _BY_SIGN.items():
        if sign in text:
            return words
    if _is_forbidden(text):
        needed = "+@write +@read +@scripting" if writing else "+@read +@connection"
        return f"this user may not do that; allow it ~hashstash:* and {needed} (ACL SETUSER)"
    return ""


def is_of_other_kind(answer: object) -> bool:
    """Whether the server says that something is no text, and so no row."""
    return isinstance(answer, RedisError) and "WRONGTYPE" in str(answer)


def _is_forbidden(text: str) -> bool:
    """Whether the server says that this user may not do what was asked."""
    return "NOPERM" in text or "no permissions" in text or "can't run this command" in text


def _is_dropped(error: Exception) -> bool:
    """Whether a connection was lost that had been there."""
    if isinstance(error, (redis.AuthenticationError, redis.exceptions.AuthorizationError, redis.BusyLoadingError)):
        return False
    return "connecting to" not in str(error) and "MaxConnections" not in type(error).__name__
