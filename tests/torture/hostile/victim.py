"""A user who trusts nobody and does all that can be done with a stash, in a folder with gadgets; an audit hook listens."""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import re
import reprlib
import sys
import time
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import hashstash
from hashstash import HashStash
from hashstash.errors import StashError
from hashstash.registry import COMPRESSORS
from torture.children import say
from torture.hostile.canary import WORD, Canary
from torture.hostile.plain import f
from torture.places import Place

HARMLESS = {
    *(
        "div",
        "b",
        "span",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "samp",
        "pre",
        "details",
        "summary",
        "p",
        "br",
        "progress",
        "i",
    ),
}
_URL = re.compile(r":(\d+)")


class Tour:
    """What was done, what it raised that is no error of ours, what it showed that it should not."""

    def __init__(self) -> None:
        self.done = 0
        self.refused = 0
        self.values = 0
        self.seconds: collections.Counter[str] = collections.Counter()
        self.unclear: collections.Counter[str] = collections.Counter()
        self.shown: list[str] = []

    def do(self, name: str, action: Callable[[], Any]) -> Any:
        """One thing that a user does."""
        self.done += 1
        began = time.process_time()
        try:
            return action()
        except (StashError, KeyError):
            self.refused += 1
        except RecursionError:
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.unclear[
                f"{name}: {type(error).__name__}: {error!s:.120} at {os.path.basename(last.filename)}:{last.lineno}"
            ] += 1
        finally:
            self.seconds[name] += time.process_time() - began
        return None

    def look(self, name: str, text: Any) -> None:
        """Text that goes to a terminal: nothing in it may move the cursor, hide, or turn the direction."""
        for char in set(str(text)) - {"\n", "\t"}:
            if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
                self.shown.append(f"{name} shows {char!r}: ...{str(text)[max(0, str(text).index(char) - 40) :][:80]!r}")

    def look_at_html(self, name: str, html: Any) -> None:
        """A card: only the tags and attributes that we write."""
        seen = _Tags()
        seen.feed(str(html))
        if seen.found:
            self.shown.append(f"{name} shows {sorted(seen.found)[:5]}")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in HARMLESS:
            self.found.add(f"<{tag}>")
        self.found |= {f"{name}=" for name, value in attributes if name not in ("style", "open", "value", "max")}
        self.found |= {
            f"style {value}"
            for name, value in attributes
            if name == "style" and re.search("url|expression|@", value or "")
        }


def tour(stash: HashStash, keys: list[str], tour: Tour, folder: str) -> None:
    """Everything, each part by itself: that one raises stops none of the others."""
    for key in keys:
        tour.values += tour.do("get", lambda key=key: stash.get(key, _ABSENT)) is not None
    for key in keys[:: max(1, len(keys) // 150)]:
        for name, action in _with_key(stash, key):
            tour.do(name, action)
    for name, action in _as_a_whole(stash, keys, tour, folder):
        say("doing", name)
        tour.do(name, lambda action=action: _consumed(action()))


_ABSENT = object()


def _with_key(stash: HashStash, key: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "[]", lambda: stash[key]
    yield "in", lambda: key in stash
    yield "get_all", lambda: stash.get_all(key)
    yield "versions", lambda: repr(stash.versions(key))
    yield "at", lambda: stash.at(key, 1)
    yield "meta", lambda: repr(stash.meta(key))
    yield "info", lambda: (repr(stash.info(key)), stash.info(key)._repr_html_())
    yield "diff", lambda: str(stash.diff(key, 1, 2))
    yield "get_encoded", lambda: stash.get_encoded(key)
    yield "setdefault", lambda: stash.setdefault(key, 1) is None
    yield "get_set", lambda: stash.get_set(key, lambda: 1) is None
    yield "touch", lambda: stash.touch(key, ttl="1d")


def _as_a_whole(stash: HashStash, keys: list[str], tour: Tour, folder: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    show, html = tour.look, tour.look_at_html
    yield "repr", lambda: show("repr", repr(stash))
    yield "html", lambda: html("html", stash._repr_html_())
    for name in ("keys", "values", "items"):
        view = getattr(stash, name)
        yield f"{name} repr", lambda view=view, name=name: show(name, repr(view()))
        yield name, lambda view=view: [None for _ in view()]
        if hasattr(view(), "_repr_html_"):
            yield f"{name} html", lambda view=view, name=name: html(name, view()._repr_html_())
    yield "iter", lambda: list(stash)
    yield "len", lambda: len(stash)
    yield "bool", lambda: bool(stash)
    yield "==", lambda: stash == {}
    yield "in values", lambda: 5 in stash.values()
    yield "get_many", lambda: stash.get_many(keys[:50])
    for key in keys[:: max(1, len(keys) // 40)]:
        yield "get_many of one", lambda key=key: stash.get_many([key])
    entries: list[Any] = []
    yield "entries", lambda: entries.extend(stash.entries())
    yield "entries repr", lambda: show("entries", repr(stash.entries()))
    yield "entries html", lambda: html("entries", stash.entries()._repr_html_())
    # Each cell by itself, and shortly: as wide as the widest a whole frame takes gigabytes, and of a key or a note which
    # holds one list twice, sixty levels deep, Python's own text has no end.
    yield "entries df", lambda: [repr(table := stash.entries().df), list(map(reprlib.repr, table.to_numpy().flat))]
    yield "an entry", lambda: [show("entry", repr(entry)) for entry in entries]
    yield "entries by tag", lambda: stash.entries(tags__contains="new")
    yield (
        "html of an entry",
        lambda: [html("entry", entry._repr_html_()) for entry in entries if hasattr(entry, "_repr_html_")],
    )
    yield "stats", lambda: show("stats", repr(stash.stats))
    yield "options", lambda: repr(stash.options) if not callable(stash.options) else repr(stash.options())
    for name in ("ld", "df"):
        yield name, lambda name=name: getattr(stash, name)
    yield "assemble_df", lambda: stash.assemble_df(with_metadata=True)
    yield "to_arrow", stash.to_arrow
    yield "to_polars", stash.to_polars
    yield "size_bytes", stash.size_bytes
    yield "check", lambda: show("check", repr(stash.check()))
    yield "check html", lambda: html("check", stash.check()._repr_html_())
    yield "browse", lambda: show("browse", repr(stash.browse()))
    yield "run", lambda: stash.run(f, 3)
    yield "stashed_result", lambda: stash.stashed_result(f)(4)
    yield "map", lambda: list(stash.map(f, [1, 3, 4], num_proc=1, progress=False))
    yield "functions", lambda: repr(stash.sub("stashed_result"))
    yield "export", lambda: stash.export_to(f"{folder}/exported.stash")
    yield "copy_to", lambda: stash.copy_to(HashStash(f"{folder}/copy", engine="pairtree"))
    yield "import", lambda: HashStash(f"{folder}/imported", engine="pairtree").import_from(f"{folder}/exported.stash")
    for name in ("copy", "imported"):
        yield (
            f"items of the {name}",
            lambda name=name: [None for _ in HashStash(f"{folder}/{name}", engine="pairtree").items()],
        )
    yield (
        "decode_value",
        lambda: [tour.do("decode_value", lambda row=row: stash.decode_value(row)) for row in stash._values()],
    )
    yield "decode_key", lambda: [tour.do("decode_key", lambda row=row: stash.decode_key(row)) for row in stash._keys()]
    yield "prune", lambda: stash.prune(older_than="3650d")
    yield "repair", lambda: show("repair", repr(stash.repair()))
    yield "items after the repair", lambda: [None for _ in stash.items()]
    yield "popitem", stash.popitem
    yield "compact", stash.compact
    yield "set", lambda: stash.update({"data": 1, keys[0]: 2})
    yield "del", lambda: stash.discard(keys[-1])


def _consumed(result: Any) -> Any:
    return result


def visit(place: str, told: str, mark: str, folder: str, options: dict[str, Any] | None = None) -> None:
    """In a child with the victim's home and the gadgets in its current folder: the tour, twice armed; what was found is said."""
    warnings.simplefilter("ignore")
    where = Place.loads(place)
    with open(told) as file:
        content = json.load(file)
    ports = tuple(map(int, _URL.findall(str(where.options.get("url", "")))))
    os.makedirs(f"{folder}/work", exist_ok=True)
    allowed = [
        os.path.dirname(where.root),
        folder,
        *(os.environ[f"XDG_{kind}_HOME"] for kind in ("CACHE", "STATE", "CONFIG")),
    ]
    canary = Canary(mark, allowed, ports)
    _warm_up(folder)
    canary.seen()
    done = Tour()
    with canary:
        stash = where.open(**options or {})
        if content["rows"]:
            stash.store.engine.put_many((bytes.fromhex(a), bytes.fromhex(b)) for a, b in content["rows"])
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            tour(stash, content["keys"], done, f"{folder}/work")
            for row in (*content["loose"], *content["frames"]):
                done.do("deserialize", lambda row=row: hashstash.deserialize(bytes.fromhex(row)))
            _by_the_command_line(where, done, content["keys"])
        for line in out.getvalue().splitlines():
            if WORD in line or "zq" in line:
                done.look("output", line)
        stash.close()
    if os.environ.get("TORTURE_TIMES"):
        print(done.seconds.most_common(12), file=sys.stderr)
    say(
        "visited",
        done.done,
        done.refused,
        done.values,
        dict(done.unclear.most_common(40)),
        done.shown[:20],
        canary.seen(),
    )


def _warm_up(folder: str) -> None:
    """Import whatever the tour imports, so that what is imported later was asked for by an entry."""
    for name in COMPRESSORS.names():
        with contextlib.suppress(StashError):
            COMPRESSORS.load(name)
    stash = HashStash(f"{folder}/warm", engine="pairtree")
    stash.update({"data": 1, "list": [1, (2,)]})
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        tour(stash, ["data", "list"], Tour(), f"{folder}/work")


def _by_the_command_line(where: Place, done: Tour, keys: list[str]) -> None:
    from hashstash.command_line import main

    if where.engine == "memory":
        return
    place = f"{where.options['url']}{where.root}" if "url" in where.options else where.root
    lines = [
        ["ls", place],
        ["ls", "--entries", place],
        ["info", place],
        ["check", place],
        ["ls", "--entries", "--json", place],
    ]
    lines += [["get", place, key] for key in keys[:: max(1, len(keys) // 10)]]
    lines += [["prune", place, "--older-than", "3650d", "--dry-run"]]
    for line in lines:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            done.do(f"hashstash {line[0]}", lambda line=line: main(line))
        if "--json" not in line:
            done.look(f"hashstash {' '.join(line[:2])}", out.getvalue())
