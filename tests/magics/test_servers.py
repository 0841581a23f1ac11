"""Cells whose records lie on a server."""

import pytest
import servers

pytest.importorskip("redis")


@pytest.fixture
def port(monkeypatch):
    """A port of this machine on which Redis is looked for when no other is named."""
    from hashstash.engines.redis import RedisEngine

    port = servers.free_port()
    monkeypatch.setattr(RedisEngine, "default_url", f"redis://127.0.0.1:{port}/0")
    return port


def test_a_cell_runs_and_keeps_its_result_when_the_server_is_away(session, port):
    for _ in range(2):
        session.run("%%stash away --engine redis\nnumber = 6 * 7\nprint(number)")
        assert session["number"] == 42
        assert session.status().count("refused") == 1


@pytest.mark.server
def test_a_cell_is_restored_from_a_server(session, start_redis, port):
    start_redis(port=port)
    session.run("calls = []")
    for _ in range(2):
        session.run("%%stash there --engine redis\nimport random\nnumber = random.random()")
        session.run("calls.append(number)")
    assert session["calls"][0] == session["calls"][1]
