"""What somebody else with the password of a server can write there."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torture.hostile.pickles import Runs
from torture.places import Place


def server_attacks(where: Place) -> dict[str, Callable[[Path, str], None]]:
    """Rows of another type, from somebody else with the password."""
    if where.engine == "redis":
        import redis

        client = redis.Redis.from_url(where.options["url"])

        def each(change: Callable[[Any, bytes, str], Any]) -> Callable[[Path, str], None]:
            def attack(folder: Path, mark: str) -> None:
                for key in client.scan_iter("hashstash:*"):
                    change(client, key, mark)

            return attack

        def instead(make: Callable[[Any, bytes], Any]) -> Callable[[Path, str], None]:
            return each(lambda client, key, mark: (client.delete(key), make(client, key)))

        return {
            "pickles": each(
                lambda client, key, mark: (
                    client.set(key, pickle.dumps(Runs(mark))) if client.type(key) == b"string" else 0
                )
            ),
            "a list": instead(lambda client, key: client.rpush(key, "a", "b")),
            "a hash": instead(lambda client, key: client.hset(key, "a", "b")),
            "a set": instead(lambda client, key: client.sadd(key, "a", "b")),
            "a stream": instead(lambda client, key: client.xadd(key, {"a": "b"})),
            "a sorted set": instead(
                lambda client, key: client.zadd(key, {"../../x": 1, "zz": float("inf"), "\x1b[2J": 2})
            ),
            "text": instead(lambda client, key: client.set(key, "redis.call('FLUSHALL')")),
            "large": instead(lambda client, key: client.setrange(key, 50_000_000, "x")),
        }
    import bson
    import pymongo

    client = pymongo.MongoClient(where.options["url"])

    def documents(change: Callable[[dict[str, Any], str], dict[str, Any]]) -> Callable[[Path, str], None]:
        def attack(folder: Path, mark: str) -> None:
            for name in client.list_database_names():
                if name not in ("admin", "local", "config"):
                    for collection in client[name].list_collection_names():
                        for document in list(client[name][collection].find()):
                            client[name][collection].replace_one({"_id": document["_id"]}, change(document, mark))

        return attack

    def others(value: Callable[[str], Any]) -> Callable[[Path, str], None]:
        return documents(
            lambda document, mark: {key: one if key == "_id" else value(mark) for key, one in document.items()}
        )

    return {
        "pickles": others(lambda mark: pickle.dumps(Runs(mark))),
        "text": others(lambda mark: "text"),
        "numbers": others(lambda mark: 2**60),
        "nothing": others(lambda mark: None),
        "code": others(lambda mark: bson.Code("function() { return 1 }")),
        "references": others(lambda mark: bson.DBRef("system", 1)),
        "nested": others(lambda mark: {"$where": "sleep(100000)", "a": [{"b": [1]}]}),
        "lists": others(lambda mark: [1, "a", None]),
        "dates": others(lambda mark: bson.datetime_ms.DatetimeMS(2**62)),
        "only ids": documents(lambda document, mark: {"_id": document["_id"]}),
    }


def empty(where: Place) -> None:
    """Begin with a server that holds nothing."""
    if where.engine == "redis":
        import redis

        redis.Redis.from_url(where.options["url"]).flushall()
        return
    import pymongo

    client = pymongo.MongoClient(where.options["url"])
    for name in client.list_database_names():
        if name not in {"admin", "local", "config"}:
            client.drop_database(name)
