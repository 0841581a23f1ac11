"""Several hundred values by name, which one Python writes into a stash and another one reads.

python corpus.py write ROOT [PACKAGE...]     fills the stash in ROOT
python corpus.py read ROOT [PACKAGE...]      prints a JSON object: what is not as it was, and why

Values of PACKAGEs (numpy, pandas and others) take part where both Pythons have them.
"""

import json
import linecache
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / name) for name in ("", "serializers", "golden")]

import graph_corpus  # noqa: E402
import key_samples  # noqa: E402
import write_golden  # noqa: E402

from hashstash import HashStash  # noqa: E402
from hashstash.testing.corpus import DATA  # noqa: E402
from hashstash.testing.equality import assert_same  # noqa: E402

LARGE = {"dict of many", "lists", "texts"}
OF_PACKAGES = {
    "numpy": write_golden.NUMPY,
    "pandas": write_golden.PANDAS,
    "pyarrow": write_golden.ARROW,
    "polars": write_golden.POLARS,
    "scipy": write_golden.SCIPY,
    "dateutil": write_golden.DATEUTIL,
    "pytz": write_golden.PYTZ,
}


def values(packages):
    """Data by name: each sample of the standard library, each of its parts, and what the packages have."""
    found = {name: make() for name, make in DATA.items() if name not in LARGE}
    for name, whole in list(found.items()):
        if type(whole) is list and name not in {"deep list", "too deep list"}:
            found.update({f"{name} {index}": part for index, part in enumerate(whole)})
    for package in packages:
        names = write_golden.namespace([package])
        found.update({f"{package}: {text}": eval(text, names) for text in OF_PACKAGES[package]})
    return found


def opened(root, name, **settings):
    return HashStash(root, name, engine="pairtree", compress="zlib", **settings)


def write(root, packages):
    data = values(packages)
    opened(root, "data").update(data)
    opened(root, "keys").update((key, name) for name, key in key_samples.KEYS.items())
    text = graph_corpus.DEFINITIONS
    linecache.cache["<corpus>"] = (len(text), None, text.splitlines(keepends=True), "<corpus>")
    exec(compile(text, "<corpus>", "exec"), vars(sys.modules["__main__"]))
    code = opened(root, "code")
    for name, (expression, _) in graph_corpus.CASES.items():
        code[name] = eval(expression, vars(sys.modules["__main__"]))


def read(root, packages):
    wrong = {}
    checks = {
        "data": (values(packages), lambda found, expected: assert_same(found, expected)),
        "code": ({name: check for name, (_, check) in graph_corpus.CASES.items()}, assert_holds),
    }
    for section, (expected, check) in checks.items():
        stash = opened(root, section, read_only=True)
        for name, value in expected.items():
            try:
                check(stash[name], value)
            except Exception as error:
                wrong[f"{section}: {name}"] = repr(error)[:500]
    keys = opened(root, "keys", read_only=True)
    for name, key in key_samples.KEYS.items():
        if keys.get(key) != name:
            wrong[f"keys: {name}"] = "not found"
    returned = {name: key for key, name in keys.items()}
    for name, key in key_samples.KEYS.items():
        try:
            assert_same(returned[name], key)
        except Exception as error:
            wrong[f"keys: {name}"] = repr(error)[:500]
    return {"wrong": wrong, "read": sum(len(expected) for expected, _ in checks.values()) + len(returned)}


def assert_holds(value, expression):
    assert eval(expression, {"v": value}), expression


if __name__ == "__main__":
    action, root, *packages = sys.argv[1:]
    if action == "write":
        write(root, packages)
    else:
        print(json.dumps(read(root, packages)))
