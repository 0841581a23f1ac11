import concurrent.futures
import copy
import io
import logging
import multiprocessing
import operator
import os
import pickle
import subprocess
import sys
import traceback
import warnings
from importlib.util import find_spec
from multiprocessing.reduction import ForkingPickler

import pytest
import servers

from hashstash import HashStash, credentials, serialize
from hashstash.errors import StashError

SECRET = "Tr0ub4dor-und-3"
ODD = "p:a/s?s#w@o%rd ü[]"


@pytest.fixture(autouse=True)
def forgetful():
    credentials._passwords.clear()
    yield
    credentials._passwords.clear()


@pytest.fixture
def protected(start_redis):
    """A Redis whose default user needs SECRET; there is a user ``me`` with the same password."""
    return start_redis("--requirepass", SECRET, "--user", f"me on >{SECRET} ~* +@all")


def needs(package):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"the package {package} is not installed")


# ---- URLs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url, bare, password",
    [
        ("redis://h", "redis://h", None),
        ("redis://:secret@h:1/0", "redis://h:1/0", "secret"),
        ("redis://me:secret@h/0/a?x=1", "redis://me@h/0/a?x=1", "secret"),
        ("redis://me@h", "redis://me@h", None),
        ("redis://me:@h", "redis://me@h", None),
        ("redis://h/0?password=se%20cret&x=1", "redis://h/0?x=1", "se cret"),
        ("mongodb://me:a%3Ab@h1:1,h2:2/db?replicaSet=rs", "mongodb://me@h1:1,h2:2/db?replicaSet=rs", "a:b"),
        ("redis://me%40x:p%25@h", "redis://me%40x@h", "p%"),
    ],
)
def test_the_password_is_taken_out_of_a_url(url, bare, password):
    parsed = credentials.parse_url(url)
    assert (parsed.bare(), parsed.password) == (bare, password)


@pytest.mark.parametrize("engine", ["redis", "mongodb"])
@pytest.mark.parametrize("password", ["pa/ss", "pa#ss", "pa?ss", "12/34", "pa@s/s", "a[b", "pa/s@s"])
@pytest.mark.parametrize("user", ["", "me"])
def test_a_password_that_is_not_encoded_is_never_shown(engine, password, user):
    """Its pieces would be taken for hosts, ports and names, which errors and listings show."""
    pytest.importorskip("redis" if engine == "redis" else "pymongo")
    url = f"{engine}://{user}:{password}@127.0.0.1:1/0/name"
    with pytest.raises(ValueError) as caught:
        HashStash(url).get("a")
    text = "".join(traceback.format_exception(caught.value))
    text = text.replace(url, "")
    assert password not in str(caught.value)
    assert "percent" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_other_secrets_are_refused():
    with pytest.raises(ValueError, match="tlsCertificateKeyFilePassword is secret") as caught:
        credentials.parse_url(f"mongodb://h/db?tlsCertificateKeyFilePassword={SECRET}")
    assert SECRET not in str(caught.value)


def test_a_later_password_for_the_same_url_replaces_the_first():
    credentials.remember("redis://h", "one")
    credentials.remember("redis://h", "two")
    assert credentials.password_for("redis://h") == "two"
    credentials.forget("redis://h")
    assert credentials.password_for("redis://h") is None


# ---- nothing that a stash says, stores or hands out holds the password ---------------------------------------------


def said_by(stash):
    """Everything that a stash says of itself, as text."""

    yield from (repr(stash), str(stash), stash.path, repr(stash.config), repr(stash.to_dict()), repr(vars(stash)))
    yield from (repr(stash.engine), repr(stash.store), repr(stash.store.engine), stash.store.engine.location())
    yield repr(stash.store.engine.__dict__)
    yield repr(stash.store.engine.section("history").location())
    yield repr(stash.stats)
    yield repr(pickle.dumps(stash))
    yield repr(pickle.dumps(copy.deepcopy(stash)))
    yield repr(serialize(stash, serializer="pickle"))
    yield repr(serialize(stash))
    yield repr(serialize(stash.config))
    yield repr(stash.encode_value({"stash": stash}))
    yield repr(stash.sub("inner").to_dict())
    yield repr(copy.copy(stash))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: HashStash(f"redis://me:{SECRET}@h/0/name"), marks=needs("redis"), id="redis URL"),
        pytest.param(lambda: HashStash(f"redis://:{SECRET}@h/0/name"), marks=needs("redis"), id="redis without user"),
        pytest.param(lambda: HashStash(f"redis://h/0/name?password={SECRET}"), marks=needs("redis"), id="redis query"),
        pytest.param(
            lambda: HashStash("name", engine="redis", password=SECRET), marks=needs("redis"), id="redis option"
        ),
        pytest.param(lambda: HashStash(f"redis+unix://:{SECRET}@/a/b.sock"), marks=needs("redis"), id="redis socket"),
        pytest.param(lambda: HashStash(f"mongodb://me:{SECRET}@h/db/name"), marks=needs("pymongo"), id="mongo URL"),
        pytest.param(
            lambda: HashStash("name", engine="mongo", username="me", password=SECRET),
            marks=needs("pymongo"),
            id="mongo option",
        ),
        pytest.param(
            lambda: HashStash.from_dict(
                {"root_dir": "name", "engine": "redis", "engine_options": {"url": f"redis://:{SECRET}@h"}}
            ),
            marks=needs("redis"),
            id="written by hand",
        ),
    ],
)
def test_nothing_that_a_stash_says_holds_the_password(make):
    stash = make()
    for text in said_by(stash):
        assert SECRET not in text
        assert SECRET.encode().hex() not in text
    assert credentials.password_for(stash.config.engine_options["url"]) == SECRET


@pytest.mark.server
def test_nothing_that_is_logged_raised_or_stored_holds_the_password(protected):
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    errors = []
    try:
        stash = HashStash(f"redis://me:{SECRET}@127.0.0.1:{protected.port}/0/name", append_mode=True)
        stash[stash] = stash
        stash[lambda: stash] = 1
        encoded = [stash.encode_key(stash), stash.encode_key(lambda: stash)]
        stash["a"], stash["a"] = stash, [stash, stash.config]
        stash.run(_path_of, stash)
        with stash.lock("a"), servers.raw_redis(f"redis://me:{SECRET}@127.0.0.1:{protected.port}/0") as client:
            stored = b"".join(key + (client.dump(key) or b"") for key in client.scan_iter("*"))
        assert b"name" in stored
        assert SECRET.encode() not in stored + b"".join(encoded)
        protected.stop()
        for act in (lambda: stash["a"], lambda: stash.set_many({"a": 1}), stash.clear, stash.store.engine.check):
            errors.append(_error_of(act))
        errors.append(_error_of(lambda: HashStash(f"redis://:{SECRET}@127.0.0.1:{protected.port}/0/x")["a"]))
        errors.append(_error_of(lambda: HashStash(f"redis://:{SECRET}@no-such-host.invalid/0/x")["a"]))
        protected.start(protected.port)
        errors.append(_error_of(lambda: HashStash(f"redis://you:{SECRET}@127.0.0.1:{protected.port}/0/x")["a"]))
        errors.append(_error_of(lambda: HashStash(f"redis://:{SECRET}x@127.0.0.1:{protected.port}/0/x")["a"]))
        errors.append(_error_of(lambda: HashStash(f"redis://:{SECRET}@127.0.0.1:{protected.port}/99/x")["a"]))
        errors.append(_error_of(lambda: HashStash("x", engine="redis", password=SECRET, port="6379x")))
        errors.append(_error_of(lambda: HashStash("x", engine="redis", pasword=SECRET)))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert all(errors)
    assert SECRET not in log.getvalue() + "".join(errors)


def _path_of(stash):
    return stash.path


def _error_of(act):
    """The messages of the error that *act* raises and of all errors that led to it."""
    try:
        act()
    except Exception as error:
        texts, seen = [], error
        while seen is not None:
            texts.append(f"{type(seen).__name__}: {seen!s} {seen!r} {seen.args!r} {getattr(seen, '__notes__', '')}")
            seen = seen.__cause__ or seen.__context__
        return "\n".join(texts)
    return ""


@pytest.mark.server
def test_a_warning_does_not_hold_the_password(protected):
    stash = HashStash(f"redis://me:{SECRET}@127.0.0.1:{protected.port}/0/name")
    protected.stop()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert stash.run(len, [1]) == 1
    assert caught
    assert SECRET not in "".join(str(warning.message) for warning in caught)


# ---- who gets it ---------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_odd_passwords_work_when_they_are_encoded(start_redis):
    from urllib.parse import quote

    port = start_redis("--requirepass", "x").port
    with servers.raw_redis(f"redis://:x@127.0.0.1:{port}/0") as client:
        client.config_set("requirepass", ODD)
    stash = HashStash(f"redis://:{quote(ODD, safe='')}@127.0.0.1:{port}/0/name")
    stash["a"] = 1
    assert HashStash("name", engine="redis", port=port, host="127.0.0.1", password=ODD)["a"] == 1


@pytest.mark.server
def test_the_bare_url_finds_the_password_in_the_same_process(protected):
    stash = HashStash(f"redis://me:{SECRET}@127.0.0.1:{protected.port}/0/name")
    stash["a"] = 1
    assert HashStash(stash.path)["a"] == 1
    assert HashStash.from_dict(stash.to_dict())["a"] == 1
    assert pickle.loads(pickle.dumps(stash))["a"] == 1
    stash["inner"] = stash
    assert stash["inner"]["a"] == 1


READ = "import sys; from hashstash import HashStash; print(HashStash(sys.argv[1])['a'])"


@pytest.mark.server
@pytest.mark.parametrize("user", ["", "me"])
def test_another_process_needs_the_password_and_may_have_it_from_the_environment(protected, user):
    colon = f"{user}:{SECRET}"
    stash = HashStash(f"redis://{colon}@127.0.0.1:{protected.port}/0/name")
    stash["a"] = 1
    without = subprocess.run([sys.executable, "-c", READ, stash.path], capture_output=True, text=True, timeout=60)
    assert without.returncode
    assert "password" in without.stderr
    environment = {**os.environ, credentials.ENVIRONMENT: SECRET}
    command = [sys.executable, "-c", READ, stash.path]
    with_it = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert with_it.stdout == "1\n", with_it.stderr


@pytest.mark.server
def test_a_server_without_a_password_is_not_told_that_of_the_environment(redis_url, monkeypatch):
    monkeypatch.setenv(credentials.ENVIRONMENT, SECRET)
    if servers.REDIS_URL:
        pytest.skip("a server of our own is known to have no password")
    stash = HashStash(redis_url)
    stash["a"] = 1
    assert stash["a"] == 1


@pytest.mark.server
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_workers_of_multiprocessing_are_given_the_password(protected, method):
    stash = HashStash(f"redis://me:{SECRET}@127.0.0.1:{protected.port}/0/name")
    stash["a"] = 1
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(operator.itemgetter("a"), stash).result(60) == 1


def test_only_multiprocessings_own_pickler_takes_it_along():
    pytest.importorskip("redis")
    stash = HashStash(f"redis://me:{SECRET}@h/0/name")
    other = HashStash("redis://h/0/name")
    assert SECRET.encode() in bytes(ForkingPickler.dumps(stash))
    assert SECRET.encode() not in bytes(ForkingPickler.dumps(other))
    assert SECRET.encode() not in pickle.dumps(stash)
    if find_spec("cloudpickle"):
        import cloudpickle

        assert SECRET.encode() not in cloudpickle.dumps(stash)
        assert SECRET.encode() not in cloudpickle.dumps(lambda: stash)


def test_a_subclass_is_sent_to_workers_too():
    pytest.importorskip("redis")

    class Mine(HashStash):
        pass

    stash = Mine(f"redis://me:{SECRET}@h/0/name")
    function, arguments = ForkingPickler(io.BytesIO()).dispatch_table[Mine](stash)
    assert function is credentials._rebuilt
    assert SECRET in arguments


def test_a_server_that_refuses_a_password_makes_us_forget_it(start_redis):
    port = start_redis("--requirepass", SECRET).port
    with pytest.raises(StashError, match="wrong"):
        HashStash(f"redis://:wrong@127.0.0.1:{port}/0/name").get("a")
    assert not credentials._passwords
