"""Syntax of Python 3.12: type parameters of functions, classes and aliases; see graph_corpus.py."""

DEFINITIONS = """
import dataclasses
import typing


def first[T](items: list[T]) -> T:
    return items[0]


def bounded[T: int, U: (str, bytes), *Ts, **P](a: T, b: U) -> tuple[T, U]:
    return a, b, T


class Box[T]:
    content: T

    def __init__(self, content: T):
        self.content = content

    def kind(self):
        return T

    def mapped[U](self, function: typing.Callable[[T], U]) -> "Box[U]":
        return Box(function(self.content))

    @staticmethod
    def both[U](x: U):
        return U, T

    class Inner:
        def outer(self):
            return T


class IntBox(Box[int]):
    def twice(self):
        return super().kind()


@dataclasses.dataclass(slots=True)
class Pair[A, B]:
    a: A
    b: B

    def swap(self) -> "Pair[B, A]":
        return Pair(self.b, self.a)


class Closes[T](typing.Protocol):
    def close(self) -> T: ...


def outer[T](v: T):
    def inner(w: T) -> T:
        return T, v

    class Local[U]:
        def both(self):
            return T, U, v

    return inner, Local


type Numbers = int | float
type Nested[T] = list[tuple[T, Numbers]]


def nested_quotes(v):
    return f"{v["a"]} {f"{v["b"]!r:>5}"}"


class Typed(typing.NamedTuple):
    x: int


class Many[T](typing.NamedTuple):
    items: list[T]

    def first(self) -> T:
        return self.items[0]


class Record[T](typing.TypedDict):
    value: T
"""

CASES = {
    "function": (
        "first",
        "v([3]) == 3 and [t.__name__ for t in v.__type_params__] == ['T'] and v.__annotations__['return'] is v.__type_params__[0]",
    ),
    "bounds": (
        "bounded",
        (
            "v(1, 2)[2] is v.__type_params__[0] and v.__type_params__[0].__bound__ is int"
            " and v.__type_params__[1].__constraints__ == (str, bytes) and len(v.__type_params__) == 4"
        ),
    ),
    "class": (
        "[Box(2), Box, Box[int]]",
        (
            "v[0].kind() is v[1].__type_params__[0] and v[0].mapped(str).content == '2' and v[0].both(1)[1] is v[0].kind()"
            " and v[2].__origin__ is v[1] and v[1].Inner().outer() is v[0].kind() and v[1].__parameters__ == v[1].__type_params__"
        ),
    ),
    "subclass": (
        "[IntBox(1), Box]",
        "v[0].twice() is v[1].__type_params__[0] and type(v[0]).__orig_bases__[0].__args__ == (int,)",
    ),
    "dataclass": ("Pair(1, 'b')", "v.swap() == type(v)('b', 1) and type(v).__type_params__[1].__name__ == 'B'"),
    "protocol": ("[Closes, Closes[int]]", "v[1].__origin__ is v[0] and v[0]._is_protocol"),
    "local": (
        "(lambda p: [p[0], p[1], p[1]()])(outer(3))",
        "v[0](1)[1] == 3 and v[2].both()[2] == 3 and v[2].both()[0] is v[0](1)[0] and v[2].both()[1] is v[1].__type_params__[0]",
    ),
    "aliases": (
        "[Numbers, Nested, Nested[str]]",
        "v[0].__value__ == int | float and v[1].__type_params__[0].__name__ == 'T' and v[2].__origin__ is v[1] and v[0].__name__ == 'Numbers'",
    ),
    "nested quotes": ("nested_quotes", "v({'a': 1, 'b': 2}) == '1     2'"),
    "named tuple": ("Many([1])", "v.first() == 1 and type(v).__type_params__[0].__name__ == 'T'"),
    "typed dict": ("Record", "v(value=1) == {'value': 1} and v.__type_params__[0].__name__ == 'T'"),
}
