"""Servers on the command line: passwords in URLs are not repeated, and what is wrong with one is said once."""

import pytest
from together import cases

from hashstash import HashStash, credentials
from hashstash.errors import ServerUnavailable

SECRET = "Tr0ub4dor-und-3"


def twice(x):
    return 2 * x


@pytest.fixture
def url(start_redis):
    """A stash, with results of a function below it, on a server that asks for a password and writes nothing to a disk."""
    credentials._passwords.clear()
    server = start_redis("--requirepass", SECRET, "--save", "", "--appendonly", "no")
    found = f"redis://:{SECRET}@127.0.0.1:{server.port}/0"
    stash = HashStash(f"{found}/cats")
    stash["key"] = "value"
    stash.run(twice, 1)
    yield found
    credentials._passwords.clear()


@pytest.mark.server
def test_no_command_repeats_a_password(run, url, tmp_path):
    with cases() as case:
        for words in (
            ("info", f"{url}/cats"),
            ("info", f"{url}/cats", "--json"),
            ("info", f"{url}/cats", "nokey"),
            ("ls", url),
            ("ls", "--entries", f"{url}/cats", "--json"),
            ("get", f"{url}/cats", "key", "--json"),
            ("check", url, "--json"),
            ("trust", f"{url}/cats", "--yes"),
            ("aside", f"{url}/cats", "--json"),
            ("rm", f"{url}/cats", "--all"),
            ("export", tmp_path / "all.stash", url),
            ("import", tmp_path / "all.stash", "--dry-run"),
            ("get", f"{url}/cats"),
            (f"{url}/cats",),
            ("ls", f"{url}/cats", f"--{url}?password={SECRET}"),
        ):
            with case(words[0]):
                ran = run(*words)
                assert ran.out or ran.err
                assert SECRET not in ran.out + ran.err


@pytest.mark.server
def test_what_is_wrong_with_a_server_is_said_once(run, url):
    listed = run("check", f"{url}/cats", "--json").json["stashes"]
    problems = [problem for one in listed for problem in one["problems"]]
    assert len(problems) == 1
    assert "writes nothing to a disk" in problems[0]
    assert len(HashStash(f"{url}/cats").check()) == 1


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("plain words with an a@b", "plain words with an a@b"),
        ("redis://me:pw@h/0/x", "redis://...@h/0/x"),
        ("--foo 'redis://:p@w@h' and http://x", "--foo 'redis://...@h' and http://x"),
        ("redis://h/0?password=pw&x=1", "redis://h/0?password=...&x=1"),
        ("mongodb://h/?proxyPassword=pw'", "mongodb://h/?proxyPassword=...'"),
    ],
)
def test_what_was_typed_is_repeated_without_secrets(typed, shown):
    assert credentials.without_secrets(typed) == shown


@pytest.mark.server
def test_tls_where_there_is_none_is_thought_of(start_redis):
    """A server without TLS waits for the rest of what it takes for a command."""
    url = f"rediss://127.0.0.1:{start_redis().port}/0/x"
    with pytest.raises(ServerUnavailable, match="redis:// instead of rediss://"):
        HashStash(url, timeout=0.3)["key"]
