"""What stands in listings for foreign entries: it says why, it is never taken for a value or a key, and it is never stored."""

import copy
import time
import warnings

import pytest

from hashstash import HashStash
from hashstash.entries import copying
from hashstash.entry import Flag, unpack
from hashstash.errors import CorruptEntry, UnsupportedValue, UntrustedEntry, VolatileKey
from hashstash.foreign import Foreign

MIB = 1 << 20


class Thing:
    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return type(other) is Thing and other.number == self.number

    def __hash__(self):
        return hash(self.number)


def made(number):
    return Thing(number)


@pytest.fixture(params=["pairtree", "memory"])
def engine(request):
    return request.param


@pytest.fixture
def theirs(engine, tmp_path, somebody_else):
    """A stash in which somebody else has stored data, a value that is code, and a key that is code."""
    stash = HashStash(tmp_path / "theirs", engine=engine)
    with somebody_else:
        stash.update({"data": 1, "code": Thing(2)})
        stash[Thing(3)] = 4
    return HashStash(tmp_path / "theirs", engine=engine)


@pytest.fixture
def mine(tmp_path):
    stash = HashStash(tmp_path / "mine", engine="pairtree")
    stash["code"] = "my own value"
    return stash


def placeholders(stash):
    return [one for pair in stash.items() for one in pair if type(one) is Foreign]


# ---- copying ---------------------------------------------------------------------------------------------------------


def ior(mine, theirs):
    mine |= theirs


COPIES = {
    "update": lambda mine, theirs: mine.update(theirs),
    "update from items": lambda mine, theirs: mine.update(theirs.items()),
    "|=": ior,
    "set_many": lambda mine, theirs: mine.set_many(theirs),
    "set_many of items": lambda mine, theirs: mine.set_many(theirs.items()),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copying_foreign_code_raises_before_anything_is_stored(mine, theirs, copied):
    with pytest.raises(UntrustedEntry, match=r"theirs.*needs code.*stash\.trust\(\)"):
        copied(mine, theirs)
    assert dict(mine) == {"code": "my own value"}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_what_is_trusted_is_copied(mine, theirs, copied):
    theirs.trust()
    copied(mine, theirs)
    assert dict(mine) == {"data": 1, "code": Thing(2), Thing(3): 4}


def replace_row(stash, key, change):
    address = stash.store.keys.address(key)
    stash.store.engine.put(address, change(stash.store.engine.get(address)))


def malformed(row):
    entry = unpack(row)
    entry.payload, entry.raw_size = b"\xc1", 1
    return entry.pack()


def flipped(row):
    return row[:-1] + bytes([row[-1] ^ 1])


@pytest.mark.parametrize(
    ("damage", "text"), [(malformed, r"the entry of 'bad' in .*theirs"), (flipped, r"theirs.*checksum")]
)
def test_copying_damaged_entries_raises_before_anything_is_stored(mine, theirs, damage, text):
    theirs.trust()
    theirs["bad"] = 5
    replace_row(theirs, "bad", damage)
    with pytest.raises(CorruptEntry, match=rf"(?s){text}.*stash\.repair\(\)"):
        mine.update(theirs)
    assert dict(mine) == {"code": "my own value"}


def test_copying_raises_before_anything_is_stored_of_a_stash_that_memory_cannot_hold(mine, theirs, monkeypatch):
    monkeypatch.setattr(copying, "_MOST_KEPT", 0)
    with pytest.raises(UntrustedEntry):
        mine.update(theirs)
    assert len(mine) == 1
    theirs.trust()
    mine.update(theirs)
    assert mine == theirs


def test_copying_passes_over_what_is_over(mine, theirs):
    theirs.trust()
    theirs.put("over", 1, ttl=0.001)
    time.sleep(0.01)
    mine.update(theirs)
    assert "over" not in mine
    assert len(mine) == 3


def test_a_key_that_needs_code_is_not_decoded_whatever_its_header_says(mine, theirs):
    key = next(one for one in theirs if type(one) is Foreign and one.entry.digest != theirs.store.keys.address("code"))
    entry = unpack(theirs.store.engine.get(key.entry.digest))
    entry.flags, entry.signer, entry.tag = Flag(0), b"", b""
    theirs.store.engine.put(entry.digest, entry.pack())
    del theirs["code"]
    with pytest.raises(UntrustedEntry):
        mine.update(theirs)
    assert len(mine) == 1


# ---- looking up, storing -------------------------------------------------------------------------------------------------

LOOKS = {
    "[]": lambda stash, key: stash[key],
    "get": lambda stash, key: stash.get(key, "default"),
    "in": lambda stash, key: key in stash,
    "dict": lambda stash, _: dict(stash),
    "{**}": lambda stash, _: {**stash},
    "set": lambda stash, key: stash.__setitem__(key, 1),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_placeholder_is_no_key_and_says_why(theirs, look):
    key = next(one for one in theirs if type(one) is Foreign)
    with pytest.raises(UntrustedEntry, match=r"stands for a key.*needs code.*stash\.trust\(\)"):
        look(theirs, key)


STORES = {
    "itself": lambda placeholder: placeholder,
    "in a list": lambda placeholder: ["x", placeholder],
    "in an instance": Thing,
}


@pytest.mark.parametrize("serializer", ["hashstash", "pickle"])
@pytest.mark.parametrize("value", STORES.values(), ids=STORES)
def test_a_placeholder_is_never_stored(theirs, tmp_path, serializer, value):
    mine = HashStash(tmp_path / "mine", engine="pairtree", serializer=serializer)
    with pytest.raises(UnsupportedValue, match="placeholder"):
        mine["k"] = value(placeholders(theirs)[0])
    assert len(mine) == 0


def test_a_placeholder_within_a_key_is_refused(mine, theirs):
    with pytest.raises(VolatileKey, match="placeholder"):
        mine["a", placeholders(theirs)[0]] = 1


def test_a_call_with_a_placeholder_computes_and_stores_nothing(mine, theirs):
    with pytest.warns(RuntimeWarning, match="placeholder"):
        assert mine.run(type, placeholders(theirs)[0]) is Foreign


def test_a_placeholder_may_be_copied_with_the_dict_that_holds_it(theirs):
    shown = dict(theirs.items())
    assert copy.deepcopy(shown) == shown == copy.copy(shown)


def test_popitem_says_that_what_is_left_cannot_be_read(theirs):
    assert theirs.popitem() == ("data", 1)
    with pytest.raises(KeyError, match=r"2 entries; stash\.trust\(\)"):
        theirs.popitem()
    theirs.trust()
    theirs.popitem(), theirs.popitem()
    with pytest.raises(KeyError, match="empty"):
        theirs.popitem()


# ---- what trust covers ---------------------------------------------------------------------------------------------------


def test_trusting_covers_results_of_functions_and_maps(tmp_path, somebody_else):
    stash = HashStash(tmp_path / "theirs", engine="pairtree")
    with somebody_else:
        stash.run(made, 1)
        stash.map(made, [2], num_proc=1, progress=False).results  # noqa: B018
    stash = HashStash(tmp_path / "theirs", engine="pairtree")
    assert stash.trust() == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert stash.run(made, 1) == Thing(1)
    assert stash.stashed_result(made).stash.entries(foreign=True) == []


@pytest.fixture
def large(engine, tmp_path, somebody_else):
    """A stash in which somebody else has stored more zeros than a stranger's entry may hold."""
    with somebody_else:
        HashStash(tmp_path / "large", engine=engine, compress="zlib")["zeros"] = bytes(65 * MIB)
    return HashStash(tmp_path / "large", engine=engine)


def test_a_strangers_large_value_needs_trust_and_is_not_said_to_be_damaged(large):
    with pytest.raises(UntrustedEntry, match=r"the entry of 'zeros'.*claims 68.*stash\.trust\(\)"):
        large["zeros"]
    assert not large.check()
    ((key, value),) = large.items()
    assert (key, type(value)) == ("zeros", Foreign)
    assert [info.key for info in large.entries(foreign=True)] == ["zeros"]
    with pytest.raises(KeyError, match="1 entry"):
        large.popitem()


def test_trusting_a_strangers_large_value_decodes_it(large):
    assert large.trust() == 1
    assert large["zeros"] == bytes(65 * MIB)
    assert large.trust() == 0


def test_what_claims_more_than_anybody_may_stays_damaged_and_is_not_signed(large):
    def claims_more(row):
        entry = unpack(row)
        entry.raw_size, entry.flags, entry.signer, entry.tag = 1 << 40, Flag(0), b"", b""
        return entry.pack()

    large["zeros"] = "short"
    replace_row(large, "zeros", claims_more)
    with pytest.raises(CorruptEntry, match="from anybody"):
        large["zeros"]
    assert large.trust() == 0


def test_strict_trust_says_that_it_is_strict_and_not_that_data_need_code(engine, tmp_path):
    HashStash(tmp_path / "stash", engine=engine)["a"] = 1
    with pytest.raises(UntrustedEntry, match="not signed by a key that you trust.*trust='strict'") as caught:
        HashStash(tmp_path / "stash", engine=engine, trust="strict")["a"]
    assert "needs code" not in str(caught.value)
