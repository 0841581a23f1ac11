import importlib
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from hashstash.codec import Codec
from hashstash.errors import CorruptEntry, MissingDependency
from hashstash.registry import Registry
from hashstash.testing.compressor import CompressorContract, FilterContract

COMPRESSORS = Registry("compressor", "hashstash.compressors")
TEXT = b"the same words, the same words, " * 300


def loaded(name):
    return COMPRESSORS.load(name)


def fresh(name, monkeypatch):
    """The plug-in of a module that is imported again, now that other packages are there or not."""
    monkeypatch.delitem(sys.modules, f"hashstash.compressors.{name}", raising=False)
    return importlib.import_module(f"hashstash.compressors.{name}").PLUGIN


class TestRaw(FilterContract):
    @pytest.fixture
    def codec_filter(self):
        return COMPRESSORS.load("raw")


class TestZlib(CompressorContract):
    @pytest.fixture
    def codec_filter(self):
        return COMPRESSORS.load("zlib")


class TestGzip(CompressorContract):
    @pytest.fixture
    def codec_filter(self):
        return COMPRESSORS.load("gzip")


class TestBz2(CompressorContract):
    @pytest.fixture
    def codec_filter(self):
        return COMPRESSORS.load("bz2")


class TestLz4(CompressorContract):
    @pytest.fixture
    def codec_filter(self):
        pytest.importorskip("lz4.block")
        return COMPRESSORS.load("lz4")


class TestZstd(CompressorContract):
    @pytest.fixture
    def codec_filter(self):
        pytest.importorskip("zstandard")
        return loaded("zstd")

    def test_frames_can_be_read_by_the_package(self, codec_filter):
        import zstandard

        assert zstandard.decompress(codec_filter.encode(TEXT)) == TEXT


class TestZstdOfTheLibrary(CompressorContract):
    @pytest.fixture
    def codec_filter(self, monkeypatch):
        """The module as it is on Python 3.14 without any package; before, its backport stands in where it is installed."""
        if sys.version_info < (3, 14):
            backport = pytest.importorskip("backports.zstd")
            monkeypatch.setitem(sys.modules, "compression", sys.modules["backports"])
            monkeypatch.setitem(sys.modules, "compression.zstd", backport)
        monkeypatch.setitem(sys.modules, "zstandard", None)
        return fresh("zstd", monkeypatch)

    def test_a_window_beyond_the_announced_size_is_refused(self, codec_filter):
        frame = struct.pack("<IBBB", 0xFD2FB528, 0x40, 0xA0, 0) + b"\0" + (8 << 3 | 1).to_bytes(3, "little") + bytes(8)
        with pytest.raises(CorruptEntry):
            codec_filter.decode(frame, 256)


class TestBlosc(CompressorContract):
    @pytest.fixture
    def codec_filter(self):
        pytest.importorskip("blosc2")
        return loaded("blosc")

    def test_numbers_are_shuffled_and_text_is_not(self, codec_filter):
        numbers = struct.pack("<20000q", *range(20000))
        assert len(codec_filter.encode(numbers)) < len(numbers) / 20
        assert len(codec_filter.encode(TEXT)) < len(TEXT) / 20

    @pytest.mark.parametrize("size", [1, 2, 4, 8])
    def test_the_size_of_the_numbers_is_found(self, codec_filter, size):
        data = b"".join(
            (1000 + 7 * i % 251).to_bytes(8, "little")[: max(size, 2)][:size] for i in range(40_000 // size)
        )
        assert codec_filter.encode(data)[3] == size

    @pytest.mark.parametrize(
        "place, byte", [(0, 9), (2, 0x45), (3, 3), (12, 1), (16, 5), (22, 3), (31, 0x08), (31, 0x40)]
    )
    def test_chunks_that_we_do_not_write_are_not_read(self, codec_filter, place, byte):
        chunk = bytearray(codec_filter.encode(TEXT))
        chunk[place] = byte
        with pytest.raises(CorruptEntry):
            codec_filter.decode(chunk, len(TEXT))

    def test_threads_do_not_meet(self, codec_filter):
        texts = [TEXT + bytes([i]) for i in range(50)]
        with ThreadPoolExecutor(4) as pool:
            packed = list(pool.map(codec_filter.encode, texts))
            assert list(pool.map(codec_filter.decode, packed, map(len, texts))) == texts


class TestBlosc1(CompressorContract):
    @pytest.fixture
    def codec_filter(self, monkeypatch):
        pytest.importorskip("blosc")
        monkeypatch.setitem(sys.modules, "blosc2", None)
        return fresh("blosc", monkeypatch)

    def test_chunks_are_read_by_blosc2_too(self, codec_filter, monkeypatch):
        packed = codec_filter.encode(TEXT)
        monkeypatch.undo()
        pytest.importorskip("blosc2")
        assert loaded("blosc").decode(packed, len(TEXT)) == TEXT

    def test_chunks_of_blosc2_need_blosc2(self, codec_filter, monkeypatch):
        monkeypatch.undo()
        pytest.importorskip("blosc2")
        packed = loaded("blosc").encode(TEXT)
        with pytest.raises(MissingDependency, match="pip install blosc2"):
            codec_filter.decode(packed, len(TEXT))


class TestB64(FilterContract):
    @pytest.fixture
    def codec_filter(self):
        return Registry("filter", "hashstash.filters").load("b64")

    def test_the_result_is_ascii_text(self, codec_filter):
        assert codec_filter.encode(b"\xff\xfe?>").decode("ascii") == "//4/Pg=="


@pytest.mark.parametrize(
    "name, modules",
    [
        ("lz4", ["lz4.block"]),
        ("zstd", ["zstandard", "compression", "compression.zstd"]),
        ("blosc", ["blosc", "blosc2"]),
    ],
    ids=["LZ4", "Zstandard", "Blosc"],
)
def test_without_its_package_the_pip_line_is_given(name, modules, monkeypatch):
    monkeypatch.delitem(sys.modules, f"hashstash.compressors.{name}", raising=False)
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=rf"pip install 'hashstash\[{name}\]'"):
        Registry("compressor", "hashstash.compressors").load(name)


@pytest.mark.parametrize("name, limit", [("lz4", "LARGEST_BLOCK"), ("blosc", "LARGEST_CHUNK")])
def test_more_than_a_compressor_holds_stays_raw(name, limit, monkeypatch):
    codec = Codec("hashstash", name)
    module = sys.modules[f"hashstash.compressors.{name}"]
    assert getattr(module, limit) < 2**31
    monkeypatch.setattr(module, limit, 60_000)
    assert codec.encode("the same words " * 3000).label == f"hashstash+{name}".encode()
    assert codec.encode("the same words " * 5000).label == b"hashstash"
