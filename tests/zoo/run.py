"""One process of the zoo: it defines and stores the values of one file, or reads them where nothing is defined.

python run.py write FOLDER      stores what FOLDER/cases.json lists; prints what was wrong with each case and refusal
python run.py read FOLDER       reads it again; prints what was wrong with each case
python run.py foreign FOLDER    reads without being trusted; prints the error, and the modules that were imported
"""

import json
import linecache
import pickle
import re
import sys
import warnings
from pathlib import Path

from hashstash import HashStash
from hashstash.errors import UntrustedEntry
from hashstash.testing.equality import assert_same


def opened(folder, name, **settings):
    return HashStash(str(folder / "stash"), name, engine="pairtree", **settings)


def described(name, value):
    """What a stashed function answers; it may be called for values that are not stored yet, and for no others."""
    if Path(sys.argv[2], "written").exists():
        raise AssertionError("called although its result is stored")
    return type(value).__name__


def write(folder, sheet):
    linecache.cache["<zoo>"] = (1, None, sheet["definitions"].splitlines(keepends=True), "<zoo>")
    names = vars(sys.modules["__main__"])
    exec(compile(sheet["definitions"], "<zoo>", "exec"), names)
    values, keys = opened(folder, "values"), opened(folder, "keys")
    wrong, probes = {}, {}
    for name, case in sheet["cases"].items():
        wrong[name] = []
        try:
            value = eval(case["make"], names)
            if case["key"] is True:
                keys[name, value] = name
                keys.run(described, name, value)
            elif case["key"]:
                check_error(wrong[name], case["key"], lambda key=(name, value): keys.get(key))
            values[name] = value
            check_content(wrong[name], values, name, value, case)
            probes[name] = eval(case["probe"], names | {"v": value})
        except Exception as error:
            wrong[name].append(f"not written: {error!r}"[:1500])
    for name, (make, words) in sheet["refusals"].items():
        wrong[name] = []
        try:
            value = eval(make, names)
        except Exception as error:
            wrong[name].append(f"not made: {error!r}")
            continue
        check_error(wrong[name], words, lambda name=name, value=value: values.__setitem__(name, value))
    (folder / "probes").write_bytes(pickle.dumps(probes))
    (folder / "written").touch()
    return wrong


def check_content(wrong, stash, name, value, case):
    (entry,) = [entry for entry in stash.entries() if entry.key == name]
    if entry.is_code is not case["is_code"]:
        wrong.append(f"is_code is {entry.is_code}")
    _, encoded = stash.get_encoded(name)
    outside = sum(memoryview(buffer).nbytes for buffer in encoded.buffers)
    if outside < case["outside"]:
        wrong.append(f"only {outside} bytes are outside of the document")


def check_error(wrong, words, action):
    try:
        action()
    except Exception as error:
        if not re.search(words, str(error)):
            wrong.append(f"{type(error).__name__}: {error}")
    else:
        wrong.append("no error")


def read(folder, sheet):
    values, keys = opened(folder, "values", read_only=True), opened(folder, "keys")
    probes = pickle.loads((folder / "probes").read_bytes())
    return {name: check(values, keys, name, case, probes) for name, case in sheet["cases"].items() if name in probes}


def check(values, keys, name, case, probes):
    wrong = []
    try:
        value = values[name]
        if case["key"] is True:
            if keys.get((name, value)) != name:
                wrong.append("as a key it finds nothing")
            keys.run(described, name, value)
        found = eval(case["probe"], {"v": value})
        assert_same(found, probes[name])
        if not eval(case["holds"], {"v": value}):
            wrong.append(f"{case['holds']} does not hold for {value!r:.500}")
    except Exception as error:
        wrong.append(f"not read: {error!r}"[:1500])
    return wrong


def foreign(folder, sheet):
    before = set(sys.modules)
    errors = {}
    for name in sheet["cases"]:
        try:
            opened(folder, "values", read_only=True)[name]
        except UntrustedEntry as error:
            errors[name] = str(error)
    return {"errors": errors, "imported": sorted(set(sys.modules) - before)}


if __name__ == "__main__":
    action, folder = sys.argv[1], Path(sys.argv[2])
    warnings.simplefilter("ignore")
    sheet = json.loads((folder / "cases.json").read_text())
    print(json.dumps({"write": write, "read": read, "foreign": foreign}[action](folder, sheet)))
