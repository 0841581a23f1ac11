"""What engines on servers have in common: one client per server and process, errors that say what to do, leases for locks."""

from __future__ import annotations

import _thread
import os
import re
import threading
import time
import weakref
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast
from urllib.parse import quote, unquote

from hashstash import credentials, forks
from hashstash.engine import SECTIONS, Capability, Engine, SectionTable, WriteId
from hashstash.engines._options import seconds, text
from hashstash.errors import ServerUnavailable
from hashstash.leases import LEASE, LeaseLock
from hashstash.paths import safe_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 4.0
LEASES = "leases"
_LARGE = 1 << 20
_MOST_AT_ONCE = 500
_MORE_PATIENCE = 15
"""How much longer a request of more than 1 MB may take: sending 100 MB over a slow line is no sign of a dead server."""
_SILENCE = 2.0
"""Seconds for which a server that did not answer is not asked again: a call that looks up, locks and stores waits once."""

Client = TypeVar("Client")
Result = TypeVar("Result")
_generation = 0
_servers: weakref.WeakValueDictionary[tuple[Any, ...], Server[Any]] = weakref.WeakValueDictionary()
_abandoned: list[Any] = []
_table_lock = threading.Lock()

_ADDRESS = re.compile(rb"(?:[0-9a-f]{2})*")


class Dropped(Exception):
    """The connection was lost before the answer came: whether the server has done what it was asked is not known."""


class PasswordNeeded(ServerUnavailable):
    """The server asks for a password, and this process knows none."""


class Server(Generic[Client]):
    """The client of one server, shared by all engines of this process that use it; closed when the last of them is."""

    def __init__(
        self,
        client: Client,
        close: Callable[[], None],
        *,
        let_go_of_idle: Callable[[], None] = lambda: None,
        survives_interrupts: bool = True,
    ) -> None:
        self.client = client
        self.let_go_of_idle = let_go_of_idle
        """Close connections on which an answer may still be under way that nobody has waited for."""
        self.is_spoilt = False
        """Whether another client is to be used from now on."""
        self._survives_interrupts = survives_interrupts
        self._close = close
        self.generation = _generation
        self.silent_until = 0.0
        self.silence: ServerUnavailable | None = None
        self._finalizer = weakref.finalize(self, close)

    def raise_if_silent(self) -> None:
        """Fail at once while the server has just not answered."""
        if self.silence is not None and time.monotonic() < self.silent_until:
            raise ServerUnavailable(f"{self.silence}; it is asked again in {_SILENCE:g} s")

    def has_been_silent(self, error: ServerUnavailable) -> None:
        """Note that the server did not answer in time."""
        self.silence, self.silent_until = error, time.monotonic() + _SILENCE

    def has_been_interrupted(self) -> None:
        """Give the client up where an interrupt may leave a lock of its library held; other threads finish with it."""
        if not self._survives_interrupts and not self.is_spoilt:
            self.is_spoilt = True
            self._finalizer.detach()
            # On another thread, which may then wait for that lock for ever.
            weakref.finalize(self, _thread.start_new_thread, self._close, ()).atexit = False


def server_of(key: tuple[Any, ...], connect: Callable[[], Server[Any]]) -> Server[Any]:
    """The one server of that key in this process, connected at need."""
    with _table_lock:
        found = _servers.get(key)
        if found is None or found.is_spoilt:
            found = _servers[key] = connect()
        return found


class RemoteEngine(Engine):
    """Rows on a server, in a place named after the stash. *place* may be a URL as :meth:`location` gives it."""

    capabilities = (
        Capability.CROSS_PROCESS
        | Capability.SWAP
        | Capability.PREFIX_SCAN
        | Capability.REMOTE
        | Capability.SHARED_WRITERS
    )
    keeps_files = False
    default_url: ClassVar[str]

    def __init__(self, place: str, *, section: str = "", **options: Any) -> None:
        if "://" in place:
            name, found = self.from_url(place)
            place, options = "/".join(safe_parts(name)), {**found, **options}
        else:
            place = place.replace(os.sep, "/").removesuffix("/" + self.name)
        self._place = quote(place, safe="/%._-")
        self._section_name = section
        self._options = self.settle(options)
        self._url: str = self._options["url"]
        self._server: Server[Any] | None = None
        self._was_asked = False
        """Whether the server has asked for a password, which only then is taken from the environment."""
        self._sections = SectionTable(self._make_section)

    def _make_section(self, name: str) -> Engine:
        return type(self)(self._place, section=name, **self._options)

    @classmethod
    @abstractmethod
    def _settled_url(cls, parsed: credentials.ServerUrl, options: dict[str, Any]) -> credentials.ServerUrl:
        """*parsed* with the *options* that it may hold, which are taken out of them; ValueError where they make no sense."""

    @abstractmethod
    def _connect(self, url: credentials.ServerUrl, password: str | None, timeout: float) -> Server[Any]:
        """A new client that waits *timeout* seconds for answers; nothing is asked of the server yet."""

    @abstractmethod
    def _explained(self, error: Exception, *, writing: bool) -> Exception:
        """The error of ours that stands for an error of the library."""

    @classmethod
    def settle(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        rest = {name: value for name, value in options.items() if value is not None}
        parsed = credentials.parse_url(text(rest.pop("url", cls.default_url), "url"))
        if "username" in rest:
            parsed = parsed._replace(user=text(rest.pop("username"), "username"))
        if "password" in rest:
            parsed = parsed._replace(password=text(rest.pop("password"), "password") or None)
        for name in ("timeout", "lease"):
            if name in rest:
                rest[name] = seconds(rest[name], name)
        parsed = cls._settled_url(parsed, rest)
        url = parsed.bare()
        if parsed.password is not None:
            credentials.remember(url, parsed.password)
        return {"url": url, **rest}

    def section(self, name: str) -> Engine:
        return self._sections[name]

    def section_names(self) -> list[str]:
        return [*SECTIONS, "bad"]

    @abstractmethod
    def swap_for(self, address: bytes, expected: WriteId | None, blob: bytes, seconds: float) -> bool:
        """:meth:`swap` of a row that the server removes after *seconds* by its own clock; another write revokes that."""

    def lock(self, name: str) -> AbstractContextManager[Any]:
        return LeaseLock(cast("RemoteEngine", self.section(LEASES)), name, self._options.get("lease", LEASE))

    @property
    def _timeout(self) -> float:
        return float(self._options.get("timeout", ANSWER_TIMEOUT))

    def _open(self) -> Server[Any]:
        """The server, connected anew if this engine is new, was closed, or came through a fork."""
        server = self._server
        if server is None or server.generation != _generation or server.is_spoilt:
            server = self._server = self._server_with(self._timeout)
        server.raise_if_silent()
        return server

    def _server_with(self, timeout: float) -> Server[Any]:
        password, parsed = self._password(), credentials.parse_url(self._url)
        key = (self.name, self._url, password, timeout)
        return server_of(key, lambda: self._connect(parsed, password, timeout))

    def _open_for(self, size: int) -> Server[Any]:
        """The server for a request of *size* bytes; it has just answered before it gets more time for a large one."""
        server = self._open()
        if size < _LARGE:
            return server
        server.client.ping()
        return self._server_with(self._timeout * _MORE_PATIENCE)

    def _password(self) -> str | None:
        password = credentials.password_for(self._url)
        if password is None and (self._was_asked or credentials.parse_url(self._url).user):
            password = credentials.password_from_environment()
        return password

    def _ask(self, work: Callable[[Any], Result], *, writing: bool = False, size: int = 0) -> Result:
        """What *work* gives for the client; once more if the connection drops, which must do no harm.

        *size*: about how many bytes are sent.
        """
        try:
            return self._ask_once(work, writing=writing, size=size)
        except Dropped:
            return self._ask_again(work, writing=writing, size=size)

    def _ask_again(self, work: Callable[[Any], Result], *, writing: bool, size: int = 0) -> Result:
        try:
            return self._ask_once(work, writing=writing, size=size)
        except Dropped as error:
            raise ServerUnavailable(f"{self._url}: the connection was lost twice; is the server in good health?") from (
                error.__cause__
            )

    def _ask_once(self, work: Callable[[Any], Result], *, writing: bool, size: int = 0) -> Result:
        server = None  # kept here while it works: another thread may close this engine meanwhile
        try:
            server = self._open_for(size)
            return work(server.client)
        except ServerUnavailable:
            raise
        except BaseException as error:
            # The libraries' errors have no common root: what they cannot explain comes from elsewhere, such as an interrupt.
            explained = self._explained(error, writing=writing) if isinstance(error, Exception) else error
            if explained is error:
                if server is not None:
                    server.let_go_of_idle()
                    if not isinstance(error, Exception):
                        server.has_been_interrupted()
                raise
            failure, cause = explained, error
        if isinstance(failure, PasswordNeeded) and not self._was_asked and credentials.password_from_environment():
            self._was_asked, self._server = True, None
            return self._ask_once(work, writing=writing, size=size)
        raise failure from cause

    def _nobody_knows(self, what: str) -> ServerUnavailable:
        return ServerUnavailable(f"{self._url}: the connection was lost, and {what}; look before you try again")

    def location(self) -> str:
        address, _, query = self._url.partition("?")
        section = f"@{self._section_name}" if self._section_name else ""
        return f"{address}/{self._place.lstrip('/')}{section}" + (f"?{query}" if query else "")

    def close(self) -> None:
        self._server = None
        for section in self._sections:
            section.close()


def last_parts(names: list[str], folder: str) -> list[str]:
    """The names directly below *folder* in the places *names*."""
    prefix = quote(folder.replace(os.sep, "/"), safe="/%._-") + "/"
    return sorted({name.removeprefix(prefix).split("/")[0] for name in names if name.startswith(prefix)})


def in_groups(names: list[str], sizes: list[int], most: int) -> Iterator[list[str]]:
    """*names* of rows in groups whose *sizes* add up to hardly more than *most* bytes, and that are not too many."""
    group: list[str] = []
    total = 0
    for name, size in zip(names, sizes, strict=True):
        group.append(name)
        total += size
        if total >= most or len(group) >= _MOST_AT_ONCE:
            yield group
            group, total = [], 0
    if group:
        yield group


def is_address(name: bytes) -> bool:
    """Whether *name* is an address in hexadecimal; others who may write to the server may have put anything there."""
    return _ADDRESS.fullmatch(name) is not None


def host_of(hosts: str, default: int) -> tuple[str, int]:
    """Name and port in ``host:port``; ValueError without repeating what may be a part of a password."""
    host, colon, port = hosts.rpartition(":") if not hosts.endswith("]") else (hosts, "", "")
    if not colon:
        host, port = hosts, ""
    if port and not port.isdigit():
        raise ValueError(
            "the port in a server's URL is no number; percent-encode : / ? # @ in user names and passwords"
        )
    return unquote(host).strip("[]"), int(port or default)


def _forget_in_child() -> None:
    """A forked child must not use, close or even wait for what its parent has open."""
    global _generation, _servers, _table_lock
    _generation += 1
    _table_lock = threading.Lock()
    for server in list(_servers.values()):
        server._finalizer.detach()  # noqa: SLF001
        _abandoned.append(server)
    _servers = weakref.WeakValueDictionary()


forks.in_child(_forget_in_child)
