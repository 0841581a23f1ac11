"""Smaller libraries, and what belongs to one process: open files, locks, generators, connections."""

import pytest

from hashstash.serializers.hashstash.graph import dumps_graph, loads_graph

attr = pytest.importorskip("attr")
pytest.importorskip("dateutil")
pytest.importorskip("bs4")

DEFINITIONS = '''
import asyncio
import collections
import concurrent.futures
import contextlib
import csv
import io
import logging
import multiprocessing
import socket
import sqlite3
import subprocess
import tempfile
import threading
import types
import weakref

import attrs
import bs4
import dateutil.relativedelta
import dateutil.rrule
import datetime
import tqdm


@attrs.define
class Point:
    x: int = attrs.field(validator=attrs.validators.instance_of(int))
    y: int = attrs.field(default=2, converter=int)
    tags: list = attrs.Factory(list)

    @x.validator
    def small(self, attribute, value):
        if value > 100:
            raise ValueError("too large")


@attrs.frozen(order=True)
class Place:
    name: str
    point: Point | None = attrs.field(default=None, order=False)


@attrs.define(slots=False)
class Loose:
    z: int = 0
    held: list = attrs.Factory(list)


page = bs4.BeautifulSoup("<p class='a b'>one <b id='x'>two</b></p><p>three</p>", "html.parser")
logger = logging.getLogger("zoo.logger")
own_logger = logging.Logger("unregistered")
rule = dateutil.rrule.rrule(dateutil.rrule.MONTHLY, count=3, dtstart=datetime.datetime(2024, 1, 31), bymonthday=-1)


class Service:
    """As services are: with parts that belong to one process."""

    def __init__(self, **parts):
        vars(self).update(parts)


def generated():
    yield 1


async def coroutine():
    pass


async def asynchronous():
    yield 1


pending = coroutine()
lock = threading.Lock()
'''
CASES = {
    "attrs": (
        "Point(1, '5', ['t'])",
        "[v.x, v.y, v.tags, repr(v), __import__('attrs').asdict(v)]",
        True,
        "v == type(v)(1, 5, ['t']) and not hasattr(v, '__dict__') and __import__('attrs').evolve(v, x=3).x == 3",
    ),
    "frozen attrs": ("Place('n', Point(1))", "repr(v)", True, "v < type(v)('o') and v == type(v)('n', v.point)"),
    "attrs without slots": ("Loose(3, [1])", "[v.z, v.held, repr(v), vars(v)]", True, "v == type(v)(3, [1])"),
    "attrs class": (
        "Point",
        "[field.name for field in __import__('attrs').fields(v)]",
        True,
        "repr(v(3)) == 'Point(x=3, y=2, tags=[])'",
    ),
    "rule": ("rule", "list(v)", True, "v.after(v[0]) == v[1]"),
    "relative delta": (
        "dateutil.relativedelta.relativedelta(months=1, weekday=dateutil.relativedelta.FR(2))",
        "repr(v)",
    ),
    "soup": (
        "page",
        "[str(v), v.find(id='x').text]",
        True,
        "v.b.parent is v.p and v.select_one('p.a b').text == 'two'",
        False,
    ),
    "tag": ("page.b", "str(v)", True, "v.parent.name == 'p'", False),
    "logger": ("logger", "v.name", True, "v is __import__('logging').getLogger('zoo.logger')"),
    "deque of instances": ("collections.deque([Point(1), Place('a')], maxlen=3)", "[repr(one) for one in v]"),
    "file in memory": ("[io.BytesIO(b'abc'), io.StringIO('text')]", "[v[0].getvalue(), v[1].getvalue()]"),
    "position in a file in memory": (
        "(lambda f: (f.seek(2), f)[1])(io.BytesIO(b'abc'))",
        "v.tell()",
        True,
        "v.read() == b'c'",
    ),
    "finished progress": ("tqdm.tqdm", "v.__name__"),
}
REFUSALS = {
    "generator": ("[1, generated()]", r"`value\[1\]` is a generator"),
    "coroutine": ("{'k': pending}", r"`value\['k'\]` is a coroutine"),
    "async generator": ("asynchronous()", "`value` is an async generator"),
    "lock": ("Service(lock=lock)", r"`value\.lock` is a lock"),
    "condition": ("threading.Condition()", r"`value\._lock` is a lock"),
    "event": ("Service(event=threading.Event())", r"`value\.event\._cond\._lock` is a lock"),
    "thread": ("threading.Thread(target=print)", "`value` is a thread"),
    "thread-local": ("threading.local()", "`value` is a thread-local"),
    "executor": ("concurrent.futures.ThreadPoolExecutor(1)", r"`value\..*` is a"),
    "future": ("concurrent.futures.Future()", r"`value\._condition\._lock` is a lock"),
    "process": ("subprocess.Popen(['true'])", r"`value\..*` is a lock"),
    "socket": ("Service(peer=socket.socket())", r"`value\.peer` is a socket"),
    "open file": ("open('made.txt', 'w')", "`value` is an open file"),
    "temporary file": ("tempfile.NamedTemporaryFile()", r"`value\.file` is an open file"),
    "csv writer": ("csv.writer(io.StringIO())", "`value` is a _csv.writer"),
    "database": ("sqlite3.connect(':memory:')", r"`value` is a sqlite3\.Connection"),
    "cursor": ("Service(rows=sqlite3.connect(':memory:').cursor())", r"`value\.rows` is a sqlite3\.Cursor"),
    "module made at run time": ("types.ModuleType('made')", "`value` is a module"),
    "frame": ("__import__('sys')._getframe()", "`value` is a stack frame"),
    "weak reference": ("Service(peer=weakref.ref(Point))", r"`value\.peer` is a weak reference"),
    "event loop": ("asyncio.new_event_loop()", r"`value\..*` is"),
    "context manager that is open": ("contextlib.closing(open('made.txt', 'w'))", r"`value\.thing` is an open file"),
    "logger that is not registered": ("own_logger", "own_logger|logger|Logger"),
    "logging handler": ("logging.StreamHandler()", r"`value\..*` is"),
    "progress bar": ("tqdm.tqdm([1], disable=False)", r"`value\..*` is"),
    "closure over a lock": ("lambda: lock", r"`value\.<global lock>` is a lock"),
    "queue": ("multiprocessing.Queue()", "Queue"),
}


def test_comes_back(zoo, case):
    assert zoo[case] == []


def test_refusal_names_the_thing(zoo, refusal):
    assert zoo[refusal] == []


def test_attrs_class_without_slots_below_one_with_slots_loses_its_fields_as_with_pickle():
    """The ``__getstate__`` that attrs gives to the class with slots knows the fields of that class only."""
    slotted = attr.make_class("Slotted", {"x": attr.ib()}, slots=True)
    loose = attr.make_class("Loose", {"y": attr.ib()}, bases=(slotted,), slots=False)
    assert loose(1, 2).__reduce_ex__(4)[2] == {"x": 1}
    assert not hasattr(loads_graph(dumps_graph(loose(1, 2))), "y")
