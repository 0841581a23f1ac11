"""``@stash_mapped``, of the module and of a stash."""

import copy
import pickle

import pytest

from hashstash import HashStash, StashMap, stash_mapped


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("HASHSTASH_PROGRESS", "off")


def test_bare_it_uses_the_default_stash(tmp_path):
    @stash_mapped
    def double(x):
        return x * 2

    made = double([1, 2])
    assert type(made) is StashMap
    assert made.results == [2, 4]
    assert double.stash == HashStash()


def test_with_a_name_and_options_it_uses_that_stash(calls):
    @stash_mapped("name", num_proc=1)
    def double(x):
        calls.append(x)
        return x * 2

    assert double([1, 2, 1]).results == [2, 4, 2]
    assert double([2, 3]).was_cached == [True, False]
    assert calls == [1, 2, 3]
    assert double.stash == HashStash("name")


def test_settings_of_the_stash_may_be_given(tmp_path):
    @stash_mapped(root_dir=tmp_path / "here", engine="memory", errors="skip", num_proc=1)
    def inverse(x):
        return 1 / x

    assert inverse([1, 0, 2]).results == [1.0, 0.5]
    assert inverse.stash.engine == "memory"


def test_the_methods_form_uses_its_stash(stash):
    @stash.stash_mapped
    def double(x):
        return x * 2

    @stash.stash_mapped(num_proc=1, errors="return")
    def inverse(x):
        return 1 / x

    assert double([3]).results == [6]
    assert type(inverse([0])[0]) is ZeroDivisionError
    assert double.stash is inverse.stash is stash


def test_its_own_arguments_never_reach_the_function(stash):
    @stash.stash_mapped(num_proc=1, desc="text", ordered=False, force=True, star=False)
    def shown(*args, **kwargs):
        return args, kwargs

    assert shown([(1, 2)]).results == [(((1, 2),), {})]
    assert shown([1], num_proc=7, desc="mine").results == [((1,), {"num_proc": 7, "desc": "mine"})]


def test_options_and_keywords_are_given_with_the_objects(stash):
    @stash.stash_mapped(num_proc=1)
    def shown(*args, **kwargs):
        return args, kwargs

    assert shown([1], [{"k": 1}], m=2).results == [((1,), {"k": 1, "m": 2})]
    assert shown(objects=[1], options=[{"k": 1}]).results == [((1,), {"k": 1})]
    assert shown([1], kwargs={"objects": 3, "kwargs": 4}).results == [((1,), {"objects": 3, "kwargs": 4})]


def test_it_keeps_name_documentation_and_attributes(stash):
    def double(x):
        """Twice x."""
        return x * 2

    double.note = "kept"
    decorated = stash.stash_mapped(double)
    assert (decorated.__name__, decorated.__doc__, decorated.note) == ("double", "Twice x.", "kept")
    assert decorated.uncached is double
    assert decorated.uncached(4) == 8
    assert "double, mapped in" in repr(decorated)


@pytest.mark.parametrize("wrong", [5, [len], ("a", "b")], ids=repr)
def test_what_is_not_callable_is_refused(wrong):
    with pytest.raises(TypeError, match="is not callable; write @stash_mapped above a function"):
        stash_mapped(wrong)


def test_generator_functions_are_refused(stash):
    with pytest.raises(TypeError, match="is a generator function"):

        @stash.stash_mapped
        def f(x):
            yield x


def test_an_unknown_option_is_named(stash):
    with pytest.raises(TypeError, match="a map has no option 'num_procs'; known: .*num_proc"):
        stash.stash_mapped(num_procs=2)
    with pytest.raises(TypeError, match="num_procs"):
        stash_mapped("name", num_procs=2)(len)


def test_a_wrong_option_raises_where_the_function_is_decorated(stash):
    with pytest.raises(ValueError, match="errors='ignore'"):
        stash.stash_mapped(errors="ignore")(abs)


def test_methods_of_all_kinds(stash):
    class Model:
        weight = 2

        @stash.stash_mapped(num_proc=1)
        def scaled(self, x, plus=0):
            return self.weight * x + plus

        @stash.stash_mapped(num_proc=1)
        @classmethod
        def named(cls, x):
            return cls.weight + x

        @stash.stash_mapped(num_proc=1)
        @staticmethod
        def plain(x):
            return -x

    assert Model().scaled([1, 2], plus=1).results == [3, 5]
    assert Model.named([1]).results == Model().named([1]).results == [3]
    assert Model.plain([1]).results == Model().plain([1]).results == [-1]
    assert Model().scaled([1], plus=1).was_cached == [True]
    assert Model.scaled([(Model(), 5)]).results == [10]


def test_map_and_run_find_what_it_stored(stash):
    def double(x):
        return x * 2

    stash.stash_mapped(num_proc=1)(double)([1])
    assert stash.map(double, [1], num_proc=1).was_cached == [True]


def test_a_function_that_uses_a_decorated_one_depends_on_it(stash):
    def made(factor):
        @stash.stash_mapped(num_proc=1)
        def scaled(x):
            return x * factor

        def total(n):
            return sum(scaled(range(n)))

        return total

    assert stash.run(made(1), 3) == 3
    assert stash.run(made(2), 3) == 6


class Doubling:
    def __call__(self, x):
        return x * 2


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_it_can_be_copied(stash, copied):
    decorated = stash.stash_mapped(num_proc=1)(abs)
    again = copied(decorated)
    assert again([-1]).results == [1]
    assert again.stash == stash
