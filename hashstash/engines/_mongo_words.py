"""What an error of a MongoDB server means, and what to do about it."""

from __future__ import annotations

from typing import Any

from pymongo import errors as mongo_errors

from hashstash import credentials
from hashstash.engines._remote import Dropped, PasswordNeeded
from hashstash.errors import ReadOnlyStash, ServerUnavailable, StashFull

_UNAUTHORIZED, _AUTHENTICATION, _NO_ROOM = 13, 18, (14031, 8000)
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
_SILENT = (mongo_errors.NetworkTimeout, mongo_errors.ExecutionTimeout, mongo_errors.ServerSelectionTimeoutError)


def is_silence(error: Exception) -> bool:
    """Whether the server has not answered in time."""
    return isinstance(error, _SILENT)


def explained(error: Exception, url: str, timeout: float, *, writing: bool) -> Exception:
    """What an error of the client for *url*, that waits *timeout* seconds for an answer, means for the user."""
    text = str(error)
    if isinstance(error, mongo_errors.ServerSelectionTimeoutError):
        advice = _advice(text) or f"no server could be used: {text.partition(', Timeout:')[0]}"
        return ServerUnavailable(f"{url}: {advice}")
    if is_silence(error):
        return ServerUnavailable(
            f"{url}: no answer within {timeout:g} s; is the server overloaded, or paused? (timeout= sets this)"
        )
    if isinstance(error, mongo_errors.AutoReconnect):
        return Dropped(text)
    if isinstance(error, mongo_errors.OperationFailure):
        return _refused(error, text, url, writing=writing)
    if isinstance(error, mongo_errors.ConfigurationError) and "password" in text.lower():
        return PasswordNeeded(f"{url}: {_PASSWORD_NEEDED}")
    if isinstance(error, mongo_errors.PyMongoError):
        return ServerUnavailable(f"{url}: {text}")
    return error


def _refused(error: Any, text: str, url: str, *, writing: bool) -> Exception:
    if error.code == _AUTHENTICATION:
        credentials.forget(url)
        return ServerUnavailable(f"{url}: wrong user name or password; give the right one in the URL, or as password=")
    if error.code == _UNAUTHORIZED:
        if not credentials.parse_url(url).user:
            return PasswordNeeded(f"{url}: {_PASSWORD_NEEDED}")
        kind = ReadOnlyStash if writing else ServerUnavailable
        return kind(
            f"{url}: this user may not do that; give it the role readWrite on {credentials.parse_url(url).path[0]!r}"
        )
    if error.code in _NO_ROOM or "quota" in text or "OutOfDiskSpace" in text or "disk is full" in text:
        return StashFull(28, f"{url}: the server has no room left; clear a stash, or give it more")
    return ServerUnavailable(f"{url}: the server refused: {text.partition(', full error')[0]}")


def _advice(text: str) -> str:
    return next((advice for sign, advice in _ADVICE.items() if sign in text), "")
