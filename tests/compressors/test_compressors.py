import sys

import pytest

from hashstash.errors import MissingDependency
from hashstash.registry import Registry
from hashstash.testing.compressor import CompressorContract, FilterContract

COMPRESSORS = Registry("compressor", "hashstash.compressors")


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


class TestB64(FilterContract):
    @pytest.fixture
    def codec_filter(self):
        return Registry("filter", "hashstash.filters").load("b64")

    def test_the_result_is_ascii_text(self, codec_filter):
        assert codec_filter.encode(b"\xff\xfe?>").decode("ascii") == "//4/Pg=="


def test_lz4_without_its_package_gives_the_pip_line(monkeypatch):
    monkeypatch.delitem(sys.modules, "hashstash.compressors.lz4", raising=False)
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    with pytest.raises(MissingDependency, match=r"pip install 'hashstash\[lz4\]'"):
        Registry("compressor", "hashstash.compressors").load("lz4")
