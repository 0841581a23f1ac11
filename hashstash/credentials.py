"""Passwords of servers: in the memory of this process, under the URL without them, and nowhere else.

What a stash says of itself, in ``repr``, errors, settings and pickles, is the bare URL: the user's name is kept, the password is
left out. Whoever opens a stash by its bare URL in the same process finds the password here; multiprocessing hands it on to its
workers; everybody else takes it from the environment variable ``HASHSTASH_PASSWORD``.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

ENVIRONMENT = "HASHSTASH_PASSWORD"
_OTHER_SECRETS = frozenset(
    {"ssl_password", "tlscertificatekeyfilepassword", "proxypassword", "authmechanismproperties"}
)
_USERINFO = re.compile(r"(?<=://)\S*@")
_SECRET_OPTION = re.compile(rf"(?i)\b(password|{'|'.join(sorted(_OTHER_SECRETS))})=[^\s&'\"]*")

_passwords: dict[str, str] = {}
_carriers: dict[type, Callable[[Any], str | None]] = {}


class ServerUrl(NamedTuple):
    """A URL of a server, its parts decoded, but for the hosts."""

    scheme: str
    hosts: str = ""
    """``host``, ``host:port`` or several of them, as they were given."""
    path: tuple[str, ...] = ()
    user: str = ""
    password: str | None = None
    query: tuple[tuple[str, str], ...] = ()

    def bare(self) -> str:
        """The URL without the password."""
        user = quote(self.user, safe="") + "@" if self.user else ""
        path = "/" + "/".join(quote(part, safe="") for part in self.path) if self.path else ""
        query = "?" + urlencode(self.query, safe="/") if self.query else ""
        return f"{self.scheme}://{user}{self.hosts}{path}{query}"


def parse_url(url: str) -> ServerUrl:
    """The parts of *url*; ValueError without any part of it where a piece of a password may have slipped elsewhere."""
    scheme = url.partition("://")[0]
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or "@" in parts.path + parts.query + parts.fragment or parts.fragment:
        text = (
            f"a {scheme}:// URL could not be read; in user names, passwords and names of stashes, write / ? # @ : % and [ ]"
            " in their percent-encoded form, as urllib.parse.quote(text, safe='') gives it"
        )
        raise ValueError(text) from None
    userinfo, _, hosts = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    query = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name.lower() in _OTHER_SECRETS:
            raise ValueError(f"{name} is secret and must not stand in the URL of a stash, which is shown and stored")
        if name == "password":
            password = quote(value, safe="")
        else:
            query.append((name, value))
    path = tuple(unquote(part) for part in parts.path.split("/") if part)
    return ServerUrl(scheme, hosts, path, unquote(user), unquote(password) or None, tuple(query))


def without_secrets(text: str) -> str:
    """*text* that somebody has typed, fit to be repeated: users, passwords and secret options of URLs in it are left out."""
    return _SECRET_OPTION.sub(r"\1=...", _USERINFO.sub("...@", text)) if "://" in text else text


def remember(url: str, password: str) -> None:
    """Use *password* for the bare *url* from now on in this process."""
    _passwords[url] = password
    for kind in _carriers:
        _register(kind)


def password_for(url: str) -> str | None:
    """The password that was given in this process for the bare *url*."""
    return _passwords.get(url)


def remembered() -> dict[str, str]:
    """All passwords that were given in this process, by bare URL: for its own worker processes, over pipes of their own."""
    return dict(_passwords)


def forget(url: str) -> None:
    """The server has refused the password: nobody else shall try it."""
    _passwords.pop(url, None)


def password_from_environment() -> str | None:
    """The password for servers that this process was told none for."""
    return os.environ.get(ENVIRONMENT) or None


def carried_by(kind: type, url_of: Callable[[Any], str | None]) -> None:
    """Let multiprocessing take passwords along when it sends objects of *kind* to its workers; every other pickle has none."""
    if kind not in _carriers:
        _carriers[kind] = url_of
        if _passwords:
            _register(kind)


def _register(kind: type) -> None:
    from multiprocessing.reduction import ForkingPickler  # slow to import, and only who has a password needs it

    ForkingPickler.register(kind, _reduced)


def _reduced(thing: Any) -> tuple[Any, ...]:
    url = _carriers[type(thing)](thing)
    password = None if url is None else _passwords.get(url)
    function, arguments = thing.__reduce__()[:2]
    return (function, arguments) if password is None else (_rebuilt, (url, password, function, arguments))


def _rebuilt(url: str, password: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    remember(url, password)
    return function(*arguments)
