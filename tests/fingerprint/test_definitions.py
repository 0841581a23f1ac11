"""Type aliases, new types and type variables of the user's pickle as a name; what they stand for counts as well."""

from __future__ import annotations

import sys
from typing import NewType, TypeVar

import pytest

from hashstash.fingerprint import Fingerprinter


def digest(value):
    return Fingerprinter().walk(value).digest


def as_in_a_notebook(value):
    value.__module__ = "__main__"
    return value


def test_a_new_type_counts_by_what_it_is_of():
    one, same, other = (as_in_a_notebook(NewType("UserId", kind)) for kind in (int, int, str))
    assert digest(one) == digest(same) != digest(other)


def made(code):
    namespace = {"__name__": "__main__"}
    exec(code, namespace)
    return namespace["T"]


@pytest.mark.parametrize(
    "other", ["TypeVar('T')", "TypeVar('T', bound=str)", "TypeVar('T', bound=int, covariant=True)"]
)
def test_a_type_variable_counts_by_its_bound_and_variance(other):
    one, same, changed = (
        made(f"from typing import TypeVar\nT = {text}") for text in ["TypeVar('T', bound=int)"] * 2 + [other]
    )
    assert digest(one) == digest(same) != digest(changed)


def test_a_type_variable_of_a_library_is_its_name():
    variable = TypeVar("variable")
    assert digest(variable) == digest(variable)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type aliases came with Python 3.12")
def test_a_type_alias_counts_by_its_value_also_if_it_refers_to_itself():
    one, same, other = (made(f"type T = {text}") for text in ("list[T]", "list[T]", "dict[str, T]"))
    assert digest(one) == digest(same) != digest(other)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type aliases came with Python 3.12")
def test_a_type_alias_whose_value_cannot_be_evaluated_yet_is_its_name():
    assert digest(made("type T = Missing")) == digest(made("type T = Missing"))


def test_a_bare_type_variable_is_its_name_alone_on_every_python():
    assert digest(made("from typing import TypeVar\nT = TypeVar('T')")).hex() == "7c15a3355c014eec168b15df62e960a1"


def test_parts_of_a_new_type_that_say_nothing_do_not_count():
    assert digest(made("from typing import NewType\nT = NewType('T', int)")).hex() == "cdaa8e53ccc38d0f66bc5dc4d6fe08b4"
