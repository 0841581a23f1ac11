"""Instances, functions and classes within one process; other processes are in test_graph_processes.py."""

import copyreg
import dataclasses
import enum
import fractions
import functools
import linecache
import logging
import operator
import pickle
import types

import pytest

from hashstash.codec import Encoded
from hashstash.errors import BadEntry, MissingDependency
from hashstash.serializers.hashstash.graph import dumps_graph, loads_graph
from hashstash.serializers.hashstash.nodes import GLOBAL
from hashstash.serializers.hashstash.source import SourceFiles


def back(value):
    encoded = dumps_graph(value)
    return loads_graph(Encoded(bytes(encoded.document), [bytes(buffer) for buffer in encoded.buffers], encoded.is_code))


class Frozen:
    __slots__ = ("a",)

    def __init__(self, a):
        object.__setattr__(self, "a", a)

    def __setattr__(self, name, value):
        raise AttributeError(name)


class Arguments:
    def __init__(self, *, a):
        self.a = a

    def __new__(cls, *, a):
        made = super().__new__(cls)
        made.born = a
        return made

    def __getnewargs_ex__(self):
        return (), {"a": self.a}


class Setter:
    def __init__(self):
        self.state = None

    def __reduce__(self):
        return Setter, (), "given", None, None, set_state_of


def set_state_of(target, state):
    target.state = state


class Registered:
    def __init__(self, a):
        self.a = a


class Buffered:
    def __init__(self, data):
        self.data = data

    def __reduce_ex__(self, protocol):
        return Buffered, (pickle.PickleBuffer(self.data),)


class Hue(enum.Enum):
    RED = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


def test_slots_of_a_class_that_refuses_setattr():
    assert back(Frozen(5)).a == 5


def test_getnewargs_ex():
    read = back(Arguments(a=3))
    assert (read.a, read.born) == (3, 3)


def test_sixth_part_of_reduce():
    assert back(Setter()).state == "given"


def test_dispatch_table():
    copyreg.pickle(Registered, lambda value: (Registered, (value.a + 1,)))
    try:
        assert back(Registered(1)).a == 2
    finally:
        del copyreg.dispatch_table[Registered]


def test_pickle_buffer_out_of_band():
    encoded = dumps_graph(Buffered(bytearray(b"z" * 8192)))
    assert [len(buffer) for buffer in encoded.buffers] == [8192]
    assert bytes(loads_graph(encoded).data) == b"z" * 8192


def test_pickle_buffer_comes_back_writable():
    read = back(Buffered(bytearray(b"abc")))
    read.data[0] = 65
    assert bytes(read.data) == b"Abc"


def test_enum_member_is_the_member():
    assert back([Hue.RED])[0] is Hue.RED


def test_unnamed_flag():
    assert back(Access.READ | Access.WRITE) is Access.READ | Access.WRITE


def test_enum_member_that_is_gone_is_named():
    class Once(enum.Enum):
        GONE = 1

    encoded = dumps_graph(Once.GONE)
    Once._member_map_.pop("GONE")
    with pytest.raises(BadEntry, match="GONE"):
        loads_graph(encoded)


def test_shared_object_is_one_object():
    shared = Registered([1])
    read = back([shared, shared, shared.a])
    assert read[0] is read[1]
    assert read[0].a is read[2]


def test_importable_class_by_reference():
    assert type(back(logging.NullHandler)) is type
    assert back(logging.NullHandler) is logging.NullHandler


def test_importable_function_by_reference():
    assert back(functools.reduce) is functools.reduce


def test_logger_by_its_own_reduce():
    assert back(logging.getLogger("a.b")) is logging.getLogger("a.b")


def test_subclass_of_a_data_type_stays_one():
    class Money(fractions.Fraction):
        pass

    read = back(Money(1, 2))
    assert type(read) is Money
    assert read == Money(1, 2)


def test_bound_method_of_a_builtin():
    items = [1]
    method, read = back([items.append, items])
    method(2)
    assert read == [1, 2]


def test_method_under_a_name_that_is_not_its_own():
    class Named:
        other = lambda self: "called"

    assert back(Named().other)() == "called"


def test_partial_of_a_lambda():
    assert back(functools.partial(lambda a, b: a - b, b=1))(5) == 4


def test_operator_getter():
    assert back(operator.attrgetter("a.b")).__reduce__() == operator.attrgetter("a.b").__reduce__()


def test_mapping_proxy_of_objects():
    read = back(types.MappingProxyType({"a": Registered(1)}))
    assert type(read) is types.MappingProxyType
    assert read["a"].a == 1


def test_exception_of_a_class_with_another_init():
    class Failure(Exception):
        def __init__(self, code, message):
            super().__init__(message)
            self.code = code

    read = back(Failure(3, "m"))
    assert (read.code, read.args) == (3, ("m",))


def test_exception_group():
    class Group(ExceptionGroup):
        pass

    read = back(Group("many", [ValueError(1), KeyError("k")]))
    assert read.message == "many"
    assert [type(one) for one in read.exceptions] == [ValueError, KeyError]


def test_empty_cell_stays_empty():
    def outer():
        if later:
            value = 1
        return lambda: value

    later = False
    read = back(outer())
    with pytest.raises(NameError):
        read()


def test_attributes_of_a_function():
    function = lambda: 1
    function.note = {"k": [1]}
    assert back(function).note == {"k": [1]}


def test_mutable_default_is_shared():
    kept = []
    function, read = back([lambda acc=kept: acc.append(1), kept])
    function()
    assert read == [1]


def test_globals_that_the_function_does_not_name_stay_behind():
    names = {"__name__": "__main__", "used": 1, "unused": (i for i in ())}
    exec("def f(): return used", names)
    assert set(back(names["f"]).__globals__) == {"used", "__name__", "__builtins__"}


def test_global_that_is_not_defined_yet():
    names = {"__name__": "__main__"}
    exec("def f(): return later", names)
    read = back(names["f"])
    read.__globals__["later"] = 5
    assert read() == 5


def test_local_function_of_a_module_uses_the_module():
    def local():
        return Hue

    assert back(local).__globals__ is globals()


def test_class_comes_back_as_the_live_class():
    class Local:
        pass

    read = back([Local(), Local])
    assert type(read[0]) is Local
    assert read[1] is Local


def test_class_that_is_gone_is_made_again_once():
    def written():
        class Gone:
            def name(self):
                return type(self).__name__

        return dumps_graph(Gone())

    encoded = written()
    import gc

    gc.collect()
    one, two = loads_graph(encoded), loads_graph(encoded)
    assert one.name() == "Gone"
    assert type(one) is type(two)


def test_dataclass_made_by_call():
    made = dataclasses.make_dataclass("Made", [("x", int), ("y", int, 3)])
    assert back(made(1)) == made(1)


def test_source_of_a_function_is_found_by_position():
    one, two = lambda v: v, lambda v: [v]
    found = [SourceFiles().find(function.__code__).text for function in (one, two)]
    assert found == ["lambda v: v", "lambda v: [v]"]


def test_source_that_has_changed_is_not_used():
    linecache.cache["<changed>"] = (0, None, ["f = lambda: 1\n"], "<changed>")
    code = eval(compile("lambda: 2", "<changed>", "eval")).__code__
    assert SourceFiles().find(code) is None


def test_missing_module_is_named():
    from hashstash.serializers.hashstash import document

    table = document.write([1, [[GLOBAL, "no_such_module_here", "f"]], [0], 0])
    with pytest.raises(MissingDependency, match="no_such_module_here"):
        loads_graph(Encoded(b"\xc1" + bytes(table.document), (), True))
