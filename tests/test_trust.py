import contextlib
import os
import pathlib
import stat
import struct
import subprocess
import sys
import warnings
import zlib

import pytest

from hashstash import HashStash, deserialize, serialize, trust
from hashstash.codec import KEY_IS_CODE, pack_key
from hashstash.entry import Entry, Flag, unpack
from hashstash.errors import BadEntry, CorruptEntry, StashError, TamperedEntry, UntrustedEntry
from hashstash.serializers.pickle import PLUGIN as PICKLE
from hashstash.trust import Keyring, Trust, check, keyring, own_key, signer_of

ENGINES = ["pairtree", "lmdb", "memory"]
KEY = bytes(range(32))


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


@pytest.fixture
def trap(tmp_path):
    return Trap(tmp_path / "somebody's code has run")


@pytest.fixture(params=ENGINES)
def opened(request, tmp_path):
    """Open the one stash of this test, with whatever settings."""
    return lambda **options: HashStash(tmp_path / "stash", engine=request.param, **options)


@pytest.fixture
def foreign(opened, somebody_else, trap):
    """A stash in which somebody else has stored data and code."""
    with somebody_else:
        opened()["data"] = {"a": [1, 2.5, "x"]}
        opened(serializer="pickle")["code"] = trap
    return opened()


# ---- the key ---------------------------------------------------------------------------------------------------------


def test_the_key_is_made_at_first_use_and_stays(private_home):
    folder = trust.state_root()
    assert not os.path.exists(folder)
    key = own_key(folder)
    assert len(key) == 32
    assert own_key(folder) == key
    assert os.listdir(folder) == ["key"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_key_and_folder_are_private_under_any_umask(umask):
    before = os.umask(umask)
    try:
        own_key(trust.state_root())
    finally:
        os.umask(before)
    folder = pathlib.Path(trust.state_root())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600


def test_processes_that_race_for_the_key_get_the_same_one(tmp_path):
    code = "import sys; from hashstash.trust import own_key; sys.stdin.read(); print(own_key(sys.argv[1]).hex())"
    command = [sys.executable, "-c", code, str(tmp_path / "state")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(8)]
    for process in processes:
        process.stdin.close()
    answers = {process.stdout.read() for process in processes}
    for process in processes:
        process.wait(60)
        process.stdout.close()
    assert answers == {own_key(str(tmp_path / "state")).hex() + "\n"}
    assert os.listdir(tmp_path / "state") == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_can_read_is_refused_with_the_remedy(mode):
    own_key(trust.state_root())
    path = os.path.join(trust.state_root(), "key")
    os.chmod(path, mode)
    with pytest.raises(StashError, match=f"chmod 600 {path}"):
        own_key(trust.state_root())


def test_a_folder_that_others_can_write_gets_no_key():
    os.makedirs(trust.state_root(), mode=0o700)
    os.chmod(trust.state_root(), 0o777)
    with pytest.raises(StashError, match=f"chmod 700 {trust.state_root()}"):
        own_key(trust.state_root())


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_key_in_a_folder_that_others_can_write_is_refused(mode):
    own_key(trust.state_root())
    os.chmod(trust.state_root(), mode)
    with pytest.raises(StashError, match=f"chmod 700 {trust.state_root()}"):
        own_key(trust.state_root())
    os.chmod(trust.state_root(), 0o755)
    assert len(own_key(trust.state_root())) == 32


def test_a_list_of_trusted_keys_in_a_folder_that_others_can_write_is_refused(monkeypatch):
    monkeypatch.setenv("HASHSTASH_KEY", KEY.hex())
    os.makedirs(trust.state_root())
    path = pathlib.Path(trust.state_root(), "trusted")
    path.write_text(KEY.hex())
    path.chmod(0o600)
    os.chmod(trust.state_root(), 0o777)
    with pytest.raises(StashError, match="chmod 700"):
        keyring()


def test_where_no_key_can_be_kept_the_error_of_a_write_of_code_says_what_to_set(monkeypatch, tmp_path):
    (tmp_path / "home").write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    stash = HashStash(tmp_path / "stash", engine="pairtree")
    stash["data"] = 1
    with pytest.raises(OSError, match=r"signs what needs code.*home/hashstash.*XDG_STATE_HOME.*HASHSTASH_KEY"):
        stash["code"] = Trap("x")
    assert dict(stash) == {"data": 1}


def test_a_link_in_the_place_of_the_key_is_not_followed(tmp_path):
    os.makedirs(trust.state_root(), mode=0o700)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(KEY)
    elsewhere.chmod(0o600)
    os.symlink(elsewhere, os.path.join(trust.state_root(), "key"))
    with pytest.raises(StashError, match="symbolic link"):
        own_key(trust.state_root())


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_file_that_is_no_key_is_named(monkeypatch, content):
    monkeypatch.setattr(trust.time, "sleep", lambda _: None)
    own_key(trust.state_root())
    path = os.path.join(trust.state_root(), "key")
    pathlib.Path(path).write_bytes(content)
    with pytest.raises(StashError, match=f"{path} does not hold 32 bytes"):
        own_key(trust.state_root())


def test_the_key_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("HASHSTASH_KEY", KEY.hex())
    assert keyring().keys == (KEY,)
    assert not os.path.exists(trust.state_root())


@pytest.mark.parametrize("variable", ["HASHSTASH_KEY", "HASHSTASH_TRUSTED_KEYS"])
@pytest.mark.parametrize("text", ["zz", "ab" * 31, "ab" * 33, "not a key"])
def test_a_key_in_the_environment_that_is_none_is_named(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(StashError, match=f"{variable} must hold 64 hexadecimal digits"):
        keyring()


def test_keys_are_listed_in_the_environment_and_in_a_file(monkeypatch):
    one, other, third = bytes([1] * 32), bytes([2] * 32), bytes([3] * 32)
    own = own_key(trust.state_root())
    path = pathlib.Path(trust.state_root(), "trusted")
    path.write_text(f"# colleagues\n{third.hex()}\n\n")
    path.chmod(0o600)
    monkeypatch.setenv("HASHSTASH_TRUSTED_KEYS", f"{one.hex()}, {other.hex()},")
    assert keyring().keys == (own, one, other, third)


def test_a_list_of_trusted_keys_that_others_can_write_is_refused():
    own_key(trust.state_root())
    path = pathlib.Path(trust.state_root(), "trusted")
    path.write_text(KEY.hex())
    path.chmod(0o666)
    with pytest.raises(StashError, match=f"chmod 600 {path}"):
        keyring()


def test_no_key_is_taken_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "trusted").write_text(KEY.hex())
    assert KEY not in keyring().keys


# ---- signatures ------------------------------------------------------------------------------------------------------


def signed(namespace="", **changes):
    entry = Entry(bytes(16), b"pickle", b"\x00key", b"payload", 7, Flag.CODE, b"writeid8", metadata=b"meta")
    for name, value in changes.items():
        setattr(entry, name, value)
    Keyring((KEY,)).sign(entry, namespace)
    return entry


def test_what_a_ring_signed_it_verifies():
    assert Keyring((bytes(32), KEY)).verifies(signed("a/b"), "a/b")


def test_the_signer_is_no_part_of_the_key():
    assert signer_of(KEY) not in KEY
    assert len(signer_of(KEY)) == 8


def test_an_unknown_signer_is_foreign_and_no_forger():
    assert not Keyring((bytes(32),)).verifies(signed(), "")


@pytest.mark.parametrize("namespace", ["", "a", "a/c"])
def test_a_row_from_another_namespace_is_tampered_with(namespace):
    with pytest.raises(TamperedEntry, match="moved here from another stash"):
        Keyring((KEY,)).verifies(signed("a/b"), namespace)


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": bytes(15) + b"\1"},
        {"label": b"pickl2"},
        {"key": b"\x00kez"},
        {"payload": b"payloae"},
        {"raw_size": 8},
        {"flags": Flag.SIGNED},
        {"flags": Flag.CODE | Flag.SIGNED | Flag.B64},
        {"version": 2},
        {"created_at": 1},
        {"expires_at": 1},
        {"seconds": 0.5},
        {"metadata": b"mete"},
        {"write_id": b"writeid9"},
        {"tag": bytes(16)},
        {"label": b"pickl", "key": b"e\x00key"},
        {"key": b"\x00ke", "metadata": b"ymeta"},
    ],
)
def test_a_signature_covers_everything(changes):
    entry = signed()
    for name, value in changes.items():
        setattr(entry, name, value)
    with pytest.raises(TamperedEntry):
        Keyring((KEY,)).verifies(entry, "")


@pytest.mark.parametrize("namespace, other", [("a", ""), ("", "a"), ("ab", "a")])
def test_the_namespace_cannot_run_over_into_the_entry(namespace, other):
    with pytest.raises(TamperedEntry):
        Keyring((KEY,)).verifies(signed(namespace), other)


def test_every_changed_byte_of_a_signed_row_is_noticed_behind_a_good_checksum():
    row = signed().pack()
    for position in range(len(row) - 4):
        body = row[:position] + bytes([row[position] ^ 1]) + row[position + 1 : -4]
        bad = body + struct.pack("<I", zlib.crc32(body))
        try:
            entry = unpack(bad)
        except BadEntry:
            continue
        is_verified = False
        with contextlib.suppress(TamperedEntry):
            is_verified = Keyring((KEY,)).verifies(entry, "")
        assert not is_verified, position


@pytest.mark.parametrize(
    "level, is_signed, is_code, is_accepted",
    [
        *(
            (Trust.MINE, *row)
            for row in [(True, True, True), (True, False, True), (False, True, False), (False, False, True)]
        ),
        *(
            (Trust.STRICT, *row)
            for row in [(True, True, True), (True, False, True), (False, True, False), (False, False, False)]
        ),
        *(
            (Trust.ALL, *row)
            for row in [(True, True, True), (True, False, True), (False, True, True), (False, False, True)]
        ),
    ],
)
def test_trust_levels(monkeypatch, level, is_signed, is_code, is_accepted):
    monkeypatch.setenv("HASHSTASH_KEY", KEY.hex())
    flags = Flag.CODE if is_code else Flag(0)
    entry = signed(flags=flags) if is_signed else Entry(bytes(16), b"", b"", b"", 0, flags)
    found = True
    try:
        check(entry, "", level)
    except UntrustedEntry:
        found = False
    assert found is is_accepted
    assert entry.is_trusted is (is_signed or level is Trust.ALL)


# ---- a stash that others write to ------------------------------------------------------------------------------------


def test_ones_own_code_is_decoded(opened):
    opened(serializer="pickle")["k"] = Trust.MINE
    assert opened()["k"] is Trust.MINE


def test_foreign_data_is_decoded(foreign):
    assert foreign["data"] == {"a": [1, 2.5, "x"]}


def test_foreign_data_is_decoded_without_a_key_of_ones_own(foreign, monkeypatch, tmp_path):
    np = pytest.importorskip("numpy")
    (tmp_path / "file").write_text("no folder can be made in it")
    foreign["array"] = np.arange(10.0)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert foreign["data"] == {"a": [1, 2.5, "x"]}
    assert foreign["array"].tolist() == list(range(10))


def test_signed_data_is_decoded_where_no_key_can_be_made(opened, somebody_else, monkeypatch, tmp_path):
    with somebody_else:
        stash = opened()
        stash.put_encoded("k", stash.store.codec.serializer.dumps([1, 2]), sign=True)
    (tmp_path / "file").write_text("no folder can be made in it")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert opened()["k"] == [1, 2]


READS = {
    "[]": lambda stash: stash["code"],
    "get": lambda stash: stash.get("code", "default"),
    "pop": lambda stash: stash.pop("code"),
    "pop with a default": lambda stash: stash.pop("code", None),
    "in": lambda stash: "code" in stash,
    "setdefault": lambda stash: stash.setdefault("code", 1),
    "get_set": lambda stash: stash.get_set("code", 1),
    "get_many": lambda stash: stash.get_many(["code"]),
    "get_all": lambda stash: stash.get_all("code"),
    "get_encoded": lambda stash: stash.get_encoded("code"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_foreign_code_is_refused_and_nothing_runs(foreign, trap, read):
    with pytest.raises(UntrustedEntry, match=r"(?s)code.*signed by [0-9a-f]{16}.*stash\.trust\(\)"):
        read(foreign)
    assert not trap.path.exists()
    assert len(foreign) == 2


LISTINGS = {
    "keys": lambda stash: list(stash.keys()),
    "values": lambda stash: list(stash.values()),
    "items": lambda stash: list(stash.items()),
    "iter": list,
    "entries": lambda stash: stash.entries(),
    "_items": lambda stash: list(stash._items()),
    "repr": lambda stash: repr((stash, stash.keys(), stash.values(), stash.items())),
    "len": len,
    "bool": bool,
    "==": lambda stash: stash == {"data": 1, "other": 2},
    "in values": lambda stash: 5 in stash.values(),
}


@pytest.mark.parametrize("look", LISTINGS.values(), ids=LISTINGS)
def test_listings_run_nothing(foreign, trap, look):
    look(foreign)
    assert not trap.path.exists()


def test_listings_show_a_placeholder(foreign):
    (placeholder,) = [value for value in foreign.values() if value != {"a": [1, 2.5, "x"]}]
    assert "foreign entry" in repr(placeholder)
    assert "stash.trust()" in repr(placeholder)


def test_a_dict_can_hold_the_placeholder_of_a_key(foreign):
    held = dict(foreign.items())
    assert held["data"] == {"a": [1, 2.5, "x"]}
    assert sorted(type(key).__name__ for key in held) == ["Foreign", "str"]


def test_popitem_leaves_foreign_code_alone(foreign, trap):
    assert foreign.popitem() == ("data", {"a": [1, 2.5, "x"]})
    with pytest.raises(KeyError):
        foreign.popitem()
    assert len(foreign) == 1
    assert not trap.path.exists()


def test_copying_runs_nothing_and_says_what_is_left_out(foreign, trap, tmp_path):
    other = HashStash(tmp_path / "other", engine="memory")
    with pytest.warns(RuntimeWarning, match="1 entry"):
        foreign.copy_to(other)
    assert dict(other.items()) == {"data": {"a": [1, 2.5, "x"]}}
    assert not trap.path.exists()


def test_foreign_code_may_be_overwritten_and_deleted(foreign):
    foreign["code"] = "mine"
    assert foreign["code"] == "mine"
    del foreign["code"]
    assert "code" not in foreign


def test_trusting_the_stash_decodes_it_from_then_on(foreign, opened, trap):
    assert foreign.trust() == 1
    foreign["code"]
    assert trap.path.exists()
    opened()["code"]
    assert foreign.trust() == 0


def test_what_one_user_trusts_is_not_trusted_by_the_next(foreign, opened, monkeypatch, tmp_path):
    foreign.trust()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a third user"))
    with pytest.raises(UntrustedEntry):
        opened()["code"]


def test_trusting_leaves_corrupt_entries_as_they_are(foreign):
    foreign["bad"] = "will be corrupt"
    address = foreign.store.keys.address("bad")
    foreign.store.engine.put(address, foreign.store.engine.get(address)[:-1])
    assert foreign.trust() == 1
    with pytest.raises(CorruptEntry):
        foreign["bad"]


def test_a_listed_key_is_trusted(foreign, somebody_else, monkeypatch, trap):
    with somebody_else:
        theirs = keyring().keys[0]
    monkeypatch.setenv("HASHSTASH_TRUSTED_KEYS", theirs.hex())
    foreign["code"]
    assert trap.path.exists()


def test_a_team_shares_a_key(opened, somebody_else, monkeypatch):
    monkeypatch.setenv("HASHSTASH_KEY", KEY.hex())
    with somebody_else:
        opened(serializer="pickle")["k"] = {1, 2}
    assert opened()["k"] == {1, 2}


def test_all_trusts_everybody(foreign, opened, trap):
    opened(trust="all")["code"]
    assert trap.path.exists()


def test_strict_refuses_foreign_data_too(foreign, opened):
    with pytest.raises(UntrustedEntry):
        opened(trust="strict")["data"]


def test_strict_reads_what_strict_wrote(opened):
    opened(trust="strict")["k"] = [1]
    assert opened(trust="strict")["k"] == [1]
    assert opened()["k"] == [1]


def test_strict_can_be_told_to_trust(foreign, opened):
    strict = opened(trust="strict")
    assert strict.trust() == 2
    assert strict["data"] == {"a": [1, 2.5, "x"]}


def test_strict_listings_show_placeholders_for_foreign_data(foreign, opened):
    assert all("foreign entry" in repr(value) for value in opened(trust="strict").values())


@pytest.mark.parametrize("level", ["mine ", "MINE", "", "none", None, True])
def test_an_unknown_trust_level_is_refused(opened, level):
    with pytest.raises(ValueError, match="'mine', 'strict', 'all'"):
        opened(trust=level)


def test_all_cannot_come_from_the_environment(opened, monkeypatch):
    monkeypatch.setenv("HASHSTASH_TRUST", "all")
    assert opened().config.trust == "mine"


# ---- rows that an attacker makes -------------------------------------------------------------------------------------


def pickled(value):
    document = bytes(PICKLE.dumps(value).document)
    return document, len(document)


def plant(stash, key, label, payload, raw_size, flags, stored_key=None, **fields):
    """Put a row that nobody signed where *key* is looked for."""
    encoded = stash.store.keys.encode(key)
    entry = Entry(
        encoded.address,
        label,
        encoded.data if stored_key is None else stored_key,
        payload,
        raw_size,
        flags,
        bytes(8),
        **fields,
    )
    stash.store.engine.put(encoded.address, entry.pack())


@pytest.mark.parametrize("flags", [Flag(0), Flag.CODE, Flag.CODE | Flag.LOOSE, Flag.LOOSE, Flag.PARTS, Flag.B64])
def test_a_planted_pickle_runs_nothing_whatever_its_header_says(opened, trap, flags):
    stash = opened()
    plant(stash, "k", b"pickle", *pickled(trap), flags)
    with pytest.raises(BadEntry):
        stash["k"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # left out or shown as a placeholder: either is right
        list(stash.items())
    assert not trap.path.exists()


def test_a_planted_signature_is_foreign_or_tampered(opened, trap):
    stash = opened()
    for signer in (bytes(8), signer_of(keyring().keys[0])):
        plant(stash, "k", b"pickle", *pickled(trap), Flag.CODE | Flag.SIGNED, signer=signer, tag=bytes(16))
        with pytest.raises((UntrustedEntry, TamperedEntry)):
            stash["k"]
    assert not trap.path.exists()


def _code_key(trap):
    encoded = HashStash("for the key", engine="memory").store.codec.serializer.dumps(trap)
    assert encoded.is_code
    return pack_key(encoded)


def test_a_planted_key_that_is_code_runs_nothing_whatever_the_header_says(opened, trap):
    stash = opened()
    stash["k"] = 1
    blob = unpack(stash.store.engine.get(stash.store.keys.address("k")))
    plant(stash, "k", blob.label, bytes(blob.payload), blob.raw_size, Flag(0), stored_key=_code_key(trap))
    (key,) = stash
    assert "foreign" in repr(key)
    repr((stash.keys(), stash.items(), stash.entries(), list(stash._items())))
    with pytest.raises(KeyError):
        stash.popitem()
    assert not trap.path.exists()


def test_a_planted_key_is_not_signed_by_listing_it(opened, trap):
    stash = opened()
    stash["k"] = 1
    blob = unpack(stash.store.engine.get(stash.store.keys.address("k")))
    plant(stash, "k", blob.label, bytes(blob.payload), blob.raw_size, Flag(0), stored_key=_code_key(trap))
    (encoded,) = stash._keys()
    with pytest.raises(UntrustedEntry):
        stash.decode_key(encoded)
    assert not trap.path.exists()


@pytest.mark.parametrize("flags", [Flag.LOOSE, Flag.LOOSE | Flag.CODE])
def test_an_encoded_key_from_somebody_else_runs_nothing(opened, trap, flags):
    key = _code_key(trap)
    frame = Entry(bytes(16), b"hashstash", b"", key, len(key), flags, bytes(8)).pack()
    with pytest.raises(UntrustedEntry):
        opened().decode_key(frame)
    assert key[0] & KEY_IS_CODE
    with pytest.raises(UntrustedEntry):
        opened().decode_key(key)
    assert not trap.path.exists()


def test_a_row_cannot_be_replayed_under_another_key(opened):
    stash = opened(serializer="pickle")
    stash["one"], stash["two"] = 1, 2
    engine, keys = stash.store.engine, stash.store.keys
    engine.put(keys.address("two"), engine.get(keys.address("one")))
    with pytest.raises(CorruptEntry, match="another key"):
        stash["two"]


def test_a_row_cannot_be_replayed_in_another_namespace(opened):
    one, other = opened(dbname="one", serializer="pickle"), opened(dbname="other")
    one["k"] = 1
    address = one.store.keys.address("k")
    other.store.engine.put(address, one.store.engine.get(address))
    with pytest.raises(TamperedEntry):
        other["k"]


def test_folders_may_move_with_their_signatures(tmp_path):
    HashStash(tmp_path / "here", dbname="db", engine="pairtree", serializer="pickle")["k"] = {1}
    (tmp_path / "here").rename(tmp_path / "there")
    assert HashStash(tmp_path / "there", dbname="db", engine="pairtree")["k"] == {1}


def test_a_tampered_payload_is_tampered_with_behind_a_good_checksum(opened):
    stash = opened(serializer="pickle")
    stash["k"] = "the value"
    address = stash.store.keys.address("k")
    row = stash.store.engine.get(address)
    body = row[:-4].replace(b"the value", b"the VALUE")
    stash.store.engine.put(address, body + struct.pack("<I", zlib.crc32(body)))
    with pytest.raises(TamperedEntry, match="signature does not fit"):
        stash["k"]
    assert stash.trust() == 0
    with pytest.raises(TamperedEntry):
        stash["k"]


# ---- blob files of code ----------------------------------------------------------------------------------------------


@pytest.fixture(params=["pairtree", "lmdb"])
def with_blob(request, tmp_path):
    """A stash with one pickle in a blob file, and that file."""
    stash = HashStash(tmp_path / "stash", engine=request.param, serializer="pickle", compress=False)
    stash["k"] = {"large": os.urandom(100_000)}
    (path,) = [path for path in (tmp_path / "stash").glob("**/blobs/*/*") if path.is_file()]
    return stash, path


def rewrite(path, content):
    """Change a file as its owner can, its time of modification included."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_blob_is_covered_by_the_signature_of_its_row(with_blob, trap):
    stash, path = with_blob
    content = path.read_bytes()
    rewrite(path, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorruptEntry, match="changed after it was written"):
        stash["k"]


def test_a_blob_that_is_changed_after_it_was_verified_is_noticed(with_blob):
    stash, path = with_blob
    stash["k"]
    content = path.read_bytes()
    rewrite(path, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorruptEntry, match="changed after it was written"):
        stash["k"]


def test_a_blob_with_the_same_checksum_and_other_content_is_noticed(with_blob):
    stash, path = with_blob
    content = path.read_bytes()
    bad = bytearray(content)
    bad[-10] ^= 1
    before, wanted = zlib.crc32(bytes(bad[:-4])), zlib.crc32(content)
    bad[-4:] = forge(before, wanted)
    assert zlib.crc32(bytes(bad)) == wanted
    rewrite(path, bytes(bad))
    with pytest.raises(CorruptEntry, match="changed after it was written"):
        stash["k"]


def forge(before, wanted):
    """Four bytes that bring a crc32 from *before* to *wanted*."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
        table.append(value)
    target, indices = wanted ^ 0xFFFFFFFF, []
    for _ in range(4):
        index = next(number for number in range(256) if table[number] >> 24 == target >> 24)
        indices.append(index)
        target = ((target ^ table[index]) << 8) & 0xFFFFFFFF
    state, out = before ^ 0xFFFFFFFF, bytearray()
    for index in reversed(indices):
        out.append((state & 0xFF) ^ index)
        state = (state >> 8) ^ table[index]
    return bytes(out)


def test_a_blob_that_others_may_write_is_read_and_not_mapped(with_blob):
    stash, path = with_blob
    path.chmod(0o666)
    (entry, encoded) = stash.get_encoded("k")
    path.write_bytes(bytes(path.stat().st_size))
    assert len(stash.store.codec.serializer.loads(encoded)["large"]) == 100_000


def test_trusting_a_foreign_blob_covers_its_content(tmp_path, somebody_else):
    with somebody_else:
        HashStash(tmp_path / "stash", engine="pairtree", serializer="pickle", compress=False)["k"] = os.urandom(100_000)
    stash = HashStash(tmp_path / "stash", engine="pairtree")
    assert stash.trust() == 1
    assert len(stash["k"]) == 100_000


# ---- values on their own ---------------------------------------------------------------------------------------------


def test_serialized_code_comes_back_to_who_wrote_it():
    assert deserialize(serialize(len)) is len
    assert deserialize(serialize({1, 2}, "pickle")) == {1, 2}


def test_serialized_code_of_somebody_else_runs_nothing(somebody_else, trap):
    with somebody_else:
        data = serialize(trap, "pickle")
    with pytest.raises(UntrustedEntry):
        deserialize(data)
    assert not trap.path.exists()


def test_serialized_data_of_somebody_else_comes_back(somebody_else):
    with somebody_else:
        data = serialize({"a": [1]})
    assert deserialize(data) == {"a": [1]}


def test_a_frame_is_no_row_of_a_stash(opened, trap):
    """What I signed for one purpose must not answer for another."""
    stash = opened()
    frame = serialize([1], "pickle")
    address = stash.store.keys.address("k")
    stash.store.engine.put(address, frame)
    with pytest.raises(CorruptEntry):
        stash["k"]


class TestRowsThatWereVerifiedBefore:
    """A signature is computed once for the same row, and never believed for another one."""

    @pytest.fixture
    def row(self, monkeypatch):
        monkeypatch.setattr(trust, "keyring", lambda: Keyring((KEY,)))
        row = signed("place").pack()
        trust.check(unpack(row), "place", Trust.MINE, row=row)
        return row

    def test_they_are_trusted_without_computing_it_again(self, row, monkeypatch):
        monkeypatch.setattr(trust, "_tag", lambda *_: pytest.fail("computed again"))
        entry = unpack(row)
        trust.check(entry, "place", Trust.MINE, row=bytes(bytearray(row)))
        assert entry.is_trusted

    def test_another_row_with_the_same_tag_is_tampered_with(self, row):
        entry = unpack(row)
        entry.seconds += 1
        changed = entry.pack()
        with pytest.raises(TamperedEntry):
            trust.check(unpack(changed), "place", Trust.MINE, row=changed)

    def test_the_same_row_in_another_place_is_tampered_with(self, row):
        with pytest.raises(TamperedEntry):
            trust.check(unpack(row), "elsewhere", Trust.MINE, row=row)

    def test_whoever_does_not_trust_its_signer_does_not_trust_it(self, row, monkeypatch):
        monkeypatch.setattr(trust, "keyring", lambda: Keyring((bytes(32),)))
        with pytest.raises(UntrustedEntry):
            trust.check(unpack(row), "place", Trust.MINE, row=row)

    def test_they_take_a_bounded_room(self, monkeypatch):
        monkeypatch.setattr(trust, "keyring", lambda: Keyring((KEY,)))
        monkeypatch.setattr(trust, "_MOST_KEPT", 1000)
        for number in range(50):
            entry = signed()
            entry.version = number
            Keyring((KEY,)).sign(entry, "")
            row = entry.pack()
            trust.check(unpack(row), "", Trust.MINE, row=row)
        assert sum(len(kept[2]) for kept in trust._verified.values()) <= 1000


def test_a_draft_of_the_key_that_could_not_be_removed_goes_with_the_next_use():
    """It holds a key: where one is made, nobody makes another, and so would come by it."""
    folder = trust.state_root()
    os.makedirs(folder, mode=0o700)
    for name, moment in (("abandoned", 0), ("young", None)):
        path = pathlib.Path(folder, f"key.1.{name}")
        path.write_bytes(bytes(32))
        os.utime(path, None if moment is None else (moment, moment))
    key = own_key(folder)
    assert own_key(folder) == key
    assert sorted(os.listdir(folder)) == ["key", "key.1.young"]


def test_a_key_of_which_only_a_part_is_written_at_first_is_made_all_the_same(monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[: len(content) // 2 + 1]))
    folder = trust.state_root()
    key = own_key(folder)
    assert pathlib.Path(folder, "key").read_bytes() == key
    assert len(key) == 32
