"""The bytes of a syntax tree never change: cells and functions are found again by their digest."""

import ast
from hashlib import blake2b

from hashstash.fingerprint import canonical_ast

PROGRAM = '''
"""A docstring."""
from __future__ import annotations
from . import a as b
import os.path, sys as system

@decorated(1, *rest, key=2.5, **more)
class C(Base, metaclass=M):
    x: int = -0.0
    def f(self, a, /, b=1, *args, c: "text" = None, d, **kwargs) -> None:
        """Another."""
        global g
        return lambda y=2: (y, {1, 2}, {"k": b"v", **a}, [z async for z in y if z], 1j, ..., True, "\\ud800")

async def h():
    async with a as (b, *c):
        await d
    yield

for i in range(10):
    if i < 3 <= 5 and not i or i is None:
        continue
    elif (j := i):
        break
else:
    del i, j[0], k.l
while True: pass
try: raise E from None
except* (A, B) as e: assert e, "no"
match v:
    case {"a": [1, *_], **r} | C(x=None) if r: print(f"{v!r:>{w}} {'nested'} and {v=}")
    case _: x[1:2, ::3] = y @ z ** -1 // ~2
'''


def digest(text: str) -> str:
    return blake2b(canonical_ast(ast.parse(text)), digest_size=16).hexdigest()


def test_a_program_with_every_kind_of_statement_keeps_its_digest():
    assert digest(PROGRAM) == "0f367a745c889ffebd69d434cf0b4ad9"


def test_formatting_and_comments_do_not_count():
    assert digest("x = (1 +\n  2)  # sum\n") == digest("x=1+2")


def test_a_list_of_names_is_no_single_name():
    assert digest("def f():\n global a, b") != digest("def f():\n global a\n global b")


def test_a_constant_is_not_the_name_that_is_written_alike():
    assert len({digest(text) for text in ("x", "'x'", "b'x'", "x.x", "[x]", "(x,)")}) == 6


def test_a_sum_nests_as_deep_as_it_is_long():
    assert digest(" + ".join(["1"] * 2000)) != digest(" + ".join(["1"] * 2001))
