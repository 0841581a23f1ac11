"""What every compressor and text filter must do: subclass :class:`FilterContract` with a fixture ``codec_filter``."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from hashstash.codec import Filter

NOISE = random.Random(0).randbytes(5000)
SAMPLES = {
    "empty": b"",
    "one byte": b"x",
    "text": b"the same words, the same words, " * 300,
    "noise": NOISE,
    "zeros": bytes(100_000),
}


class FilterContract:
    """Bytes come back, and nothing else does."""

    @pytest.fixture
    def codec_filter(self) -> Filter:
        raise NotImplementedError("a contract is run by a subclass that says which filter is meant")

    @pytest.mark.parametrize("name", SAMPLES)
    def test_bytes_come_back(self, codec_filter: Filter, name: str) -> None:
        data = SAMPLES[name]
        assert bytes(codec_filter.decode(codec_filter.encode(data), len(data))) == data

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    def test_any_kind_of_buffer_is_taken(self, codec_filter: Filter, kind: type) -> None:
        data = SAMPLES["text"]
        assert bytes(codec_filter.decode(kind(codec_filter.encode(kind(data))), len(data))) == data

    def test_equal_bytes_are_encoded_equally(self, codec_filter: Filter) -> None:
        assert codec_filter.encode(NOISE) == codec_filter.encode(bytes(NOISE))

    @pytest.mark.parametrize("name", SAMPLES)
    @pytest.mark.parametrize("difference", [-1, 1, 1000])
    def test_another_size_is_corrupt(self, codec_filter: Filter, name: str, difference: int) -> None:
        data = SAMPLES[name]
        with pytest.raises(CorruptEntry):
            codec_filter.decode(codec_filter.encode(data), len(data) + difference)

    @pytest.mark.parametrize("name", ["text", "noise", "zeros"])
    def test_a_stream_cut_short_is_corrupt(self, codec_filter: Filter, name: str) -> None:
        data = SAMPLES[name]
        with pytest.raises(CorruptEntry):
            codec_filter.decode(codec_filter.encode(data)[:-1], len(data))

    def test_bytes_after_the_end_are_corrupt(self, codec_filter: Filter) -> None:
        data = SAMPLES["text"]
        with pytest.raises(CorruptEntry):
            codec_filter.decode(codec_filter.encode(data) + b"more", len(data))

    def test_a_name_is_given(self, codec_filter: Filter) -> None:
        assert codec_filter.name.isidentifier()


class CompressorContract(FilterContract):
    """Compression pays where it can, and never inflates beyond what was announced."""

    def test_repetition_gets_smaller(self, codec_filter: Filter) -> None:
        assert len(codec_filter.encode(SAMPLES["zeros"])) < 2000

    def test_noise_is_not_taken_for_a_stream(self, codec_filter: Filter) -> None:
        with pytest.raises(CorruptEntry):
            codec_filter.decode(NOISE, 100_000)

    def test_a_bomb_is_not_inflated(self, codec_filter: Filter) -> None:
        import tracemalloc

        bomb = codec_filter.encode(bytes(50_000_000))
        tracemalloc.start()
        try:
            with pytest.raises(CorruptEntry):
                codec_filter.decode(bomb, 1000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 5_000_000
