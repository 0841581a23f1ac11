"""HashStash on a bare Python: what is chosen, and that it works, in processes that see no installed package at all."""

import subprocess
import sys
from pathlib import Path

import pytest

import hashstash

ROOT = Path(hashstash.__file__).parent.parent

BARE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import datetime, fractions
import hashstash
from hashstash import HashStash, stashed_result
VALUE = {{"a": [1, 2.5, None, "x" * 3000, {{3, (4,)}}], 1: datetime.datetime(2024, 2, 29), (2,): fractions.Fraction(1, 3)}}
"""


def bare(code, *arguments):
    """What *code* prints in a Python without site-packages."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", BARE + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_defaults_need_no_package(tmp_path):
    code = "stash = HashStash(sys.argv[1]); print(stash.engine, stash.serializer, stash.compress)"
    assert bare(code, tmp_path) == ["pairtree", "hashstash", "zlib"]


def test_values_are_read_by_another_process(tmp_path):
    bare("HashStash(sys.argv[1])['key'] = VALUE", tmp_path)
    code = "(info,) = HashStash(sys.argv[1]).entries(); print(HashStash(sys.argv[1])['key'] == VALUE, info.codec)"
    assert bare(code, tmp_path) == ["True", "hashstash+zlib"]


def test_with_packages_the_same_bytes_are_written_and_read(tmp_path):
    import datetime
    import fractions

    value = {
        "a": [1, 2.5, None, "x" * 3000, {3, (4,)}],
        1: datetime.datetime(2024, 2, 29),
        (2,): fractions.Fraction(1, 3),
    }
    stash = hashstash.HashStash(tmp_path, engine="pairtree", compress="zlib")
    stash["ours"] = value
    bare("HashStash(sys.argv[1])['theirs'] = VALUE", tmp_path)
    assert stash["theirs"] == value
    assert stash.store.find("ours").payload == stash.store.find("theirs").payload
    assert bare("print(HashStash(sys.argv[1])['ours'] == VALUE)", tmp_path) == ["True"]


def test_functions_are_remembered(tmp_path):
    code = (
        "stash = HashStash(sys.argv[1])\ndef double(number):\n    print('ran')\n    return 2 * number\n"
        "print(stash.run(double, 4), stash.run(double, 4))"
    )
    assert bare(code, tmp_path) == ["ran", "8", "8"]


@pytest.mark.parametrize(
    "arguments, extra",
    [
        ("engine='lmdb'", "hashstash[lmdb]"),
        ("compress='lz4'", "hashstash[lz4]"),
        ("compress='blosc'", "hashstash[blosc]"),
        ("compress='zstd'", "hashstash[zstd]"),
        ("serializer='jsonpickle'", "hashstash[jsonpickle]"),
    ],
)
def test_what_needs_a_package_gives_the_pip_line(tmp_path, arguments, extra):
    if "zstd" in extra and sys.version_info >= (3, 14):
        pytest.skip("Python has Zstandard in its library")
    code = (
        f"try:\n    HashStash(sys.argv[1], {arguments})['k'] = 1\n"
        "except hashstash.errors.MissingDependency as error:\n    print(error)"
    )
    assert f"'{extra}'" in bare(code, tmp_path)


def test_the_command_line_opens_a_stash_whose_compressor_is_not_installed(tmp_path):
    """A folder is named after the codec of whoever made it; its entries say themselves how they were written."""
    stash = hashstash.HashStash(tmp_path, engine="pairtree", compress="gzip")
    stash["key"] = 1
    folder = Path(stash.store.engine.location()).parent
    folder.rename(folder.with_name("pairtree.hashstash.lz4"))
    code = "from hashstash.command_line import main; sys.exit(main(sys.argv[1:]))"
    assert bare(code, "get", tmp_path, "key") == ["1"]
    assert "'key'" in bare(code, "ls", "--entries", tmp_path)
    assert "zlib" in bare(code, "info", tmp_path)
    assert bare(code, "check", tmp_path)[-2:] == ["nothing", "wrong"]
    assert bare(code, "repair", tmp_path) == ["nothing", "to", "repair"]
