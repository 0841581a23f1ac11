"""Archives that somebody has made to do harm, or that were damaged: one kind of error, and nothing is stored or lost."""

import io
import json
import math
import pathlib
import re
import struct
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashstash import HashStash, archive
from hashstash.entry import Flag, unpack
from hashstash.errors import BadArchive, NewerFormat, StashError, UntrustedEntry

LARGE = b"large " * 20_000


def double(x):
    return x * 2


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """An archive of entries of all kinds, as bytes."""
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("CACHE", "STATE", "CONFIG"):
            patch.setenv(f"XDG_{kind}_HOME", str(folder / kind))
        stash = HashStash(folder / "source", dbname="data", engine="pairtree", compress=False, append_mode=True)
        stash["key"] = "old"
        stash["key"] = "new"
        stash.update({"large": LARGE, "code": math.sqrt, "numbers": list(range(100))})
        stash.run(double, 2)
        stash.export_to(folder / "x.stash")
    return (folder / "x.stash").read_bytes()


@pytest.fixture
def target(tmp_path):
    stash = HashStash(tmp_path / "target", dbname="data", engine="pairtree", append_mode=True)
    stash["mine"] = "here"
    stash["key"] = "mine, too"
    return stash


def everything(stash):
    """All rows and all files of a stash."""
    return {path: path.read_bytes() for path in pathlib.Path(stash.root_dir).rglob("*") if path.is_file()}


def refused(target, data, tmp_path):
    """The error that importing *data* raises, which must change nothing."""
    file = tmp_path / "hostile.stash"
    file.write_bytes(data)
    before = everything(target)
    with pytest.raises((BadArchive, NewerFormat)) as raised:
        target.import_from(file, overwrite="always")
    assert everything(target) == before
    assert str(file) in str(raised.value) or "hostile.stash" in str(raised.value)
    assert len(str(raised.value)) < 1000
    return raised.value


def rebuilt(data, change=None, manifest=None, *, packed=False):
    """The archive with its members changed by *change* (name, content -> content or None), and its manifest by *manifest*."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(written, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == "manifest.json" and manifest is not None:
                described = json.loads(content)
                described = manifest(described) or described
                content = described if isinstance(described, bytes) else json.dumps(described).encode()
            elif change is not None:
                content = change(info.filename, content)
            if content is not None:
                new.writestr(info.filename, content, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    return written.getvalue()


def first_rows(name):
    return name == "0/0/rows.0"


def records(content):
    """``(row, content)`` of each record."""
    found = []
    while content:
        row, blob = struct.unpack_from("<QQ", content)
        found.append((content[16 : 16 + row], content[16 + row : 16 + row + blob]))
        content = content[16 + row + blob :]
    return found


def packed_records(pairs):
    return b"".join(struct.pack("<QQ", len(row), len(blob)) + row + blob for row, blob in pairs)


def with_records(data, change, **options):
    """The archive with the records of its first stash changed."""
    return rebuilt(
        data,
        lambda name, content: packed_records(change(records(content))) if first_rows(name) else content,
        **options,
    )


# ---- what is no archive --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"P", b"text, and no archive" * 10, bytes(1000), b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_refused(target, tmp_path, data):
    assert re.search("not an archive|cut off", str(refused(target, data, tmp_path)))


def test_another_zip_file_is_refused(target, tmp_path):
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as opened:
        opened.writestr("readme.txt", "hello")
    assert "it is a zip file, but not an archive of hashstash" in str(refused(target, other.getvalue(), tmp_path))


def test_a_folder_or_no_file_is_an_ordinary_error(target, tmp_path):
    with pytest.raises(FileNotFoundError):
        target.import_from(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        target.import_from(tmp_path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_an_archive_that_was_cut_off_is_refused(sound, target, tmp_path, share):
    assert "cut off" in str(refused(target, sound[: int(len(sound) * share)], tmp_path))


def test_a_newer_format_says_what_to_do(sound, target, tmp_path):
    data = rebuilt(sound, manifest=lambda described: described.update(version=2))
    error = refused(target, data, tmp_path)
    assert isinstance(error, NewerFormat)
    assert "has format 2, this hashstash reads up to 1; upgrade hashstash" in str(error)


def test_an_entry_of_a_newer_format_says_what_to_do(sound, target, tmp_path):
    from hashstash.checksum import crc32

    def newer(row):
        body = row[:3] + b"\x02" + row[4:-4]
        return body + struct.pack("<I", crc32(body))

    data = with_records(sound, lambda pairs: [(newer(row), blob) for row, blob in pairs])
    assert isinstance(refused(target, data, tmp_path), NewerFormat)


# ---- manifests that lie --------------------------------------------------------------------------------------------------

MANIFESTS = {
    "no json": lambda m: b"{",
    "not a dict": lambda m: [1],
    "another format": lambda m: m.update(format="tar"),
    "a version that is no number": lambda m: m.update(version="1"),
    "a version that is true": lambda m: m.update(version=True),
    "no stashes": lambda m: m.pop("stashes") and None,
    "stashes of another kind": lambda m: m.update(stashes=5),
    "a stash of another kind": lambda m: m.update(stashes=["x"]),
    "a name above": lambda m: m["stashes"][0].update(name="../x"),
    "an absolute name": lambda m: m["stashes"][0].update(name="/etc/passwd"),
    "a home": lambda m: m["stashes"][0].update(name="~/x"),
    "a URL": lambda m: m["stashes"][0].update(name="redis://host/x"),
    "no name": lambda m: m["stashes"][0].update(name=""),
    "a name of another kind": lambda m: m["stashes"][0].update(name=7),
    "a namespace above": lambda m: m["stashes"][0].update(namespace="../x"),
    "no parts": lambda m: m["stashes"][0].update(parts=[]),
    "a part above": lambda m: m["stashes"][0]["parts"][1].update(below="stashed_result/.."),
    "a part elsewhere": lambda m: m["stashes"][0]["parts"][1].update(below="elsewhere/x"),
    "a part far below": lambda m: m["stashes"][0]["parts"][1].update(below="stashed_result/a/b"),
    "a part that is the whole": lambda m: m["stashes"][0]["parts"][1].update(below=""),
    "a part of another kind": lambda m: m["stashes"][0]["parts"][1].update(below=None),
    "fewer entries": lambda m: m["stashes"][0]["parts"][0].update(entries=1),
    "negative entries": lambda m: m["stashes"][0]["parts"][0].update(entries=-1),
    "too many entries": lambda m: m["stashes"][0]["parts"][0].update(entries=10**30),
    "fractions of entries": lambda m: m["stashes"][0]["parts"][0].update(entries=1.5),
    "an endless number of members": lambda m: m["stashes"][0]["parts"][0]["members"].update(rows=10**15),
    "fewer members": lambda m: m["stashes"][0]["parts"][0]["members"].update(rows=0),
    "an unknown hash": lambda m: m["stashes"][0]["parts"][0].update(buffer_hash="md5"),
    "the same stash twice": lambda m: m["stashes"].append(m["stashes"][0]),
    "deep lists": lambda m: b"[" * 100_000,
    "large numbers": lambda m: b'{"format": "hashstash archive", "version": ' + b"9" * 10_000 + b"}",
    "no text": lambda m: b"\xff\xfe\x00",
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_lies_is_refused(sound, target, tmp_path, change):
    refused(target, rebuilt(sound, manifest=change), tmp_path)


# ---- members that lie ----------------------------------------------------------------------------------------------------


def test_a_member_that_is_missing_is_noticed(sound, target, tmp_path):
    data = rebuilt(sound, lambda name, content: None if first_rows(name) else content)
    refused(target, data, tmp_path)


def test_a_member_that_nobody_speaks_of_is_noticed(sound, target, tmp_path):
    data = io.BytesIO(sound)
    with zipfile.ZipFile(data, "a") as opened:
        opened.writestr("../../evil", "x")
    refused(target, data.getvalue(), tmp_path)


def test_two_members_of_one_name_are_noticed(sound, target, tmp_path):
    data = io.BytesIO(sound)
    with zipfile.ZipFile(data, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr("0/0/rows.0", "x")
    assert "two of its members have one name" in str(refused(target, data.getvalue(), tmp_path))


RECORDS = {
    "a changed row": lambda pairs: [(row[:50] + b"?" + row[51:], blob) for row, blob in pairs],
    "a row cut off": lambda pairs: [(row[:-1], blob) for row, blob in pairs],
    "no row": lambda pairs: [(b"", blob) for _, blob in pairs],
    "changed content": lambda pairs: [(row, blob[:-1] + b"?" if blob else b"") for row, blob in pairs],
    "less content": lambda pairs: [(row, blob[:-1]) for row, blob in pairs],
    "no content": lambda pairs: [(row, b"") for row, _ in pairs],
    "content that nobody speaks of": lambda pairs: [(row, blob or b"x") for row, blob in pairs],
    "fewer rows": lambda pairs: pairs[1:],
    "more rows": lambda pairs: pairs + pairs[:1],
}


@pytest.mark.parametrize("change", RECORDS.values(), ids=RECORDS)
def test_records_that_are_not_what_was_written_are_refused(sound, target, tmp_path, change):
    refused(target, with_records(sound, change), tmp_path)


@pytest.mark.parametrize("sizes", [(1 << 62, 0), (0, 1 << 62), (2**64 - 1, 2**64 - 1), (100, 0), (0, 0)])
def test_sizes_that_lie_are_refused_before_anything_is_read_for_them(sound, target, tmp_path, sizes):
    data = rebuilt(
        sound, lambda name, content: struct.pack("<QQ", *sizes) + content[16:] if first_rows(name) else content
    )
    refused(target, data, tmp_path)


def test_a_value_on_its_own_is_no_entry(sound, target, tmp_path):
    """A frame of ``serialize`` has a signature that fits everywhere."""
    from hashstash import serialize

    data = with_records(sound, lambda pairs: [(serialize(math.sqrt), b""), *pairs[1:]])
    assert "a value on its own" in str(refused(target, data, tmp_path))


def test_a_bomb_is_refused_before_it_is_unpacked(sound, target, tmp_path):
    bomb = rebuilt(sound, lambda name, content: bytes(70 << 20) if first_rows(name) else content, packed=True)
    assert len(bomb) < 1 << 20
    assert "claims" in str(refused(target, bomb, tmp_path))


def test_many_small_bombs_are_refused_as_well(target, tmp_path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as opened:
        for number in range(20):
            opened.writestr(f"0/0/rows.{number}", bytes(4 << 20))
        opened.writestr("manifest.json", "{}")
    assert "which no archive does" in str(refused(target, data.getvalue(), tmp_path))


def test_a_directory_that_claims_too_much_is_refused(sound, target, tmp_path):
    end = bytearray(sound)
    struct.pack_into("<L", end, len(end) - 10, 0xFFFFFFF0)
    refused(target, bytes(end), tmp_path)


def test_encrypted_and_unknown_members_are_refused(sound, target, tmp_path):
    with zipfile.ZipFile(io.BytesIO(sound)) as opened:
        begin = opened.start_dir
    for offset, value in ((8, 1), (10, 12)):  # the flag of encryption; the number of bzip2
        data = bytearray(sound)
        struct.pack_into("<H", data, begin + offset, value)
        assert "encrypted, or packed" in str(refused(target, bytes(data), tmp_path))


# ---- signatures ------------------------------------------------------------------------------------------------------------


def own_archive(tmp_path, stash):
    stash.export_to(tmp_path / "own.stash")
    return (tmp_path / "own.stash").read_bytes()


@pytest.fixture
def mine(tmp_path):
    stash = HashStash(tmp_path / "mine", dbname="one", engine="pairtree", compress=False)
    stash["code"] = math.sqrt
    stash.run(_gives_code, 1)
    return stash


def _gives_code(x):
    return math.sqrt


def test_what_i_have_signed_elsewhere_is_not_mine_because_a_manifest_says_so(mine, tmp_path):
    """The archive claims that my entry was signed for a namespace for which it was not."""
    data = rebuilt(
        own_archive(tmp_path, mine), manifest=lambda described: described["stashes"][0].update(namespace="other")
    )
    (tmp_path / "x.stash").write_bytes(data)
    target = HashStash(tmp_path / "target", dbname="two", engine="pairtree")
    assert target.import_from(tmp_path / "x.stash") == 2
    with pytest.raises(UntrustedEntry):
        target["code"]
    assert not target.check()


def test_a_result_of_one_function_does_not_become_one_of_another(mine, tmp_path):
    def moved(described):
        part = described["stashes"][0]["parts"][1]
        part["below"] = part["below"] + "_of_another"

    (tmp_path / "x.stash").write_bytes(rebuilt(own_archive(tmp_path, mine), manifest=moved))
    target = HashStash(tmp_path / "target", dbname="two", engine="pairtree")
    assert target.import_from(tmp_path / "x.stash") == 2
    assert target["code"] is math.sqrt
    (results,) = archive.writer.function_stashes(target.config)
    entry = next(HashStash.from_config(results).store.entries())
    assert entry.is_code
    assert not entry.is_trusted


def test_an_entry_that_was_changed_is_not_signed_anew(mine, tmp_path):
    from hashstash.checksum import crc32

    def altered(pairs):
        row = bytearray(pairs[0][0])
        row[56:64] = struct.pack("<q", 1 << 62)  # it expires at another time
        return [(bytes(row[:-4]) + struct.pack("<I", crc32(bytes(row[:-4]))), pairs[0][1]), *pairs[1:]]

    (tmp_path / "x.stash").write_bytes(with_records(own_archive(tmp_path, mine), altered))
    target = HashStash(tmp_path / "target", dbname="two", engine="pairtree")
    target.import_from(tmp_path / "x.stash")
    with pytest.raises(UntrustedEntry):
        target["code"]


def test_two_rows_never_share_a_blob_file(sound, target, tmp_path):
    """Removing the one would take away the content of the other."""
    mine = HashStash(tmp_path / "mine", engine="pairtree", compress=False)
    mine["large"] = LARGE
    data = own_archive(tmp_path, mine)
    ((row, blob),) = records(zipfile.ZipFile(io.BytesIO(data)).read("0/0/rows.0"))
    entry = unpack(row)
    entry.digest = bytes(16)
    twice = with_records(
        data,
        lambda pairs: [*pairs, (entry.pack(), blob)],
        manifest=lambda described: described["stashes"][0]["parts"][0].update(entries=2),
    )
    (tmp_path / "x.stash").write_bytes(twice)
    assert mine.import_from(tmp_path / "x.stash") == 1
    assert len(list(mine.store.blobs.names())) == 2
    mine.store.remove(bytes(16))
    assert mine["large"] == LARGE
    assert entry.flags & Flag.BLOB


# ---- at random -------------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_of_any_kind_is_refused_or_does_not_matter(sound, tmp_path_factory, data):
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "remove"]))
        if kind == "flip":
            damaged[position] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del damaged[position + 1 :]
        elif kind == "insert":
            damaged[position:position] = data.draw(st.binary(min_size=1, max_size=8))
        else:
            del damaged[position : position + data.draw(st.integers(1, 8))]
        if not damaged:
            break
    file = tmp_path_factory.mktemp("damaged") / "x.stash"
    file.write_bytes(bytes(damaged))
    target = HashStash("of damage", engine="memory", append_mode=True).clear()
    try:
        target.import_from(file)
    except (BadArchive, NewerFormat):
        assert len(target) == 0
        return
    assert target["key"] == "new"
    assert target["large"] == LARGE
    assert target["numbers"] == list(range(100))
    assert issubclass(BadArchive, StashError)


# ---- too much, and in too many words -------------------------------------------------------------------------------------


def test_a_manifest_that_is_larger_than_the_archive_is_refused(sound, target, tmp_path):
    """A few kilobytes of it would be parsed into hundreds of megabytes."""
    bomb = rebuilt(sound, manifest=lambda _: b'{"a": [' + b"[]," * (4 << 20) + b"[]]}", packed=True)
    assert len(bomb) < 1 << 20
    assert "not an archive" in str(refused(target, bomb, tmp_path))


def test_a_packed_member_larger_than_any_that_is_written_is_refused(sound, target, tmp_path):
    bomb = rebuilt(sound, lambda name, content: bytes(20 << 20) if first_rows(name) else content, packed=True)
    assert "claims" in str(refused(target, bomb, tmp_path))


def test_a_name_of_64_kilobytes_is_not_told_in_full(sound, target, tmp_path):
    data = bytearray(sound)
    struct.pack_into("<H", data, sound.index(b"PK\1\2") + 28, 0xFFFF)
    refused(target, bytes(data), tmp_path)


def test_the_name_of_the_file_steers_no_terminal(target, tmp_path):
    file = tmp_path / "\x1b]0;title\x07.stash"
    file.write_bytes(b"x" * 100)
    with pytest.raises(BadArchive) as raised:
        target.import_from(file)
    assert str(raised.value).isprintable()


def test_what_cannot_be_the_name_of_a_file_is_no_archive(target):
    with pytest.raises(BadArchive):
        target.import_from("a\0b")


def test_functions_that_hold_nothing_are_not_in_an_archive(target, tmp_path):
    """However many there are, the manifest is no longer than the rows."""
    target.stashed_result(double)(2)
    target.stashed_result(math.sqrt)(4)
    target.stashed_result(math.sqrt).stash.clear()
    target.export_to(tmp_path / "x.stash")
    with archive.reader.Archive(tmp_path / "x.stash") as opened:
        assert [part.below.rpartition(".")[2] for part in opened.stashes[0].parts] == ["", "double"]
        opened.verify()


def test_a_context_that_no_archive_holds_does_not_spoil_one(target, tmp_path):
    target.store.engine.section("meta").put(b"context " + bytes(100), bytes(50))
    target.store.engine.section("meta").put(b"context " + bytes(16), bytes(5 << 20))
    target.export_to(tmp_path / "x.stash")
    assert HashStash("other", engine="memory").clear().import_from(tmp_path / "x.stash") == 2
