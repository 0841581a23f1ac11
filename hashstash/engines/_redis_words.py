"""What an error of a Redis server means, and what to do about it."""

from __future__ import annotations

from hashstash import credentials

WRONG = "wrong user name or password; give the right one in the URL, or as password="
UNWANTED = "the server has no password; leave it out of the URL"
MISSING = f"a password is needed, and this process knows none: give it in the URL, or set {credentials.ENVIRONMENT}"
_BY_SIGN = {
    "refused": "nothing listens there (connection refused); start the server, or check host and port",
    "No such file": "there is no such socket; start the server, or check the path",
    "Name or service": "the name of the host is not known; check the URL",
    "name resolution": "the name of the host is not known; check the URL",
    "nodename nor": "the name of the host is not known; check the URL",
    "No address": "the name of the host is not known; check the URL",
    "WRONGPASS": WRONG,
    "invalid username-password": WRONG,
    "invalid password": WRONG,
    "without any password": UNWANTED,
    "uthentication required": MISSING,
    "NOAUTH": MISSING,
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


def advice(text: str, *, writing: bool) -> str:
    """What to tell the user about an error of the server that says *text*; empty if there is nothing to add."""
    for sign, words in _BY_SIGN.items():
        if sign in text:
            return words
    if is_forbidden(text):
        needed = "+@write +@read +@scripting" if writing else "+@read +@connection"
        return f"this user may not do that; allow it ~hashstash:* and {needed} (ACL SETUSER)"
    return ""


def is_forbidden(text: str) -> bool:
    """Whether the server says that this user may not do what was asked."""
    return "NOPERM" in text or "no permissions" in text or "can't run this command" in text
