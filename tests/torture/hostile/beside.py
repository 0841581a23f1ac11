"""Modules that lie beside the notebook under the names of packages that are not installed: read, and never imported."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Any

from torture.children import TESTS, say
from torture.hostile.canary import make_gadgets
from torture.hostile.frames import Frame
from torture.places import Place

OPTIONAL = (
    *(
        "numpy",
        "pandas",
        "polars",
        "pyarrow",
        "scipy",
        "lz4",
        "zstandard",
        "blosc",
        "blosc2",
        "xxhash",
        "msgpack",
        "msgspec",
    ),
    *(
        "jsonpickle",
        "cloudpickle",
        "lmdb",
        "diskcache",
        "sqlitedict",
        "pickledb",
        "redis",
        "pymongo",
        "gridfs",
        "UltraDict",
    ),
    *("pytz", "dateutil", "tqdm", "ipywidgets", "orjson", "hashstash_plugin", "tomllib_", "numpy_", "helpers"),
)
READ = """
import contextlib, io, os, sys, warnings
warnings.simplefilter("ignore")
from hashstash import HashStash
from hashstash.command_line import main
count = 0
def do(action):
    global count
    count += 1
    try:
        return action()
    except Exception:
        return None
root = sys.argv[1]
for engine in (None, "pairtree", "lmdb", "diskcache", "sqlitedict", "pickledb", "memory"):
    do(lambda: HashStash(root, engine=engine)["plain"])
stash = HashStash(root, engine="pairtree")
assert stash["plain"] == {"a": (1, 2)}
for key in stash:
    for action in (lambda: stash[key], lambda: stash.get(key), lambda: repr(stash.info(key)), lambda: stash.get_many([key])):
        do(action)
for action in (
    lambda: list(stash.items()), lambda: stash.entries(), lambda: stash.df, lambda: stash.ld, lambda: stash.to_arrow(),
    lambda: stash.to_polars(), lambda: stash._repr_html_(), lambda: stash.check(), lambda: stash.entries().df,
    lambda: stash.update({"new": list(range(9999)), ("k" * 99999,): 1, b"x" * 99999: 1}), lambda: stash.copy_to(HashStash("copy")),
    lambda: HashStash("other", compress="blosc"), lambda: HashStash("other", serializer="evil"), lambda: HashStash("x", engine="evil"),
):
    do(action)
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    for line in (["ls"], ["ls", root], ["ls", "--entries", root], ["info", root], ["check", root], ["get", root, "frame"]):
        do(lambda: main(line))
print(count, sorted(name for name, module in sys.modules.items() if os.getcwd() in str(getattr(module, "__file__", ""))))
"""


def store(place: str) -> None:
    """In a child with the stranger's home: a value of each package, by each compressor, and labels of plug-ins."""
    where = Place.loads(place)
    stash = where.open()
    stash["plain"] = {"a": (1, 2)}
    for name, value in _values().items():
        stash[name] = value
    for compressor in ("lz4", "zstd", "blosc", "zlib"):
        if compressor == "zlib" or importlib.util.find_spec(
            {"zstd": "zstandard", "blosc": "blosc2"}.get(compressor, compressor)
        ):
            where.open(compress=compressor)[f"by {compressor}"] = list(range(5000))
    for label in (
        b"evil",
        b"plugged",
        b"jsonpickle",
        b"pickle",
        b"hashstash+evil",
        b"hashstash+blosc",
        b"hashstash+zstd",
    ):
        key = stash.store.keys.encode(f"label {label!r}")
        stash.store.engine.put(
            key.address, Frame(digest=key.address, key=key.data, label=label, payload=b"x" * 600).pack()
        )
    for engine in ("lmdb", "diskcache", "sqlitedict", "pickledb", "redis", "evil"):
        os.makedirs(f"{where.root}/{engine}.hashstash.lz4/data.db", exist_ok=True)
    say("stored")


def _values() -> dict[str, Any]:
    import datetime as dt

    import numpy as np

    values: dict[str, Any] = {"array": np.arange(20_000.0), "zone": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}
    if importlib.util.find_spec("pandas"):
        import pandas as pd

        values["frame"] = pd.DataFrame({"a": [1.5, 2], "t": pd.date_range("2020", periods=2, tz="Europe/Paris")})
    if importlib.util.find_spec("polars"):
        import polars as pl

        values["polars"] = pl.DataFrame({"a": ["x" * 50] * 5000})
    if importlib.util.find_spec("pyarrow"):
        import pyarrow as pa

        values["arrow"] = pa.table({"a": [1, None]})
    if importlib.util.find_spec("pytz"):
        import pytz

        values["pytz"] = pytz.timezone("Europe/Paris")
    return values


def read(place: str, folder: str, mark: str, site: bool) -> None:
    """In a child with the victim's home: an interpreter without any package, or with all, in a folder that has "all" of them."""
    os.makedirs(folder, exist_ok=True)
    make_gadgets(folder, mark)
    for name in OPTIONAL:
        with open(f"{folder}/{name}.py", "w") as file:
            file.write(f"open({mark!r}, 'a').write(__name__ + ' was imported\\n')\n__path__ = []\n")
    done = subprocess.run(
        [sys.executable, *([] if site else ["-S"]), "-c", READ, Place.loads(place).root],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.path.dirname(TESTS)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    seen = []
    if os.path.exists(mark):
        with open(mark) as file:
            seen = sorted(set(file.read().splitlines()))
        os.unlink(mark)
    say("read", done.stdout.split(" ", 1), done.stderr[-1500:] if done.returncode else "", seen)
