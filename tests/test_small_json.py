import json

import pytest

from hashstash.small_json import LARGEST, read_object


def test_an_object_is_read():
    assert read_object(b'{"a": [1, "x"]}') == {"a": [1, "x"]}


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"5", b"null", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 50_000, b'{"a": ' + b"9" * 9000 + b"}"],
)
def test_anything_else_is_a_value_error(data):
    with pytest.raises(ValueError):
        read_object(data)


def test_a_long_text_is_not_parsed():
    with pytest.raises(ValueError, match="more than"):
        read_object(json.dumps({"a": "x" * LARGEST}).encode())
