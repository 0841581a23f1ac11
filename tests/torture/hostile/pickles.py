"""Pickles and JSON of jsonpickle that run something: each way to call, by each thing worth calling."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Iterator
from typing import Any

from torture.hostile.canary import WORD


def things(mark: str) -> dict[str, tuple[str, str, tuple[object, ...]]]:
    """What is worth calling: module, name, arguments; all of them touch the mark or are heard by the canary."""
    touch = f"touch {mark} # {WORD}"
    source = f"open({mark!r}, 'a').write('{WORD}')"
    return {
        "system": ("os", "system", (touch,)),
        "posix": ("posix", "system", (touch,)),
        "popen": ("subprocess", "Popen", (["touch", mark],)),
        "call": ("subprocess", "getoutput", (touch,)),
        "exec": ("builtins", "exec", (source,)),
        "eval": ("builtins", "eval", (source,)),
        "open": ("builtins", "open", (mark, "w")),
        "io": ("io", "open", (mark, "w")),
        "import": ("builtins", "__import__", ("zq_canary_module",)),
        "importlib": ("importlib", "import_module", ("zq_canary_module",)),
        "gadget": ("zq_canary_module", "fire", (1,)),
        "beside": ("numpy_", "fire", ()),
        "plain name": ("helpers", "fire", ()),
        "library": ("antigravity", "fly", ()),
        "rmtree": ("shutil", "rmtree", (mark + ".folder",)),
        "remove": ("os", "remove", (mark + ".file",)),
        "browser": ("webbrowser", "open", (f"file://{mark}",)),
        "dlopen": ("ctypes", "CDLL", (mark + ".so",)),
        "spawn": ("pty", "spawn", (["touch", mark],)),
        "runpy": ("runpy", "run_path", ("helpers.py",)),
        "breakpoint": ("pdb", "run", (source,)),
        "timeit": ("timeit", "timeit", (source, "pass")),
        "numpy load": ("numpy", "load", (mark + ".npy",)),
        "pandas query": ("pandas.core.computation.eval", "eval", ("@pd",)),
        "partial": ("functools", "partial", (print, WORD)),
        "getattr": ("operator", "attrgetter", ("__class__.__bases__",)),
        "code": ("types", "FunctionType", ()),
        "own": ("hashstash.serializers.hashstash.names", "import_module", ("zq_canary_module",)),
        "revive": ("hashstash.serializers.hashstash.revive", "call", ("x", print, WORD)),
        "unpickle": ("pickle", "loads", (b"cos\nsystem\n(S'touch " + mark.encode() + b"'\ntR.",)),
    }


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _stack_global(module: str, name: str) -> bytes:
    parts = [b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)]
    return b"".join(parts) + b"\x93"


def _tuple(arguments: tuple[object, ...], protocol: int = 2) -> bytes:
    try:
        made = pickle.dumps(arguments, protocol)
    except Exception:
        made = pickle.dumps((), protocol)
    made = made[2:] if protocol >= 2 else made
    return (made[9:] if protocol >= 4 else made)[:-1]


def pickles(mark: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each pickle."""
    for what, (module, name, arguments) in things(mark).items():
        found, stacked, given = _global(module, name), _stack_global(module, name), _tuple(arguments)
        yield f"GLOBAL REDUCE 0 {what}", found + _tuple(arguments, 0) + b"R."
        yield f"GLOBAL REDUCE {what}", b"\x80\x02" + found + given + b"R."
        yield f"STACK_GLOBAL REDUCE {what}", b"\x80\x04" + stacked + given + b"R."
        yield f"framed {what}", b"\x80\x05\x95" + struct.pack("<Q", len(stacked + given) + 2) + stacked + given + b"R."
        yield f"NEWOBJ {what}", b"\x80\x02" + found + given + b"\x81."
        yield f"NEWOBJ_EX {what}", b"\x80\x04" + stacked + given + b"}\x92."
        yield f"INST {what}", b"(" + _marked(arguments) + f"i{module}\n{name}\n.".encode()
        yield f"OBJ {what}", b"(" + found + _marked(arguments) + b"o."
        yield f"BUILD {what}", b"\x80\x02cbuiltins\nobject\n)\x81" + found + given + b"Rb."
        yield f"in a list {what}", b"\x80\x02](K\x01" + found + given + b"Re."
        yield f"as a key {what}", b"\x80\x02}" + found + given + b"RK\x01s."
    yield from _oddities(mark)


def _marked(arguments: tuple[object, ...]) -> bytes:
    return b"".join(pickle.dumps(one, 0)[:-1] for one in arguments if isinstance(one, (str, bytes, int)))


def _oddities(mark: str) -> Iterator[tuple[str, bytes]]:
    bomb = b"\x80\x04]\x94" + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"e\x94" for i in range(60)) + b"."
    yield "memo bomb", bomb
    yield "memo index", b"\x80\x02]r\xff\xff\xff\x7f."
    yield "long string", b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f."
    yield "long bytes", b"\x80\x04\x8e\x00\x00\x00\x00\x10\x00\x00\x00."
    yield "long int", b"\x80\x02\x8b\xff\xff\xff\x7f."
    yield "bytearray", b"\x80\x05\x96\x00\x00\x00\x00\x04\x00\x00\x00."
    yield "persistent id", b"Psystem\n."
    yield "binary persistent id", b"\x80\x02U\x06systemQ."
    yield "extension 1", b"\x80\x02\x82\x01."
    yield "extension 2", b"\x80\x02\x83\x01\x00."
    yield "extension 4", b"\x80\x02\x84\x01\x00\x00\x00."
    yield (
        "copyreg extension",
        b"\x80\x02ccopyreg\nadd_extension\nX\x02\x00\x00\x00osX\x06\x00\x00\x00systemK\x07\x87R0\x82\x07.",
    )
    yield "next buffer", b"\x80\x05\x97."
    yield "read-only buffer", b"\x80\x05\x97\x98."
    yield "protocol 9", b"\x80\x09N."
    yield "empty", b""
    yield "stop", b"."
    yield "nested lists", b"]" * 100_000 + b"a" * 99_999 + b"."
    yield (
        "numpy object array",
        b"\x93NUMPY\x01\x00"
        b"\x46\x00"
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(70)
        + b"\x80\x02cos\nsystem\n(S'touch "
        + mark.encode()
        + b"'\ntR.",
    )
    yield "joblib", b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81."
    yield (
        "marshalled code",
        b"\x80\x04"
        + _stack_global("types", "FunctionType")
        + _stack_global("marshal", "loads")
        + b"C\x01N\x85R}\x86R.",
    )


def jsons(mark: str) -> Iterator[tuple[str, bytes]]:
    """Documents in which jsonpickle would call something, and the frame that our serializer puts around them."""
    for what, (module, name, arguments) in things(mark).items():
        given = [one for one in arguments if isinstance(one, (str, int, list))]
        path, function = f"{module}.{name}", {"py/function": f"{module}.{name}"}
        for form, value in {
            "reduce": {"py/reduce": [function, {"py/tuple": given}]},
            "reduce of a type": {"py/reduce": [{"py/type": path}, {"py/tuple": given}, None, None, None]},
            "object": {"py/object": path, "py/newargs": {"py/tuple": given}},
            "initargs": {"py/object": path, "py/initargs": {"py/tuple": given}},
            "newargsex": {"py/object": path, "py/newargsex": [{"py/tuple": given}, {}]},
            "state": {"py/object": path, "py/state": {"py/function": path}},
            "repr": {"py/repr": f"{module}/{module}.{name}({given})"},
            "nested": [{"a": {"py/reduce": [function, {"py/tuple": given}]}, "b": {"py/id": 1}}],
        }.items():
            yield f"jsonpickle {form} {what}", json.dumps({"handlers": [], "value": value}).encode()
        yield f"jsonpickle bare {what}", json.dumps({"py/reduce": [function, {"py/tuple": given}]}).encode()
        yield (
            f"jsonpickle handler {what}",
            json.dumps({"handlers": [path, module], "value": {"py/object": path}}).encode(),
        )


class Runs:
    """What a pickle of an engine's own would run."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark} # {WORD}",)
