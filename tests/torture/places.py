"""Where a check keeps its stash: a folder or a server of its own, which any process opens by the same few words."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from hashstash import HashStash

FILES = ("pairtree", "lmdb", "sqlite", "diskcache", "sqlitedict", "shelve", "pickledb")
"""Engines that keep files in a folder."""
SERVERS = ("redis", "mongo")
SHARED = ("pairtree", "lmdb", "sqlite", "diskcache", "redis", "mongo")
"""Engines that several processes write to at once."""
EVERY = (*FILES, *SERVERS, "memory")


@dataclass(frozen=True)
class Place:
    """All that another process needs to open the same stash; travels as JSON."""

    engine: str
    root: str
    options: dict[str, Any] = field(default_factory=dict)

    def open(self, **options: Any) -> HashStash:
        """The stash, by default as users get it."""
        return HashStash(self.root, engine=self.engine, **{**self.options, **options})

    def fresh(self, name: str) -> Place:
        """A place beside this one that nothing has been stored in."""
        return replace(self, root=f"{self.root}/{name}")

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Place:
        return cls(**json.loads(text))


def why_not(engine: str) -> str:
    """Why nothing can be stored with that engine here; empty if it can."""
    if engine in SERVERS:
        import servers  # which needs pytest: not in every process that a check starts

        return {"redis": servers.redis_is_missing, "mongo": servers.mongo_is_missing}[engine]()
    packages = {name: name for name in ("lmdb", "diskcache", "sqlitedict", "pickledb")} | {"ultradict": "UltraDict"}
    package = packages.get(engine)
    return f"the package {package} is not installed" if package and find_spec(package) is None else ""


@contextmanager
def place(engine: str, *, under: str | None = None) -> Iterator[Place]:
    """A place of its own, with a server of its own if there has to be one; gone at the end."""
    with ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="torture-", dir=under)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        options = {}
        if engine in SERVERS:
            import servers

            server = {"redis": servers.RedisServer, "mongo": servers.MongoServer}[engine](folder)
            stack.callback(server.stop)
            options["url"] = server.start().url
        yield Place(engine, f"{folder}/stash", options)
