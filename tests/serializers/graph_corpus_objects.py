"""Hard cases of instances and classes; see graph_corpus.py, which writes and reads them."""

DEFINITIONS = '''
import abc
import collections
import copyreg
import dataclasses
import enum
import functools
import typing
import weakref
from dataclasses import InitVar, dataclass, field, KW_ONLY


# What __reduce_ex__ may return


class Two:
    def __init__(self, *parts):
        self.parts = parts

    def __reduce_ex__(self, protocol):
        return Two, (protocol, *self.parts)


class Three:
    def __init__(self):
        self.log = []

    def __reduce__(self):
        return Three, (), {"state": 1}

    def __setstate__(self, state):
        self.log.append(state)


class Four(list):
    def __init__(self, name=""):
        self.name = name

    def __reduce__(self):
        return Four, (self.name,), {"extra": self}, iter(list(self))


class Appender:
    def __init__(self):
        self.got = []

    def append(self, one):
        self.got.append(one)

    def __reduce__(self):
        return Appender, (), None, iter(self.got)


class Five(dict):
    def __reduce__(self):
        return Five, (), None, None, iter([("k", self), ("j", 1)])


def set_with(target, state):
    target.via = state


class Six:
    def __reduce__(self):
        return Six, (), {"x": [1]}, None, None, set_with


class Singleton:
    def __reduce__(self):
        return "SINGLE"


SINGLE = Singleton()


class Given:
    def __init__(self, v):
        self.v = v


copyreg.pickle(Given, lambda given: (Given, (given.v * 2,)))


class NewArgs(tuple):
    def __new__(cls, a, *, key):
        made = super().__new__(cls, (a,))
        made.key = key
        return made

    def __getnewargs_ex__(self):
        return (self[0],), {"key": self.key}


class OldArgs(str):
    def __new__(cls, text, mark):
        made = super().__new__(cls, text + mark)
        made.base, made.mark = text, mark
        return made

    def __getnewargs__(self):
        return self.base, self.mark


# States and slots


class Slots:
    __slots__ = ("a", "__weakref__")


class MoreSlots(Slots):
    __slots__ = ("b", "_MoreSlots__c", "__d")

    def fill(self):
        self.a, self.b, self.__d = 1, [2], "d"
        return self

    def d(self):
        return self.__d


class SlotsAndDict(MoreSlots):
    def fill(self):
        super().fill()
        self.free = "free"
        return self


class SlotsWithState:
    __slots__ = ("a", "b")

    def __getstate__(self):
        return (None, {"a": self.a, "b": 7})

    def __setstate__(self, state):
        for name, value in state[1].items():
            setattr(self, name, [value])


class NoState:
    def __init__(self):
        self.lost = 1

    def __getstate__(self):
        return None


class FalseState:
    seen = "class"

    def __getstate__(self):
        return False

    def __setstate__(self, state):
        self.seen = state


class TupleState:
    def __getstate__(self):
        return (1, 2, self)

    def __setstate__(self, state):
        self.state = state


class Watched:
    def __setattr__(self, name, value):
        raise AttributeError("set " + name)

    def __getattr__(self, name):
        if name.startswith("dyn"):
            return name
        raise AttributeError(name)

    def __getattribute__(self, name):
        return super().__getattribute__(name)


def watched():
    made = Watched()
    vars(made)["kept"] = 5
    return made


class Holder:
    __slots__ = ("target", "ref", "__weakref__")


# Cycles


class Hashed:
    def __init__(self, name):
        self.name = name
        self.friends = set()
        self.ranks = {}

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        return isinstance(other, Hashed) and self.name == other.name


def friends():
    a, b = Hashed("a"), Hashed("b")
    a.friends |= {a, b}
    b.friends |= {a, frozenset([a, b])}
    a.ranks[b] = b.ranks
    b.ranks[a] = (a, [b])
    return a


def friends_from_the_set():
    return friends().friends


@dataclass(frozen=True)
class Link:
    name: str
    others: list = field(default_factory=list, compare=False)


def linked():
    one = Link("one")
    one.others.append(Link("two", [one]))
    return one


@dataclass(frozen=True, slots=True)
class FrozenLink:
    name: str
    holder: dict


def frozen_linked():
    holder = {}
    holder["me"] = FrozenLink("n", holder)
    return holder["me"]


@dataclass(frozen=True)
class FrozenKey:
    name: str
    inside: list = field(default_factory=list)

    def __hash__(self):
        return hash((self.name, len(self.name)))


def keyed_by_itself():
    key = FrozenKey("k")
    table = {key: "value"}
    key.inside.append(table)
    return key


def tuple_cycle():
    node = Plain()
    node.v = (node, [node])
    return node


class Plain:
    pass


def plain_cycle():
    a, b = Plain(), Plain()
    a.b, b.a = b, a
    a.pair = (a, b, (b, [a]))
    a.ns = collections.OrderedDict(a=a)
    a.default = collections.defaultdict(list, {"me": a})
    a.queue = collections.deque([a, b], maxlen=3)
    return a


def shared_between():
    inside = [1]
    a, b = Plain(), Plain()
    a.x = b.x = inside
    a.y = {"k": inside}
    b.z = (inside,)
    return [a, b, inside, {"last": inside}]


def slot_cycle():
    holder = Holder()
    holder.target = [holder]
    return holder


# Classes


class Meta(type):
    registry = {}

    def __new__(mcls, name, bases, body, **options):
        made = super().__new__(mcls, name, bases, body)
        made.options = options
        mcls.registry[name] = made
        return made

    def __init__(cls, name, bases, body, **options):
        super().__init__(name, bases, body)

    def __call__(cls, *args, **kwargs):
        made = super().__call__(*args, **kwargs)
        made.called = True
        return made

    def __len__(cls):
        return 42

    def __getattr__(cls, name):
        if name == "magic":
            return cls.__name__ + " magic"
        raise AttributeError(name)

    @property
    def shout(cls):
        return cls.__name__.upper()


class WithMeta(metaclass=Meta, a=1):
    pass


class SubMeta(WithMeta, b=2):
    pass


class Validated:
    def __init__(self, least):
        self.least = least

    def __set_name__(self, owner, name):
        if hasattr(self, "name"):
            raise RuntimeError("named twice")
        self.owner, self.name = owner, name

    def __get__(self, instance, owner=None):
        return self if instance is None else instance.__dict__.get(self.name, self.least)

    def __set__(self, instance, value):
        if value < self.least:
            raise ValueError(f"{self.name} is below {self.least}")
        instance.__dict__[self.name] = value


class Priced:
    price = Validated(1)
    count = Validated(0)


class Temperature:
    def __init__(self, c):
        self._c = c

    @property
    def f(self):
        """Fahrenheit."""
        return self._c * 9 / 5 + 32

    @f.setter
    def f(self, value):
        self._c = (value - 32) * 5 / 9

    @f.deleter
    def f(self):
        self._c = None

    @functools.wraps(abs)
    def near(self):
        return round(self._c)

    @functools.cached_property
    def kelvin(self):
        return self._c + 273

    @classmethod
    @functools.lru_cache
    def zero(cls):
        return cls(0)

    plus = functools.partialmethod(lambda self, a, b: self._c + a + b, 1)

    @functools.singledispatchmethod
    def show(self, value):
        return "any"

    @show.register
    def _(self, value: int):
        return f"int {self._c}"


class Plugin:
    plugins = []

    def __init_subclass__(cls, /, priority=0, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.priority = priority
        Plugin.plugins.append(cls)


class First(Plugin, priority=5):
    pass


class Second(First, priority=6):
    pass


class Drawable(abc.ABC):
    @property
    @abc.abstractmethod
    def area(self): ...

    @classmethod
    def __subclasshook__(cls, other):
        return True if hasattr(other, "quacks") else NotImplemented


class Circle(Drawable):
    area = 3


Drawable.register(Two)


@typing.runtime_checkable
class Closes(typing.Protocol):
    limit: int

    def close(self) -> None: ...


class Closer:
    limit = 3

    def close(self):
        return "closed"


K = typing.TypeVar("K")
V = typing.TypeVar("V", int, str)
P = typing.ParamSpec("P")
Ts = typing.TypeVarTuple("Ts")


class Mapping2(typing.Generic[K, V]):
    def __init__(self, k: K, v: V):
        self.pair = (k, v)


class IntTo(Mapping2[int, V]):
    pass


class Movie(typing.TypedDict, total=False):
    name: typing.Required[str]
    year: int


class Sequel(Movie):
    part: int


UserId = typing.NewType("UserId", int)


# Enums


class Weekday(enum.IntFlag):
    MON = enum.auto()
    TUE = enum.auto()
    WEEKEND = MON | TUE

    @classmethod
    def first(cls):
        return cls.MON


class Shade(enum.StrEnum):
    LIGHT = enum.auto()
    DARK = "d"

    def flipped(self):
        return Shade.DARK if self is Shade.LIGHT else Shade.LIGHT


class Auto(enum.Enum):
    def _generate_next_value_(name, start, count, last_values):
        return name * 2

    A = enum.auto()
    B = enum.auto()


class Ops(enum.Enum):
    ADD = enum.member(lambda a, b: a + b)
    LEN = enum.member(staticmethod(len))
    note = enum.nonmember("not a member")

    def __call__(self, *args):
        return self.value(*args)


@enum.unique
class Mixed(float, enum.Enum):
    HALF = 0.5
    ONE = 1


class Data(enum.Enum):
    POINT = {"x": [1]}
    OTHER = [1, 2]


Functional = enum.Enum("Functional", "ONE TWO", start=5)


@dataclass
class Mass:
    kg: float


class Bodies(Mass, enum.Enum):
    SUN = 2e30
    MOON = 7e22


# Dataclasses


@dataclass(slots=True, kw_only=True, order=True, unsafe_hash=True)
class Wide:
    a: int
    b: "list[Wide]" = field(default_factory=list, hash=False, compare=False)


@dataclass
class WithKwOnly:
    a: int
    _: KW_ONLY
    b: int = 3
    c: InitVar[int | None] = None
    total: int = field(init=False)

    def __post_init__(self, c):
        self.total = self.a + self.b + (c or 0)


@dataclass
class SubKw(WithKwOnly):
    d: str = "d"

    def __eq__(self, other):
        return "own eq"


@dataclass(slots=True, weakref_slot=True)
class Weakable:
    v: int


@dataclass(frozen=True, eq=False, repr=False)
class ByIdentity:
    v: int

    def __repr__(self):
        return f"<{self.v}>"


@dataclass
class SuperData(Mass):
    name: str = "n"

    def __post_init__(self):
        self.weight = self.kg * 10

    def describe(self):
        return super().__repr__() + __class__.__name__


@dataclass(slots=True)
class SlottedSuper(Wide):
    z: int = 0

    def total(self):
        return self.z + super(SlottedSuper, self).__hash__() * 0 + self.a


class Parts(typing.NamedTuple):
    first: int
    rest: "tuple[Parts, ...]" = ()

    @property
    def size(self):
        return 1 + sum(part.size for part in self.rest)

    @classmethod
    def leaf(cls):
        return cls(0)

    def __add__(self, other):
        return "added"


class GenericParts(typing.NamedTuple, typing.Generic[K]):
    key: K
    n: int = 2

    def both(self):
        return self.key, self.n


class NarrowParts(Parts):
    __slots__ = ()

    def __new__(cls, first):
        return super().__new__(cls, first, (Parts(1),))


# Where classes live


def outer(n):
    shared = [n]

    class Base:
        def look(self):
            return shared

        class Inner:
            def deep(self):
                return Base

    class Derived(Base):
        def look(self):
            shared.append(len(shared))
            return super().look()

        make = lambda self: Derived()

    return Base, Derived, shared


class Outer:
    class Middle:
        class Inner:
            value = 3

            def up(self):
                return Outer.Middle.Inner


class Failure(Exception):
    def __init__(self, *, code, detail=None):
        super().__init__(f"code {code}")
        self.code, self.detail = code, detail


class Slotted(ValueError):
    __slots__ = ("where",)


class Many(ExceptionGroup):
    def derive(self, parts):
        return Many(self.message, parts)


def failed():
    try:
        try:
            raise Failure(code=7, detail=[1])
        except Failure as error:
            error.add_note("note one")
            raise KeyError("k") from error
    except KeyError as error:
        return error


def grouped():
    inner = failed()
    made = Many("many", [inner, ValueError(1), ExceptionGroup("in", [Failure(code=1)])])
    made.__context__ = inner
    return made


def exception_cycle():
    error = Failure(code=1)
    error.me = error
    error.__context__ = ValueError("other", error)
    return error


class Weak:
    def __init__(self):
        self.strong = Plain()
        self.cache = weakref.WeakValueDictionary(s=self.strong)
        self.keys = weakref.WeakKeyDictionary({self.strong: 1})
        self.set = weakref.WeakSet([self.strong])


class IntSub(int):
    def __new__(cls, v, unit="m"):
        made = super().__new__(cls, v)
        made.unit = unit
        return made


class BytesSub(bytearray):
    pass


class OrderedSub(collections.OrderedDict):
    def __init__(self, *args, tag="t", **kwargs):
        self.tag = tag
        super().__init__(*args, **kwargs)


class DequeSub(collections.deque):
    pass


class CounterSub(collections.Counter):
    pass


class DefaultSub(collections.defaultdict):
    pass


class UserSub(collections.UserDict):
    pass


def with_attributes(value, **attributes):
    vars(value).update(attributes)
    return value


class Callable2:
    def __call__(self, v):
        return v + 1

    def __class_getitem__(cls, part):
        return (cls.__name__, part)


class Operators:
    def __init__(self, v):
        self.v = v

    __radd__ = __add__ = lambda self, other: self.v + other
    __hash__ = None

    def __bool__(self):
        raise RuntimeError("no truth")

    def __eq__(self, other):
        raise RuntimeError("no equality")

    def __len__(self):
        raise RuntimeError("no length")


class Doc:
    """Documented."""

    x: int = 1
    y: "Doc"
    __match_args__ = ("x",)
    __annotations__["z"] = str


Swapped = type("Swapped", (Doc,), {"w": 1, "m": lambda self: self.w})
Renamed = type("not an identifier", (), {"v": 2})


def monkey(self):
    return "patched " + type(self).__name__


Closer.patched = monkey
'''

CASES = {
    "reduce of two": ("Two(1)", "v.parts == (5, 1)"),
    "reduce with a state": ("Three()", "v.log == [{'state': 1}]"),
    "reduce with items": (
        "(lambda f: (f.extend([1, f]), f)[1])(Four('n'))",
        "v.name == 'n' and v[0] == 1 and v[1] is v and v.extra is v and type(v).__name__ == 'Four'",
    ),
    "reduce with append": (
        "(lambda a: (a.append(1), a.append(a), a)[2])(Appender())",
        "v.got[0] == 1 and v.got[1] is v",
    ),
    "reduce with pairs": ("Five()", "v['k'] is v and v['j'] == 1"),
    "reduce with a setter": ("Six()", "v.via == {'x': [1]}"),
    "reduce by name": ("[SINGLE, SINGLE, Singleton]", "v[0] is v[1] and type(v[0]) is v[2]"),
    "dispatch table": ("Given(2)", "v.v == 4"),
    "getnewargs_ex": ("NewArgs(1, key='k')", "v == (1,) and v.key == 'k'"),
    "getnewargs": ("OldArgs('a', '!')", "v == 'a!' and (v.base, v.mark) == ('a', '!')"),
    "slots with inheritance": (
        "MoreSlots().fill()",
        "(v.a, v.b, v.d()) == (1, [2], 'd') and not hasattr(v, '__dict__') and __import__('weakref').ref(v)() is v",
    ),
    "slots and dict": ("SlotsAndDict().fill()", "(v.a, v.b, v.d(), v.free) == (1, [2], 'd', 'free')"),
    "unset slots": ("MoreSlots()", "not hasattr(v, 'a') and not hasattr(v, 'b')"),
    "setstate on slots": ("(lambda s: (setattr(s, 'a', 1), s)[1])(SlotsWithState())", "(v.a, v.b) == ([1], [7])"),
    "no state": ("NoState()", "vars(v) == {}"),
    "false state": ("FalseState()", "v.seen == False or v.seen == 'class'"),
    "tuple state": ("TupleState()", "v.state[:2] == (1, 2) and v.state[2] is v"),
    "own setattr": ("watched()", "v.kept == 5 and v.dynamic == 'dynamic'"),
    "cycle through hashes": (
        "friends()",
        (
            "v in v.friends and len(v.friends) == 2 and [b for b in v.friends if b.name == 'b'][0].ranks[v][0] is v"
            " and any(type(p) is frozenset and v in p for p in [b for b in v.friends if b.name == 'b'][0].friends)"
        ),
    ),
    "cycle from the set": ("friends_from_the_set()", "len(v) == 2 and all(one in v for one in v)"),
    "frozen cycle": ("linked()", "v.others[0].others[0] is v and v.name == 'one'"),
    "frozen slots cycle": ("frozen_linked()", "v.holder['me'] is v"),
    "key in a cycle": ("keyed_by_itself()", "list(v.inside[0]) == [v] and v.inside[0][v] == 'value'"),
    "tuple in a cycle": ("tuple_cycle()", "v.v[0] is v and v.v[1][0] is v"),
    "instances in a cycle": (
        "plain_cycle()",
        (
            "v.b.a is v and v.pair[0] is v and v.pair[2][1][0] is v and v.ns['a'] is v and v.default['me'] is v"
            " and v.queue[0] is v and v.queue.maxlen == 3 and v.default['new'] == []"
        ),
    ),
    "slots in a cycle": ("slot_cycle()", "v.target[0] is v and not hasattr(v, 'ref')"),
    "shared parts": (
        "shared_between()",
        "v[0].x is v[1].x is v[2] is v[0].y['k'] is v[1].z[0] is v[3]['last'] and v[2] == [1]",
    ),
    "metaclass": (
        "[WithMeta(), SubMeta(), Meta]",
        (
            "type(type(v[0])) is v[2] and type(v[0]).options == {'a': 1} and type(v[1]).options == {'b': 2}"
            " and len(type(v[0])) == 42 and type(v[0]).magic == 'WithMeta magic' and type(v[1]).shout == 'SUBMETA'"
            " and v[0].called and type(v[1])().called and v[2].registry['SubMeta'] is type(v[1])"
        ),
    ),
    "subclass of a restored metaclass": ("[WithMeta, Meta]", "v[1]('N', (v[0],), {}, c=3).options == {'c': 3}"),
    "descriptors": (
        "(lambda p: (setattr(p, 'price', 5), p)[1])(Priced())",
        (
            "v.price == 5 and v.count == 0 and type(v).price.name == 'price' and type(v).price.owner is type(v)"
            " and type(v).count.least == 0"
        ),
    ),
    "properties": (
        "Temperature(10)",
        (
            "v.f == 50 and (setattr(v, 'f', 212), v._c)[1] == 100 and type(v).f.__doc__ == 'Fahrenheit.' and v.kelvin == 373"
            " and 'kelvin' in vars(v) and v.near() == 100 and v.near.__wrapped__ is abs and v.plus(2) == 103"
            " and (v.show(1), v.show('')) == ('int 100.0', 'any') and (delattr(v, 'f'), v._c)[1] is None"
        ),
    ),
    "cached class method": ("Temperature", "v.zero() is v.zero() and v.zero()._c == 0"),
    "init_subclass": (
        "[Plugin, First, Second]",
        (
            "v[0].plugins == [v[1], v[2]] and (v[1].priority, v[2].priority) == (5, 6)"
            " and type('Third', (v[0],), {}, priority=9).priority == 9 and len(v[0].plugins) == 3"
        ),
    ),
    "abstract property": (
        "[Drawable, Circle(), Two(), Closer]",
        (
            "v[1].area == 3 and isinstance(v[1], v[0]) and isinstance(v[2], v[0]) and not issubclass(v[3], v[0])"
            " and v[0].__abstractmethods__ == {'area'} and issubclass(type('Q', (), {'quacks': 1}), v[0])"
        ),
    ),
    "abstract class": ("Drawable", "__import__('inspect').isabstract(v)"),
    "protocol": (
        "[Closes, Closer()]",
        (
            "isinstance(v[1], v[0]) and not isinstance(3, v[0]) and v[1].patched() == 'patched Closer'"
            " and isinstance(__import__('types').SimpleNamespace(limit=1, close=len), v[0])"
        ),
    ),
    "generics": (
        "[Mapping2(1, 'a'), IntTo, IntTo[str], K, V]",
        (
            "v[0].pair == (1, 'a') and v[1].__parameters__ == (v[4],) and v[2].__origin__ is v[1]"
            " and v[1].__orig_bases__[0].__origin__ is type(v[0]) and v[4].__constraints__ == (int, str)"
            " and type(v[0]).__parameters__ == (v[3], v[4])"
        ),
    ),
    "type variables": (
        "[K, V, P, Ts]",
        "[t.__name__ for t in v] == ['K', 'V', 'P', 'Ts'] and {t.__module__ for t in v} == {'__main__'}",
    ),
    "typed dict": (
        "[Movie, Sequel, Movie(name='n', year=1)]",
        (
            "v[0].__required_keys__ == {'name'} and v[0].__optional_keys__ == {'year'} and not v[0].__total__"
            " and v[1].__required_keys__ == {'name', 'part'} and v[2] == {'name': 'n', 'year': 1}"
            " and v[0](name='x') == {'name': 'x'} and __import__('typing').is_typeddict(v[1])"
        ),
    ),
    "new type": (
        "UserId",
        "v(3) == 3 and v.__name__ == 'UserId' and v.__supertype__ is int and v.__module__ == '__main__'",
    ),
    "int flag": (
        "[Weekday.MON | Weekday.TUE, Weekday, Weekday(8), Weekday(0)]",
        (
            "v[0] is v[1].WEEKEND and v[1].first() is v[1].MON and v[2] == 8 and type(v[2]) is v[1] and v[3] == 0"
            " and v[1].MON | 16 == 17"
        ),
    ),
    "str enum": (
        "[Shade.LIGHT, Shade.DARK]",
        "v[0] == 'light' and v[0].flipped() is v[1] and str(v[1]) == 'd' and f'{v[0]:>6}' == ' light'",
    ),
    "generated values": ("Auto", "[m.value for m in v] == ['AA', 'BB'] and v('AA') is v.A"),
    "members that are functions": (
        "Ops",
        "v.ADD(1, 2) == 3 and v.LEN([1]) == 1 and v.note == 'not a member' and len(v) == 2",
    ),
    "float enum": ("Mixed.HALF", "v == 0.5 and v + 1 == 1.5 and type(v).ONE.value == 1 and v.name == 'HALF'"),
    "unhashable enum values": ("[Data.POINT, Data]", "v[0].value == {'x': [1]} and v[1]([1, 2]) is v[1].OTHER"),
    "functional enum": ("Functional", "[m.value for m in v] == [5, 6] and v.__qualname__ == 'Functional'"),
    "dataclass enum": ("Bodies.SUN", "v.kg == 2e30 and v is type(v).SUN and v.name == 'SUN'"),
    "kw_only dataclass": (
        "Wide(a=1, b=[Wide(a=0)])",
        (
            "v.b[0].a == 0 and v.b[0] < v and hash(v) == hash(type(v)(a=1)) and not hasattr(v, '__dict__')"
            " and repr(v.b[0]) == 'Wide(a=0, b=[])' and v.__dataclass_fields__['a'].kw_only"
        ),
    ),
    "InitVar and KW_ONLY": (
        "[WithKwOnly(1, b=2, c=3), SubKw(1)]",
        (
            "v[0].total == 6 and type(v[0])(1, c=4).total == 8 and v[1].total == 4 and v[1].d == 'd' and (v[1] == 1) == 'own eq'"
            " and __import__('inspect').signature(type(v[0])).parameters['b'].kind.name == 'KEYWORD_ONLY'"
        ),
    ),
    "weakref slot": (
        "Weakable(1)",
        "__import__('weakref').ref(v)() is v and v == type(v)(1) and not hasattr(v, '__dict__')",
    ),
    "dataclass by identity": ("[ByIdentity(1), ByIdentity(1)]", "v[0] != v[1] and repr(v[0]) == '<1>' and hash(v[0])"),
    "replaced dataclass": (
        "WithKwOnly(1)",
        "__import__('dataclasses').replace(v, a=5, c=1).total == 9 and __import__('dataclasses').asdict(v)['total'] == 4",
    ),
    "super in a dataclass": (
        "SuperData(2)",
        "v.weight == 20 and v.describe() == 'SuperData(kg=2)SuperData' and v == type(v)(2)",
    ),
    "super in slots": ("SlottedSuper(a=1, z=2)", "v.total() == 3 and v == type(v)(a=1, z=2)"),
    "NamedTuple": (
        "Parts(1, (Parts(2), Parts.leaf()))",
        (
            "v.size == 3 and v + 1 == 'added' and type(v.rest[0]) is type(v) and v._replace(first=3).first == 3"
            " and v._asdict()['first'] == 1 and type(v)._field_defaults == {'rest': ()}"
            " and type(v).__annotations__['first'] in (int, 'int')"
        ),
    ),
    "generic NamedTuple": (
        "[GenericParts('k'), GenericParts[int]]",
        "v[0].both() == ('k', 2) and v[1](3) == (3, 2) and v[1].__origin__ is type(v[0]) and type(v[0]).__mro__[2].__name__ == 'Generic'",
    ),
    "NamedTuple subclass": ("NarrowParts(4)", "v.size == 2 and v.first == 4 and not hasattr(v, '__dict__')"),
    "local classes": (
        "(lambda t: [t[0](), t[1](), t[0], t[1], t[2], t[0].Inner()])(outer(1))",
        (
            "v[0].look() is v[4] and v[1].look() is v[4] and v[4] == [1, 1] and type(v[0]) is v[2] and type(v[1].make()) is v[3]"
            " and v[5].deep() is v[2] and v[3].__bases__ == (v[2],)"
        ),
    ),
    "nested classes": ("Outer.Middle.Inner()", "v.up() is type(v) and type(v).__qualname__ == 'Outer.Middle.Inner'"),
    "instance of a local class": ("outer(3)[1]()", "v.look() == [3, 1] and type(v).__mro__[1].__name__ == 'Base'"),
    "required keywords": ("Failure(code=3, detail={})", "v.code == 3 and v.detail == {} and v.args == ('code 3',)"),
    "chain": (
        "failed()",
        (
            "v.args == ('k',) and v.__cause__.code == 7 and v.__cause__.__notes__ == ['note one'] and v.__traceback__ is None"
            " and v.__cause__.__traceback__ is None and v.__suppress_context__"
        ),
    ),
    "exception group": (
        "grouped()",
        (
            "v.message == 'many' and v.exceptions[0] is v.__context__ and v.exceptions[2].exceptions[0].code == 1"
            " and type(v.subgroup(ValueError)) is type(v)"
        ),
    ),
    "exception in a cycle": ("exception_cycle()", "v.me is v and v.__context__.args[1] is v and v.code == 1"),
    "exception with slots": (
        "(lambda e: (setattr(e, 'where', [1]), e)[1])(Slotted('bad'))",
        "v.where == [1] and v.args == ('bad',)",
    ),
    "weak containers": ("Weak()", "v.cache['s'] is v.strong and v.keys[v.strong] == 1 and v.strong in v.set"),
    "subclass of int": ("[IntSub(5, 'kg')]", "v[0] == 5 and v[0].unit == 'kg' and v[0] + 1 == 6"),
    "subclass of bytearray": ("with_attributes(BytesSub(b'ab'), t=1)", "v == b'ab' and v.t == 1"),
    "subclass of OrderedDict": ("OrderedSub([('b', 1), ('a', 2)], tag='x')", "list(v) == ['b', 'a'] and v.tag == 'x'"),
    "subclass of deque": (
        "with_attributes(DequeSub([1, 2], 3), t=1)",
        "list(v) == [1, 2] and v.maxlen == 3 and v.t == 1",
    ),
    "subclass of Counter": (
        "CounterSub('aab')",
        "v == {'a': 2, 'b': 1} and v['z'] == 0 and type(v).__name__ == 'CounterSub'",
    ),
    "subclass of defaultdict": ("DefaultSub(Plain)", "type(v['x']).__name__ == 'Plain'"),
    "subclass of UserDict": ("UserSub(a=1)", "v['a'] == 1 and v.data == {'a': 1}"),
    "partial with attributes": ("with_attributes(functools.partial(max, 1), note=[2])", "v(3) == 3 and v.note == [2]"),
    "callable": ("Callable2()", "v(1) == 2 and type(v)[int] == ('Callable2', int)"),
    "no truth, equality or length": (
        "[Operators(2)]",
        "v[0] + 1 == 3 and 1 + v[0] == 3 and type(v[0]).__hash__ is None",
    ),
    "annotations of a class": (
        "Doc",
        "v.__doc__ == 'Documented.' and v.__annotations__ == {'x': int, 'y': 'Doc', 'z': str} and v.__match_args__ == ('x',)",
    ),
    "class made by type": ("[Swapped(), Renamed()]", "v[0].m() == 1 and v[0].x == 1 and v[1].v == 2"),
    "class as an attribute": ("[Outer, {'k': Outer.Middle}]", "v[0].Middle is v[1]['k']"),
}
