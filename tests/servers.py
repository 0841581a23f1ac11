"""Servers that the tests start on loopback ports in temporary folders, and stop whatever happens; or those that exist.

``HASHSTASH_TEST_REDIS_URL`` and ``HASHSTASH_TEST_MONGO_URI`` name real services for the tests that need nothing but a server;
what they store there lies under a random name and is removed.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

import pytest

REDIS_URL = os.environ.get("HASHSTASH_TEST_REDIS_URL")
MONGO_URI = os.environ.get("HASHSTASH_TEST_MONGO_URI")
PATIENCE = 20.0
_TRIES = 3


def redis_is_missing():
    """Why no test can talk to Redis here; empty if they can."""
    if find_spec("redis") is None:
        return "the package redis is not installed"
    if REDIS_URL is None and shutil.which("redis-server") is None:
        return "redis-server is not installed (apt-get install redis-server), and HASHSTASH_TEST_REDIS_URL is not set"
    return ""


def mongo_is_missing():
    """Why no test can talk to MongoDB here; empty if they can."""
    if find_spec("pymongo") is None:
        return "the package pymongo is not installed"
    if MONGO_URI is None and find_spec("nx_27017") is None:
        return "the stand-in nx-27017 is not installed, and HASHSTASH_TEST_MONGO_URI is not set"
    return ""


def described():
    """Which servers the tests talk to, for the head of the report."""
    redis = redis_is_missing() or (
        "HASHSTASH_TEST_REDIS_URL" if REDIS_URL else f"redis-server {_redis_version()}, started by the tests"
    )
    mongo = mongo_is_missing() or (
        "HASHSTASH_TEST_MONGO_URI"
        if MONGO_URI
        else f"nx-27017 {_version_of('nx-27017')}, a stand-in that speaks MongoDB's protocol over SQLite, started by the tests"
    )
    return [f"redis: {redis}", f"mongo: {mongo}"]


def _redis_version():
    words = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, timeout=30).stdout.split()
    return next((word[2:] for word in words if word.startswith("v=")), "of an unknown version")


def _version_of(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class LocalServer:
    """A server process of ours. ``command`` makes its command line from a port."""

    def __init__(self, folder, command, answers):
        self.folder = folder
        self._command = command
        self._answers = answers
        self._process = None
        self.port = 0

    def start(self, port=None):
        """Start it and wait until it answers."""
        for _ in range(_TRIES):
            self.port = port or free_port()
            log = open(os.path.join(self.folder, "log"), "ab")
            with log:
                self._process = subprocess.Popen(
                    [*_dies_with_us(), *self._command(self.port)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
                )
            if self._is_up():
                return self
            self.stop()
        with open(os.path.join(self.folder, "log"), errors="replace") as log:
            pytest.fail(f"the server does not start: {log.read()[-2000:]}")

    def _is_up(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers(self.port):
                return True
            time.sleep(0.02)
        return False

    def stop(self):
        """Stop it at once; it may be started again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def end(self):
        """Stop it as an administrator does."""
        self._process.terminate()
        self._process.wait(PATIENCE)

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)


def _dies_with_us():
    """What a command line begins with, so that no server outlives a test run that is killed."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def accepts(port):
    """Whether something listens on *port*."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


class RedisServer(LocalServer):
    def __init__(self, folder, *options):
        super().__init__(folder, self._line, _pings)
        self._options = [word for option in options for word in option.split(" ")]

    def _line(self, port):
        with_tls = "--tls-port" in self._options
        ports = ["--port", "0", "--tls-port", str(port)] if with_tls else ["--port", str(port)]
        rest = [option for option in self._options if option != "--tls-port"]
        place = ["--bind", "127.0.0.1", "--dir", str(self.folder)]
        return ["redis-server", *ports, *place, "--save", "", "--appendonly", "no", *rest]

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"


def _pings(port):
    """Whether a Redis answers, be it that it wants a password or TLS, and has loaded its data."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as client:
            client.settimeout(1)
            client.sendall(b"PING\r\n")
            answer = client.recv(100)
            return not answer.startswith(b"-LOADING")
    except ConnectionResetError:
        return True  # it expects something else than plain text
    except OSError:
        return False


class MongoServer(LocalServer):
    def __init__(self, folder, *options):
        super().__init__(folder, self._line, accepts)
        self._options = options

    def _line(self, port):
        files = ["--log-file", f"{self.folder}/nx.log", "--pid-file", f"{self.folder}/nx.pid"]
        storage = ["--data-dir", f"{self.folder}/data"]
        return [
            sys.executable,
            "-m",
            "nx_27017.nx_27017",
            "--host",
            "127.0.0.1",
            "-p",
            str(port),
            *storage,
            *files,
            *self._options,
        ]

    @property
    def url(self):
        return f"mongodb://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def redis_base(tmp_path_factory):
    """The URL of the Redis that the tests of this worker share, with a database and without a name."""
    if reason := redis_is_missing():
        pytest.skip(reason)
    if REDIS_URL is not None:
        yield REDIS_URL.rstrip("/")
        return
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--save 86400 1").start()
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture
def redis_url(redis_base, private_home, monkeypatch):
    """The URL of a stash of this test's own on the shared Redis; afterwards nothing is left of it."""
    _tell_other_processes(REDIS_URL, monkeypatch)
    name = f"test-{os.urandom(6).hex()}"
    yield f"{redis_base}/{name}"
    with raw_redis(redis_base) as client:
        for key in list(client.scan_iter(f"hashstash:{{{name}*", count=1000)):
            client.unlink(key)
        places = [place for place in client.smembers("hashstash:places") if place.startswith(name.encode())]
        if places:
            client.srem("hashstash:places", *places)


def _password_of(url):
    return url and urlsplit(url).password and unquote(urlsplit(url).password)


def _tell_other_processes(url, monkeypatch):
    """Processes that a test starts open stashes by URLs without the password of the real service."""
    if _password_of(url):
        monkeypatch.setenv("HASHSTASH_PASSWORD", _password_of(url))


@contextlib.contextmanager
def raw_redis(url):
    """A client of redis-py on the server of *url*, for a second route to what is stored."""
    import redis

    scheme, _, rest = url.partition("://")
    address, database = rest.split("/")[:2] if "/" in rest else (rest, "0")
    known = {} if "@" in address else {"password": _password_of(REDIS_URL)}
    client = redis.Redis.from_url(f"{scheme}://{address}/{database}", **known)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def start_redis(tmp_path):
    """A callable that starts a Redis of this test's own with options of ``redis.conf``; all are stopped at the end."""
    if find_spec("redis") is None or shutil.which("redis-server") is None:
        pytest.skip("redis-server (apt-get install redis-server) and the package redis are not both installed")
    yield from _starter(RedisServer, tmp_path)


@pytest.fixture(scope="session")
def mongo_base(tmp_path_factory):
    """The URI of the MongoDB, or of its stand-in, that the tests of this worker share."""
    if reason := mongo_is_missing():
        pytest.skip(reason)
    if MONGO_URI is not None:
        yield MONGO_URI
        return
    server = MongoServer(tmp_path_factory.mktemp("mongo")).start()
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def mongo_database(mongo_base):
    """The name of a database of this worker's own on the shared MongoDB; it is dropped at the end."""
    import pymongo

    name = f"hashstash-test-{os.urandom(6).hex()}"
    yield name
    with pymongo.MongoClient(mongo_base) as client:
        client.drop_database(name)


@pytest.fixture
def mongo_url(mongo_base, mongo_database, private_home, monkeypatch):
    """The URL of a stash of this test's own on the shared MongoDB."""
    _tell_other_processes(MONGO_URI, monkeypatch)
    address, question, query = mongo_base.partition("?")
    if MONGO_URI is None:
        question, query = "?", "socketTimeoutMS=60000"  # the stand-in takes its time on a busy machine
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.split('/')[0]}/{mongo_database}/test-{os.urandom(6).hex()}{question}{query}"


@pytest.fixture
def start_mongo(tmp_path):
    """A callable that starts a stand-in of this test's own; all are stopped at the end."""
    if find_spec("pymongo") is None or find_spec("nx_27017") is None:
        pytest.skip("the package pymongo and the stand-in nx-27017 are not both installed")
    yield from _starter(MongoServer, tmp_path)


def _starter(kind, tmp_path):
    servers = []

    def start(*options, port=None):
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        servers.append(kind(str(folder), *options))
        return servers[-1].start(port)

    try:
        yield start
    finally:
        for server in servers:
            server.stop()
