"""What every serializer must keep; subclass :class:`SerializerContract` and give it a fixture ``serializer``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hashstash.codec import Encoded, Serializer
from hashstash.errors import BadEntry, UnsupportedValue
from hashstash.testing.corpus import DATA
from hashstash.testing.equality import assert_same


class SerializerContract:
    """The behaviour that a stash relies on."""

    left_out: frozenset[str] = frozenset()
    """Names of the values of the corpus that the serializer refuses: this too is tested."""

    @pytest.fixture
    def serializer(self) -> Serializer:
        raise NotImplementedError("a contract is run by a subclass that says which serializer is meant")

    @pytest.mark.parametrize("name", DATA)
    def test_data_comes_back_the_same(self, serializer: Serializer, name: str) -> None:
        if name in self.left_out:
            pytest.skip("the serializer refuses this value")
        assert_same(serializer.loads(serializer.dumps(DATA[name]())), DATA[name]())

    @pytest.mark.parametrize("name", DATA)
    def test_writing_leaves_the_value_alone(self, serializer: Serializer, name: str) -> None:
        if name in self.left_out:
            pytest.skip("the serializer refuses this value")
        value = DATA[name]()
        serializer.dumps(value)
        assert_same(value, DATA[name]())

    def test_what_is_left_out_is_refused(self, serializer: Serializer) -> None:
        for name in self.left_out:
            with pytest.raises(UnsupportedValue):
                serializer.dumps(DATA[name]())

    @pytest.mark.parametrize("name", ["dict", "mixed", "exceptions"])
    def test_two_reads_share_nothing(self, serializer: Serializer, name: str) -> None:
        encoded = serializer.dumps([DATA[name]()])
        first, second = serializer.loads(encoded), serializer.loads(encoded)
        first.clear()
        assert_same(second, [DATA[name]()])

    def test_any_kind_of_buffer_can_be_read(self, serializer: Serializer) -> None:
        encoded = serializer.dumps(DATA["large array"]())
        for kind in (bytes, bytearray, memoryview):
            copied = Encoded(
                kind(encoded.document), [kind(bytes(buffer)) for buffer in encoded.buffers], encoded.is_code
            )
            assert_same(serializer.loads(copied), DATA["large array"]())

    def test_buffers_are_contiguous_bytes(self, serializer: Serializer) -> None:
        views = [memoryview(buffer) for buffer in serializer.dumps(DATA["large array"]()).buffers]
        assert all(view.c_contiguous and view.itemsize == 1 for view in views)

    @pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
    def test_a_document_cut_short_is_a_bad_entry(self, serializer: Serializer, keep: float) -> None:
        document, buffers, is_code = serializer.dumps(DATA["mixed"]())
        size = int(len(document) * keep) if isinstance(keep, float) else keep
        with pytest.raises(BadEntry):
            serializer.loads(Encoded(bytes(document)[:size], buffers, is_code))

    def test_threads_do_not_meet(self, serializer: Serializer) -> None:
        def there_and_back(number: int) -> Any:
            return serializer.loads(serializer.dumps({"number": number, "parts": [(number,)] * 50}))

        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(there_and_back, range(100)))
        assert_same(results, [{"number": number, "parts": [(number,)] * 50} for number in range(100)])
