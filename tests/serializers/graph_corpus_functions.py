"""Hard cases of functions and what goes with them; see graph_corpus.py, which writes and reads them."""

DEFINITIONS = '''
import asyncio
import builtins
import collections.abc
import contextlib
import functools
import itertools
import math as m
import operator
import os.path as osp
import re
import string
import typing
from collections import namedtuple as nt

LIMIT = 3
STATE = {"calls": 0}


def counters():
    total, history = 0, []

    def add(n=1):
        nonlocal total
        total += n
        history.append(total)
        return total

    def read():
        return total, list(history)

    def reset():
        nonlocal total
        total = 0

    return add, read, reset


def loop():
    return [lambda: i for i in range(3)], [lambda i=i: i for i in range(3)]


one_line = [lambda: 1, lambda: 2, lambda: (lambda: 3), (lambda x: [x for x in range(x)])]
same_text = [lambda v: v, lambda v: v]
by_name = {"a": lambda v: v * 2, "b": lambda v: v * 3, **{"c": lambda v: v}}
multi = (lambda a: a) if not LIMIT else (lambda a, b=1,
         *args, c=(lambda: 5)(), **kw: (a,
                 b, args, c, kw))


def wide(a, /, b, *args, c, d=4, **kwargs):
    return a, b, args, c, d, kwargs


def defaults(a=[], b={}, c=(lambda q: q + 1), d=LIMIT, *, e=[1], f=len):
    a.append(1)
    return a, c(1), d, e, f("ab")


def comprehended(n):
    return {k: [v * LIMIT for v in range(k)] for k in range(n)}, {x for x in range(n)}, list(x * y for x in range(n) for y in range(x))


def walrus(values):
    return [y for v in values if (y := v * 2) > 2]


def caught(v):
    try:
        return 1 / v
    except* ZeroDivisionError as group:
        raise ValueError("zero") from group
    finally:
        STATE["calls"] += 1


def safe(v):
    try:
        return 1 / v
    except ZeroDivisionError as error:
        return type(error).__name__
    else:
        return None
    finally:
        STATE["calls"] += 1


def matched(v):
    match v:
        case {"k": [x, *rest]} if x > LIMIT:
            return x, rest
        case str() as text:
            return text
        case Tagged(tag=t):
            return t
        case _:
            return None


class Tagged:
    __match_args__ = ("tag",)

    def __init__(self, tag):
        self.tag = tag


def uses_global_statement(v):
    global SET_LATER
    SET_LATER = v
    return SET_LATER


def reads_later():
    return SET_LATER


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def local_mutual():
    def ping(n):
        return "done" if n == 0 else pong(n - 1)

    def pong(n):
        return ping(n)

    return ping


fact = lambda n: 1 if n < 2 else n * fact(n - 1)
y_combinator = (lambda f: (lambda x: x(x))(lambda x: f(lambda *a: x(x)(*a))))(lambda self: lambda n: 1 if n < 2 else n * self(n - 1))


def with_arguments(times, *, log=None):
    def decorate(function):
        calls = []

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            calls.append(args)
            return [function(*args, **kwargs) for _ in range(times)]

        wrapper.calls = calls
        return wrapper

    return decorate


@with_arguments(2)
@with_arguments(times=LIMIT)
def stacked(v):
    """Stacked."""
    return v


class Decorator:
    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.count = 0

    def __call__(self, *args):
        self.count += 1
        return self.__wrapped__(*args)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)


@Decorator
def counted(v):
    return v


class HasDecorated:
    @Decorator
    def method(self, v):
        return (type(self).__name__, v)

    @staticmethod
    @functools.cache
    def cached(n):
        return [n]

    @classmethod
    @contextlib.contextmanager
    def opened(cls, v):
        yield cls.__name__ + v

    async def later(self):
        await asyncio.sleep(0)
        return self.method(1)

    def items(self):
        yield from range(LIMIT)

    def __enter__(self):
        return self

    def __exit__(self, *parts):
        return True


@functools.lru_cache(maxsize=2, typed=True)
def cached(n):
    return [n]


@functools.cache
def recursive(n):
    return n if n < 2 else recursive(n - 1) + recursive(n - 2)


@functools.singledispatch
def show(v):
    return "any"


@show.register(list)
@show.register(tuple)
def show_sequence(v):
    return "sequence " + ",".join(map(show, v))


@show.register
def _(v: int | float):
    return "number"


@show.register(Tagged)
def show_tagged(v):
    return f"tagged {v.tag}"


shared_list = [1]


def generator(n):
    got = yield n
    while got:
        got = yield got * LIMIT


async def agenerator(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i * LIMIT


async def consume(n):
    async with manager(n) as base:
        return [base + v async for v in agenerator(n)]


@contextlib.asynccontextmanager
async def manager(v):
    yield v * 10


@contextlib.contextmanager
def managed(v):
    STATE["open"] = v
    yield STATE
    STATE["open"] = None


def annotated(a: int, b: "Tagged", *c: typing.Callable[..., Tagged], d: Tagged | None = None) -> list["Tagged"]:
    local: int = 3
    return local


def with_attributes():
    """Attributes."""


with_attributes.count = 1
with_attributes.me = with_attributes
with_attributes.__doc__ = "changed"
with_attributes.__name__ = "renamed"

exec(compile("def executed(v):\\n    return v + LIMIT\\n", "<executed>", "exec"))
evaluated = eval("lambda v: v * LIMIT")


def uses_modules(text):
    return m.sqrt(4), osp.join("a", text), re.sub("a", "b", text), string.Template("$x").substitute(x=1), nt("N", "a")(1).a


def imports_inside(v):
    import json as j
    from decimal import Decimal

    return j.dumps(v), Decimal(1)


def uses_builtins(v):
    return builtins.len(v), sorted(v, key=lambda e: -e), __name__


def deep_closure(a):
    def one(b):
        def two(c):
            nonlocal a
            a += 1
            return lambda d: (a, b, c, d)

        return two

    return one


def class_in_function(base):
    class Local(base):
        factor = 2

        def __init__(self, v):
            super().__init__(v)
            self.extra = base.__name__

        def scaled(self):
            return [self.tag * self.factor for _ in range(2)]

        def again(self):
            return Local(self.tag)

    return Local


def conditional(flag):
    if flag:
        value = 1

    def inner():
        return value

    return inner


def self_in_default():
    def function(v, cache={}):
        cache[v] = function
        return cache

    function.__defaults__[0]["me"] = function
    return function


def string_tricks():
    return """text with 'quotes'
  and lines
""", f"{LIMIT!r:>{LIMIT}} {'nested'} {{}}", b"bytes\\x00", r"raw\\n"


def unicode_names(größe, *, π=3.14):
    naïve = größe * π
    return {"naïve": naïve, "emoji": "🎉"}


def   odd_layout ( a ,
    b = (
        1,
        2 ,
    )
        ) : return ( a ,
  b )

if True:
    if LIMIT:
        def indented(v):
            # a comment at the end
            return [
        v,
    LIMIT]
            # trailing


class Namespace:
    def __private(self):
        return 1

    def get(self):
        return self.__private() + (lambda: self.__private())()

    table = {"k": lambda self: self.__private()}


async def eventually():
    return [await one for one in [asyncio.sleep(0, 1)]]


def type_comment(a,  # type: int
                 b):
    # type: (...) -> int
    return a + b


total_of = functools.partial(functools.reduce, operator.add)
chained = functools.partial(functools.partial(wide, 1), 2, c=3)
compare = functools.cmp_to_key(lambda a, b: b - a)
tagged = Tagged("t")
add, read, reset = counters()
'''

CASES = {
    "shared cells": (
        "[read, add, reset]",
        "v[1](2) == 2 and v[1]() == 3 and v[0]() == (3, [2, 3]) and (v[2](), v[0]()[0])[1] == 0",
    ),
    "shared cells in instances": (
        "(lambda t, c: (setattr(t, 'add', c[0]), setattr(t, 'read', c[1]), t)[2])(Tagged(1), counters())",
        "v.add(4) == 4 and v.read() == (4, [4])",
    ),
    "loop closures": (
        "loop()",
        "[f() for f in v[0]] == [2, 2, 2] and [f() for f in v[1]] == [0, 1, 2] and v[0][0].__closure__[0] is v[0][2].__closure__[0]",
    ),
    "lambdas on a line": ("one_line", "(v[0](), v[1](), v[2]()(), v[3](3)) == (1, 2, 3, [0, 1, 2])"),
    "the third of a line": ("one_line[2]", "v()() == 3"),
    "equal lambdas": ("same_text", "v[0](1) == 1 and v[1](2) == 2 and v[0] is not v[1]"),
    "lambdas in a dict": ("by_name", "[v[k](2) for k in 'abc'] == [4, 6, 2]"),
    "lambda over lines": ("multi", "v(1, 2, 3, k=4) == (1, 2, (3,), 5, {'k': 4})"),
    "all kinds of parameters": (
        "wide",
        (
            "v(1, 2, 3, c=4, e=5) == (1, 2, (3,), 4, 4, {'e': 5}) and v.__kwdefaults__ == {'d': 4}"
            " and str(__import__('inspect').signature(v)) == '(a, /, b, *args, c, d=4, **kwargs)'"
        ),
    ),
    "defaults": ("defaults", "v() == ([1], 2, 3, [1], 2) and v()[0] is v()[0] and len(v()[0]) == 4"),
    "comprehensions": ("comprehended", "v(3) == ({0: [], 1: [0], 2: [0, 3]}, {0, 1, 2}, [0, 0, 2])"),
    "walrus": ("walrus", "v([1, 2, 3]) == [4, 6]"),
    "except star": ("caught", "v(2) == 0.5"),
    "except and finally": (
        "safe",
        "v(0) == 'ZeroDivisionError' and v(1) == 1.0 and v.__globals__['STATE'] == {'calls': 2}",
    ),
    "match": (
        "[matched, Tagged]",
        "v[0]({'k': [4, 5]}) == (4, [5]) and v[0]('t') == 't' and v[0](v[1]('x')) == 'x' and v[0](1) is None",
    ),
    "global statement": ("[uses_global_statement, reads_later]", "v[0](5) == 5 and v[1]() == 5"),
    "mutual recursion": ("odd", "v(7) and not v(8)"),
    "local mutual recursion": ("local_mutual()", "v(5) == 'done'"),
    "recursive lambda": ("fact", "v(5) == 120"),
    "fixed point": ("y_combinator", "v(5) == 120"),
    "decorators with arguments": (
        "stacked",
        "v(1) == [[1, 1, 1], [1, 1, 1]] and v.__doc__ == 'Stacked.' and v.calls == [(1,)] and len(v.__wrapped__.calls) == 2",
    ),
    "class as decorator": (
        "counted",
        "v(3) == 3 and v.count == 1 and v.__name__ == 'counted' and v.__wrapped__(1) == 1",
    ),
    "decorated methods": (
        "HasDecorated()",
        (
            "v.method(1) == ('HasDecorated', 1) and v.cached(2) is v.cached(2) and v.opened('!').__enter__() == 'HasDecorated!'"
            " and __import__('asyncio').run(v.later()) == ('HasDecorated', 1) and list(v.items()) == [0, 1, 2]"
        ),
    ),
    "context manager": ("HasDecorated()", "v.__enter__() is v and v.__exit__() is True"),
    "lru_cache": (
        "cached",
        "v(1) is v(1) and v.cache_parameters() == {'maxsize': 2, 'typed': True} and v.cache_info().hits == 1",
    ),
    "recursive cache": ("recursive", "v(30) == 832040 and v.__wrapped__(1) == 1"),
    "singledispatch": (
        "[show, Tagged]",
        "v[0]([1, 'a', (2.5,)]) == 'sequence number,any,sequence number' and v[0](v[1](3)) == 'tagged 3' and int in v[0].registry",
    ),
    "bound builtins": (
        "[shared_list.append, shared_list, 'a'.upper, {}.get, 'x'.join, dict.fromkeys, int.from_bytes, [].__len__]",
        "(v[0](2), v[1])[1] == [1, 2] and v[2]() == 'A' and v[4]('ab') == 'axb' and v[5]('a') == {'a': None} and v[6](b'a', 'big') == 97 and v[7]() == 0",
    ),
    "bound methods share their object": (
        "[HasDecorated().__enter__, tagged.__init__, tagged]",
        "(v[1](9), v[2].tag)[1] == 9 and v[0]() is v[0].__self__",
    ),
    "operator getters": (
        "[operator.itemgetter(1, 0), operator.attrgetter('tag'), operator.methodcaller('upper'), tagged]",
        "v[0]('ab') == ('b', 'a') and v[1](v[3]) == 't' and v[2]('a') == 'A'",
    ),
    "partials": ("[total_of, chained]", "v[0]([1, 2]) == 3 and v[1](4) == (1, 2, (4,), 3, 4, {})"),
    "cmp_to_key": ("HasDecorated.items", "list(v(None)) == [0, 1, 2]"),
    "generator": ("generator", "(lambda g: (next(g), g.send(2), g.send(3)))(v(1)) == (1, 6, 9)"),
    "async": ("consume", "__import__('asyncio').run(v(3)) == [30, 33, 36]"),
    "async comprehension": ("eventually", "__import__('asyncio').run(v()) == [1]"),
    "context managers": (
        "managed",
        "(lambda c: (c.__enter__()['open'], c.__exit__(None, None, None), v.__globals__ if 0 else 1))(v(5))[0] == 5",
    ),
    "annotations": (
        "[annotated, Tagged]",
        "v[0].__annotations__['d'] == v[1] | None and v[0].__annotations__['b'] == 'Tagged' and v[0](1, 2) == 3 and v[0].__annotations__['return'] == list['Tagged']",
    ),
    "attributes": (
        "with_attributes",
        "v.count == 1 and v.me is v and v.__doc__ == 'changed' and v.__name__ == 'renamed'",
    ),
    "modules by other names": ("uses_modules", "v('a') == (2.0, 'a/a', 'b', '1', 1)"),
    "imports inside": ("imports_inside", "v([1])[0] == '[1]'"),
    "builtins": ("uses_builtins", "v([1, 2])[:2] == (2, [2, 1])"),
    "deep closures": ("deep_closure(1)(2)", "v(3)(4) == (2, 2, 3, 4) and v(3)(4) == (3, 2, 3, 4)"),
    "class of a function": (
        "[class_in_function(Tagged)(3), Tagged]",
        "v[0].scaled() == [6, 6] and type(v[0].again()) is type(v[0]) and v[0].extra == 'Tagged' and isinstance(v[0], v[1])",
    ),
    "empty cell": ("conditional(False)", "v.__closure__[0] == __import__('types').CellType()"),
    "function in its own default": ("self_in_default()", "v(1)['me'] is v and v.__defaults__[0][1] is v"),
    "texts": (
        "string_tricks",
        "v()[0].count(chr(10)) == 2 and v()[1] == '  3 nested {}' and v()[2] == b'bytes\\x00' and v()[3] == 'raw\\\\n'",
    ),
    "other letters": ("unicode_names", "v(1) == {'naïve': 3.14, 'emoji': '🎉'} and v(größe=2, π=1)['naïve'] == 2"),
    "odd layout": ("odd_layout", "v(1) == (1, (1, 2))"),
    "indented": ("indented", "v(1) == [1, 3]"),
    "private names": ("Namespace()", "v.get() == 2 and v.table['k'](v) == 1"),
    "type comments": ("type_comment", "v(1, 2) == 3"),
}
UNPORTABLE = {
    # Without source text, only the version that wrote it reads it.
    "executed": ("executed", "v(1) == 4"),
    "evaluated": ("evaluated", "v(2) == 6"),
}
