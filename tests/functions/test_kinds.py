"""Functions, methods, callables and whatever else can be called."""

import abc
import dataclasses
import enum
import functools
import inspect
from typing import NamedTuple

import pytest

from hashstash import HashStash

calls = []


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


class Model:
    def __init__(self, weight):
        self.weight = weight

    def predict(self, x):
        calls.append(x)
        return self.weight * x


def test_methods_are_keyed_by_their_instance(stash, monkeypatch):
    monkeypatch.setattr(Model, "predict", stash.stashed_result(Model.predict))
    assert Model(2).predict(3) == 6
    assert Model(2).predict(3) == 6
    assert Model(5).predict(3) == 15
    assert len(calls) == 2


def test_run_takes_bound_methods(stash):
    assert stash.run(Model(2).predict, 3) == 6
    assert stash.run(Model(2).predict, 3) == 6
    assert len(calls) == 1


@pytest.mark.parametrize("above", [True, False])
def test_class_and_static_methods(stash, above):
    memo = stash.stashed_result

    def name_of(cls, x):
        calls.append(x)
        return f"{cls.__name__}{x}"

    def double(x):
        calls.append(x)
        return 2 * x

    class Thing:
        make = memo(classmethod(name_of)) if above else classmethod(memo(name_of))
        twice = memo(staticmethod(double)) if above else staticmethod(memo(double))

    assert [Thing.make(1), Thing().make(1), Thing.twice(2), Thing().twice(2)] == ["Thing1", "Thing1", 4, 4]
    assert calls == [1, 2]


def test_partials_callables_and_builtins(stash):
    class Adder:
        def __init__(self, n):
            self.n = n

        def __call__(self, x):
            return x + self.n

    assert stash.run(functools.partial(pow, 2), 5) == 32
    assert stash.run(functools.partial(pow, 3), 5) == 243
    assert stash.run(Adder(1), 1) == 2
    assert stash.run(Adder(2), 1) == 3
    assert stash.run(len, "abc") == 3
    assert stash.run("a-b".split, "-") == ["a", "b"]
    assert stash.run("c-d".split, "-") == ["c", "d"]


def test_generators_are_refused_at_once(stash):
    def numbers():
        yield 1

    with pytest.raises(TypeError, match="generator function.*return a list"):
        stash.stashed_result(numbers)
    with pytest.raises(TypeError, match="generator function"):
        stash.run(numbers)


def test_what_is_not_callable_is_refused(stash):
    with pytest.raises(TypeError, match="not callable"):
        stash.stashed_result(5)
    with pytest.raises(TypeError, match=r"5 is not callable; .*stash.run\(f, 1\)"):
        stash.run(5, 1)


class Slotted:
    __slots__ = ("unset", "weight")

    def __init__(self, weight):
        self.weight = weight

    def predict(self, x):
        calls.append(x)
        return self.weight * x


class Alike(Model):
    """Every one of them says that it is equal to every other one."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1

    def __call__(self, x):
        calls.append(x)
        return self.weight * x


@dataclasses.dataclass(frozen=True)
class Frozen:
    weight: int

    def predict(self, x):
        calls.append(x)
        return self.weight * x


class Unhashable(Model):
    __hash__ = None

    def __eq__(self, other):
        return self.weight == other.weight


class Named(NamedTuple):
    weight: int

    def predict(self, x):
        calls.append(x)
        return self.weight * x


@pytest.mark.parametrize("kind", [Slotted, Alike, Frozen, Unhashable, Named])
def test_the_state_of_an_instance_counts_whatever_it_says_of_itself(memory, monkeypatch, kind):
    monkeypatch.setattr(kind, "predict", memory.stashed_result(kind.predict))
    assert [kind(2).predict(3), kind(5).predict(3), kind(2).predict(3)] == [6, 15, 6]
    assert len(calls) == 2


def test_callables_that_say_they_are_equal_are_not_taken_for_each_other(stash):
    assert [stash.run(Alike(2), 3), stash.run(Alike(5), 3), stash.run(Alike(2), 3)] == [6, 15, 6]
    assert len(calls) == 2


def test_an_instance_that_changes_is_followed(memory):
    model = Alike(2)
    f = memory.stashed_result(model)
    assert (f(3), f(3)) == (6, 6)
    model.weight = 5
    assert (f(3), memory.run(model, 3)) == (15, 15)
    assert len(calls) == 2


def test_running_an_instance_or_a_class_leaves_it_alone(memory):
    class Point:
        def __init__(self, x):
            self.x = x

    model = Alike(2)
    memory.run(model, 3)
    memory.run(Point, 3)
    assert vars(model) == {"weight": 2}
    assert not hasattr(Point, "stash")


def test_properties_beside_and_above(stash):
    class Thing:
        def __init__(self, x):
            self.x = x

        @stash.stashed_result
        def method(self):
            calls.append("method")
            return self.x

        @property
        @stash.stashed_result
        def memoized(self):
            calls.append("memoized")
            return self.x * 2

        @property
        def plain(self):
            return self.x * 3

        @functools.cached_property
        def cached(self):
            calls.append("cached")
            return self.x * 4

        @functools.cached_property
        @stash.stashed_result
        def both(self):
            calls.append("both")
            return self.x * 5

    answers = [(thing.method(), thing.memoized, thing.plain) for thing in (Thing(1), Thing(1), Thing(2))]
    assert answers == [(1, 2, 3), (1, 2, 3), (2, 4, 6)]
    assert calls == ["method", "memoized"] * 2
    assert (Thing(1).both, Thing(1).both, Thing(3).cached) == (5, 5, 12)
    assert calls.count("both") == 1


@pytest.mark.parametrize("kind", [property, functools.cached_property])
def test_a_property_is_not_decorated_but_the_function_below_it(memory, kind):
    with pytest.raises(TypeError, match=f"decorate the function below @{kind.__name__}"):
        memory.stashed_result(kind(lambda self: 1))


def test_methods_that_are_inherited_and_overridden(stash):
    class Base:
        @stash.stashed_result
        def name(self, x):
            calls.append(f"Base {type(self).__name__}")
            return f"base{x}"

    class Inherits(Base):
        pass

    class Overrides(Base):
        @stash.stashed_result
        def name(self, x):
            calls.append("Overrides")
            return "over" + super().name(x)

    for _ in range(2):
        assert [kind().name(1) for kind in (Base, Inherits, Overrides)] == ["base1", "base1", "overbase1"]
    assert calls == ["Base Base", "Base Inherits", "Overrides", "Base Overrides"]


@pytest.mark.parametrize("above", [True, False])
def test_classmethods_of_subclasses(stash, above):
    memo = stash.stashed_result

    def size_of(cls, x):
        calls.append(cls.__name__)
        return cls.size * x

    class Base:
        size = 2
        scaled = memo(classmethod(size_of)) if above else classmethod(memo(size_of))

    class Larger(Base):
        size = 5

    assert [Base.scaled(3), Larger.scaled(3), Larger().scaled(3), Base().scaled(3)] == [6, 15, 15, 6]
    assert calls == ["Base", "Larger"]


def test_abstract_methods_and_enums(memory):
    class Shape(abc.ABC):
        @memory.stashed_result
        @abc.abstractmethod
        def area(self):
            """Nothing yet."""

    class Colour(enum.Enum):
        RED = 1

        @memory.stashed_result
        def shifted(self, x):
            return self.value + x

    with pytest.raises(TypeError, match="abstract"):
        Shape()
    assert list(Colour) == [Colour.RED]
    assert Colour.RED.shifted(1) == Colour.RED.shifted(1) == 2


def test_partials_in_partials_and_of_methods(memory):
    def f(a, b, c=3):
        calls.append((a, b, c))
        return (a, b, c)

    inner = functools.partial(functools.partial(f, 1), c=5)
    assert memory.run(inner, 2) == memory.run(inner, b=2) == memory.stashed_result(inner)(2) == (1, 2, 5)
    assert len(calls) == 1
    two, five = functools.partial(Model(2).predict, 3), functools.partial(Model(5).predict, 3)
    assert [memory.run(two), memory.run(five), memory.run(two)] == [6, 15, 6]


def test_decorators_above_and_below(stash):
    def adding(number):
        def decorate(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                return function(*args, **kwargs) + number

            return wrapper

        return decorate

    @adding(100)
    @stash.stashed_result
    @adding(10)
    def f(x):
        calls.append(x)
        return x

    assert (f(1), f(1), f(x=1)) == (111, 111, 111)
    assert calls == [1]
    assert f.cache_info().misses == 1


def test_running_what_is_wrapped_around_a_decorated_function_runs_the_wrapper(stash):
    @stash.stashed_result
    def f(x):
        return x

    @functools.wraps(f)
    def wrapper(x):
        return f(x) + 100

    assert (stash.run(wrapper, 1), stash.run(f, 1)) == (101, 1)


def test_a_decorator_that_changes_a_default(memory):
    """``functools.wraps`` makes it show the signature of the function in it, whose default is another one."""

    def decorate(function):
        @functools.wraps(function)
        def wrapper(x, y=50):
            return function(x, y)

        return wrapper

    f = memory.stashed_result(decorate(lambda x, y=1: x + y))
    assert (f(1), f(1, 1), f(1, 50), f(1)) == (51, 2, 51, 51)


def test_a_decorator_that_takes_more_than_it_shows(memory):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, extra=0, **kwargs):
            calls.append(extra)
            return function(*args, **kwargs) + extra

        return wrapper

    f = memory.stashed_result(decorate(lambda x: x))
    assert [f(1, extra=5), f(1, extra=5), f(1), f(1), f(x=1)] == [6, 6, 1, 1, 1]
    assert calls == [5, 0]


def test_memoized_twice(stash, memory):
    @stash.stashed_result
    @memory.stashed_result
    def f(x, y=1):
        calls.append(x)
        return x + y

    assert (f(1), f(1, 1), f(x=1)) == (2, 2, 2)
    assert calls == [1]
    assert f.stash.root_dir == stash.root_dir


def test_running_a_decorated_function_elsewhere_keeps_its_options_and_its_stash(stash, tmp_path):
    other = HashStash(tmp_path / "other", engine="memory", clear=True)

    @stash.stashed_result(ignore="noise")
    def f(x, noise=0):
        calls.append(noise)
        return x

    path = f.stash.path
    other.run(f, 1, noise=1)
    other.run(f, 1, noise=2)
    assert calls == [1]
    assert f.stash.path == path
    f(1)
    stash.options(force=True).run(f, 1, noise=3)
    assert (f(1, noise=4), calls) == (1, [1, 0, 3])


def edited_in_place(function, other):
    function.__code__, function.__defaults__ = other.__code__, other.__defaults__


def test_a_function_that_is_edited_in_place_binds_its_arguments_anew(memory):
    """As autoreload does."""

    def f(a, b):
        return ("a", a, "b", b)

    g = memory.stashed_result(f)
    assert g(1, 2) == g(b=2, a=1) == ("a", 1, "b", 2)
    edited_in_place(f, lambda b, a: ("a", a, "b", b))
    assert g(1, 2) == ("a", 2, "b", 1)
    assert g(a=1, b=2) == ("a", 1, "b", 2)


def test_a_default_that_is_edited_in_place_is_not_the_old_one(memory):
    def f(a, b=1, *, c=1):
        return (a, b, c)

    g = memory.stashed_result(f)
    assert g(0) == (0, 1, 1)
    f.__defaults__ = (5,)
    assert (g(0), g(0, 1), g(0, 5)) == ((0, 5, 1), (0, 1, 1), (0, 5, 1))
    f.__kwdefaults__["c"] = 7
    assert (g(0), g(0, c=1)) == ((0, 5, 7), (0, 5, 1))


def test_a_decorated_function_looks_like_the_function(memory):
    def f(a, /, b: int = 2, *args, c=3, **kwargs) -> str:
        """Says something."""

    g = memory.stashed_result(f)
    assert inspect.signature(g) == inspect.signature(f)
    assert (g.__name__, g.__qualname__, g.__doc__, g.__module__) == (f.__name__, f.__qualname__, f.__doc__, __name__)
    assert inspect.unwrap(g) is f
    assert inspect.getsource(g) == inspect.getsource(f)
    assert inspect.isfunction(g)


def test_a_decorated_method_is_a_method(memory):
    class Thing:
        @memory.stashed_result
        def method(self, x):
            return x

    thing = Thing()
    assert inspect.ismethod(thing.method)
    assert str(inspect.signature(thing.method)) == "(x)"
    assert Thing.method.__get__(thing, Thing)(4) == thing.method(4) == Thing.method(thing, 4) == 4


def test_decorated_callables_and_partials_have_a_name(memory):
    assert memory.stashed_result(Alike(1)).__name__ == "Alike"
    assert memory.stashed_result(functools.partial(pow, 2)).__name__ == "pow"


@pytest.mark.parametrize("name", ["self", "function", "args", "kwargs", "key", "options", "memo", "address", "stash"])
def test_parameters_may_be_called_anything(memory, name):
    namespace = {"__name__": "__main__"}
    exec(f"def f({name}, other=2): return {name} + other", namespace)
    f = memory.stashed_result(namespace["f"])
    assert f(1) == f(**{name: 1}) == memory.run(f, **{name: 1}) == 3
    assert f.key(**{name: 1}) == ((), {name: 1})
    assert f.explain(**{name: 1})
    assert memory.options().explain(f, **{name: 1})
    assert memory.options(force=True).run(f, **{name: 1}) == 3
    assert f.stash.get_func(**{name: 1}) == 3
    assert f.invalidate(**{name: 1})


def test_builtins_classes_and_c_functions(stash):
    assert stash.run(sorted, [3, 1]) == [1, 3]
    assert stash.run(max, 3, 4) == 4
    assert stash.run(dict, a=1) == {"a": 1}
    assert stash.run([1, 2, 1].count, 1) == 2
    assert stash.run({1: 2}.get, 1) == 2
    assert stash.run(int, "3") == stash.run(int, "3") == 3


def test_names_too_long_for_a_folder(tmp_path):
    namespace = {"__name__": "__main__"}
    exec(f"def {'f' * 300}(x): return x", namespace)
    stash = HashStash(tmp_path, engine="pairtree")
    f = namespace["f" * 300]
    assert stash.run(f, 1) == stash.run(f, 1) == 1
    assert len(f.stash) == 1


def test_lru_caches_in_between(memory):
    cached = functools.lru_cache(lambda x: calls.append(x) or x)
    assert memory.run(cached, 1) == memory.stashed_result(cached)(1) == 1
    assert calls == [1]


def test_functions_that_are_gone_are_not_kept_for_ever(memory):
    for number in range(1200):
        memory.run(lambda x: x, number)
    from hashstash.functions.function_stash import _memos

    assert len(_memos) <= 1000
